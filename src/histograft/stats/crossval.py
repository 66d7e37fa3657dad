"""Predictions of units that the machine has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError

MakeEstimator = Callable[[], Any]
Prediction = tuple[NDArray[np.int16], NDArray[np.float64]]


def predict_repeat(
    features: NDArray[np.floating[Any]],
    label_index: NDArray[np.integer[Any]],
    folds: NDArray[np.integer[Any]],
    make_estimator: MakeEstimator,
    fit_options: Mapping[str, Any] | None = None,
) -> Prediction:
    """Predict each unit by a machine that was fitted without its fold.

    Parameters
    ----------
    features : ndarray of float, shape (N, P)
        Finite features.
    label_index : ndarray of int, shape (N,)
        Class of each unit, 0 … 32767; not read where the unit is left out.
    folds : ndarray of int, shape (N,)
        Fold of each unit in this repeat; -1 leaves a unit out of training and testing.
    make_estimator : callable
        Returns a new classifier with ``fit`` and ``decision_function`` or ``predict_proba``,
        such as ``lambda: make_probe("svc")``.
    fit_options : mapping, optional
        Further arguments of each ``fit``, such as the start of `LinearSVC.fit`.

    Returns
    -------
    predicted : ndarray of int16, shape (N,)
        Predicted class; -1 for units that are left out.
    score : ndarray of float64, shape (N,)
        Decision value (or probability) of the predicted class; NaN for units left out.

    Raises
    ------
    InputError
        A kept unit has a feature that is not finite, or the lengths differ.

    Examples
    --------
    >>> from histograft.stats.probes import make_probe
    >>> features = np.array([[0.0], [0.2], [0.1], [5.0], [5.1], [5.2], [9.0]])
    >>> labels, folds = np.array([0, 0, 0, 1, 1, 1, 2]), np.array([0, 1, 2, 0, 1, 2, -1])
    >>> predict_repeat(features, labels, folds, lambda: make_probe("svc"))[0]
    array([ 0,  0,  0,  1,  1,  1, -1], dtype=int16)
    """
    if not len(features) == len(label_index) == len(folds):
        raise InputError(
            f"{len(features)} rows of features, {len(label_index)} labels, {len(folds)} folds",
            "give one of each a unit",
        )
    predicted = np.full(len(folds), -1, dtype=np.int16)
    score = np.full(len(folds), np.nan)
    require_finite(features[folds >= 0], "the features")
    for fold in np.unique(folds[folds >= 0]):
        test = folds == fold
        train = ~test & (folds >= 0)
        predicted[test], score[test] = _fit_predict(
            features[train], label_index[train], features[test], make_estimator, fit_options or {}
        )
    return predicted, score


def predict_external(
    train_features: NDArray[np.floating[Any]],
    train_labels: NDArray[np.integer[Any]],
    test_features: NDArray[np.floating[Any]],
    make_estimator: MakeEstimator,
) -> Prediction:
    """Fit on one set and predict another.

    Parameters
    ----------
    train_features, test_features : ndarray of float, shapes (N, P) and (M, P)
        Finite features of the two sets.
    train_labels : ndarray of int, shape (N,)
        Class of each training unit, 0 … 32767.
    make_estimator : callable
        As in `predict_repeat`.

    Returns
    -------
    predicted : ndarray of int16, shape (M,)
    score : ndarray of float64, shape (M,)
        As in `predict_repeat`.

    Raises
    ------
    InputError
        A feature is not finite, or the two sets have different numbers of features.
    """
    require_finite(train_features, "the training features")
    require_finite(test_features, "the test features")
    if train_features.shape[1] != test_features.shape[1]:
        raise InputError(
            f"{train_features.shape[1]} features to train on, {test_features.shape[1]} to test on",
            "embed both sets with the same network",
        )
    return _fit_predict(train_features, train_labels, test_features, make_estimator, {})


def require_finite(features: NDArray[np.floating[Any]], what: str) -> None:
    """Raise an `InputError` with the number of rows that hold NaN or infinity, if any do."""
    # One pass without a copy in the usual case: a sum is finite only if all its terms are.
    if np.isfinite(features.sum(dtype=np.float64)):
        return
    broken = int((~np.isfinite(features)).any(axis=1).sum())
    if broken:
        raise InputError(
            f"{broken} of {len(features)} rows of {what} hold NaN or infinity",
            "run `histograft verify` on the artefact and embed it again",
        )


def _fit_predict(
    train: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    test: NDArray[np.floating[Any]],
    make_estimator: MakeEstimator,
    fit_options: Mapping[str, Any],
) -> Prediction:
    machine = make_estimator().fit(train.astype(np.float64), labels, **fit_options)
    values = _class_scores(machine, test.astype(np.float64))
    best = values.argmax(axis=1)
    predicted = np.asarray(machine.classes_)[best].astype(np.int16)
    return predicted, values[np.arange(len(values)), best]


def _class_scores(machine: Any, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one column for each of ``machine.classes_``."""
    if hasattr(machine, "decision_function"):
        values = np.asarray(machine.decision_function(features), dtype=np.float64)
        # Two classes have one decision value, above 0 for the second.
        return np.column_stack([-values, values]) if values.ndim == 1 else values
    return np.asarray(machine.predict_proba(features), dtype=np.float64)
