"""Intervals that resample what is independent: groups, not patches and not repeats.

A draw takes groups with replacement, and all units of a group come with it, in all repeats and
for all models: differences between models are paired. A metric of a draw is the mean over
repeats of the metric of each repeat's confusion matrix, so an interval says how far the metric
would move with other patients, not with other folds (Field and Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x, on the cluster bootstrap).

Draws are not stratified: groups may hold several classes. In a draw from which a class
vanishes, its recall, precision and F1 are undefined; such draws are left out of their
intervals and counted in `BootstrapDraws.vanished`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from histograft.core.errors import InputError
from histograft.stats.metrics import confusion, evaluate, metric_names

Float = NDArray[np.float64]

FEW_GROUPS = 30
_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True)
class BootstrapDraws:
    """Draws of every metric of several models on the same units.

    Attributes
    ----------
    metrics : tuple of str
        Names of the metrics, as `histograft.stats.metrics.evaluate` gives them.
    values : ndarray of float64, shape (M, metrics)
        The metrics of the full sample, mean over repeats.
    draws : ndarray of float64, shape (M, metrics, draws)
        The metrics of each draw; NaN where undefined. Draw d is the same for all models.
    n_groups, n_units : int
        What was resampled, and what was counted.
    vanished : dict of str to int
        For each class the number of draws that hold none of its units, where any.
    """

    metrics: tuple[str, ...]
    values: Float
    draws: Float = field(repr=False)
    n_groups: int
    n_units: int
    vanished: dict[str, int]

    @property
    def warning(self) -> str:
        """What to tell the reader, empty where nothing is wrong.

        Percentile intervals of few clusters are too short (Cameron, Gelbach and Miller 2008,
        doi:10.1162/rest.90.3.414).
        """
        if self.n_groups >= FEW_GROUPS:
            return ""
        if self.n_groups < 2:
            return "all units are of one group, which knows no chance: there is no interval"
        return (
            f"only {self.n_groups} groups were resampled; below {FEW_GROUPS} such intervals "
            "tend to be too short"
        )

    def value(self, model: int, metric: str) -> float:
        """Return the metric of one model on the full sample."""
        return float(self.values[model, self.metrics.index(metric)])

    def interval(self, model: int, metric: str, level: float = 0.95) -> tuple[float, float]:
        """Return the percentile interval of one model's metric.

        NaN where no draw defines it, and for a single group, which knows no chance.
        """
        return self._interval(self.draws[model, self.metrics.index(metric)], level)

    def difference_interval(
        self, first: int, second: int, metric: str, level: float = 0.95
    ) -> tuple[float, float]:
        """Return the paired percentile interval of the first model's metric minus the second's."""
        at = self.metrics.index(metric)
        return self._interval(self.draws[first, at] - self.draws[second, at], level)

    def _interval(self, draws: Float, level: float) -> tuple[float, float]:
        return (np.nan, np.nan) if self.n_groups < 2 else _percentiles(draws, level)


def cluster_bootstrap(
    truth: ArrayLike,
    predicted: ArrayLike,
    groups: ArrayLike,
    classes: Sequence[str],
    *,
    n_draws: int = 10_000,
    rng: np.random.Generator,
) -> BootstrapDraws:
    """Resample groups and compute every metric of every model in each draw.

    Parameters
    ----------
    truth : array-like of int, shape (N,)
        Class of each unit, 0 … K-1.
    predicted : array-like of int, shape (M, R, N)
        Predicted class of each unit by each model in each repeat; -1 in all of them (or in the
        truth) for units that are left out.
    groups : array-like, shape (N,)
        What is resampled; the unit's own name where units are independent.
    classes : sequence of str
        Names of the K classes.
    n_draws : int, default 10,000
        Number of draws.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    BootstrapDraws

    Raises
    ------
    InputError
        Shapes disagree, no unit is left, or a unit is predicted by some models or in some
        repeats only.

    Examples
    --------
    >>> truth, groups = [0, 0, 1, 1], ["p1", "p2", "p3", "p4"]
    >>> predicted = [[[0, 0, 1, 0]], [[0, 0, 1, 1]]]
    >>> rng = np.random.default_rng(0)
    >>> result = cluster_bootstrap(truth, predicted, groups, "AB", n_draws=500, rng=rng)
    >>> result.value(0, "accuracy"), result.interval(1, "accuracy")
    (0.75, (1.0, 1.0))
    """
    truth_kept, predicted_kept, group_index = _kept_units(truth, predicted, groups)
    names = tuple(metric_names(classes))
    n_models, _, n_units = predicted_kept.shape
    n_groups = int(group_index.max()) + 1
    counts = _GroupCounts(truth_kept, predicted_kept, group_index, len(classes))
    full = evaluate(confusion(truth_kept, predicted_kept, len(classes)), classes)
    values = np.stack([full[name].mean(axis=-1) for name in names], axis=1)
    draws = np.empty((n_models, len(names), n_draws))
    vanished = np.zeros(len(classes), dtype=np.int64)
    block = max(1, _BLOCK_BYTES // (8 * max(counts.n_cells, n_groups)))
    for start in range(0, n_draws, block):
        stop = min(start + block, n_draws)
        matrices = counts.draw(draw_groups(n_groups, stop - start, rng))
        vanished += (matrices[0, 0].sum(axis=-1) == 0).sum(axis=0)
        found = evaluate(matrices, classes)
        for i, name in enumerate(names):
            draws[:, i, start:stop] = found[name].mean(axis=1)
    gone = {c: int(n) for c, n in zip(classes, vanished, strict=True) if n}
    return BootstrapDraws(names, values, draws, n_groups, n_units, gone)


def draw_groups(n_groups: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw groups with replacement and count how often each is in each draw.

    Parameters
    ----------
    n_groups, n_draws : int
        Number of groups G and of draws D.
    rng : numpy.random.Generator
        Source of chance; drawing in several blocks gives the same draws as in one.

    Returns
    -------
    ndarray of int64, shape (D, G)
        Rows sum to G.
    """
    chosen = rng.integers(0, n_groups, size=(n_draws, n_groups))
    chosen += np.arange(n_draws)[:, None] * n_groups
    counts = np.bincount(chosen.ravel(), minlength=n_draws * n_groups)
    return counts.reshape(n_draws, n_groups)


