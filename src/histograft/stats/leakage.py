"""What training and test data share that they should not."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

_HASH_BITS = 64
_BAND_BITS = 16
_CANDIDATES_AT_ONCE = 1 << 21
# Each of four 16-bit bands is probed at up to this distance (137 keys); beyond it, comparing
# everything with everything is faster.
_LARGEST_PROBE = 2


def groups_across_splits(groups: ArrayLike, splits: ArrayLike) -> list[tuple[Any, list[Any]]]:
    """List groups that have units in more than one split.

    Parameters
    ----------
    groups, splits : array-like, shape (N,)
        Group and split of each unit.

    Returns
    -------
    list of (group, list of splits)
        Sorted by group; empty where no group is divided.

    Examples
    --------
    >>> groups_across_splits(["p1", "p1", "p2"], ["train", "test", "test"])
    [('p1', ['test', 'train'])]
    """
    names, group_index = np.unique(np.asarray(groups), return_inverse=True)
    split_names, split_index = np.unique(np.asarray(splits), return_inverse=True)
    found = np.zeros((len(names), len(split_names)), dtype=bool)
    found[group_index, split_index] = True
    return [
        (names[g].item(), split_names[found[g]].tolist())
        for g in np.flatnonzero(found.sum(axis=1) > 1)
    ]


def near_duplicate_pairs(hashes: NDArray[np.uint64], max_distance: int) -> Pairs:
    """Find pairs of images whose perceptual hashes nearly agree, turned or mirrored or not.

    The distance of images i < j is the smallest number of differing bits between variant 0 of i
    and any variant of j. Two hashes within d bits agree in one of their four 16-bit bands up to
    d // 4 bits, so only images that share such a band are compared (Norouzi, Punjani and Fleet
    2014, doi:10.1109/TPAMI.2013.231): the result is exact.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (N, V)
        Hashes of the V variants (turned, mirrored) of each image; variant 0 is the image itself.
    max_distance : int
        Most differing bits, 0 … 64.

    Returns
    -------
    first, second, distance : ndarray of int64, shape (pairs,)
        Images i < j and their distance, sorted by i, then j.

    Raises
    ------
    InputError
        The hashes are not a table of uint64, or the distance is outside 0 … 64.

    Examples
    --------
    >>> hashes = np.array([[0b0000, 0b1111], [0b1110, 0b0001], [0xFF00, 0xFFFF]], dtype=np.uint64)
    >>> [column.tolist() for column in near_duplicate_pairs(hashes, 2)]
    [[0], [1], [1]]
    """
    if hashes.ndim != 2 or hashes.dtype != np.uint64:
        raise InputError(
            f"hashes of shape {hashes.shape} and type {hashes.dtype}",
            "give a table (images, variants) of uint64",
        )
    if not 0 <= max_distance <= _HASH_BITS:
        raise InputError(f"a distance of {max_distance} bits", "take 0 to 64 bits")
    n_images = len(hashes)
    probe = max_distance // (_HASH_BITS // _BAND_BITS)
    if n_images < 2000 or probe > _LARGEST_PROBE:
        found = _compare_all(hashes, max_distance)
    else:
        found = np.concatenate(
            [
                _compare_band(hashes, max_distance, shift, probe)
                for shift in range(0, _HASH_BITS, _BAND_BITS)
            ]
        )
    pairs = np.unique(found)
    first, second = pairs // max(n_images, 1), pairs % max(n_images, 1)
    return first, second, _distance(hashes, first, second)


def overlap_share(
    test_boxes: NDArray[Any],
    train_boxes: NDArray[Any],
    test_sources: ArrayLike,
    train_sources: ArrayLike,
) -> float | None:
    """Share of test patches that overlap a training patch of the same source image.

    Parameters
    ----------
    test_boxes, train_boxes : ndarray, shapes (N, 4) and (M, 4)
        Left and top edge, width and height of each patch, in pixels of the rescaled image.
        Boxes that only touch do not overlap.
    test_sources, train_sources : array-like, shapes (N,) and (M,)
        Source image of each patch.

    Returns
    -------
    float or None
        0 … 1; None without test patches.

    Raises
    ------
    InputError
        A table of boxes has not four columns, or sources are missing.

    Examples
    --------
    >>> train = np.array([[0, 0, 10, 10]])
    >>> test = np.array([[5, 5, 10, 10], [10, 0, 10, 10]])
    >>> overlap_share(test, train, ["a", "a"], ["a"])
    0.5
    """
    tests, trains = np.asarray(test_sources), np.asarray(train_sources)
    for boxes, sources in ((test_boxes, tests), (train_boxes, trains)):
        if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) != len(sources):
            raise InputError(
                f"boxes of shape {boxes.shape} for {len(sources)} sources",
                "give left, top, width and height and one source for each patch",
            )
    if not len(tests):
        return None
    overlapping = 0
    common = np.intersect1d(tests, trains)
    test_of, train_of = _rows_by_name(tests, common), _rows_by_name(trains, common)
    for rows, others in zip(test_of, train_of, strict=True):
        overlapping += int(_overlaps_any(test_boxes[rows], train_boxes[others]).sum())
    return overlapping / len(tests)


def _rows_by_name(names: NDArray[Any], wanted: NDArray[Any]) -> list[NDArray[np.intp]]:
    order = np.argsort(names, kind="stable")
    starts = np.searchsorted(names[order], wanted, side="left")
    stops = np.searchsorted(names[order], wanted, side="right")
    return [order[a:b] for a, b in zip(starts, stops, strict=True)]


def _overlaps_any(boxes: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    low, high = others[:, :2], others[:, :2] + others[:, 2:]
    result = np.zeros(len(boxes), dtype=bool)
    block = max(1, _CANDIDATES_AT_ONCE // max(len(others), 1))
    for start in range(0, len(boxes), block):
        part = boxes[start : start + block]
        meets = (part[:, None, :2] < high) & (low < part[:, None, :2] + part[:, None, 2:])
        result[start : start + block] = meets.all(axis=2).any(axis=1)
    return result


def _compare_all(hashes: NDArray[np.uint64], max_distance: int) -> NDArray[np.int64]:
    n_images = len(hashes)
    block = max(1, _CANDIDATES_AT_ONCE // max(hashes.size, 1))
    found = []
    for start in range(0, n_images, block):
        own = hashes[start : start + block, 0]
        near = _bits(own[:, None, None] ^ hashes).min(axis=2) <= max_distance
        first, second = np.nonzero(near)
        first += start
        later = first < second
        found.append(first[later] * n_images + second[later])
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def _compare_band(
    hashes: NDArray[np.uint64], max_distance: int, shift: int, probe: int
) -> NDArray[np.int64]:
    """Find pairs whose bands at `shift` differ in up to `probe` bits, as ``i * N + j``."""
    n_images, n_variants = hashes.shape
    mask = (1 << _BAND_BITS) - 1
    keys = ((hashes >> np.uint64(shift)) & np.uint64(mask)).astype(np.int64)
    order = np.argsort(keys.ravel(), kind="stable")
    starts = np.searchsorted(keys.ravel()[order], np.arange(mask + 2))
    found = []
    for flips in (f for n in range(probe + 1) for f in combinations(range(_BAND_BITS), n)):
        wanted = keys[:, 0] ^ sum(1 << bit for bit in flips)
        first_slot, n_slots = starts[wanted], starts[wanted + 1] - starts[wanted]
        for rows in _even_parts(n_slots):
            n = n_slots[rows]
            first = np.repeat(np.arange(rows.start, rows.stop), n)
            within = np.arange(len(first)) - np.repeat(np.cumsum(n) - n, n)
            slot = order[np.repeat(first_slot[rows], n) + within]
            second = slot // n_variants
            near = _bits(hashes[first, 0] ^ hashes.ravel()[slot]) <= max_distance
            near &= first < second
            found.append(np.unique(first[near] * n_images + second[near]))
    return np.unique(np.concatenate(found))


def _even_parts(sizes: NDArray[np.int64]) -> list[slice]:
    """Cut a range into parts whose sizes sum to about `_CANDIDATES_AT_ONCE` at most."""
    ends = np.cumsum(sizes)
    marks = np.arange(_CANDIDATES_AT_ONCE, int(ends[-1]), _CANDIDATES_AT_ONCE)
    cuts = np.unique(np.concatenate([[0], np.searchsorted(ends, marks), [len(sizes)]]))
    return [slice(int(a), int(b)) for a, b in pairwise(cuts)]


def _distance(
    hashes: NDArray[np.uint64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    bits = _bits(hashes[first, :1] ^ hashes[second])
    smallest: NDArray[np.int64] = bits.min(axis=1, initial=_HASH_BITS).astype(np.int64)
    return smallest


_BITS_OF_16 = np.array([bin(i).count("1") for i in range(1 << 16)], dtype=np.uint8)


def _bits(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Count the bits that are set; NumPy 1.26 has no ``bitwise_count`` yet."""
    if hasattr(np, "bitwise_count"):
        counted: NDArray[np.uint8] = np.bitwise_count(values)
        return counted
    words = np.ascontiguousarray(values).view(np.uint16).reshape(*values.shape, 4)
    summed: NDArray[np.uint8] = _BITS_OF_16[words].sum(axis=-1, dtype=np.uint8)
    return summed
