"""Counting machines that found nothing, against a plain loop and the lasso."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from histograft.core.errors import InputError
from histograft.stats.null_models import null_models


@given(st.integers(0, 10_000))
def test_equals_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    folds = rng.integers(-1, 4, (3, 20))
    levels = rng.integers(1, 3, (3, 5, 2))
    values = np.empty((3, 20, 2))
    null, unknown, repeats, machines = np.zeros(2), np.zeros(2), np.zeros(2), 0
    for r in range(3):
        for g in range(2):
            values[r, :, g] = rng.integers(0, levels[r, folds[r], g]) + 0.1
            kinds = [
                "unknown" if len(part) < 2 else "null" if len(set(part)) == 1 else "model"
                for part in (values[r, folds[r] == k, g] for k in range(4) if (folds[r] == k).any())
            ]
            null[g] += kinds.count("null")
            unknown[g] += kinds.count("unknown")
            repeats[g] += "null" in kinds and "model" not in kinds
        machines += len(kinds)
    found = null_models(values, folds)
    assert found.n_machines == machines
    np.testing.assert_array_equal(found.n_null, null)
    np.testing.assert_array_equal(found.n_unknown, unknown)
    np.testing.assert_array_equal(found.n_null_repeats, repeats)
    one = null_models(values[..., 0], folds)
    assert (one.n_null, one.n_null_repeats) == (null[0], repeats[0])


def test_a_lasso_without_a_feature():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.normal(size=40)
    y += 3 * X[:, 0] * (np.arange(40) % 4 == 0)
    folds = np.arange(40) % 4
    predicted, empty = np.empty(40), 0
    for k in range(4):
        machine = Lasso(alpha=0.55).fit(X[folds != k], y[folds != k])
        predicted[folds == k] = machine.predict(X[folds == k])
        empty += not machine.coef_.any()
    assert 0 < empty < 4
    assert null_models([predicted], [folds]).n_null == empty


def test_units_that_were_not_predicted():
    values = np.array([[0.5, np.nan, 0.5, np.nan, np.nan, 0.1]])
    found = null_models(values, [[0, 0, 0, 1, 1, -1]])
    assert (found.n_machines, found.n_null, found.n_unknown, found.n_null_repeats) == (2, 1, 1, 1)


def test_refuses():
    for bad in (([0.5], [0]), (np.zeros((2, 5)), np.zeros((2, 4))), (np.zeros((2, 5, 1, 1)),
                np.zeros((2, 5)))):  # fmt: skip
        with pytest.raises(InputError):
            null_models(*bad)
