"""Metrics: hand-computed cases, scikit-learn as oracle, and a contract for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as oracle

from histograft.core.errors import InputError
from histograft.stats.metrics import METRICS, confusion, evaluate, metric_names

MATRICES = st.integers(2, 5).flatmap(
    lambda k: hnp.arrays(np.int64, (k, k), elements=st.integers(0, 30))
)


def units_of(matrix):
    truth, called = np.indices(matrix.shape)
    return np.repeat(truth.ravel(), matrix.ravel()), np.repeat(called.ravel(), matrix.ravel())


def check_metric(metric, matrix):
    """What every metric of the registry must do."""
    value = metric.function(matrix)
    n_classes = len(matrix)
    assert value.dtype == np.float64
    assert value.shape == ((n_classes,) if metric.per_class else ())
    low, high = metric.range
    known = value[~np.isnan(value)]
    assert ((known >= low - 1e-12) & (known <= high + 1e-12)).all()
    # Leading axes are kept and do not mix.
    stacked = np.stack([matrix, matrix.T, matrix])[:, None]
    np.testing.assert_array_equal(metric.function(stacked)[0, 0], value)
    np.testing.assert_array_equal(metric.function(stacked)[1, 0], metric.function(matrix.T))
    # The names of classes do not matter.
    order = np.roll(np.arange(n_classes), 1)
    renamed = metric.function(matrix[np.ix_(order, order)])
    np.testing.assert_allclose(renamed, value[order] if metric.per_class else value, atol=1e-12)
    # A class without units and predictions changes nothing.
    padded = metric.function(np.pad(matrix, (0, 1)))
    if metric.per_class:
        assert np.isnan(padded[-1])
        padded = padded[:-1]
    np.testing.assert_allclose(padded, value, atol=1e-12)
    # Proportional matrices have equal metrics; a perfect one has the largest value.
    np.testing.assert_allclose(metric.function(3 * matrix), value, atol=1e-12)
    perfect = metric.function(np.diag(np.arange(1, n_classes + 1)))
    np.testing.assert_allclose(perfect, high, atol=1e-12)
    assert np.isnan(metric.function(np.zeros_like(matrix))).all()


@pytest.mark.parametrize("name", METRICS)
@given(matrix=MATRICES)
def test_contract(name, matrix):
    assert METRICS[name].name == name
    check_metric(METRICS[name], matrix)


@given(MATRICES)
def test_scikit_learn_agrees(matrix):
    assume((matrix.sum(axis=1) > 0).all())
    truth, called = units_of(matrix)
    k = len(matrix)
    found = evaluate(matrix, [str(i) for i in range(k)])
    np.testing.assert_array_equal(confusion(truth, called, k), matrix)
    common = {"labels": list(range(k)), "zero_division": 0}
    expected = {
        "accuracy": oracle.accuracy_score(truth, called),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, called),
        "kappa": oracle.cohen_kappa_score(truth, called),
        "mcc": oracle.matthews_corrcoef(truth, called),
        "macro_precision": oracle.precision_score(truth, called, average="macro", **common),
        "macro_f1": oracle.f1_score(truth, called, average="macro", **common),
        "weighted_f1": oracle.f1_score(truth, called, average="weighted", **common),
    }
    for name in ("recall", "precision", "f1"):
        values = getattr(oracle, f"{name}_score")(truth, called, average=None, **common)
        expected |= {f"{name}:{i}": v for i, v in enumerate(values)}
    assert set(expected) == set(found)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-10), name


def test_by_hand():
    # 4 of A: 3 found; 2 of B: 1 found, 1 called A; none of C, once called.
    found = evaluate(np.array([[3, 0, 1], [1, 1, 0], [0, 0, 0]]), list("ABC"))
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert found["macro_precision"] == pytest.approx((3 / 4 + 1) / 2)
    assert found["f1:B"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert found["weighted_f1"] == pytest.approx((4 * 3 / 4 + 2 * 2 / 3) / 6)
    assert found["kappa"] == pytest.approx((4 / 6 - 18 / 36) / (1 - 18 / 36))
    assert all(np.isnan(found[f"{m}:C"]) for m in ("recall", "precision", "f1"))


def test_never_predicted_class():
    found = evaluate(np.array([[5, 0], [3, 0]]), list("AB"))
    assert (found["precision:B"], found["f1:B"], found["recall:B"]) == (0, 0, 0)
    assert (found["kappa"], found["mcc"]) == (0, 0)


def test_one_class_only():
    found = evaluate(np.array([[5, 0], [0, 0]]), list("AB"))
    assert np.isnan(found["kappa"])
    assert found["accuracy"] == found["balanced_accuracy"] == 1


def test_names():
    assert list(evaluate(np.eye(2), ["STR", "TUM"])) == metric_names(["STR", "TUM"])


def test_confusion_skips_left_out_units():
    assert confusion([0, -1, 1, 1], [0, 1, -1, 0], 2).tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize(("truth", "called"), [([0, 2], [0, 0]), ([0, 1], [0, -2])])
def test_confusion_refuses_unknown_classes(truth, called):
    with pytest.raises(InputError, match="outside 0 … 1"):
        confusion(truth, called, 2)


def test_evaluate_refuses_other_shapes():
    with pytest.raises(InputError, match="3 classes"):
        evaluate(np.eye(2), list("ABC"))
