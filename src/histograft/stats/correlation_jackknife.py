"""Intervals of correlations by leaving out one patient at a time, for many targets and models.

The estimate lies inside its interval, no chance has a part in it, and it holds for heavy tails too,
where the percentile bootstrap does not: decision 10 in ``docs/decisions`` has the coverage of both.
Predictions are held fixed; for those of cross-validation that makes intervals too short, so they
are widened: `histograft.stats.cross_validated` says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.bootstrap import FEW_GROUPS
from histograft.stats.correlation import Bool, Float, Method, correlate, known_pairs
from histograft.stats.correlation_draws import pearson_draws, spearman_draws
from histograft.stats.cross_validated import width

_TARGETS_AT_ONCE = 64
# Fisher's transformation of 1 is infinite.
_NEARLY_ONE = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True)
class JackknifeIntervals:
    """95 % intervals of correlations and of their differences.

    Attributes
    ----------
    method : str
        ``"pearson"`` or ``"spearman"``.
    width : float
        Factor by which standard errors were multiplied.
    r : ndarray of float64, shape (M, G)
        Correlation of each model and target; NaN where undefined.
    interval : ndarray of float64, shape (2, M, G)
        Lower and upper end; NaN where r is, and where it rests on a single group.
    pairs : tuple of tuple of int
        Models (first, second) of each difference.
    difference : ndarray of float64, shape (pairs, G)
        r of the first minus r of the second.
    difference_interval : ndarray of float64, shape (2, pairs, G)
        Its ends.
    mean : ndarray of float64, shape (M,)
        Mean of r over the targets that are defined for all models.
    mean_without : ndarray of float64, shape (M, K)
        The same without each of the K groups.
    """

    method: str
    width: float
    r: Float
    interval: Float = field(repr=False)
    pairs: tuple[tuple[int, int], ...]
    difference: Float = field(repr=False)
    difference_interval: Float = field(repr=False)
    mean: Float = field(repr=False)
    mean_without: Float = field(repr=False)

    @property
    def n_groups(self) -> int:
        """K, what is left out one at a time."""
        return int(self.mean_without.shape[1])

    @property
    def warning(self) -> str:
        """What to tell the reader, empty where nothing is wrong."""
        if self.n_groups >= FEW_GROUPS:
            return ""
        return f"there are only {self.n_groups} groups; below {FEW_GROUPS} intervals are rough"

    def mean_interval(self, model: int) -> tuple[float, float]:
        """Return the interval of one model's mean r over targets."""
        value, without = self.mean[[model]], self.mean_without[model][:, None]
        low, high = _fisher_ends(value, without, np.array([self.n_groups]), self.width)
        return float(low[0]), float(high[0])

    def mean_difference_interval(self, first: int, second: int) -> tuple[float, float]:
        """Return the paired interval of the difference of two models' mean r over targets."""
        value = self.mean[[first]] - self.mean[[second]]
        without = (self.mean_without[first] - self.mean_without[second])[:, None]
        low, high = _ends(value, without, np.array([self.n_groups]), self.width)
        return float(low[0]), float(high[0])


