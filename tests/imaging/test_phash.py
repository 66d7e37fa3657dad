"""Perceptual hashes against imagehash, and what they must find and keep apart."""

from __future__ import annotations

import io

import imagehash
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from histograft.imaging.phash import perceptual_hashes

NEAR_BITS = 6  # of 64


def tissue(seed: int, size: int = 224) -> np.ndarray:
    """Blobs of random place and size: as much structure as a patch, and none in common."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.standard_normal((size, size)), s) for s in (3, 8, 20)]
    field = sum(layer / layer.std() for layer in layers)
    levels = np.clip((field - field.min()) / np.ptp(field), 0, 1)[..., None]
    pink, violet = np.array([235, 180, 205]), np.array([90, 50, 140])
    return (pink * (1 - levels) + violet * levels).astype(np.uint8)


def bits(a: np.ndarray, b: np.ndarray) -> int:
    return bin(int(a) ^ int(b)).count("1")


def nearest(a: np.ndarray, b: np.ndarray) -> int:
    """Bits between a and the nearest of b's eight variants."""
    return min(bits(perceptual_hashes(a)[0], variant) for variant in perceptual_hashes(b))


def dihedral(pixels: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(base, k) for base in (pixels, pixels[:, ::-1]) for k in range(4)]


@pytest.mark.parametrize("size", [(224, 224), (96, 96), (150, 700), (31, 33), (8, 8)])
def test_the_first_hash_is_imagehashs(size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    wanted = imagehash.phash(Image.fromarray(pixels))
    assert int(str(wanted), 16) == int(perceptual_hashes(pixels)[0])


def test_shape_and_type():
    hashes = perceptual_hashes(tissue(0))
    assert hashes.shape == (8,)
    assert hashes.dtype == np.uint64


@pytest.mark.parametrize("variant", range(8))
def test_a_turned_or_mirrored_copy_is_found(variant):
    original = tissue(2)
    copy = np.ascontiguousarray(dihedral(original)[variant])
    assert bits(perceptual_hashes(copy)[0], perceptual_hashes(original)[variant]) <= 2
    assert nearest(copy, original) <= 2


def test_the_variants_of_a_square_copy_are_the_same_set():
    """Turning permutes the eight variants, so it does not matter which of two images is turned."""
    pixels = tissue(3, size=32)  # the size of the thumbnail: nothing is resampled
    original = set(perceptual_hashes(pixels).tolist())
    for copy in dihedral(pixels):
        assert set(perceptual_hashes(np.ascontiguousarray(copy)).tolist()) == original


@pytest.mark.parametrize("quality", [90, 75, 40])
def test_a_copy_stored_again_as_jpeg_is_found(quality):
    original = tissue(4)
    buffer = io.BytesIO()
    Image.fromarray(original[::-1].copy()).save(buffer, "JPEG", quality=quality)
    copy = np.asarray(Image.open(io.BytesIO(buffer.getvalue())))
    assert nearest(copy, original) <= NEAR_BITS


def test_a_smaller_or_paler_copy_is_found():
    original = tissue(5)
    smaller = np.asarray(Image.fromarray(original).resize((112, 112)))
    assert nearest(smaller, original) <= NEAR_BITS
    assert nearest((original * 0.8 + 40).astype(np.uint8), original) <= NEAR_BITS


def test_different_tissue_is_kept_apart():
    hashes = [perceptual_hashes(tissue(seed)) for seed in range(10, 40)]
    distances = [
        min(bits(a[0], variant) for variant in b)
        for i, a in enumerate(hashes)
        for b in hashes[i + 1 :]
    ]
    assert min(distances) > NEAR_BITS
    # Unrelated bits differ in half of 64; the nearest of eight variants comes below that.
    assert 20 < np.mean(distances) < 32
