"""Bootstrap of correlations against a plain loop, and what an interval must do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats import correlation_bootstrap as module
from histograft.stats import correlation_draws
from histograft.stats.bootstrap import draw_groups
from histograft.stats.correlation_bootstrap import correlation_bootstrap

SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


def cohort(seed, *, n_units=40, n_groups=25, n_targets=5, ties=False):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n_units, n_targets))
    x = y + rng.normal(size=(2, n_units, n_targets))
    if ties:
        x, y = np.round(x), np.round(y)
    y[rng.random(y.shape) < 0.2] = np.nan
    groups = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, n_units - n_groups)])
    return x, y, groups


def plain_loop(x, y, groups, method, weights):
    """Build each draw unit by unit."""
    result = np.empty((len(x), len(weights), y.shape[1]))
    for d, weight in enumerate(weights):
        rows = np.repeat(np.arange(len(y)), weight[groups])
        for target in range(y.shape[1]):
            known = rows[~np.isnan(y[rows, target])]
            for model in range(len(x)):
                pair = x[model, known, target], y[known, target]
                result[model, d, target] = SCIPY[method](*pair)[0]
    return result


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", SCIPY)
def test_equals_a_plain_loop(monkeypatch, method, ties):
    for place in (module, correlation_draws):
        monkeypatch.setattr(place, "DRAWS_AT_ONCE", 70)
    monkeypatch.setattr(module, "_TARGETS_AT_ONCE", 2)
    x, y, groups = cohort(1, ties=ties)
    found = correlation_bootstrap(
        x,
        y,
        groups,
        method=method,
        n_draws=150,
        cross_validated=False,
        rng=np.random.default_rng(5),
    )
    weights = draw_groups(25, 150, np.random.default_rng(5))
    draws = plain_loop(x, y, groups, method, weights)
    ends = np.quantile(draws, [0.025, 0.975], axis=1)
    np.testing.assert_allclose(found.interval, ends, atol=1e-11)
    difference = np.quantile(draws[0] - draws[1], [0.025, 0.975], axis=0)
    np.testing.assert_allclose(found.difference_interval[:, 0], difference, atol=1e-11)
    np.testing.assert_allclose(found.mean_draws, draws.mean(axis=2), atol=1e-11)
    once = plain_loop(x, y, groups, method, np.ones((1, 25), dtype=int))[:, 0]
    np.testing.assert_allclose(found.r, once, atol=1e-12)
    np.testing.assert_allclose(found.difference[0], once[0] - once[1], atol=1e-12)
    of_means = draws.mean(axis=2)
    wanted = np.quantile(of_means[0] - of_means[1], [0.025, 0.975])
    np.testing.assert_allclose(found.mean_difference_interval(0, 1), wanted, atol=1e-11)


def test_close_to_fishers_interval():
    """For normal pairs: tanh(atanh r ± 1.96 / sqrt(n - 3))."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(800, 1))
    x = y + 2 * rng.normal(size=(1, 800, 1))
    found = correlation_bootstrap(
        x, y, np.arange(800), n_draws=4000, cross_validated=False, rng=rng
    )
    wanted = np.tanh(np.arctanh(found.r[0, 0]) + np.array([-1, 1]) * 1.96 / np.sqrt(797))
    np.testing.assert_allclose(found.interval[:, 0, 0], wanted, atol=0.015)


def test_clustering_widens_the_interval():
    """Nine copies of each unit: units as groups give a third of the width."""
    rng = np.random.default_rng(2)
    y = np.repeat(rng.normal(size=(60, 1)), 9, axis=0)
    x = np.repeat(rng.normal(size=(1, 60, 1)), 9, axis=1)
    widths = [
        np.ptp(correlation_bootstrap(x, y, g, n_draws=3000, rng=rng).interval)
        for g in (np.repeat(np.arange(60), 9), np.arange(540))
    ]
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("method", SCIPY)
def test_draws_without_variation_are_counted(method):
    """One of 20 patients differs: a draw misses it with chance (19/20)²⁰ = 0.358."""
    y = np.eye(20)[:, :1]
    x = np.arange(20.0)[None, :, None]
    found = correlation_bootstrap(
        x, y, np.arange(20), method=method, n_draws=4000, rng=np.random.default_rng(0)
    )
    assert found.undefined[0, 0] / 4000 == pytest.approx(0.95**20, abs=0.03)
    assert np.isfinite(found.interval).all()
    assert np.isnan(found.mean_draws).sum() == found.undefined[0, 0]
    assert np.isfinite(found.mean_interval(0)).all()
    flat = correlation_bootstrap(x, y * 0, np.arange(20), n_draws=9, rng=np.random.default_rng(0))
    assert np.isnan(flat.interval).all()
    assert np.isnan(flat.r).all()


def test_identical_models_do_not_differ():
    x, y, groups = cohort(3)
    found = correlation_bootstrap(x[[0, 0]], y, groups, n_draws=50, rng=np.random.default_rng(0))
    assert (found.difference_interval == 0).all()
    assert found.pairs == ((0, 1),)


def test_cross_validated_predictions_have_wider_intervals():
    x, y, groups = cohort(3)
    narrow, wide = (
        correlation_bootstrap(
            x, y, groups, n_draws=200, cross_validated=c, rng=np.random.default_rng(0)
        )
        for c in (False, True)
    )
    far = narrow.r + np.sqrt(2) * (narrow.interval - narrow.r)
    np.testing.assert_allclose(wide.interval, np.clip(far, -1, 1), atol=1e-14)
    far = narrow.difference + np.sqrt(2) * (narrow.difference_interval - narrow.difference)
    np.testing.assert_allclose(wide.difference_interval, far, atol=1e-14)
    mean = narrow.r[0].mean()
    far = mean + np.sqrt(2) * (np.array(narrow.mean_interval(0)) - mean)
    np.testing.assert_allclose(wide.mean_interval(0), far, atol=1e-14)


def test_few_groups_are_warned_about():
    x, y, groups = cohort(3)
    rng = np.random.default_rng(0)
    assert "only 25 groups" in correlation_bootstrap(x, y, groups, n_draws=9, rng=rng).warning
    assert not correlation_bootstrap(x, y, np.arange(40), n_draws=9, rng=rng).warning


def test_refuses():
    x, y, groups = cohort(3)
    rng = np.random.default_rng(0)
    for bad in ((x[0], y, groups), (x, y, groups[1:])):
        with pytest.raises(InputError):
            correlation_bootstrap(*bad, n_draws=3, rng=rng)
    with pytest.raises(InputError):
        correlation_bootstrap(x, y, groups, n_draws=0, rng=rng)
