"""µm/px, level-0 pixels and levels: cases by hand, and what must hold for all pyramids."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.core.units import Box, Pyramid, TileSpec

SCALES = st.floats(0.05, 20.0)


@st.composite
def pyramids(draw):
    width, height = draw(st.integers(1, 50_000)), draw(st.integers(1, 50_000))
    factors = sorted(draw(st.lists(st.floats(1.01, 70), max_size=6)))
    lower = [(max(1, int(width / f)), max(1, int(height / f))) for f in factors]
    return Pyramid(((width, height), *lower))


@pytest.mark.parametrize(
    ("tile_px", "target", "mpp0", "side0", "effective"),
    [
        (224, 0.5, 0.25, 448, 0.5),
        (224, 0.5, 0.499, 224, 0.499),  # 224.45 px: pixels are taken as they are
        (224, 0.5, 0.2525, 444, 444 * 0.2525 / 224),
        (256, 1.0, 0.2277, 1124, 1124 * 0.2277 / 256),
        (10, 0.1, 0.5, 2, 0.1),
    ],
)
def test_a_tile_has_whole_level_0_pixels(tile_px, target, mpp0, side0, effective):
    spec = TileSpec(tile_px, target, mpp0)
    assert spec.side0 == side0
    assert spec.effective_mpp == pytest.approx(effective, rel=1e-12)
    assert spec.is_upsampling == (side0 < tile_px)


@given(tile_px=st.integers(1, 2000), target=SCALES, mpp0=SCALES, overlap=st.floats(0, 0.99))
def test_the_scale_is_off_by_half_a_level_0_pixel_a_tile_at_most(tile_px, target, mpp0, overlap):
    spec = TileSpec(tile_px, target, mpp0, overlap)
    assert 1 <= spec.stride0 <= spec.side0
    assume(tile_px * target / mpp0 >= 1)
    off_um = abs(spec.effective_mpp - target) * tile_px
    assert off_um <= mpp0 / 2 * (1 + 1e-9)
    assert spec.downsample * mpp0 == pytest.approx(spec.effective_mpp)
    assume(spec.stride0 > 1)
    assert spec.overlap_px / tile_px == pytest.approx(overlap, abs=0.5 / spec.side0 + 1e-9)


@pytest.mark.parametrize(
    ("downsample", "level"),
    [(0.5, 0), (1, 0), (3.99, 0), (4, 1), (15.9, 1), (16.0, 1), (16.02, 2), (17, 2), (500, 2)],
)
def test_the_best_level_has_all_pixels_and_no_more_than_it_must(downsample, level):
    """The last level is 16 in x and 16.026 in y: a tile of 16 would grow from it."""
    pyramid = Pyramid(((6000, 5000), (1500, 1250), (375, 312)))
    assert pyramid.downsamples[2] == pytest.approx((16, 16.0256), abs=1e-4)
    assert pyramid.best_level(downsample) == level


def test_a_level_whose_size_was_rounded_serves_its_nominal_downsample():
    pyramid = Pyramid(((46_001, 32_003), (11_500, 8_000)))  # 4.00009 and 4.0004
    assert pyramid.best_level(4.0) == 1


@given(pyramid=pyramids(), data=st.data())
def test_a_tile_inside_the_slide_is_inside_of_every_level(pyramid, data):
    side0 = data.draw(st.integers(1, min(pyramid.sizes[0])))
    x0 = data.draw(st.integers(0, pyramid.width0 - side0))
    y0 = data.draw(st.integers(0, pyramid.height0 - side0))
    assert pyramid.holds(x0, y0, side0, side0)
    for level, (width, height) in enumerate(pyramid.sizes):
        box = pyramid.box(level, x0, y0, side0, side0)
        left, top, across, down = box.outer
        assert left >= 0
        assert top >= 0
        assert left + across <= width
        assert top + down <= height
        assert left <= box.left + 1e-5
        assert left + across >= box.left + box.width - 1e-5


@given(pyramid=pyramids())
def test_the_whole_slide_is_the_whole_of_every_level(pyramid):
    for level, (width, height) in enumerate(pyramid.sizes):
        box = pyramid.box(level, 0, 0, *pyramid.sizes[0])
        assert box.width == pytest.approx(width)
        assert box.height == pytest.approx(height)


def test_a_box_touches_whole_pixels():
    assert Box(2.0, 3.0, 2.0, 1.0).outer == (2, 3, 2, 1)
    assert Box(2.5, 3.25, 1.0, 0.5).outer == (2, 3, 2, 1)
    assert Box(0.1 + 0.2 + 0.7, 0, 3.0, 1).outer == (1, 0, 3, 1)  # 1 in all but the last bit


def test_rectangles_that_leave_the_slide_are_not_held():
    pyramid = Pyramid(((100, 50),))
    assert pyramid.holds(60, 10, 40, 40)
    assert not pyramid.holds(61, 10, 40, 40)
    assert not pyramid.holds(60, 11, 40, 40)
    assert not pyramid.holds(-1, 0, 4, 4)
    assert not pyramid.holds(0, -1, 4, 4)


@pytest.mark.parametrize(
    "arguments",
    [(0, 0.5, 0.5), (224, float("nan"), 0.5), (224, 0.5, 0.0), (224, 0.5, 0.5, 1.0), (2, 1, 1, -1)],
)
def test_what_makes_no_tile_is_refused(arguments):
    with pytest.raises(InputError):
        TileSpec(*arguments)


@pytest.mark.parametrize("sizes", [(), ((0, 5),), ((10, 10), (20, 5))])
def test_what_makes_no_pyramid_is_refused(sizes):
    with pytest.raises(InputError):
        Pyramid(sizes)
