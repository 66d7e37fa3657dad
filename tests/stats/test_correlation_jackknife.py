"""Jackknife of correlations against a plain loop, Fisher's interval, and its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats import correlation_jackknife as module
from histograft.stats.correlation_jackknife import correlation_jackknife

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}
LEVEL = 0.975


def cohort(seed, *, n_units=30, n_groups=20, n_targets=5, ties=False):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n_units, n_targets))
    x = y + rng.normal(size=(2, n_units, n_targets))
    if ties:
        x, y = np.round(x), np.round(y)
    y[rng.random(y.shape) < 0.2] = np.nan
    groups = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, n_units - n_groups)])
    return x, y, groups


def r_of(x, y, method, rows):
    """Correlation of each model and target on some rows, by SciPy, shape (M, G)."""
    result = np.empty((len(x), y.shape[1]))
    for target in range(y.shape[1]):
        known = rows & ~np.isnan(y[:, target])
        for model, layer in enumerate(x):
            result[model, target] = SCIPY[method](layer[known, target], y[known, target])[0]
    return result


def half_width(without, whole, n):
    """The textbook formula, for n groups."""
    variance = (n - 1) / n * sum((value - whole) ** 2 for value in without)
    return stats.t.ppf(LEVEL, n - 1) * np.sqrt(variance)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", SCIPY)
def test_equals_a_plain_loop(monkeypatch, method, ties):
    monkeypatch.setattr(module, "_TARGETS_AT_ONCE", 2)
    x, y, groups = cohort(1, ties=ties)
    found = correlation_jackknife(x, y, groups, method=method, cross_validated=False)
    whole = r_of(x, y, method, np.ones(len(y), bool))
    without = np.stack([r_of(x, y, method, groups != g) for g in range(20)])
    np.testing.assert_allclose(found.r, whole, atol=1e-12)
    for target in range(y.shape[1]):
        n = len(set(groups[~np.isnan(y[:, target])]))
        for model in range(2):
            z = np.arctanh(whole[model, target])
            half = half_width(np.arctanh(without[:, model, target]), z, n)
            ends = np.tanh([z - half, z + half])
            np.testing.assert_allclose(found.interval[:, model, target], ends, atol=1e-11)
        difference = without[:, 0, target] - without[:, 1, target]
        half = half_width(difference, whole[0, target] - whole[1, target], n)
        width = np.ptp(found.difference_interval[:, 0, target])
        assert width == pytest.approx(2 * half, abs=1e-11)
    means = without.mean(axis=2)
    z = np.arctanh(whole[0].mean())
    half = half_width(np.arctanh(means[:, 0]), z, 20)
    np.testing.assert_allclose(found.mean_interval(0), np.tanh([z - half, z + half]), atol=1e-11)
    half = half_width(means[:, 0] - means[:, 1], whole[0].mean() - whole[1].mean(), 20)
    assert np.ptp(found.mean_difference_interval(0, 1)) == pytest.approx(2 * half, abs=1e-11)


def test_close_to_fishers_interval():
    """For normal pairs: tanh(atanh r ± 1.96 / sqrt(n - 3))."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(800, 1))
    x = y + 2 * rng.normal(size=(1, 800, 1))
    found = correlation_jackknife(x, y, np.arange(800), cross_validated=False)
    wanted = np.tanh(np.arctanh(found.r[0, 0]) + np.array([-1, 1]) * 1.96 / np.sqrt(797))
    np.testing.assert_allclose(found.interval[:, 0, 0], wanted, atol=0.01)


def heavy(rng, n, n_targets):
    """Lognormal values with mean 0 and variance 1."""
    return (np.exp(rng.normal(size=(n, n_targets))) - np.e**0.5) / np.sqrt(np.e * (np.e - 1))


@pytest.mark.parametrize("draw", [lambda rng, n, p: rng.normal(size=(n, p)), heavy])
def test_covers_the_true_mean(draw):
    """100 patients, 20 targets, r = 0.3 of each: binomial limits of 300 data sets at 95 %."""
    rng, n_sets, covered = np.random.default_rng(3), 300, 0
    for _ in range(n_sets):
        x = draw(rng, 100, 20)
        y = 0.3 * x + np.sqrt(1 - 0.3**2) * draw(rng, 100, 20)
        found = correlation_jackknife([x], y, np.arange(100), cross_validated=False)
        low, high = found.mean_interval(0)
        assert low < found.mean[0] < high
        covered += low < 0.3 < high
    low, high = stats.binom.ppf([0.001, 0.999], n_sets, 0.95)
    assert low <= covered <= high


def test_clustering_widens_the_interval():
    """Nine copies of each unit: units as groups give a third of the width."""
    rng = np.random.default_rng(2)
    y = np.repeat(rng.normal(size=(60, 1)), 9, axis=0)
    x = np.repeat(rng.normal(size=(1, 60, 1)), 9, axis=1)
    widths = [
        np.ptp(correlation_jackknife(x, y, g).interval)
        for g in (np.repeat(np.arange(60), 9), np.arange(540))
    ]
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.03)


def test_what_rests_on_one_patient_has_no_interval():
    y = np.column_stack([np.eye(20)[:, 0], np.arange(20.0)])
    x = np.random.default_rng(0).normal(size=(1, 20, 2))
    found = correlation_jackknife(x, y, np.arange(20))
    assert np.isnan(found.interval[:, 0, 0]).all()
    assert np.isfinite(found.interval[:, 0, 1]).all()
    assert np.isfinite(found.r).all()
    assert np.isfinite(found.mean_interval(0)).all()
    flat = correlation_jackknife(x, y * 0, np.arange(20))
    assert np.isnan(flat.interval).all()
    assert np.isnan(flat.mean_interval(0)).all()


def test_perfect_and_identical_predictions():
    y = np.random.default_rng(0).normal(size=(12, 3))
    found = correlation_jackknife([y, y], y, np.arange(12))
    np.testing.assert_allclose(found.interval, 1)
    assert (found.difference_interval == 0).all()
    assert found.pairs == ((0, 1),)


@pytest.mark.parametrize("method", SCIPY)
def test_cross_validated_predictions_have_wider_intervals(method):
    x, y, groups = cohort(3)
    narrow, wide = (
        correlation_jackknife(x, y, groups, method=method, cross_validated=c) for c in (False, True)
    )
    z = np.arctanh(narrow.r)
    far = np.tanh(z + np.sqrt(2) * (np.arctanh(narrow.interval) - z))
    np.testing.assert_allclose(wide.interval, far, atol=1e-12)
    far = narrow.difference + np.sqrt(2) * (narrow.difference_interval - narrow.difference)
    np.testing.assert_allclose(wide.difference_interval, far, atol=1e-12)


def test_few_groups_are_warned_about_and_bad_shapes_refused():
    x, y, groups = cohort(3)
    assert "only 20 groups" in correlation_jackknife(x, y, groups).warning
    assert not correlation_jackknife(x, y, np.arange(30)).warning
    for bad in ((x[0], y, groups), (x, y, groups[1:])):
        with pytest.raises(InputError):
            correlation_jackknife(*bad)
