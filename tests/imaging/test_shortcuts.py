"""Shortcut features against hand-computed values and NumPy's histogram."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histograft.imaging.read import FORMATS as READABLE
from histograft.imaging.read import decode_image
from histograft.imaging.shortcuts import FORMATS, color_histogram, jpeg_features, mean_rgb


def noise(height: int = 24, width: int = 17, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_mean_rgb_by_hand():
    pixels = np.array([[[0, 255, 51], [255, 255, 102]]], np.uint8)
    assert mean_rgb(pixels) == pytest.approx([0.5, 1.0, 0.3])
    assert mean_rgb(pixels).dtype == np.float32


@given(seed=st.integers(0, 30), order=st.integers(0, 30))
def test_no_place_is_seen(seed, order):
    """Shuffling the pixels, which destroys all tissue, leaves both features as they are."""
    pixels = noise(seed=seed)
    shuffled = np.random.default_rng(order).permutation(pixels.reshape(-1, 3)).reshape(17, 24, 3)
    assert np.array_equal(mean_rgb(pixels), mean_rgb(shuffled))
    assert np.array_equal(color_histogram(pixels), color_histogram(shuffled))


@pytest.mark.parametrize("bins", [1, 2, 8, 32, 256, 10])
def test_histograms_are_numpys(bins):
    pixels = noise()
    edges = np.ceil(np.arange(bins + 1) * 256 / bins)  # a value v is in bin v * bins // 256
    wanted = [np.histogram(pixels[..., c], edges)[0] / (24 * 17) for c in range(3)]
    result = color_histogram(pixels, bins)
    assert result == pytest.approx(np.concatenate(wanted))
    assert result.shape == (3 * bins,)
    assert result.dtype == np.float32


def test_each_channel_sums_to_one():
    assert color_histogram(noise()).reshape(3, -1).sum(axis=1) == pytest.approx(1)


def jpeg(quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def features(data: bytes) -> np.ndarray:
    image = decode_image(data, "image")
    return jpeg_features(image.format, image.quantization)


def test_jpeg_features_tell_qualities_apart_and_nothing_else():
    assert np.array_equal(features(jpeg(75)), features(jpeg(75)))
    assert not np.array_equal(features(jpeg(75)), features(jpeg(76)))


def test_jpeg_features_are_the_tables_of_the_standard():
    """Annex K of ITU-T T.81 is what libjpeg writes at quality 50; its first row is known."""
    values = features(jpeg(50))
    luma, chroma = values[len(FORMATS) : len(FORMATS) + 64], values[len(FORMATS) + 64 :]
    assert luma[:8].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert chroma[:8].tolist() == [17, 18, 24, 47, 99, 99, 99, 99]


def test_a_png_has_a_format_and_no_table():
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, "PNG")
    values = features(buffer.getvalue())
    assert values[FORMATS.index("PNG")] == 1
    assert values.sum() == 1


def test_every_format_that_is_read_has_an_indicator():
    assert set(READABLE) <= set(FORMATS)


@pytest.mark.parametrize("tables", [None, [], [[1] * 64], [[1] * 64] * 2, [[1] * 64] * 4])
def test_the_length_never_changes(tables):
    values = jpeg_features("JPEG", tables)
    assert values.shape == (len(FORMATS) + 128,)
    assert values[len(FORMATS) :].sum() == 64 * min(len(tables or ()), 2)


def test_an_unknown_format_is_none_of_the_known():
    assert jpeg_features("DICOM", None).sum() == 0
