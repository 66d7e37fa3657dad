"""Metrics of classification, all functions of the confusion matrix.

Every function takes confusion matrices of shape (..., K, K), rows truth, columns predicted, and
keeps the leading axes (repeats, bootstrap draws).

Where a metric is undefined, one policy holds:

* A class without units in the truth gives NaN for its recall, precision and F1 and is left out
  of every mean over classes.
* A class with units that is never predicted has precision 0 and F1 0 (scikit-learn's
  ``zero_division=0``).
* Without any unit every metric is NaN.

Balanced accuracy *is* the macro-averaged recall, so there is no second metric of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError

Float = NDArray[np.float64]


def confusion(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Count pairs of true and predicted class.

    Parameters
    ----------
    truth, predicted : array-like of int, shapes that broadcast to (..., N)
        Class indices below `n_classes`. Units with -1 in either are not counted.
    n_classes : int
        Number of classes K.

    Returns
    -------
    ndarray of int64, shape (..., K, K)
        Rows truth, columns predicted.

    Raises
    ------
    InputError
        An index is below -1 or not below `n_classes`.

    Examples
    --------
    >>> confusion([0, 0, 1, 1], [[0, 1, 1, 1], [0, 0, 0, -1]], 2).tolist()
    [[[1, 1], [0, 2]], [[2, 0], [1, 0]]]
    """
    rows, columns = np.broadcast_arrays(np.asarray(truth), np.asarray(predicted))
    rows, columns = rows.astype(np.int64), columns.astype(np.int64)
    for name, index in (("true", rows), ("predicted", columns)):
        if index.size and not -1 <= int(index.min()) <= int(index.max()) < n_classes:
            raise InputError(
                f"{name} classes run from {index.min()} to {index.max()}, "
                f"which is outside 0 … {n_classes - 1}",
                "number the classes from 0, with -1 for units that are left out",
            )
    leading = rows.shape[:-1]
    n_matrices = int(np.prod(leading, dtype=np.int64))
    cells = n_classes * n_classes
    matrix = np.arange(n_matrices).reshape(*leading, 1)
    counted = (rows >= 0) & (columns >= 0)
    flat = (matrix * cells + rows * n_classes + columns)[counted]
    counts = np.bincount(flat, minlength=n_matrices * cells)
    return counts.reshape(*leading, n_classes, n_classes)


def recall(matrix: NDArray[Any]) -> Float:
    """Share of each class's units that are found: diagonal / row sum, shape (..., K).

    Examples
    --------
    >>> recall(np.array([[3, 1], [0, 0]]))
    array([0.75,  nan])
    """
    return _ratio(_hits(matrix), matrix.sum(axis=-1), if_zero=np.nan)


def precision(matrix: NDArray[Any]) -> Float:
    """Share of the units given to each class that are of it: diagonal / column sum, (..., K).

    Examples
    --------
    >>> precision(np.array([[3, 0], [1, 0]]))
    array([0.75, 0.  ])
    """
    values = _ratio(_hits(matrix), matrix.sum(axis=-2), if_zero=0.0)
    return np.where(_present(matrix), values, np.nan)


def f1(matrix: NDArray[Any]) -> Float:
    """Harmonic mean of precision and recall, 2 hits / (row sum + column sum), shape (..., K).

    Examples
    --------
    >>> f1(np.array([[3, 1], [0, 4]])).round(4)
    array([0.8571, 0.8889])
    """
    total = matrix.sum(axis=-1) + matrix.sum(axis=-2)
    return np.where(_present(matrix), _ratio(2 * _hits(matrix), total, if_zero=0.0), np.nan)


def accuracy(matrix: NDArray[Any]) -> Float:
    """Share of units that are classified correctly, 0 … 1.

    Examples
    --------
    >>> float(accuracy(np.array([[3, 1], [0, 4]])))
    0.875
    """
    return _ratio(_hits(matrix).sum(axis=-1), matrix.sum(axis=(-2, -1)), if_zero=np.nan)


def balanced_accuracy(matrix: NDArray[Any]) -> Float:
    """Mean recall of the classes that have units, 0 … 1; also called macro recall.

    Examples
    --------
    >>> float(balanced_accuracy(np.array([[3, 1], [0, 4]])))
    0.875
    """
    return _mean_of_present(recall(matrix), matrix)


def macro_precision(matrix: NDArray[Any]) -> Float:
    """Mean precision of the classes that have units, 0 … 1."""
    return _mean_of_present(precision(matrix), matrix)


def macro_f1(matrix: NDArray[Any]) -> Float:
    """Mean F1 of the classes that have units, 0 … 1."""
    return _mean_of_present(f1(matrix), matrix)


def weighted_f1(matrix: NDArray[Any]) -> Float:
    """Mean F1 of the classes, weighted by their units, 0 … 1."""
    units = matrix.sum(axis=-1)
    weighted = np.where(_present(matrix), f1(matrix), 0.0) * units
    return _ratio(weighted.sum(axis=-1), units.sum(axis=-1), if_zero=np.nan)


