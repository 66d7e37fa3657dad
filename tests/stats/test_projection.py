"""Maps and the numbers beside them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from histograft.core.errors import InputError
from histograft.stats import projection
from histograft.stats.projection import (
    PAPER,
    TsneSettings,
    knn_accuracy,
    knn_test_accuracy,
    silhouette,
    tsne,
)


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


def test_the_settings_of_the_paper():
    """Zhang et al. 2022 ran scikit-learn 0.24, whose defaults these were, on features as such."""
    features, _ = clouds(n=100)
    expected = TSNE(
        n_components=2, perplexity=30.0, early_exaggeration=12.0, learning_rate=200.0,
        max_iter=1000, init="random", metric="euclidean", random_state=10,
    ).fit_transform(features)  # fmt: skip
    found = tsne(features, seed=10, settings=PAPER)
    np.testing.assert_array_equal(found.coordinates, expected)
    told = {"perplexity": 30, "learning_rate": 200, "initialization": "random", "iterations": 1000}
    assert told.items() <= found.settings.items()


def test_the_default_starts_at_principal_components():
    features, _ = clouds(n=100)
    reduced = PCA(6).fit_transform(StandardScaler().fit_transform(features))
    expected = TSNE(2, init="pca", learning_rate="auto", random_state=3).fit_transform(reduced)
    np.testing.assert_allclose(tsne(features, seed=3).coordinates, expected, rtol=1e-5, atol=1e-3)
    short = tsne(features, seed=3, settings=TsneSettings(iterations=250))
    assert not np.allclose(short.coordinates, expected, atol=1)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("cells", [1 << 23, 100])
def test_knn_from_training_to_test_equals_scikit_learn(monkeypatch, k, cells):
    monkeypatch.setattr(projection, "_BLOCK_CELLS", cells)
    features, labels = clouds(n=90, distance=1.0)
    train, test = slice(0, 50), slice(50, 90)
    names = np.where(labels == 0, "gland", "other")  # two classes, odd k: no ties
    scaler = StandardScaler().fit(features[train])
    machine = KNeighborsClassifier(k).fit(scaler.transform(features[train]), names[train])
    expected = machine.score(scaler.transform(features[test]), names[test])
    found = knn_test_accuracy(features[train], names[train], features[test], names[test], k)
    assert found == pytest.approx(expected)
    assert 0.5 < found < 1


def test_a_class_without_training_units_is_wrong():
    train, test = np.array([[0.0], [1.0]]), np.array([[0.1], [0.9]])
    assert knn_test_accuracy(train, ["a", "b"], test, ["a", "c"], k=1) == 0.5


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
    with pytest.raises(InputError, match=r"\(60, 6\) and \(60, 5\)"):
        knn_test_accuracy(features, labels, features[:, :5], labels)
    features[2, 2] = np.nan
    with pytest.raises(InputError, match="1 of 60 rows"):
        knn_accuracy(features, labels)
