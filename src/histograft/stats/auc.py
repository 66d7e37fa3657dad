"""Area under the ROC curve with DeLong's intervals and tests, and average precision.

Units must be independent: one row a patient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.binary_outcome import Bool, Float, known_outcomes
from histograft.stats.compare import TestResult
from histograft.stats.cross_validated import width

ONE_CLASS = "one class only"
ONE_UNIT = "a class of one unit has no variance"
NO_SPREAD = "DeLong's variance is 0, so the interval is too short"


@dataclass(frozen=True)
class DeLong:
    """Areas under the ROC curve of several scores of the same units.

    Attributes
    ----------
    auc : ndarray of float64, shape (M,)
        Chance that a unit with the event scores above one without, 0 … 1; NaN where one class is
        absent.
    covariance : ndarray of float64, shape (M, M)
        Of the areas, doubled where they are cross-validated; NaN where a class has fewer than two
        units.
    n_events, n_others : int
        Units with and without the event.
    reason : tuple of str, length M
        What the reader must know, empty where nothing is wrong: why numbers are undefined, or that
        the variance is 0 (all scores tied, or classes perfectly separated), which is a failure of
        the method and no certainty.
    cross_validated : bool
        Whether variances were doubled for the dependence of cross-validated scores.
    """

    auc: Float
    covariance: Float = field(repr=False)
    n_events: int
    n_others: int
    reason: tuple[str, ...]
    cross_validated: bool

    @property
    def se(self) -> Float:
        """Standard errors of the areas, shape (M,)."""
        errors: Float = np.sqrt(np.diag(self.covariance))
        return errors

    def interval(self, model: int, level: float = 0.95) -> tuple[float, float]:
        """Return the normal interval of one area, cut at 0 and 1 as in pROC; NaN if undefined."""
        half = float(stats.norm.isf((1 - level) / 2)) * float(self.se[model])
        low, high = self.auc[model] - half, self.auc[model] + half
        return float(np.maximum(low, 0.0)), float(np.minimum(high, 1.0))

    def difference_interval(
        self, first: int, second: int, level: float = 0.95
    ) -> tuple[float, float]:
        """Return the paired normal interval of the first area less the second."""
        result = self.difference(first, second)
        half = float(stats.norm.isf((1 - level) / 2)) * result.se
        return result.mean - half, result.mean + half

    def difference(self, first: int, second: int) -> TestResult:
        """Test that two areas are equal, two-sided; p is 1 where the scores rank alike.

        Where the areas differ and the variance is 0 the test is undefined: p is NaN, not 0.
        """
        name = "DeLong, paired" + (", variance doubled" if self.cross_validated else "")
        mean = float(self.auc[first] - self.auc[second])
        c = self.covariance
        variance = float(c[first, first] + c[second, second] - 2 * c[first, second])
        if math.isnan(mean) or math.isnan(variance):
            return TestResult(name, math.nan, math.nan, math.nan, mean, math.nan)
        # Rounding leaves some 1e-17 where the variance is 0.
        if variance <= 1e-14 * max(float(c[first, first]), float(c[second, second]), 1e-4):
            undefined = abs(mean) > 1e-12
            z, p = (math.nan, math.nan) if undefined else (0.0, 1.0)
            return TestResult(name, z, math.nan, p, mean, 0.0)
        se = math.sqrt(variance)
        p = 2 * float(stats.norm.sf(abs(mean) / se))
        return TestResult(name, mean / se, math.nan, p, mean, se)


def delong(truth: ArrayLike, scores: ArrayLike, *, cross_validated: bool = True) -> DeLong:
    r"""Compute areas under the ROC curve and DeLong's covariance of them.

    With :math:`\psi` = 1, ½ or 0 as an event scores above, equal to or below another unit, the area
    is the mean of :math:`\psi` over all pairs; the covariance adds those of its mean over others,
    one value an event, and over events, one value another unit:

    .. math:: C = \frac{S_{10}}{m} + \frac{S_{01}}{n}.

    Parameters
    ----------
    truth : array-like, shape (N,)
        1 for the event (mutated), 0 without; -1 or NaN where unknown.
    scores : array-like of float, shape (M, N)
        Scores of M models, averaged over repeats, higher for the event. NaN leaves a unit out, in
        all models alike.
    cross_validated : bool, default True
        Scores come from cross-validation among these very patients: variances are doubled, for
        `histograft.stats.cross_validated`. False gives DeLong's own, for patients that no machine
        has seen.

    Returns
    -------
    DeLong

    Raises
    ------
    InputError
        As in `histograft.stats.binary_outcome.known_outcomes`.

    Notes
    -----
    DeLong, DeLong and Clarke-Pearson 1988, doi:10.2307/2531595, by the ranks of Sun and Xu 2014,
    doi:10.1109/LSP.2014.2337313: in time N log N.

    Examples
    --------
    >>> found = delong([0, 0, 1, 1, 1], [[0.1, 0.4, 0.35, 0.8, 0.9]], cross_validated=False)
    >>> round(float(found.auc[0]), 4), [round(end, 4) for end in found.interval(0)]
    (0.8333, [0.3714, 1.0])
    """
    event, s = known_outcomes(truth, scores)
    if s.ndim != 2:
        raise InputError(f"scores of shape {s.shape}", "give scores as models × units")
    m, n, n_models = int(event.sum()), int((~event).sum()), len(s)
    if not m or not n:
        gone = np.full(n_models, np.nan)
        unknown = np.full((n_models,) * 2, np.nan)
        return DeLong(gone, unknown, m, n, (ONE_CLASS,) * n_models, cross_validated)
    of_events, of_others = _placements(event, s)
    auc = of_events.mean(axis=1)
    if m < 2 or n < 2:
        unknown = np.full((n_models,) * 2, np.nan)
        return DeLong(auc, unknown, m, n, (ONE_UNIT,) * n_models, cross_validated)
    covariance = np.atleast_2d(np.cov(of_events)) / m + np.atleast_2d(np.cov(of_others)) / n
    covariance *= width(cross_validated=cross_validated) ** 2
    reason = tuple(NO_SPREAD if v <= 1e-18 else "" for v in np.diag(covariance))
    return DeLong(auc, covariance, m, n, reason, cross_validated)


def auc(truth: ArrayLike, scores: ArrayLike) -> Float:
    """Compute areas under the ROC curve, ties counting half.

    Parameters
    ----------
    truth : array-like, shape (N,)
        As in `delong`.
    scores : array-like of float, shape (..., N)
        Scores, such as repeats × units.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN where one class is absent.

    Raises
    ------
    InputError
        As in `delong`.

    Examples
    --------
    >>> auc([0, 0, 1, 1], [[0.1, 0.4, 0.35, 0.8], [1, 1, 1, 1]])
    array([0.75, 0.5 ])
    """
    event, s = known_outcomes(truth, scores)
    m, n = int(event.sum()), int((~event).sum())
    if not m or not n:
        return np.full(s.shape[:-1], np.nan)
    ranks = stats.rankdata(s, axis=-1)[..., event].sum(axis=-1)
    area: Float = (ranks - m * (m + 1) / 2) / (m * n)
    return area


@dataclass(frozen=True)
class AveragePrecision:
    """Area under the precision-recall curve, and what chance gives.

    Attributes
    ----------
    value : ndarray of float64, shape (...)
        Average precision, 0 … 1; NaN without an event.
    no_skill : float
        Share of events: what scores without skill are worth. Values of outcomes with different
        shares cannot be compared.
    """

    value: Float
    no_skill: float


def average_precision(truth: ArrayLike, scores: ArrayLike) -> AveragePrecision:
    r"""Compute the area under the precision-recall curve, as a sum of steps.

    .. math:: AP = \sum_k (R_k - R_{k-1}) P_k

    over thresholds from the highest score down, tied units entering together.

    Parameters
    ----------
    truth : array-like, shape (N,)
        As in `delong`.
    scores : array-like of float, shape (..., N)
        Scores, such as repeats × units.

    Returns
    -------
    AveragePrecision

    Raises
    ------
    InputError
        As in `delong`.

    Notes
    -----
    Steps, because a straight line between points of that curve is too optimistic: Davis and
    Goadrich 2006, doi:10.1145/1143844.1143874.

    Examples
    --------
    >>> average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    AveragePrecision(value=array(0.83333333), no_skill=0.5)
    """
    event, s = known_outcomes(truth, scores)
    m = int(event.sum())
    if not m:
        return AveragePrecision(np.full(s.shape[:-1], np.nan), 0.0 if len(event) else math.nan)
    # Units at or above the score of each event, and events among them.
    above = (-stats.rankdata(s, method="min", axis=-1) + len(event) + 1)[..., event]
    events_above = m + 1 - stats.rankdata(s[..., event], method="min", axis=-1)
    value: Float = np.asarray((events_above / above).mean(axis=-1))
    return AveragePrecision(value, m / len(event))


def _placements(event: Bool, s: Float) -> tuple[Float, Float]:
    """Mean of ψ over the other class, for each unit, shapes (M, m) and (M, n)."""
    ranks = stats.rankdata(s, axis=1)
    high, low = s[:, event], s[:, ~event]
    m, n = high.shape[1], low.shape[1]
    of_events = (ranks[:, event] - stats.rankdata(high, axis=1)) / n
    of_others = 1 - (ranks[:, ~event] - stats.rankdata(low, axis=1)) / m
    return of_events, of_others
