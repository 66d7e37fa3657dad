"""The background filter against scikit-image, whose threshold is twice as large on RGB."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2gray
from skimage.exposure import is_low_contrast

from histograft.imaging.background import contrast_spread, is_background


def patch(seed: int, low: int, spread: int, side: int = 24) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(low, min(256, low + spread), (side, side, 3)).astype(np.uint8)


@given(
    seed=st.integers(0, 10_000),
    low=st.integers(0, 250),
    spread=st.integers(1, 120),
    fraction=st.floats(0.005, 0.3),
)
def test_is_scikit_images_rule_with_twice_its_threshold(
    seed: int, low: int, spread: int, fraction: float
) -> None:
    pixels = patch(seed, low, spread)
    if abs(contrast_spread(pixels) - 2 * fraction) < 1e-9:
        return  # on the threshold, rounding decides
    theirs = is_low_contrast(
        pixels, fraction_threshold=fraction, lower_percentile=5, upper_percentile=99
    )
    assert is_background(pixels, 2 * fraction) == theirs


@given(seed=st.integers(0, 10_000), low=st.integers(0, 250), spread=st.integers(1, 200))
def test_spread_is_that_of_the_percentiles_of_grey(seed: int, low: int, spread: int) -> None:
    pixels = patch(seed, low, spread)
    first, last = np.percentile(rgb2gray(pixels), [5, 99])
    assert contrast_spread(pixels) == pytest.approx(last - first, abs=1e-6)


@pytest.mark.parametrize(("levels", "background"), [(25, True), (26, False)])
def test_effective_threshold_of_histokt_is_ten_percent(levels: int, background: bool) -> None:
    # 10 % of 255 are 25.5 grey levels; half of the pixels are brighter by `levels`.
    pixels = np.full((10, 10, 3), 100, np.uint8)
    pixels[5:] += np.uint8(levels)
    assert is_background(pixels, 0.10) is background
    assert (
        bool(
            is_low_contrast(
                pixels, fraction_threshold=0.05, lower_percentile=5, upper_percentile=99
            )
        )
        is background
    )


@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_patch_has_no_spread(value: int) -> None:
    assert contrast_spread(np.full((9, 7, 3), value, np.uint8)) == 0


def test_black_and_white_have_all() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[5:] = 255
    assert contrast_spread(pixels) == pytest.approx(1)


def test_single_specks_do_not_count() -> None:
    # Dust: less than 5 % dark and less than 1 % bright pixels.
    pixels = np.full((50, 50, 3), 240, np.uint8)
    pixels[:2, :50] = 0
    pixels[10, :20] = 255
    assert is_background(pixels, 0.05)


def test_flat_colors_of_equal_grey_are_background() -> None:
    # The filter sees grey values only: color without structure is no tissue.
    assert is_background(np.full((9, 9, 3), (200, 120, 180), np.uint8), 0.05)


def test_single_pixel() -> None:
    assert contrast_spread(np.array([[[1, 2, 3]]], np.uint8)) == 0


def test_grey_images_have_no_factor_two_in_scikit_image() -> None:
    grey = np.full((10, 100), 200, np.uint8)
    grey[:, 50:] = 200 - round(0.075 * 255)
    as_rgb = np.repeat(grey[..., None], 3, axis=2)
    options = {"lower_percentile": 5, "upper_percentile": 99}
    assert is_low_contrast(as_rgb, 0.05, **options)  # as HistoKT calls it
    assert not is_low_contrast(grey, 0.05, **options)
    assert not is_background(as_rgb, 0.05)


def test_spread_by_hand() -> None:
    # Grey 0 … 100 once each: the 5th percentile is 5, the 99th is 99.
    ramp = np.repeat(np.arange(101, dtype=np.uint8), 3).reshape(1, 101, 3)
    assert contrast_spread(ramp) == pytest.approx((99 - 5) / 255)


@pytest.mark.parametrize(("rows", "background"), [(4, True), (6, False)])
def test_share_of_dark_pixels_that_makes_tissue(rows: int, background: bool) -> None:
    pixels = np.full((100, 100, 3), 240, np.uint8)
    pixels[:rows] = 0  # 4 % lie below the 5th percentile, 6 % reach it
    assert is_background(pixels, 0.05) is background


def test_patch_on_the_threshold_is_kept() -> None:
    pixels = patch(0, 0, 255)
    assert not is_background(pixels, contrast_spread(pixels))
