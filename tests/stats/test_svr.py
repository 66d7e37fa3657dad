"""RSVR against e1071, and many targets at once against RSVR and scikit-learn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import parametrize_with_checks

from histograft.core.errors import InputError
from histograft.stats.svr import RSVR, ConstantColumnsWarning, svr_predict_many

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    # training units, test units, features, seed, options, constant columns
    "plain": (60, 15, 30, 11, {}, []),
    "wide": (50, 10, 120, 12, {}, []),
    "options": (60, 15, 10, 13, {"C": 10, "epsilon": 0.05, "gamma": 0.02}, []),
    "long": (40, 10, 3, 14, {"C": 30, "epsilon": 0.2}, []),
    "constant_r": (40, 10, 6, 15, {"constant_columns": "r"}, [1, 4]),
    "constant_drop": (40, 10, 6, 15, {}, [1, 4]),
}


def bell(n, state):
    """The numbers of make_svr.R."""
    uniform = np.empty(3 * n)
    for i in range(3 * n):
        state = (16807 * state) % 2147483647
        uniform[i] = state / 2147483647
    return ((uniform[::3] + uniform[1::3]) + uniform[2::3]) - 1.5


def table(n, p, seed, constant):
    numbers = bell(n * p + n, seed)
    X = numbers[: n * p].reshape(n, p)
    for k in range(p):
        X[:, k] = X[:, k] * (k + 1) + 3 * (k + 1)
    y = 20 * ((X[:, 0] / 1 + X[:, 1] / 2) + numbers[n * p :]) + 5
    X[:, constant] = 0.1
    return X, y


def check_against_r(golden):
    assert golden.keys() == CASES.keys()
    for name, (n, m, p, seed, options, constant) in CASES.items():
        X, y = table(n + m, p, seed, constant)
        machine = RSVR(**options)
        if name == "constant_r":
            with pytest.warns(ConstantColumnsWarning, match="1 and 4 constant. Cannot scale"):
                machine.fit(X[:n], y[:n])
            with pytest.warns(ConstantColumnsWarning):
                many = svr_predict_many(X[:n], y[:n, None], X[n:], machine=machine)
        else:
            machine.fit(X[:n], y[:n])
            many = svr_predict_many(X[:n], y[:n, None], X[n:], machine=machine)
        atol = 1e-6 * y[:n].std()
        np.testing.assert_allclose(machine.predict(X[n:]), golden[name], rtol=0, atol=atol)
        np.testing.assert_allclose(many[:, 0], golden[name], rtol=0, atol=atol)


def test_equals_e1071():
    check_against_r(json.loads((GOLDEN / "svr.json").read_text()))


@pytest.mark.r
def test_equals_the_e1071_that_is_installed():
    done = subprocess.run(
        ["Rscript", str(GOLDEN / "make_svr.R")], capture_output=True, text=True, check=False
    )
    if "there is no package called" in done.stderr:
        pytest.skip("needs R's e1071 (Debian: r-cran-e1071)")
    check_against_r(json.loads(done.stdout))


@parametrize_with_checks([RSVR(), RSVR(C=10, constant_columns="r")])
def test_is_an_estimator(estimator, check):
    check(estimator)


def features(n, p, n_targets, seed=0):
    """Correlated, rectified, like those of a network; half of the targets depend on them."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 8))
    X = np.maximum(hidden @ rng.normal(size=(8, p)) + rng.normal(size=(n, p)), 0)
    Y = rng.normal(size=(n, n_targets)) + hidden @ rng.normal(size=(8, n_targets)) / 2
    return X, Y


@pytest.mark.parametrize("shape", [(90, 300), (200, 20), (33, 4), (7, 50), (2, 3)])
@pytest.mark.parametrize("options", [{}, {"C": 0.05}, {"C": 20, "epsilon": 0.01}])
def test_many_targets_as_one_at_a_time(shape, options):
    X, Y = features(shape[0] + 20, shape[1], 12)
    train, test = slice(0, shape[0]), slice(shape[0], None)
    many = svr_predict_many(X[train], Y[train], X[test], machine=RSVR(**options))
    single = [RSVR(**options).fit(X[train], y[train]).predict(X[test]) for y in Y.T]
    np.testing.assert_allclose(many, np.transpose(single), rtol=0, atol=1e-9)


@given(st.integers(3, 60), st.integers(1, 20), st.floats(0.01, 300), st.floats(0, 1.5))
@settings(max_examples=50)
def test_many_targets_agree_to_the_tolerance(n, p, C, epsilon):
    """Also where variables are set aside: the duality gap of both is that of the tolerance."""
    X, Y = features(n, p, 3, seed=n)
    machine = RSVR(C=C, epsilon=epsilon, tol=1e-8)
    single = [machine.fit(X, y).predict(X) for y in Y.T]
    many = svr_predict_many(X, Y, X, machine=machine)
    np.testing.assert_allclose(many, np.transpose(single), rtol=0, atol=1e-5)


