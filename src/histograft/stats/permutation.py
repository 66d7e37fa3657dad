"""What correlations would be if predictions had nothing to do with the patients.

Truths are dealt anew among patients, the same way for all targets and models, so that targets
stay as dependent on each other as they are. Predictions are held fixed; nothing is fitted again.

In cross-validation that makes the null too narrow, so it is widened:
`histograft.stats.cross_validated` says why. The mean of r without signal is then a little below 0,
since the mean of a training set is low where its test fold is high; the null is centered on 0,
which is conservative.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.correlation import (
    Bool,
    Float,
    Method,
    correlate,
    known_pairs,
    standard_scores,
)
from histograft.stats.cross_validated import width

NOMINAL_LEVEL = 0.05
_BLOCK_BYTES = 1 << 26
# Sums of the same products in another order are the same correlation.
_TIE = 1e-12


@dataclass(frozen=True)
class PermutationTest:
    """Correlations beside those of permuted patients.

    Attributes
    ----------
    r : ndarray of float64, shape (M, G)
        Correlation of each model and target; NaN where undefined.
    p_value : ndarray of float64, shape (M, G)
        One-sided, that r is above 0: (1 + b) / (1 + B) with b permutations that reach r. NaN
        where r is.
    p_any : ndarray of float64, shape (M, G)
        The same against the largest r of all targets of the model: below 0.05, the chance of
        any false claim is below 0.05 (Westfall and Young). NaN where r is.
    n_nominal : ndarray of int64, shape (M,)
        Targets with a two-sided P of ``cor.test`` below 0.05, which the FTX paper counts.
    nominal_null : ndarray of int64, shape (M, B)
        The same number in each permutation. By chance it is not 0.05 G: it varies much, since
        targets are correlated, and in cross-validation its mean is 0.16 G or so.
    n_permutations : int
        B.
    """

    r: Float
    p_value: Float = field(repr=False)
    p_any: Float = field(repr=False)
    n_nominal: NDArray[np.int64]
    nominal_null: NDArray[np.int64] = field(repr=False)
    n_permutations: int

    @property
    def p_nominal(self) -> Float:
        """Chance of that many targets with P < 0.05 or more, shape (M,)."""
        reached = (self.nominal_null >= self.n_nominal[:, None]).sum(axis=1)
        p: Float = (1 + reached) / (1 + self.n_permutations)
        return p


def permutation_test(
    predictions: ArrayLike,
    truth: ArrayLike,
    *,
    method: Method = "pearson",
    within: ArrayLike | None = None,
    cross_validated: bool = True,
    n_permutations: int = 10_000,
    rng: np.random.Generator,
) -> PermutationTest:
    """Test by permuting patients that correlations are above 0.

    Correct its p-values over targets by `histograft.stats.compare.benjamini_hochberg`.

    Parameters
    ----------
    predictions : array-like of float, shape (M, N, G)
        Predictions of M models, averaged over repeats, for N patients and G targets. One row a
        patient: rows are exchanged.
    truth : array-like of float, shape (N, G)
        Measured values; NaN where unknown. They are dealt among the patients with known values,
        in the same way for all targets that miss the same patients.
    method : {"pearson", "spearman"}
        Which correlation.
    within : array-like, shape (N,), optional
        Exchange patients only within these blocks, such as the site: then a difference between
        sites alone is not taken for a prediction.
    cross_validated : bool, default True
        Predictions come from cross-validation among these very patients: the null is widened by
        √2. False for patients that no machine has seen.
    n_permutations : int, default 10,000
        B; the smallest possible p is 1 / (1 + B).
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    PermutationTest

    Raises
    ------
    InputError
        As in `correlate`; or shapes or the number of permutations cannot be used.

    Notes
    -----
    p-values that count the data themselves: Phipson and Smyth 2010, doi:10.2202/1544-6115.1585.
    Westfall and Young 1993, Resampling-Based Multiple Testing, ISBN 978-0-471-55761-6.
    Fitting again on permuted truths would need no factor, and a hundred times the work.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(60, 2))
    >>> prediction = np.column_stack([truth[:, 0] + rng.normal(size=60), rng.normal(size=60)])
    >>> found = permutation_test([prediction], truth, n_permutations=999, rng=rng)
    >>> float(found.p_value[0, 0]), bool(found.p_value[0, 1] > 0.05)
    (0.001, True)
    """
    x, y, known = known_pairs(predictions, truth)
    blocks = _blocks(within, x, n_permutations)
    r = correlate(x, y, method=method).r
    observed = np.where(np.isnan(r), np.inf, r) - _TIE
    critical = critical_r(known.sum(axis=0), NOMINAL_LEVEL)
    zx = np.stack([standard_scores(layer, known, method=method)[0] for layer in x])
    zy, _ = standard_scores(y, known, method=method)
    reached, reached_any = np.zeros(r.shape, dtype=np.int64), np.zeros(r.shape, dtype=np.int64)
    nominal = np.empty((len(x), n_permutations), dtype=np.int64)
    at_once = max(1, _BLOCK_BYTES // (8 * max(r.size, len(y))))
    for start in range(0, n_permutations, at_once):
        stop = min(start + at_once, n_permutations)
        null = _permuted(zx, zy, known, blocks, rng.random((stop - start, len(y))))
        null *= width(cross_validated=cross_validated)
        null[:, np.isnan(r)] = -np.inf
        reached += (null >= observed).sum(axis=0)
        reached_any += (null.max(axis=2, keepdims=True) >= observed).sum(axis=0)
        nominal[:, start:stop] = ((np.abs(null) > critical) & np.isfinite(null)).sum(axis=2).T
    undefined = np.isnan(r)
    p_value, p_any = (
        np.where(undefined, np.nan, (1 + b) / (1 + n_permutations)) for b in (reached, reached_any)
    )
    # An undefined r is above nothing.
    n_nominal = (np.abs(r) > critical).sum(axis=1)
    return PermutationTest(r, p_value, p_any, n_nominal, nominal, n_permutations)


def critical_r(n_units: ArrayLike, level: float) -> Float:
    r"""Absolute correlation at which the two-sided P of ``cor.test`` is `level`.

    .. math:: r = \frac{t}{\sqrt{n - 2 + t^2}}

    with t the upper quantile of level / 2 of Student's distribution with n - 2 degrees.

    Parameters
    ----------
    n_units : array-like of int, shape (...)
        Number of units.
    level : float
        Above 0, at most 1.

    Returns
    -------
    ndarray of float64, shape (...)
        1 for fewer than 3 units: no correlation is above it.

    Examples
    --------
    >>> critical_r([2, 10, 344], 0.05).round(3)
    array([1.   , 0.632, 0.106])
    """
    df = np.asarray(n_units, dtype=np.float64) - 2
    t = stats.t.isf(level / 2, np.maximum(df, 1))
    return np.where(df > 0, t / np.sqrt(np.maximum(df, 1) + t**2), 1.0)


def _blocks(within: ArrayLike | None, x: Float, n_permutations: int) -> NDArray[np.intp]:
    names = np.zeros(x.shape[-2]) if within is None else np.asarray(within)
    if x.ndim != 3 or len(names) != x.shape[1] or n_permutations < 1:
        raise InputError(
            f"predictions of shape {x.shape}, {len(names)} blocks, {n_permutations} permutations",
            "give predictions as models × patients × targets, one block a patient and 1 "
            "permutation or more",
        )
    _, index = np.unique(names, return_inverse=True)
    return index


def _permuted(zx: Float, zy: Float, known: Bool, blocks: NDArray[np.intp], keys: Float) -> Float:
    """Correlations of permuted truths, shape (B, M, G), by random keys (B, N) in 0 … 1."""
    null = np.empty((len(keys), len(zx), zy.shape[1]))
    patterns, pattern = np.unique(known, axis=1, return_inverse=True)
    for i, units in enumerate(map(np.flatnonzero, patterns.T)):
        targets = np.flatnonzero(pattern.ravel() == i)
        # Patients sorted by block, and the same block after block in the order of their keys.
        here = units[np.argsort(blocks[units], kind="stable")]
        drawn = units[np.argsort(blocks[units] + keys[:, units], axis=1)]
        x = np.ascontiguousarray(zx[:, here[:, None], targets])
        y = np.ascontiguousarray(zy[:, targets])
        for b, rows in enumerate(drawn):
            null[b][:, targets] = np.einsum("mng,ng->mg", x, y[rows])
        null[:, :, targets] /= max(len(units), 1)
    return null
