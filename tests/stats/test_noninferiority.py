"""Tests of non-inferiority: against SciPy where the bootstrap has a normal limit, and by hand."""

import numpy as np
import pytest
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.bootstrap import BootstrapDraws
from histograft.stats.noninferiority import coarsest_scale, least_units, noninferiority, over_scales
from histograft.stats.rd_bootstrap import rd_bootstrap


def drawn(differences, value=0.0):
    draws = np.stack([0.8 + np.asarray(differences), np.full(len(differences), 0.8)])
    values = np.array([[0.8 + value], [0.8]])
    return BootstrapDraws(("accuracy",), values, draws[:, None], 40, 400, {})


def test_the_p_value_counts_draws_on_and_below_the_margin():
    draws = drawn([-0.05, -0.02, -0.01, 0.0, 0.03])
    assert noninferiority(draws, 0, 1, "accuracy", margin=0.02).p_value == pytest.approx(3 / 6)
    assert noninferiority(draws, 0, 1, "accuracy", margin=0.021).p_value == pytest.approx(2 / 6)
    assert noninferiority(draws, 1, 0, "accuracy", margin=0.02).p_value == pytest.approx(2 / 6)


def test_the_claim_and_the_interval_agree():
    rng = np.random.default_rng(0)
    for center in np.linspace(-0.03, 0.03, 13):
        result = noninferiority(
            drawn(rng.normal(center, 0.01, 9999)), 0, 1, "accuracy", margin=0.02
        )
        if abs(result.ci_low + 0.02) > 1e-4:
            assert result.holds == (result.ci_low > -0.02)


def test_p_is_that_of_a_paired_z_test_over_many_patients():
    """One piece a patient: the difference of accuracies is a mean of independent -1, 0 and 1."""
    rng = np.random.default_rng(3)
    n = 800
    truth = np.arange(n) % 2
    right = rng.random((2, n)) < 0.8
    p = np.where(right, np.eye(2)[truth].T[0], np.eye(2)[truth].T[1])
    probabilities = np.stack([p, 1 - p], axis=-1)[:, None]
    draws = rd_bootstrap(truth, probabilities, np.arange(n), n_draws=6_000, rng=rng)
    result = noninferiority(draws, 1, 0, "accuracy_top1", margin=0.07)
    d = right[1].astype(float) - right[0]
    z = (d.mean() + 0.07) / (d.std() / np.sqrt(n))
    assert result.difference == pytest.approx(d.mean())
    assert 0.01 < result.p_value < 0.5
    assert result.p_value == pytest.approx(stats.norm.sf(z), rel=0.1)


def test_a_model_is_not_inferior_to_itself():
    assert noninferiority(drawn(np.zeros(999)), 0, 1, "accuracy", margin=0.1).holds


def test_what_few_pieces_cannot_show_is_not_claimed():
    """Without one loss among n, a loss of the margin is refuted as the binomial test says."""
    for n, holds in ((least_units(0.02) - 1, False), (least_units(0.02), True)):
        values = np.full((2, 1), 2 / 3)
        draws = BootstrapDraws(("accuracy",), values, np.full((2, 1, 9999), 2 / 3), n, 400, {})
        result = noninferiority(draws, 0, 1, "accuracy", margin=0.02)
        exact = stats.binomtest(0, n, 0.02, alternative="less").pvalue
        assert result.p_value == pytest.approx(exact)
        assert result.holds == holds
    # with differences between groups, pieces count: 18 of them are too few whatever the draws
    spread = np.stack([np.full((1, 9999), 0.9), np.tile([0.8, 0.85, 0.8], 3333)[None]])
    draws = BootstrapDraws(("accuracy",), np.array([[0.9], [0.8]]), spread, 6, 18, {})
    result = noninferiority(draws, 0, 1, "accuracy", margin=0.02)
    assert result.p_value == pytest.approx(0.98**18)


def test_few_draws_prove_nothing():
    assert not noninferiority(drawn([0.1] * 20), 0, 1, "accuracy", margin=0.02).holds


def test_undefined_draws_are_left_out():
    result = noninferiority(drawn([np.nan, 0.0, np.nan]), 0, 1, "accuracy", margin=0.02)
    assert result.p_value == pytest.approx(1 / 2)
    nothing = noninferiority(drawn([np.nan]), 0, 1, "accuracy", margin=0.02)
    assert np.isnan(nothing.p_value)
    assert not nothing.holds


def test_scales_are_tested_together_and_from_the_finest_on():
    good = drawn(np.r_[np.zeros(1985), np.full(14, -0.1)])  # p = 15 / 2000
    fair = drawn(np.r_[np.zeros(1961), np.full(38, -0.1)])  # p = 39 / 2000
    bad = drawn(np.r_[np.zeros(999), np.full(1000, -0.1)])
    results = [noninferiority(d, 0, 1, "accuracy", margin=0.02) for d in (good, fair, bad)]
    together = over_scales(results)
    assert [r.p_holm for r in together] == pytest.approx([45 / 2000, 78 / 2000, 0.5005])
    assert [r.holds for r in results] == [True, True, False]
    assert [r.holds for r in together] == [True, False, False]
    assert coarsest_scale([2, 4, 8], together) == 2
    assert coarsest_scale([8, 4, 2], together) is None


def test_margins_and_metrics_that_cannot_be():
    for margin in (0, -0.02, float("nan")):
        with pytest.raises(InputError, match="margin"):
            noninferiority(drawn([0.0]), 0, 1, "accuracy", margin=margin)
    with pytest.raises(InputError, match="no metric 'f1'"):
        noninferiority(drawn([0.0]), 0, 1, "f1", margin=0.1)
