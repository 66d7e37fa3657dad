"""Tests of non-inferiority: against SciPy where the bootstrap has a normal limit, and by hand."""

import numpy as np
import pytest
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.bootstrap import BootstrapDraws
from histograft.stats.crossed import mean_metric
from histograft.stats.noninferiority import (
    coarsest_scale,
    effective_units,
    least_units,
    noninferiority,
    noninferiority_of_trainings,
    over_scales,
)
from histograft.stats.rd_bootstrap import rd_bootstrap


def drawn(differences, value=None):
    """Draws of two models, of patients so many that a t test is a z test."""
    value = np.nanmean(differences) if value is None else value
    draws = np.stack([0.8 + np.asarray(differences), np.full(len(differences), 0.8)])
    values = np.array([[0.8 + value], [0.8]])
    return BootstrapDraws(("accuracy",), values, draws[:, None], 10**6, 10**6, {})


def test_the_p_value_counts_draws_on_and_below_the_margin():
    draws = drawn([-0.05, -0.02, -0.01, 0.0, 0.03], value=0.0)
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
        draws = BootstrapDraws(("accuracy",), values, np.full((2, 1, 9999), 2 / 3), 90, 400, {})
        result = noninferiority(draws, 0, 1, "accuracy", margin=0.02, n_independent=n)
        exact = stats.binomtest(0, n, 0.02, alternative="less").pvalue
        assert result.p_value == pytest.approx(exact)
        assert result.holds == holds
        assert noninferiority(draws, 0, 1, "accuracy", margin=0.02).p_value < 0.001  # of 400
    together = least_units(0.02, 8)
    for n, enough in ((together, True), (together - 1, False)):
        exact = stats.binomtest(0, n, 0.02, alternative="less").pvalue
        assert (exact <= 0.025 / 8) == enough


def test_few_patients_are_held_back_by_their_degrees_of_freedom():
    """Percentiles of draws of four patients end at the patients; a t test knows three freedoms."""
    rng = np.random.default_rng(0)
    differences = np.array([0.0, 0.01, -0.01, 0.02])
    drawn_means = differences[rng.integers(0, 4, (9999, 4))].mean(1)
    draws = BootstrapDraws(
        ("accuracy",),
        np.array([[0.805], [0.8]]),
        np.stack([0.8 + drawn_means, np.full(9999, 0.8)])[:, None],
        4,
        4000,
        {},
    )
    result = noninferiority(draws, 0, 1, "accuracy", margin=0.02)
    expected = stats.ttest_1samp(differences, -0.02, alternative="greater").pvalue
    assert result.ci_low > -0.02
    assert result.p_value == pytest.approx(expected, rel=0.1)
    draws = BootstrapDraws(("accuracy",), draws.values, draws.draws, 1, 4000, {})
    assert noninferiority(draws, 0, 1, "accuracy", margin=0.02).p_value == 1


def test_a_student_that_differs_nowhere_is_not_judged_worse_than_one_that_does():
    """What is independent does not depend on the student: 30 patients of 10 pieces each."""
    rng = np.random.default_rng(1)
    groups, truth = np.repeat(np.arange(30), 10), np.tile(np.arange(2), 150)
    right = rng.random((3, 300)) < 0.8
    right[1] = right[0]
    right[2] = right[0]
    right[2, ~right[0]] |= rng.random((~right[0]).sum()) < 0.1  # better on a few
    p = np.where(right, np.eye(2)[truth].T[0], np.eye(2)[truth].T[1])
    draws = rd_bootstrap(truth, np.stack([p, 1 - p], -1)[:, None], groups, n_draws=2000, rng=rng)
    n = effective_units(right[0], groups)
    same, better = (
        noninferiority(draws, m, 0, "accuracy_top1", margin=0.02, n_independent=n) for m in (1, 2)
    )
    assert same.p_value == pytest.approx(0.98**n)
    assert same.p_value <= better.p_value + 1e-12


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_effective_units_follow_the_design_effect(alike):
    """Kish: 1 + (m - 1) times the correlation within groups of m, over many groups."""
    rng = np.random.default_rng(2)
    n_groups, m = 3000, 8
    of_group = rng.random((n_groups, 1)) < 0.7
    of_piece = rng.random((n_groups, m)) < 0.7
    shared = rng.random((n_groups, m)) < np.sqrt(alike)
    right = np.where(shared, of_group, of_piece).astype(float).ravel()
    expected = n_groups * m / (1 + (m - 1) * alike)
    found = effective_units(right, np.repeat(np.arange(n_groups), m))
    assert found == pytest.approx(expected, rel=0.08)


def test_few_draws_prove_nothing():
    assert not noninferiority(drawn([0.1] * 20), 0, 1, "accuracy", margin=0.02).holds


