"""From pieces to slides and patients: mean probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError

Float = NDArray[np.float64]


@dataclass(frozen=True)
class UnitMeans:
    """Predictions of slides or patients.

    Attributes
    ----------
    names : list of str
        Of the units, sorted.
    truth : ndarray of int64, shape (U,)
        Their class.
    probabilities : ndarray of float64, shape (..., U, K)
        Means over their pieces.
    mixed : list of str
        Units that were left out, as their pieces have several classes.
    """

    names: list[str]
    truth: NDArray[np.int64]
    probabilities: Float
    mixed: list[str]


def unit_means(truth: ArrayLike, probabilities: ArrayLike, units: Sequence[str]) -> UnitMeans:
    """Average probabilities over the pieces of each slide or patient.

    Parameters
    ----------
    truth : array-like of int, shape (N,)
        Class of each piece.
    probabilities : array-like of float, shape (..., N, K)
        Of each piece.
    units : sequence of str, length N
        Slide or patient of each piece.

    Raises
    ------
    InputError
        Lengths disagree.

    Examples
    --------
    >>> means = unit_means([0, 0, 1], [[1, 0], [0.5, 0.5], [0, 1]], ["p", "p", "q"])
    >>> means.names, means.truth.tolist(), means.probabilities.tolist()
    (['p', 'q'], [0, 1], [[0.75, 0.25], [0.0, 1.0]])
    """
    y, p = np.asarray(truth, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    if p.ndim < 2 or not p.shape[-2] == len(y) == len(units):
        raise InputError(
            f"{len(y)} classes, probabilities of shape {p.shape} and {len(units)} units",
            "give one of each for every piece",
        )
    names, index = np.unique(np.asarray(units, dtype=np.str_), return_inverse=True)
    one = [len(np.unique(y[index == u])) == 1 for u in range(len(names))]
    kept = [u for u in range(len(names)) if one[u]]
    means = [p[..., index == u, :].mean(axis=-2) for u in kept]
    return UnitMeans(
        [str(names[u]) for u in kept],
        np.array([y[index == u][0] for u in kept], dtype=np.int64),
        np.stack(means, axis=-2) if means else np.empty((*p.shape[:-2], 0, p.shape[-1])),
        [str(names[u]) for u in range(len(names)) if not one[u]],
    )
