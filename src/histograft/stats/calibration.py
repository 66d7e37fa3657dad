"""Whether predicted probabilities are what is observed.

A machine that found nothing predicts the share of events of its training set: such scores are
nearly constant, and a slope of calibration says nothing then. Undefined numbers are NaN with the
reason beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from histograft.core.errors import InputError
from histograft.stats.binary_outcome import Bool, Float, known_outcomes

ONE_CLASS = "one class only"
EXTREME = "a probability of 0 or 1 has no logit"
CONSTANT = "all probabilities are the same"
SEPARATED = "the probabilities separate the classes perfectly, so the slope is infinite"
NO_MAXIMUM = "the fit of the calibration line did not converge"

_SAME = 1e-12
_STEPS = 100


@dataclass(frozen=True)
class Calibration:
    """How probabilities and outcomes agree.

    Attributes
    ----------
    n_events, n_units : int
        Observed events, and units.
    brier : float
        Mean squared error of the probabilities, 0 … 1, lower is better; NaN without units.
    brier_no_skill : float
        What the share of events alone would have, p (1 - p).
    observed_to_expected : float
        Events divided by the sum of the probabilities; 1 is right on average. NaN where that sum
        is 0.
    observed_to_expected_interval : tuple of float
        Wilson's 95 % interval of the share of events, divided by the mean probability.
    in_the_large : float
        Intercept of the logistic regression with slope 1: above 0 where probabilities are too low.
    intercept, slope : float
        Of the logistic regression of the outcome on the logit; 0 and 1 are right, a slope below 1
        means that probabilities are too extreme.
    in_the_large_se, intercept_se, slope_se : float
        Their standard errors.
    reason : str
        Why `intercept` and `slope` are NaN; empty where they are defined.
    """

    n_events: int
    n_units: int
    brier: float
    brier_no_skill: float
    observed_to_expected: float
    observed_to_expected_interval: tuple[float, float]
    in_the_large: float
    in_the_large_se: float
    intercept: float
    intercept_se: float
    slope: float
    slope_se: float
    reason: str


@dataclass(frozen=True)
class Reliability:
    """Bins of units with similar probabilities.

    Attributes
    ----------
    n_units : ndarray of int64, shape (B,)
        Units in each bin, 1 or more.
    mean_probability, observed : ndarray of float64, shape (B,)
        What was predicted on average, and the share of events.
    low, high : ndarray of float64, shape (B,)
        Wilson's interval of that share.
    """

    n_units: NDArray[np.int64]
    mean_probability: Float
    observed: Float
    low: Float = field(repr=False)
    high: Float = field(repr=False)


def calibration(truth: ArrayLike, probability: ArrayLike) -> Calibration:
    r"""Compare predicted probabilities with what happened.

    Parameters
    ----------
    truth : array-like, shape (N,)
        1 for the event (mutated), 0 without; -1 or NaN where unknown.
    probability : array-like of float, shape (N,)
        Predicted probability of the event, 0 … 1; NaN leaves a unit out.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        A probability lies outside 0 … 1, or as in
        `histograft.stats.binary_outcome.known_outcomes`.

    Notes
    -----
    .. math:: logit P(y = 1) = a + b \, logit(\hat p)

    Cox 1958, doi:10.1093/biomet/45.3-4.562; Van Calster and others 2019,
    doi:10.1186/s12916-019-1466-7. Brier 1950,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples
    --------
    >>> found = calibration([0, 0, 1, 0, 1, 1], [0.2, 0.3, 0.4, 0.6, 0.7, 0.9])
    >>> round(found.brier, 4), round(found.observed_to_expected, 4), round(found.slope, 3)
    (0.1583, 0.9677, 1.617)
    """
    event, p = _probabilities(truth, probability)
    n, k = len(event), int(event.sum())
    share, expected = (k / n, float(p.mean())) if n else (math.nan, math.nan)
    low, high = wilson_interval(k, n)
    inverse = 1 / expected if expected > 0 else math.nan
    extreme = bool(((p == 0) | (p == 1)).any())
    one_class = k in (0, n)
    large = (math.nan,) * 2
    line = (math.nan,) * 4
    reason = ONE_CLASS if one_class else EXTREME if extreme else ""
    if not reason:
        logit = special.logit(p)
        estimate, se, _ = _logistic(np.ones((n, 1)), event, logit)
        large = float(estimate[0]), float(se[0])
        line, reason = _line(event, logit)
    return Calibration(
        n_events=k,
        n_units=n,
        brier=float(((p - event) ** 2).mean()) if n else math.nan,
        brier_no_skill=share * (1 - share),
        observed_to_expected=share * inverse,
        observed_to_expected_interval=(float(low) * inverse, float(high) * inverse),
        in_the_large=large[0],
        in_the_large_se=large[1],
        intercept=line[0],
        intercept_se=line[1],
        slope=line[2],
        slope_se=line[3],
        reason=reason,
    )


def reliability(
    truth: ArrayLike, probability: ArrayLike, *, n_bins: int = 10, level: float = 0.95
) -> Reliability:
    """Put units of similar probability into bins and count events.

    Bins hold about as many units each; units with the same probability are in the same bin, so
    there may be fewer bins than asked for, and a constant gives one.

    Parameters
    ----------
    truth, probability : array-like, shape (N,)
        As in `calibration`.
    n_bins : int, default 10
        Bins at most.
    level : float, default 0.95
        Coverage of Wilson's intervals.

    Returns
    -------
    Reliability

    Raises
    ------
    InputError
        As in `calibration`, or for no bin.

    Examples
    --------
    >>> found = reliability([0, 0, 1, 1, 1, 1], [0.1, 0.2, 0.5, 0.5, 0.5, 0.9], n_bins=3)
    >>> found.n_units, found.observed
    (array([2, 3, 1]), array([0., 1., 1.]))
    """
    if n_bins < 1:
        raise InputError(f"{n_bins} bins", "take 1 bin or more")
    event, p = _probabilities(truth, probability)
    # Tied units share the place of the first of them, and so the bin.
    place = np.searchsorted(np.sort(p), p, side="left")
    _, index = np.unique(place * n_bins // max(len(p), 1), return_inverse=True)
    n_units = np.bincount(index).astype(np.int64)
    events = np.bincount(index, weights=event)
    low, high = wilson_interval(events, n_units, level)
    mean = np.bincount(index, weights=p) / n_units
    return Reliability(n_units, mean, events / n_units, low, high)


def wilson_interval(
    events: ArrayLike, n_units: ArrayLike, level: float = 0.95
) -> tuple[Float, Float]:
    r"""Compute intervals of a share that stay within 0 … 1 and hold for few units.

    .. math:: \frac{\hat p + \frac{z^2}{2n} \pm
        z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}}{1 + \frac{z^2}{n}}

    Parameters
    ----------
    events, n_units : array-like of int, shapes that broadcast
        Events among units.
    level : float, default 0.95
        Coverage.

    Returns
    -------
    low, high : ndarray of float64
        NaN for no units.

    Notes
    -----
    Wilson 1927, doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> [round(float(end), 4) for end in wilson_interval(0, 10)]
    [0.0, 0.2775]
    """
    n = np.asarray(n_units, dtype=np.float64)
    n = np.where(n > 0, n, np.nan)
    share = np.asarray(events, dtype=np.float64) / n
    z2 = float(stats.norm.isf((1 - level) / 2)) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # At 0 and 1 the ends are exact; rounding must not move them.
    low = np.where(share == 0, 0.0, middle - half)
    high = np.where(share == 1, 1.0, middle + half)
    return low, high


def _probabilities(truth: ArrayLike, probability: ArrayLike) -> tuple[Bool, Float]:
    event, p = known_outcomes(truth, probability)
    if p.ndim != 1:
        raise InputError(f"probabilities of shape {p.shape}", "give one probability a unit")
    if ((p < 0) | (p > 1)).any():
        raise InputError(
            "a probability lies outside 0 … 1", "give probabilities, not decision values"
        )
    return event, p


def _line(event: Bool, logit: Float) -> tuple[tuple[float, float, float, float], str]:
    gone = (math.nan,) * 4
    if np.ptp(logit) <= _SAME * max(1.0, float(np.abs(logit).max())):
        return gone, CONSTANT
    high, low = logit[event], logit[~event]
    if high.min() >= low.max() or high.max() <= low.min():
        return gone, SEPARATED
    # Fitted on a standard scale: probabilities of a weak machine hardly differ.
    center, scale = float(logit.mean()), float(logit.std())
    design = np.column_stack([np.ones(len(logit)), (logit - center) / scale])
    (a, b), _, covariance = _logistic(design, event, np.zeros(len(logit)))
    if not np.isfinite(covariance).all():
        return gone, NO_MAXIMUM
    back = np.array([[1.0, -center / scale], [0.0, 1 / scale]])
    intercept, slope = back @ np.array([a, b])
    se = np.sqrt(np.diag(back @ covariance @ back.T))
    return (float(intercept), float(se[0]), float(slope), float(se[1])), ""


def _logistic(design: Float, event: Bool, offset: Float) -> tuple[Float, Float, Float]:
    """Fit by Newton's steps, halved while they do not help; NaN where there is no maximum."""
    beta = np.zeros(design.shape[1])
    value = _log_likelihood(design @ beta + offset, event)
    for _ in range(_STEPS):
        p = special.expit(design @ beta + offset)
        information = (design.T * (p * (1 - p))) @ design
        if not np.linalg.det(information) > 0:
            break
        covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
        step: Float = covariance @ (design.T @ (event - p))
        if np.abs(step).max() < 1e-12 * max(1.0, float(np.abs(beta).max())):
            return beta, np.sqrt(np.diag(covariance)), covariance
        while (
            new := _log_likelihood(design @ (beta + step) + offset, event)
        ) < value - 1e-12 * abs(value) and np.abs(step).max() > 1e-15:
            step /= 2
        beta, value = beta + step, new
    gone = np.full(len(beta), np.nan)
    return gone, gone, np.full((len(beta),) * 2, np.nan)


def _log_likelihood(linear: Float, event: Bool) -> float:
    return -float(np.logaddexp(0.0, np.where(event, -linear, linear)).sum())