def correlation_jackknife(
    predictions: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    method: Method = "pearson",
    cross_validated: bool = True,
) -> JackknifeIntervals:
    r"""Leave out one group at a time and say how far correlations move.

    Parameters
    ----------
    predictions : array-like of float, shape (M, N, G)
        Predictions of M models, averaged over repeats, for N units and G targets. NaN leaves a
        unit out of a target, in all models alike.
    truth : array-like of float, shape (N, G)
        Measured values; NaN where unknown.
    groups : array-like, shape (N,)
        What is independent: the patient of each unit.
    method : {"pearson", "spearman"}
        Spearman's takes ranks anew without each group.
    cross_validated : bool, default True
        Predictions come from cross-validation among these very patients: standard errors are
        multiplied by √2. False for patients that no machine has seen.

    Returns
    -------
    JackknifeIntervals

    Raises
    ------
    InputError
        As in `histograft.stats.correlation.correlate`; or the shapes cannot be used.

    Notes
    -----
    With K groups, :math:`\hat\theta` of all and :math:`\hat\theta_{(k)}` without group k,

    .. math:: se^2 = \frac{K - 1}{K} \sum_k (\hat\theta_{(k)} - \hat\theta)^2

    (Tukey's jackknife about the estimate; Efron and Stein 1981, doi:10.1214/aos/1176345462), and
    the interval is :math:`\hat\theta \pm t_{K-1} \, se`. For one correlation, and for a mean of
    correlations, :math:`\theta` is Fisher's atanh r and the ends are transformed back, so they lie
    within -1 … 1; for differences it is the difference itself.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(100, 1))
    >>> good, bad = truth + rng.normal(size=(2, 100, 1)) * np.array([0.5, 3.0])[:, None, None]
    >>> found = correlation_jackknife([good, bad], truth, np.arange(100))
    >>> bool(found.interval[0, 0, 0] < found.r[0, 0] < found.interval[1, 0, 0])
    True
    >>> bool(found.difference_interval[0, 0, 0] > 0)
    True
    """
    x, y, known = known_pairs(predictions, truth)
    if x.ndim != 3 or len(np.asarray(groups)) != x.shape[1] or not x.shape[1]:
        raise InputError(
            f"predictions of shape {x.shape} and {len(np.asarray(groups))} groups",
            "give predictions as models × units × targets, and one group a unit",
        )
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(group.max()) + 1
    leave_out = 1 - np.eye(n_groups, dtype=np.int16)
    result = _Collected(
        correlate(x, y, method=method).r, n_groups, width(cross_validated=cross_validated)
    )
    draws = pearson_draws if method == "pearson" else spearman_draws
    for start in range(0, y.shape[1], _TARGETS_AT_ONCE):
        part = slice(start, start + _TARGETS_AT_ONCE)
        here = known[:, part]
        counting = np.array([np.unique(group[column]).size for column in here.T])
        result.add(part, draws(x[:, :, part], y[:, part], here, group, leave_out), counting)
    return result.finish(method)


class _Collected:
    """Intervals so far, some targets at a time."""

    def __init__(self, r: Float, n_groups: int, factor: float) -> None:
        n_models, n_targets = r.shape
        self.r, self.factor = r, factor
        self.pairs = tuple((i, j) for i in range(n_models) for j in range(i + 1, n_models))
        self.difference = np.array([r[i] - r[j] for i, j in self.pairs]).reshape(-1, n_targets)
        self.interval = np.full((2, *r.shape), np.nan)
        self.difference_interval = np.full((2, *self.difference.shape), np.nan)
        self.shared: Bool = ~np.isnan(r.sum(axis=0))
        self.total = np.zeros((n_models, n_groups))
        self.count = np.zeros(n_groups, dtype=np.int64)

    def add(self, part: slice, without: Float, counting: NDArray[np.int64]) -> None:
        """Take r without each group, shape (M, K, targets), and the groups that count for them."""
        for model, values in enumerate(without):
            self.interval[:, model, part] = _fisher_ends(
                self.r[model, part], values, counting, self.factor
            )
        for at, (i, j) in enumerate(self.pairs):
            self.difference_interval[:, at, part] = _ends(
                self.difference[at, part], without[i] - without[j], counting, self.factor
            )
        use = ~np.isnan(without).any(axis=0) & self.shared[part]
        self.total += np.where(use, without, 0.0).sum(axis=2)
        self.count += use.sum(axis=1)

    def finish(self, method: str) -> JackknifeIntervals:
        """Return the result."""
        means = np.full(len(self.r), np.nan)
        if self.shared.any():
            means = self.r[:, self.shared].mean(axis=1)
        return JackknifeIntervals(
            method=method,
            width=self.factor,
            r=self.r,
            interval=self.interval,
            pairs=self.pairs,
            difference=self.difference,
            difference_interval=self.difference_interval,
            mean=means,
            mean_without=self.total / np.where(self.count, self.count, np.nan),
        )


def _fisher_ends(value: Float, without: Float, n: NDArray[np.int64], factor: float) -> Float:
    """Return ends for correlations (G,), from those without each group (K, G), by atanh r."""
    scaled, scaled_without = (
        np.arctanh(np.clip(r, -_NEARLY_ONE, _NEARLY_ONE)) for r in (value, without)
    )
    return np.tanh(_ends(scaled, scaled_without, n, factor))


def _ends(value: Float, without: Float, n: NDArray[np.int64], factor: float) -> Float:
    """Return ends (2, G); NaN where a value is undefined without some group."""
    # Groups without a known value of a target leave it as it is and add nothing to its sum.
    several = np.maximum(n, 2)
    square = ((without - value) ** 2).sum(axis=0) * (several - 1) / several
    half = factor * stats.t.isf(0.025, several - 1) * np.sqrt(square)
    half = np.where(n > 1, half, np.nan)
    return np.stack([value - half, value + half])
