"""Read tiles of a slide at an exact scale, many from one region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.core.units import SAME_SCALE_TOLERANCE, Box, TileSpec
from histograft.imaging.resample import resample_box
from histograft.imaging.slide import Slide
from histograft.imaging.slide_reader import UnreadableRegionError

Upsample = Literal["error", "allow"]

# Regions of 1024 x 1024 px of a level, 4 MB decoded: larger ones leave the processor's caches and
# are up to 40 % slower.
REGION_PX = 1024
# Tiles that leave in one block, so that its memory is bounded when tiles overlap or grow.
BLOCK_TILES_A_SIDE = 16


class TileStatus(IntEnum):
    """What became of a tile when it was read."""

    READ = 0
    UNREADABLE = 1  # the file is damaged there; the pixels are zeros
    UNSCANNED = 2  # the scanner left out all of it; the pixels are white


@dataclass(frozen=True)
class TileBlock:
    """Tiles that were read together.

    Attributes
    ----------
    index : array of int64, shape (n,)
        Their rows in the coordinates that were asked for, ascending.
    tiles : array of uint8, shape (n, tile_px, tile_px, 3)
        RGB.
    status : array of uint8, shape (n,)
        `TileStatus` of each.
    """

    index: NDArray[np.int64]
    tiles: NDArray[np.uint8]
    status: NDArray[np.uint8]


@dataclass(frozen=True)
class _Place:
    """A tile in a level: its exact box, and the whole pixels that it is made of."""

    box: Box
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class _Region:
    """Pixels of a level, and where they begin in it."""

    rgb: NDArray[np.uint8]
    scanned: NDArray[np.bool_] | None
    left: int
    top: int


def read_tiles(
    slide: Slide, coords: NDArray[np.int64], spec: TileSpec, *, upsample: Upsample = "error"
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read tiles into one array; `iter_tile_blocks` does the same in bounded memory.

    Parameters
    ----------
    slide : Slide
        The slide.
    coords : array of int64, shape (N, 2)
        x and y of the upper left corners in level-0 pixels.
    spec : TileSpec
        Size and scale, made by ``slide.tile_spec``.
    upsample : {"error", "allow"}
        What to do where the slide has fewer pixels than the tiles.

    Returns
    -------
    tiles : array of uint8, shape (N, tile_px, tile_px, 3)
        RGB, in the order of `coords`.
    status : array of uint8, shape (N,)
        `TileStatus` of each.

    Raises
    ------
    InputError
        As `iter_tile_blocks`.
    """
    tiles = np.zeros((len(coords), spec.tile_px, spec.tile_px, 3), np.uint8)
    status = np.zeros(len(coords), np.uint8)
    for block in iter_tile_blocks(slide, coords, spec, upsample=upsample):
        tiles[block.index], status[block.index] = block.tiles, block.status
    return tiles, status


def iter_tile_blocks(
    slide: Slide, coords: NDArray[np.int64], spec: TileSpec, *, upsample: Upsample = "error"
) -> Iterator[TileBlock]:
    """Read tiles in blocks of neighbors, each block from one region of the best level.

    A tile is the mean over its exact box of the level with the largest downsample that still has
    all its pixels; where the box begins or ends inside of a pixel of that level, the pixel counts
    by its share. Its bytes do not depend on the tiles that it was read with.

    Parameters
    ----------
    slide, coords, spec, upsample
        As in `read_tiles`. The order of blocks is that of `block_order`.

    Yields
    ------
    TileBlock
        Each tile once. A region of `REGION_PX` a side and its tiles are in memory at a time,
        however large the slide.

    Raises
    ------
    InputError
        A tile leaves the slide, the spec is that of another scale, or the slide has fewer pixels
        than the tiles and `upsample` is ``"error"``.

    Notes
    -----
    Damage makes a status, no exception. Where a region cannot be read its tiles are read one by
    one, so that only those on the damage are lost.
    """
    _check(slide, coords, spec, upsample)
    level = slide.pyramid.best_level(spec.downsample)
    for index in _blocks(slide, coords, spec):
        wanted = [_place(slide, level, x, y, spec) for x, y in coords[index].tolist()]
        tiles = np.zeros((len(index), spec.tile_px, spec.tile_px, 3), np.uint8)
        status = np.full(len(index), TileStatus.UNREADABLE, np.uint8)
        region = _read_around(slide, level, wanted) if _is_dense(wanted) else None
        for i, place in enumerate(wanted):
            own = region or _read_around(slide, level, [place])
            if own is not None:
                tiles[i], status[i] = _cut(own, place, spec.tile_px)
        yield TileBlock(index, tiles, status)


