"""Cropping: the patch counts of HistoKT's Table 1, and reflection against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.core.units import Scale
from histograft.imaging.crop import crop_boxes, crop_origins, reflect_to

HISTOKT_PX = 272


@pytest.mark.parametrize(
    ("width", "height", "mpp", "size", "quarter", "half"),
    [
        (2048, 1536, 0.42, (860, 645), 6, 15),  # BACH: 400 images, 2397 patches in Table 1
        (1024, 1024, 1.0, (1024, 1024), 16, 36),  # OS: 1144 images, 16534 after the filter
        (224, 224, 1.25, (280, 280), 1, 1),  # MHIST
        (1388, 1040, 0.25, (347, 260), 1, 1),  # AJ-Lymph, reflected to 272 rows
    ],
    ids=["BACH", "OS", "MHIST", "AJ-Lymph"],
)
def test_patch_counts_of_histokt(
    width: int, height: int, mpp: float, size: tuple[int, int], quarter: int, half: int
) -> None:
    scaled = Scale(mpp, 1.0).scaled_size(width, height)
    assert scaled == size
    pixels = reflect_to(np.zeros((scaled[1], scaled[0], 3), np.uint8), HISTOKT_PX)
    assert len(crop_boxes(*pixels.shape[:2], HISTOKT_PX, 0.25)) == quarter
    assert len(crop_boxes(*pixels.shape[:2], HISTOKT_PX, 0.5)) == half


def test_bach_size_is_the_same_for_scikit_images_rounding_and_our_whole_pixels() -> None:
    # 2048 * 0.42 = 860.16 and 1536 * 0.42 = 645.12: HistoKT's rescale rounds, we cut off.
    assert tuple(np.round(np.array([2048, 1536]) * 0.42)) == (860, 645)


def test_bach_leaves_out_the_remainder_that_the_authors_code_leaves_out() -> None:
    boxes = crop_boxes(645, 860, HISTOKT_PX, 0.25)
    assert 860 - max(x + w for x, _, w, _ in boxes) == 180
    assert 645 - max(y + h for _, y, _, h in boxes) == 169


sides = st.integers(1, 400)
overlaps = st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75]), st.floats(0, 0.99))


@given(length=sides, patch=st.integers(1, 120), overlap=overlaps, flush=st.booleans())
def test_patches_lie_inside_and_step_by_the_stride(
    length: int, patch: int, overlap: float, flush: bool
) -> None:
    origins = crop_origins(length, patch, overlap, flush_last=flush)
    if length < patch:
        assert origins == []
        return
    assert origins[0] == 0
    assert origins[-1] + patch <= length
    steps = np.diff(origins)
    assert (steps > 0).all()
    regular = steps[:-1] if flush else steps
    stride = max(1, round(patch * (1 - overlap) - 0.5 + 1e-9))
    assert (np.abs(regular - stride) <= 1).all()
    assert len(set(regular.tolist())) <= 1
    if flush:
        assert origins[-1] + patch == length
    else:
        assert length - (origins[-1] + patch) < max(1, patch * (1 - overlap)) + 1


@given(length=sides, patch=st.integers(1, 120))
def test_flush_patches_cover_every_pixel(length: int, patch: int) -> None:
    covered = np.zeros(length, bool)
    for origin in crop_origins(length, patch, 0.0, flush_last=True):
        covered[origin : origin + patch] = True
    assert covered.all() == (length >= patch)


@pytest.mark.parametrize(
    ("patch", "overlap", "stride"),
    [(272, 0.25, 204), (272, 0.5, 136), (272, 0.75, 68), (224, 0.0, 224), (10, 0.9, 1)],
)
def test_stride_is_not_lost_to_rounding(patch: int, overlap: float, stride: int) -> None:
    # 10 * (1 - 0.9) is 0.9999999999999998 in floats.
    assert crop_origins(patch + stride, patch, overlap)[:2] == [0, stride]


@pytest.mark.parametrize("percent", range(100))
def test_stride_is_exact_for_every_whole_percent(percent: int) -> None:
    assert crop_origins(1000, 100, percent / 100)[1] == 100 - percent


@pytest.mark.parametrize(("patch", "overlap"), [(0, 0.0), (-1, 0.0), (10, 1.0), (10, -0.1)])
def test_impossible_crops_are_refused(patch: int, overlap: float) -> None:
    with pytest.raises(InputError, match="overlap"):
        crop_origins(100, patch, overlap)


def test_boxes_go_row_by_row() -> None:
    boxes = crop_boxes(5, 7, 2, 0.0, flush_last=True)
    assert [(x, y) for x, y, _, _ in boxes] == [(x, y) for y in (0, 2, 3) for x in (0, 2, 4, 5)]
    assert {(w, h) for _, _, w, h in boxes} == {(2, 2)}


shapes = st.tuples(st.integers(2, 30), st.integers(2, 30))


@given(shape=shapes, patch=st.integers(2, 100), channels=st.sampled_from([None, 1, 3]))
def test_reflection_is_numpys(shape: tuple[int, int], patch: int, channels: int | None) -> None:
    full = shape if channels is None else (*shape, channels)
    pixels = np.arange(np.prod(full), dtype=np.int32).reshape(full)
    pad = [(0, max(0, patch - n)) for n in shape] + [(0, 0)] * (len(full) - 2)
    # NumPy reflects again and again where the padding is wider than the image.
    np.testing.assert_array_equal(reflect_to(pixels, patch), np.pad(pixels, pad, mode="reflect"))


@given(height=st.integers(1, 30), width=st.integers(1, 30), side=st.integers(1, 70))
def test_centered_image_is_padded_on_all_sides(height: int, width: int, side: int) -> None:
    pixels = np.arange(height * width).reshape(height, width)
    missing = np.maximum(0, (side - height, side - width))
    before = missing // 2
    expected = np.pad(pixels, list(zip(before, missing - before, strict=True)), mode="reflect")
    np.testing.assert_array_equal(reflect_to(pixels, side, centered=True), expected)


@given(n=st.integers(2, 9), wanted=st.integers(10, 60))
def test_repeated_reflection_is_one_mirror_after_the_other(n: int, wanted: int) -> None:
    row = list(range(n))
    while len(row) < wanted:  # the definition: mirror about the last pixel, then about the first
        back = list(range(n - 2, -1, -1))
        forth = list(range(1, n))
        row += back + forth
    np.testing.assert_array_equal(reflect_to(np.arange(n)[None, :], wanted)[0], row[:wanted])


@pytest.mark.parametrize("shape", [(1, 5, 3), (5, 1, 3), (1, 1, 3), (1, 5)])
def test_side_of_one_pixel_is_repeated(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    result = reflect_to(pixels, 8)
    assert result.shape == (8, 8, *shape[2:])
    for axis in (0, 1):
        if shape[axis] == 1:
            first = result.take([0], axis=axis)
            np.testing.assert_array_equal(result, np.broadcast_to(first, result.shape))


def test_tall_narrow_image_is_filled_in_width_only() -> None:
    # HistoKT's code stops at an image of 273 rows or more and less than 272 columns.
    pixels = np.random.default_rng(0).integers(0, 256, (300, 100, 3)).astype(np.uint8)
    result = reflect_to(pixels, HISTOKT_PX)
    assert result.shape == (300, HISTOKT_PX, 3)
    np.testing.assert_array_equal(result[:, :100], pixels)


def test_reflection_of_a_large_image_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    np.testing.assert_array_equal(reflect_to(pixels, 9), pixels)
