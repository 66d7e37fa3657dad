"""Where tiles lie, in a file of its own: TRIDENT's ``SLIDE_patches.h5`` or CLAM's ``SLIDE.h5``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.verbs.feature_formats.hdf5 import (
    ENCODER,
    dataset,
    number,
    plain_attributes,
    read_extras,
    read_scale,
    reading,
    whole_number,
)
from histograft.verbs.feature_formats.tiles import Extras, TileScale

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Places:
    """Coordinates (N, 2) in level-0 pixels, the size of the tiles, and what our files add."""

    coords: NDArray[Any]
    scale: TileScale
    extras: Extras
    model: str | None


def places_beside(folder: Path | None, slide_id: str) -> Path | None:
    """Path of the coordinates of a slide in a folder of such files, None where there is none."""
    if folder is None:
        return None
    names = (f"{slide_id}_patches.h5", f"{slide_id}.h5")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_places(path: Path) -> Places:
    """Read a coordinates file of TRIDENT or CLAM.

    Raises
    ------
    InputError
        The file is damaged, or has no coordinates.
    """
    with reading(path) as file:
        coords = dataset(file, "coords", path)
        attributes = plain_attributes(file["coords"])
        extras = read_extras(file, file["coords"])
        ours = read_scale(file["coords"], path)
    if ours is not None:
        return Places(coords, ours, extras, attributes.get(ENCODER))
    is_clam = "patch_level" in attributes
    scale = clam_scale(attributes, path) if is_clam else trident_scale(attributes, path)
    return Places(coords, scale, extras, None)


def trident_scale(attributes: dict[str, Any], path: Path) -> TileScale:
    """Read the size of the tiles from TRIDENT's attributes.

    µm/px does not follow from its magnifications, which are classes: 0.23 and 0.27 are both 40.
    """
    return TileScale(
        tile_px=whole_number(attributes, "patch_size", path),
        side0=whole_number(attributes, "patch_size_level0", path),
        overlap_px=whole_number(attributes, "overlap", path),
        width0=whole_number(attributes, "level0_width", path),
        height0=whole_number(attributes, "level0_height", path),
        level0_magnification=number(attributes, "level0_magnification", path),
        target_magnification=number(attributes, "target_magnification", path),
    )


def clam_scale(attributes: dict[str, Any], path: Path) -> TileScale:
    """Read the size of the tiles from CLAM's attributes.

    ``patch_size`` counts pixels of the level ``patch_level``, after ``custom_downsample`` in older
    files; ``downsample`` is that level's, for x and y.
    """
    tile_px = whole_number(attributes, "patch_size", path)
    level = whole_number(attributes, "patch_level", path)
    extra = number(attributes, "custom_downsample", path) or 1
    downsample = _first(attributes.get("downsample"), path, "downsample")
    if downsample is None and level == 0:
        downsample = 1
    side0 = None
    if tile_px is not None and downsample is not None:
        side0 = round(tile_px * extra * downsample)
    size = attributes.get("level_dim") if level == 0 else None
    width, height = size if isinstance(size, list) and len(size) == 2 else (None, None)
    return TileScale(tile_px=tile_px, side0=side0, width0=width, height0=height)


def _first(value: Any, path: Path, name: str) -> float | None:
    if value is None:
        return None
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, (int, float)) or first <= 0:
        raise InputError(f"{path}: the attribute {name} is {value!r}", "mend the file")
    return first
