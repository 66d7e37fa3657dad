r"""Newton steps of the squared hinge loss: ridge regressions on subsets of the units.

The minimizer over the units A inside the margin is, in the space of features or of units,

.. math:: w = (I + 2C X_A^\top X_A)^{-1} 2C X_A^\top y_A
    = X_A^\top (X_A X_A^\top + I / 2C)^{-1} y_A .

The second form needs a Gram matrix, which all classes and steps share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import dsyrk

Float = NDArray[np.float64]

# 8,000 units: a Gram matrix of 512 MB.
_MOST_UNITS_OF_GRAM = 8000


class RidgeSteps:
    """Ridge regressions on subsets of the rows of one feature table.

    Parameters
    ----------
    features : ndarray of float64, shape (N, P)
        Features; a constant feature of 1 is appended.
    penalty : float
        C: weight of the squared errors against half the squared weights.
    """

    def __init__(self, features: Float, penalty: float) -> None:
        self._table = np.column_stack([features, np.ones(len(features))])
        self._ridge = 1 / (2 * penalty)
        self._gram: Float | None = None

    def scores(self, weights: Float) -> Float:
        """Return the decision values, shape (N, K), of weights of shape (P + 1, K)."""
        values: Float = self._table @ weights
        return values

    def solve(self, active: NDArray[np.bool_], signs: Float) -> Float:
        """Solve one ridge regression for each problem.

        Parameters
        ----------
        active : ndarray of bool, shape (N, K)
            The units of each regression.
        signs : ndarray of float64, shape (N, K)
            What each regression is to give at them.

        Returns
        -------
        ndarray of float64, shape (P + 1, K)
        """
        if active.shape[1] and active.all():
            return self._solve_one(np.arange(len(active)), signs)
        columns = [
            self._solve_one(np.flatnonzero(active[:, k]), signs[:, k, None])
            for k in range(active.shape[1])
        ]
        return np.concatenate(columns, axis=1)

    def _solve_one(self, rows: NDArray[np.intp], signs: Float) -> Float:
        n_columns = self._table.shape[1]
        wanted = signs[rows]
        if len(rows) > n_columns:
            part = self._table if len(rows) == len(self._table) else self._table[rows]
            return _solve_positive(_cross_products(part.T), self._ridge, part.T @ wanted)
        if len(self._table) > _MOST_UNITS_OF_GRAM:
            part = self._table[rows]
            return part.T @ _solve_positive(_cross_products(part), self._ridge, wanted)
        if self._gram is None:
            # Transposed, its rows lie together in memory: subsets are gathered twice as fast.
            self._gram = _cross_products(self._table).T
        part = self._gram.take(rows, axis=0).take(rows, axis=1).T
        dual = np.zeros((len(self._table), wanted.shape[1]))
        dual[rows] = _solve_positive(part, self._ridge, wanted)
        weights: Float = self._table.T @ dual
        return weights


def _cross_products(rows: Float) -> Float:
    """Return the lower triangle (in Fortran's order) of ``rows @ rows.T``."""
    if rows.flags.c_contiguous:
        return np.asarray(dsyrk(1.0, rows.T, trans=1, lower=1))
    return np.asarray(dsyrk(1.0, rows, trans=0, lower=1))


def _solve_positive(matrix: Float, ridge: float, right: Float) -> Float:
    """Solve ``(matrix + ridge · I) x = right`` from the lower triangle of `matrix`."""
    matrix[np.diag_indices_from(matrix)] += ridge
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    return np.asarray(cho_solve(factor, right, check_finite=False))
