"""Cross-validation of the lasso's penalty by the rules of cv.glmnet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histograft.stats.lasso_path import Family

Float = NDArray[np.float64]
Integer = NDArray[np.integer[Any]]

# Probabilities of held-out units are kept this far from 0 and 1, as in cv.glmnet.
_LEAST_PROBABILITY = 1e-5
# With fewer held-out units a fold, cv.glmnet takes each unit for itself.
_FEWEST_A_FOLD = 3


@dataclass(frozen=True)
class Choice:
    """What cross-validation says about each of L penalties.

    Parameters
    ----------
    cvm, cvsd : ndarray of float64, shape (L,)
        Mean loss of held-out units, and its standard error.
    best, one_se : int
        Places of the penalty of the least loss, and of the largest penalty whose loss is within
        one standard error of it.
    """

    cvm: Float
    cvsd: Float
    best: int
    one_se: int


def choose_penalty(losses: Float, foldid: Integer) -> Choice:
    """Summarize the losses of held-out units as cv.glmnet does.

    Parameters
    ----------
    losses : ndarray of float64, shape (N, L)
        Loss of each unit under a machine that has not seen it; penalties fall.
    foldid : ndarray of int, shape (N,)
        Fold of each unit. Means of folds are weighted by their size; with fewer than three units
        a fold each unit counts as a fold.

    Returns
    -------
    Choice

    Examples
    --------
    >>> choice = choose_penalty(np.array([[3.0, 1.0], [3.0, 3.0], [3.0, 2.0]]), np.arange(3))
    >>> choice.cvm.tolist(), choice.best, choice.one_se
    ([3.0, 2.0], 1, 1)
    """
    labels, index, sizes = np.unique(foldid, return_inverse=True, return_counts=True)
    if len(foldid) / len(labels) < _FEWEST_A_FOLD:
        index, sizes = np.arange(len(foldid)), np.ones(len(foldid), dtype=np.int64)
    means = np.zeros((len(sizes), losses.shape[1]))
    np.add.at(means, index, losses)
    means /= sizes[:, None]
    weights = sizes / sizes.sum()
    cvm = weights @ means
    cvsd = np.sqrt(weights @ (means - cvm) ** 2 / (len(sizes) - 1))
    # Penalties fall, so the first of equals is the largest.
    best = int(np.argmin(cvm))
    return Choice(cvm, cvsd, best, int(np.argmax(cvm <= cvm[best] + cvsd[best])))


def deal_folds(labels: NDArray[Any] | None, n_units: int, n_folds: int, rng: Any) -> Integer:
    """Deal units into folds whose sizes differ by one at most, class by class if there are labels.

    Parameters
    ----------
    labels : ndarray, shape (N,), optional
        Classes; each has about the same share of all folds.
    n_units, n_folds : int
        N, and the number of folds.
    rng : numpy.random.RandomState
        Chance.

    Returns
    -------
    ndarray of int64, shape (N,)
        0 … n_folds - 1.

    Examples
    --------
    >>> rng = np.random.RandomState(0)
    >>> np.bincount(deal_folds(np.array([0, 0, 0, 1, 1, 1]), 6, 3, rng)).tolist()
    [2, 2, 2]
    """
    order = rng.permutation(n_units)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(n_units, dtype=np.int64)
    folds[order] = np.arange(n_units) % n_folds
    return folds


def held_out_losses(y: Float, scores: Float, family: Family) -> Float:
    """Return squared errors (gaussian) or deviances (binomial) of held-out units.

    Parameters
    ----------
    y : ndarray of float64, shape (M,)
        Target; 0 and 1 for ``binomial``.
    scores : ndarray of float64, shape (M, L)
        Linear predictors.
    family : {"binomial", "gaussian"}
        The loss.

    Returns
    -------
    ndarray of float64, shape (M, L)
        The deviance is -2 log of the probability of what was observed.

    Examples
    --------
    >>> held_out_losses(np.array([1.0]), np.array([[0.0]]), "binomial").round(4).tolist()
    [[1.3863]]
    """
    if family == "gaussian":
        squared: Float = (y[:, None] - scores) ** 2
        return squared
    share = np.clip(probability(scores), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    deviance: Float = -2 * np.log(np.where(y[:, None] == 1, share, 1 - share))
    return deviance


def probability(scores: Float) -> Float:
    """Return the probabilities that belong to log odds."""
    with np.errstate(over="ignore"):
        share: Float = 1 / (1 + np.exp(-scores))
    return share
