r"""A linear support vector machine that is solved exactly.

The problem of each class against the rest is that of scikit-learn's ``LinearSVC`` with squared
hinge loss, whose intercept is penalized as the weight of a constant feature:

.. math:: \min_w \tfrac12 |w|^2 + C \sum_i \max(0, 1 - y_i x_i^\top w)^2,
    \qquad x_i \leftarrow (x_i, 1)

The objective is strongly convex and piecewise quadratic. A Newton step from w solves the ridge
regression on the units inside the margin at w, and it ends at the minimum once those units no
longer change. Whole steps are taken as long as the number of changing units keeps falling (with
some patience, as in block principal pivoting), which it can do only finitely often; on real
features it falls to zero in about ten steps, half as many as damped steps need. Otherwise steps
are damped by an exact line search (the derivative along a line is piecewise linear), which
converges from any point.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from histograft.core.errors import InputError
from histograft.stats.ridge_steps import RidgeSteps

Float = NDArray[np.float64]

# Whole steps that may fail to lower the number of changing units before steps are damped.
_PATIENCE = 10


class LinearSVC(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear support vector classifier, one class against the rest, solved to machine precision.

    Parameters
    ----------
    C : float, default 1.0
        Weight of the squared hinge loss against the penalty, above 0.
    max_iter : int, default 200
        Most Newton steps; about ten are usual.

    Attributes
    ----------
    classes_ : ndarray, shape (K,)
        The classes, sorted.
    coef_ : ndarray of float64, shape (K, P), or (1, P) for two classes
        Weights of the features.
    intercept_ : ndarray of float64, shape (K,) or (1,)
        Weight of the constant feature.
    n_iter_ : int
        Newton steps taken by the slowest class.

    Notes
    -----
    Chapelle 2007, doi:10.1162/neco.2007.19.5.1155 (Newton's method on the active set);
    Keerthi and DeCoste 2005, JMLR 6:341-361 (exact line search, finite convergence).
    To match the FTX paper set ``C=1``.

    Examples
    --------
    >>> X = [[0.0, 1.0], [1.0, 1.0], [4.0, 0.0], [5.0, 1.0]]
    >>> machine = LinearSVC().fit(X, ["left", "left", "right", "right"])
    >>> machine.predict([[0.5, 0.5], [6.0, 0.0]]).tolist()
    ['left', 'right']
    """

    def __init__(self, C: float = 1.0, max_iter: int = 200) -> None:
        self.C = C
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, y: ArrayLike, start: LinearSVC | None = None) -> Self:
        """Learn the weights.

        Parameters
        ----------
        X : array-like, shape (N, P)
            Features, finite.
        y : array-like, shape (N,)
            Class of each unit.
        start : LinearSVC, optional
            A machine fitted to much the same units, such as to all units where X holds those of a
            fold. Newton's steps begin at its weights, which saves the dear first ones; they end at
            the same minimum, because there is only one. Without effect where its classes or its
            number of features are others.

        Returns
        -------
        LinearSVC
            Itself.

        Raises
        ------
        InputError
            There is one class only, C is not above 0, or a feature is not finite.
        """
        features = np.asarray(X, dtype=np.float64)
        labels = np.asarray(y)
        if not self.C > 0 or not np.isfinite(self.C):
            raise InputError(f"C is {self.C}", "give a finite number above 0")
        if features.ndim != 2 or labels.shape != features.shape[:1]:
            raise InputError(
                f"features of shape {features.shape} and labels of shape {labels.shape}",
                "give one row of features and one label a unit",
            )
        if not np.isfinite(features).all():
            raise InputError("the features hold NaN or infinity", "leave those units out")
        self.classes_, index = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                "a support vector machine needs two classes, the labels hold one",
                "add units of another class",
            )
        columns = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        signs = np.where(index[:, None] == np.array(columns), 1.0, -1.0)
        weights, self.n_iter_ = minimize_squared_hinge(
            features,
            signs,
            penalty=float(self.C),
            max_iter=self.max_iter,
            start=self._weights_of(start, features.shape[1]),
        )
        self.coef_, self.intercept_ = weights[:-1].T.copy(), weights[-1].copy()
        self.n_features_in_ = features.shape[1]
        return self

    def _weights_of(self, start: LinearSVC | None, n_features: int) -> Float | None:
        """Return the weights (P + 1, K) of another machine, if it solved this kind of problem."""
        if start is None or start.n_features_in_ != n_features:
            return None
        if not np.array_equal(start.classes_, self.classes_):
            return None
        return np.vstack([start.coef_.T, start.intercept_])

    def decision_function(self, X: ArrayLike) -> Float:
        """Return distances from the class borders.

        Parameters
        ----------
        X : array-like, shape (N, P)
            Features.

        Returns
        -------
        ndarray of float64, shape (N, K), or (N,) for two classes
            Above 0 on the side of the class (for two: of ``classes_[1]``).
        """
        check_is_fitted(self)
        scores: Float = np.asarray(X, dtype=np.float64) @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the class with the largest decision value of each row of X."""
        scores = self.decision_function(X)
        index = (scores > 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(axis=1)
        predicted: NDArray[Any] = self.classes_[index]
        return predicted


def minimize_squared_hinge(
    features: Float,
    signs: Float,
    *,
    penalty: float,
    max_iter: int = 200,
    start: Float | None = None,
) -> tuple[Float, int]:
    """Minimize the objective above for several sign vectors over the same features.

    Parameters
    ----------
    features : ndarray of float64, shape (N, P)
        Features without the constant one.
    signs : ndarray of float64, shape (N, K)
        +1 or -1 for each unit and problem.
    penalty : float
        C, above 0.
    max_iter : int
        Most Newton steps.
    start : ndarray of float64, shape (P + 1, K), optional
        Weights of the first step; by default zero.

    Returns
    -------
    weights : ndarray of float64, shape (P + 1, K)
        The minimizers; the last row belongs to the constant feature.
    n_steps : int
        Newton steps that were taken.

    Raises
    ------
    RuntimeError
        `max_iter` steps were not enough.
    """
    steps = RidgeSteps(features, penalty)
    n_problems = signs.shape[1]
    weights = np.zeros((features.shape[1] + 1, n_problems)) if start is None else start.copy()
    scores = np.zeros(signs.shape) if start is None else steps.scores(weights)
    fewest, patience = np.full(n_problems, len(signs) + 1), np.full(n_problems, _PATIENCE)
    open_ = np.arange(n_problems)
    for n_steps in range(1, max_iter + 1):
        active = signs[:, open_] * scores[:, open_] < 1
        targets = steps.solve(active, signs[:, open_])
        target_scores = steps.scores(targets)
        changes = ((signs[:, open_] * target_scores < 1) != active).sum(axis=0)
        done = changes == 0
        for i, k in enumerate(open_):
            length = 1.0
            direction = targets[:, i] - weights[:, k]
            change = target_scores[:, i] - scores[:, k]
            if changes[i] < fewest[k]:
                fewest[k], patience[k] = changes[i], _PATIENCE
            elif patience[k] > 0:
                patience[k] -= 1
            else:
                # From here on steps are damped, whatever happens: nothing is below 0.
                fewest[k] = 0
                length = exact_step(
                    float(weights[:, k] @ direction),
                    float(direction @ direction),
                    1 - signs[:, k] * scores[:, k],
                    -signs[:, k] * change,
                    penalty,
                )
            # Units that lie on the margin up to rounding may change sides forever; by then the
            # step is nothing but rounding.
            size = np.linalg.norm(weights[:, k])
            done[i] |= length * np.linalg.norm(direction) <= 1e-12 * size
            weights[:, k] += length * direction
            scores[:, k] += length * change
        open_ = open_[~done]
        if not len(open_):
            return weights, n_steps
    raise RuntimeError(f"{len(open_)} problem(s) are not solved after {max_iter} Newton steps")


def exact_step(inner: float, norm2: float, slack: Float, change: Float, penalty: float) -> float:
    r"""Minimize the objective along a line.

    Parameters
    ----------
    inner : float
        Inner product of weights and direction.
    norm2 : float
        Squared length of the direction.
    slack : ndarray of float64, shape (N,)
        :math:`1 - y_i f_i` at the start.
    change : ndarray of float64, shape (N,)
        Change of the slack for a step of 1.
    penalty : float
        C.

    Returns
    -------
    float
        Length t of the step at which the derivative,
        :math:`w^\top d + t |d|^2 + 2C\sum_i \delta_i \max(0, s_i + t \delta_i)`, is zero.

    Examples
    --------
    One unit at w = 0 with x = y = 1: the minimum of t²/2 + max(0, 1 - t)² is at 2/3.

    >>> round(exact_step(0.0, 1.0, np.array([1.0]), np.array([-1.0]), 1.0), 9)
    0.666666667
    """
    inside = (slack > 0) | ((slack == 0) & (change > 0))
    constant = inner + 2 * penalty * float(change[inside] @ slack[inside])
    rise = norm2 + 2 * penalty * float(change[inside] @ change[inside])
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -slack / change
    crosses = np.flatnonzero((crossing > 0) & (change != 0))
    order = crosses[np.argsort(crossing[crosses], kind="stable")]
    # Each crossing lets a unit into the margin (its slack grows) or out of it.
    sign = np.where(change[order] > 0, 2 * penalty, -2 * penalty)
    constants = constant + np.concatenate([[0.0], np.cumsum(sign * change[order] * slack[order])])
    rises = rise + np.concatenate([[0.0], np.cumsum(sign * change[order] ** 2)])
    ends = np.append(crossing[order], np.inf)
    # The derivative rises: its zero lies in the first piece whose end it reaches above zero.
    at_ends = constants[:-1] + rises[:-1] * ends[:-1]
    piece = int(np.argmax(at_ends >= 0)) if (at_ends >= 0).any() else len(order)
    return float(-constants[piece] / rises[piece])
