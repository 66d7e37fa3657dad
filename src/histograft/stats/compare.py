"""Tests of a difference between two models, and corrections for many of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from histograft.core.errors import InputError

Float = NDArray[np.float64]

# Below this number of disagreeing units McNemar's statistic is not close to chi-squared.
FEW_DISAGREEMENTS = 25


_MOST_ENUMERATED = 13


@dataclass(frozen=True)
class TestResult:
    """Result of a two-sided test.

    Attributes
    ----------
    name : str
        Name of the test.
    statistic : float
        Its statistic; NaN where the test has none.
    df : float
        Degrees of freedom; NaN where it has none.
    p_value : float
        Two-sided; NaN where the test is undefined.
    mean : float
        What is tested against 0: the mean difference, or for McNemar's test b - c.
    se : float
        Standard error of `mean` under the test's assumptions; NaN where it has none.
    """

    __test__ = False  # pytest would take the class for tests

    name: str
    statistic: float
    df: float
    p_value: float
    mean: float
    se: float


def corrected_resampled_t(differences: ArrayLike, n_train: int, n_test: int) -> TestResult:
    r"""Test a difference over repeated cross-validation, allowing for shared training data.

    The plain t-test takes the R·K differences for independent, yet their training sets overlap;
    it is wrong far more often than its level says. Here the variance of the mean is

    .. math:: \left(\frac{1}{RK} + \frac{n_{test}}{n_{train}}\right) s^2,
        \qquad df = RK - 1.

    Parameters
    ----------
    differences : array-like of float, shape (R, K)
        Difference of the two models' metric on each test fold, finite.
    n_train, n_test : int
        Units in a training and in a test set, above 0.

    Returns
    -------
    TestResult
        With p 1 where all differences are 0. Where they are all the same but not 0 the test is
        undefined (R's ``t.test`` refuses): p is NaN, not 0.

    Raises
    ------
    InputError
        Fewer than two differences, a difference that is not finite, or an empty set.

    Notes
    -----
    Nadeau and Bengio 2003, doi:10.1023/A:1024068626366; for repeated cross-validation Bouckaert
    and Frank 2004, doi:10.1007/978-3-540-24775-3_3.

    Examples
    --------
    >>> result = corrected_resampled_t([[0.02, 0.01], [0.03, 0.02]], n_train=80, n_test=20)
    >>> round(result.statistic, 3), int(result.df), round(result.p_value, 3)
    (3.464, 3, 0.041)
    """
    if n_train < 1 or n_test < 1:
        raise InputError(
            f"{n_train} training and {n_test} test units", "give the sizes of a fold's sets"
        )
    values = _finite(differences)
    factor = 1 / values.size + n_test / n_train
    return _t_test("corrected resampled t", values, factor)


def paired_t(differences: ArrayLike) -> TestResult:
    """Test a mean difference, taking the differences for independent.

    The test of the FTX paper over repeats. Repeats share all their units, so its p-values are
    too small without limit: more repeats make any difference significant.

    Parameters
    ----------
    differences : array-like of float, any shape
        Differences, finite.

    Returns
    -------
    TestResult
        As in `corrected_resampled_t` where all differences are the same.

    Raises
    ------
    InputError
        Fewer than two differences, or a difference that is not finite.

    Examples
    --------
    >>> round(paired_t([0.02, 0.01, 0.03, 0.02]).p_value, 4)
    0.0163
    """
    values = _finite(differences)
    return _t_test("paired t", values, 1 / values.size)


def mcnemar(b: int, c: int, *, exact: bool | None = None) -> TestResult:
    """Test whether two models are wrong equally often on the units of one split.

    Parameters
    ----------
    b, c : int
        Units that only the first, and only the second model classifies correctly.
    exact : bool, optional
        True: binomial test. False: chi-squared with continuity correction, as R's
        ``mcnemar.test``. By default exact where ``b + c < 25``.

    Returns
    -------
    TestResult
        With p 1 where the models never disagree.

    Raises
    ------
    InputError
        A count is negative.

    Notes
    -----
    McNemar 1947, doi:10.1007/BF02295996. It counts units, so they must be independent: not
    for several patches of a patient.

    Examples
    --------
    >>> mcnemar(1, 9).p_value
    0.021484375
    >>> round(mcnemar(40, 20).p_value, 5)
    0.01417
    """
    if b < 0 or c < 0:
        raise InputError(f"{b} and {c} disagreements", "give counts of 0 or above")
    n = b + c
    if exact is None:
        exact = n < FEW_DISAGREEMENTS
    nan = float("nan")
    if exact or n == 0:
        p = min(1.0, 2 * float(stats.binom.cdf(min(b, c), n, 0.5)))
        return TestResult("McNemar, exact", nan, nan, p, b - c, nan)
    statistic = max(abs(b - c) - 1, 0) ** 2 / n
    p = float(stats.chi2.sf(statistic, 1))
    return TestResult("McNemar", statistic, 1.0, p, b - c, float(np.sqrt(n)))


def group_sign_flip(
    differences: ArrayLike, *, n_draws: int = 10_000, rng: np.random.Generator
) -> TestResult:
    """Test paired differences that are summed over groups, by flipping the sign of each group.

    McNemar's test takes cases for independent; the cases of one patient are not. Under the null
    hypothesis the two models can be exchanged within each group, which flips the sign of the
    group's sum. With up to 13 groups all sign patterns are enumerated.

    Parameters
    ----------
    differences : array-like of float, shape (G,)
        For each group the number of cases that only the first model got right, minus the number
        that only the second got right.
    n_draws : int, default 10000
        Random sign patterns where there are more than 13 groups.
    rng : numpy.random.Generator
        Chance.

    Returns
    -------
    TestResult
        Two-sided p in (0, 1]; ``statistic`` is the sum. 1 where no group differs.

    Notes
    -----
    Fisher's randomization test, with clusters as its units; Good 2005, Permutation, Parametric
    and Bootstrap Tests of Hypotheses, doi:10.1007/b138696.

    Examples
    --------
    >>> group_sign_flip([3, 2, 4, 1], rng=np.random.default_rng(0)).p_value
    0.125
    """
    sums = np.asarray(differences, dtype=np.float64)
    sums = sums[sums != 0]
    observed = float(sums.sum())
    if len(sums) <= _MOST_ENUMERATED:
        patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        totals = np.abs((1 - 2 * patterns) @ sums)
        p_value = float(np.mean(totals >= abs(observed) - 1e-9))
    else:
        signs = rng.choice([-1.0, 1.0], size=(n_draws, len(sums)))
        extreme = int((np.abs(signs @ sums) >= abs(observed) - 1e-9).sum())
        p_value = (1 + extreme) / (1 + n_draws)
    mean = observed / max(1, len(sums))
    return TestResult("sign flips over groups", observed, math.nan, p_value, mean, math.nan)


def holm(p_values: ArrayLike) -> Float:
    """Adjust p-values so that the chance of any false claim stays below the level.

    Parameters
    ----------
    p_values : array-like of float, shape (N,)
        p-values; NaN stays NaN and does not count.

    Returns
    -------
    ndarray of float64, shape (N,)
        The i-th smallest of n becomes the running maximum of (n - i + 1) p, at most 1.

    Notes
    -----
    Holm 1979, Scandinavian Journal of Statistics 6:65-70.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4)
    array([0.03, 0.06, 0.06])
    """
    p, known, order = _sorted_known(p_values)
    scaled = p[order] * np.arange(len(order), 0, -1)
    return _placed(np.maximum.accumulate(scaled), known, order)


def benjamini_hochberg(p_values: ArrayLike) -> Float:
    """Adjust p-values so that the expected share of false claims stays below the level.

    Parameters
    ----------
    p_values : array-like of float, shape (N,)
        p-values; NaN stays NaN and does not count.

    Returns
    -------
    ndarray of float64, shape (N,)
        The i-th smallest of n becomes the minimum, from i on, of n p / i, at most 1.

    Notes
    -----
    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(4)
    array([0.03, 0.04, 0.04])
    """
    p, known, order = _sorted_known(p_values)
    # The factor is 1 or above, so rounding never makes an adjusted value smaller than p.
    scaled = p[order] * (len(order) / np.arange(1, len(order) + 1))
    return _placed(np.minimum.accumulate(scaled[::-1])[::-1], known, order)


def _finite(differences: ArrayLike) -> Float:
    values = np.asarray(differences, dtype=np.float64).ravel()
    if values.size < 2:
        raise InputError(f"{values.size} difference(s)", "a t-test needs two or more")
    if not np.isfinite(values).all():
        raise InputError(
            f"{int((~np.isfinite(values)).sum())} difference(s) are not finite",
            "test a metric that is defined on each fold",
        )
    return values


def _t_test(name: str, values: Float, variance_factor: float) -> TestResult:
    df = float(values.size - 1)
    mean = float(values.mean())
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        undefined = mean != 0
        nan = float("nan")
        return TestResult(name, nan if undefined else 0.0, df, nan if undefined else 1.0, mean, 0.0)
    se = float(np.sqrt(variance_factor * values.var(ddof=1)))
    statistic = mean / se
    return TestResult(name, statistic, df, float(2 * stats.t.sf(abs(statistic), df)), mean, se)


def _sorted_known(p_values: ArrayLike) -> tuple[Float, NDArray[np.bool_], NDArray[np.intp]]:
    p = np.asarray(p_values, dtype=np.float64)
    known = ~np.isnan(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise InputError("a p-value lies outside 0 … 1", "give p-values, not statistics")
    return p[known], known, np.argsort(p[known], kind="stable")


def _placed(adjusted: Float, known: NDArray[np.bool_], order: NDArray[np.intp]) -> Float:
    placed = np.empty(len(order))
    placed[order] = np.minimum(adjusted, 1.0)
    result = np.full(known.shape, np.nan)
    result[known] = placed
    return result
