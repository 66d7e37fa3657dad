"""Correlations of many targets in many weighted samples of the same patients.

A draw of a bootstrap takes groups several times, a jackknife leaves one out: both are weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histograft.stats.correlation import Bool, Float, standard_scores

DRAWS_AT_ONCE = 2048
# A draw whose spread is below 1e-5 of the sample's is taken for constant: what remains of it
# after subtracting sums has no digits left.
_LEAST_VARIANCE = 1e-10


def pearson_draws(
    x: Float, y: Float, known: Bool, group: NDArray[np.intp], weights: NDArray[np.int16]
) -> Float:
    """Compute Pearson's correlation in each draw, by sums over groups.

    Parameters
    ----------
    x : ndarray of float64, shape (M, N, G)
        Predictions of M models.
    y : ndarray of float64, shape (N, G)
        Truth; not read where unknown.
    known : ndarray of bool, shape (N, G)
        Which units count for a target.
    group : ndarray of int, shape (N,)
        Group of each unit, 0 … K-1.
    weights : ndarray of int16, shape (D, K)
        How often each group is in each draw.

    Returns
    -------
    ndarray of float64, shape (M, D, G)
        NaN where truth or prediction is constant in a draw.

    Examples
    --------
    >>> x, y = np.array([[[1.0], [2.0], [4.0]]]), np.array([[1.0], [3.0], [2.0]])
    >>> without_the_last = np.array([[1, 1, 0]], dtype=np.int16)
    >>> pearson_draws(x, y, y > 0, np.arange(3), without_the_last).round(6)
    array([[[1.]]])
    """
    zy, _ = standard_scores(y, known)
    zx = [standard_scores(layer, known)[0] for layer in x]
    columns = [zy, zy**2]
    for z in zx:
        columns += [z, z**2, z * zy]
    sums = _by_group(np.concatenate(columns, axis=1), group)
    # Targets with the same unknown units share their counts.
    patterns, pattern = np.unique(known, axis=1, return_inverse=True)
    counts = _by_group(patterns.astype(np.float64), group)
    draws = np.empty((len(x), len(weights), y.shape[1]))
    for start in range(0, len(weights), DRAWS_AT_ONCE):
        stop = min(start + DRAWS_AT_ONCE, len(weights))
        w = weights[start:stop].astype(np.float64)
        n = (w @ counts)[:, pattern.ravel()]
        moments = np.moveaxis((w @ sums).reshape(len(w), len(columns), -1), 1, 0)
        draws[:, start:stop] = _correlations(moments, n)
    return draws


def _correlations(moments: Float, n: Float) -> Float:
    """Correlations of weighted sums: y, y², and of each model x, x², xy."""
    sy, syy = moments[:2]
    vy = n * syy - sy**2
    least = _LEAST_VARIANCE * n**2
    r = np.empty(((len(moments) - 2) // 3, *n.shape))
    for model, (sx, sxx, sxy) in enumerate(moments[2:].reshape(len(r), 3, *n.shape)):
        vx = n * sxx - sx**2
        flat = (vx <= least) | (vy <= least)
        product = np.where(flat, 1.0, vx * vy)
        r[model] = np.where(flat, np.nan, (n * sxy - sx * sy) / np.sqrt(product))
    return np.clip(r, -1.0, 1.0)


def spearman_draws(
    x: Float, y: Float, known: Bool, group: NDArray[np.intp], weights: NDArray[np.int16]
) -> Float:
    """Compute Spearman's correlation in each draw, as `pearson_draws`; ranks are of the draw."""
    from histograft.stats.weighted_ranks import pack_draws, spearman_of_draws

    draws = np.empty((len(x), len(weights), y.shape[1]))
    for start in range(0, len(weights), DRAWS_AT_ONCE):
        stop = min(start + DRAWS_AT_ONCE, len(weights))
        packed = pack_draws(weights[start:stop][:, group])
        for target in range(y.shape[1]):
            units = np.flatnonzero(known[:, target])
            found = spearman_of_draws(x[:, units, target], y[units, target], units, packed)
            draws[:, start:stop, target] = found[:, : stop - start]
    return draws


def _by_group(columns: Float, group: NDArray[np.intp]) -> Float:
    """Sum rows of each group, shape (groups, columns)."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sums: Float = np.add.reduceat(columns[order], starts, axis=0)
    return sums