def test_undefined_draws_are_left_out():
    result = noninferiority(drawn([np.nan, 0.0, np.nan]), 0, 1, "accuracy", margin=0.02)
    assert result.p_value == pytest.approx(1 / 2)
    nothing = noninferiority(drawn([np.nan], value=0.0), 0, 1, "accuracy", margin=0.02)
    assert np.isnan(nothing.p_value)
    assert not nothing.holds


def test_scales_are_tested_together_and_from_the_finest_on():
    # so far ahead that it is the draws that decide
    good = drawn(np.r_[np.zeros(1985), np.full(14, -0.1)], value=0.1)  # p = 15 / 2000
    fair = drawn(np.r_[np.zeros(1961), np.full(38, -0.1)], value=0.1)  # p = 39 / 2000
    bad = drawn(np.r_[np.zeros(999), np.full(1000, -0.1)], value=0.1)
    results = [noninferiority(d, 0, 1, "accuracy", margin=0.02) for d in (good, fair, bad)]
    together = over_scales(results)
    assert [r.p_holm for r in together] == pytest.approx([45 / 2000, 78 / 2000, 0.5005])
    assert [r.holds for r in results] == [True, True, False]
    assert [r.holds for r in together] == [True, False, False]
    assert coarsest_scale([2, 4, 8], together) == 2
    assert coarsest_scale([8, 4, 2], together) is None


def trainings(rng, n_seeds, loss, of_seed, n=400):
    """Students that lose so much on average and scatter from seed to seed, and their teachers."""
    groups = np.arange(n)
    hard = 0.1 * rng.normal(size=n)
    teacher = 0.8 + hard + 0.1 * rng.normal(size=(n_seeds, n))
    student = teacher - loss + of_seed * rng.normal(size=(n_seeds, 1))
    student += 0.2 * rng.normal(size=(n_seeds, n))
    return mean_metric(student, groups), mean_metric(teacher, groups)


@pytest.mark.parametrize(("n_seeds", "of_seed"), [(3, 0.03), (5, 0.03), (3, 0.0)])
def test_a_loss_of_the_margin_is_seldom_refuted_whatever_the_seeds(n_seeds, of_seed):
    """The claim is wrong where the mean over all possible seeds loses the margin."""
    rng, n_draws = np.random.default_rng(5), 800
    claims = sum(
        noninferiority_of_trainings(
            *trainings(rng, n_seeds, 0.02, of_seed), "accuracy", margin=0.02, n_independent=400
        ).holds
        for _ in range(n_draws)
    )
    assert claims <= stats.binom.ppf(0.999, n_draws, 0.025)


def test_no_loss_is_found_to_be_none_with_seeds_enough():
    rng = np.random.default_rng(6)
    found = [trainings(rng, 6, 0.0, 0.01) for _ in range(50)]
    held = [
        noninferiority_of_trainings(*f, "a", margin=0.03, n_independent=400).holds for f in found
    ]
    assert np.mean(held) > 0.9


def test_single_pieces_and_one_seed_give_the_paired_t_test():
    rng = np.random.default_rng(7)
    a, b = rng.normal(0.0, 1, size=(2, 2, 30))
    a[1], b[1] = a[0], b[0]  # a second seed that is equal adds nothing
    both = (mean_metric(x, np.arange(30)) for x in (a, b))
    result = noninferiority_of_trainings(*both, "a", margin=0.3, n_independent=10_000)
    expected = stats.ttest_1samp(a[0] - b[0], -0.3, alternative="greater").pvalue
    assert result.p_value == pytest.approx(expected)


def test_trainings_without_any_scatter():
    def same(loss):
        table = np.tile([[1.0, 0.0, 1.0, 1.0]], (3, 1))
        return [mean_metric(t, np.arange(4)) for t in (table - loss, table)]

    few = noninferiority_of_trainings(*same(0.0), "a", margin=0.02, n_independent=4)
    assert few.p_value == pytest.approx(0.98**4)  # four pieces prove nothing
    assert noninferiority_of_trainings(*same(0.0), "a", margin=0.02, n_independent=200).holds
    assert (
        noninferiority_of_trainings(*same(0.05), "a", margin=0.02, n_independent=200).p_value == 1
    )
    assert (
        noninferiority_of_trainings(*same(0.02), "a", margin=0.02, n_independent=200).p_value >= 0.5
    )


def test_margins_and_metrics_that_cannot_be():
    for margin in (0, -0.02, float("nan")):
        with pytest.raises(InputError, match="margin"):
            noninferiority(drawn([0.0]), 0, 1, "accuracy", margin=margin)
        one = trainings(np.random.default_rng(0), 1, 0.0, 0.0)
        with pytest.raises(InputError, match="margin"):
            noninferiority_of_trainings(*one, "accuracy", margin=margin, n_independent=9)
    assert np.isnan(noninferiority_of_trainings(*one, "a", margin=0.1, n_independent=9).p_value)
    with pytest.raises(InputError, match="no metric 'f1'"):
        noninferiority(drawn([0.0]), 0, 1, "f1", margin=0.1)