def cohen_kappa(matrix: NDArray[Any]) -> Float:
    """Agreement beyond chance, (p_o - p_e) / (1 - p_e), -1 … 1.

    p_o is the accuracy and p_e what independent truth and prediction with the same class
    counts would give. NaN where p_e is 1: all units are and are called one class.

    Notes
    -----
    Cohen 1960, doi:10.1177/001316446002000104.

    Examples
    --------
    >>> round(float(cohen_kappa(np.array([[20, 5], [10, 15]]))), 4)
    0.4
    """
    total = matrix.sum(axis=(-2, -1))
    hits = _hits(matrix).sum(axis=-1)
    chance = (matrix.sum(axis=-1) * matrix.sum(axis=-2).astype(np.float64)).sum(axis=-1)
    # Multiplied by total², so that integers below 2**53 stay exact and 1 - p_e is exactly 0
    # where it is.
    return _ratio(
        hits * total.astype(np.float64) - chance, total.astype(float) ** 2 - chance, if_zero=np.nan
    )


def matthews_corrcoef(matrix: NDArray[Any]) -> Float:
    """Correlation of truth and prediction for any number of classes, -1 … 1.

    0 where truth or prediction is one class only, as in scikit-learn.

    Notes
    -----
    Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.

    Examples
    --------
    >>> round(float(matthews_corrcoef(np.array([[20, 5], [10, 15]]))), 4)
    0.4082
    """
    truth, called = matrix.sum(axis=-1).astype(np.float64), matrix.sum(axis=-2).astype(np.float64)
    total = truth.sum(axis=-1)
    covariance = _hits(matrix).sum(axis=-1) * total - (truth * called).sum(axis=-1)
    spread = (total**2 - (truth**2).sum(axis=-1)) * (total**2 - (called**2).sum(axis=-1))
    return np.where(total > 0, _ratio(covariance, np.sqrt(spread), if_zero=0.0), np.nan)


@dataclass(frozen=True)
class Metric:
    """One entry of `METRICS`.

    Attributes
    ----------
    name : str
        Its key, and for a metric per class the part before the colon.
    function : callable
        Confusion matrices (..., K, K) to (...), or to (..., K) where `per_class`.
    range : tuple of float
        Smallest and largest possible value.
    label : str
        What to call it before people.
    per_class : bool
        Whether there is one value for each class.
    """

    name: str
    function: Callable[[NDArray[Any]], Float]
    range: tuple[float, float]
    label: str
    per_class: bool = field(default=False, kw_only=True)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, (0, 1), "accuracy"),
        Metric("balanced_accuracy", balanced_accuracy, (0, 1), "balanced accuracy"),
        Metric("kappa", cohen_kappa, (-1, 1), "Cohen's κ"),
        Metric("mcc", matthews_corrcoef, (-1, 1), "Matthews correlation"),
        Metric("macro_precision", macro_precision, (0, 1), "macro precision"),
        Metric("macro_f1", macro_f1, (0, 1), "macro F1"),
        Metric("weighted_f1", weighted_f1, (0, 1), "weighted F1"),
        Metric("recall", recall, (0, 1), "recall", per_class=True),
        Metric("precision", precision, (0, 1), "precision", per_class=True),
        Metric("f1", f1, (0, 1), "F1", per_class=True),
    )
}


def metric_names(classes: Sequence[str]) -> list[str]:
    """Keys of `evaluate`, in its order.

    Examples
    --------
    >>> metric_names(["STR"])[-2:]
    ['precision:STR', 'f1:STR']
    """
    return [
        name
        for metric in METRICS.values()
        for name in ([f"{metric.name}:{c}" for c in classes] if metric.per_class else [metric.name])
    ]


def evaluate(matrix: NDArray[Any], classes: Sequence[str]) -> dict[str, Float]:
    """Compute every metric of `METRICS`.

    Parameters
    ----------
    matrix : ndarray, shape (..., K, K)
        Confusion matrices.
    classes : sequence of str
        Names of the K classes.

    Returns
    -------
    dict of str to ndarray of float64, shape (...)
        By name: ``"accuracy"``, ``"kappa"``, …, ``"recall:STR"``, ``"precision:STR"``, ….

    Raises
    ------
    InputError
        The matrices are not K × K.

    Examples
    --------
    >>> values = evaluate(np.array([[3, 1], [0, 4]]), ["NORM", "TUM"])
    >>> float(values["recall:NORM"]), float(values["precision:TUM"])
    (0.75, 0.8)
    """
    if matrix.shape[-2:] != (len(classes), len(classes)):
        raise InputError(
            f"confusion matrices of shape {matrix.shape} for {len(classes)} classes",
            "give matrices of classes × classes",
        )
    values: dict[str, Float] = {}
    for metric in METRICS.values():
        result = metric.function(matrix)
        if metric.per_class:
            values |= {f"{metric.name}:{c}": result[..., i] for i, c in enumerate(classes)}
        else:
            values[metric.name] = result
    return values


def _hits(matrix: NDArray[Any]) -> NDArray[Any]:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _present(matrix: NDArray[Any]) -> NDArray[np.bool_]:
    present: NDArray[np.bool_] = matrix.sum(axis=-1) > 0
    return present


def _ratio(above: NDArray[Any], below: NDArray[Any], *, if_zero: float) -> Float:
    zero = below == 0
    # A denominator of 1 where it is 0 avoids the warning; the value is replaced afterwards.
    values: Float = np.asarray(above, dtype=np.float64) / np.where(zero, 1, below)
    return np.where(zero, if_zero, values)


def _mean_of_present(values: Float, matrix: NDArray[Any]) -> Float:
    present = _present(matrix)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return _ratio(total, present.sum(axis=-1), if_zero=np.nan)
