"""Levels of a ladder: Lanczos by its formula, sizes, pairs, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.imaging.scale_pair import (
    at_level,
    central_window,
    check_pair,
    level_factors,
    level_size,
)


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def lanczos(values, n_new):
    """Lanczos-3 along the first axis by its formula: sinc(x) sinc(x / 3), stretched, sums 1."""
    n = len(values)
    step = n / n_new
    centers = (np.arange(n_new) + 0.5) * step
    x = (np.arange(n) + 0.5 - centers[:, None]) / step
    weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
    return np.tensordot(weights / weights.sum(1, keepdims=True), values.astype(float), 1)


@pytest.mark.parametrize("factor", [2, 3.7, 8])
def test_a_level_is_lanczos_of_the_native_image(factor):
    smooth = np.clip(lanczos(noise(30, 40), 120) * 0.6 + 50, 0, 255).astype(np.uint8)
    width, height = level_size(40, 120, factor)
    by_formula = lanczos(lanczos(smooth, height).swapaxes(0, 1), width).swapaxes(0, 1)
    found = at_level(smooth, factor)
    assert found.shape == (height, width, 3)
    # Pillow rounds to whole grey levels after each direction; weights of both signs add up to 1.3
    assert np.abs(found - np.clip(by_formula, 0, 255)).max() <= 0.5 + 0.5 * 1.4


def test_a_level_of_a_level_is_another_image():
    image = noise(64, 64)
    assert not np.array_equal(at_level(image, 4), at_level(at_level(image, 2), 2))
    assert at_level(image, 1) is image


def test_factors_by_hand():
    assert level_factors([0.25, 1, 16], 0.25) == [1, 4, 64]
    assert level_factors([1, 2.5], 0.5, kind="relative") == [1, 2.5]


@pytest.mark.parametrize(
    ("levels", "native", "kind", "message"),
    [
        ([2, 0.4], 0.5, "mpp", "finer than the image's 0.5"),
        ([0.5], None, "relative", "finer than factor 1"),
        ([float("nan")], None, "relative", "factor 1"),
        ([2], None, "mpp", "is unknown"),
        ([20_000], 0.5, "mpp", "cannot be a scale"),
        ([2], 0.5, "zoom", "unknown kind"),
    ],
)
def test_ladders_that_cannot_be(levels, native, kind, message):
    with pytest.raises(InputError, match=message):
        level_factors(levels, native, kind=kind)


@given(
    st.integers(32, 20_000),
    st.integers(32, 20_000),
    st.sampled_from([1, 2, 3.3, 4]),
    st.sampled_from([1, 2, 2.5, 4, 8]),
)
def test_levels_of_one_image_are_pairs(width, height, first, more):
    fine, coarse = (level_size(width, height, f) for f in (first, first * more))
    check_pair(fine, coarse, more)
    assert all(
        abs(n / (first * more) - m) <= 0.5 + 1e-6 or m == 1
        for n, m in zip((width, height), coarse, strict=True)
    )


@pytest.mark.parametrize("coarse", [(125, 130), (127, 128), (122, 128), (128, 125), (250, 256)])
def test_pairs_that_do_not_fit(coarse):
    with pytest.raises(InputError, match="slide-7: 1000 × 1024 px"):
        check_pair((1000, 1024), coarse, 8, "slide-7")


@given(
    st.integers(10, 20_000),
    st.integers(10, 20_000),
    st.sampled_from([1, 2, 4.5]),
    st.integers(100, 10**7),
)
def test_a_window_lies_inside_and_fits(width, height, factor, most):
    window = central_window(width, height, factor, most)
    w, h = level_size(width, height, factor)
    assert (window is None) == (w * h <= most)
    if window is not None:
        left, top, inner_width, inner_height = window
        assert 0 <= left <= left + inner_width <= width
        assert 0 <= top <= top + inner_height <= height
        assert abs((width - inner_width) - 2 * left) <= 1
        assert abs((height - inner_height) - 2 * top) <= 1
        found = level_size(inner_width, inner_height, factor)
        assert found[0] * found[1] <= most or min(found) == 1


def test_a_window_is_as_large_as_may_be():
    _, _, width, height = central_window(4000, 2000, 1, 500_000)
    assert (width, height) == (1000, 500)


def test_halves_are_rounded_up_also_where_the_quotient_is_a_hair_below():
    assert level_size(33, 99, 4.4) == (8, 23)  # 7.5 and 22.5
    assert level_size(125, 50, 1 / 0.22) == (28, 11)  # 27.5 and 11
    assert level_size(5, 3, 2) == (3, 2)


def test_no_limit_and_a_limit_that_cannot_be():
    assert central_window(10**5, 10**5, 1, None) is None
    with pytest.raises(InputError, match="at most 0 pixels"):
        central_window(10, 10, 1, 0)
