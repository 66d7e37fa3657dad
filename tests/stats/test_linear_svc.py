"""The exact linear SVC against scikit-learn's, and against its own optimality condition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC as Liblinear

from histograft.core.errors import InputError
from histograft.stats import ridge_steps
from histograft.stats.linear_svc import LinearSVC, exact_step


def table(n, p, n_classes, seed=0, distance=1.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    features = rng.normal(size=(n, p)) + distance * rng.normal(size=(n_classes, p))[labels]
    return features, labels


def objective(features, signs, weights, penalty):
    slack = np.maximum(0, 1 - signs * (features @ weights[:-1] + weights[-1]))
    return 0.5 * weights @ weights + penalty * (slack**2).sum()


def gradient(features, signs, weights, penalty):
    extended = np.column_stack([features, np.ones(len(features))])
    slack = np.maximum(0, 1 - signs * (extended @ weights))
    return weights - 2 * penalty * extended.T @ (signs * slack)


def problems(machine, labels):
    weights = np.column_stack([machine.coef_, machine.intercept_])
    classes = machine.classes_[1:] if len(machine.classes_) == 2 else machine.classes_
    for name, row in zip(classes, weights, strict=True):
        yield np.where(labels == name, 1.0, -1.0), row


SHAPES = [(60, 200, 3), (60, 200, 2), (300, 20, 4), (300, 20, 2), (90, 90, 3), (10, 500, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("penalty", [0.01, 1.0])
@pytest.mark.parametrize("distance", [0.1, 1.0])
def test_equals_liblinear(shape, penalty, distance):
    features, labels = table(*shape, distance=distance)
    ours = LinearSVC(C=penalty).fit(features, labels)
    theirs = Liblinear(C=penalty, tol=1e-10, max_iter=10**6, dual=True).fit(features, labels)
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.intercept_.shape == theirs.intercept_.shape
    scale = abs(theirs.coef_).max()
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5 * scale)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-5 * scale)
    np.testing.assert_allclose(
        ours.decision_function(features), theirs.decision_function(features), atol=1e-5
    )
    np.testing.assert_array_equal(ours.predict(features), theirs.predict(features))
    pairs = zip(problems(ours, labels), problems(theirs, labels), strict=True)
    for (signs, mine), (_, other) in pairs:
        reached = objective(features, signs, mine, penalty)
        assert reached <= objective(features, signs, other, penalty) * (1 + 1e-12)


@given(
    st.integers(4, 60), st.integers(1, 80), st.integers(2, 4), st.integers(0, 999),
    st.sampled_from([1e-4, 0.1, 1.0, 100.0]),
)  # fmt: skip
@settings(deadline=None)
def test_gradient_vanishes(n, p, n_classes, seed, penalty):
    features, labels = table(max(n, n_classes), p, n_classes, seed, distance=0.5)
    machine = LinearSVC(C=penalty).fit(features, labels)
    for signs, weights in problems(machine, labels):
        start = np.linalg.norm(gradient(features, signs, np.zeros(p + 1), penalty))
        assert np.linalg.norm(gradient(features, signs, weights, penalty)) <= 1e-9 * start


def test_the_ways_to_solve_agree(monkeypatch):
    features, labels = table(200, 60, 3, distance=0.3)
    usual = LinearSVC().fit(features, labels)
    monkeypatch.setattr(ridge_steps, "_MOST_UNITS_OF_GRAM", 10)
    without_gram = LinearSVC().fit(features, labels)
    np.testing.assert_allclose(without_gram.coef_, usual.coef_, atol=1e-10)
    np.testing.assert_allclose(without_gram.intercept_, usual.intercept_, atol=1e-10)


def test_constant_columns_get_no_weight_where_they_are_zero():
    features, labels = table(50, 10, 2)
    features[:, 3] = 0
    assert LinearSVC().fit(features, labels).coef_[0, 3] == 0


def test_constant_column_shares_the_intercept():
    """A column of ones is the same feature as the intercept."""
    features, labels = table(50, 10, 3)
    features[:, 3] = 1
    machine = LinearSVC().fit(features, labels)
    np.testing.assert_allclose(machine.coef_[:, 3], machine.intercept_, atol=1e-10)


def test_duplicated_rows_count_as_a_larger_penalty():
    features, labels = table(40, 100, 3)
    doubled = LinearSVC(C=0.1).fit(np.tile(features, (2, 1)), np.tile(labels, 2))
    np.testing.assert_allclose(doubled.coef_, LinearSVC(C=0.2).fit(features, labels).coef_, 1e-6)


def test_units_on_the_margin():
    """Scaled so that slacks become exactly 0 in the solution's neighborhood."""
    features = np.array([[-1.0], [1.0], [-1.0], [1.0], [-3.0], [3.0]])
    labels = np.array([0, 1, 0, 1, 0, 1])
    # By symmetry the intercept is 0: min w²/2 + 4 max(0, 1 - w)² is at w = 8/9.
    machine = LinearSVC().fit(features, labels)
    assert machine.coef_[0, 0] == pytest.approx(8 / 9, rel=1e-12)
    assert machine.intercept_[0] == pytest.approx(0, abs=1e-12)


