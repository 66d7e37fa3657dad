"""Lanczos in strips, against Pillow on the whole image: to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histograft.core.errors import InputError
from histograft.imaging.lanczos_strips import lanczos_strips


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def by_pillow(image, new_size):
    return np.asarray(Image.fromarray(image).resize(new_size, Image.Resampling.LANCZOS))


def rows_then_columns(image, new_size):
    """Both passes of Pillow, one by one."""
    return by_pillow(by_pillow(image, (new_size[0], len(image))), new_size)


@settings(max_examples=60)
@given(
    st.integers(1, 90), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1),
    st.lists(st.integers(0, 400), max_size=6),
)  # fmt: skip
def test_any_strips_give_the_bytes_of_pillow(width, height, across, down, cuts):
    image = noise(width, height, seed=width + height)
    size = (max(1, round(width * across)), max(1, round(height * down)))
    strips = np.split(image, sorted(min(cut, height) for cut in cuts))
    strips = [strip for strip in strips if len(strip)]
    found = lanczos_strips(strips, (width, height), size)
    assert np.array_equal(found, rows_then_columns(image, size))
    if height - size[1] <= 2 * (width - size[0]):  # else Pillow 13 takes the columns first
        assert np.array_equal(found, by_pillow(image, size))


def test_stripes_and_edges_that_overshoot_are_cut_off_as_pillow_does():
    image = np.zeros((300, 40, 3), np.uint8)
    image[::2, :, 0], image[150:, :, 1], image[:, 20:, 2] = 255, 255, 255
    for new_height in (299, 150, 97, 37, 3, 1):
        found = lanczos_strips([image[:7], image[7:]], (40, 300), (13, new_height))
        assert np.array_equal(found, rows_then_columns(image, (13, new_height)))


def test_a_box_of_pillow_would_not_do():
    """The reason for our own sums: box is float32."""
    image, new_height = noise(64, 13_365), 8701
    whole = by_pillow(image, (64, new_height))
    factor = len(image) / new_height
    top, end = 4000 * factor, 4500 * factor
    first, last = int(top - 3 * factor) - 1, int(end + 3 * factor) + 2
    box = (0, top - first, 64, end - first)
    strip = Image.fromarray(image[first:last])
    part = np.asarray(strip.resize((64, 500), Image.Resampling.LANCZOS, box=box))
    off = np.abs(part.astype(int) - whole[4000:4500])
    assert off.max() == 1  # near, and not equal
    assert (off > 0).mean() < 0.01
    found = lanczos_strips([image[:5000], image[5000:]], (64, 13_365), (64, new_height))
    assert np.array_equal(found, whole)


def test_strips_that_are_not_the_image_are_refused():
    image = noise(20, 30)
    for strips in ([image[:29]], [image, image[:1]], [image[:, :19]], [image[:20], image[:20]]):
        with pytest.raises(InputError, match="strips of an image of 20 x 30"):
            lanczos_strips(strips, (20, 30), (5, 7))
    with pytest.raises(InputError, match="cannot shrink to 21 x 30"):
        lanczos_strips([image], (20, 30), (21, 30))
