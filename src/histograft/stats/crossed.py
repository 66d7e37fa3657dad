r"""Metrics of networks that were trained several times and tested on the same units.

Two things are drawn by chance: the units (in groups, such as patients) and the trials (seeds of a
training). Each trial sees all units, so the two are crossed, and the variance of the mean over
trials has three parts,

.. math:: \frac{\sigma_g^2}{G} + \frac{\sigma_t^2}{R} + \frac{\sigma_{gt}^2}{GR}.

The jackknife over groups of the mean over trials estimates the first and third, the variance over
trials the second and third, and the jackknife of single trials tells the third, which is taken out
once. An interval over seeds alone (as papers print) or over patients alone is too short.

The parts and their degrees of freedom follow Satterthwaite 1946, doi:10.2307/3002019; readers and
cases in radiology are crossed in the same way (Obuchowski and Rockette 1995,
doi:10.1080/03610919508813243).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.calibration import wilson_interval

Float = NDArray[np.float64]
LEVEL = 0.95
# Groups are joined into so many blocks where a metric must be computed anew without each.
MOST_BLOCKS = 100


@dataclass(frozen=True)
class TrialMetric:
    """A metric of each trial, and without each group.

    Attributes
    ----------
    values : ndarray of float64, shape (R,)
        The metric of each trial on all units.
    left_out : ndarray of float64, shape (R, G)
        The same without the units of each group (or block of groups).
    """

    values: Float
    left_out: Float


@dataclass(frozen=True)
class Crossed:
    """An estimate over crossed trials and groups.

    Attributes
    ----------
    value : float
        Mean over trials, or difference of two such means.
    sd : float
        Standard deviation over trials (n - 1); NaN for one trial and for differences.
    se : float
        Standard error, over groups and trials.
    df : float
        Satterthwaite's degrees of freedom; infinite where the error is 0.
    low, high : float
        95 % interval.
    p_value : float
        Two-sided, of the value being 0; NaN for a mean.
    n_trials : int
        R; of a difference the smaller one.
    """

    value: float
    sd: float
    se: float
    df: float
    low: float
    high: float
    p_value: float
    n_trials: int


def mean_metric(units: ArrayLike, groups: ArrayLike) -> TrialMetric:
    """Prepare a metric that is a mean over units, such as accuracy.

    Parameters
    ----------
    units : array-like of float, shape (R, N)
        What each unit contributes in each trial: 1 where it is right, else 0; or for several
        labels the share of its labels that are right.
    groups : array-like of int, shape (N,)
        Group of each unit, 0 … G - 1.

    Examples
    --------
    >>> metric = mean_metric([[1, 0, 1, 1]], [0, 0, 1, 1])
    >>> metric.values.tolist(), metric.left_out.tolist()
    ([0.75], [[1.0, 0.5]])
    """
    table, index = np.atleast_2d(np.asarray(units, np.float64)), np.asarray(groups)
    _check(table, index)
    n_groups = int(index.max()) + 1
    counts = np.bincount(index, minlength=n_groups)
    sums = np.stack([np.bincount(index, weights=row, minlength=n_groups) for row in table])
    rest = (sums.sum(1, keepdims=True) - sums) / (counts.sum() - counts)
    return TrialMetric(table.mean(1), rest)


def macro_average_precision(scores: ArrayLike, truth: ArrayLike, groups: ArrayLike) -> TrialMetric:
    """Prepare the mean, over the classes that occur, of the average precision.

    Parameters
    ----------
    scores : array-like of float, shape (R, N, K)
        Score of each class for each unit and trial.
    truth : array-like of bool, shape (N, K)
        Whether the unit has the label.
    groups : array-like of int, shape (N,)
        Group of each unit, 0 … G - 1. More than 100 are joined into 100 blocks.

    Notes
    -----
    Average precision as scikit-learn's: the sum, over the ranks, of precision times the step in
    recall.
    """
    table, labels = np.asarray(scores, np.float64), np.asarray(truth, bool)
    index = np.asarray(groups)
    _check(table, index)
    blocks = index % min(int(index.max()) + 1, MOST_BLOCKS)
    kept = [blocks != block for block in range(int(blocks.max()) + 1)]
    whole = np.array([_macro(trial, labels) for trial in table])
    rest = np.array([[_macro(trial[rows], labels[rows]) for rows in kept] for trial in table])
    return TrialMetric(whole, rest)


def crossed_mean(metric: TrialMetric) -> Crossed:
    """Estimate the mean over trials of a metric between 0 and 1.

    Returns
    -------
    Crossed
        The interval ends within 0 … 1. Where nothing varies (all units right, say) it is Wilson's
        on the number of groups, because a perfect score on 20 patients proves no perfect network.

    Examples
    --------
    >>> metric = mean_metric([[1, 0, 1, 1], [1, 1, 1, 0]], [0, 1, 2, 3])
    >>> found = crossed_mean(metric)
    >>> found.value, round(found.se, 3), round(found.df, 1)
    (0.75, 0.144, 3.0)
    """
    value = float(metric.values.mean())
    over_groups = _jackknife(metric.left_out.mean(0))
    of_trials, df_trials = _trial_part(metric)
    variance = over_groups + of_trials
    n_groups, n_trials = metric.left_out.shape[1], len(metric.values)
    sd = float(metric.values.std(ddof=1)) if n_trials > 1 else math.nan
    if variance <= 1e-18:
        low, high = map(float, wilson_interval(value * n_groups, n_groups, LEVEL))
        return Crossed(value, sd, 0.0, math.inf, low, high, math.nan, n_trials)
    df = variance**2 / (over_groups**2 / (n_groups - 1) + of_trials**2 / df_trials)
    half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * math.sqrt(variance)
    low, high = max(0.0, value - half), min(1.0, value + half)
    return Crossed(value, sd, math.sqrt(variance), df, low, high, math.nan, n_trials)


def crossed_difference(a: TrialMetric, b: TrialMetric) -> Crossed:
    """Estimate and test the difference a - b of two metrics between 0 and 1 on the same units.

    Their trials are independent of each other; their units are the same, so groups are paired.

    Returns
    -------
    Crossed
        With p 1 where the two agree on every unit in every trial. The interval ends within -1 … 1.

    Raises
    ------
    InputError
        The two were not tested on the same groups.

    Examples
    --------
    >>> groups = [0, 1, 2, 3]
    >>> a = mean_metric([[1, 1, 1, 1], [1, 1, 1, 0]], groups)
    >>> b = mean_metric([[1, 0, 0, 1], [0, 1, 0, 0]], groups)
    >>> found = crossed_difference(a, b)
    >>> found.value, 0 < found.p_value < 0.1
    (0.5, True)
    """
    _same_groups(a, b)
    value = float(a.values.mean() - b.values.mean())
    over_groups = _jackknife(a.left_out.mean(0) - b.left_out.mean(0))
    parts = [(over_groups, a.left_out.shape[1] - 1.0)] + [_trial_part(metric) for metric in (a, b)]
    return _tested(value, parts, min(len(a.values), len(b.values)), 0.0)


def crossed_paired_difference(a: TrialMetric, b: TrialMetric, *, null: float = 0.0) -> Crossed:
    """Estimate and test the difference a - b where trials belong together too.

    Trial r of both shares something by chance: a student and the teacher of its seed, say. What
    they share cancels, as it does for groups.

    Parameters
    ----------
    a, b : TrialMetric
        With the same groups and trials.
    null : float, default 0.0
        Difference that p speaks of.

    Returns
    -------
    Crossed
        The wider interval and the larger p of two: of the error over groups and trials, and of the
        t test over trials alone. Satterthwaite's degrees of freedom are guessed from few trials,
        too many where these scatter most: with three, the first alone covers in 89 % where 95 % are
        said, and the wider of both in 94 % or more.

    Raises
    ------
    InputError
        The two were not tested on the same groups, or have not as many trials.

    Examples
    --------
    >>> groups = [0, 1, 2, 3]
    >>> a = mean_metric([[1, 1, 1, 1], [1, 1, 1, 0]], groups)
    >>> found = crossed_paired_difference(a, mean_metric([[1, 1, 1, 0], [1, 1, 0, 0]], groups))
    >>> found.value, round(found.se, 3)
    (0.25, 0.144)
    """
    _same_groups(a, b)
    if len(a.values) != len(b.values):
        raise InputError(
            f"{len(a.values)} trials are paired with {len(b.values)}",
            "train both with the same seeds",
        )
    rest = TrialMetric(a.values - b.values, a.left_out - b.left_out)
    value, n_trials = float(rest.values.mean()), len(rest.values)
    parts = [(_jackknife(rest.left_out.mean(0)), rest.left_out.shape[1] - 1.0), _trial_part(rest)]
    both = _tested(value, parts, n_trials, null)
    if n_trials < 2:
        return both
    alone = (float(rest.values.var(ddof=1)) / n_trials, n_trials - 1.0)
    trials = _tested(value, [alone], n_trials, null)
    wider = trials if trials.high - trials.low > both.high - both.low else both
    return replace(wider, p_value=float(np.fmax(both.p_value, trials.p_value)))


def _same_groups(a: TrialMetric, b: TrialMetric) -> None:
    if a.left_out.shape[1] != b.left_out.shape[1]:
        raise InputError(
            f"{a.left_out.shape[1]} and {b.left_out.shape[1]} groups were tested",
            "compare networks on the same units",
        )


def _tested(value: float, parts: list[tuple[float, float]], n_trials: int, null: float) -> Crossed:
    """Test a difference whose variance has parts, each with its degrees of freedom."""
    variance = sum(part for part, _ in parts)
    if variance <= 1e-18:
        # Nothing varies: equal everywhere is no difference; else no error can be estimated.
        p = 1.0 if abs(value - null) < 1e-12 else math.nan
        return Crossed(value, math.nan, 0.0, math.inf, value, value, p, n_trials)
    df = variance**2 / sum(part**2 / free for part, free in parts)
    se = math.sqrt(variance)
    half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * se
    p = float(2 * stats.t.sf(abs(value - null) / se, df))
    low, high = max(-1.0, value - half), min(1.0, value + half)
    return Crossed(value, math.nan, se, df, low, high, p, n_trials)


def _check(table: Float, groups: NDArray[np.generic]) -> None:
    if table.shape[1] != len(groups) or not len(groups):
        raise InputError(
            f"{table.shape[1]} units and {len(groups)} groups", "give a group for each unit"
        )
    if len(np.unique(groups)) < 2:
        raise InputError(
            "all test units are of one group, so no error can be estimated",
            "test on two groups (patients, say) or more",
        )


def _jackknife(left_out: Float) -> float:
    n = len(left_out)
    return float((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())


def _trial_part(metric: TrialMetric) -> tuple[float, float]:
    """Variance that trials add to that of the groups, 0 or above, and its degrees of freedom."""
    n = len(metric.values)
    if n < 2:
        return 0.0, 1.0
    over_trials = float(metric.values.var(ddof=1)) / n
    single = float(np.mean([_jackknife(row) for row in metric.left_out]))
    shared = (single - _jackknife(metric.left_out.mean(0))) / (n - 1)
    return max(0.0, over_trials - shared), n - 1.0


def _macro(scores: Float, truth: NDArray[np.bool_]) -> float:
    from sklearn.metrics import average_precision_score

    occurs = truth.any(axis=0)
    if not occurs.any():
        return math.nan
    return float(average_precision_score(truth[:, occurs], scores[:, occurs], average="macro"))
