"""Draws of the metrics of resolution distillation: by patient, and as the paper drew them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError
from histograft.stats.bootstrap import BootstrapDraws
from histograft.stats.metrics import confusion
from histograft.stats.rd_metrics import (
    RD_METRICS,
    MatrixMetric,
    macro_auroc,
    macro_auroc_of_draws,
)

Float = NDArray[np.float64]
AUROC = "macro_auroc"
PUBLISHED_SHARE = 0.68  # of the test pieces in a draw, as the widths of the paper's tables say
_BLOCK_CELLS = 1 << 24
# Pairs of groups are cheaper than sorted pieces up to so many pairs a piece; all pairs of pieces
# are in memory once.
_PAIRS_PER_PIECE, _MOST_PAIRED = 100, 5000


def rd_bootstrap(
    truth: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike,
    *,
    metrics: Mapping[str, MatrixMetric] = RD_METRICS,
    n_draws: int = 10_000,
    rng: np.random.Generator,
) -> BootstrapDraws:
    """Resample groups within classes and compute every metric of every model in each draw.

    Groups, such as patients, are drawn with replacement among those of the same most frequent
    class, so that no class vanishes where groups hold one class each. Classes of a single group
    are drawn together, for one group by itself would seem to know no chance. All pieces of a group
    come with it, for all models and seeds: differences are paired.

    Parameters
    ----------
    truth : array-like of int, shape (N,)
        Class of each piece, 0 … K - 1.
    probabilities : array-like of float, shape (M, R, N, K)
        Of M models, trained R times from other seeds. A metric is the mean over R.
    groups : array-like, shape (N,)
        What is resampled: the patient of each piece, else its slide.
    metrics : mapping, default RD_METRICS
        Functions of confusion matrices; ``macro_auroc`` is added.
    n_draws : int, default 10,000
        Number of draws.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    BootstrapDraws
        Values are those of the full sample, no means over draws.

    Raises
    ------
    InputError
        Shapes disagree, a probability is not finite, or there is no piece.

    Notes
    -----
    Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x, on the cluster bootstrap.

    Examples
    --------
    >>> sure = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]
    >>> rng = np.random.default_rng(0)
    >>> found = rd_bootstrap([0, 0, 1, 1], [[sure]], ["p", "q", "r", "s"], n_draws=9, rng=rng)
    >>> found.value(0, "accuracy_top1"), found.interval(0, "macro_auroc")
    (1.0, (1.0, 1.0))
    """
    y, p, index = _checked(truth, probabilities, groups)
    n_models, n_seeds, _, n_classes = p.shape
    names = (*metrics, AUROC)
    predicted = p.argmax(axis=-1)
    counts = _group_counts(y, predicted, index, n_classes)
    strata = _joined(_majority(y, index, n_classes))
    values = np.empty((n_models, len(names)))
    draws = np.empty((n_models, len(names), n_draws))
    whole = counts.sum(axis=2)
    _fill(values[..., None], metrics, whole[:, :, None])
    values[:, -1] = [np.mean([macro_auroc(y, s) for s in model]) for model in p]
    vanished = np.zeros(n_classes, dtype=np.int64)
    block = max(1, _BLOCK_CELLS // max(n_models * n_seeds * n_classes**2, len(y)))
    for start in range(0, n_draws, block):
        stop = min(start + block, n_draws)
        weights = _draw_within(strata, stop - start, rng)
        drawn = np.einsum("dg,mrgij->mrdij", weights.astype(np.float64), counts, optimize=True)
        vanished += (drawn[0, 0].sum(axis=-1) == 0).sum(axis=0)
        _fill(draws[..., start:stop], metrics, drawn)
        for m, model in enumerate(p):
            areas = [_areas(y, scores, index, weights) for scores in model]
            draws[m, -1, start:stop] = np.mean(areas, axis=0)
    gone = {str(k): int(n) for k, n in enumerate(vanished) if n}
    return BootstrapDraws(names, values, draws, len(strata), len(y), gone)


def published_interval(
    matrix: NDArray[np.integer],
    metric: MatrixMetric,
    *,
    share: float = PUBLISHED_SHARE,
    n_draws: int = 10_000,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return the 95 % interval as the paper's tables very probably have it.

    Pieces are drawn as if they were independent, and only 0.68 of them in each draw, which makes
    intervals 21 % wider. It is here to be compared with these tables.

    Parameters
    ----------
    matrix : ndarray of int, shape (K, K)
        Confusion counts of the test pieces.
    metric : callable
        Of confusion matrices.
    share : float, default 0.68
        Pieces of a draw, as a share of all; above 0.
    n_draws : int, default 10,000
        Number of draws.
    rng : numpy.random.Generator
        Source of chance.

    Examples
    --------
    >>> from histograft.stats.metrics import accuracy
    >>> rng = np.random.default_rng(0)
    >>> low, high = published_interval(np.array([[8, 2], [2, 8]]), accuracy, rng=rng)
    >>> low < 0.8 < high
    True
    """
    n = int(matrix.sum())
    size = max(1, round(share * n))
    drawn = rng.multinomial(size, (matrix / n).ravel(), size=n_draws)
    values = metric(drawn.reshape(n_draws, *matrix.shape))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _areas(
    truth: NDArray[np.int64], scores: Float, groups: NDArray[np.int64], weights: NDArray[np.int64]
) -> Float:
    """Areas under the ROC curve in each draw, by the way that is faster."""
    n_groups, n = weights.shape[1], len(truth)
    if n_groups**2 <= _PAIRS_PER_PIECE * n and n <= _MOST_PAIRED:
        return macro_auroc_of_draws(truth, scores, groups, weights)
    return macro_auroc(truth, scores, weights[:, groups])


