"""Resampling against area means computed cell by cell, scikit-image, and physical positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean, rescale

from histograft.core.errors import InputError
from histograft.imaging.resample import resample, resample_mask


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def overlaps(n_new: int, n_native: int, factor: float) -> np.ndarray:
    """Length of each native cell inside each new cell, from the definition, cell by cell."""
    lengths = np.zeros((n_new, n_native))
    for i in range(n_new):
        for j in range(n_native):
            lengths[i, j] = max(0.0, min((i + 1) * factor, j + 1) - max(i * factor, j))
    return lengths


# Native and target µm/px of the sets in HistoKT's Table 1, and awkward fractions.
SHRINKING = [(0.25, 1.0), (0.42, 1.0), (0.5, 1.0), (0.62005, 1.0), (0.972, 1.0), (0.3, 0.5)]


@pytest.mark.parametrize(("native", "target"), SHRINKING)
def test_a_new_pixel_is_the_mean_over_the_area_that_it_covers(native, target):
    pixels = noise(41, 33)
    factor = target / native
    rows = overlaps(int(41 / factor), 41, factor) / factor
    columns = overlaps(int(33 / factor), 33, factor) / factor
    wanted = np.einsum("ij,jkc,lk->ilc", rows, pixels.astype(float), columns)
    result = resample(pixels, native, target)
    assert result.shape == wanted.shape
    assert np.abs(result - wanted).max() <= 0.5 + 1e-3  # rounding


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_whole_factors_agree_with_scikit_image(factor):
    pixels = noise(factor * 9, factor * 6)
    wanted = downscale_local_mean(pixels, (factor, factor, 1))
    assert np.abs(resample(pixels, 0.25, 0.25 * factor) - wanted).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("size", "native", "target", "wanted"),
    [
        ((1536, 2048), 0.42, 1.0, (645, 860)),  # BACH
        ((1040, 1388), 0.25, 1.0, (260, 347)),  # AJ-Lymph
        ((224, 224), 1.25, 1.0, (280, 280)),  # MHIST grows
        ((96, 96), 0.972, 1.0, (93, 93)),  # PCam
        ((1024, 1024), 0.25, 0.5, (512, 512)),
        ((100, 70), 0.1, 0.3, (33, 23)),  # 0.3 / 0.1 is not 3 in floats
    ],
)
def test_sizes_hold_whole_pixels_of_exactly_the_target_scale(size, native, target, wanted):
    assert resample(np.zeros((*size, 3), np.uint8), native, target).shape == (*wanted, 3)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    native=st.floats(0.1, 2.0),
    target=st.floats(0.1, 2.0),
    value=st.integers(0, 255),
    rule=st.sampled_from(["area", "skimage"]),
)
def test_a_constant_image_stays_constant(height, width, native, target, value, rule):
    result = resample(np.full((height, width, 3), value, np.uint8), native, target, rule=rule)
    # The papers' rule truncates what floats leave a hair below a whole number.
    assert np.abs(result.astype(int) - value).max() <= (1 if rule == "skimage" else 0)


@settings(max_examples=60, deadline=None)
@given(
    native=st.floats(0.2, 1.0),
    target=st.floats(0.2, 1.0),
    flip=st.booleans(),
)
def test_a_ramp_keeps_its_physical_place(native, target, flip):
    """A linear ramp is 2 x + 20 in native pixels; every new pixel must read it at its center."""
    n = 100
    ramp = np.broadcast_to((2 * np.arange(n) + 20).astype(np.uint8)[:, None, None], (n, n, 3))
    if flip:
        ramp = ramp.transpose(1, 0, 2)
    result = resample(np.ascontiguousarray(ramp), native, target)[..., 0]
    line = (result[0] if flip else result[:, 0]).astype(float)
    factor = target / native
    centers = (np.arange(len(line)) + 0.5) * factor - 0.5
    inside = (centers >= 0) & (centers <= n - 1)
    # Rounding, and what a cell's cut-off parts of flat native pixels add; a shift by half a native
    # pixel would make 1.
    assert np.abs(line - (2 * centers + 20))[inside].max() <= 0.5 + 0.25 + 1e-3


@pytest.mark.parametrize(("native", "target"), [(0.25, 1.0), (0.4, 1.0), (0.5, 0.75), (1.25, 1.0)])
def test_an_edge_stays_at_its_micrometer(native, target):
    """The dark share of a row, times its length in µm, is where the edge lies."""
    width, edge_px = 97, 41
    pixels = np.full((4, width, 3), 255, np.uint8)
    pixels[:, :edge_px] = 0
    row = resample(np.repeat(pixels, 8, axis=0), native, target)[1, :, 0]
    dark_um = (1 - row / 255.0).sum() * target
    assert dark_um == pytest.approx(edge_px * native, abs=0.06 * target)


@pytest.mark.parametrize("rule", ["area", "skimage"])
def test_the_same_scale_changes_nothing(rule):
    pixels = noise(17, 23)
    assert resample(pixels, 0.5, 0.5, rule=rule).tobytes() == pixels.tobytes()
    assert resample(pixels, 0.1 + 0.2, 0.3, rule=rule).tobytes() == pixels.tobytes()


def test_nearly_the_same_scale_is_another_scale():
    assert resample(noise(100, 100), 0.495, 0.5).shape == (99, 99, 3)


@pytest.mark.parametrize(("native", "target"), [*SHRINKING, (1.25, 1.0)])
def test_the_rule_of_the_papers_is_scikit_images_rescale(native, target):
    pixels = noise(61, 47)
    wanted = rescale(
        pixels, native / target, order=1, mode="reflect", preserve_range=True, channel_axis=-1
    )
    result = resample(pixels, native, target, rule="skimage")
    assert np.array_equal(result, wanted.astype(np.uint8))


def test_the_rule_of_the_papers_smooths_more_than_the_mean():
    pixels = noise(120, 120)
    assert resample(pixels, 0.25, 1.0, rule="skimage").std() < resample(pixels, 0.25, 1.0).std()


def test_growing_overshoots_nowhere():
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[8:12, 8:12] = 255
    grown = resample(pixels, 1.0, 0.37)
    assert grown.min() == 0
    assert grown.max() == 255
    assert np.unique(grown[:3, :3]).tolist() == [0]


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_an_image_below_one_new_pixel_becomes_one(size):
    result = resample(np.full((*size, 3), 90, np.uint8), 0.1, 1.0)
    assert min(result.shape[:2]) == 1
    assert np.unique(result).tolist() == [90]


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), 5000.0])
def test_what_is_no_scale_is_refused(scale):
    with pytest.raises(InputError, match="µm/px"):
        resample(noise(4, 4), scale, 0.5)


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    native=st.floats(0.1, 2.0),
    target=st.floats(0.1, 2.0),
    rule=st.sampled_from(["area", "skimage"]),
    seed=st.integers(0, 99),
)
def test_masks_fit_their_images_and_hold_no_new_code(height, width, native, target, rule, seed):
    codes = np.random.default_rng(seed).choice(np.array([0, 3, 7, 200], np.uint8), (height, width))
    result = resample_mask(codes, native, target, rule=rule)
    image = resample(np.zeros((height, width, 3), np.uint8), native, target, rule=rule)
    assert result.shape == image.shape[:2]
    assert result.dtype == codes.dtype
    assert set(np.unique(result)) <= set(np.unique(codes))


@pytest.mark.parametrize("factor", [3, 5])
def test_masks_take_the_code_at_the_center(factor):
    codes = np.arange((4 * factor) ** 2, dtype=np.uint16).reshape(4 * factor, 4 * factor)
    result = resample_mask(codes, 0.2, 0.2 * factor)
    assert np.array_equal(result, codes[factor // 2 :: factor, factor // 2 :: factor])


def test_masks_that_grow_repeat_their_codes():
    codes = np.array([[1, 2], [3, 4]], np.int32)
    assert np.array_equal(resample_mask(codes, 1.0, 0.5), codes.repeat(2, 0).repeat(2, 1))