class _GroupCounts:
    """Confusion counts of each group, stored as class totals and errors.

    Row sums of a confusion matrix do not depend on the model, and most units are classified
    correctly by all: only errors are kept as (group × cell) counts, which is a sparse matrix,
    and the diagonal is what remains of the row. All of it is exact: counts are integers.
    """

    def __init__(
        self,
        truth: NDArray[np.int64],
        predicted: NDArray[np.int64],
        groups: NDArray[np.int64],
        n_classes: int,
    ) -> None:
        self._shape = (*predicted.shape[:2], n_classes, n_classes)
        self.n_cells = int(np.prod(self._shape))
        n_groups = int(groups.max()) + 1
        totals = np.bincount(groups * n_classes + truth, minlength=n_groups * n_classes)
        self._totals = totals.reshape(n_groups, n_classes).astype(np.float64)
        model, repeat, unit = np.nonzero(predicted != truth)
        called = predicted[model, repeat, unit]
        cell = np.ravel_multi_index((model, repeat, truth[unit], called), self._shape)
        self._cells, column = np.unique(cell, return_inverse=True)
        errors = sparse.coo_matrix(
            (np.ones(len(unit)), (column, groups[unit])), shape=(len(self._cells), n_groups)
        ).tocsr()
        errors.sum_duplicates()
        # A dense product runs some twenty times as many multiplications a second.
        crowded = errors.nnz > 0.05 * len(self._cells) * n_groups
        self._errors = errors.toarray() if crowded else errors

    def draw(self, weights: NDArray[np.int64]) -> Float:
        """Return confusion matrices, shape (M, R, draws, K, K), of weights (draws, groups)."""
        transposed = weights.T.astype(np.float64, order="C")
        n_draws, n_classes = len(weights), self._shape[-1]
        # Draws lie last in memory: metrics then run along contiguous vectors.
        flat = np.zeros((self.n_cells, n_draws))
        flat[self._cells] = np.asarray(self._errors @ transposed)
        matrices = flat.reshape(*self._shape, n_draws)
        totals = self._totals.T @ transposed
        diagonal = np.arange(n_classes)
        matrices[:, :, diagonal, diagonal] = totals - matrices.sum(axis=3)
        return np.moveaxis(matrices, -1, 2)


def _kept_units(
    truth: ArrayLike, predicted: ArrayLike, groups: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    truth_array = np.asarray(truth, dtype=np.int64)
    predicted_array = np.asarray(predicted, dtype=np.int64)
    group_array = np.asarray(groups)
    n_units = len(truth_array)
    if predicted_array.ndim != 3 or not predicted_array.shape[2] == len(group_array) == n_units:
        raise InputError(
            f"{n_units} true classes, predictions of shape {predicted_array.shape} and "
            f"{len(group_array)} groups",
            "give predictions as models × repeats × units, for the same units as the truth",
        )
    out = predicted_array < 0
    kept = (truth_array >= 0) & ~out.all(axis=(0, 1))
    if out[:, :, kept].any():
        raise InputError(
            f"{int(out[:, :, kept].any(axis=(0, 1)).sum())} unit(s) are predicted by some models "
            "or in some repeats only",
            "compare models on the same units and folds",
        )
    if not kept.any():
        raise InputError("no unit is predicted", "check the folds")
    _, index = np.unique(group_array[kept], return_inverse=True)
    return truth_array[kept], predicted_array[:, :, kept], index.astype(np.int64)


def _percentiles(draws: Float, level: float) -> tuple[float, float]:
    known = draws[~np.isnan(draws)]
    if not len(known):
        return (float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
