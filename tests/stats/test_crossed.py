"""Crossed trials and groups: coverage under the model, hand-computed cases, limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from histograft.core.errors import InputError
from histograft.stats.crossed import (
    crossed_difference,
    crossed_mean,
    crossed_paired_difference,
    macro_average_precision,
    mean_metric,
)


def draw(rng, n_trials, n_groups, spread):
    """One data set of the crossed model: value + group + trial + interaction, normal."""
    of_group, of_trial, of_both = spread
    return (
        of_group * rng.normal(size=n_groups)
        + of_trial * rng.normal(size=(n_trials, 1))
        + of_both * rng.normal(size=(n_trials, n_groups))
    )


@pytest.mark.parametrize("spread", [(1, 0, 0.5), (0.3, 0.2, 1), (1, 0.05, 1), (0, 0, 1)])
def test_the_difference_is_covered_as_often_as_stated(spread):
    rng, n_draws, n_groups = np.random.default_rng(0), 600, 40
    groups, covered = np.arange(n_groups), 0
    shared = spread[0] * rng.normal(size=(n_draws, n_groups))
    for base in shared:
        a, b = (
            mean_metric(base + draw(rng, 3, n_groups, (0.2, *spread[1:])), groups) for _ in range(2)
        )
        found = crossed_difference(a, b)
        covered += found.low <= 0 <= found.high
    # No shorter than stated; 3 trials leave few degrees of freedom, so it may be longer.
    assert 0.93 <= covered / n_draws <= 0.995


@pytest.mark.parametrize(("n_trials", "of_trial"), [(2, 0.2), (3, 0.1), (3, 0.3), (5, 0.2)])
def test_paired_trials_are_covered_however_much_they_scatter(n_trials, of_trial):
    rng, n_draws, n_groups = np.random.default_rng(4), 500, 80
    groups, covered = np.arange(n_groups), 0
    for _ in range(n_draws):
        a, b = (
            mean_metric(draw(rng, n_trials, n_groups, (0.4, of_trial, 1)), groups) for _ in range(2)
        )
        found = crossed_paired_difference(a, b)
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / n_draws <= 0.995


def test_paired_trials_are_a_two_way_analysis_of_their_differences():
    rng = np.random.default_rng(2)
    shared = 0.1 * rng.normal(size=(4, 1))  # chance of a seed, which both share
    a = shared + draw(rng, 4, 9, (0.03, 0.03, 0.02)) + 0.02
    b = shared + draw(rng, 4, 9, (0.03, 0, 0.02))
    groups = np.arange(9)
    found = crossed_paired_difference(mean_metric(a, groups), mean_metric(b, groups))
    alone = crossed_mean(mean_metric(a - b, groups))
    assert found.value == pytest.approx(alone.value)
    over_seeds = stats.ttest_1samp((a - b).mean(1), 0).confidence_interval()
    half = stats.t.ppf(0.975, alone.df) * alone.se
    assert found.high - found.value == pytest.approx(max(half, over_seeds.high - alone.value))
    free = crossed_difference(mean_metric(a, groups), mean_metric(b, groups))
    assert found.se < free.se  # what seeds share has gone
    with pytest.raises(InputError, match="4 trials are paired with 3"):
        crossed_paired_difference(mean_metric(a, groups), mean_metric(b[:3], groups))


def test_one_trial_of_single_units_is_the_paired_t_test():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.1, 1, size=(2, 30))
    found = crossed_difference(mean_metric(a, np.arange(30)), mean_metric(b, np.arange(30)))
    expected = stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(), rel=1e-9)


def test_trials_alone_give_their_standard_error():
    # Units of a trial are all alike, so that groups add nothing.
    values = np.array([0.2, 0.4, 0.9])
    found = crossed_mean(mean_metric(np.repeat(values[:, None], 8, axis=1), np.arange(8)))
    assert found.se == pytest.approx(values.std(ddof=1) / np.sqrt(3))
    assert found.sd == pytest.approx(values.std(ddof=1))
    assert found.df == pytest.approx(2)


def test_the_error_is_that_of_a_two_way_analysis_of_variance():
    """(MS of groups + MS of trials - MS of both) / (R G), all random, one unit a group."""
    n_trials, n_groups = 4, 9
    table = draw(np.random.default_rng(3), n_trials, n_groups, (1, 2, 0.7))
    of_trial = table.mean(1, keepdims=True) - table.mean()
    of_group = table.mean(0, keepdims=True) - table.mean()
    rest = table - table.mean() - of_trial - of_group
    trials = n_groups * (of_trial**2).sum() / (n_trials - 1)
    groups = n_trials * (of_group**2).sum() / (n_groups - 1)
    both = (rest**2).sum() / ((n_trials - 1) * (n_groups - 1))
    assert trials > both  # else the error of trials would be cut off at 0
    found = crossed_mean(mean_metric(table, np.arange(n_groups)))
    assert found.se**2 == pytest.approx((groups + trials - both) / (n_trials * n_groups))


def test_a_difference_ends_where_no_larger_one_is_possible():
    """Two seeds that differ from each other by much give t intervals of several hundred percent."""
    tables = np.repeat([[0.0, 1.0], [0.5, 0.5]], 8, axis=1).reshape(2, 2, 8)
    for compare in (crossed_difference, crossed_paired_difference):
        found = compare(*(mean_metric(table, np.arange(8)) for table in tables))
        assert (found.value, found.low, found.high) == (0, -1, 1)


def test_groups_count_rather_than_units():
    right = np.array([[1, 1, 0, 0, 1, 0]])
    single = crossed_mean(mean_metric(right, np.arange(6)))
    tenfold = crossed_mean(mean_metric(np.repeat(right, 10, axis=1), np.repeat(np.arange(6), 10)))
    assert tenfold.se == pytest.approx(single.se)


def test_a_perfect_score_keeps_an_interval():
    found = crossed_mean(mean_metric(np.ones((3, 36)), np.arange(36)))
    # Wilson's interval of 36 of 36, by hand: 1 / (1 + 1.96^2 / 36).
    assert found.low == pytest.approx(1 / (1 + 3.841458821 / 36))
    assert found.high == pytest.approx(1)


def test_equal_networks_do_not_differ():
    metric = mean_metric([[1, 0, 1], [1, 0, 1]], [0, 1, 2])
    assert crossed_difference(metric, metric).p_value == 1.0


def test_average_precision_is_that_of_scikit_learn_without_each_group():
    rng = np.random.default_rng(2)
    truth, groups = rng.random((24, 3)) < 0.4, np.arange(24) // 3
    scores = rng.normal(size=(2, 24, 3)) + truth
    metric = macro_average_precision(scores, truth, groups)
    for trial in range(2):
        assert metric.values[trial] == pytest.approx(
            np.mean([average_precision_score(truth[:, k], scores[trial, :, k]) for k in range(3)])
        )
        kept = groups != 5
        assert metric.left_out[trial, 5] == pytest.approx(
            np.mean(
                [average_precision_score(truth[kept, k], scores[trial, kept, k]) for k in range(3)]
            )
        )


def test_one_group_is_refused():
    with pytest.raises(InputError, match="one group"):
        mean_metric([[1, 0]], [0, 0])
