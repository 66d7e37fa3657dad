"""Who is tested when: repeated stratified folds and splits that keep groups whole.

scikit-learn's ``StratifiedGroupKFold`` is not used: it orders groups by the spread of their
class counts, so where no two groups are alike every shuffle gives the same folds, and it does
not promise that a class is in each training set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError
from histograft.stats.allocation import class_counts, deal, presence, random_order

_ATTEMPTS = 20


@dataclass(frozen=True)
class FoldPlan:
    """Test folds of repeated cross-validation.

    Attributes
    ----------
    folds : ndarray of int16, shape (R, N)
        Fold in which each unit is tested, in each repeat; -1 for units that are left out.
    n_folds : int
        Number of folds.
    n_repeats : int
        Number of repeats R.
    grouped : bool
        Whether groups were kept whole.
    left_out : dict of str to str
        Classes that are left out, each with the reason, such as ``"3 groups for 5 folds"``.
    """

    folds: NDArray[np.int16] = field(repr=False)
    n_folds: int
    n_repeats: int
    grouped: bool
    left_out: dict[str, str]


def plan_folds(
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    n_folds: int = 5,
    n_repeats: int = 50,
    seed: int,
) -> FoldPlan:
    """Plan repeated, stratified and, where groups are known, grouped cross-validation.

    In each repeat every kept unit is tested exactly once, no group is tested in two folds, and
    each class is in each training set. Without groups, class counts of two folds differ by at
    most one; with groups they are as even as greedy dealing makes them.

    Parameters
    ----------
    labels : array-like, shape (N,)
        Class of each unit.
    groups : array-like, shape (N,), optional
        What must not be split. None: every unit stands for itself.
    n_folds : int, default 5
        Number of folds, 2 or above.
    n_repeats : int, default 50
        Number of repeats, 1 or above. The first repeats do not depend on how many follow.
    seed : int
        The same seed gives the same folds.

    Returns
    -------
    FoldPlan

    Raises
    ------
    InputError
        Fewer than two classes have as many units (with groups: groups) as there are folds, the
        lengths differ, or whole groups cannot be dealt so that each class is in each
        training set.

    Examples
    --------
    >>> plan = plan_folds(["a"] * 6 + ["b"] * 6 + ["c"], n_folds=3, n_repeats=2, seed=0)
    >>> plan.left_out
    {'c': '1 unit for 3 folds'}
    >>> np.bincount(plan.folds[0, :6]).tolist(), int(plan.folds[0, 12])
    ([2, 2, 2], -1)
    """
    label_array = np.asarray(labels)
    if n_folds < 2 or n_repeats < 1:
        raise InputError(
            f"{n_folds} fold(s) and {n_repeats} repeat(s) are no cross-validation",
            "take 2 folds or more and 1 repeat or more",
        )
    classes, label_index = np.unique(label_array, return_inverse=True)
    group_index = None if groups is None else _index_groups(groups, len(label_array))
    left_out = _classes_left_out(classes, label_index, group_index, n_folds)
    kept = ~np.isin(label_index, [i for i, c in enumerate(classes) if str(c) in left_out])
    if len(classes) - len(left_out) < 2:
        raise InputError(
            f"fewer than two classes have enough {'units' if groups is None else 'groups'} for "
            f"{n_folds} folds: "
            + (
                "; ".join(f"{c}: {why}" for c, why in left_out.items()) or "there is only one class"
            ),
            "take fewer --folds (2 is the least), or add data",
        )
    rngs = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(n_repeats)]
    _, kept_labels = np.unique(label_index[kept], return_inverse=True)
    folds = np.full((n_repeats, len(label_array)), -1, dtype=np.int16)
    if group_index is None:
        folds[:, kept] = [_deal_units(kept_labels, n_folds, rng) for rng in rngs]
    else:
        _, kept_groups = np.unique(group_index[kept], return_inverse=True)
        folds[:, kept] = _deal_groups(kept_labels, kept_groups, n_folds, rngs)
    return FoldPlan(folds, n_folds, n_repeats, groups is not None, left_out)


def plan_unstratified_folds(
    n_units: int, *, n_folds: int = 5, n_repeats: int = 50, seed: int
) -> FoldPlan:
    """Plan repeated cross-validation of units without classes, such as patients and expression.

    In each repeat every unit is tested once, and sizes of folds differ by one at most.

    Parameters
    ----------
    n_units : int
        Number of units, as many as folds or more.
    n_folds, n_repeats, seed
        As in `plan_folds`.

    Returns
    -------
    FoldPlan

    Raises
    ------
    InputError
        There are fewer units than folds, or fewer than two folds.

    Examples
    --------
    >>> plan = plan_unstratified_folds(7, n_folds=3, n_repeats=2, seed=0)
    >>> [sorted(np.bincount(folds).tolist()) for folds in plan.folds]
    [[2, 2, 3], [2, 2, 3]]
    """
    if n_folds < 2 or n_repeats < 1 or n_units < n_folds:
        raise InputError(
            f"{n_folds} fold(s) and {n_repeats} repeat(s) over {n_units} unit(s) are no "
            "cross-validation",
            "take 2 folds or more, at most as many as units, and 1 repeat or more",
        )
    rngs = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(n_repeats)]
    alike = np.zeros(n_units, dtype=np.int64)
    folds = np.stack([_deal_units(alike, n_folds, rng) for rng in rngs])
    return FoldPlan(folds, n_folds, n_repeats, grouped=False, left_out={})


def split_groups(
    labels: ArrayLike, groups: ArrayLike, *, fractions: Mapping[str, float], seed: int
) -> NDArray[np.str_]:
    """Divide units into named splits without dividing a group, stratified by class.

    A class that has at least as many groups as there are splits gets at least one group in
    each (where groups hold several classes: as far as twenty attempts find such a division).
    The result does not depend on the order of rows.

    Parameters
    ----------
    labels : array-like, shape (N,)
        Class of each unit.
    groups : array-like, shape (N,)
        Group of each unit.
    fractions : mapping of str to float
        Share of units of each split, such as ``{"train": 0.7, "val": 0.1, "test": 0.2}``;
        0 or above, summing to 1.
    seed : int
        The same seed gives the same splits.

    Returns
    -------
    ndarray of str, shape (N,)
        Name of the split of each unit.

    Raises
    ------
    InputError
        The fractions are negative or do not sum to 1, or the lengths differ.

    Examples
    --------
    >>> labels, groups = ["a"] * 4 + ["b"] * 4, [1, 1, 2, 3, 4, 4, 5, 6]
    >>> split = split_groups(labels, groups, fractions={"train": 0.5, "test": 0.5}, seed=1)
    >>> bool(split[0] == split[1]), sorted(set(split[:4].tolist()))
    (True, ['test', 'train'])
    """
    if any(not f >= 0 for f in fractions.values()) or not np.isclose(sum(fractions.values()), 1):
        raise InputError(
            f"the fractions of the splits are {dict(fractions)}",
            "give fractions of 0 or above that sum to 1",
        )
    names = [name for name in sorted(fractions) if fractions[name] > 0]
    shares = np.array([fractions[name] for name in names], dtype=np.float64)
    label_array = np.asarray(labels)
    group_index = _index_groups(groups, len(label_array))
    if not len(label_array):
        return np.empty(0, dtype=np.str_)
    classes, label_index = np.unique(label_array, return_inverse=True)
    counts = class_counts(label_index, group_index, len(classes))
    wanted = (counts > 0).sum(axis=0) >= len(names)
    best, fewest = np.empty(0, dtype=np.int64), len(names) * len(classes) + 1
    for child in np.random.SeedSequence(seed).spawn(_ATTEMPTS):
        bins = _divide_once(counts, shares, wanted, np.random.default_rng(child))
        holes = int((presence(counts, bins[None], len(names))[0][:, wanted] == 0).sum())
        if holes < fewest:
            best, fewest = bins, holes
        if not holes:
            break
    return np.array(names, dtype=np.str_)[best[group_index]]


def join_groups(groups: ArrayLike, images: ArrayLike) -> NDArray[np.str_]:
    """Join groups that hold the same image: on both sides of a split it would be a leak.

    Parameters
    ----------
    groups : array-like, shape (N,)
        Group of each unit.
    images : array-like, shape (N,)
        What equals where two units are of the same image, such as a hash of its file.

    Returns
    -------
    ndarray of str, shape (N,)
        Joined groups take the first of their names in alphabetical order; others keep theirs.

    Raises
    ------
    InputError
        The lengths differ.

    Examples
    --------
    >>> join_groups(["p1", "p2", "p2", "p3"], ["x", "x", "y", "z"]).tolist()
    ['p1', 'p1', 'p1', 'p3']
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    image = _index_groups(images, len(group))
    size = len(names) + (int(image.max()) + 1 if len(image) else 0)
    links = coo_array((np.ones(len(group)), (group, len(names) + image)), shape=(size, size))
    _, part = connected_components(links, directed=False)
    _, first, position = np.unique(part[: len(names)], return_index=True, return_inverse=True)
    joined: NDArray[np.str_] = names[first][position][group]
    return joined


