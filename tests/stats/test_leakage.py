"""Leakage checks against slow and obvious versions of themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.stats import leakage
from histograft.stats.leakage import groups_across_splits, near_duplicate_pairs, overlap_share


def slow_pairs(hashes, most):
    result = []
    for i in range(len(hashes)):
        for j in range(i + 1, len(hashes)):
            bits = min(bin(int(hashes[i, 0]) ^ int(h)).count("1") for h in hashes[j])
            if bits <= most:
                result.append((i, j, bits))
    return result


def hashes_with_duplicates(seed, n=60, n_variants=4):
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (n, n_variants), dtype=np.uint64)
    for _ in range(n):
        i, j = rng.integers(0, n, 2)
        bits = rng.choice(64, rng.integers(0, 16), replace=False)
        flip = np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64), initial=np.uint64(0))
        hashes[j, rng.integers(0, n_variants)] = hashes[i, 0] ^ flip
    return hashes


@given(st.integers(0, 9999), st.sampled_from([0, 3, 4, 6, 8, 11, 12, 20]))
@settings(deadline=None, max_examples=40)
def test_all_against_all(seed, most):
    hashes = hashes_with_duplicates(seed)
    found = near_duplicate_pairs(hashes, most)
    assert list(zip(*(c.tolist() for c in found), strict=True)) == slow_pairs(hashes, most)


@pytest.mark.parametrize("most", [0, 3, 4, 6, 8, 11])
@pytest.mark.parametrize("at_once", [1 << 21, 500])
def test_bands_find_what_all_against_all_finds(monkeypatch, most, at_once):
    monkeypatch.setattr(leakage, "_CANDIDATES_AT_ONCE", at_once)
    hashes = hashes_with_duplicates(1, n=2100)
    first, second, distance = near_duplicate_pairs(hashes, most)
    assert (first < second).all()
    assert distance.max() <= most
    expected = leakage._compare_all(hashes, most)
    np.testing.assert_array_equal(first * 2100 + second, np.unique(expected))
    assert len(first) > 20


def test_many_equal_images():
    hashes = np.full((2100, 2), 7, dtype=np.uint64)
    hashes[50:, :] = np.random.default_rng(0).integers(0, 2**64, (2050, 2), dtype=np.uint64)
    first, _, distance = near_duplicate_pairs(hashes, 2)
    assert len(first) == 50 * 49 / 2
    assert (distance == 0).all()


def test_bits_without_numpy_2(monkeypatch):
    values = np.array([[0, 1, 2**64 - 1], [2**63, 255, 2**32 + 1]], dtype=np.uint64)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert leakage._bits(values).tolist() == [[0, 1, 64], [1, 8, 2]]
    assert leakage._bits(values[:, ::2].T).tolist() == [[0, 1], [64, 2]]


def test_no_images():
    assert all(len(c) == 0 for c in near_duplicate_pairs(np.empty((0, 8), np.uint64), 6))


@pytest.mark.parametrize(
    ("hashes", "most"), [(np.zeros((3, 2)), 3), (np.zeros(3, np.uint64), 3), (None, 65)]
)
def test_refuses_hashes(hashes, most):
    with pytest.raises(InputError):
        near_duplicate_pairs(np.zeros((3, 2), np.uint64) if hashes is None else hashes, most)


def test_groups_across_splits():
    groups = ["b", "a", "b", "c", "c", "b"]
    splits = ["test", "train", "train", "val", "val", "val"]
    assert groups_across_splits(groups, splits) == [("b", ["test", "train", "val"])]
    assert groups_across_splits([], []) == []


BOX = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 8)] * 2, st.sampled_from("abc"))


@given(st.lists(BOX, min_size=1, max_size=15), st.lists(BOX, max_size=15))
def test_overlap_share_pixel_by_pixel(test, train):
    def pixels(box):
        x, y, w, h, source = box
        return {(source, i, j) for i in range(x, x + w) for j in range(y, y + h)}

    seen = set().union(*map(pixels, train)) if train else set()
    expected = np.mean([bool(pixels(box) & seen) for box in test])
    boxes = [np.array([b[:4] for b in side], dtype=int).reshape(-1, 4) for side in (test, train)]
    sources = [[b[4] for b in side] for side in (test, train)]
    assert overlap_share(*boxes, *sources) == pytest.approx(expected)


def test_overlap_share_without_test_patches():
    assert overlap_share(np.empty((0, 4)), np.zeros((1, 4)), [], ["a"]) is None


def test_overlap_share_refuses_corners():
    with pytest.raises(InputError, match="left, top, width and height"):
        overlap_share(np.zeros((1, 2)), np.zeros((1, 2)), ["a"], ["a"])
