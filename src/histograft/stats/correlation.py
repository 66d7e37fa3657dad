"""Correlation of predictions with measured values, for many targets at once.

A unit counts for a target where its truth is known and it was predicted: missing truths are
deleted pair by pair, so each target has its own number of units. Where a correlation is undefined
it is NaN and the reason stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from histograft.core.errors import InputError

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Method = Literal["pearson", "spearman"]

FEWEST_UNITS = 3
TOO_FEW = f"fewer than {FEWEST_UNITS} units"
CONSTANT_TRUTH = "the truth is constant"
CONSTANT_PREDICTION = "the prediction is constant"

# Means over repeats of one number differ from it by rounding; that is no variation.
_SAME = 1e-12


@dataclass(frozen=True)
class Correlation:
    """Correlations of predictions with the truth.

    Attributes
    ----------
    method : str
        ``"pearson"`` or ``"spearman"``.
    r : ndarray of float64, shape (..., G)
        Correlation of each target, -1 … 1; NaN where undefined.
    n_units : ndarray of int64, shape (G,)
        Units that count for each target.
    reason : ndarray of str, shape (..., G)
        Why a correlation is undefined; empty where it is defined.
    """

    method: str
    r: Float
    n_units: NDArray[np.int64]
    reason: NDArray[np.str_] = field(repr=False)

    def p_value(self, *, greater: bool = False) -> Float:
        """Return P of R's ``cor.test``, shape (..., G), two-sided or that r is above 0.

        See `correlation_p`.
        """
        return correlation_p(self.r, self.n_units, greater=greater)


@dataclass(frozen=True)
class RepeatedCorrelation:
    """Correlations of repeated cross-validation.

    Attributes
    ----------
    of_average : Correlation
        Of the predictions averaged over repeats: the number to report.
    per_repeat : Correlation
        Of each repeat, leading axis R.
    mean, sd : ndarray of float64, shape (G,)
        Mean and standard deviation (divisor R - 1) of the repeats' correlations. The deviation is
        the noise of dealing folds, not of sampling patients: it is no standard error. NaN where
        a repeat is undefined, and the deviation where there is one repeat only.
    """

    of_average: Correlation
    per_repeat: Correlation
    mean: Float = field(repr=False)
    sd: Float = field(repr=False)


def correlate(
    predictions: ArrayLike, truth: ArrayLike, *, method: Method = "pearson"
) -> Correlation:
    r"""Correlate predictions with the truth, target by target.

    Parameters
    ----------
    predictions : array-like of float, shape (..., N, G)
        Predictions of N units for G targets, such as repeats × patients × genes. NaN leaves a unit
        out of a target, in all leading axes alike.
    truth : array-like of float, shape (N, G)
        Measured values; NaN where unknown.
    method : {"pearson", "spearman"}
        Spearman's is Pearson's of the ranks, ties having their mean rank.

    Returns
    -------
    Correlation

    Raises
    ------
    InputError
        Shapes disagree, a value is infinite, or a unit is predicted in some repeats only.

    Notes
    -----
    .. math:: r = \frac{\sum (x - \bar x)(y - \bar y)}
        {\sqrt{\sum (x - \bar x)^2 \sum (y - \bar y)^2}}

    Examples
    --------
    >>> truth = [[1, 5], [2, 5], [3, 5], [np.nan, 5]]
    >>> found = correlate([[1, 1], [3, 2], [2, 3], [9, 4]], truth)
    >>> found.r, found.n_units, str(found.reason[1])
    (array([0.5, nan]), array([3, 4]), 'the truth is constant')
    """
    x, y, known = known_pairs(predictions, truth)
    n_units = known.sum(axis=0).astype(np.int64)
    zy, flat_y = standard_scores(y, known, method=method)
    stack = x.reshape(-1, *y.shape)
    r = np.empty((len(stack), y.shape[1]))
    reason = np.empty(r.shape, dtype=f"U{max(map(len, (TOO_FEW, CONSTANT_PREDICTION)))}")
    for i, layer in enumerate(stack):
        zx, flat_x = standard_scores(layer, known, method=method)
        r[i] = mean_product(zx, zy, n_units)
        reason[i] = _reasons(n_units, flat_y, flat_x)
    r[reason != ""] = np.nan
    leading = x.shape[:-2]
    return Correlation(method, r.reshape(*leading, -1), n_units, reason.reshape(*leading, -1))


def correlate_repeats(
    predictions: ArrayLike, truth: ArrayLike, *, method: Method = "pearson"
) -> RepeatedCorrelation:
    """Correlate predictions of repeated cross-validation, averaged and repeat by repeat.

    Parameters
    ----------
    predictions : array-like of float, shape (R, N, G)
        Predictions out of fold of each repeat.
    truth : array-like of float, shape (N, G)
        Measured values; NaN where unknown.
    method : {"pearson", "spearman"}
        As in `correlate`.

    Returns
    -------
    RepeatedCorrelation

    Raises
    ------
    InputError
        As in `correlate`.

    Examples
    --------
    >>> found = correlate_repeats([[[1], [2], [3]], [[1], [3], [2]]], [[1], [2], [3]])
    >>> found.mean, found.of_average.r.round(3)
    (array([0.75]), array([0.866]))
    """
    x = np.asarray(predictions, dtype=np.float64)
    if x.ndim != 3:
        raise InputError(
            f"predictions of shape {x.shape}", "give predictions as repeats × units × targets"
        )
    per_repeat = correlate(x, truth, method=method)
    of_average = correlate(x.mean(axis=0), truth, method=method)
    few = len(x) < 2
    sd = np.full(x.shape[2], np.nan) if few else per_repeat.r.std(axis=0, ddof=1)
    return RepeatedCorrelation(of_average, per_repeat, per_repeat.r.mean(axis=0), sd)


def correlation_p(r: ArrayLike, n_units: ArrayLike, *, greater: bool = False) -> Float:
    r"""P-values of correlations by the t distribution, those of R's ``cor.test``.

    .. math:: t = r \sqrt{\frac{n - 2}{1 - r^2}}, \qquad df = n - 2

    To match the FTX paper take the two-sided P of Pearson correlations. It holds for independent
    units with one normal variable. For cross-validated predictions it is too small
    (`histograft.stats.cross_validated`), and it is not corrected for the number of targets. For
    Spearman's correlation it is R's with ``exact = FALSE``.

    Parameters
    ----------
    r : array-like of float, shape (...)
        Correlations; NaN stays NaN.
    n_units : array-like of int, shape that broadcasts with r
        Number of units.
    greater : bool, default False
        One-sided: that the correlation is above 0.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN too for fewer than 3 units.

    Examples
    --------
    >>> correlation_p([0.5, 0.5, 0.5], [10, 20, 2]).round(4)
    array([0.1411, 0.0248,    nan])
    """
    values, df = np.broadcast_arrays(
        np.asarray(r, dtype=np.float64), np.asarray(n_units, dtype=np.float64) - 2
    )
    defined = df > 0
    df = np.where(defined, df, 1.0)
    # 1 - r² as a product keeps digits near ±1; at ±1 t is infinite, which is right.
    with np.errstate(divide="ignore"):
        t = values * np.sqrt(df / np.maximum((1 - values) * (1 + values), 0.0))
    p = stats.t.sf(t, df) if greater else 2 * stats.t.sf(np.abs(t), df)
    return np.where(defined & ~np.isnan(values), p, np.nan)


def known_pairs(predictions: ArrayLike, truth: ArrayLike) -> tuple[Float, Float, Bool]:
    """Check predictions and truths, and say which pairs count.

    Parameters
    ----------
    predictions : array-like of float, shape (..., N, G)
        As in `correlate`.
    truth : array-like of float, shape (N, G)
        As in `correlate`.

    Returns
    -------
    predictions, truth : ndarray of float64
        The same.
    known : ndarray of bool, shape (N, G)
        Where the truth is known and the unit was predicted.

    Raises
    ------
    InputError
        As in `correlate`.

    Examples
    --------
    >>> known_pairs([[1], [2], [np.nan]], [[1], [np.nan], [3]])[2].ravel()
    array([ True, False, False])
    """
    x, y = np.asarray(predictions, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if y.ndim != 2 or x.shape[-2:] != y.shape:
        raise InputError(
            f"predictions of shape {x.shape} for truths of shape {y.shape}",
            "give truths as units × targets, and predictions as … × units × targets",
        )
    if np.isinf(y).any() or np.isinf(x).any():
        raise InputError("a truth or a prediction is infinite", "leave out those units")
    leading = tuple(range(x.ndim - 2))
    missing = np.isnan(x)
    never = missing.all(axis=leading)
    partly = missing.any(axis=leading) & ~never & ~np.isnan(y)
    if partly.any():
        raise InputError(
            f"{int(partly.any(axis=1).sum())} unit(s) are predicted by some models or in some "
            "repeats only",
            "compare models and repeats on the same units",
        )
    return x, y, ~np.isnan(y) & ~never


def standard_scores(
    values: Float, known: Bool, *, method: Method = "pearson"
) -> tuple[Float, Bool]:
    """Bring each target's known values (or their ranks) to mean 0 and mean square 1.

    The mean product of two such columns is their correlation, and unknown values, which become
    0, add nothing to it.

    Parameters
    ----------
    values : ndarray of float64, shape (N, G)
        Values; not read where unknown.
    known : ndarray of bool, shape (N, G)
        Which values count.
    method : {"pearson", "spearman"}
        The latter takes ranks first, ties having their mean rank.

    Returns
    -------
    scores : ndarray of float64, shape (N, G)
        0 where unknown, and in all of a constant target.
    constant : ndarray of bool, shape (G,)
        Targets whose known values do not differ, or differ by rounding only.

    Raises
    ------
    InputError
        The method has another name.

    Examples
    --------
    >>> standard_scores(np.array([[1.0], [3.0], [9.0]]), np.array([[True], [True], [False]]))[0]
    array([[-1.],
           [ 1.],
           [ 0.]])
    """
    if method not in ("pearson", "spearman"):
        raise InputError(f"no correlation is called {method!r}", "take 'pearson' or 'spearman'")
    n = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, values, 0.0)
    largest = np.max(np.abs(filled), axis=0, initial=0.0)
    top = np.max(filled, axis=0, initial=-np.inf, where=known)
    low = np.min(filled, axis=0, initial=np.inf, where=known)
    constant = ~(top - low > _SAME * largest)
    if method == "spearman":
        # Infinity ranks last, so unknown values do not move the ranks of known ones.
        ranks = stats.rankdata(np.where(known, values, np.inf), axis=0)
        filled = np.where(known, ranks, 0.0)
    centered = np.where(known, filled - filled.sum(axis=0) / n, 0.0)
    # Squares of very large or small numbers would overflow or vanish.
    spread = np.max(np.abs(centered), axis=0, initial=0.0)
    centered /= np.where(constant, 1.0, spread)
    scores = centered / np.sqrt(np.where(constant, 1.0, (centered**2).sum(axis=0) / n))
    scores[:, constant] = 0.0
    return scores, constant


def mean_product(first: Float, second: Float, n_units: NDArray[np.int64]) -> Float:
    """Return the correlation of standard scores (N, G), shape (G,); 0 where one is constant."""
    product: Float = np.einsum("ng,ng->g", first, second) / np.maximum(n_units, 1)
    return np.clip(product, -1.0, 1.0)


def _reasons(n_units: NDArray[np.int64], flat_y: Bool, flat_x: Bool) -> NDArray[np.str_]:
    cases = [n_units < FEWEST_UNITS, flat_y, flat_x]
    return np.select(cases, [TOO_FEW, CONSTANT_TRUTH, CONSTANT_PREDICTION], default="")
