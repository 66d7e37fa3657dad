"""What estimators are given, checked once and refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data

from histograft.core.errors import InputError

Float = NDArray[np.float64]

FIXES = {
    "NaN": "leave out those units or columns, or embed the slides again",
    "infinity": "leave out those units or columns, or embed the slides again",
    "features": "give the columns that the machine was fitted with",
    "minimum": "give more units",
}


class EstimatorInputError(InputError, ValueError):
    """An `InputError` that is a ValueError too, which scikit-learn's tools expect."""


def checked_training(estimator: Any, X: ArrayLike, y: ArrayLike, **options: Any) -> tuple[Any, Any]:
    """Return features and targets of a training set.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and, for tables with names, ``feature_names_in_``.
    X : array-like, shape (N, P)
        Features, finite, two units or more.
    y : array-like, shape (N,)
        Targets, finite.
    **options
        As of ``sklearn.utils.validation.check_X_y``.

    Returns
    -------
    X : ndarray of float64, shape (N, P)
    y : ndarray, shape (N,)

    Raises
    ------
    EstimatorInputError
        They cannot be used; the message says why.
    """
    try:
        table, target = validate_data(
            estimator, X, y, dtype=np.float64, ensure_min_samples=2, **options
        )
    except ValueError as error:
        raise _in_words(error) from error
    return table, target


def checked_test(estimator: Any, X: ArrayLike) -> Float:
    """Return features of units to predict, as float64, of the columns that `fit` has seen.

    Raises
    ------
    EstimatorInputError
        They are not finite, or there are other columns.
    """
    try:
        table: Float = validate_data(estimator, X, dtype=np.float64, reset=False)
    except ValueError as error:
        raise _in_words(error) from error
    return table


def _in_words(error: ValueError) -> EstimatorInputError:
    lines = str(error).splitlines()
    # Names of columns stand in the lines below the first; advice on imputers is not for us.
    text = lines[0] if "NaN" in lines[0] else "; ".join(lines)
    fix = next((fix for word, fix in FIXES.items() if word in text), "")
    return EstimatorInputError(text, fix)
