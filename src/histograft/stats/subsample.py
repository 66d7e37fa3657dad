"""Draw some of the units of a set: at most so many of a class, or shares for splits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray


def draw_per_class(
    labels: ArrayLike, splits: ArrayLike, limits: Mapping[str, int], *, seed: int
) -> NDArray[np.bool_]:
    """Keep at most so many units of each class in each split, drawn at random.

    Parameters
    ----------
    labels, splits : array-like of str, shape (N,)
        Class and split of each unit.
    limits : mapping of str to int
        Split to the most units of one class; a split that is not named is kept whole.
    seed : int
        The same seed draws the same units. What is drawn of one class and split does not depend
        on the others.

    Returns
    -------
    array of bool, shape (N,)
        Whether a unit is kept.

    Notes
    -----
    HistoKT trains on 1,000 images of each class of PCam and on 2,000 of NCT-CRC-HE-100K-NONORM
    (Zhang et al. 2022, doi:10.48550/arXiv.2201.11246, Table 1).

    Examples
    --------
    >>> kept = draw_per_class(["a"] * 5 + ["b"], ["train"] * 6, {"train": 2}, seed=0)
    >>> int(kept[:5].sum()), bool(kept[5])
    (2, True)
    """
    label_array, split_array = np.asarray(labels, dtype=str), np.asarray(splits, dtype=str)
    kept = np.ones(len(label_array), dtype=np.bool_)
    for split, limit in limits.items():
        for label in np.unique(label_array):
            members = np.flatnonzero((label_array == label) & (split_array == split))
            if len(members) > limit:
                entropy = [seed, *f"{split} {label}".encode()]
                order = np.random.default_rng(entropy).permutation(len(members))
                kept[members[order[limit:]]] = False
    return kept


def draw_split(n_units: int, fractions: Mapping[str, float], *, seed: int) -> NDArray[np.str_]:
    """Deal units to splits at random, without regard to classes and groups.

    Parameters
    ----------
    n_units : int
        Number of units N.
    fractions : mapping of str to float
        Split to its share; shares sum to 1.
    seed : int
        The same seed gives the same splits.

    Returns
    -------
    array of str, shape (N,)
        Split of each unit. Sizes follow from cutting at the whole parts of N times the summed
        shares, in the order of `fractions`.

    Notes
    -----
    This is how HistoKT's code divides patches, which puts patches of one image on both sides; it
    is here to measure what that does. The sizes are those of Table 1 (Zhang et al. 2022,
    doi:10.48550/arXiv.2201.11246).

    Examples
    --------
    >>> split = draw_split(374, {"train": 0.8, "val": 0.1, "test": 0.1}, seed=0)
    >>> [int((split == name).sum()) for name in ("train", "val", "test")]
    [299, 37, 38]
    """
    names = list(fractions)
    sums = np.cumsum([fractions[name] for name in names])
    ends = np.floor(n_units * sums + 1e-6).astype(int)
    ends[-1] = n_units
    sizes = np.diff(ends, prepend=0)
    ordered = np.repeat(np.array(names, dtype=np.str_), sizes)
    return ordered[np.random.default_rng(seed).permutation(n_units)]