def _fill(into: Float, metrics: Mapping[str, MatrixMetric], matrices: Float) -> None:
    """Write metrics of matrices (M, R, D, K, K), mean over R, into (M, metrics, D)."""
    for i, function in enumerate(metrics.values()):
        into[:, i] = function(matrices).mean(axis=1)


def _group_counts(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: NDArray[np.int64],
    n_classes: int,
) -> Float:
    """Confusion counts of each group, (M, R, G, K, K)."""
    n_groups = int(groups.max()) + 1
    counts = np.zeros((*predicted.shape[:2], n_groups, n_classes, n_classes))
    for group in range(n_groups):
        here = groups == group
        counts[:, :, group] = confusion(truth[here], predicted[..., here], n_classes)
    return counts


def _majority(
    truth: NDArray[np.int64], groups: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    """Most frequent class of each group; the first of equals."""
    n_groups = int(groups.max()) + 1
    counts = np.bincount(groups * n_classes + truth, minlength=n_groups * n_classes)
    majority: NDArray[np.int64] = counts.reshape(n_groups, n_classes).argmax(axis=1)
    return majority


def _joined(strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw groups together that are alone in their class; a last one with the smallest class."""
    present, sizes = np.unique(strata, return_counts=True)
    alone = present[sizes == 1]
    if len(alone) == 1 and len(present) > 1:
        smallest = present[sizes > 1][sizes[sizes > 1].argmin()]
        alone = np.append(alone, smallest)
    return np.where(np.isin(strata, alone), alone[0], strata) if len(alone) else strata


def _draw_within(
    strata: NDArray[np.int64], n_draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """How often each group is in each draw, (D, G): as many of each stratum as there are."""
    weights = np.zeros((n_draws, len(strata)), dtype=np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        weights[:, members] = rng.multinomial(
            len(members), np.full(len(members), 1 / len(members)), size=n_draws
        )
    return weights


def _checked(
    truth: ArrayLike, probabilities: ArrayLike, groups: ArrayLike
) -> tuple[NDArray[np.int64], Float, NDArray[np.int64]]:
    y, p = np.asarray(truth, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    names: NDArray[Any] = np.asarray(groups)
    if p.ndim != 4 or not p.shape[2] == len(y) == len(names) or not len(y):
        raise InputError(
            f"{len(y)} classes, probabilities of shape {p.shape} and {len(names)} groups",
            "give probabilities as models × seeds × pieces × classes, for one or more pieces",
        )
    if not np.isfinite(p).all():
        raise InputError("a probability is not finite", "predict every piece with every model")
    if y.min() < 0 or y.max() >= p.shape[3]:
        raise InputError(
            f"classes run from {y.min()} to {y.max()}, which is outside 0 … {p.shape[3] - 1}",
            "number the classes from 0, in the order of the probabilities",
        )
    return y, p, np.unique(names, return_inverse=True)[1].astype(np.int64)
