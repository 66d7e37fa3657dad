"""Intervals of correlations by resampling patients, for many targets and models at once.

The same draws serve all targets and models, so differences between models are paired and means
over targets keep the dependence of the targets. Predictions are held fixed; for those of
cross-validation that makes intervals too short, so they are widened about the estimate:
`histograft.stats.cross_validated` says why.

Where values have heavy tails these intervals are too short and lie beside the estimate: patients
that are drawn twice agree with themselves. `histograft.stats.correlation_jackknife` is better.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError
from histograft.stats.bootstrap import FEW_GROUPS, draw_groups
from histograft.stats.correlation import (
    Float,
    Method,
    correlate,
    known_pairs,
)
from histograft.stats.correlation_draws import DRAWS_AT_ONCE, pearson_draws, spearman_draws
from histograft.stats.cross_validated import width

_TAILS = (0.025, 0.975)
_TARGETS_AT_ONCE = 64


@dataclass(frozen=True)
class CorrelationIntervals:
    """Percentile intervals of correlations and of their differences.

    Attributes
    ----------
    method : str
        ``"pearson"`` or ``"spearman"``.
    width : float
        Factor by which the 95 % percentile intervals were widened about the estimate.
    r : ndarray of float64, shape (M, G)
        Correlation of each model and target on the full sample; NaN where undefined.
    interval : ndarray of float64, shape (2, M, G)
        Lower and upper end; NaN where r is.
    pairs : tuple of tuple of int
        Models (first, second) of each difference.
    difference : ndarray of float64, shape (pairs, G)
        r of the first minus r of the second.
    difference_interval : ndarray of float64, shape (2, pairs, G)
        Its ends, from the same draws.
    mean_draws : ndarray of float64, shape (M, draws)
        Mean of r over the targets that are defined for all models, in each draw.
    undefined : ndarray of int64, shape (M, G)
        Draws in which r is undefined, because truth or prediction are constant in them; they are
        left out of the intervals.
    n_groups : int
        What was resampled.
    """

    method: str
    width: float
    r: Float
    interval: Float = field(repr=False)
    pairs: tuple[tuple[int, int], ...]
    difference: Float = field(repr=False)
    difference_interval: Float = field(repr=False)
    mean_draws: Float = field(repr=False)
    undefined: NDArray[np.int64] = field(repr=False)
    n_groups: int

    @property
    def warning(self) -> str:
        """What to tell the reader, empty where nothing is wrong; as in `BootstrapDraws`."""
        if self.n_groups >= FEW_GROUPS:
            return ""
        return (
            f"only {self.n_groups} groups were resampled; below {FEW_GROUPS} such intervals "
            "tend to be too short"
        )

    def mean_interval(self, model: int) -> tuple[float, float]:
        """Return the interval of one model's mean r over targets."""
        return self._of_mean(self.mean_draws[model], self._shared_means()[model])

    def mean_difference_interval(self, first: int, second: int) -> tuple[float, float]:
        """Return the paired interval of the difference of two models' mean r over targets."""
        draws, means = self.mean_draws, self._shared_means()
        return self._of_mean(draws[first] - draws[second], means[first] - means[second])

    def _shared_means(self) -> Float:
        """Mean r of each model over the targets that are defined for all."""
        defined = ~np.isnan(self.r).any(axis=0)
        if not defined.any():
            return np.full(len(self.r), np.nan)
        means: Float = self.r[:, defined].mean(axis=1)
        return means

    def _of_mean(self, draws: Float, value: float) -> tuple[float, float]:
        low, high = _widened(_ends(draws[:, None]), np.array([value]), self.width)
        return float(low[0]), float(high[0])


