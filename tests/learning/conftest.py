"""Small generated images and networks for the tests of this room."""

import numpy as np
import pytest
import torch

from histograft.learning.network import NetworkSpec


class Images:
    """An image source over an array that counts how often images are read."""

    def __init__(self, array):
        self.array = array
        self.reads = 0

    def __len__(self):
        return len(self.array)

    def image(self, index):
        self.reads += 1
        return self.array[index]


def blobs(n, n_classes=2, size=32, seed=0):
    """Images whose mean color depends on their class, and the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    colors = np.array([[200, 60, 60], [60, 60, 200], [60, 200, 60]])[labels]
    images = colors[:, None, None, :] + rng.normal(0, 40, (n, size, size, 3))
    return np.clip(images, 0, 255).astype(np.uint8), labels


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def spec():
    return NetworkSpec("resnet10t", ("a", "b"), hidden=(16,), patch_px=32)


@pytest.fixture
def make_images():
    return lambda *args, **kwargs: (lambda x, y: (Images(x), y))(*blobs(*args, **kwargs))
