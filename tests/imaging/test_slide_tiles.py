"""Tiles lie where they should, at every level and scale: a checkerboard that names its cells."""

from __future__ import annotations

import json

import numpy as np
import openslide
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histograft.core.errors import InputError
from histograft.core.units import Box, Pyramid, TileSpec
from histograft.imaging.phantom_slide import checkerboard, phantom_slide
from histograft.imaging.resample import resample_box
from histograft.imaging.slide import Slide, open_slide
from histograft.imaging.slide_tiles import TileStatus, block_order, iter_tile_blocks, read_tiles

CELL, COLUMNS, ROWS = 37, 50, 42
BOARD = checkerboard(COLUMNS, ROWS, CELL)  # 1850 x 1554 px
MPP = 0.25


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Levels of 1, 2, 4.03 (x) and 4.01 (y), 15.9 and 16.02: all but the second are no ratios."""
    path = tmp_path_factory.mktemp("slides") / "board.tif"
    path.write_bytes(phantom_slide(BOARD, MPP, downsamples=(1, 2, 4.02, 15.9)))
    with open_slide(path) as slide:
        yield slide


def noise_slide(folder, downsamples=(1,)):
    pixels = np.random.default_rng(0).integers(0, 256, (500, 640, 3)).astype(np.uint8)
    path = folder / "noise.tif"
    path.write_bytes(phantom_slide(pixels, MPP, downsamples=downsamples))
    return pixels, open_slide(path)


def shares(n_new, n_native, begin, step):
    """Length of each native cell inside each new cell, from the definition."""
    edges = begin + step * np.arange(n_new + 1)
    cells = np.arange(n_native)
    inside = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.clip(inside, 0, None) / step


def mean_over(pixels, x, y, side, tile_px):
    """Mean of level 0 over the box of every pixel of a tile, in double precision."""
    rows = shares(tile_px, pixels.shape[0], y, side / tile_px)
    columns = shares(tile_px, pixels.shape[1], x, side / tile_px)
    return np.einsum("ij,jkc,lk->ilc", rows, pixels.astype(float), columns, optimize=True)


# Boxes


@settings(max_examples=60)
@given(
    left=st.floats(0, 7),
    top=st.floats(0, 7),
    across=st.floats(1, 3.2),
    down=st.floats(1, 3.2),
    seed=st.integers(0, 99),
)
def test_a_box_is_resampled_by_the_area_under_each_pixel(left, top, across, down, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 44, 3)).astype(np.uint8)
    result = resample_box(pixels, Box(left, top, 11 * across, 10 * down), (10, 11))
    rows = shares(10, 40, top, down)
    columns = shares(11, 44, left, across)
    wanted = np.einsum("ij,jkc,lk->ilc", rows, pixels.astype(float), columns)
    assert np.abs(result - wanted).max() <= 0.5 + 2e-3


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8, 16])
def test_whole_factors_at_whole_places_are_plain_means(factor):
    pixels = np.random.default_rng(1).integers(0, 256, (9 * factor, 8 * factor, 3)).astype(np.uint8)
    box = Box(factor, 2 * factor, 5 * factor, 6 * factor)
    cut = pixels[2 * factor : 8 * factor, factor : 6 * factor].astype(float)
    wanted = cut.reshape(6, factor, 5, factor, 3).mean(axis=(1, 3))
    assert np.array_equal(resample_box(pixels, box, (6, 5)), np.floor(wanted + 0.5))


def test_growing_is_bilinear_between_pixel_centers():
    ramp = np.broadcast_to((10 * np.arange(20)).astype(np.uint8)[None, :, None], (5, 20, 3))
    result = resample_box(np.ascontiguousarray(ramp), Box(4.0, 1.0, 6.0, 3.0), (6, 24))
    centers = 4 + (np.arange(24) + 0.5) / 4 - 0.5
    assert np.abs(result[3, :, 0] - 10 * centers).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("box", [Box(-0.1, 0, 4, 4), Box(0, 0, 4.1, 4), Box(1, 0, 4, 4)])
def test_boxes_that_leave_the_image_are_refused(box):
    with pytest.raises(InputError, match="leaves an image"):
        resample_box(np.zeros((4, 4, 3), np.uint8), box, (2, 2))


# Places


@pytest.mark.parametrize("downsample", [1, 1.5, 2, 3.1, 4.1, 7.3, 16.5])
def test_tiles_show_the_cells_under_them_at_every_level(board, downsample):
    """The level behind is a mean itself, so edges of cells are a little softer than the truth."""
    spec = board.tile_spec(32, MPP * downsample)
    level = board.pyramid.best_level(spec.downsample)
    rng = np.random.default_rng(0)
    places = rng.integers(0, [board.width - spec.side0 + 1, board.height - spec.side0 + 1], (12, 2))
    last = [board.width - spec.side0, board.height - spec.side0]
    coords = np.vstack([places, [[0, 0], last]])
    tiles, status = read_tiles(board, coords, spec)
    assert (status == TileStatus.READ).all()
    for (x, y), tile in zip(coords, tiles, strict=True):
        wanted = mean_over(BOARD, x, y, spec.side0, 32)
        if level == 0:
            assert np.abs(tile - wanted).max() <= 0.5 + 2e-3
        off = np.abs(tile[..., :2] - wanted[..., :2])
        assert np.median(off) <= 0.5 + 1e-6
        assert off.mean() <= 1.0  # a shift by one pixel of the level makes more, see below


def test_the_checkerboard_would_see_a_shift_by_one_pixel(board):
    spec = board.tile_spec(32, MPP * 4.1)
    tile = read_tiles(board, np.array([[700, 600]]), spec)[0][0]
    right = mean_over(BOARD, 700, 600, spec.side0, 32)[..., :2]
    shifted = mean_over(BOARD, 704, 600, spec.side0, 32)[..., :2]
    assert np.abs(tile[..., :2] - shifted).mean() > 3 * np.abs(tile[..., :2] - right).mean()


@pytest.mark.parametrize("level", [0, 1])
def test_tiles_at_the_scale_of_a_level_are_openslides_pixels(board, level):
    factor = (1, 2)[level]
    spec = board.tile_spec(100, MPP * factor)
    coords = np.array([[0, 0], [312, 446], [board.width - spec.side0, 0]])
    with openslide.OpenSlide(board.path) as witness:
        for (x, y), tile in zip(coords.tolist(), read_tiles(board, coords, spec)[0], strict=True):
            wanted = witness.read_region((x, y), level, (100, 100)).convert("RGB")
            assert np.array_equal(tile, np.asarray(wanted))


def test_scale_and_level_are_those_of_noise_too(tmp_path):
    pixels, slide = noise_slide(tmp_path)
    with slide:
        spec = slide.tile_spec(50, 0.4)  # 80 px a side, 1.6 px a pixel
        coords = np.array([[3, 5], [81, 77], [560, 420]])
        for (x, y), tile in zip(coords, read_tiles(slide, coords, spec)[0], strict=True):
            assert np.abs(tile - mean_over(pixels, x, y, 80, 50)).max() <= 0.5 + 2e-3


# Regions and blocks


@pytest.mark.parametrize("downsample", [0.7, 1, 1.3, 2, 4.1, 4.02 * 2.2, 16.5])
@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_tiles_of_one_region_are_the_bytes_of_tiles_read_alone(board, downsample, overlap):
    spec = board.tile_spec(24, MPP * downsample, overlap=overlap)
    x = np.arange(0, board.width - spec.side0 + 1, spec.stride0)[:9]
    y = np.arange(11, board.height - spec.side0 + 1, spec.stride0)[:7]
    coords = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    together, _ = read_tiles(board, coords, spec, upsample="allow")
    alone = [
        read_tiles(board, coords[i : i + 1], spec, upsample="allow")[0] for i in range(len(coords))
    ]
    assert np.concatenate(alone).tobytes() == together.tobytes()


def test_blocks_give_each_tile_once_in_the_order_that_is_told(board):
    spec = board.tile_spec(16, MPP)
    rng = np.random.default_rng(0)
    coords = rng.integers(0, [board.width - 15, board.height - 15], (700, 2))
    blocks = list(iter_tile_blocks(board, coords, spec))
    order = np.concatenate([block.index for block in blocks])
    assert np.array_equal(order, block_order(board, coords, spec))
    assert np.array_equal(np.sort(order), np.arange(700))
    assert all((np.diff(block.index) > 0).all() for block in blocks)
    tiles, _ = read_tiles(board, coords, spec)
    for block in blocks:
        assert np.array_equal(block.tiles, tiles[block.index])
    for (x, y), tile in zip(coords, tiles, strict=True):
        assert np.array_equal(tile, BOARD[y : y + 16, x : x + 16])
    # Coordinates in that order come out in their own order, so that files can be appended to.
    again = [block.index for block in iter_tile_blocks(board, coords[order], spec)]
    assert np.array_equal(np.concatenate(again), np.arange(700))


class Endless:
    """A reader of a slide of 200,000 px that remembers the largest region it was asked for."""

    name, vendor, scale, objective = "fake", "fake", None, None
    pyramid = Pyramid(((200_000, 200_000), (50_000, 50_000)))

    def __init__(self):
        self.largest = self.regions = 0

    def read(self, level, left, top, width, height):
        self.largest, self.regions = max(self.largest, width * height), self.regions + 1
        return np.zeros((height, width, 3), np.uint8)

    def close(self):
        pass


@pytest.mark.parametrize(("target", "overlap"), [(0.5, 0.0), (0.5, 0.8), (1.3, 0.0), (0.25, 0.0)])
def test_memory_does_not_grow_with_the_slide(tmp_path, target, overlap):
    reader = Endless()
    slide = Slide(tmp_path / "a.svs", reader, (0.25, 0.25), "table")
    spec = slide.tile_spec(224, target, overlap=overlap)
    steps = spec.stride0 * np.arange(60)
    coords = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)[:1200]
    largest_block = max(block.tiles.nbytes for block in iter_tile_blocks(slide, coords, spec))
    assert reader.largest <= (1024 + 448) ** 2  # overlapping tiles reach out of their block
    assert largest_block <= 256 * 224 * 224 * 3
    assert reader.regions < 1200 / 3


def test_tiles_far_apart_do_not_read_what_lies_between(tmp_path):
    reader = Endless()
    slide = Slide(tmp_path / "a.svs", reader, (0.25, 0.25), "table")
    spec = slide.tile_spec(100, 0.25)
    read_tiles(slide, np.array([[0, 0], [1900, 1900]]), spec)
    assert (reader.regions, reader.largest) == (2, 100 * 100)


class HalfGlass(Endless):
    """The right half was not scanned."""

    pyramid = Pyramid(((100, 100),))

    def read(self, level, left, top, width, height):
        rgba = np.full((100, 100, 4), 60, np.uint8)
        rgba[..., 3] = np.where(np.arange(100) < 50, 255, 0)
        return rgba[top : top + height, left : left + width]


def test_tiles_that_were_not_scanned_are_told_from_white_ones(tmp_path):
    slide = Slide(tmp_path / "a.mrxs", HalfGlass(), (0.5, 0.5), "table")
    coords = np.array([[0, 0], [40, 0], [50, 0]])
    tiles, status = read_tiles(slide, coords, slide.tile_spec(20, 0.5))
    assert status.tolist() == [TileStatus.READ, TileStatus.READ, TileStatus.UNSCANNED]
    assert np.unique(tiles[1, :, 10:]).tolist() == [255]
    assert np.unique(tiles[1, :, :10]).tolist() == [60]


# Refusals


def test_tiles_are_not_invented_in_silence(board):
    spec = board.tile_spec(64, 0.2)
    coords = np.array([[100, 200]])
    with pytest.raises(InputError, match=r"board\.tif has 0\.25 µm/px, so tiles at 0\.2 would"):
        read_tiles(board, coords, spec)
    tile = read_tiles(board, coords, spec, upsample="allow")[0][0]
    assert spec.side0 == 51
    x, y = 100 + 51 * 10 / 64, 200 + 51 * 50 / 64
    assert tile[50, 10].tolist() == BOARD[int(y), int(x)].tolist()  # inside of a cell


def test_a_scale_within_the_rounding_of_a_tile_is_not_upsampling(tmp_path):
    """224 px at 0.5 are 224.4 px at 0.499: pixels are taken as they are."""
    assert not TileSpec(224, 0.5, 0.5005).is_upsampling
    assert TileSpec(2240, 0.5, 0.5005).is_upsampling


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (1850 - 63, 0), (0, 1554 - 63)])
def test_tiles_that_leave_the_slide_are_refused(board, corner):
    spec = board.tile_spec(64, MPP)
    with pytest.raises(InputError, match=r"leaves board\.tif"):
        read_tiles(board, np.array([[5, 5], corner]), spec)


def test_what_is_no_list_of_places_is_refused(board):
    spec = board.tile_spec(64, MPP)
    with pytest.raises(InputError, match="whole numbers"):
        read_tiles(board, np.array([[0.5, 1.0]]), spec)
    with pytest.raises(InputError, match=r"slide\.tile_spec"):
        read_tiles(board, np.array([[0, 0]]), TileSpec(64, 0.5, 0.5))
    tiles, status = read_tiles(board, np.empty((0, 2), np.int64), spec)
    assert tiles.shape == (0, 64, 64, 3)
    assert status.shape == (0,)


# Real pixels at known places


@pytest.mark.real
@pytest.mark.parametrize(
    ("slide_name", "noise"), [("mosaic-crc.tif", 3.5), ("mosaic-osteosarcoma.svs", 2.4)]
)
@pytest.mark.parametrize("downsample", [1, 4, 8])
def test_pasted_tiles_are_found_at_their_place(shared_data, slide_name, noise, downsample):
    """The pasted pixels fit best there and nowhere a level-0 pixel beside.

    JPEG noise of level 0 is 3.5 and 2.4 grey levels (card). Tiles are read where pixels of the
    level begin, else a mean over 4 px is one over up to 8.
    """
    folder = shared_data / "data"
    listed = json.loads((folder / "slides" / slide_name).with_suffix(".json").read_text())
    shifts = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    off = []
    with open_slide(folder / "slides" / slide_name) as slide:
        for placed in listed["placements"][::12] + listed["placements"][-2:]:
            pasted = np.asarray(Image.open(folder / placed["file"]).convert("RGB"))
            x0, y0 = (-(-(placed[axis] + 1) // downsample) * downsample for axis in "xy")
            x, y = x0 - placed["x"], y0 - placed["y"]  # 1 to 8
            side = (min(placed["w"], placed["h"]) - max(x, y) - 1) // 16 * 16
            spec = slide.tile_spec(side // downsample, slide.mpp0 * downsample)
            assert spec.side0 == side
            tile = read_tiles(slide, np.array([[x0, y0]]), spec)[0][0].astype(float)
            moved = [mean_over(pasted, x + dx, y + dy, side, spec.tile_px) for dx, dy in shifts]
            off.append([np.abs(tile - wanted).mean() for wanted in moved])
    here, *beside = np.mean(off, axis=0)
    assert here < 0.95 * min(beside)
    assert beside[0] == pytest.approx(beside[1], rel=0.1)
    assert beside[2] == pytest.approx(beside[3], rel=0.1)
    if downsample == 1:
        assert here <= noise * 1.3
