"""The background filter against scikit-image's is_low_contrast."""

from __future__ import annotations

import numpy as np
import pytest
import skimage
from hypothesis import given
from hypothesis import strategies as st
from skimage.exposure import is_low_contrast

from histograft.imaging.background import (
    LOWER_PERCENTILE,
    UPPER_PERCENTILE,
    contrast_spread,
    is_background,
)

HISTOKT_PRINTED = 0.05
HISTOKT_EFFECTIVE = 0.10


def patch(low: int, high: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(low, max(high, low + 1), (40, 40, 3)).astype(np.uint8)


@given(low=st.integers(0, 250), width=st.integers(1, 90), seed=st.integers(0, 50))
def test_histokts_filter_is_twice_as_strict_as_printed(low, width, seed):
    """scikit-image divides an RGB image's spread by 2 (issue 6774, in 0.18 as in 0.26)."""
    pixels = patch(low, min(255, low + width), seed)
    theirs = is_low_contrast(
        pixels,
        fraction_threshold=HISTOKT_PRINTED,
        lower_percentile=LOWER_PERCENTILE,
        upper_percentile=UPPER_PERCENTILE,
    )
    if abs(contrast_spread(pixels) - HISTOKT_EFFECTIVE) < 1e-9:
        return  # equal up to rounding
    assert is_background(pixels, HISTOKT_EFFECTIVE) == theirs, skimage.__version__


def test_the_factor_two_matters():
    """A spread of 7.5 % is background by the code and tissue by the text."""
    pixels = np.full((10, 100, 3), 200, np.uint8)
    pixels[:, 50:] = 200 - round(0.075 * 255)
    assert is_low_contrast(pixels, 0.05, lower_percentile=5, upper_percentile=99)
    assert is_background(pixels, HISTOKT_EFFECTIVE)
    assert not is_background(pixels, HISTOKT_PRINTED)


def test_grey_images_are_divided_by_their_range_in_scikit_image_too():
    """For 8-bit grey the library has no factor 2: there its threshold and ours are the same."""
    grey = np.full((10, 100), 200, np.uint8)
    grey[:, 50:] = 200 - round(0.075 * 255)
    assert not is_low_contrast(grey, 0.05, lower_percentile=5, upper_percentile=99)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_color_has_no_spread(value):
    assert contrast_spread(np.full((5, 7, 3), value, np.uint8)) == 0


def test_black_and_white_has_the_whole_spread():
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, 5:] = 255
    assert contrast_spread(pixels) == pytest.approx(1)


def test_the_spread_by_hand():
    """Grey 0 … 100 once each: the 5th percentile is 5, the 99th is 99."""
    ramp = np.repeat(np.arange(101, dtype=np.uint8), 3).reshape(1, 101, 3)
    assert contrast_spread(ramp) == pytest.approx((99 - 5) / 255)


def test_a_few_dark_specks_do_not_make_tissue():
    pixels = np.full((100, 100, 3), 240, np.uint8)
    pixels[:4, :100] = 0  # dust on 4 % of the pixels lies below the 5th percentile
    assert is_background(pixels, 0.05)
    pixels[:6, :100] = 0
    assert not is_background(pixels, 0.05)


def test_the_threshold_itself_is_kept():
    pixels = patch(0, 255)
    assert not is_background(pixels, contrast_spread(pixels))
