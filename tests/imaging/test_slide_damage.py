"""Damage inside of slides costs what it covers, and is never white."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile

from histograft.imaging.phantom_slide import cell_at, checkerboard, phantom_slide
from histograft.imaging.slide import open_slide
from histograft.imaging.slide_overview import read_overview
from histograft.imaging.slide_reader import UnreadableRegionError
from histograft.imaging.slide_tiles import TileStatus, iter_tile_blocks, read_tiles

BOARD = checkerboard(30, 24, 50)  # 1500 x 1200 px, tiles of 256 px in the file: 6 x 5


def write(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def damaged(data, page, tiles=None):
    """Overwrite compressed tiles of a page of a TIFF file with zeros."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        begins, lengths = file.pages[page].dataoffsets, file.pages[page].databytecounts
    changed = bytearray(data)
    for tile in tiles or range(len(begins)):
        changed[begins[tile] : begins[tile] + lengths[tile]] = bytes(lengths[tile])
    return bytes(changed)


def test_an_openslide_that_met_damage_goes_on_reading(tmp_path):
    data = damaged(phantom_slide(BOARD, 0.5), page=0, tiles=[0])
    with open_slide(write(tmp_path, "damaged.tif", data)) as slide:
        for _ in range(2):
            with pytest.raises(UnreadableRegionError):
                slide.read(0, 0, 0, 100, 100)
            assert np.array_equal(slide.read(0, 256, 0, 80, 90)[0], BOARD[:90, 256:336])


def test_an_overview_goes_to_a_finer_level_where_one_is_damaged(tmp_path):
    data = damaged(phantom_slide(BOARD, 0.5), page=1)
    with open_slide(write(tmp_path, "a.tif", data)) as slide:
        overview = read_overview(slide, 4.0)
    assert not overview.unreadable.any()
    assert cell_at(overview.pixels[75, 93]) == (14, 12)  # at 750 of 1500 px, 605 of 1200
    with open_slide(write(tmp_path, "b.tif", damaged(data, page=0))) as slide:
        assert read_overview(slide, 4.0).unreadable.all()


def test_only_tiles_on_the_damage_are_lost(tmp_path):
    """The 8th tile of the file covers 256-512 px in x and y."""
    data = damaged(phantom_slide(BOARD, 0.5), page=0, tiles=[7])
    with open_slide(write(tmp_path, "a.tif", data)) as slide:
        spec = slide.tile_spec(100, 0.5)
        coords = np.array([(x, y) for y in range(0, 1101, 100) for x in range(0, 1401, 100)])
        tiles, status = read_tiles(slide, coords, spec)
        touched = ((coords < 512) & (coords + 100 > 256)).all(axis=1)
        assert status[touched].tolist() == [TileStatus.UNREADABLE] * 16  # those at 200-500 px
        assert status[~touched].tolist() == [TileStatus.READ] * (len(coords) - 16)
        assert (tiles[touched] == 0).all()
        for (x, y), tile in zip(coords[~touched], tiles[~touched], strict=True):
            assert np.array_equal(tile, BOARD[y : y + 100, x : x + 100])
        assert sum(len(block.index) for block in iter_tile_blocks(slide, coords, spec)) == 180
