"""slide2vec's folders: ``tile_embeddings`` as tensors with sidecars, ``tiles`` with coordinates.

The layout is that of ``docs/output-layout.rst`` and ``slide2vec/artifacts.py`` in
https://github.com/clemsgrs/slide2vec.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Draft
from histograft.core.errors import InputError
from histograft.core.units import check_mpp
from histograft.verbs.feature_formats.contract import Found, Written
from histograft.verbs.feature_formats.hdf5 import number, whole_number
from histograft.verbs.feature_formats.tensors import write_tensor_file
from histograft.verbs.feature_formats.tiles import (
    UNKNOWN,
    Extras,
    SlideTiles,
    TileScale,
    make_tiles,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDINGS, TILES, LIST = "tile_embeddings", "tiles", "process_list.csv"
# Our part of a sidecar.
OURS = "histograft"
SOURCE = "slide2vec"  # of µm/px that its sidecars state


def recognize(source: Path) -> bool:
    """Whether a folder has slide2vec's ``tile_embeddings``."""
    return (source / EMBEDDINGS).is_dir()


def find(source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    """List the slides."""
    folder, tiles = source / EMBEDDINGS, coordinates or source / TILES
    found = []
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".pt", ".npz")):
        beside = (
            path.with_suffix(".meta.json"),
            tiles / f"{path.stem}.coordinates.npz",
            tiles / f"{path.stem}.coordinates.meta.json",
        )
        files = (path, *(p for p in beside if p.is_file()))
        found.append(Found(path.stem, files, partial(_load, path, tiles, model)))
    return found


def write(draft: Draft, tiles: SlideTiles) -> tuple[str, tuple[str, ...]]:
    """Write features, coordinates and a sidecar of each."""
    import numpy as np

    n_tiles, extras = len(tiles.coords), tiles.extras
    name = f"{EMBEDDINGS}/{tiles.slide_id}.pt"
    with draft.writing(f"{TILES}/{tiles.slide_id}.coordinates.npz") as path:
        np.savez_compressed(
            path,
            tile_index=np.arange(n_tiles, dtype=np.int32),
            x=tiles.coords[:, 0],
            y=tiles.coords[:, 1],
            tissue_fractions=np.full(n_tiles, np.nan, np.float32),
            status=extras.status,  # type: ignore[arg-type]
            left_out=extras.left_out,  # type: ignore[arg-type]
            left_out_status=extras.left_out_status,  # type: ignore[arg-type]
        )
    draft.write_json(f"{TILES}/{tiles.slide_id}.coordinates.meta.json", _coordinates_meta(tiles))
    write_tensor_file(draft, name, tiles)
    # Last: slide2vec takes a tensor for whole when its sidecar is there.
    draft.write_json(f"{EMBEDDINGS}/{tiles.slide_id}.meta.json", _embedding_meta(tiles))
    return name, ("shares of tissue (tissue_fractions) are not known and written as NaN",)


