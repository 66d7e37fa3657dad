r"""The lasso at glmnet's sequence of penalties.

.. math:: \min_{b_0, b} \frac1n \sum_i \ell(y_i, b_0 + x_i^\top b) + \lambda \sum_j s_j |b_j|

with :math:`\ell` half the squared error (gaussian) or the negative log-likelihood of a logistic
model (binomial), and :math:`s_j` the standard deviation (divisor n) of feature j.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

Float = NDArray[np.float64]
Family = Literal["binomial", "gaussian"]

_N_PENALTIES = 100


@dataclass(frozen=True)
class LassoPath:
    """Solutions for a falling sequence of K penalties.

    Parameters
    ----------
    penalties : ndarray of float64, shape (K,)
        λ.
    coefs : ndarray of float64, shape (K, P)
        Coefficients for features as they were given.
    intercepts : ndarray of float64, shape (K,)
    explained : ndarray of float64, shape (K,)
        Share of the null deviance, 0 … 1.
    """

    penalties: Float
    coefs: Float
    intercepts: Float
    explained: Float

    def scores_at(self, X: Float, penalties: Float) -> Float:
        """Return the linear predictor between the solutions, as predict.glmnet does.

        Parameters
        ----------
        X : ndarray of float64, shape (M, P)
        penalties : ndarray of float64, shape (L,)
            Beyond the ends of the path its ends are used.

        Returns
        -------
        ndarray of float64, shape (M, L)
        """
        scores = X @ self.coefs.T + self.intercepts
        place = np.interp(penalties, self.penalties[::-1], np.arange(len(self.penalties))[::-1])
        left = np.floor(place).astype(np.int64)
        share = place - left
        right = np.minimum(left + 1, len(self.penalties) - 1)
        between: Float = scores[:, left] * (1 - share) + scores[:, right] * share
        return between


def lasso_path(X: Float, y: Float, *, family: Family, tol: float = 1e-12) -> LassoPath:
    """Return the solutions for glmnet's sequence of 100 penalties.

    It starts at the least penalty that keeps all coefficients at zero and falls to its hundredth
    part (fewer units than features), or its ten thousandth. It ends early where a further penalty
    explains less than 1e-5 more of the deviance (gaussian: 1e-5 of what is explained), or 0.999
    are explained; the penalty where that shows is kept.

    Parameters
    ----------
    X : ndarray of float64, shape (N, P)
        Finite features. Constant ones get no weight.
    y : ndarray of float64, shape (N,)
        Target; 0 and 1 for ``binomial``. Not constant.
    family : {"binomial", "gaussian"}
        The loss.
    tol : float
        As of `RLasso`.

    Returns
    -------
    LassoPath

    Notes
    -----
    Friedman, Hastie and Tibshirani 2010, doi:10.18637/jss.v033.i01, and glmnet.control.

    Examples
    --------
    >>> X = np.array([[-1.0, 5.0], [1.0, 5.0]])
    >>> path = lasso_path(X, np.array([0.0, 2.0]), family="gaussian")
    >>> path.penalties[0].round(9), path.coefs[10].round(4).tolist(), path.intercepts[10].round(9)
    (np.float64(1.0), [0.6056, 0.0], np.float64(1.0))
    """
    from histograft.stats.lasso_descent import LOGISTIC, SQUARED, follow_path, slopes_at

    n_units, n_features = X.shape
    center, scale = X.mean(axis=0), X.std(axis=0)
    constant = (X.max(axis=0) == X.min(axis=0)) | ~(scale > 0)
    scale[constant] = 1
    rows = np.ascontiguousarray(((X - center) / scale).T)
    rows[constant] = 0
    shift = 0.0 if family == "binomial" else float(y.mean())
    loss = LOGISTIC if family == "binomial" else SQUARED
    mean = y.mean()
    start = np.full(n_units, np.log(mean / (1 - mean)) if family == "binomial" else 0.0)
    largest = np.abs(slopes_at(rows, y - shift, start, loss)).max()
    if largest == 0:
        # No feature goes with the target at all.
        return LassoPath(np.zeros(1), np.zeros((1, n_features)), start[:1] + shift, np.zeros(1))
    least_share = 0.01 if n_units < n_features else 1e-4
    penalties = largest * least_share ** (np.arange(_N_PENALTIES) / (_N_PENALTIES - 1))
    coefs, intercepts, explained, whole = follow_path(rows, y - shift, penalties, tol, loss)
    if not whole:
        warnings.warn(
            f"the lasso path ends after {len(coefs)} penalties: the next did not come to rest",
            ConvergenceWarning,
            stacklevel=3,
        )
    coefs = coefs / scale
    return LassoPath(penalties[: len(coefs)], coefs, intercepts + shift - coefs @ center, explained)
