"""The cluster bootstrap against a plain loop, and what pairing and clustering must do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.stats import bootstrap
from histograft.stats.bootstrap import cluster_bootstrap, draw_groups
from histograft.stats.metrics import confusion, evaluate


def cohort(seed, *, n_units=80, n_groups=12, n_models=2, n_repeats=3, n_classes=3, errors=0.3):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, n_groups, n_units)
    truth = rng.integers(0, n_classes, n_units)
    predicted = np.broadcast_to(truth, (n_models, n_repeats, n_units)).copy()
    wrong = rng.random(predicted.shape) < errors
    predicted[wrong] = rng.integers(0, n_classes, wrong.sum())
    return truth, predicted, groups


def plain_loop(truth, predicted, groups, classes, weights):
    """Build each draw unit by unit."""
    names = np.unique(groups)
    result = []
    for weight in weights:
        rows = np.concatenate(
            [np.tile(np.flatnonzero(groups == g), w) for g, w in zip(names, weight, strict=True)]
        ).astype(int)
        models = []
        for model in predicted:
            found = [
                evaluate(confusion(truth[rows], repeat[rows], len(classes)), classes)
                for repeat in model
            ]
            models.append([np.mean([f[name] for f in found]) for name in found[0]])
        result.append(models)
    return np.moveaxis(np.array(result), 0, -1)


@pytest.mark.parametrize("errors", [0.0, 0.002, 0.3, 1.0])
@pytest.mark.parametrize("block_bytes", [1 << 26, 20_000])
def test_equals_a_plain_loop(monkeypatch, errors, block_bytes):
    monkeypatch.setattr(bootstrap, "_BLOCK_BYTES", block_bytes)
    truth, predicted, groups = cohort(1, errors=errors, n_units=400, n_groups=50)
    classes = ["a", "b", "c"]
    found = cluster_bootstrap(
        truth, predicted, groups, classes, n_draws=40, rng=np.random.default_rng(5)
    )
    weights = draw_groups(50, 40, np.random.default_rng(5))
    expected = plain_loop(truth, predicted, groups, classes, weights)
    np.testing.assert_allclose(found.draws, expected, atol=1e-12)
    full = plain_loop(truth, predicted, groups, classes, np.ones((1, 50), dtype=int))
    np.testing.assert_allclose(found.values, full[..., 0], atol=1e-12)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_identical_models_do_not_differ(seed):
    truth, predicted, groups = cohort(seed, n_models=1)
    twice = np.concatenate([predicted, predicted])
    rng = np.random.default_rng(seed)
    found = cluster_bootstrap(truth, twice, groups, list("abc"), n_draws=50, rng=rng)
    for name in found.metrics:
        assert found.difference_interval(0, 1, name) in ((0, 0), pytest.approx((0, 0), nan_ok=True))
        assert found.interval(0, name) == pytest.approx(found.interval(1, name), nan_ok=True)


@given(st.integers(0, 1000), st.permutations(range(3)))
@settings(deadline=None, max_examples=25)
def test_names_of_classes_do_not_matter(seed, order):
    truth, predicted, groups = cohort(seed)
    place = np.argsort(order)
    options = {"n_draws": 30}
    plain = cluster_bootstrap(
        truth, predicted, groups, list("abc"), rng=np.random.default_rng(0), **options
    )
    renamed = cluster_bootstrap(
        place[truth],
        place[predicted],
        groups,
        ["abc"[i] for i in order],
        rng=np.random.default_rng(0),
        **options,
    )
    for i, name in enumerate(plain.metrics):
        j = renamed.metrics.index(name)
        np.testing.assert_allclose(plain.draws[:, i], renamed.draws[:, j], atol=1e-12)


def test_interval_of_accuracy_of_independent_units():
    """With units as groups the interval is that of a binomial share: ± 1.96 sqrt(p q / n)."""
    truth = np.zeros(900, dtype=int)
    predicted = (np.arange(900) < 90).astype(int)[None, None]
    found = cluster_bootstrap(
        truth, predicted, np.arange(900), "ab", rng=np.random.default_rng(0), n_draws=4000
    )
    half = 1.96 * np.sqrt(0.9 * 0.1 / 900)
    assert found.interval(0, "accuracy") == pytest.approx((0.9 - half, 0.9 + half), abs=0.003)


def test_clustering_widens_the_interval():
    """Ten copies of each unit: the interval of groups ignores them, that of units is √10 short."""
    rng = np.random.default_rng(2)
    truth = np.zeros(1000, dtype=int)
    groups = np.repeat(np.arange(100), 10)
    predicted = np.repeat(rng.random(100) < 0.3, 10).astype(int)[None, None]
    widths = [
        np.ptp(
            cluster_bootstrap(
                truth, predicted, unit, "ab", n_draws=3000, rng=np.random.default_rng(3)
            ).interval(0, "accuracy")
        )
        for unit in (groups, np.arange(1000))
    ]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(10), rel=0.1)


def test_pairing():
    """Models that err on the same units differ far less than their own intervals are wide."""
    rng = np.random.default_rng(4)
    truth = np.zeros(500, dtype=int)
    first = (rng.random(500) < 0.3).astype(int)
    second = first.copy()
    second[np.flatnonzero(first)[:5]] = 0
    found = cluster_bootstrap(
        truth, [[first], [second]], np.arange(500), "ab", n_draws=2000, rng=rng
    )
    low, high = found.difference_interval(1, 0, "accuracy")
    assert 0 < low < 0.01 < high < 0.03
    assert np.ptp(found.interval(0, "accuracy")) > 3 * (high - low)


def test_vanishing_class_is_left_out_and_counted():
    truth = np.array([0] * 20 + [1])
    found = cluster_bootstrap(
        truth, truth[None, None], np.arange(21), "ab", n_draws=2000, rng=np.random.default_rng(0)
    )
    share = found.vanished["b"] / 2000
    assert share == pytest.approx((20 / 21) ** 21, abs=0.04)
    assert np.isnan(found.draws[0, found.metrics.index("recall:b")]).sum() == found.vanished["b"]
    assert found.interval(0, "recall:b") == (1, 1)
    assert found.interval(0, "balanced_accuracy") == (1, 1)


@pytest.mark.parametrize(("n_groups", "warns"), [(29, True), (30, False)])
def test_few_groups_are_warned_about(n_groups, warns):
    truth = np.arange(60) % 2
    found = cluster_bootstrap(
        truth, truth[None, None], np.arange(60) % n_groups, "ab", n_draws=5,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert bool(found.warning) == warns
    assert (found.n_groups, found.n_units) == (n_groups, 60)


def test_left_out_units_do_not_count():
    truth, predicted, groups = cohort(3)
    gap = predicted.copy()
    gap[:, :, :20] = -1
    draws = [
        cluster_bootstrap(t, p, g, list("abc"), n_draws=20, rng=np.random.default_rng(0)).draws
        for t, p, g in (
            (truth, gap, groups),
            (truth[20:], predicted[:, :, 20:], groups[20:]),
        )
    ]
    np.testing.assert_array_equal(*draws)


def test_refuses():
    truth, predicted, groups = cohort(3)
    partly = predicted.copy()
    partly[0, 1, 5] = -1
    for bad in (
        (truth, partly, groups),
        (truth, predicted[0], groups),
        (truth, predicted, groups[1:]),
        (truth, np.full_like(predicted, -1), groups),
    ):
        with pytest.raises(InputError):
            cluster_bootstrap(*bad, list("abc"), n_draws=3, rng=np.random.default_rng(0))


def test_draws_are_multinomial():
    weights = draw_groups(20, 5000, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 20).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(weights.var(axis=0), 0.95, atol=0.1)
