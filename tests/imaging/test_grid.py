"""Grids inside the slide, with shares of tissue counted cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.core.units import Pyramid, TileSpec
from histograft.imaging.grid import grid

SIZES = st.integers(1, 4000)


def slide(width, height):
    return Pyramid(((width, height), (max(1, width // 4), max(1, height // 4))))


def share_by_definition(mask, size, corner, side):
    """Area of tissue under a tile over its area, pixel of the mask by pixel."""
    total = 0.0
    across, down = size[0] / mask.shape[1], size[1] / mask.shape[0]
    for row, column in zip(*np.nonzero(mask), strict=True):
        width = min(corner[0] + side, (column + 1) * across) - max(corner[0], column * across)
        height = min(corner[1] + side, (row + 1) * down) - max(corner[1], row * down)
        total += max(width, 0) * max(height, 0)
    return total / side**2


@given(width=SIZES, height=SIZES, tile=st.integers(16, 300), overlap=st.floats(0, 0.9))
def test_a_grid_fills_the_slide_and_never_leaves_it(width, height, tile, overlap):
    pyramid, spec = slide(width, height), TileSpec(tile, 0.5, 0.31, overlap)
    found = grid(pyramid, spec)
    coords = found.coords
    assert coords.dtype == np.int64
    assert found.n_positions == len(coords)
    fits_x, fits_y = (max(0, (n - spec.side0) // spec.stride0 + 1) for n in (width, height))
    assert len(coords) == (fits_x * fits_y if min(width, height) >= spec.side0 else 0)
    for x, y in coords[[0, -1]] if len(coords) else []:
        assert pyramid.holds(int(x), int(y), spec.side0, spec.side0)
    if len(coords):
        left = np.array([width, height]) - coords.max(axis=0) - spec.side0
        assert (left < spec.stride0).all()  # no further row or column fits
        assert np.array_equal(coords, coords[np.lexsort((coords[:, 0], coords[:, 1]))])
        assert len(np.unique(coords, axis=0)) == len(coords)


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(20, 300), st.integers(20, 300)),
    tile=st.integers(5, 80),
    seed=st.integers(0, 999),
    least=st.floats(0, 1),
)
def test_shares_of_tissue_are_exact(shape, size, tile, seed, least):
    assume(tile <= min(size))
    mask = np.random.default_rng(seed).random(shape) < 0.5
    found = grid(slide(*size), TileSpec(tile, 0.5, 0.5, 0.2), mask, least_tissue=0.0)
    wanted = [share_by_definition(mask, size, corner, tile) for corner in found.coords.tolist()]
    assert found.tissue == pytest.approx(wanted, abs=1e-9)
    assert found.n_positions == len(found.coords)
    kept = grid(slide(*size), TileSpec(tile, 0.5, 0.5, 0.2), mask, least_tissue=least)
    assert np.array_equal(kept.coords, found.coords[found.tissue >= least - 1e-9])
    assert kept.n_positions == found.n_positions


@given(seed=st.integers(0, 99), rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_tiles_without_overlap_share_out_all_the_tissue(seed, rows, columns):
    mask = np.random.default_rng(seed).random((7, 5)) < 0.4
    pyramid, spec = Pyramid(((columns * 40, rows * 40),)), TileSpec(40, 0.5, 0.5)
    found = grid(pyramid, spec, mask, least_tissue=0.0)
    assert found.tissue.mean() == pytest.approx(mask.mean(), abs=1e-9)


def test_a_tile_with_just_the_least_share_is_kept():
    mask = np.zeros((10, 10), bool)
    mask[:, :3] = True
    found = grid(Pyramid(((100, 100),)), TileSpec(100, 0.5, 0.5), mask, least_tissue=0.3)
    assert found.tissue == pytest.approx([0.3])
    higher = grid(Pyramid(((100, 100),)), TileSpec(100, 0.5, 0.5), mask, least_tissue=0.301)
    assert higher.coords.shape == (0, 2)


def test_slides_of_one_tile_and_of_less():
    spec = TileSpec(224, 0.5, 0.25)
    assert grid(Pyramid(((448, 448),)), spec).coords.tolist() == [[0, 0]]
    for size in ((447, 448), (448, 447), (3, 3)):
        assert grid(Pyramid((size,)), spec, np.ones((2, 2), bool)).coords.shape == (0, 2)


def test_no_tissue_makes_no_tiles_unless_they_are_asked_for():
    mask = np.zeros((5, 5), bool)
    pyramid, spec = Pyramid(((500, 500),)), TileSpec(100, 0.5, 0.5)
    assert len(grid(pyramid, spec, mask, least_tissue=0.01).coords) == 0
    assert len(grid(pyramid, spec, mask, least_tissue=0.0).coords) == 25


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_shares_that_are_none_are_refused(least):
    with pytest.raises(InputError, match="share of tissue"):
        grid(Pyramid(((9, 9),)), TileSpec(3, 0.5, 0.5), np.ones((3, 3), bool), least_tissue=least)


def test_masks_that_are_none_are_refused():
    with pytest.raises(InputError, match="shape"):
        grid(Pyramid(((9, 9),)), TileSpec(3, 0.5, 0.5), np.ones((0, 3), bool))
