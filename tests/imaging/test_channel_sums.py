"""Streamed means and standard deviations against NumPy over all pixels at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.imaging.channel_sums import ChannelSums


def test_images_of_different_sizes_are_weighted_by_pixels():
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in ((5, 7), (90, 3), (40, 50))
    ]
    pixels = np.concatenate([i.reshape(-1, 3) for i in images]) / 255.0
    found = sum((ChannelSums.of(i) for i in images), ChannelSums())
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.std, pixels.std(0), rtol=1e-13)


@given(st.integers(1, 12), st.permutations(range(6)), st.integers(0, 99))
def test_order_and_parts_do_not_matter(cut, order, seed):
    image = np.random.default_rng(seed).integers(0, 256, (13, 4, 3)).astype(np.uint8)
    whole = ChannelSums.of(image)
    assert ChannelSums.of(image[:cut]) + ChannelSums.of(image[cut:]) == whole
    rows = [ChannelSums.of(image[2 * i : 2 * i + 2]) for i in range(6)]
    rest = ChannelSums.of(image[12:])
    assert sum((rows[i] for i in order), rest) == whole


def test_a_constant_has_no_spread_even_over_many_pixels():
    one = ChannelSums.of(np.full((100, 100, 3), 37, np.uint8))
    many = ChannelSums(
        one.n * 10**9, *(tuple(v * 10**9 for v in s) for s in (one.sums, one.squares))
    )
    assert many.std == (0, 0, 0)
    assert many.mean == pytest.approx((37 / 255,) * 3)


def test_nothing_has_no_mean():
    with pytest.raises(InputError, match="no pixel"):
        ChannelSums().mean  # noqa: B018 - a property
