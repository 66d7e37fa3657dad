"""How features lie: maps for the eye, and the numbers that belong beside a map."""

from __future__ import annotations

from typing import Any, NamedTuple

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

_PCA_COMPONENTS = 50
_BLOCK_CELLS = 1 << 23


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


def tsne(features: NDArray[Any], *, seed: int, perplexity: float = 30.0) -> Projection:
    """Map features to the plane by t-SNE.

    Features are standardized and reduced to 50 principal components first; the map starts at
    the first two, so it keeps what global order they have (Kobak and Berens 2019,
    doi:10.1038/s41467-019-13056-x).

    Parameters
    ----------
    features : ndarray of float, shape (N, P)
        Finite features of at least four units.
    seed : int
        Root of chance.
    perplexity : float, default 30
        Effective number of neighbors; lowered to (N - 1) / 3 for small N.

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
    components = min(_PCA_COMPONENTS, *features.shape)
    reduced = PCA(components, random_state=state).fit_transform(_standardized(features))
    used = float(min(perplexity, (len(features) - 1) / 3))
    machine = TSNE(
        2,
        perplexity=used,
        init="pca" if components >= 2 else "random",
        learning_rate="auto",
        random_state=state,
    )
    settings = {
        "method": "t-SNE",
        "perplexity": used,
        "initialization": machine.init,
        "principal_components": components,
        "standardized": True,
        "seed": seed,
        "scikit_learn": sklearn.__version__,
    }
    return Projection(np.asarray(machine.fit_transform(reduced), dtype=np.float64), settings)


def knn_accuracy(
    features: NDArray[Any],
    labels: ArrayLike,
    k: int = 10,
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
    n_classes, votes_of = int(label_index.max()) + 1, min(k, n_units - 1)
    norms = (table**2).sum(axis=1)
    block = max(1, _BLOCK_CELLS // n_units)
    correct = 0
    for start in range(0, n_units if votes_of else 0, block):
        rows = slice(start, start + block)
        distance = norms - 2 * (table[rows] @ table.T)  # without the row's own norm: same order
        distance[own[rows, None] == own] = np.inf
        nearest = np.argpartition(distance, votes_of - 1, axis=1)[:, :votes_of]
        reach = np.take_along_axis(distance, nearest, axis=1)
        winner = _vote(label_index[nearest], reach, n_classes)
        correct += int((winner == label_index[rows]).sum())
    return correct / n_units


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


def _standardized(features: NDArray[Any]) -> Float:
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or not len(table):
        raise InputError(f"features of shape {table.shape}", "give one row a unit")
    require_finite(table, "the features")
    return np.asarray(StandardScaler().fit_transform(table), dtype=np.float64)