def _index_groups(groups: ArrayLike, n_units: int) -> NDArray[np.int64]:
    names = np.asarray(groups)
    if len(names) != n_units:
        raise InputError(f"{n_units} labels but {len(names)} groups", "give one group a unit")
    _, index = np.unique(names, return_inverse=True)
    return index.astype(np.int64)


def _classes_left_out(
    classes: NDArray[Any],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    n_folds: int,
) -> dict[str, str]:
    word = "unit" if groups is None else "group"
    left_out = {}
    for index, name in enumerate(classes):
        of_class = labels == index
        n = int(of_class.sum()) if groups is None else len(np.unique(groups[of_class]))
        if n < n_folds:
            left_out[str(name)] = f"{n} {word}{'' if n == 1 else 's'} for {n_folds} folds"
    return left_out


def _deal_units(
    labels: NDArray[np.int64], n_folds: int, rng: np.random.Generator
) -> NDArray[np.int16]:
    # Classes one after the other, each in random order, dealt like cards: class counts and
    # fold sizes differ by at most one.
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int16)
    folds[order] = np.arange(len(labels)) % n_folds
    return folds


def _deal_groups(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    n_folds: int,
    rngs: list[np.random.Generator],
) -> NDArray[np.int16]:
    counts = class_counts(labels, groups, int(labels.max()) + 1)
    fractions = np.full(n_folds, 1 / n_folds)
    dealt = np.full((len(rngs), len(counts)), -1, dtype=np.int64)
    covered = np.zeros(len(rngs), dtype=np.int64)
    for _ in range(_ATTEMPTS):
        # A repeat is drawn again while a class misses a fold; the best draw is kept.
        open_repeats = np.flatnonzero(covered < counts.shape[1] * n_folds)
        if not len(open_repeats):
            break
        orders = np.stack([random_order(counts, rngs[r]) for r in open_repeats])
        chance = np.stack([rngs[r].random((len(counts), n_folds)) for r in open_repeats])
        bins = deal(counts, fractions, orders, chance)
        found = (presence(counts, bins, n_folds) > 0).sum(axis=(1, 2))
        better = found > covered[open_repeats]
        dealt[open_repeats[better]], covered[open_repeats[better]] = bins[better], found[better]
    in_folds = (presence(counts, dealt, n_folds) > 0).sum(axis=1)
    if in_folds.min() < 2:
        raise InputError(
            f"whole groups cannot be dealt to {n_folds} folds so that each class is in each "
            "training set",
            "take other folds, or leave out the class whose units share groups with most others",
        )
    return dealt[:, groups].astype(np.int16)


