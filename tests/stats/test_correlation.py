"""Correlations of many targets against R, SciPy and one target at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.correlation import correlate, correlate_repeats, correlation_p

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


def column(values):
    return np.array(values, dtype=float)[:, None]


def test_equals_r(molecular):
    for case in molecular["correlations"].values():
        x, y = column(case["predicted"]), column(case["truth"])
        pearson = correlate(x, y)
        found = pearson.r[0], pearson.p_value()[0], pearson.p_value(greater=True)[0]
        wanted = case["pearson"], case["p"], case["greater"]
        assert found == pytest.approx(wanted, rel=1e-10)
        spearman = correlate(x, y, method="spearman")
        found = spearman.r[0], spearman.p_value()[0]
        assert found == pytest.approx((case["spearman"], case["p_spearman"]), rel=1e-10)


@pytest.mark.parametrize("method", SCIPY)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_equals_scipy_target_by_target(method, seed, ties):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 30, 4)), rng.normal(size=(30, 4))
    if ties:
        x, y = np.round(x), np.round(y)
    y[rng.random(y.shape) < 0.3] = np.nan
    found = correlate(x, y, method=method)
    for repeat in range(2):
        for target in range(4):
            known = ~np.isnan(y[:, target])
            wanted = SCIPY[method](x[repeat, known, target], y[known, target])[0]
            assert found.r[repeat, target] == pytest.approx(wanted, abs=1e-12)
            assert found.n_units[target] == known.sum()
    assert (found.reason == "").all()


@given(st.integers(0, 10_000), st.floats(1e-150, 1e150), st.floats(-10, 10))
def test_scale_and_offset_do_not_matter(seed, scale, offset):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(20, 1)), rng.normal(size=(20, 1))
    moved = correlate(scale * (x + offset), y)
    assert moved.r[0] == pytest.approx(correlate(x, y).r[0], abs=1e-11)


def test_undefined_with_its_reason():
    y = np.array([[1, 1, 5, np.nan], [2, 2, 5, np.nan], [3, 3, 5, 1], [4, 4, 5, 2]], dtype=float)
    # A mean of three times 0.1 is not 0.1 exactly, and still no variation.
    x = np.tile(np.arange(4.0)[:, None], (1, 4))
    x[:, 1] = [0.1, (0.1 + 0.1 + 0.1) / 3, 0.1, 0.1]
    for method in SCIPY:
        found = correlate(x, y, method=method)
        np.testing.assert_array_equal(np.isnan(found.r), [False, True, True, True])
        wanted = ["", "the prediction is constant", "the truth is constant", "fewer than 3 units"]
        assert found.reason.tolist() == wanted
        assert np.isnan(found.p_value()[1:]).all()


def test_perfect_correlation_has_p_zero():
    assert correlation_p([1.0, -1.0], 10).tolist() == [0, 0]
    assert correlation_p([1.0, -1.0], 10, greater=True).tolist() == [0, 1]


def test_repeats():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(40, 3))
    x = y + rng.normal(size=(5, 40, 3))
    found = correlate_repeats(x, y)
    each = np.array([[np.corrcoef(x[r, :, g], y[:, g])[0, 1] for g in range(3)] for r in range(5)])
    np.testing.assert_allclose(found.per_repeat.r, each, atol=1e-13)
    np.testing.assert_allclose(found.mean, each.mean(axis=0), atol=1e-13)
    np.testing.assert_allclose(found.sd, each.std(axis=0, ddof=1), atol=1e-13)
    of_mean = [np.corrcoef(x[..., g].mean(axis=0), y[:, g])[0, 1] for g in range(3)]
    np.testing.assert_allclose(found.of_average.r, of_mean, atol=1e-13)
    assert np.isnan(correlate_repeats(x[:1], y).sd).all()


def test_units_left_out_of_all_repeats_do_not_count():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 20, 2)), rng.normal(size=(20, 2))
    gap = x.copy()
    gap[:, :5, 0] = np.nan
    found, wanted = correlate(gap, y), correlate(x[:, 5:], y[5:])
    np.testing.assert_allclose(found.r[:, 0], wanted.r[:, 0], atol=1e-14)
    assert found.n_units.tolist() == [15, 20]


def test_refuses():
    x, y = np.zeros((3, 20, 2)), np.zeros((20, 2))
    partly, infinite = x.copy(), y.copy()
    partly[1, 4, 0], infinite[0, 0] = np.nan, np.inf
    for bad in ((partly, y), (x, infinite), (x[:, :10], y), (x, y[:, 0])):
        with pytest.raises(InputError):
            correlate(*bad)
    with pytest.raises(InputError, match="kendall"):
        correlate(x, y, method="kendall")
    with pytest.raises(InputError):
        correlate_repeats(x[0], y)
