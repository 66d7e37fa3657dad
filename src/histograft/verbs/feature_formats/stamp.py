"""STAMP's files: one HDF5 a slide, features in half precision, coordinates in µm.

The schema is that of ``src/stamp/preprocessing/__init__.py`` and of the reader ``get_coords`` in
``src/stamp/modeling/data.py`` of https://github.com/KatherLab/STAMP, version 2.1.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Draft
from histograft.core.errors import InputError
from histograft.verbs.feature_formats.contract import Found, Written
from histograft.verbs.feature_formats.hdf5 import (
    ENCODER,
    dataset,
    number,
    plain_attributes,
    read_extras,
    read_scale,
    reading,
    whole_number,
    write_extras,
    write_rows,
)
from histograft.verbs.feature_formats.tiles import SlideTiles, TileScale, make_tiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The first STAMP with these attributes; it refuses files of a later one than itself.
VERSION = "2.1.0"
SLIDE_TABLE = "slide.csv"
# A place that is this near to a whole pixel was whole before it became a float32 in µm.
WHOLE_PX = 0.02


def recognize(source: Path) -> bool:
    """Whether the first HDF5 file in a folder, or below it, has the dataset ``feats``."""
    first = next(iter(_files(source)), None)
    if first is None:
        return False
    try:
        with reading(first) as file:
            return "feats" in file
    except InputError:  # damaged: others may show what they are
        return any(_has_feats(path) for path in _files(source)[1:])


def find(source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    """List the slides in a folder and those below it."""
    if coordinates is not None:
        raise InputError("STAMP's files have coordinates", "leave out --coordinates")
    return [Found(p.stem, (p,), partial(_load, p, model)) for p in _files(source)]


def write(draft: Draft, tiles: SlideTiles) -> tuple[str, tuple[str, ...]]:
    """Write one slide.

    Raises
    ------
    InputError
        Its scale is not known, or a feature is too large for half precision.
    """
    import h5py
    import numpy as np

    scale = tiles.scale
    if scale.mpp0 is None or scale.side0 is None or scale.tile_px is None:
        lacking = "µm/px is" if scale.mpp0 is None else "the size of the tiles is"
        raise InputError(
            f"{tiles.slide_id}: {lacking} not known, and STAMP's coordinates are in µm",
            "give --mpp, or a table of slides with a column mpp (--slides)",
        )
    with np.errstate(over="ignore"):
        feats = tiles.features.astype(np.float16)
    if not np.isfinite(feats).all():
        raise InputError(
            f"{tiles.slide_id}: a feature of {float(np.abs(tiles.features).max()):g} is beyond "
            f"half precision (65504), which STAMP's files have",
            "convert into another layout, or use features of another layer",
        )
    name = f"{tiles.model}/{tiles.slide_id}.h5"
    with draft.writing(name) as path, h5py.File(path, "w") as file:
        write_rows(file, "feats", feats)
        write_rows(file, "coords", (tiles.coords * scale.mpp0).astype(np.float32))
        file.attrs.update(
            {
                "stamp_version": VERSION,
                "extractor": str(tiles.model),
                "unit": "um",
                "tile_size_um": scale.side0 * scale.mpp0,
                "tile_size_px": scale.tile_px,
                "code_hash": "",
                "feat_type": "tile",
            }
        )
        write_extras(file, file, tiles, with_scale=True)
    rounded = (feats.astype(np.float32) != tiles.features).any()
    return name, ("features were rounded to half precision (float16)",) if rounded else ()


def write_lists(draft: Draft, slides: Sequence[Written]) -> tuple[str, ...]:
    """Write STAMP's table of slides, where patients are known."""
    known = [slide for slide in slides if slide.note.patient_id]
    if not known:
        return ("no patient is known, so STAMP's table of slides is not written (--slides)",)
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("PATIENT", "FILENAME"))
    rows.writerows((slide.note.patient_id, Path(slide.file).name) for slide in known)
    draft.write_text(SLIDE_TABLE, text.getvalue())
    without = len(slides) - len(known)
    return (f"{without} slides without patient are not in {SLIDE_TABLE}",) if without else ()


def _files(source: Path) -> list[Path]:
    return sorted(p for p in source.rglob("*.h5") if p.is_file())


def _has_feats(path: Path) -> bool:
    try:
        with reading(path) as file:
            return "feats" in file
    except InputError:
        return False


def _load(path: Path, model: str | None, mpp: float | None) -> SlideTiles:
    with reading(path) as file:
        attributes = plain_attributes(file)
        kind = attributes.get("feat_type") or "tile"
        if kind != "tile":
            raise InputError(
                f"{path} has features of a whole {kind}", "give files with features of tiles"
            )
        feats, coords = dataset(file, "feats", path), dataset(file, "coords", path)
        scale, extras = read_scale(file, path), read_extras(file, file)
    side_um = _side_um(attributes, path)
    if scale is None:
        scale = _foreign_scale(attributes, side_um, mpp, path)
    places, notes = _to_pixels(coords, scale, path)
    name = model or attributes.get(ENCODER) or attributes.get("extractor")
    return make_tiles(path, (path.stem, name), (feats, places), scale, extras, notes)


def _side_um(attributes: dict[str, Any], path: Path) -> float:
    """Side of a tile in µm: ``tile_size_um``, before 2.1 ``tile_size`` with its unit."""
    side = number(attributes, "tile_size_um", path)
    if side is None and attributes.get("unit") == "um":
        side = number(attributes, "tile_size", path)
    if side is None or attributes.get("unit", "um") != "um":
        raise InputError(
            f"{path} does not say that its coordinates are in µm (unit, tile_size_um)",
            "extract the features again with STAMP 2",
        )
    return side


def _foreign_scale(
    attributes: dict[str, Any], side_um: float, mpp: float | None, path: Path
) -> TileScale:
    if mpp is None:
        raise InputError(
            f"{path}: its coordinates are in µm, and the µm/px of the slide is not known",
            "give --mpp, or a table of slides with a column mpp (--slides)",
        )
    tile_px = whole_number(attributes, "tile_size_px", path)
    return TileScale(
        tile_px=tile_px,
        side0=round(side_um / mpp),
        mpp0=mpp,
        mpp_source="option",
        target_mpp=None if tile_px is None else side_um / tile_px,
    )


def _to_pixels(
    coords: NDArray[np.generic], scale: TileScale, path: Path
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    import numpy as np

    if coords.dtype.kind not in "iuf":
        raise InputError(f"{path}: coordinates are no numbers", "extract the features again")
    exact = coords.astype(np.float64) / float(scale.mpp0 or 1)
    places = np.rint(exact)
    moved = np.abs(places - exact) > np.maximum(WHOLE_PX, 1e-6 * np.abs(exact))
    note = "coordinates in µm were rounded to whole level-0 pixels"
    return places, (note,) if moved.any() else ()
