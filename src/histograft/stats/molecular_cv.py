"""One repeat of cross-validation for molecular targets: expression by SVR, mutation by lasso."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.stats.lasso import RLasso
from histograft.stats.svr import RSVR, svr_predict_many

Float = NDArray[np.float64]


def predict_values(
    features: NDArray[np.floating[Any]],
    targets: Float,
    folds: NDArray[np.integer[Any]],
    *,
    machine: RSVR | None = None,
    tested: Collection[int] | None = None,
    n_threads: int = 1,
) -> Float:
    """Predict many numeric targets of each unit by machines that have not seen it.

    Parameters
    ----------
    features : ndarray, shape (N, P)
        Finite.
    targets : ndarray of float64, shape (N, G)
        NaN where a unit has no value for a target; it is then neither fitted on nor predicted.
    folds : ndarray of int, shape (N,)
        Fold in which each unit is tested; below 0: left out.
    machine : RSVR, optional
        Its parameters are used.
    tested : collection of int, optional
        Folds that are predicted, all by default; units of others are only fitted on, such as those
        of another cohort.
    n_threads : int, default 1
        Threads over which targets are spread.

    Returns
    -------
    ndarray of float64, shape (N, G)
        NaN where nothing is predicted: no value, left out, only fitted on, or a target that is
        constant over the units fitted on.

    Notes
    -----
    Targets that lack the same units share a kernel matrix, so tables without gaps need one a fold.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 3))
    >>> Y = np.column_stack([X[:, 0], rng.normal(size=40)])
    >>> predicted = predict_values(X, Y, np.arange(40) % 5)
    >>> bool(np.corrcoef(predicted[:, 0], Y[:, 0])[0, 1] > 0.9)
    True
    """
    _check_rows(features, targets, folds)
    predicted = np.full(targets.shape, np.nan)
    patterns, which = np.unique(np.isfinite(targets), axis=1, return_inverse=True)
    for pattern in range(patterns.shape[1]):
        columns = np.flatnonzero(which == pattern)
        there = patterns[:, pattern] & (folds >= 0)
        for fold in _tested(folds[there], tested):
            test, train = there & (folds == fold), there & (folds != fold)
            if train.sum() < 2:
                continue
            predicted[np.ix_(test, columns)] = svr_predict_many(
                features[train],
                targets[np.ix_(train, columns)],
                features[test],
                machine=machine,
                constant_targets="nan",
                n_threads=n_threads,
            )
    return predicted


def predict_status(
    features: NDArray[np.floating[Any]],
    truth: NDArray[np.bool_],
    folds: NDArray[np.integer[Any]],
    *,
    rule: Literal["min", "1se"] = "min",
    tested: Collection[int] | None = None,
    seed: int,
) -> tuple[Float, NDArray[np.int64]]:
    """Predict the probability of a status of each unit by lasso that has not seen it.

    Parameters
    ----------
    features : ndarray, shape (N, P)
        Finite.
    truth : ndarray of bool, shape (N,)
        Whether a unit has the status.
    folds : ndarray of int, shape (N,)
        Fold in which each unit is tested; below 0: left out.
    rule : {"min", "1se"}
        Penalty, see `RLasso`.
    tested : collection of int, optional
        As in `predict_values`.
    seed : int
        Seed of the inner folds.

    Returns
    -------
    probability : ndarray of float64, shape (N,)
        NaN for units that are left out or only fitted on.
    n_chosen : ndarray of int64, shape (K,)
        Features with a coefficient, by fold that is predicted; 0 is a null model, which gives
        everybody one value.

    Raises
    ------
    InputError
        A training set has only one class.
    """
    _check_rows(features, truth, folds)
    numbers = _tested(folds[folds >= 0], tested)
    probability = np.full(len(truth), np.nan)
    chosen = np.zeros(len(numbers), dtype=np.int64)
    for position, fold in enumerate(numbers):
        test, train = folds == fold, (folds >= 0) & (folds != fold)
        inner = int(np.random.SeedSequence([seed, int(fold)]).generate_state(1)[0])
        machine = RLasso(rule=rule, random_state=inner)
        machine.fit(features[train], truth[train])
        probability[test] = machine.predict_proba(features[test])[:, 1]
        chosen[position] = int(np.count_nonzero(machine.coef_))
    return probability, chosen


def _tested(folds: NDArray[np.integer[Any]], tested: Collection[int] | None) -> NDArray[Any]:
    numbers = np.unique(folds)
    return numbers if tested is None else numbers[np.isin(numbers, list(tested))]


def _check_rows(features: NDArray[Any], targets: NDArray[Any], folds: NDArray[Any]) -> None:
    if not len(features) == len(targets) == len(folds):
        raise InputError(
            f"{len(features)} rows of features, {len(targets)} of targets and {len(folds)} folds",
            "give one row for each unit in all of them",
        )