def _divide_once(
    counts: NDArray[np.float64],
    fractions: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    order = random_order(counts, rng)
    reserved = _reserve(counts, fractions, wanted, rng.permutation(len(counts)))
    chance = rng.random((1, len(counts), len(fractions)))
    bins: NDArray[np.int64] = deal(counts, fractions, order[None], chance, reserved[None])[0]
    return bins


def _reserve(
    counts: NDArray[np.float64],
    fractions: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Set one group aside for each class and bin: rare classes first, small bins first.

    The first group in `order` that does not overfill the bin, or the smallest where all would.
    """
    shares = counts / counts.sum(axis=0)
    bins = np.full(len(counts), -1, dtype=np.int64)
    filled = np.zeros((len(fractions), counts.shape[1]))
    n_groups = (counts > 0).sum(axis=0)
    for label in sorted(np.flatnonzero(wanted), key=lambda c: (n_groups[c], c)):
        for bin_ in np.argsort(fractions, kind="stable"):
            if filled[bin_, label] > 0:
                continue
            free = order[(bins[order] < 0) & (counts[order, label] > 0)]
            if not len(free):
                continue
            fits = ((filled[bin_] + shares[free]) <= fractions[bin_] + 1e-12).all(axis=1)
            group = free[fits.argmax()] if fits.any() else free[shares[free].max(axis=1).argmin()]
            bins[group] = bin_
            filled[bin_] += shares[group]
    return bins
