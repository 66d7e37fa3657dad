"""Metrics of resolution distillation: those of its tables, and what their names hide.

Functions of confusion matrices (..., K, K), rows truth, columns predicted, as in
`histograft.stats.metrics`, whose accuracy (top-1, the headline), balanced accuracy, macro F1 and
macro precision are used as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError
from histograft.stats.metrics import (
    accuracy,
    balanced_accuracy,
    cohen_kappa,
    macro_f1,
    macro_precision,
)

Float = NDArray[np.float64]
MatrixMetric = Callable[[NDArray[Any]], Float]


def macro_ovr_accuracy(matrix: NDArray[Any]) -> Float:
    r"""Mean over classes of the accuracy of "this class or another", 0 … 1.

    A unit that is wrong is wrong for two classes, its own and the one that it is given, so

    .. math:: \frac{1}{K} \sum_c \frac{N - FP_c - FN_c}{N} = 1 - \frac{2 (1 - a)}{K}

    with the accuracy a: it says nothing that the accuracy does not say, on a scale that begins
    near 1 - 2 / K.

    Examples
    --------
    >>> float(macro_ovr_accuracy(np.array([[3, 1, 0], [0, 4, 0], [2, 0, 0]]))).__round__(4)
    0.8
    """
    wrong = _wrong(matrix)
    total = matrix.sum(axis=(-2, -1))[..., None]
    return _mean_ratio(total - wrong, total)


def accuracy_rd_published(matrix: NDArray[Any]) -> Float:
    r"""Mean over classes of N / (N + FP + FN), which is no accuracy, 0 … 1.

    The authors' published script counts the true negatives of a class as all units less its hits,
    so that wrong units are in the denominator twice. The widths of the intervals of their Tables 5
    to 8 fit this formula and not the accuracy. It is always above `macro_ovr_accuracy`; use it to
    compare with these tables, and for nothing else.

    References
    ----------
    DiPalma et al. 2021, doi:10.1016/j.artmed.2021.102136, section 4.5, and the code of its authors.

    Examples
    --------
    >>> float(accuracy_rd_published(np.array([[5, 5], [0, 10]])))  # 20 / 25 for both classes
    0.8
    """
    wrong = _wrong(matrix)
    total = matrix.sum(axis=(-2, -1))[..., None]
    return _mean_ratio(np.broadcast_to(total, wrong.shape), total + wrong)


RD_METRICS: Mapping[str, MatrixMetric] = {
    "accuracy_top1": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "accuracy_ovr_macro": macro_ovr_accuracy,
    "macro_f1": macro_f1,
    "macro_precision": macro_precision,
    "macro_recall": balanced_accuracy,
    "kappa": cohen_kappa,
}
PAPER_METRICS: Mapping[str, MatrixMetric] = {
    **RD_METRICS,
    "accuracy_rd_published": accuracy_rd_published,
}


def macro_auroc(truth: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Float:
    """Mean over classes of the area under the ROC curve of "this class or another", 0 … 1.

    Parameters
    ----------
    truth : array-like of int, shape (N,)
        Classes 0 … K - 1.
    scores : array-like of float, shape (N, K)
        Such as probabilities; only their order within a class's column counts. Ties count half.
    weights : array-like of float, shape (..., N), optional
        How often each unit is in each bootstrap draw; by default once.

    Returns
    -------
    ndarray of float64, shape (...)
        Classes without units, or without others, are left out; NaN where that is all of them.

    Raises
    ------
    InputError
        Shapes disagree, or a score is not finite.

    Examples
    --------
    >>> float(macro_auroc([0, 0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]]))
    0.75
    """
    y, values = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    counted = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != len(y) or counted.shape[-1] != len(y):
        raise InputError(
            f"{len(y)} classes, scores of shape {values.shape}, weights of shape {counted.shape}",
            "give a row of scores for each unit",
        )
    if not np.isfinite(values).all():
        raise InputError("a score is not finite", "score every unit for every class")
    return _mean_of_known([_auc(y == k, values[:, k], counted) for k in range(values.shape[1])])


def macro_auroc_of_draws(
    truth: NDArray[np.integer],
    scores: Float,
    groups: NDArray[np.integer],
    weights: NDArray[np.integer],
) -> Float:
    r"""Compute `macro_auroc` in draws of groups, from what pairs of groups contribute.

    With :math:`T_{gh}` the wins of events in group g over others in group h (ties half) and
    :math:`w` how often groups are drawn, the area of a class is
    :math:`w^T T w / (w^T e \cdot w^T o)` with its numbers of events e and others o. T is made once,
    so that a draw takes no sorting.

    Parameters
    ----------
    truth : ndarray of int, shape (N,)
        Classes 0 … K - 1.
    scores : ndarray of float64, shape (N, K)
        Finite.
    groups : ndarray of int, shape (N,)
        Group of each unit, 0 … G - 1.
    weights : ndarray of int, shape (D, G)
        How often each group is in each draw.

    Returns
    -------
    ndarray of float64, shape (D,)
        As `macro_auroc` with the weights of the units.

    Examples
    --------
    >>> truth, groups = np.array([0, 1, 1]), np.array([0, 1, 1])
    >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.95, 0.05]])
    >>> macro_auroc_of_draws(truth, scores, groups, np.array([[1, 1], [2, 0]]))
    array([0.5, nan])
    """
    w = weights.astype(np.float64)
    member = np.zeros((weights.shape[1], len(truth)))
    member[groups, np.arange(len(truth))] = 1
    areas = []
    for k in range(scores.shape[1]):
        event = truth == k
        gap = scores[event, k][:, None] - scores[~event, k]
        wins = member[:, event] @ (np.sign(gap) + 1) / 2 @ member[:, ~event].T
        events, others = w @ member[:, event].sum(axis=1), w @ member[:, ~event].sum(axis=1)
        areas.append(_ratio(((w @ wins) * w).sum(axis=1), events * others))
    return _mean_of_known(areas)


def _mean_of_known(areas: Sequence[Float]) -> Float:
    stacked = np.stack(areas)
    known = ~np.isnan(stacked)
    return _ratio(np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0))


def _auc(event: NDArray[np.bool_], values: Float, weights: Float) -> Float:
    order = np.argsort(values, kind="stable")
    begins = np.flatnonzero(np.diff(values[order], prepend=-np.inf))  # of runs of equal scores
    in_order, event_there = weights[..., order], event[order]
    events = np.add.reduceat(in_order * event_there, begins, axis=-1)
    others = np.add.reduceat(in_order * ~event_there, begins, axis=-1)
    below = np.cumsum(others, axis=-1) - others
    above = (events * (below + others / 2)).sum(axis=-1)
    return _ratio(above, events.sum(axis=-1) * others.sum(axis=-1))


def _wrong(matrix: NDArray[Any]) -> NDArray[Any]:
    """FP + FN of each class, (..., K)."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    wrong: NDArray[Any] = matrix.sum(axis=-1) + matrix.sum(axis=-2) - 2 * hits
    return wrong


def _mean_ratio(above: NDArray[Any], below: NDArray[Any]) -> Float:
    means: Float = np.asarray(_ratio(above, np.broadcast_to(below, above.shape)).mean(axis=-1))
    return means


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Float:
    zero = np.asarray(below) == 0
    # A denominator of 1 where it is 0 avoids the warning; the value is replaced afterwards.
    values: Float = np.where(zero, np.nan, above / np.where(zero, 1, below))
    return values
