"""Order, cache and normalization of batches."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.learning.batches import (
    ImageBatches,
    batch_bounds,
    epoch_order,
    normalize,
)


@given(n=st.integers(1, 200), size=st.integers(1, 40))
def test_batches_cover_every_image_once_and_none_is_left_alone(n, size):
    bounds = batch_bounds(n, size)
    assert [i for a, b in bounds for i in range(a, b)] == list(range(n))
    lengths = [b - a for a, b in bounds]
    assert max(lengths) <= size + 1
    if n > 1 and size > 1:
        assert min(lengths) >= 2


@given(n=st.integers(1, 100), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_order_is_a_permutation_by_seed_and_epoch(n, seed, epoch):
    order = epoch_order(n, seed, epoch)
    assert sorted(order) == list(range(n))
    np.testing.assert_array_equal(order, epoch_order(n, seed, epoch))


def test_orders_differ_between_epochs_and_seeds():
    orders = {tuple(epoch_order(50, s, e)) for s in range(3) for e in range(3)}
    assert len(orders) == 9


def test_normalization_is_the_formula():
    raw = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    mean, std = (0.1, 0.5, 0.7), (0.2, 0.3, 0.4)
    images = torch.from_numpy(raw).permute(0, 3, 1, 2)
    found = normalize(images, mean, std)
    expected = ((raw / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert images.dtype == torch.uint8  # what is cached stays as it was


@pytest.mark.parametrize(("cache", "reads"), [(10**9, 1), (0, 3)])
def test_images_that_fit_are_decoded_once(make_images, cache, reads):
    source, _ = make_images(10)
    batches = ImageBatches(source, cache)
    source.reads = 0
    for _ in range(3):
        for indices, images in batches.stream(np.arange(10)[::-1], batch_bounds(10, 4)):
            expected = source.array[indices].transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(images.numpy(), expected)
    assert source.reads == 10 * reads


def test_a_stream_that_is_left_early_and_an_error_in_decoding_end_well(make_images):
    source, _ = make_images(40)
    batches = ImageBatches(source, 0)
    for _ in batches.stream(range(40), batch_bounds(40, 2)):
        break
    source.array = list(source.array)
    source.array[33] = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="image 33 has 8 × 8 px"):
        list(batches.stream(range(40), batch_bounds(40, 2)))


def test_images_of_another_kind_are_refused(make_images):
    source, _ = make_images(2)
    source.array = source.array.astype(np.uint16)
    with pytest.raises(InputError, match="uint16"):
        ImageBatches(source, 0)
    source.array = source.array[:0]
    with pytest.raises(InputError, match="no image"):
        ImageBatches(source, 0)
