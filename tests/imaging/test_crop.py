"""Cropping against the counts of HistoKT's Table 1, and reflection against np.pad."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.imaging.crop import crop_boxes, crop_origins, reflect_to
from histograft.imaging.resample import resample

HISTOKT_PX = 272


@pytest.mark.parametrize(
    ("native_size", "native_mpp", "overlap", "wanted"),
    [
        # 6 x 400 = 2,400 patches of BACH: Table 1 has 2,397 after the filter.
        ((1536, 2048), 0.42, 0.25, 6),
        # The printed overlap of 50 % would have given 15 x 400 = 6,000.
        ((1536, 2048), 0.42, 0.5, 15),
        # 16 x 1,144 = 18,304 of osteosarcoma: Table 1 has 16,534 after the filter.
        ((1024, 1024), 1.0, 0.25, 16),
        ((1024, 1024), 1.0, 0.5, 36),
        # One patch an image of MHIST (280 px) and of AJ-Lymph (347 x 260 px, filled up).
        ((224, 224), 1.25, 0.25, 1),
        ((1040, 1388), 0.25, 0.25, 1),
    ],
)
def test_patches_an_image_of_histokt(native_size, native_mpp, overlap, wanted):
    image = resample(np.zeros((*native_size, 3), np.uint8), native_mpp, 1.0)
    image = reflect_to(image, HISTOKT_PX)
    assert len(crop_boxes(*image.shape[:2], HISTOKT_PX, overlap)) == wanted


def test_boxes_of_bach_begin_at_multiples_of_three_quarters():
    boxes = crop_boxes(645, 860, HISTOKT_PX, 0.25)
    assert boxes == [(x, y, 272, 272) for y in (0, 204) for x in (0, 204, 408)]


@given(
    length=st.integers(1, 400),
    patch=st.integers(1, 120),
    overlap=st.floats(0, 0.99),
    flush=st.booleans(),
)
def test_origins(length, patch, overlap, flush):
    origins = crop_origins(length, patch, overlap, flush_last=flush)
    if length < patch:
        assert origins == []
        return
    assert origins[0] == 0
    assert all(a < b for a, b in pairwise(origins))
    assert origins[-1] + patch <= length
    stride = max(1, int(patch * (1 - overlap) + 1e-9))
    if flush:
        covered = np.zeros(length, bool)
        for origin in origins:
            covered[origin : origin + patch] = True
        assert covered.all()
        assert origins[-1] + patch == length
    else:
        assert origins == list(np.arange(len(origins)) * stride)
        assert origins[-1] + stride + patch > length  # no further patch would fit


@pytest.mark.parametrize("percent", range(0, 100))
def test_the_stride_is_exact_for_every_whole_percent(percent):
    """0.9 * 10 and its like must not lose a pixel to the rounding of floats."""
    origins = crop_origins(1000, 100, percent / 100)
    assert origins[1] == 100 - percent


@pytest.mark.parametrize(("patch", "overlap"), [(0, 0.0), (-1, 0.0), (10, 1.0), (10, -0.1)])
def test_impossible_crops_are_refused(patch, overlap):
    with pytest.raises(InputError, match="overlap"):
        crop_origins(100, patch, overlap)


def padded(pixels: np.ndarray, before: tuple[int, int], after: tuple[int, int]) -> np.ndarray:
    widths = [*zip(before, after, strict=True), *[(0, 0)] * (pixels.ndim - 2)]
    return np.pad(pixels, widths, mode="reflect")


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    side=st.integers(1, 100),
    channels=st.sampled_from([None, 3]),
)
def test_reflection_is_numpys(height, width, side, channels):
    shape = (height, width) if channels is None else (height, width, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    missing = (max(0, side - height), max(0, side - width))
    result = reflect_to(pixels, side)
    assert np.array_equal(result, padded(pixels, (0, 0), missing))
    assert result.dtype == pixels.dtype


@given(height=st.integers(1, 30), width=st.integers(1, 30), side=st.integers(1, 70))
def test_a_centered_image_is_padded_on_all_sides(height, width, side):
    pixels = np.arange(height * width).reshape(height, width)
    missing = np.maximum(0, (side - height, side - width))
    before = missing // 2
    wanted = padded(pixels, tuple(before), tuple(missing - before))
    assert np.array_equal(reflect_to(pixels, side, centered=True), wanted)


@pytest.mark.parametrize("shape", [(273, 100, 3), (1000, 1, 3), (1, 1, 3), (100, 273, 3)])
def test_tall_and_narrow_images_are_filled_too(shape):
    """HistoKT's code fails on an image higher than a patch and narrower than one."""
    filled = reflect_to(np.ones(shape, np.uint8), HISTOKT_PX)
    assert filled.shape == (max(shape[0], HISTOKT_PX), max(shape[1], HISTOKT_PX), 3)
    assert filled.min() == 1


def test_an_image_that_is_large_enough_stays():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    assert np.array_equal(reflect_to(pixels, 30), pixels)
