"""The lasso as R's cv.glmnet does it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from histograft.stats.estimator_input import (
    EstimatorInputError,
    checked_test,
    checked_training,
)
from histograft.stats.lasso_choice import (
    Choice,
    choose_penalty,
    deal_folds,
    held_out_losses,
    probability,
)
from histograft.stats.lasso_path import Family, LassoPath, lasso_path

Float = NDArray[np.float64]
Integer = NDArray[np.integer[Any]]

# glmnet refuses a class with fewer units.
_FEWEST_OF_CLASS = 2


def _is_binomial(machine: RLasso) -> bool:
    return machine.family == "binomial"


class RLasso(BaseEstimator):  # type: ignore[misc]
    """Lasso regression whose penalty is chosen as by R's ``cv.glmnet``.

    Parameters
    ----------
    family : {"binomial", "gaussian"}, default "binomial"
        Logistic regression of two classes, or least squares.
    rule : {"min", "1se"}, default "min"
        The penalty of the least loss in cross-validation, or the largest whose loss is within one
        standard error of it. With weak signal ``1se`` often leaves no feature at all.
    foldid : array-like of int, shape (N,), optional
        Inner fold of each unit, three folds or more. By default units are dealt by chance, class by
        class (cv.glmnet does not look at the classes).
    n_folds : int, default 10
        Folds where `foldid` is not given; no more than units.
    tol : float, default 1e-12
        Work on a penalty ends when no step changes the loss by more than this share of the null
        loss. glmnet's ``thresh`` is 1e-7, where coefficients are good to two digits at the end of
        the path.
    random_state : int or numpy.random.RandomState, optional
        Chance of the folds.
    n_jobs : int, optional
        Threads over which inner folds are spread; by default 1.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (P,)
        Coefficients at the chosen penalty, for features as they were given.
    intercept_ : float
        Intercept, without penalty.
    lambda_path_ : ndarray of float64, shape (L,)
        Falling penalties, 100 at most.
    coef_path_ : ndarray of float64, shape (P, L)
        Coefficients for each, as ``beta`` of glmnet.
    intercept_path_, explained_path_ : ndarray of float64, shape (L,)
        Intercepts; share of the null deviance that is explained (``dev.ratio``).
    cvm_, cvsd_ : ndarray of float64, shape (L,)
        Mean loss of held-out units (deviance, or squared error), and its standard error.
    lambda_min_, lambda_1se_, lambda_ : float
        Penalties of the two rules, and the chosen one.
    foldid_ : ndarray of int, shape (N,)
        Inner folds that were used.
    classes_ : ndarray, shape (2,)
        Classes, sorted; the second is what probabilities are of. Not for ``gaussian``.
    n_features_in_ : int
        P.

    Notes
    -----
    Friedman, Hastie and Tibshirani 2010, doi:10.18637/jss.v033.i01. Each inner fold has a path of
    its own, which is interpolated at the penalties of the whole. To match the FTX paper set
    ``rule="1se"``, which R's ``predict`` takes of a ``cv.glmnet`` unless told otherwise; the paper
    itself does not name it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 30))
    >>> y = X[:, 3] - X[:, 7] + rng.normal(size=80) > 0
    >>> machine = RLasso(rule="1se", random_state=0).fit(X, y)
    >>> np.flatnonzero(machine.coef_).tolist()
    [3, 7]
    """

    def __init__(
        self,
        family: Family = "binomial",
        rule: Literal["min", "1se"] = "min",
        foldid: ArrayLike | None = None,
        *,
        n_folds: int = 10,
        tol: float = 1e-12,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.family = family
        self.rule = rule
        self.foldid = foldid
        self.n_folds = n_folds
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        """Return a classifier's tags for ``binomial``, a regressor's for ``gaussian``."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if self.family == "binomial":
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_class=False)
        else:
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Follow the path, and choose a penalty by cross-validation.

        Parameters
        ----------
        X : array-like, shape (N, P)
            Features, finite. Constant ones get no weight.
        y : array-like, shape (N,)
            Two classes, or for ``gaussian`` a number of each unit.

        Returns
        -------
        RLasso
            Itself.

        Raises
        ------
        EstimatorInputError
            Features or target cannot be used, or a class has fewer than two units outside of an
            inner fold (glmnet refuses these too). It is an `InputError` and a ValueError.
        """
        self._check_options()
        table, target, labels = self._checked(X, y)
        folds = self._folds(labels, len(target))
        _require_classes(labels, folds)

        def follow(train: NDArray[Any]) -> LassoPath:
            return lasso_path(table[train], target[train], family=self.family, tol=self.tol)

        whole = np.ones(len(target), dtype=bool)
        trains = [whole] + [folds != fold for fold in np.unique(folds)]
        path, *inner = _map_in_threads(follow, trains, self.n_jobs)
        losses = np.empty((len(target), len(path.penalties)))
        for fold_path, train in zip(inner, trains[1:], strict=True):
            scores = fold_path.scores_at(table[~train], path.penalties)
            losses[~train] = held_out_losses(target[~train], scores, self.family)
        self._keep(path, choose_penalty(losses, folds))
        self.foldid_ = folds
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the class, or for ``gaussian`` the expected number, of each unit, shape (M,)."""
        scores = self._scores(X)
        if self.family == "gaussian":
            return scores
        predicted: NDArray[Any] = self.classes_[(scores > 0).astype(np.int64)]
        return predicted

    @available_if(_is_binomial)  # type: ignore[untyped-decorator]
    def decision_function(self, X: ArrayLike) -> Float:
        """Return the log odds of ``classes_[1]``, shape (M,)."""
        return self._scores(X)

    @available_if(_is_binomial)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: ArrayLike) -> Float:
        """Return the probability of each class, shape (M, 2)."""
        share = probability(self._scores(X))
        return np.column_stack([1 - share, share])

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the accuracy, or for ``gaussian`` R²."""
        measure = accuracy_score if self.family == "binomial" else r2_score
        return float(measure(y, self.predict(X)))

    def _scores(self, X: ArrayLike) -> Float:
        check_is_fitted(self)
        scores: Float = checked_test(self, X) @ self.coef_ + self.intercept_
        return scores

    def _check_options(self) -> None:
        if self.family not in ("binomial", "gaussian"):
            raise EstimatorInputError(f"family is {self.family!r}", "take binomial or gaussian")
        if self.rule not in ("min", "1se"):
            raise EstimatorInputError(f"rule is {self.rule!r}", "take min or 1se")
        if not 0 < self.tol < 1:
            raise EstimatorInputError(f"tol is {self.tol}", "give a number between 0 and 1")
        if self.n_folds < 3:
            raise EstimatorInputError(f"n_folds is {self.n_folds}", "give 3 or more")

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[Float, Float, NDArray[Any] | None]:
        """Return features, target as numbers, and the classes' indices."""
        if self.family == "gaussian":
            table, target = checked_training(self, X, y, y_numeric=True)
            if target.max() == target.min():
                raise EstimatorInputError("the target is constant", "leave it out")
            labels, target = None, target.astype(np.float64)
        else:
            table, given = checked_training(self, X, y)
            check_classification_targets(given)
            self.classes_, labels = np.unique(given, return_inverse=True)
            if len(self.classes_) != 2:
                # scikit-learn's checks look for "1 class" or "Only binary classification".
                n_classes = len(self.classes_)
                raise EstimatorInputError(
                    f"the labels hold {n_classes} class{'es' if n_classes > 1 else ''}. "
                    "Only binary classification is supported",
                    "give two classes, or leave this target out",
                )
            target = labels.astype(np.float64)
        if (table.max(axis=0) == table.min(axis=0)).all():
            raise EstimatorInputError(
                f"all {table.shape[1]} feature(s) are constant", "check how they were made"
            )
        return table, target, labels

    def _folds(self, labels: NDArray[Any] | None, n_units: int) -> Integer:
        if self.foldid is None:
            rng = check_random_state(self.random_state)
            return deal_folds(labels, n_units, min(self.n_folds, n_units), rng)
        folds = np.asarray(self.foldid)
        is_whole = folds.dtype.kind in "iuf" and bool((folds == np.round(folds)).all())
        if folds.shape != (n_units,) or not is_whole:
            raise EstimatorInputError(
                f"foldid has shape {folds.shape} and type {folds.dtype}",
                f"give one whole number for each of the {n_units} units",
            )
        if len(np.unique(folds)) < 3:
            raise EstimatorInputError("foldid names fewer than 3 folds", "give 3 or more")
        return folds

    def _keep(self, path: LassoPath, choice: Choice) -> None:
        self.lambda_path_ = path.penalties
        self.coef_path_ = path.coefs.T
        self.intercept_path_ = path.intercepts
        self.explained_path_ = path.explained
        self.cvm_, self.cvsd_ = choice.cvm, choice.cvsd
        self.lambda_min_ = float(path.penalties[choice.best])
        self.lambda_1se_ = float(path.penalties[choice.one_se])
        chosen = choice.best if self.rule == "min" else choice.one_se
        self.lambda_ = float(path.penalties[chosen])
        self.coef_ = path.coefs[chosen].copy()
        self.intercept_ = float(path.intercepts[chosen])


def _require_classes(labels: NDArray[Any] | None, folds: Integer) -> None:
    if labels is None:
        return
    for fold in np.unique(folds):
        counts = np.bincount(labels[folds != fold], minlength=2)
        if counts.min() < _FEWEST_OF_CLASS:
            raise EstimatorInputError(
                f"outside of inner fold {fold} a class has {counts.min()} unit(s)",
                "give 3 units of each class or more, or a foldid that spreads them over folds",
            )


def _map_in_threads(
    function: Callable[[Any], LassoPath], items: list[Any], n_jobs: int | None
) -> list[LassoPath]:
    if n_jobs is None or n_jobs == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(None if n_jobs < 0 else n_jobs) as pool:
        return list(pool.map(function, items))
