"""Outlines of masks against hand-drawn ones, matplotlib and the masks themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.path import Path
from scipy import ndimage

from histograft.imaging.contours import Polygon, mask_to_polygons, polygons_to_mask

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


@settings(max_examples=300)
@given(mask=MASKS)
def test_outlines_lose_no_pixel(mask):
    polygons = mask_to_polygons(mask)
    assert np.array_equal(polygons_to_mask(polygons, mask.shape), mask)
    assert sum(polygon.area for polygon in polygons) == mask.sum()
    assert len(polygons) == ndimage.label(mask)[1]
    for polygon in polygons:
        for ring in polygon.rings:  # corners only: each turns by a right angle
            steps = np.roll(ring, -1, axis=0) - ring
            assert (np.count_nonzero(steps, axis=1) == 1).all()
            assert ((np.roll(steps, 1, axis=0) * steps).sum(axis=1) == 0).all()


@settings(max_examples=300)
@given(mask=MASKS)
def test_holes_are_what_a_piece_cuts_off_from_the_border(mask):
    labels, _ = ndimage.label(mask)
    for piece, polygon in enumerate(mask_to_polygons(mask), start=1):
        others, number = ndimage.label(np.pad(labels != piece, 1, constant_values=True))
        wanted = sorted(np.bincount(others.ravel())[2:].tolist())  # 1 is the outside
        assert sorted(Polygon(hole).area for hole in polygon.holes) == wanted
        assert len(wanted) == number - 1
        for ring in polygon.rings:
            assert len(np.unique(ring, axis=0)) == len(ring)


def test_two_pieces_that_touch_at_a_corner_are_two():
    polygons = mask_to_polygons(np.eye(2, dtype=bool))
    assert [p.exterior.astype(int).tolist() for p in polygons] == [
        [[0, 0], [1, 0], [1, 1], [0, 1]],
        [[1, 1], [2, 1], [2, 2], [1, 2]],
    ]


def test_an_island_in_a_hole_is_a_piece_of_its_own():
    mask = np.ones((7, 7), bool)
    mask[1:6, 1:6] = False
    mask[3, 3] = True
    outer, island = mask_to_polygons(mask)
    assert (outer.area, len(outer.holes), island.area) == (24, 1, 1)
    assert np.array_equal(polygons_to_mask([outer, island], (7, 7)), mask)


def test_nothing_has_no_outline():
    assert mask_to_polygons(np.zeros((4, 5), bool)) == []
    assert not polygons_to_mask([], (4, 5)).any()


@pytest.mark.parametrize("seed", range(8))
def test_drawing_agrees_with_matplotlib(seed):
    """Centers in a star with a hole, by another implementation of even-odd filling."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 15))
    radii = rng.uniform(20, 45, 15)[:, None]
    star = 50 + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    hole = 50 + 8 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    mask = polygons_to_mask([Polygon(star, (hole,))], (90, 100))
    centers = np.stack(np.meshgrid(np.arange(100) + 0.5, np.arange(90) + 0.5), axis=-1)
    points = centers.reshape(-1, 2)
    wanted = Path(star).contains_points(points) & ~Path(hole).contains_points(points)
    assert np.array_equal(mask.ravel(), wanted)


def test_polygons_may_overlap_and_leave_the_mask():
    square = Polygon(np.array([[-5, -5], [3, -5], [3, 2], [-5, 2]], float))
    both = polygons_to_mask([square, square.moved(1, 1), square.moved(90, 90)], (4, 6))
    wanted = np.zeros((4, 6), bool)
    wanted[:2, :3] = wanted[:3, :4] = True
    assert np.array_equal(both, wanted)


def test_level_0_polygons_are_drawn_into_masks_of_other_scales():
    """A mask of 6 x 5 of a slide of 60 x 40 px: 10 px a column, 8 a row."""
    rectangle = Polygon(np.array([[10, 16], [40, 16], [40, 32], [10, 32]], float))
    mask = polygons_to_mask([rectangle], (5, 6), scale=(10, 8))
    wanted = np.zeros((5, 6), bool)
    wanted[2:4, 1:4] = True
    assert np.array_equal(mask, wanted)
    (again,) = mask_to_polygons(mask)
    assert np.array_equal(again.scaled(10, 8).exterior, rectangle.exterior)


def test_areas_are_those_of_school():
    triangle = np.array([[0, 0], [6, 0], [0, 4]], float)
    assert Polygon(triangle).area == 12
    assert Polygon(triangle[::-1]).area == 12
    assert Polygon(triangle * 3, (triangle,)).area == 9 * 12 - 12
    assert Polygon(triangle).scaled(2, 5).area == 120