def test_single_precision_and_text_labels():
    features, labels = table(60, 20, 3)
    names = np.array(["ADI", "STR", "TUM"])
    machine = LinearSVC().fit(features.astype(np.float32), names[labels])
    assert machine.coef_.dtype == np.float64
    assert set(machine.predict(features)) <= set(names)


@pytest.mark.parametrize(
    ("features", "labels", "options", "message"),
    [
        ([[1.0], [2.0]], [0, 0], {}, "two classes"),
        ([[1.0], [np.nan]], [0, 1], {}, "NaN"),
        ([[1.0], [2.0]], [0, 1], {"C": 0}, "C is 0"),
        ([[1.0], [2.0]], [0], {}, "one label a unit"),
    ],
)
def test_refuses(features, labels, options, message):
    with pytest.raises(InputError, match=message):
        LinearSVC(**options).fit(features, labels)


@given(st.integers(1, 30), st.integers(0, 9999))
@settings(deadline=None)
def test_exact_step_is_a_minimum(n, seed):
    rng = np.random.default_rng(seed)
    slack, change = rng.normal(size=n).round(1), rng.normal(size=n).round(1)
    norm2, penalty = float(rng.random() + 0.1), 0.7
    # A descent direction: the derivative at 0 is negative.
    slope = 2 * penalty * change @ np.maximum(0, slack)
    inner = float(-slope - rng.random() - 0.01)

    def value(t):
        loss = (np.maximum(0, slack + t * change) ** 2).sum()
        return inner * t + 0.5 * norm2 * t * t + penalty * loss

    t = exact_step(inner, norm2, slack, change, penalty)
    assert t > 0
    for other in (0, t * 0.9, t * 1.1, t - 1e-4, t + 1e-4, 10 * t):
        assert value(t) <= value(other) + 1e-12 * (1 + abs(value(other)))


def test_a_start_changes_the_way_but_not_the_end():
    features, labels = table(300, 120, 4, distance=0.3)
    whole = LinearSVC().fit(features, labels)
    part = np.arange(300) % 5 > 0
    cold = LinearSVC().fit(features[part], labels[part])
    warm = LinearSVC().fit(features[part], labels[part], start=whole)
    assert warm.n_iter_ < cold.n_iter_
    np.testing.assert_allclose(warm.coef_, cold.coef_, rtol=1e-9, atol=1e-12)
    assert LinearSVC().fit(features, labels, start=whole).n_iter_ == 1


def test_a_start_of_another_problem_is_left_alone():
    features, labels = table(60, 20, 3)
    other = LinearSVC().fit(features[:, :5], labels)
    fewer = LinearSVC().fit(features[labels < 2], labels[labels < 2])
    cold = LinearSVC().fit(features, labels)
    for start in (other, fewer):
        machine = LinearSVC().fit(features, labels, start=start)
        np.testing.assert_array_equal(machine.coef_, cold.coef_)
