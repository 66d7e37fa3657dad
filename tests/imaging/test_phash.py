"""Perceptual hashes against imagehash, and what they find and do not find."""

from __future__ import annotations

import io
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histograft.imaging.phash import perceptual_hashes

BITS_OF_A_BYTE = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)
COPY_BITS = 4  # re-encoded, resized, brightened or turned copies differ in no more


def blobs(seed: int, side: int = 224) -> np.ndarray:
    """A smooth random picture: tissue has most of its power in low frequencies."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side, side, 3))
    for cells in (4, 8, 16, 32):
        small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
        picture += np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)) / 4
    return picture.round().astype(np.uint8)


def variants(pixels: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(base, k) for base in (pixels, pixels[:, ::-1]) for k in range(4)]


def distance(first: np.ndarray, second: np.ndarray) -> int:
    """Least differing bits between the first image and any variant of the second."""
    differing = perceptual_hashes(first)[0] ^ perceptual_hashes(second)
    return min(int(bits).bit_count() for bits in differing)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def imagehash_of(pixels: np.ndarray) -> int:
    return int(str(imagehash.phash(Image.fromarray(np.ascontiguousarray(pixels)))), 16)


@given(seed=st.integers(0, 10_000), side=st.sampled_from([32, 33, 100, 224]))
def test_identity_is_imagehash_phash(seed: int, side: int) -> None:
    pixels = blobs(seed, side)
    assert int(perceptual_hashes(pixels)[0]) == imagehash_of(pixels)


@given(seed=st.integers(0, 10_000))
def test_each_variant_is_imagehash_phash_of_that_variant(seed: int) -> None:
    # A 32 x 32 grey image is its own thumbnail, so turning it and shrinking it commute exactly.
    grey = np.asarray(Image.fromarray(blobs(seed, 32)).convert("L"))
    pixels = np.repeat(grey[..., None], 3, axis=2)
    hashes = perceptual_hashes(pixels)
    assert [int(h) for h in hashes] == [imagehash_of(v) for v in variants(pixels)]


@pytest.mark.parametrize("size", [(150, 700), (31, 33), (8, 8), (1, 40)])
def test_identity_is_imagehash_phash_for_noise_of_any_size(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    assert int(perceptual_hashes(pixels)[0]) == imagehash_of(pixels)


def test_variants_of_a_turned_copy_are_the_same_set() -> None:
    # So it does not matter which of two images is turned.
    grey = np.asarray(Image.fromarray(blobs(3, 32)).convert("L"))
    pixels = np.repeat(grey[..., None], 3, axis=2)
    original = set(perceptual_hashes(pixels).tolist())
    for copy in variants(pixels):
        assert set(perceptual_hashes(np.ascontiguousarray(copy)).tolist()) == original


@given(seed=st.integers(0, 10_000), turn=st.integers(0, 7))
def test_turned_copy_is_found(seed: int, turn: int) -> None:
    pixels = blobs(seed)
    assert distance(np.ascontiguousarray(variants(pixels)[turn]), pixels) <= 2


@pytest.mark.parametrize("quality", [90, 75, 50, 30])
def test_encoded_copy_is_found_also_where_it_was_turned(quality: int) -> None:
    for seed in range(20):
        pixels = blobs(seed)
        copy = jpeg(variants(pixels)[seed % 8], quality)
        assert distance(copy, pixels) <= COPY_BITS


def test_resized_copy_is_found() -> None:
    for seed in range(20):
        pixels = blobs(seed)
        half = np.asarray(Image.fromarray(pixels).resize((112, 112), Image.Resampling.BICUBIC))
        assert distance(half, pixels) <= COPY_BITS


def test_paler_copy_is_found() -> None:
    for seed in range(20):
        pixels = blobs(seed)
        assert distance((pixels * 0.8 + 40).astype(np.uint8), pixels) <= COPY_BITS


def test_different_pictures_are_far() -> None:
    hashes = np.array([perceptual_hashes(blobs(seed)) for seed in range(60)])
    nearest = [
        min(int(b).bit_count() for b in hashes[i, 0] ^ hashes[j])
        for i in range(60)
        for j in range(i)
    ]
    # The least of eight draws of about 32 +- 4 bits.
    assert min(nearest) > 2 * COPY_BITS
    assert 22 < np.mean(nearest) < 30


def test_half_of_the_frequencies_lie_above_their_median() -> None:
    for seed in range(10):
        assert {int(h).bit_count() for h in perceptual_hashes(blobs(seed))} == {32}


@pytest.mark.parametrize("value", [1, 37, 128, 255])
def test_plain_patch_has_no_noise_in_its_hash(value: int) -> None:
    # Only the mean (the highest bit) lies above the median of a plain patch.
    hashes = perceptual_hashes(np.full((50, 50, 3), value, np.uint8))
    assert {int(h) for h in hashes} == {1 << 63}


def test_shape_and_type() -> None:
    hashes = perceptual_hashes(blobs(0))
    assert hashes.shape == (8,)
    assert hashes.dtype == np.uint64


@pytest.mark.real
def test_marked_copies_of_oral_oscc_are_found_and_nothing_else(shared_data: Path) -> None:
    folder = shared_data / "data" / "oral-oscc"
    table = pd.read_csv(folder / "samples.csv")
    hashes = np.array(
        [perceptual_hashes(np.asarray(Image.open(folder / f).convert("RGB"))) for f in table.file]
    )
    found = set()
    for v in range(8):
        # 1,194 x 1,194 pairs; NumPy before 2.0 cannot count bits, so bytes are looked up.
        differing = (hashes[:, None, 0] ^ hashes[None, :, v])[..., None].view(np.uint8)
        counts = sum(BITS_OF_A_BYTE[differing[..., byte]] for byte in range(8))
        found |= {(i, j) for i, j in np.argwhere(counts <= COPY_BITS).tolist() if i < j}
    marked = table[table["near_duplicate"].notna()].groupby("near_duplicate").groups.values()
    assert found == {tuple(sorted(pair)) for pair in marked}
    assert len(found) == 8
