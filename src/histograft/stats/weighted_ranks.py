"""Spearman's correlation in bootstrap draws: ranks of a sample with repetitions, without sorting.

A draw repeats units but keeps their order, so one sort serves all draws: going up the order, the
ranks of a unit that is drawn w times follow from how many were drawn before it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histograft.stats.compiled import compiled

Float = NDArray[np.float64]
Index = NDArray[np.int64]

# Draws that are walked through side by side. Fewer than 64 take twice as long: the compiler then
# gives up on vectors.
LANES = 64

# Compiled code is promised that there is no NaN.
_UNDEFINED = -2.0


def pack_draws(weights: NDArray[np.integer]) -> Float:
    """Lay weights of draws out in the order in which `spearman_of_draws` reads them.

    Parameters
    ----------
    weights : ndarray of int, shape (D, N)
        How often each of N units is in each of D draws.

    Returns
    -------
    ndarray of float64, shape (ceil(D / LANES), N, LANES)
        Draw d in ``[d // LANES, :, d % LANES]``; empty draws fill the last block.
    """
    n_draws, n_units = weights.shape
    packed = np.zeros((-(-n_draws // LANES), LANES, n_units))
    packed.reshape(-1, n_units)[:n_draws] = weights
    return np.ascontiguousarray(packed.transpose(0, 2, 1))


def spearman_of_draws(x: Float, y: Float, units: Index, packed: Float) -> Float:
    """Compute Spearman's correlation in each draw, ties having their mean rank.

    Parameters
    ----------
    x : ndarray of float64, shape (M, n)
        Finite values of M models for the units.
    y : ndarray of float64, shape (n,)
        What they are correlated with, finite.
    units : ndarray of int64, shape (n,)
        Which of the units of `packed` they are.
    packed : ndarray of float64, shape (blocks, N, LANES)
        Weights of the draws, of `pack_draws`.

    Returns
    -------
    ndarray of float64, shape (M, blocks · LANES)
        NaN where x or y are constant in the draw, or the draw is empty.

    Examples
    --------
    >>> packed = pack_draws(np.array([[1, 1, 1], [2, 0, 1]]))
    >>> x, y = np.array([[1.0, 3, 2]]), np.array([1.0, 2, 3])
    >>> spearman_of_draws(x, y, np.arange(3), packed)[:, :2]
    array([[0.5, 1. ]])
    """
    result = np.empty((len(x), len(packed) * LANES))
    runs = [_runs(values) for values in (y, *x)]
    order = np.stack([run[0] for run in runs])
    ends = np.stack([run[1] for run in runs])
    _spearman(order, ends, np.asarray(units, dtype=np.int64), packed, result)
    result[result == _UNDEFINED] = np.nan
    return result


def _runs(values: Float) -> tuple[Index, Index]:
    """Return the order of values and, for each place in it, the end of its run of equal ones."""
    order = np.argsort(values, kind="stable").astype(np.int64)
    return order, np.searchsorted(values[order], values[order], side="right").astype(np.int64)


@compiled(inline=True)
def _center_ranks(
    order: Index, ends: Index, units: Index, weights: Float, ranks: Float
) -> None:  # pragma: no cover - compiled
    """Ranks less their mean, which is half of (units drawn + 1) whatever the ties."""
    here = np.empty(LANES)
    below = np.zeros(LANES)
    for k in range(len(order)):
        drawn = weights[units[k]]
        for lane in range(LANES):
            below[lane] -= 0.5 * drawn[lane]
    # From here on `below` is the number drawn below less half of all, halves being exact.
    begin = 0
    while begin < len(order):
        end = ends[begin]
        for lane in range(LANES):
            here[lane] = 0.0
        for k in range(begin, end):
            drawn = weights[units[order[k]]]
            for lane in range(LANES):
                here[lane] += drawn[lane]
        for k in range(begin, end):
            rank = ranks[order[k]]
            for lane in range(LANES):
                rank[lane] = below[lane] + 0.5 * here[lane]
        for lane in range(LANES):
            below[lane] += here[lane]
        begin = end


@compiled(inline=True)
def _add_products(
    units: Index, weights: Float, first: Float, second: Float, sums: Float
) -> None:  # pragma: no cover - compiled
    for lane in range(LANES):
        sums[lane] = 0.0
    for k in range(len(units)):
        drawn, one, other = weights[units[k]], first[k], second[k]
        for lane in range(LANES):
            sums[lane] += drawn[lane] * one[lane] * other[lane]


@compiled()
def _spearman(
    order: Index, ends: Index, units: Index, packed: Float, result: Float
) -> None:  # pragma: no cover - compiled
    rank_x = np.empty((len(units), LANES))
    rank_y = np.empty((len(units), LANES))
    xx, yy, xy = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    for block in range(len(packed)):
        weights = packed[block]
        _center_ranks(order[0], ends[0], units, weights, rank_y)
        _add_products(units, weights, rank_y, rank_y, yy)
        for model in range(len(result)):
            _center_ranks(order[model + 1], ends[model + 1], units, weights, rank_x)
            _add_products(units, weights, rank_x, rank_x, xx)
            _add_products(units, weights, rank_x, rank_y, xy)
            for lane in range(LANES):
                # Sums of quarters of integers are exact, so a constant gives exactly 0.
                flat = xx[lane] == 0.0 or yy[lane] == 0.0
                spread = 1.0 if flat else np.sqrt(xx[lane]) * np.sqrt(yy[lane])
                result[model, block * LANES + lane] = _UNDEFINED if flat else xy[lane] / spread
