"""Pixels of the tiles that are nearest to the means of their slides, read from the slides again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.core.units import TileSpec
from histograft.verbs.slide_faults import named_faults
from histograft.verbs.slides import SlideEntry, fingerprint

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

NEAREST = "nearest_tiles.csv"
TILES_FOLDER = "tiles"


@dataclass(frozen=True)
class TileSource:
    """A slide whose tiles are wanted again.

    Attributes
    ----------
    artefact : Artefact
        Its features.
    model : str
        A model of it: all have the same tiles.
    entry : SlideEntry or None
        Where its file is; None where nobody says.
    """

    artefact: Artefact
    model: str
    entry: SlideEntry | None


def tile_file(slide_id: str, x0: int, y0: int) -> str:
    """Name the file of a tile below the artefact.

    Examples
    --------
    >>> tile_file("s1", 448, 0)
    'tiles/s1_448_0.png'
    """
    return f"{TILES_FOLDER}/{slide_id}_{x0}_{y0}.png"


def keep_tiles(
    nearest: pd.DataFrame, sources: Mapping[str, TileSource], draft: Draft, reporter: Reporter
) -> dict[str, Any]:
    """Read the nearest tiles again and keep them as PNG, as they were scanned.

    Parameters
    ----------
    nearest : pandas.DataFrame
        The table of nearest tiles.
    sources : mapping of str to TileSource
        Slides by their name.
    draft : Draft
        Where to write.
    reporter : Reporter
        Who is told which slides cannot be read any more; they are left out.

    Returns
    -------
    dict
        Facts: ``n_tiles_kept``, ``tiles_not_kept`` (number of slides by reason) and ``tile_um``,
        the side of a tile in µm as it was wanted.
    """
    (draft.path / TILES_FOLDER).mkdir(exist_ok=True)
    lost: dict[str, list[str]] = {}
    tile_um = None
    n_kept = 0
    with reporter.task("pixels of the nearest tiles", len(sources)) as task:
        for slide_id, source in sources.items():
            rows = nearest.loc[nearest["slide_id"] == slide_id, ["x0", "y0"]].drop_duplicates()
            try:
                spec, tiles = _read_again(source, rows.to_numpy())
            except InputError as error:
                lost.setdefault(_reason(error, source), []).append(slide_id)
            else:
                tile_um = spec.tile_px * spec.target_mpp
                for (x0, y0), tile in zip(rows.to_numpy().tolist(), tiles, strict=True):
                    _write(draft, tile_file(slide_id, x0, y0), tile)
                    n_kept += 1
            task.advance(1, slide_id)
    for reason, names in lost.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        reporter.note(f"no pixels of the nearest tiles of {names[0]}{more}: {reason}")
    counts = {reason: len(names) for reason, names in lost.items()}
    return {"n_tiles_kept": n_kept, "tiles_not_kept": counts, "tile_um": tile_um}


def _read_again(
    source: TileSource, coords: NDArray[np.int64]
) -> tuple[TileSpec, list[NDArray[np.uint8]]]:
    from histograft.imaging.slide import open_slide
    from histograft.imaging.slide_tiles import TileStatus, read_tiles

    entry = source.entry
    if entry is None:
        raise InputError("it is not in the table of slides")
    if not entry.path.is_file():
        raise InputError("its file is not there any more")
    _refuse_another_file(source, entry.path)
    spec = _tiles_of(source)
    with (
        named_faults(entry.path.name),
        open_slide(entry.path, mpp=source.artefact.facts["mpp"]) as slide,
    ):
        tiles, status = read_tiles(slide, coords, spec, upsample="allow")
    if (status != TileStatus.READ).any():
        raise InputError("its file is damaged there")
    return spec, list(tiles)


def _refuse_another_file(source: TileSource, path: Path) -> None:
    """Refuse a file that is not the one that was embedded, as far as that is known."""
    known = [i["id"] for i in source.artefact.manifest["inputs"] if i["kind"] == "slide"]
    try:
        found = fingerprint(path)
    except OSError as error:
        raise InputError("its file cannot be read") from error
    if known and found not in known:
        raise InputError("its file is another one than was embedded")


def _tiles_of(source: TileSource) -> TileSpec:
    """Size and scale of the tiles, as the features state them."""
    import h5py

    with h5py.File(source.artefact.file(f"{source.model}.h5"), "r") as file:
        stated = dict(file["features"].attrs) | dict(file["coords"].attrs)
    names = ("patch_size", "histo_mpp_target", "histo_mpp_level0", "patch_size_level0")
    values = [stated.get(name, "None") for name in names]
    if any(isinstance(value, str) for value in values):
        raise InputError("its features do not state the scale of their tiles")
    tile_px, target_mpp, mpp0, side0 = values
    spec = TileSpec(int(tile_px), float(target_mpp), float(mpp0))
    if spec.side0 != side0:
        raise InputError("its tiles were cut in another way")
    return spec


def _reason(error: InputError, source: TileSource) -> str:
    """Say what is wrong without names of files: slides with one fault are told together."""
    name = "" if source.entry is None else source.entry.path.name
    return error.problem.replace(name, "its file") if name else error.problem


def _write(draft: Draft, name: str, tile: NDArray[np.uint8]) -> None:
    from PIL import Image

    with draft.writing(name) as path:
        Image.fromarray(tile).save(path, format="png")
