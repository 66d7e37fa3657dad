"""Shortcut features: what color and file format alone tell."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.linear_model import LogisticRegression

from histograft.imaging.read import FORMATS, decode_image
from histograft.imaging.shortcuts import color_histogram, jpeg_features, mean_rgb


def patch(seed: int, side: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side + 2, 3)).astype(np.uint8)


@given(seed=st.integers(0, 10_000))
def test_mean_is_that_of_each_channel(seed: int) -> None:
    pixels = patch(seed)
    expected = [pixels[..., c].astype(float).mean() / 255 for c in range(3)]
    np.testing.assert_allclose(mean_rgb(pixels), expected, rtol=1e-6)
    assert mean_rgb(pixels).dtype == np.float32


@given(seed=st.integers(0, 10_000), bins=st.sampled_from([1, 2, 8, 10, 32, 256]))
def test_histogram_is_numpys_of_each_channel(seed: int, bins: int) -> None:
    pixels = patch(seed)
    edges = np.ceil(np.arange(bins + 1) * 256 / bins)  # a value v is in bin v * bins // 256
    expected = [np.histogram(pixels[..., c], edges)[0] / pixels[..., c].size for c in range(3)]
    np.testing.assert_allclose(color_histogram(pixels, bins), np.concatenate(expected), rtol=1e-6)


def test_histogram_has_the_ends_in_the_outer_bins() -> None:
    values = color_histogram(np.full((2, 2, 3), (0, 255, 128), np.uint8))
    assert np.flatnonzero(values).tolist() == [0, 32 + 31, 64 + 16]
    assert values.shape == (96,)


@given(seed=st.integers(0, 10_000))
def test_color_features_see_no_structure(seed: int) -> None:
    pixels = patch(seed)
    flat = pixels.reshape(-1, 3)
    shuffled = np.random.default_rng(seed + 1).permutation(flat).reshape(pixels.shape)
    np.testing.assert_array_equal(color_histogram(shuffled), color_histogram(pixels))
    np.testing.assert_allclose(mean_rgb(shuffled), mean_rgb(pixels), rtol=1e-6)


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_has_its_own_indicator(form: str) -> None:
    values = jpeg_features(form, None)
    assert values.shape == (len(FORMATS) + 128,)
    assert values.dtype == np.float32
    assert np.flatnonzero(values).tolist() == [FORMATS.index(form)]


def test_tables_follow_the_indicators_and_a_third_is_left_out() -> None:
    tables = [[k + 1] * 64 for k in range(3)]
    values = jpeg_features("JPEG", tables)
    assert values[len(FORMATS) :].reshape(2, 64)[:, 0].tolist() == [1, 2]
    assert (values[len(FORMATS) + 64 :] == 2).all()


def test_unknown_format_and_one_table() -> None:
    assert jpeg_features("unknown", None).sum() == 0
    assert jpeg_features("JPEG", [[5] * 64])[-64:].sum() == 0


def test_tables_of_the_standard() -> None:
    # Annex K of ITU-T T.81 is what libjpeg writes at quality 50.
    buffer = io.BytesIO()
    Image.fromarray(patch(0)).save(buffer, "JPEG", quality=50)
    image = decode_image(buffer.getvalue(), "patch.jpg")
    luma, chroma = jpeg_features(image.format, image.quantization)[len(FORMATS) :].reshape(2, 64)
    assert luma[:8].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert chroma[:8].tolist() == [17, 18, 24, 47, 99, 99, 99, 99]


@pytest.mark.parametrize("tables", [None, [], [[1] * 64], [[1] * 64] * 2, [[1] * 64] * 4])
def test_length_never_changes(tables: list[list[int]] | None) -> None:
    values = jpeg_features("JPEG", tables)
    assert values.shape == (len(FORMATS) + 128,)
    assert values[len(FORMATS) :].sum() == 64 * min(len(tables or ()), 2)


def test_they_find_out_a_class_that_was_saved_at_another_quality() -> None:
    """The reason for these features: equal tissue, another encoder for each class."""
    rng = np.random.default_rng(0)
    features, labels = [], []
    for index in range(40):
        buffer = io.BytesIO()
        label = index % 2
        pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(buffer, "JPEG", quality=(75, 90)[label])
        image = decode_image(buffer.getvalue(), "patch.jpg")
        features.append(jpeg_features(image.format, image.quantization))
        labels.append(label)
    model = LogisticRegression(max_iter=1000).fit(features[:20], labels[:20])
    assert model.score(features[20:], labels[20:]) == 1
