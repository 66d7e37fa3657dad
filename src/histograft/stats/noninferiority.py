"""Whether a student is worse than its teacher by less than a margin, and down to which scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.bootstrap import BootstrapDraws
from histograft.stats.compare import holm
from histograft.stats.crossed import LEVEL, TrialMetric, crossed_paired_difference

Float = NDArray[np.float64]


@dataclass(frozen=True)
class NonInferiority:
    """Result of a test that a model is not worse than a reference by a margin or more.

    Attributes
    ----------
    metric : str
        What is compared; higher is better.
    difference, ci_low, ci_high : float
        Model less reference on the full sample, and the paired percentile interval.
    margin : float
        Largest loss that still counts as none, above 0.
    p_value : float
        One-sided, for the hypothesis that the loss is the margin or more; NaN where undefined.
    level : float
        Of the interval; a claim is made at p ≤ (1 - level) / 2, which is 0.025 for 0.95.
    p_holm : float
        p over all scales that were tested, see `over_scales`; NaN for a test by itself.
    """

    metric: str
    difference: float
    ci_low: float
    ci_high: float
    margin: float
    p_value: float
    level: float
    p_holm: float = float("nan")

    @property
    def holds(self) -> bool:
        """Whether the model may be called non-inferior, after Holm where it was applied."""
        p = self.p_value if np.isnan(self.p_holm) else self.p_holm
        return bool(p <= (1 - self.level) / 2 + 1e-12)


def noninferiority(
    draws: BootstrapDraws,
    model: int,
    reference: int,
    metric: str,
    *,
    margin: float,
    n_independent: float | None = None,
    level: float = 0.95,
) -> NonInferiority:
    r"""Test that a model loses less than a margin against a reference.

    With the paired differences :math:`d_b` of B bootstrap draws of G groups, whose standard
    deviation is s, p is the largest of three:

    .. math:: \frac{1 + \#\{b : d_b ≤ -margin\}}{1 + B}, \qquad
        P\left(t_{G-1} > \frac{d + margin}{s\sqrt{G / (G-1)}}\right), \qquad
        (1 - margin)^{n_e}.

    The first is at most 0.025 where the 95 % interval lies above -margin (up to one draw). The
    second holds it back where groups are few, of which percentiles know too little. The third is
    the chance that :math:`n_e` independent pieces show no loss where a share of the margin is lost:
    draws know no difference that the sample does not hold.

    Parameters
    ----------
    draws : BootstrapDraws
        By patient, of `rd_bootstrap` or `cluster_bootstrap`.
    model, reference : int
        Which of its models: the student, and the teacher.
    metric : str
        One of its metrics; higher is better.
    margin : float
        Above 0, on the metric's scale; to be stated before the results are seen.
    n_independent : float, optional
        Pieces that are independent of each other, see `effective_units`; by default all.
    level : float, default 0.95
        Of the interval.

    Returns
    -------
    NonInferiority

    Raises
    ------
    InputError
        The margin is not above 0, or the draws have no such metric.

    Notes
    -----
    Piaggio et al. 2012, doi:10.1001/jama.2012.87802, on what is to be reported. Not to find a
    difference is no proof that there is none; this test is the proof.

    Examples
    --------
    >>> values = np.array([[0.80], [0.81]])
    >>> drawn = np.stack([values + d for d in (-0.02, 0.0, 0.02)], axis=-1)
    >>> draws = BootstrapDraws(("accuracy",), values, drawn, 500, 500, {})
    >>> result = noninferiority(draws, 0, 1, "accuracy", margin=0.02)
    >>> round(result.difference, 2), result.p_value  # 0 of 3 draws lose 0.02
    (-0.01, 0.25)
    """
    _check_margin(margin)
    if metric not in draws.metrics:
        raise InputError(f"there is no metric {metric!r}", f"use one of {', '.join(draws.metrics)}")
    at = draws.metrics.index(metric)
    drawn = draws.draws[model, at] - draws.draws[reference, at]
    known = drawn[~np.isnan(drawn)]
    difference = float(draws.values[model, at] - draws.values[reference, at])
    p = float("nan")
    if len(known):
        # differences of counts: rounding must not decide whether one lies on the margin
        p = (1 + int((known <= -margin + 1e-12).sum())) / (1 + len(known))
        few = _of_few_groups(difference + margin, known, draws.n_groups)
        n_e = draws.n_units if n_independent is None else n_independent
        p = max(p, few, least_p(margin, n_e))
    low, high = draws.difference_interval(model, reference, metric, level)
    return NonInferiority(metric, difference, low, high, float(margin), p, level)


def effective_units(right: ArrayLike, groups: ArrayLike) -> float:
    r"""Return how many independent pieces would tell as much as these, which come in groups.

    .. math:: n_e = \frac{n \sum_i (x_i - \bar x)^2}{\sum_g (\sum_{i ∈ g} (x_i - \bar x))^2}

    With pieces of a patient that are right or wrong together there are as many as patients, else
    up to as many as pieces. Their ratio is the design effect (Kish 1965, Survey Sampling).

    Parameters
    ----------
    right : array-like of float, shape (N,)
        Whether each piece was answered rightly, 0 … 1; the mean over seeds where there are several.
    groups : array-like of int, shape (N,)
        Group of each piece.

    Returns
    -------
    float
        1 … N; the number of groups where all pieces are alike, which tells nothing.

    Examples
    --------
    >>> effective_units([1, 1, 0, 0], [0, 0, 1, 1]), effective_units([1, 1, 0, 0], [0, 1, 2, 3])
    (2.0, 4.0)
    >>> effective_units([1, 1, 1, 1], [0, 0, 1, 1])
    2.0
    """
    x = np.asarray(right, np.float64)
    index = np.unique(np.asarray(groups), return_inverse=True)[1]
    rest = x - x.mean()
    of_groups = float((np.bincount(index, weights=rest) ** 2).sum())
    within = float((rest**2).sum())
    if within < 1e-12:
        return float(index.max() + 1)
    return float(np.clip(len(x) * within / max(of_groups, 1e-12), 1, len(x)))


def _of_few_groups(ahead: float, known: Float, n_groups: int) -> float:
    """Return p of a t test whose error is that of the draws."""
    if n_groups < 2:
        return 1.0
    se = float(known.std()) * math.sqrt(n_groups / (n_groups - 1))
    if se < 1e-12:
        return float(ahead <= 1e-12)
    return float(stats.t.sf(ahead / se, n_groups - 1))


def noninferiority_of_trainings(
    model: TrialMetric, reference: TrialMetric, metric: str, *, margin: float, n_independent: float
) -> NonInferiority:
    """Test the same where both networks would be trained anew, from other seeds.

    `noninferiority` holds for new patients and the networks at hand. Here the error has the
    scatter over seeds in it too, so p is of t tests with few degrees of freedom: three seeds
    seldom prove anything.

    Parameters
    ----------
    model, reference : TrialMetric
        The student and the teacher, seed by seed; higher is better.
    metric : str
        What was compared.
    margin : float
        Above 0, on the metric's scale.
    n_independent : float
        See `noninferiority`.

    Returns
    -------
    NonInferiority
        With p NaN for a single seed, which does not tell how seeds scatter.

    Raises
    ------
    InputError
        The margin is not above 0; groups or seeds of the two differ.

    Examples
    --------
    >>> from histograft.stats.crossed import mean_metric
    >>> right = [[1, 1, 0, 1] * 100, [1, 1, 0, 1] * 100]
    >>> one = mean_metric(right, range(400))
    >>> result = noninferiority_of_trainings(one, one, "top-1", margin=0.02, n_independent=400)
    >>> result.difference, round(result.p_value, 4)  # 0.98 ** 400
    (0.0, 0.0003)
    """
    _check_margin(margin)
    found = crossed_paired_difference(model, reference, null=-margin)
    p = float("nan")
    if found.n_trials > 1:
        ahead = found.value + margin > 1e-12
        two_sided = 0.0 if math.isnan(found.p_value) else found.p_value  # no scatter at all
        p = max(two_sided / 2 if ahead else 1 - two_sided / 2, least_p(margin, n_independent))
    return NonInferiority(metric, found.value, found.low, found.high, float(margin), p, LEVEL)


def least_p(margin: float, n: float) -> float:
    """Return the chance that n independent pieces show no loss where a share of the margin is lost.

    Examples
    --------
    >>> round(least_p(0.02, 183), 4)
    0.0248
    """
    return float(max(0.0, 1 - margin) ** n)


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise InputError(f"a margin of {margin}", "state how much may be lost, above 0")


def least_units(margin: float, n_tests: int = 1, level: float = 0.95) -> int:
    """Return how many independent pieces a claim needs at least, if not one of them is lost.

    Parameters
    ----------
    margin : float
        Above 0.
    n_tests : int, default 1
        Scales and conditions that are tested together: the first of them has so much less of
        the error to itself, by Holm's method.
    level : float, default 0.95
        Of the interval.

    Examples
    --------
    >>> least_units(0.02), least_units(0.05), least_units(0.02, 8)
    (183, 72, 286)
    """
    error = (1 - level) / 2 / n_tests
    return 1 if margin >= 1 else math.ceil(math.log(error) / math.log(1 - margin) - 1e-9)


def over_scales(results: Sequence[NonInferiority]) -> list[NonInferiority]:
    """Allow for the number of scales that were tested, by Holm's method.

    Parameters
    ----------
    results : sequence of NonInferiority
        One for each scale.

    Returns
    -------
    list of NonInferiority
        In the same order, with `NonInferiority.p_holm`.

    Examples
    --------
    >>> one = NonInferiority("accuracy", 0.0, -0.01, 0.01, 0.02, 0.01, 0.95)
    >>> [r.p_holm for r in over_scales([one, replace(one, p_value=0.02)])]
    [0.02, 0.02]
    """
    adjusted = holm([result.p_value for result in results])
    return [replace(r, p_holm=float(p)) for r, p in zip(results, adjusted, strict=True)]


def coarsest_scale(scales: Sequence[float], results: Sequence[NonInferiority]) -> float | None:
    """Return the coarsest scale down to which the loss stays below the margin.

    Parameters
    ----------
    scales : sequence of float
        µm/px or factor of each result.
    results : sequence of NonInferiority
        Of `over_scales`.

    Returns
    -------
    float or None
        The largest of `scales` that holds while all finer ones hold too: a coarse scale that
        passes where a finer one fails is more likely chance than a discovery. None for none.

    Examples
    --------
    >>> holds = NonInferiority("accuracy", 0.0, -0.01, 0.01, 0.02, 0.001, 0.95)
    >>> fails = replace(holds, p_value=0.5)
    >>> coarsest_scale([2, 4, 8], [holds, holds, fails]), coarsest_scale([2, 4], [fails, holds])
    (4, None)
    """
    found = None
    for scale, result in sorted(zip(scales, results, strict=True), key=lambda pair: pair[0]):
        if not result.holds:
            break
        found = scale
    return found