def write_lists(draft: Draft, slides: Sequence[Written]) -> tuple[str, ...]:
    """Write the list of slides and what became of them."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        (
            "sample_id", "image_path", "mask_path", "spacing_at_level_0", "tiling_status",
            "num_tiles", "coordinates_npz_path", "coordinates_meta_path", "error", "traceback",
            "feature_status", "status",
        )
    )  # fmt: skip
    for slide in slides:
        places = f"{TILES}/{slide.slide_id}.coordinates"
        rows.writerow(
            (
                slide.slide_id, "", "", slide.scale.mpp0, "success", slide.n_tiles,
                f"{places}.npz", f"{places}.meta.json", "", "", "success", "done",
            )
        )  # fmt: skip
    draft.write_text(LIST, text.getvalue())
    return ()


def _coordinates_meta(tiles: SlideTiles) -> dict[str, Any]:
    scale = tiles.scale
    size = None if scale.width0 is None else [scale.width0, scale.height0]
    overlap = None
    if scale.tile_px and scale.overlap_px is not None:
        overlap = scale.overlap_px / scale.tile_px
    return {
        "provenance": {
            "sample_id": tiles.slide_id,
            "image_path": "",
            "mask_path": None,
            "backend": OURS,
            "requested_backend": OURS,
        },
        "slide": {"dimensions": size, "base_spacing_um": scale.mpp0, "level_downsamples": None},
        "tiling": {
            "requested_tile_size_px": scale.tile_px,
            "requested_spacing_um": scale.target_mpp,
            "effective_tile_size_px": scale.tile_px,
            "effective_spacing_um": scale.effective_mpp,
            "tile_size_lv0": scale.side0,
            "overlap": overlap,
            "n_tiles": len(tiles.coords),
        },
        "segmentation": {},
        "filtering": {},
        "artifact": {"coordinate_space": "level0_px", "tile_order": OURS},
    }


def _embedding_meta(tiles: SlideTiles) -> dict[str, Any]:
    scale = tiles.scale
    places = f"{TILES}/{tiles.slide_id}.coordinates"
    return {
        "artifact_type": "tile_embeddings",
        "backend": OURS,
        "coordinates_meta_path": f"{places}.meta.json",
        "coordinates_npz_path": f"{places}.npz",
        "encoder_input_size_px": scale.tile_px,
        "encoder_level": "tile",
        "encoder_name": tiles.model,
        "feature_dim": tiles.features.shape[1],
        "feature_dtype": "fp32",
        "format": "pt",
        OURS: {"tiles": scale.as_json(), "attributes": tiles.extras.attributes},
        "image_path": "",
        "mask_path": None,
        "num_tiles": len(tiles.coords),
        "read_tile_size_px": None,
        "requested_spacing_um": scale.target_mpp,
        "requested_tile_size_px": scale.tile_px,
        "sample_id": tiles.slide_id,
        "tile_size_lv0": scale.side0,
    }


def _load(path: Path, tiles: Path, model: str | None, mpp: float | None) -> SlideTiles:
    del mpp  # coordinates are pixels already
    import numpy as np

    meta = _read_json(path.with_suffix(".meta.json"))
    kind = meta.get("artifact_type", "tile_embeddings")
    if kind != "tile_embeddings":
        raise InputError(f"{path} is of the kind {kind}", "give features of tiles")
    features, index = _features(path)
    stem = f"{path.stem}.coordinates"
    arrays = _arrays(tiles / f"{stem}.npz", n_tiles=len(features))
    coords = np.stack([arrays["x"], arrays["y"]], axis=1)
    if index is not None:
        if len(index) and not 0 <= index.min() <= index.max() < len(coords):
            raise InputError(
                f"{path}: tile_index leads beyond its {len(coords)} coordinates",
                "give features and coordinates of one run of slide2vec",
            )
        coords = coords[index]
    ours = meta.get(OURS)
    if isinstance(ours, dict):
        scale = TileScale.from_json(ours.get("tiles"), path)
        attributes = dict(ours.get("attributes") or {})
    else:
        scale, attributes = _scale(meta, tiles / f"{stem}.meta.json", path), {}
    extras = Extras(
        arrays.get("status"), arrays.get("left_out"), arrays.get("left_out_status"), attributes
    )
    names = (path.stem, model or meta.get("encoder_name"))
    return make_tiles(path, names, (features, coords), scale, extras)


def _features(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Features, and which of the coordinates each row belongs to, where that is stated."""
    from histograft.learning.tensor_files import read_tensor

    if path.suffix == ".pt":
        return read_tensor(path), None
    arrays = _read_npz(path)
    if "features" not in arrays:
        raise InputError(
            f"{path} has no array 'features' (it has: {', '.join(arrays)})",
            "compute the features again",
        )
    return arrays["features"], arrays.get("tile_index")


def _arrays(path: Path, n_tiles: int) -> dict[str, NDArray[Any]]:
    """Arrays of coordinates; slide2vec writes none of a slide without tiles."""
    import numpy as np

    if n_tiles == 0 and not path.is_file():
        return {"x": np.empty(0, np.int64), "y": np.empty(0, np.int64)}
    arrays = _read_npz(path)
    if lacking := [name for name in ("x", "y") if name not in arrays]:
        raise InputError(f"{path} has no array {lacking[0]!r}", "tile the slide again")
    if arrays["x"].ndim != 1 or arrays["x"].shape != arrays["y"].shape:
        raise InputError(f"{path}: x and y are not of one length", "tile the slide again")
    return arrays


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    if not path.is_file():
        raise InputError(f"{path} is not there", "see that all files of the slide were copied")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is truncated or no NumPy archive: {error}",
            "copy it again and compare its size with the source, or compute it again",
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    """Read a sidecar; one that is not there states nothing."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is no JSON ({error})", "copy it again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is no JSON object", "copy it again")
    return value


def _scale(meta: dict[str, Any], beside: Path, path: Path) -> TileScale:
    """Read the scale from both sidecars of slide2vec."""
    places = _read_json(beside)
    slide, tiling = places.get("slide") or {}, places.get("tiling") or {}
    known = tiling | {name: value for name, value in meta.items() if value is not None}
    mpp0 = number(slide, "base_spacing_um", beside)
    if mpp0 is not None:
        check_mpp(mpp0, f"{beside}: base_spacing_um")
    size = slide.get("dimensions")
    width, height = size if isinstance(size, list) and len(size) == 2 else (None, None)
    return TileScale(
        tile_px=whole_number(known, "requested_tile_size_px", path),
        side0=whole_number(known, "tile_size_lv0", path),
        mpp0=mpp0,
        mpp_source=SOURCE if mpp0 is not None else UNKNOWN,
        target_mpp=number(known, "requested_spacing_um", path),
        width0=width,
        height0=height,
    )