def correlation_bootstrap(
    predictions: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    method: Method = "pearson",
    n_draws: int = 10_000,
    cross_validated: bool = True,
    rng: np.random.Generator,
) -> CorrelationIntervals:
    """Resample groups and correlate predictions with the truth in each draw.

    Parameters
    ----------
    predictions : array-like of float, shape (M, N, G)
        Predictions of M models, averaged over repeats, for N units and G targets. NaN leaves a
        unit out of a target, in all models alike.
    truth : array-like of float, shape (N, G)
        Measured values; NaN where unknown.
    groups : array-like, shape (N,)
        What is resampled: the patient of each unit.
    method : {"pearson", "spearman"}
        Spearman's takes ranks anew within each draw.
    n_draws : int, default 10,000
        Number of draws.
    cross_validated : bool, default True
        Predictions come from cross-validation among these very patients: the ends of all intervals
        are put √2 times as far from the estimate. False for patients that no machine has seen.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    CorrelationIntervals

    Raises
    ------
    InputError
        As in `correlate`; or the shapes or the number of draws cannot be used.

    Notes
    -----
    Cluster bootstrap: Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x. Percentile
    interval: Efron 1979, doi:10.1214/aos/1176344552. Pearson's correlations of all draws are
    products of the draws' weights with sums of each group.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(100, 1))
    >>> good, bad = truth + rng.normal(size=(2, 100, 1)) * np.array([0.5, 3.0])[:, None, None]
    >>> found = correlation_bootstrap([good, bad], truth, np.arange(100), n_draws=500, rng=rng)
    >>> bool(found.interval[0, 0, 0] < found.r[0, 0] < found.interval[1, 0, 0])
    True
    >>> bool(found.difference_interval[0, 0, 0] > 0)
    True
    """
    x, y, known = known_pairs(predictions, truth)
    _check(x, groups, n_draws)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(group.max()) + 1
    weights = _draw_in_blocks(n_groups, n_draws, rng)
    result = _Collected(len(x), y.shape[1], n_draws)
    for start in range(0, y.shape[1], _TARGETS_AT_ONCE):
        part = slice(start, start + _TARGETS_AT_ONCE)
        draw = pearson_draws if method == "pearson" else spearman_draws
        result.add(part, draw(x[:, :, part], y[:, part], known[:, part], group, weights))
    r = correlate(x, y, method=method).r
    return result.finish(method, r, n_groups, width(cross_validated=cross_validated))


class _Collected:
    """Intervals so far: draws of all targets at once would not fit into memory."""

    def __init__(self, n_models: int, n_targets: int, n_draws: int) -> None:
        self.pairs = tuple((i, j) for i in range(n_models) for j in range(i + 1, n_models))
        self.interval = np.full((2, n_models, n_targets), np.nan)
        self.difference_interval = np.full((2, len(self.pairs), n_targets), np.nan)
        self.undefined = np.zeros((n_models, n_targets), dtype=np.int64)
        self.total = np.zeros((n_models, n_draws))
        self.count = np.zeros(n_draws, dtype=np.int64)

    def add(self, part: slice, draws: Float) -> None:
        """Take draws, shape (M, D, targets of the part), NaN where undefined."""
        gone = np.isnan(draws)
        self.undefined[:, part] = gone.sum(axis=1)
        for model, values in enumerate(draws):
            self.interval[:, model, part] = _ends(values)
        for at, (i, j) in enumerate(self.pairs):
            self.difference_interval[:, at, part] = _ends(draws[i] - draws[j])
        shared = ~gone.any(axis=0)
        self.total += np.where(shared, draws, 0.0).sum(axis=2)
        self.count += shared.sum(axis=1)

    def finish(self, method: str, r: Float, n_groups: int, factor: float) -> CorrelationIntervals:
        """Return the result; targets that are undefined on the full sample have no interval."""
        difference = np.array([r[i] - r[j] for i, j in self.pairs]).reshape(-1, r.shape[1])
        means = self.total / np.where(self.count, self.count, np.nan)
        return CorrelationIntervals(
            method=method,
            width=factor,
            r=r,
            interval=np.clip(_widened(self.interval, r, factor), -1.0, 1.0),
            pairs=self.pairs,
            difference=difference,
            difference_interval=_widened(self.difference_interval, difference, factor),
            mean_draws=means,
            undefined=self.undefined,
            n_groups=n_groups,
        )


def _check(x: Float, groups: ArrayLike, n_draws: int) -> None:
    if x.ndim != 3 or len(np.asarray(groups)) != x.shape[1] or not x.shape[1]:
        raise InputError(
            f"predictions of shape {x.shape} and {len(np.asarray(groups))} groups",
            "give predictions as models × units × targets, and one group a unit",
        )
    if n_draws < 1:
        raise InputError(f"{n_draws} draws", "take 1 draw or more")


def _draw_in_blocks(n_groups: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.int16]:
    # Two bytes a weight: 10,000 draws of 5,000 patients are 100 MB.
    weights = np.empty((n_draws, n_groups), dtype=np.int16)
    for start in range(0, n_draws, DRAWS_AT_ONCE):
        stop = min(start + DRAWS_AT_ONCE, n_draws)
        weights[start:stop] = draw_groups(n_groups, stop - start, rng)
    return weights


def _ends(draws: Float) -> Float:
    """Percentiles over draws, shape (2, G), of draws (D, G); NaN where no draw is defined."""
    gone = np.isnan(draws)
    ends: Float = np.quantile(np.where(gone, 0.0, draws), _TAILS, axis=0)
    for target in np.flatnonzero(gone.any(axis=0)):
        left = draws[~gone[:, target], target]
        ends[:, target] = np.quantile(left, _TAILS) if len(left) else np.nan
    return ends


def _widened(ends: Float, value: Float, factor: float) -> Float:
    """Return ends at `factor` times the distance from the value; NaN where the value is."""
    # With factor 1 the ends stay what they are, to the last digit.
    return np.where(np.isnan(value), np.nan, ends + (factor - 1) * (ends - value))
