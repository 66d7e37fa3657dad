"""TRIDENT's folders: coordinates and features of each slide in HDF5.

The schema is that of ``trident/IO.py`` (``save_h5``, ``coords_to_h5``, ``read_coords``) and of
``extract_patch_features`` in https://github.com/mahmoodlab/TRIDENT.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from histograft.core.artefact import Draft
from histograft.core.errors import InputError
from histograft.verbs.feature_formats.contract import Found, Written, choose_model
from histograft.verbs.feature_formats.coordinates import places_beside
from histograft.verbs.feature_formats.feature_file import (
    read_feature_file,
    write_coordinates_file,
    write_feature_file,
)
from histograft.verbs.feature_formats.tensors import read_tensor_with_places
from histograft.verbs.feature_formats.tiles import UNKNOWN, SlideTiles, TileScale
from histograft.verbs.slide_files import magnifications

PREFIX = "features_"
SLIDE_PREFIX = "slide_features_"
PATCHES = "patches"


def recognize(source: Path) -> bool:
    """Whether a folder is TRIDENT's, or one of its folders of features."""
    return bool(_feature_folders(source)) or _holds_slide_features(source)


def find(source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    """List the slides of one model.

    Raises
    ------
    InputError
        Several models or scales are there and none is chosen, or only features of whole slides.
    """
    folders = _feature_folders(source)
    if not folders:
        raise InputError(
            f"{source} holds features of whole slides only ({SLIDE_PREFIX}…)",
            "give a folder with features of tiles (features_…)",
        )
    if source in folders:
        return _slides(source, model, coordinates)
    names = sorted({folder.name.removeprefix(PREFIX) for folder in folders})
    chosen = choose_model(names, model, source)
    alike = [folder for folder in folders if folder.name == PREFIX + chosen]
    if len(alike) > 1:
        several = ", ".join(str(folder.relative_to(source)) for folder in alike)
        raise InputError(
            f"{source} has features of {chosen} at several scales: {several}",
            "give one of these folders as the source",
        )
    return _slides(alike[0], chosen, coordinates)


def write(draft: Draft, tiles: SlideTiles) -> tuple[str, tuple[str, ...]]:
    """Write the coordinates and the features of one slide."""
    folder = folder_name(tiles.scale)
    with draft.writing(f"{folder}/{PATCHES}/{tiles.slide_id}_patches.h5") as path:
        write_coordinates_file(path, tiles)
    name = f"{folder}/{PREFIX}{tiles.model}/{tiles.slide_id}.h5"
    with draft.writing(name) as path:
        write_feature_file(path, tiles)
    return name, ()


def write_lists(draft: Draft, slides: Sequence[Written]) -> tuple[str, ...]:  # noqa: ARG001
    """Write no list: TRIDENT has none."""
    n_unknown = sum(magnifications(slide.scale)[1] is None for slide in slides)
    if not n_unknown:
        return ()
    return (f"TRIDENT cannot read the pixels of {n_unknown} slides: no scale is known of them",)


def folder_name(scale: TileScale) -> str:
    """Name TRIDENT's folder of a scale.

    Examples
    --------
    >>> folder_name(TileScale(tile_px=224, overlap_px=0, target_mpp=0.5))
    '20x_224px_0px_overlap'
    """
    magnification = magnifications(scale)[1]
    label = UNKNOWN if magnification is None else f"{magnification:g}"
    size = UNKNOWN if scale.tile_px is None else scale.tile_px
    return f"{label}x_{size}px_{scale.overlap_px or 0}px_overlap"


def _feature_folders(source: Path) -> list[Path]:
    """Folders of features of tiles: the source itself, or those called features_… in it."""
    if _files(source) and not source.name.startswith(SLIDE_PREFIX):
        return [source]
    return sorted(p for p in source.rglob(f"{PREFIX}*") if p.is_dir() and _files(p))


def _holds_slide_features(source: Path) -> bool:
    folders = [source, *source.rglob(f"{SLIDE_PREFIX}*")]
    return any(f.name.startswith(SLIDE_PREFIX) and f.is_dir() and _files(f) for f in folders)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in (".h5", ".pt") and p.is_file())


def _slides(folder: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    named = folder.name.removeprefix(PREFIX) if folder.name.startswith(PREFIX) else None
    found = []
    for path in _files(folder):
        places = places_beside(coordinates or folder.parent / PATCHES, path.stem)
        files = (path,) if places is None else (path, places)
        load = partial(_load, path, places, model, named)
        found.append(Found(path.stem, files, load, model=named))
    return found


def _load(
    path: Path, places: Path | None, model: str | None, named: str | None, mpp: float | None
) -> SlideTiles:
    del mpp  # coordinates are pixels already
    if path.suffix == ".pt":
        return read_tensor_with_places((path,), (path.stem, model or named), places)
    return read_feature_file(path, path.stem, model, fallback=named, places=places)
