"""Maps and the numbers beside them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from histograft.core.errors import InputError
from histograft.stats import projection
from histograft.stats.projection import knn_accuracy, silhouette, tsne


def clouds(n=60, n_features=6, distance=2.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    return rng.normal(size=(n, n_features)) + distance * np.eye(3, n_features)[labels], labels


def test_map():
    features, labels = clouds(distance=30)
    first, second = tsne(features, seed=3), tsne(features, seed=3)
    np.testing.assert_array_equal(first.coordinates, second.coordinates)
    assert first.coordinates.shape == (60, 2)
    assert first.settings["perplexity"] == pytest.approx(59 / 3)
    assert first.settings["seed"] == 3
    assert knn_accuracy(first.coordinates, labels, k=5) == 1


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("cells", [1 << 23, 100])
def test_knn_accuracy_equals_scikit_learn(monkeypatch, k, grouped, cells):
    monkeypatch.setattr(projection, "_BLOCK_CELLS", cells)
    features, labels = clouds()
    binary = labels == 0  # with two classes and odd k there are no ties
    groups = np.arange(60) // 7 if grouped else None
    table = StandardScaler().fit_transform(features)
    predicted = cross_val_predict(
        KNeighborsClassifier(k),
        table,
        binary,
        groups=groups,
        cv=LeaveOneGroupOut() if grouped else LeaveOneOut(),
    )
    assert knn_accuracy(features, binary, k=k, groups=groups) == np.mean(predicted == binary)


def test_own_group_does_not_vote():
    """Copies of a unit in its own group make plain neighbors perfect and grouped ones useless."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(40, 5)), 3, axis=0)
    labels = np.repeat(rng.integers(0, 2, 40), 3)
    groups = np.repeat(np.arange(40), 3)
    assert knn_accuracy(features, labels, k=2) == 1
    assert knn_accuracy(features, labels, k=2, groups=groups) < 0.75


def test_tie_goes_to_the_nearest():
    features = np.array([[0.0], [1.0], [-2.0]])
    assert knn_accuracy(features, ["a", "a", "b"], k=2) == pytest.approx(2 / 3)


def test_one_group_only():
    assert knn_accuracy(np.zeros((4, 2)), [0, 0, 1, 1], groups=[1, 1, 1, 1]) == 0


def test_silhouette_equals_scikit_learn():
    features, labels = clouds()
    table = StandardScaler().fit_transform(features)
    assert silhouette(features, labels) == pytest.approx(silhouette_score(table, labels))
    assert np.isnan(silhouette(features, np.zeros(60)))


def test_refuses():
    features, labels = clouds()
    with pytest.raises(InputError, match="four or more"):
        tsne(features[:3], seed=0)
    with pytest.raises(InputError, match="one neighbor or more"):
        knn_accuracy(features, labels, k=0)
    features[2, 2] = np.nan
    with pytest.raises(InputError, match="1 of 60 rows"):
        knn_accuracy(features, labels)
