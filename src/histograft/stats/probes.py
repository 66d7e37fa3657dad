"""Classifiers that read features: each a pipeline with its own scaler."""

from __future__ import annotations

from typing import Any, Literal

from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from histograft.core.errors import InputError
from histograft.stats.linear_svc import LinearSVC

ProbeKind = Literal["svc", "logistic", "knn"]
DEFAULT_C = {"svc": 1.0, "logistic": 0.01}


def make_probe(
    kind: ProbeKind = "svc", *, C: float | None = None, n_neighbors: int = 10
) -> Pipeline:
    """Make an unfitted classifier whose scaler learns from the training units alone.

    Parameters
    ----------
    kind : {"svc", "logistic", "knn"}
        ``svc``: `histograft.stats.linear_svc.LinearSVC`; ``logistic``: multinomial logistic
        regression with an L2 penalty; ``knn``: nearest neighbors by Euclidean distance.
    C : float, optional
        Inverse strength of the penalty; by default 1 for ``svc``, as in the FTX paper, and 0.01
        for ``logistic``, which has more features than units in mind. Not used by ``knn``.
    n_neighbors : int, default 10
        Voting neighbors of ``knn``.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``scale`` and ``probe``.

    Raises
    ------
    InputError
        The kind is unknown.

    Examples
    --------
    >>> [name for name, _ in make_probe("svc").steps]
    ['scale', 'probe']
    >>> make_probe("logistic").named_steps["probe"].C
    0.01
    """
    probe: Any
    if kind == "svc":
        probe = LinearSVC(C=DEFAULT_C["svc"] if C is None else C)
    elif kind == "logistic":
        strength = DEFAULT_C["logistic"] if C is None else C
        probe = LogisticRegression(C=strength, solver="lbfgs", max_iter=5000)
    elif kind == "knn":
        probe = KNeighborsClassifier(n_neighbors=n_neighbors)
    else:
        raise InputError(f"there is no probe {kind!r}", "take svc, logistic or knn")
    return Pipeline([("scale", StandardScaler()), ("probe", probe)])
