r"""Support vector regression as R's e1071 does it, for one target or for many at once.

``e1071::svm`` standardizes features and target by the sample standard deviation (divisor n - 1) of
the training units and solves LIBSVM's ε-regression with the kernel

.. math:: k(x, x') = \exp(-\gamma |x - x'|^2), \qquad \gamma = 1 / P .

Its optimum is ``y = mean + SD · (Σ β_i k(x_i, x) + b)``; ε is thus in standard deviations of y.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.svm import SVR
from sklearn.utils.validation import check_is_fitted

from histograft.stats.estimator_input import (
    EstimatorInputError,
    checked_test,
    checked_training,
)

Float = NDArray[np.float64]
ConstantColumns = Literal["drop", "r"]

# LIBSVM gives up after as many steps.
_MOST_STEPS = 10_000_000


class ConstantColumnsWarning(UserWarning):
    """Constant columns have switched off all scaling, as they do in R."""


class RSVR(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Support vector regression with the scaling and the defaults of ``e1071::svm``.

    Parameters
    ----------
    C : float, default 1.0
        Cost of errors beyond ε, above 0.
    epsilon : float, default 0.1
        Half width of the tube without cost, in standard deviations of y, 0 or more.
    gamma : float, optional
        Width of the kernel, above 0; by default 1 / (number of columns in use).
    tol : float, default 1e-3
        LIBSVM's tolerance of the optimality conditions.
    constant_columns : {"drop", "r"}, default "drop"
        ``drop``: columns that are constant over the training units are left out, as if they had
        never been there. ``r``: as R does, one constant column switches off the scaling of all
        features and of y, with a warning.

    Attributes
    ----------
    kept_columns_ : ndarray of bool, shape (P,)
        Columns in use.
    x_center_, x_scale_ : ndarray of float64, shape (P_kept,)
        Means and sample standard deviations of the training units.
    y_center_, y_scale_ : float
        Likewise of the target.
    gamma_ : float
        Width of the kernel that was used.
    machine_ : sklearn.svm.SVR
        LIBSVM's machine for scaled features and target.
    n_features_in_ : int
        P.

    Notes
    -----
    Chang and Lin 2011, doi:10.1145/1961189.1961199; defaults of e1071 1.7. scikit-learn's ``SVR()``
    has the same solver, but scales neither, and has another γ. To match the FTX paper set
    ``constant_columns="r"``.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [3.0, 5.0]], [1.0, 2.0, 3.0, 4.0]
    >>> RSVR().fit(X, y).predict([[0.0, 1.0], [3.0, 5.0]]).round(3).tolist()
    [1.298, 3.871]

    A column without spread is left out:

    >>> RSVR().fit([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0]], [1.0, 2.0, 4.0]).kept_columns_.tolist()
    [True, False]
    """

    def __init__(
        self,
        C: float = 1.0,
        epsilon: float = 0.1,
        gamma: float | None = None,
        tol: float = 1e-3,
        constant_columns: ConstantColumns = "drop",
    ) -> None:
        self.C = C
        self.epsilon = epsilon
        self.gamma = gamma
        self.tol = tol
        self.constant_columns = constant_columns

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn scaling and machine.

        Parameters
        ----------
        X : array-like, shape (N, P)
            Features, finite, N at least 2.
        y : array-like, shape (N,)
            Target, finite, not constant.

        Returns
        -------
        RSVR
            Itself.

        Raises
        ------
        EstimatorInputError
            Features or target cannot be used, or an option is out of its range. It is an
            `InputError` and a ValueError.
        """
        table, target = checked_training(self, X, y, y_numeric=True)
        target = target.astype(np.float64)
        self._check_options()
        scaling = _scaling_of(table, self.constant_columns)
        self.kept_columns_ = scaling.kept
        self.x_center_, self.x_scale_ = scaling.center, scaling.scale
        center, scale = _target_scaling(target[:, None], scaled=scaling.scaled)
        if not scale[0] > 0:
            raise EstimatorInputError("the target is constant", "leave it out")
        self.y_center_, self.y_scale_ = float(center[0]), float(scale[0])
        self.gamma_ = self._width(scaling)
        self.machine_ = SVR(C=self.C, epsilon=self.epsilon, gamma=self.gamma_, tol=self.tol)
        self.machine_.fit(scaling.apply(table), (target - self.y_center_) / self.y_scale_)
        return self

    def predict(self, X: ArrayLike) -> Float:
        """Predict the target.

        Parameters
        ----------
        X : array-like, shape (M, P)
            Features, finite.

        Returns
        -------
        ndarray of float64, shape (M,)
            In units of y.
        """
        check_is_fitted(self)
        table = checked_test(self, X)[:, self.kept_columns_]
        scaled = self.machine_.predict((table - self.x_center_) / self.x_scale_)
        predicted: Float = scaled * self.y_scale_ + self.y_center_
        return predicted

    def _check_options(self) -> None:
        limits = {"C": self.C, "tol": self.tol, "gamma": 1.0 if self.gamma is None else self.gamma}
        for name, value in limits.items():
            if not 0 < value < np.inf:
                raise EstimatorInputError(f"{name} is {value}", "give a finite number above 0")
        if not 0 <= self.epsilon < np.inf:
            raise EstimatorInputError(f"epsilon is {self.epsilon}", "give 0 or more")
        if self.constant_columns not in ("drop", "r"):
            raise EstimatorInputError(
                f"constant_columns is {self.constant_columns!r}", "take drop or r"
            )

    def _width(self, scaling: _Scaling) -> float:
        return 1 / len(scaling.center) if self.gamma is None else float(self.gamma)


def svr_predict_many(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x_test: ArrayLike,
    *,
    machine: RSVR | None = None,
    constant_targets: Literal["error", "nan"] = "error",
    n_threads: int = 1,
) -> Float:
    """Predict many targets of the same units, each as by its own `RSVR`.

    The kernel matrix is computed once. Each target then takes about a third of a millisecond for
    275 units, whatever the number of features, where a machine of its own takes 17 ms for 2,048.
    The solver walks through LIBSVM's very points, so predictions differ by rounding only; where
    LIBSVM sets variables aside (problems of more than 2N steps) an order of summation can tip the
    choice between equals, and the two then agree to `tol`.

    Parameters
    ----------
    x_train : array-like, shape (N, P)
        Features of the training units, finite.
    y_train : array-like, shape (N, G)
        One column a target, finite.
    x_test : array-like, shape (M, P)
        Features of the units to predict, finite.
    machine : RSVR, optional
        Its parameters are used; by default ``RSVR()``.
    constant_targets : {"error", "nan"}
        What to do about targets that are constant over the training units, such as a gene that is
        silent in all of them: refuse, or predict NaN, so that the caller can count them.
    n_threads : int, default 1
        Threads over which targets are spread.

    Returns
    -------
    ndarray of float64, shape (M, G)
        Predictions in units of each target.

    Raises
    ------
    EstimatorInputError
        As `RSVR.fit`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(30, 5)), rng.normal(size=(30, 2))
    >>> many = svr_predict_many(X[:20], Y[:20], X[20:])
    >>> alone = RSVR().fit(X[:20], Y[:20, 1]).predict(X[20:])
    >>> bool(np.allclose(many[:, 1], alone, atol=1e-9))
    True
    """
    machine = RSVR() if machine is None else machine
    machine._check_options()
    learner = RSVR()
    train, targets = checked_training(learner, x_train, y_train, multi_output=True, y_numeric=True)
    if targets.ndim != 2:
        raise EstimatorInputError("targets of one dimension", "give one column a target")
    test = checked_test(learner, x_test)
    scaling = _scaling_of(train, machine.constant_columns)
    center, scale = _target_scaling(targets, scaled=scaling.scaled)
    usable = scale > 0
    if constant_targets == "error" and not usable.all():
        raise EstimatorInputError(
            f"{(~usable).sum()} of {len(usable)} targets are constant over the training units "
            f"(the first is column {np.argmin(usable)})",
            "leave them out, or ask for NaN by constant_targets='nan'",
        )
    predicted = np.full((len(test), len(usable)), np.nan)
    standardized = ((targets - center) / np.where(usable, scale, 1))[:, usable]
    kernel, test_kernel = _kernels(
        scaling.apply(train), scaling.apply(test), machine._width(scaling)
    )
    box = np.array([machine.C, machine.epsilon, machine.tol], dtype=np.float64)
    weights, bias = _solve_in_threads(kernel, standardized, box, n_threads)
    predicted[:, usable] = (test_kernel @ weights.T + bias) * scale[usable] + center[usable]
    return predicted


@dataclass(frozen=True)
class _Scaling:
    kept: NDArray[np.bool_]
    center: Float
    scale: Float
    scaled: bool

    def apply(self, table: Float) -> Float:
        part = table if self.kept.all() else table[:, self.kept]
        result: Float = (part - self.center) / self.scale
        return result


def _scaling_of(table: Float, constant_columns: str) -> _Scaling:
    center, scale = _moments(table)
    # The mean of equal numbers can be off by rounding, so their deviation need not be 0.
    constant = (table.max(axis=0) == table.min(axis=0)) | ~(scale > 0)
    if constant.any() and constant_columns == "r":
        warnings.warn(
            f"Variable(s) {' and '.join(map(str, np.flatnonzero(constant)))} constant. "
            "Cannot scale data: as in R, neither features nor target are scaled",
            ConstantColumnsWarning,
            stacklevel=3,
        )
        n_columns = table.shape[1]
        return _Scaling(
            np.ones(n_columns, dtype=bool), np.zeros(n_columns), np.ones(n_columns), scaled=False
        )
    if constant.all():
        raise EstimatorInputError(
            f"all {table.shape[1]} feature(s) are constant over the training units",
            "check how the features were made",
        )
    kept = ~constant
    return _Scaling(kept, center[kept], scale[kept], scaled=True)


def _target_scaling(targets: Float, *, scaled: bool) -> tuple[Float, Float]:
    """Return center and scale of each column; a scale of 0 marks a constant target."""
    constant = targets.max(axis=0) == targets.min(axis=0)
    if not scaled:
        return np.zeros(targets.shape[1]), np.where(constant, 0.0, 1.0)
    center, scale = _moments(targets)
    return center, np.where(constant, 0.0, scale)


def _moments(table: Float) -> tuple[Float, Float]:
    """Return mean and sample standard deviation of each column, to the last digit as R's `scale`.

    After a step of LIBSVM the two units of the pair are equal but for rounding, so the last digit
    of the scaled target decides which is next, and with the coarse tolerance the third digit of
    the result. R adds in extended precision.
    """
    n_units = len(table)
    center = (table.sum(axis=0, dtype=np.longdouble) / n_units).astype(np.float64)
    squares = ((table - center) ** 2).sum(axis=0, dtype=np.longdouble).astype(np.float64)
    return center, np.sqrt(squares / (n_units - 1))


def _kernels(train: Float, test: Float, gamma: float) -> tuple[Float, Float]:
    """Return the kernel of training units with each other, and of test with training units."""
    squares = np.einsum("ij,ij->i", train, train)
    test_squares = np.einsum("ij,ij->i", test, test)
    kernel = np.exp(-gamma * (squares[:, None] + squares - 2 * (train @ train.T)))
    np.fill_diagonal(kernel, 1)
    cross = np.exp(-gamma * (test_squares[:, None] + squares - 2 * (test @ train.T)))
    return kernel, cross


def _solve_in_threads(
    kernel: Float, targets: Float, box: Float, n_threads: int
) -> tuple[Float, Float]:
    from histograft.stats.smo import padded, solve_many

    rows = padded(kernel)
    # Several parts a thread: some targets take longer than others.
    n_parts = max(1, min(targets.shape[1], 4 * n_threads if n_threads > 1 else 1))
    parts = [np.ascontiguousarray(part.T) for part in np.array_split(targets, n_parts, axis=1)]

    def solve(part: Float) -> tuple[Any, Any, Any]:
        return solve_many(rows, part, box, _MOST_STEPS)

    if n_threads > 1:
        with ThreadPoolExecutor(n_threads) as pool:
            solved = list(pool.map(solve, parts))
    else:
        solved = [solve(part) for part in parts]
    weights = np.concatenate([weights for weights, _, _ in solved])
    bias = np.concatenate([bias for _, bias, _ in solved])
    n_failed = sum(int((n_steps < 0).sum()) for _, _, n_steps in solved)
    if n_failed:
        raise EstimatorInputError(
            f"{n_failed} target(s) took over {_MOST_STEPS:,} steps",
            "fit with a smaller cost C or a larger epsilon, or leave out columns that nearly "
            "repeat one another",
        )
    return weights, bias