def block_order(slide: Slide, coords: NDArray[np.int64], spec: TileSpec) -> NDArray[np.int64]:
    """Rows of `coords` in the order in which `iter_tile_blocks` gives them.

    Tiles whose coordinates are put into this order first come out one after another, so that a
    file of features can be appended to.

    Returns
    -------
    array of int64, shape (N,)
        A permutation that depends on slide, coordinates and spec only.
    """
    blocks = _blocks(slide, coords, spec)
    return np.concatenate(blocks) if blocks else np.empty(0, np.int64)


def _blocks(slide: Slide, coords: NDArray[np.int64], spec: TileSpec) -> list[NDArray[np.int64]]:
    """Rows of the tiles of each block, block by block in rows."""
    level = slide.pyramid.best_level(spec.downsample)
    side = spec.side0 / min(slide.pyramid.downsamples[level])  # of a tile, in the level
    tiles_a_side = max(1, int(REGION_PX // max(side, 1)))
    cell0 = min(tiles_a_side * spec.side0, BLOCK_TILES_A_SIDE * spec.stride0)
    cells = coords // max(cell0, 1)
    order = np.lexsort((np.arange(len(coords)), cells[:, 0], cells[:, 1]))
    changes = np.flatnonzero(np.any(np.diff(cells[order], axis=0), axis=1)) + 1
    return [part.astype(np.int64) for part in np.split(order, changes) if len(part)]


def _place(slide: Slide, level: int, x0: int, y0: int, spec: TileSpec) -> _Place:
    box = slide.pyramid.box(level, x0, y0, spec.side0, spec.side0)
    left, top, width, height = box.outer
    level_width, level_height = slide.pyramid.sizes[level]
    grows = min(box.width, box.height) < spec.tile_px * (1 - SAME_SCALE_TOLERANCE)
    margin = 1 if grows else 0  # to interpolate across the border of the tile
    return _Place(
        box,
        max(left - margin, 0),
        max(top - margin, 0),
        min(left + width + margin, level_width),
        min(top + height + margin, level_height),
    )


def _around(places: list[_Place]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what holds all places."""
    left, top = min(p.left for p in places), min(p.top for p in places)
    right, bottom = max(p.right for p in places), max(p.bottom for p in places)
    return left, top, right - left, bottom - top


def _is_dense(places: list[_Place]) -> bool:
    """Whether one region around all the places has few pixels that none of them wants."""
    _, _, width, height = _around(places)
    return width * height <= 2 * sum(p.box.width * p.box.height for p in places)


def _read_around(slide: Slide, level: int, places: list[_Place]) -> _Region | None:
    """Read the region that holds the places; None where it is damaged."""
    left, top, width, height = _around(places)
    try:
        rgb, scanned = slide.read(level, left, top, width, height)
    except UnreadableRegionError:
        return None
    return _Region(rgb, scanned, left, top)


def _cut(region: _Region, place: _Place, tile_px: int) -> tuple[NDArray[np.uint8], TileStatus]:
    """One tile out of a region that holds it."""
    rows = slice(place.top - region.top, place.bottom - region.top)
    columns = slice(place.left - region.left, place.right - region.left)
    if region.scanned is not None and not region.scanned[rows, columns].any():
        return np.full((tile_px, tile_px, 3), 255, np.uint8), TileStatus.UNSCANNED
    # Cut first: what is computed from the same pixels and numbers is the same to the last bit.
    pixels = np.ascontiguousarray(region.rgb[rows, columns])
    box = place.box.moved(-place.left, -place.top)
    return resample_box(pixels, box, (tile_px, tile_px)), TileStatus.READ


def _check(slide: Slide, coords: NDArray[np.int64], spec: TileSpec, upsample: Upsample) -> None:
    name = slide.path.name
    if coords.ndim != 2 or coords.shape[1] != 2 or coords.dtype.kind not in "iu":
        raise InputError(
            f"coordinates of tiles of {name} have the shape {coords.shape} and type {coords.dtype}",
            "give whole numbers, one row of x and y in level-0 pixels for each tile",
        )
    if spec.mpp0 != slide.mpp0:
        raise InputError(
            f"the tiles are made for {spec.mpp0:g} µm/px and {name} has {slide.mpp0:g}",
            "make them with slide.tile_spec",
        )
    if spec.is_upsampling and upsample != "allow":
        raise InputError(
            f"{name} has {slide.mpp0:g} µm/px, so tiles at {spec.target_mpp:g} would be invented",
            "choose a target of at least its own µm/px, or allow upsampling",
        )
    inside = (coords >= 0) & (coords + spec.side0 <= [slide.width, slide.height])
    if not inside.all():
        x, y = coords[~inside.all(axis=1)][0]
        raise InputError(
            f"the tile of {spec.side0} px at ({x}, {y}) leaves {name}, "
            f"which has {slide.width} x {slide.height} px",
            "take coordinates from the grid of this slide",
        )
