"""Tests over genes: swaps against enumeration, R for the rest, and which hold their level."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats import gene_tests
from histograft.stats.gene_tests import (
    gene_sign_test,
    gene_t_test,
    signed_rank,
    swap_test,
)


def cohort(rng, n=80, genes=40, edge=0.0):
    """Genes and errors share three factors; the first extractor's noise is smaller by `edge`."""

    def shared():
        return rng.normal(size=(n, 3)) @ loadings + 0.5 * rng.normal(size=(n, genes))

    loadings = rng.normal(size=(3, genes)) / np.sqrt(3)
    truth = shared()
    return truth + (1.5 - edge) * shared(), truth + 1.5 * shared(), truth


def out_of_fold(features, y, *, ridge):
    predicted = np.empty_like(y)
    for fold in range(5):
        test = np.arange(len(y)) % 5 == fold
        X, mean = features[~test], y[~test].mean(axis=0)
        beta = np.linalg.solve(X.T @ X + ridge * np.eye(X.shape[1]), X.T @ (y[~test] - mean))
        predicted[test] = features[test] @ beta + mean
    return predicted


def correlations(x, y):
    r = np.full(y.shape[1], np.nan)
    for g in range(y.shape[1]):
        known = ~np.isnan(y[:, g])
        r[g] = stats.pearsonr(x[known, g], y[known, g])[0]
    return r


def standardized(x, y):
    z = np.zeros_like(x)
    for g in range(x.shape[1]):
        known = ~np.isnan(y[:, g])
        z[known, g] = stats.zscore(x[known, g])
    return z


def test_equals_all_swaps():
    """Eight patients have 256 swaps, done one by one."""
    rng = np.random.default_rng(0)
    first, second, truth = cohort(rng, n=8, genes=5)
    truth[2, 1] = np.nan
    found = swap_test([first, second], truth, cross_validated=False, n_swaps=40_000, rng=rng)
    difference = correlations(first, truth) - correlations(second, truth)
    assert (found.mean, found.median) == pytest.approx((difference.mean(), np.median(difference)))
    a, b = standardized(first, truth), standardized(second, truth)
    null = []
    for signs in product([False, True], repeat=8):
        swapped = np.array(signs)[:, None]
        d = correlations(np.where(swapped, b, a), truth) - correlations(
            np.where(swapped, a, b), truth
        )
        null.append([d.mean(), np.median(d)])
    wanted = (np.abs(null) >= np.abs(null[0]) - 1e-12).mean(axis=0)
    assert (found.p_mean, found.p_median) == pytest.approx(tuple(wanted), abs=0.015)


def test_correlations_after_each_swap():
    rng = np.random.default_rng(6)
    first, second, truth = cohort(rng, n=12, genes=4)
    truth[2, 1] = np.nan
    swaps = gene_tests._Swaps([first, second], truth, "pearson", 1.0)
    signs = rng.choice([-1.0, 1.0], size=(20, 12))
    a, b = standardized(first, truth), standardized(second, truth)
    for sign, one, two in zip(signs, *swaps.correlations(signs), strict=True):
        kept = sign[:, None] > 0
        np.testing.assert_allclose(one, correlations(np.where(kept, a, b), truth), atol=1e-12)
        np.testing.assert_allclose(two, correlations(np.where(kept, b, a), truth), atol=1e-12)


def test_selection_is_the_union_over_both():
    rng = np.random.default_rng(1)
    first, second, truth = cohort(rng, genes=30)
    first[:, :10], second[:, 5:20] = rng.normal(size=(80, 10)), rng.normal(size=(80, 15))
    found = swap_test([first, second], truth, fdr=0.05, cross_validated=False, n_swaps=99, rng=rng)
    p = [stats.pearsonr(x, truth, axis=0, alternative="greater").pvalue for x in (first, second)]
    wanted = (stats.false_discovery_control(np.concatenate(p)) <= 0.05).reshape(2, -1).any(axis=0)
    np.testing.assert_array_equal(found.selected, wanted)
    assert 10 < wanted.sum() < 30
    difference = correlations(first, truth) - correlations(second, truth)
    assert found.mean == pytest.approx(difference[wanted].mean())


def test_swapped_extractors_give_the_same_p():
    first, second, truth = cohort(np.random.default_rng(2), edge=0.3)
    for method in ("pearson", "spearman"):
        there, back = (
            swap_test(pair, truth, method=method, n_swaps=500, rng=np.random.default_rng(0))
            for pair in ([first, second], [second, first])
        )
        assert (there.p_mean, there.mean) == pytest.approx((back.p_mean, -back.mean))


