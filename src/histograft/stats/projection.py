"""How features lie: maps for the eye, and the numbers that belong beside a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from histograft.core.errors import InputError
from histograft.stats.crossval import require_finite

Float = NDArray[np.float64]

NEIGHBORS = 10  # that vote, unless told otherwise
_BLOCK_CELLS = 1 << 23


@dataclass(frozen=True)
class TsneSettings:
    """How a map is made. Panels that are compared need the same settings and the same seed.

    Attributes
    ----------
    perplexity : float
        Effective number of neighbors; lowered to (N - 1) / 3 for small N.
    learning_rate : float or "auto"
        Step; "auto" is N / 48, 50 at least.
    init : {"pca", "random"}
        Start at the first two principal components, or anywhere.
    iterations : int
        Steps of the gradient at most, 250 or above.
    early_exaggeration : float
        Factor on the attraction in the first 250 steps.
    standardized : bool
        Whether each feature is brought to mean 0 and deviation 1 first.
    components : int or None
        Principal components that features are reduced to first; None for all features.
    """

    perplexity: float = 30.0
    learning_rate: float | Literal["auto"] = "auto"
    init: Literal["pca", "random"] = "pca"
    iterations: int = 1000
    early_exaggeration: float = 12.0
    standardized: bool = True
    components: int | None = 50


RECOMMENDED = TsneSettings()
# To match Zhang et al. 2022 (HistoKT), Fig. 2: scikit-learn's defaults of their time, on the pooled
# features as they are.
PAPER = TsneSettings(learning_rate=200.0, init="random", standardized=False, components=None)


class Projection(NamedTuple):
    """A map and how it was made.

    Attributes
    ----------
    coordinates : ndarray of float64, shape (N, 2)
        Position of each unit; distances between clusters mean nothing.
    settings : dict
        JSON values for the report.
    """

    coordinates: Float
    settings: dict[str, Any]


def tsne(features: NDArray[Any], *, seed: int, settings: TsneSettings = RECOMMENDED) -> Projection:
    """Map features to the plane by t-SNE.

    By default features are standardized and reduced to 50 principal components first, and the map
    starts at the first two, so it keeps what global order they have (Kobak and Berens 2019,
    doi:10.1038/s41467-019-13056-x). `PAPER` are the settings of the HistoKT paper.

    Parameters
    ----------
    features : ndarray of float, shape (N, P)
        Finite features of at least four units.
    seed : int
        Root of chance.
    settings : TsneSettings
        `RECOMMENDED` by default.

    Returns
    -------
    Projection
        Coordinates and settings.

    Raises
    ------
    InputError
        Fewer than four units, or a feature that is not finite.

    Notes
    -----
    van der Maaten and Hinton 2008, JMLR 9:2579-2605.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> result = tsne(rng.normal(size=(20, 5)), seed=0)
    >>> result.coordinates.shape, round(result.settings["perplexity"], 2)
    ((20, 2), 6.33)
    """
    if len(features) < 4:
        raise InputError(f"{len(features)} unit(s)", "a map needs four or more")
    state = seed % 2**32
    table = _standardized(features) if settings.standardized else _finite(features)
    components = min(settings.components or table.shape[1], *table.shape)
    if settings.components is not None:
        table = PCA(components, random_state=state).fit_transform(table)
    used = float(min(settings.perplexity, (len(features) - 1) / 3))
    machine = TSNE(
        2,
        perplexity=used,
        early_exaggeration=settings.early_exaggeration,
        learning_rate=settings.learning_rate,
        max_iter=settings.iterations,
        init=settings.init if components >= 2 else "random",
        random_state=state,
    )
    told = {
        "method": "t-SNE",
        "perplexity": used,
        "learning_rate": settings.learning_rate,
        "initialization": machine.init,
        "iterations": settings.iterations,
        "early_exaggeration": settings.early_exaggeration,
        "principal_components": None if settings.components is None else components,
        "standardized": settings.standardized,
        "seed": seed,
        "scikit_learn": sklearn.__version__,
    }
    return Projection(np.asarray(machine.fit_transform(table), dtype=np.float64), told)


def knn_accuracy(
    features: NDArray[Any],
    labels: ArrayLike,
    k: int = NEIGHBORS,
    groups: ArrayLike | None = None,
) -> float:
    """Share of units whose nearest neighbors in the full space vote for their class.

    Parameters
    ----------
    features : ndarray of float, shape (N, P)
        Finite features; they are standardized over all units.
    labels : array-like, shape (N,)
        Class of each unit.
    k : int, default 10
        Voting neighbors; all others where there are fewer. Of classes with equally many votes
        the one with the nearest neighbor wins.
    groups : array-like, shape (N,), optional
        Units of a unit's own group do not vote. None: only the unit itself does not.

    Returns
    -------
    float
        0 … 1. A unit without any possible neighbor counts as wrong.

    Raises
    ------
    InputError
        No unit, no neighbor asked for, or a feature that is not finite.

    Examples
    --------
    >>> knn_accuracy(np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]), list("aaabbb"), k=2)
    1.0
    """
    table = _standardized(features)
    n_units = len(table)
    _, label_index = np.unique(np.asarray(labels), return_inverse=True)
    own: NDArray[Any] = np.arange(n_units) if groups is None else np.asarray(groups)
    if k < 1 or not len(label_index) == len(own) == n_units:
        raise InputError(
            f"{n_units} units, {len(label_index)} labels, {len(own)} groups, {k} neighbors",
            "give one label and group a unit, and one neighbor or more",
        )

    def apart(rows: slice) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = own[rows, None] == own
        return same

    if n_units == 1:
        return 0.0
    return _share_correct((table, label_index), (table, label_index), min(k, n_units - 1), apart)


def knn_test_accuracy(
    train: NDArray[Any],
    train_labels: ArrayLike,
    test: NDArray[Any],
    test_labels: ArrayLike,
    k: int = NEIGHBORS,
) -> float:
    """Share of test units whose nearest training units in the full space vote for their class.

    Parameters
    ----------
    train : ndarray of float, shape (N, P)
        Finite features that vote; all are standardized by their means and deviations.
    train_labels : array-like, shape (N,)
        Their classes.
    test : ndarray of float, shape (M, P)
        Finite features of units that share no group with those that vote.
    test_labels : array-like, shape (M,)
        Their classes; one that no training unit has is always wrong.
    k : int, default 10
        Voting neighbors, as for `knn_accuracy`.

    Returns
    -------
    float
        0 … 1.

    Raises
    ------
    InputError
        No unit, no neighbor asked for, numbers that do not go together, or a feature that is not
        finite.

    Examples
    --------
    >>> train, test = np.array([[0.0], [0.1], [5.0], [5.1]]), np.array([[0.2], [2.0], [6.0]])
    >>> round(knn_test_accuracy(train, list("aabb"), test, list("abb"), k=2), 3)
    0.667
    """
    voters, asked = _finite(train), _finite(test)
    _, index = np.unique([*np.asarray(train_labels), *np.asarray(test_labels)], return_inverse=True)
    if k < 1 or voters.shape[1] != asked.shape[1] or len(index) != len(voters) + len(asked):
        raise InputError(
            f"features of {voters.shape} and {asked.shape}, {len(index)} labels, {k} neighbors",
            "give the same features of both, one label a unit, and one neighbor or more",
        )
    scaler = StandardScaler().fit(voters)
    known = scaler.transform(voters), index[: len(voters)]
    return _share_correct(
        known, (scaler.transform(asked), index[len(voters) :]), min(k, len(voters)), None
    )


def _share_correct(
    known: tuple[Float, NDArray[np.int64]],
    asked: tuple[Float, NDArray[np.int64]],
    n_votes: int,
    apart: Callable[[slice], NDArray[np.bool_]] | None,
) -> float:
    """Let the nearest known units vote on those that are asked about, block by block.

    `apart` tells which known units (columns) do not vote on a block of rows.
    """
    (table, label_index), (queries, truth) = known, asked
    n_classes = int(max(label_index.max(), truth.max())) + 1
    norms = (table**2).sum(axis=1)
    block = max(1, _BLOCK_CELLS // len(table))
    correct = 0
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        distance = norms - 2 * (queries[rows] @ table.T)  # without the row's own norm: same order
        if apart is not None:
            distance[apart(rows)] = np.inf
        nearest = np.argpartition(distance, n_votes - 1, axis=1)[:, :n_votes]
        reach = np.take_along_axis(distance, nearest, axis=1)
        winner = _vote(label_index[nearest], reach, n_classes)
        correct += int((winner == truth[rows]).sum())
    return correct / len(queries)


def silhouette(features: NDArray[Any], labels: ArrayLike) -> float:
    """Mean silhouette of the classes in the standardized full space, -1 … 1.

    Parameters
    ----------
    features : ndarray of float, shape (N, P)
        Finite features.
    labels : array-like, shape (N,)
        Class of each unit.

    Returns
    -------
    float
        Near 1: classes are compact and apart; NaN where it is undefined (one class, or every
        unit a class of its own).

    Notes
    -----
    Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7.

    Examples
    --------
    >>> round(silhouette(np.array([[0.0], [0.1], [5.0], [5.1]]), list("aabb")), 2)
    0.98
    """
    names = np.asarray(labels)
    if not 2 <= len(np.unique(names)) < len(names):
        return float("nan")
    return float(silhouette_score(_standardized(features), names))


def _vote(labels: NDArray[np.int64], reach: Float, n_classes: int) -> NDArray[np.int64]:
    """Return the winning class of each row, -1 where nobody votes."""
    counts = np.zeros((len(labels), n_classes))
    nearest = np.full((len(labels), n_classes), np.inf)
    rows = np.broadcast_to(np.arange(len(labels))[:, None], labels.shape)
    np.add.at(counts, (rows, labels), np.isfinite(reach))
    np.minimum.at(nearest, (rows, labels), reach)
    leads = counts == counts.max(axis=1, keepdims=True)
    winner = np.where(leads, nearest, np.inf).argmin(axis=1)
    return np.where(counts.max(axis=1) > 0, winner, -1)


def _finite(features: NDArray[Any]) -> Float:
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise InputError(f"features of shape {table.shape}", "give one row a unit")
    require_finite(table, "the features")
    return table


def _standardized(features: NDArray[Any]) -> Float:
    return np.asarray(StandardScaler().fit_transform(_finite(features)), dtype=np.float64)
