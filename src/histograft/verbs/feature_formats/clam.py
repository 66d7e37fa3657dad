"""CLAM's folders: ``patches`` with coordinates, ``h5_files`` and ``pt_files`` with features.

The schema is that of ``wsi_core/WholeSlideImage.py``, ``utils/file_utils.py`` (``save_hdf5``) and
``extract_features_fp.py`` in https://github.com/mahmoodlab/CLAM.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from histograft.core.artefact import Draft
from histograft.core.errors import InputError
from histograft.verbs.feature_formats.contract import Found, Written
from histograft.verbs.feature_formats.coordinates import places_beside
from histograft.verbs.feature_formats.feature_file import read_feature_file
from histograft.verbs.feature_formats.hdf5 import write_extras, write_rows
from histograft.verbs.feature_formats.tensors import read_tensor_with_places, write_tensor_file
from histograft.verbs.feature_formats.tiles import SlideTiles

PATCHES, H5_FILES, PT_FILES = "patches", "h5_files", "pt_files"
LARGEST_INT32 = 2**31 - 1


def recognize(source: Path) -> bool:
    """Whether a folder is one of CLAM's features."""
    return (source / H5_FILES).is_dir() or (source / PT_FILES).is_dir()


def find(source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    """List the slides; HDF5 is preferred, as it has coordinates."""
    paths = {path.stem: path for path in sorted((source / PT_FILES).glob("*.pt"))}
    paths |= {path.stem: path for path in sorted((source / H5_FILES).glob("*.h5"))}
    found = []
    for slide_id, path in sorted(paths.items()):
        places = places_beside(coordinates or source / PATCHES, slide_id)
        files = (path,) if places is None else (path, places)
        found.append(Found(slide_id, files, partial(_load, path, places, model)))
    return found


def write(draft: Draft, tiles: SlideTiles) -> tuple[str, tuple[str, ...]]:
    """Write coordinates, and features as HDF5 and as a tensor."""
    import h5py
    import numpy as np

    if tiles.scale.side0 is None:
        raise InputError(
            f"{tiles.slide_id}: the size of its tiles is not known, which CLAM's files state",
            "give the folder of the coordinates with --coordinates",
        )
    if len(tiles.coords) and tiles.coords.max() > LARGEST_INT32:
        raise InputError(f"{tiles.slide_id}: coordinates beyond 32 bits", "see how it was tiled")
    with draft.writing(f"{PATCHES}/{tiles.slide_id}.h5") as path, h5py.File(path, "w") as file:
        coords = write_rows(file, "coords", tiles.coords)
        coords.attrs.update(_patch_attributes(tiles, tiles.scale.side0))
        write_extras(file, coords, tiles, with_scale=True)
    with (
        draft.writing(f"{H5_FILES}/{tiles.slide_id}.h5") as path,
        h5py.File(path, "w") as file,
    ):
        features = write_rows(file, "features", tiles.features)
        write_rows(file, "coords", tiles.coords.astype(np.int32))
        write_extras(file, features, tiles, with_scale=True)
    name = f"{PT_FILES}/{tiles.slide_id}.pt"
    write_tensor_file(draft, name, tiles)
    return name, ()


def write_lists(draft: Draft, slides: Sequence[Written]) -> tuple[str, ...]:  # noqa: ARG001
    """Write no list: CLAM's table of cases and its splits are the user's."""
    return ()


def _patch_attributes(tiles: SlideTiles, side0: int) -> dict[str, object]:
    """Say that tiles of `side0` pixels are read from level 0, which is true of any pyramid."""
    scale = tiles.scale
    attributes: dict[str, object] = {
        "patch_size": side0,
        "patch_level": 0,
        "downsample": (1.0, 1.0),
        "name": tiles.slide_id,
        "save_path": "",
    }
    if scale.width0 is not None and scale.height0 is not None:
        size = (scale.width0, scale.height0)
        attributes |= {"level_dim": size, "downsampled_level_dim": size}
    return attributes


def _load(path: Path, places: Path | None, model: str | None, mpp: float | None) -> SlideTiles:
    del mpp  # coordinates are pixels already
    if path.suffix == ".pt":
        return read_tensor_with_places((path,), (path.stem, model), places)
    return read_feature_file(path, path.stem, model, places=places)
