"""What metrics of two-class predictions are given, checked once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


def known_outcomes(truth: ArrayLike, scores: ArrayLike) -> tuple[Bool, Float]:
    """Leave out units whose truth is unknown or that were not predicted.

    Parameters
    ----------
    truth : array-like of float, int or bool, shape (N,)
        1 for the event (mutated), 0 without; -1 or NaN where unknown.
    scores : array-like of float, shape (..., N)
        Scores or probabilities, such as models × units; NaN leaves a unit out, in all leading axes
        alike.

    Returns
    -------
    event : ndarray of bool, shape (n,)
    scores : ndarray of float64, shape (..., n)
        Of the units that are left.

    Raises
    ------
    InputError
        Lengths disagree, a truth is neither 0 nor 1, a score is infinite, or a unit is predicted by
        some models or in some repeats only.

    Examples
    --------
    >>> known_outcomes([1, 0, -1], [[0.9, 0.2, 0.5]])
    (array([ True, False]), array([[0.9, 0.2]]))
    """
    y, s = np.asarray(truth, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or not s.ndim or s.shape[-1] != len(y):
        raise InputError(
            f"truths of shape {y.shape} and scores of shape {s.shape}",
            "give one truth a unit, and scores as … × units",
        )
    known = ~np.isnan(y) & (y != -1)
    if not np.isin(y[known], (0, 1)).all():
        raise InputError(
            "a truth is neither 0 nor 1",
            "give 1 for the event, 0 without, and -1 or NaN where it is unknown",
        )
    missing = np.isnan(s)
    leading = tuple(range(s.ndim - 1))
    never = missing.all(axis=leading)
    partly = int((missing.any(axis=leading) & ~never & known).sum())
    if partly:
        raise InputError(
            f"{partly} unit(s) are predicted by some models or in some repeats only",
            "compare models and repeats on the same units",
        )
    kept = known & ~never
    if np.isinf(s[..., kept]).any():
        raise InputError("a score is infinite", "leave out those units")
    return y[kept] == 1, s[..., kept]
