"""Means of tiles, slides and patients against NumPy, in any blocks and order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.stats.pooling import FeatureSums, NearestTile, pool_slides


def in_blocks(pool, features, cuts):
    for block in np.split(features, sorted(cuts)):
        pool.add(block)
    return pool


def pooled(features, slides, patients, weighting="tiles"):
    """Means of patients, and their names in the alphabet's order."""
    sums = {
        s: in_blocks(FeatureSums(features.shape[1]), features[slides == s], [])
        for s in np.unique(slides).tolist()
    }
    patient_of = dict(zip(slides.tolist(), patients.tolist(), strict=True))
    found = pool_slides(sums, patient_of, weighting=weighting)
    return np.array([found[name] for name in sorted(found)]), sorted(found)


@given(
    st.integers(0, 10_000), st.lists(st.integers(0, 30), max_size=5), st.sampled_from("efd"),
    st.sampled_from([0.0, 1e3]),
)  # fmt: skip
def test_equals_numpy(seed, cuts, dtype, offset):
    features = (np.random.default_rng(seed).normal(size=(30, 4)) + offset).astype(dtype)
    found = in_blocks(FeatureSums(4), features, cuts)
    exact = features.astype(np.float64)
    assert found.n_tiles == 30
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found.sd, exact.std(axis=0), rtol=1e-9)


@given(st.integers(0, 10_000), st.sampled_from(["tiles", "slides"]))
def test_patients_by_their_definition(seed, weighting):
    rng = np.random.default_rng(seed)
    features, slides = rng.normal(size=(60, 3)), rng.integers(0, 8, 60)
    patients = np.array(["p1", "p2", "p3", "p1", "p2", "p3", "p1", "p4"])[slides]
    means, names = pooled(features, slides, patients, weighting)
    for mean, name in zip(means, names, strict=True):
        here = patients == name
        parts = [features[slides == s].mean(axis=0) for s in np.unique(slides[here])]
        wanted = features[here].mean(axis=0) if weighting == "tiles" else np.mean(parts, axis=0)
        np.testing.assert_allclose(mean, wanted, atol=1e-13)
    assert names == sorted(set(patients))


@given(st.integers(0, 10_000), st.sampled_from(["tiles", "slides"]))
def test_order_does_not_matter(seed, weighting):
    rng = np.random.default_rng(seed)
    features, slides = rng.normal(size=(40, 3)), rng.integers(0, 6, 40)
    order = rng.permutation(40)
    found, moved = (
        pooled(features[o], slides[o], slides[o] // 2, weighting)[0] for o in (np.arange(40), order)
    )
    np.testing.assert_allclose(found, moved, atol=1e-13)


@given(st.integers(0, 10_000), st.integers(0, 20))
def test_parts_join(seed, cut):
    features = np.random.default_rng(seed).normal(size=(20, 3))
    parts = [in_blocks(FeatureSums(3), part, []) for part in (features[:cut], features[cut:])]
    parts[0].join(parts[1])
    np.testing.assert_allclose(parts[0].mean, features.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(parts[0].sd, features.std(axis=0), atol=1e-13)


def test_one_tile_is_its_own_mean():
    tile = np.array([[0.1, 1e30, -3.7]])
    found = in_blocks(FeatureSums(3), tile, [])
    np.testing.assert_array_equal(found.mean, tile[0])
    np.testing.assert_array_equal(found.sd, 0)
    np.testing.assert_array_equal(pooled(tile, np.array(["s"]), np.array(["p"]))[0], tile)
    nearest = in_blocks(NearestTile(found.mean, found.sd), tile, [])
    assert (nearest.index, nearest.distance) == (0, 0)


def test_sums_in_single_precision_would_lose_digits():
    """2²⁴ is where float32 stops counting: the sum of 2e5 tiles of 1000.1 lies far above it."""
    features = np.full((200_000, 1), 1000.1, dtype=np.float32)
    found = in_blocks(FeatureSums(1), features, range(1000, 200_000, 1000))
    assert found.mean[0] == pytest.approx(float(np.float32(1000.1)), rel=1e-12)


@given(st.integers(0, 10_000), st.lists(st.integers(0, 25), max_size=4))
def test_nearest_tile(seed, cuts):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(25, 4)) * [1, 10, 100, 0] + [0, 0, 5, 0.1]
    sums = in_blocks(FeatureSums(4), features, cuts)
    found = in_blocks(NearestTile(sums.mean, sums.sd), features, cuts)
    z = (features[:, :3] - features[:, :3].mean(axis=0)) / features[:, :3].std(axis=0)
    distance = np.linalg.norm(z, axis=1)
    assert found.index == distance.argmin()
    assert found.distance == pytest.approx(distance.min(), abs=1e-9)


def test_first_of_equal_tiles():
    tiles = np.array([[5.0], [1.0], [1.0]])
    found = in_blocks(NearestTile(np.array([0.0]), np.array([1.0])), tiles, [2])
    assert (found.index, found.distance) == (1, 1)


def test_refuses():
    sums = in_blocks(FeatureSums(2), np.ones((3, 2)), [])
    for bad in (np.ones((3, 5)), np.ones(2), np.array([[np.nan, 1.0]])):
        for pool in (sums, NearestTile(sums.mean, sums.sd)):
            with pytest.raises(InputError):
                pool.add(bad)
    with pytest.raises(InputError):
        sums.join(FeatureSums(3))
    with pytest.raises(InputError):
        NearestTile(np.zeros(2), np.zeros(3))
    for slides, patients, options in (
        ({"s": sums}, {}, {}), ({"s": FeatureSums(2)}, {"s": "p"}, {}),
        ({"s": sums}, {"s": "p"}, {"weighting": "area"}),
    ):  # fmt: skip
        with pytest.raises(InputError):
            pool_slides(slides, patients, **options)
