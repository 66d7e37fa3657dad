"""Permuted patients: against enumeration and SciPy, and the level of the test."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats import permutation as module
from histograft.stats.permutation import critical_r, permutation_test


def cohort(seed, n=30, targets=4, models=2):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, targets))
    return 0.3 * y + rng.normal(size=(models, n, targets)), y


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_close_to_all_permutations(method):
    """Six patients have 720 orders, of which 20,000 draws see enough."""
    x, y = cohort(1, n=6)
    y[:, 3] = [0, 0, 1, 1, 2, 2]
    found = permutation_test(
        x,
        y,
        method=method,
        cross_validated=False,
        n_permutations=20_000,
        rng=np.random.default_rng(0),
    )
    correlate = stats.pearsonr if method == "pearson" else stats.spearmanr
    for model in range(2):
        for target in range(4):
            null = [correlate(x[model, :, target], y[list(o), target])[0]
                    for o in permutations(range(6))]  # fmt: skip
            assert null[0] == pytest.approx(found.r[model, target])
            wanted = np.mean(np.array(null) >= null[0] - 1e-12)
            assert found.p_value[model, target] == pytest.approx(wanted, abs=0.015)


def test_large_cohorts_come_close_to_students_t():
    x, y = cohort(2, n=200)
    found = permutation_test(
        x, y, cross_validated=False, n_permutations=4000, rng=np.random.default_rng(0)
    )
    wanted = stats.pearsonr(x, y[None], axis=1, alternative="greater").pvalue
    np.testing.assert_allclose(found.p_value, wanted, atol=0.02)


def test_targets_share_their_permutations():
    """Equal targets have equal p, to the last permutation, and no more is claimed of them all."""
    x, y = cohort(3, targets=1)
    same = permutation_test(
        np.repeat(x, 50, axis=2), np.repeat(y, 50, axis=1), n_permutations=300,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert (same.p_value == same.p_value[:, :1]).all()
    np.testing.assert_array_equal(same.p_any, same.p_value)
    assert set(np.unique(same.nominal_null)) == {0, 50}


def test_blocks_of_draws_do_not_matter(monkeypatch):
    x, y = cohort(4)
    y[:5, 1:3] = np.nan
    runs = []
    for size in (1 << 26, 8 * 30 * 7):
        monkeypatch.setattr(module, "_BLOCK_BYTES", size)
        runs.append(permutation_test(x, y, n_permutations=100, rng=np.random.default_rng(0)))
    np.testing.assert_array_equal(runs[0].p_value, runs[1].p_value)
    np.testing.assert_array_equal(runs[0].nominal_null, runs[1].nominal_null)


def test_unknown_patients_are_not_dealt():
    """What is predicted for patients without a truth has no say, nor has their number."""
    x, y = cohort(5)
    y[20:, 0] = np.nan
    far = x.copy()
    far[:, 20:, 0] = 1e6
    first, second = (
        permutation_test(p, y, n_permutations=200, rng=np.random.default_rng(0)) for p in (x, far)
    )
    np.testing.assert_array_equal(first.p_value, second.p_value)


def test_undefined_targets_have_no_p():
    x, y = cohort(6)
    y[:, 1], x[0, :, 2] = 3.0, 1.0
    found = permutation_test(x, y, n_permutations=50, rng=np.random.default_rng(0))
    wanted = [[False, True, True, False], [False, True, False, False]]
    for values in (found.r, found.p_value, found.p_any):
        np.testing.assert_array_equal(np.isnan(values), wanted)
    assert found.nominal_null.max() <= 3


def test_a_difference_between_sites_is_not_a_prediction():
    rng = np.random.default_rng(7)
    site = np.repeat(np.arange(4), 25)
    y = 3 * site[:, None] + rng.normal(size=(100, 1))
    x = 3 * site[None, :, None] + rng.normal(size=(1, 100, 1))
    everywhere = permutation_test(x, y, n_permutations=999, rng=rng)
    inside = permutation_test(x, y, within=site, n_permutations=999, rng=rng)
    assert everywhere.p_value[0, 0] == 0.001
    assert inside.p_value[0, 0] > 0.05
    apart = permutation_test(x, y, within=np.arange(100), n_permutations=99, rng=rng)
    assert apart.p_value[0, 0] == 1


def test_nominal_count():
    x, y = cohort(8, n=50, targets=40)
    found = permutation_test(
        x, y, cross_validated=False, n_permutations=500, rng=np.random.default_rng(0)
    )
    p = stats.pearsonr(x, y[None], axis=1).pvalue
    assert found.n_nominal.tolist() == (p < 0.05).sum(axis=1).tolist()
    # 40 independent targets: two are expected by chance.
    assert found.nominal_null.mean() == pytest.approx(2, abs=0.3)
    assert (found.p_nominal <= 0.01).all()


def test_p_is_uniform_without_signal():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(1, 20, 400)), rng.exponential(size=(20, 400))
    p = permutation_test(x, y, cross_validated=False, n_permutations=999, rng=rng).p_value[0]
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.slow
def test_cross_validated_predictions_need_the_wider_null():
    """Nothing to learn, ridge regression in 5 folds: r spreads almost √2 times as wide."""
    rng = np.random.default_rng(10)
    n, p, targets = 60, 20, 4000
    features, y = rng.normal(size=(n, p)), rng.normal(size=(n, targets))
    predicted = np.empty_like(y)
    for fold in range(5):
        test = np.arange(n) % 5 == fold
        X, mean = features[~test], y[~test].mean(axis=0)
        beta = np.linalg.solve(X.T @ X + np.eye(p), X.T @ (y[~test] - mean))
        predicted[test] = features[test] @ beta + mean
    wide, narrow = (
        permutation_test([predicted], y, cross_validated=c, n_permutations=499, rng=rng)
        for c in (True, False)
    )
    assert wide.r.mean() < 0
    assert 1.2 < wide.r.std() * np.sqrt(n - 1) < 1.5
    for level in (0.05, 0.01):
        assert (narrow.p_value <= level).mean() > 1.4 * level
        assert (wide.p_value <= level).mean() < level
    # What counts as significant by cor.test without any signal is far more than one in twenty.
    assert narrow.n_nominal[0] / targets > 0.1
    assert wide.nominal_null.mean() == pytest.approx(wide.n_nominal[0], rel=0.2)


def test_critical_r():
    for n in (3, 10, 344):
        r = float(critical_r(n, 0.05))
        t = r * np.sqrt((n - 2) / (1 - r**2))
        assert 2 * stats.t.sf(t, n - 2) == pytest.approx(0.05)


def test_refuses():
    x, y = cohort(0)
    rng = np.random.default_rng(0)
    for bad, options in ((x[0], {}), (x, {"within": [1]}), (x, {"n_permutations": 0})):
        with pytest.raises(InputError):
            permutation_test(bad, y, rng=rng, **options)