def test_what_cannot_be_correlated_does_not_count():
    rng = np.random.default_rng(3)
    first, second, truth = cohort(rng, genes=6)
    first[:, 0], truth[:, 1], truth[2:, 2] = 1.0, 5.0, np.nan
    found = swap_test([first, second], truth, n_swaps=50, rng=rng)
    assert found.selected.tolist() == [False] * 3 + [True] * 3
    none = swap_test([first, second], truth * 0, n_swaps=50, rng=rng)
    assert (none.mean, none.p_mean) == (0, 1)
    noise = swap_test(rng.normal(size=(2, 80, 6)), truth, fdr=1e-9, n_swaps=50, rng=rng)
    assert (noise.mean, noise.p_mean, noise.selected.any()) == (0, 1, False)


@pytest.mark.slow
def test_only_swaps_hold_their_level():
    """Equal extractors, correlated genes: what each test at 5 % claims, and what it finds else."""
    rng = np.random.default_rng(4)
    claims = dict.fromkeys(("swap", "median", "union", "sign", "rank", "t"), 0)
    for _ in range(200):
        first, second, truth = cohort(rng)
        both = np.stack([first, second])
        options = {"cross_validated": False, "n_swaps": 199, "rng": rng}
        swaps, union = (swap_test(both, truth, fdr=fdr, **options) for fdr in (None, 0.001))
        one, two = (stats.pearsonr(x, truth, axis=0).statistic for x in both)
        d = one - two
        p = {"swap": swaps.p_mean, "median": swaps.p_median, "union": union.p_mean}
        for name, test in (("sign", gene_sign_test), ("rank", signed_rank), ("t", gene_t_test)):
            p[name] = test(d).p_value
        for name, value in p.items():
            claims[name] += value <= 0.05
    share = {name: count / 200 for name, count in claims.items()}
    # Four standard errors of a share of 0.05 of 200 are 0.062.
    assert max(share["swap"], share["median"], share["union"]) < 0.05 + 0.062
    assert min(share["sign"], share["rank"], share["t"]) > 0.3
    found = []
    for _ in range(50):
        *both, truth = cohort(rng, edge=0.5)
        found.append(swap_test(both, truth, **options).p_mean <= 0.05)
    assert np.mean(found) > 0.8


@pytest.mark.slow
def test_cross_validated_predictions_need_the_wider_null():
    """Two equally good views of the patients, ridge regression in 5 folds."""
    rng = np.random.default_rng(5)
    n, claims = 60, np.zeros(2)
    for _ in range(400):
        hidden, weights = rng.normal(size=(n, 4)), rng.normal(size=(4, 20))
        truth = 0.3 * hidden @ weights + rng.normal(size=(n, 2)) @ rng.normal(size=(2, 20))
        both = np.empty((2, n, 20))
        for view in both:
            view[:] = out_of_fold(hidden + rng.normal(size=hidden.shape), truth, ridge=5)
        for i, cross_validated in enumerate((True, False)):
            found = swap_test(both, truth, cross_validated=cross_validated, n_swaps=199, rng=rng)
            claims[i] += found.p_mean <= 0.05
    assert claims[0] / 400 < 0.05 + 0.044
    assert claims[1] / 400 > 0.05 + 0.044


def test_signed_rank_equals_r(molecular):
    for case in molecular["ranks"].values():
        found = signed_rank(case["differences"])
        assert (found.statistic, found.p_value) == pytest.approx(
            (case["statistic"], case["p"]), rel=1e-9
        )


def test_signed_rank_with_ties_is_exact():
    d = np.array([1, 1, -1, 2, 2, 2, -3, 0.0, np.nan])
    ranks = stats.rankdata(np.abs(d[:7]))
    sums = np.array([ranks[list(s)].sum() for s in map(np.flatnonzero, product([0, 1], repeat=7))])
    w = ranks[d[:7] > 0].sum()
    wanted = 2 * min((sums <= w).mean(), (sums >= w).mean())
    assert signed_rank(d).p_value == pytest.approx(wanted)
    assert signed_rank([0, 0]).p_value == 1


@pytest.mark.parametrize("n", [1, 5, 6, 9])
def test_least_p_of_the_signed_rank_test(n):
    assert signed_rank(np.arange(1, n + 1)).p_value == min(1, 2 / 2**n)


def test_sign_test():
    assert gene_sign_test([1] * 139 + [-1] * 32).p_value == stats.binomtest(139, 171).pvalue
    assert gene_sign_test([0, np.nan]).p_value == 1
    names = [test([0.1, 0.2]).name for test in (gene_sign_test, gene_t_test, signed_rank)]
    assert all("invalid" in name for name in names)
    assert "invalid" not in signed_rank([0.1, 0.2], over="patients").name


def test_refuses():
    rng = np.random.default_rng(0)
    first, second, truth = cohort(rng, n=10, genes=3)
    for bad in ([first], [first[1:], second[1:]], [first, second, first]):
        with pytest.raises(InputError):
            swap_test(bad, truth, rng=rng)
    with pytest.raises(InputError):
        swap_test([first, second], truth, n_swaps=0, rng=rng)