def test_scaling_is_that_of_samples():
    X, Y = features(30, 5, 1)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0, ddof=1)
    mean, deviation = Y.mean(), Y.std(ddof=1)
    plain = SVR(gamma=1 / 5, epsilon=0.1).fit(scaled, (Y[:, 0] - mean) / deviation)
    machine = RSVR().fit(X, Y[:, 0])
    np.testing.assert_allclose(machine.predict(X), plain.predict(scaled) * deviation + mean)


def test_units_of_the_target_do_not_matter():
    X, Y = features(40, 6, 2)
    once = svr_predict_many(X, Y, X, machine=RSVR(tol=1e-9))
    other = svr_predict_many(X, Y * 1e6 - 7, X, machine=RSVR(tol=1e-9))
    np.testing.assert_allclose(other, once * 1e6 - 7, rtol=0, atol=1e-6 * 1e6)
    # A power of two changes no digit, so not even the coarse tolerance shows.
    np.testing.assert_array_equal(
        svr_predict_many(X, Y * 1024, X), svr_predict_many(X, Y, X) * 1024
    )


def test_equal_units():
    """Rows that repeat have a curvature of zero between them."""
    X, Y = features(20, 4, 3)
    X, Y = np.tile(X, (3, 1)), np.concatenate([Y, Y + 0.5, Y])
    single = [RSVR().fit(X, y).predict(X) for y in Y.T]
    np.testing.assert_allclose(svr_predict_many(X, Y, X), np.transpose(single), atol=5e-3)


def test_threads_change_nothing():
    X, Y = features(50, 10, 9)
    np.testing.assert_array_equal(svr_predict_many(X, Y, X, n_threads=3), svr_predict_many(X, Y, X))


def test_constant_targets():
    X, Y = features(20, 4, 3)
    Y[:, 1] = 0.1
    with pytest.raises(InputError, match=r"1 of 3 targets .* column 1"):
        svr_predict_many(X, Y, X)
    predicted = svr_predict_many(X, Y, X, constant_targets="nan")
    assert np.isnan(predicted).all(axis=0).tolist() == [False, True, False]
    np.testing.assert_array_equal(predicted[:, ::2], svr_predict_many(X, Y[:, ::2], X))


def test_dropped_columns_may_hold_anything_later():
    X, Y = features(20, 4, 1)
    X[:, 2] = 0.1
    machine = RSVR().fit(X, Y[:, 0])
    assert machine.kept_columns_.tolist() == [True, True, False, True]
    without = RSVR().fit(X[:, [0, 1, 3]], Y[:, 0]).predict(X[:, [0, 1, 3]])
    X[:, 2] = 1e9
    np.testing.assert_allclose(machine.predict(X), without, rtol=0, atol=1e-12)


GOOD = [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        ([[0.0], [np.nan], [1.0]], [1, 2, 3], {}, "NaN"),
        ([[0.0], [np.inf], [1.0]], [1, 2, 3], {}, "infinity"),
        ([[1.0], [1.0], [1.0]], [1, 2, 3], {}, "all 1 feature"),
        (GOOD, [2, 2, 2], {}, "target is constant"),
        (GOOD, [1, 2], {}, "inconsistent numbers of samples"),
        ([[1.0]], [1], {}, "minimum of 2"),
        (GOOD, [1, 2, 3], {"C": 0}, "C is 0"),
        (GOOD, [1, 2, 3], {"epsilon": -1}, "epsilon is -1"),
        (GOOD, [1, 2, 3], {"gamma": np.nan}, "gamma is nan"),
        (GOOD, [1, 2, 3], {"constant_columns": "keep"}, "'keep'"),
    ],
)
def test_refuses(X, y, options, message):
    with pytest.raises(InputError, match=message):
        RSVR(**options).fit(X, y)
    with pytest.raises(InputError, match=message.replace("target is", "targets are")):
        svr_predict_many(X, np.reshape(y, (-1, 1)), X, machine=RSVR(**options))


def test_other_columns_than_fitted():
    machine = RSVR().fit(GOOD, [1, 2, 3])
    with pytest.raises(InputError, match="2 features, but RSVR is expecting 1"):
        machine.predict([[1.0, 2.0]])


def test_compiled_code_is_loaded_only_where_it_is_used():
    code = "import histograft.stats, sys; histograft.stats.RSVR; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_compiles_where_no_cache_can_be_written():
    code = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []
from histograft.stats.compiled import compiled
@compiled()
def twice(x):
    return 2 * x
print(twice(21))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "42"


def test_too_many_steps_are_an_error_with_a_remedy(monkeypatch):
    monkeypatch.setattr("histograft.stats.svr._MOST_STEPS", 1)
    rng = np.random.default_rng(0)
    features, target = rng.normal(size=(30, 4)), rng.normal(size=30)
    with pytest.raises(InputError, match="took over 1 steps") as raised:
        svr_predict_many(features, target[:, None], features)
    assert "smaller cost" in raised.value.fix
