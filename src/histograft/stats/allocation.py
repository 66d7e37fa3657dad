r"""Deal whole groups out to bins (folds, splits) so that each class is spread as asked.

The bins' class shares should come close to target fractions. With the share of class c in bin b
written :math:`s_{bc}` and the target of the bin :math:`t_b`, the objective is
:math:`\sum_{bc} s_{bc}^2 / t_b`, whose minimum under :math:`\sum_b s_{bc} = 1` is
:math:`s_{bc} = t_b`. Groups are dealt one after the other into the bin that raises it least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Size of a bin decides only between bins that are equally good for the classes, and chance only
# between bins that are equally large: the gaps keep the three from mixing.
_SIZE_WEIGHT = 1e-6
_CHANCE_WEIGHT = 1e-9


def class_counts(
    labels: NDArray[np.int64], groups: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Count the units of each class in each group.

    Parameters
    ----------
    labels, groups : ndarray of int64, shape (N,)
        Class and group index of each unit.
    n_classes : int
        Number of classes K.

    Returns
    -------
    ndarray of float64, shape (G, K)

    Examples
    --------
    >>> class_counts(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1., 1.],
           [0., 1.]])
    """
    n_groups = int(groups.max(initial=-1)) + 1
    flat = np.bincount(groups * n_classes + labels, minlength=n_groups * n_classes)
    return flat.reshape(n_groups, n_classes).astype(np.float64)


def random_order(counts: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw groups without replacement, in proportion to their size.

    Large groups tend to come first, where they can still be balanced, yet the order stays
    random even if no two groups have the same size (Efraimidis and Spirakis 2006,
    doi:10.1016/j.ipl.2005.11.003).

    Parameters
    ----------
    counts : ndarray of float64, shape (G, K)
        Units of each class in each group, no group empty.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    ndarray of int64, shape (G,)
    """
    keys = rng.exponential(size=len(counts)) / counts.sum(axis=1)
    return np.argsort(keys, kind="stable").astype(np.int64)


def deal(
    counts: NDArray[np.float64],
    fractions: NDArray[np.float64],
    orders: NDArray[np.int64],
    chance: NDArray[np.float64],
    reserved: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Deal groups into bins, for several independent orders at once.

    Parameters
    ----------
    counts : ndarray of float64, shape (G, K)
        Units of each class in each group; each class has at least one unit.
    fractions : ndarray of float64, shape (B,)
        Target share of each bin, above 0, summing to 1.
    orders : ndarray of int64, shape (R, G)
        Order in which groups are dealt, one row for each repeat.
    chance : ndarray of float64, shape (R, G, B)
        Numbers in [0, 1) that decide between equally good bins.
    reserved : ndarray of int64, shape (R, G), optional
        Bins that are already taken; -1 where the group is to be dealt.

    Returns
    -------
    ndarray of int64, shape (R, G)
        Bin of each group.

    Examples
    --------
    >>> counts = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 3.0]])
    >>> order, chance = np.arange(4)[None], np.zeros((1, 4, 2))
    >>> deal(counts, np.array([0.5, 0.5]), order, chance)
    array([[0, 1, 0, 1]])
    """
    n_repeats, n_groups = orders.shape
    shares = counts / counts.sum(axis=0)
    sizes = counts.sum(axis=1) / counts.sum()
    norms = np.linalg.norm(shares, axis=1)
    bins = np.full((n_repeats, n_groups), -1) if reserved is None else reserved.copy()
    taken = bins[..., None] == np.arange(len(fractions))
    filled = np.einsum("rgb,gk->rbk", taken, shares)
    weight = np.einsum("rgb,g->rb", taken, sizes)
    rows = np.arange(n_repeats)
    for step in range(n_groups):
        group = orders[:, step]
        free = bins[rows, group] < 0
        share, size = shares[group], sizes[group]
        # Rise of the objective, divided by 2 and by the norm of the group's shares, so that
        # one unit of a group weighs the same whatever the size of the cohort.
        cost = np.einsum("rbk,rk->rb", filled, share) / norms[group, None]
        cost += norms[group, None] / 2
        cost += _SIZE_WEIGHT * (weight + size[:, None] / 2)
        cost = cost / fractions + _CHANCE_WEIGHT * chance[rows, step]
        best = np.where(free, cost.argmin(axis=1), bins[rows, group])
        bins[rows, group] = best
        filled[rows, best] += np.where(free[:, None], share, 0.0)
        weight[rows, best] += np.where(free, size, 0.0)
    return bins


def presence(
    counts: NDArray[np.float64], bins: NDArray[np.int64], n_bins: int
) -> NDArray[np.int64]:
    """Count, for each repeat, bin and class, the groups of the bin that hold the class.

    Parameters
    ----------
    counts : ndarray of float64, shape (G, K)
        Units of each class in each group.
    bins : ndarray of int64, shape (R, G)
        Bin of each group.
    n_bins : int
        Number of bins B.

    Returns
    -------
    ndarray of int64, shape (R, B, K)
    """
    chosen = (bins[..., None] == np.arange(n_bins)).astype(np.float64)
    found = np.einsum("rgb,gk->rbk", chosen, (counts > 0).astype(np.float64))
    counted: NDArray[np.int64] = np.rint(found).astype(np.int64)
    return counted
