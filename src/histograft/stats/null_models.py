"""How many machines found nothing: they give all units of a test fold the same prediction.

A lasso that chose no feature predicts the share of events of its training set. Pooled over folds
such predictions are not constant, so a metric of them is defined, yet says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError

_SAME = 1e-12


@dataclass(frozen=True)
class NullModels:
    """Counts of null models over repeats and folds.

    Attributes
    ----------
    n_machines : int
        Repeats × folds that predicted anything.
    n_null : ndarray of int64, shape (...)
        Those with equal predictions for two or more units.
    n_unknown : ndarray of int64, shape (...)
        Those that predicted fewer than two units, of which nobody can tell.
    n_null_repeats : ndarray of int64, shape (...)
        Repeats in which no machine is known to have found anything, and one or more found nothing.
    """

    n_machines: int
    n_null: NDArray[np.int64]
    n_unknown: NDArray[np.int64]
    n_null_repeats: NDArray[np.int64]


def null_models(predictions: ArrayLike, folds: ArrayLike) -> NullModels:
    """Count machines whose predictions are constant.

    Parameters
    ----------
    predictions : array-like of float, shape (R, N) or (R, N, G)
        Predictions out of fold, of one or of G targets; NaN where a unit was not predicted.
    folds : array-like of int, shape (R, N)
        Fold of each unit in each repeat, as in `histograft.stats.folds.FoldPlan`; -1 for units
        that are left out.

    Returns
    -------
    NullModels
        With counts of shape () or (G,).

    Raises
    ------
    InputError
        Shapes disagree.

    Examples
    --------
    >>> found = null_models([[0.3, 0.3, 0.4, 0.6], [0.2, 0.2, 0.5, 0.5]], [[0, 0, 1, 1]] * 2)
    >>> found.n_machines, int(found.n_null), int(found.n_null_repeats)
    (4, 3, 1)
    """
    values, fold = np.asarray(predictions, dtype=np.float64), np.asarray(folds)
    if fold.ndim != 2 or values.shape[:2] != fold.shape or values.ndim not in (2, 3):
        raise InputError(
            f"predictions of shape {values.shape} and folds of shape {fold.shape}",
            "give predictions as repeats × units (× targets), and folds as repeats × units",
        )
    null, unknown = [], []
    of_repeat = []
    for repeat, row in enumerate(fold):
        for name in np.unique(row[row >= 0]):
            part = values[repeat, row == name]
            known = ~np.isnan(part)
            few = known.sum(axis=0) < 2
            top = np.max(part, axis=0, where=known, initial=-np.inf)
            low = np.min(part, axis=0, where=known, initial=np.inf)
            largest = np.max(np.abs(part), axis=0, where=known, initial=0.0)
            spread = np.subtract(top, low, where=~few, out=np.zeros(few.shape))
            null.append(~few & (spread <= _SAME * largest))
            unknown.append(few)
            of_repeat.append(repeat)
    counts = values.shape[2:]
    is_null = np.array(null, dtype=bool).reshape(len(null), *counts)
    is_unknown = np.array(unknown, dtype=bool).reshape(len(null), *counts)
    repeats = np.zeros(counts, dtype=np.int64)
    for repeat in range(len(fold)):
        here = np.flatnonzero(np.array(of_repeat, dtype=np.int64) == repeat)
        # A machine of one unit may have found something or not: it decides nothing.
        nothing = (is_null[here] | is_unknown[here]).all(axis=0) & is_null[here].any(axis=0)
        repeats = repeats + nothing
    return NullModels(
        len(null),
        np.asarray(is_null.sum(axis=0), dtype=np.int64),
        np.asarray(is_unknown.sum(axis=0), dtype=np.int64),
        np.asarray(repeats, dtype=np.int64),
    )
