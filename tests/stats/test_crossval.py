"""Predictions of unseen units, and the probes that make them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC as Liblinear

from histograft.core.errors import InputError
from histograft.stats.crossval import predict_external, predict_repeat
from histograft.stats.folds import plan_folds
from histograft.stats.probes import make_probe


def blobs(n=90, n_classes=3, n_features=12, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centers = 1.2 * rng.normal(size=(n_classes, n_features))
    scale = 10.0 ** rng.uniform(-2, 2, n_features)
    return (centers[labels] + rng.normal(size=(n, n_features))) * scale, labels


@pytest.mark.parametrize("n_classes", [2, 3])
def test_equals_scikit_learn(n_classes):
    features, labels = blobs(n_classes=n_classes)
    folds = plan_folds(labels, n_repeats=1, seed=0).folds[0]
    predicted, score = predict_repeat(features, labels, folds, lambda: make_probe("svc"))
    oracle = make_pipeline(StandardScaler(), Liblinear(tol=1e-10, max_iter=10**6, dual=True))
    split = PredefinedSplit(folds)
    np.testing.assert_array_equal(predicted, cross_val_predict(oracle, features, labels, cv=split))
    values = cross_val_predict(oracle, features, labels, cv=split, method="decision_function")
    best = abs(values) if n_classes == 2 else values.max(axis=1)
    np.testing.assert_allclose(score, best, atol=1e-5)


class Spy:
    """Remembers the rows that it is fitted on."""

    seen: list = []  # noqa: RUF012 - shared on purpose

    def fit(self, features, labels):
        Spy.seen.append(set(features[:, 0].astype(int)))
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, features):
        assert not Spy.seen[-1] & set(features[:, 0].astype(int))
        return np.zeros((len(features), len(self.classes_)))


def test_no_unit_is_trained_and_tested_on_at_once():
    Spy.seen = []
    features = np.arange(30.0)[:, None]
    labels = np.arange(30) % 3
    folds = plan_folds(labels, n_repeats=1, n_folds=3, seed=0).folds[0].copy()
    folds[:4] = -1
    predicted, score = predict_repeat(features, labels, folds, Spy)
    assert len(Spy.seen) == 3
    assert all(not seen & {0, 1, 2, 3} for seen in Spy.seen)
    assert (predicted[:4] == -1).all()
    assert np.isnan(score[:4]).all()
    assert (predicted[4:] >= 0).all()
    assert (predicted.dtype, score.dtype) == (np.int16, np.float64)


def test_the_scaler_sees_training_units_only():
    features, labels = blobs()
    shifted = features.copy()
    folds = np.arange(90) % 5
    shifted[folds == 0] += 1e6
    for kind in ("svc", "logistic", "knn"):
        plain = predict_repeat(features, labels, folds, lambda k=kind: make_probe(k))
        # What happens to fold 0 must not touch machines that were fitted on other folds.
        first = predict_external(
            shifted[folds != 0], labels[folds != 0], features[folds == 0],
            lambda k=kind: make_probe(k),
        )  # fmt: skip
        np.testing.assert_array_equal(first[0], plain[0][folds == 0])
        np.testing.assert_allclose(first[1], plain[1][folds == 0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["svc", "logistic", "knn"])
def test_scale_of_a_feature_does_not_matter(kind):
    features, labels = blobs()
    folds = np.arange(90) % 5
    plain = predict_repeat(features, labels, folds, lambda: make_probe(kind))
    scaled = predict_repeat(features * 1000 + 5, labels, folds, lambda: make_probe(kind))
    np.testing.assert_array_equal(plain[0], scaled[0])
    assert (plain[0] == labels).mean() > 0.8


def test_labels_need_not_be_consecutive():
    features, labels = blobs(n_classes=2)
    folds = np.arange(90) % 5
    predicted, _ = predict_repeat(features, labels * 7 + 2, folds, lambda: make_probe("svc"))
    assert set(predicted) == {2, 9}


def test_external_in_single_precision():
    features, labels = blobs()
    features = features.astype(np.float32)
    predicted, score = predict_external(features, labels, features, lambda: make_probe("svc"))
    assert (predicted == labels).mean() > 0.9
    assert score.dtype == np.float64


def test_refuses():
    features, labels = blobs()
    folds = np.arange(90) % 5
    broken = features.copy()
    broken[3, 2], broken[5, 1], broken[5, 2] = np.nan, np.inf, -np.inf
    with pytest.raises(InputError, match="2 of 90 rows"):
        predict_repeat(broken, labels, folds, make_probe)
    left_out = np.where(np.isin(np.arange(90), [3, 5]), -1, folds)
    predicted, _ = predict_repeat(broken, labels, left_out, make_probe)
    assert (predicted[[3, 5]] == -1).all()
    with pytest.raises(InputError, match="test features"):
        predict_external(features, labels, broken, make_probe)
    with pytest.raises(InputError, match="11 to test on"):
        predict_external(features, labels, features[:, :11], make_probe)
    with pytest.raises(InputError, match="one of each a unit"):
        predict_repeat(features, labels[1:], folds, make_probe)
    with pytest.raises(InputError, match="no probe"):
        make_probe("forest")
