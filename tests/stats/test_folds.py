"""Folds and splits: what cross-validation promises, for any cohort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.stats.folds import join_groups, plan_folds, split_groups


@st.composite
def cohorts(draw):
    """Single-class or mixed groups of very different sizes."""
    n_classes, n_groups = draw(st.integers(2, 4)), draw(st.integers(10, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    groups = np.repeat(np.arange(n_groups), rng.integers(1, 9, n_groups))
    labels = rng.integers(0, n_classes, n_groups)[groups]
    if draw(st.booleans()):
        mixed = rng.random(len(labels)) < 0.2
        labels[mixed] = rng.integers(0, n_classes, mixed.sum())
    return labels, groups


@given(cohorts(), st.integers(2, 5), st.integers(0, 99))
@settings(deadline=None)
def test_grouped_folds(cohort, n_folds, seed):
    labels, groups = cohort
    n_groups = [len(np.unique(groups[labels == label])) for label in np.unique(labels)]
    if sum(n >= n_folds for n in n_groups) < 2:
        with pytest.raises(InputError, match="fewer than two classes"):
            plan_folds(labels, groups, n_folds=n_folds, n_repeats=3, seed=seed)
        return
    plan = plan_folds(labels, groups, n_folds=n_folds, n_repeats=3, seed=seed)
    kept = ~np.isin(labels.astype(str), list(plan.left_out))
    for name in plan.left_out:
        n = len(np.unique(groups[labels.astype(str) == name]))
        assert n < n_folds
        assert plan.left_out[name].startswith(f"{n} group")
    assert plan.folds.dtype == np.int16
    assert plan.grouped
    for folds in plan.folds:
        assert (folds[~kept] == -1).all()
        assert set(folds[kept]) <= set(range(n_folds))
        for group in np.unique(groups):
            assert len(set(folds[kept & (groups == group)])) <= 1
        for label in np.unique(labels[kept]):
            # In at least two folds, so in each training set.
            assert len(set(folds[kept & (labels == label)])) >= 2


@given(st.integers(2, 10), st.integers(0, 99), st.integers(0, 30))
@settings(deadline=None)
def test_ungrouped_folds(n_folds, seed, extra):
    labels = np.array(["a"] * n_folds + ["b"] * (n_folds + extra) + ["c"] * (n_folds - 1))
    plan = plan_folds(labels, n_folds=n_folds, n_repeats=3, seed=seed)
    assert list(plan.left_out) == ["c"]
    for folds in plan.folds:
        for label in "ab":
            counts = np.bincount(folds[labels == label], minlength=n_folds)
            assert np.ptp(counts) <= 1
        assert np.ptp(np.bincount(folds[folds >= 0])) <= 1


def test_seeds():
    labels, groups = np.arange(60) % 3, np.arange(60) // 3
    for arguments in ((labels,), (labels, groups)):
        plan = plan_folds(*arguments, n_repeats=10, seed=4)
        again = plan_folds(*arguments, n_repeats=10, seed=4)
        np.testing.assert_array_equal(plan.folds, again.folds)
        shorter = plan_folds(*arguments, n_repeats=4, seed=4)
        np.testing.assert_array_equal(plan.folds[:4], shorter.folds)
        assert len(np.unique(plan.folds, axis=0)) == 10
        assert (plan.folds != plan_folds(*arguments, n_repeats=10, seed=5).folds).any()


def test_repeats_differ_where_no_two_groups_are_alike():
    sizes = np.arange(1, 13)
    groups = np.repeat(np.arange(12), sizes)
    labels = groups % 2
    plan = plan_folds(labels, groups, n_folds=3, n_repeats=20, seed=0)
    # As partitions, whatever the folds are called.
    partitions = {
        frozenset(frozenset(groups[folds == f].tolist()) for f in range(3)) for folds in plan.folds
    }
    assert len(partitions) >= 15


def test_grouped_folds_are_stratified():
    rng = np.random.default_rng(0)
    labels_of_group = rng.integers(0, 3, 300)
    groups = np.repeat(np.arange(300), rng.integers(3, 20, 300))
    labels = labels_of_group[groups]
    plan = plan_folds(labels, groups, n_folds=5, n_repeats=5, seed=0)
    for folds in plan.folds:
        for label in range(3):
            share = np.bincount(folds[labels == label]) / (labels == label).sum()
            assert abs(share - 0.2).max() < 0.03


def test_class_with_few_groups_is_named():
    labels = ["a"] * 10 + ["b"] * 10 + ["c"] * 50
    groups = [*range(10), *range(10, 20), *(20 + i % 3 for i in range(50))]
    plan = plan_folds(labels, groups, n_repeats=2, seed=0)
    assert plan.left_out == {"c": "3 groups for 5 folds"}
    assert (plan.folds[:, 20:] == -1).all()


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a"] * 9, {}, "only one class"),
        (["a"] * 9 + ["b"], {}, "b: 1 unit for 5 folds"),
        (["a", "b"] * 9, {"n_folds": 1}, "no cross-validation"),
        (["a", "b"] * 9, {"n_repeats": 0}, "no cross-validation"),
        (["a", "b"] * 9, {"groups": [1, 2]}, "2 groups"),
        ([], {}, "fewer than two classes"),
    ],
)
def test_refuses(labels, options, message):
    with pytest.raises(InputError, match=message):
        plan_folds(labels, **options, seed=0)


def test_refuses_what_cannot_be_dealt():
    """Three groups, each pair sharing a class: two folds would have to part all three."""
    labels, groups = ["a", "a", "b", "b", "c", "c"], [1, 2, 2, 3, 3, 1]
    with pytest.raises(InputError, match="each class is in each training set"):
        plan_folds(labels, groups, n_folds=2, n_repeats=2, seed=0)


FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


@given(cohorts(), st.integers(0, 99), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_split_groups(cohort, seed, random):
    labels, groups = cohort
    split = split_groups(labels, groups, fractions=FRACTIONS, seed=seed)
    assert set(split) <= set(FRACTIONS)
    for group in np.unique(groups):
        assert len(set(split[groups == group])) == 1
    order = list(range(len(labels)))
    random.shuffle(order)
    shuffled = split_groups(labels[order], groups[order], fractions=FRACTIONS, seed=seed)
    np.testing.assert_array_equal(shuffled, split[order])


@given(st.lists(st.integers(3, 12), min_size=1, max_size=5), st.integers(0, 99))
@settings(deadline=None)
def test_each_class_is_in_each_split(n_groups, seed):
    labels_of_group = np.repeat(np.arange(len(n_groups)), n_groups)
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(labels_of_group)), rng.integers(1, 30, len(labels_of_group)))
    labels = labels_of_group[groups]
    split = split_groups(labels, groups, fractions=FRACTIONS, seed=seed)
    for label in np.unique(labels):
        assert set(split[labels == label]) == set(FRACTIONS)


def test_split_fractions():
    labels = np.repeat(["a", "b"], [6000, 600])
    split = split_groups(labels, np.arange(6600), fractions=FRACTIONS, seed=0)
    for label in ("a", "b"):
        for name, fraction in FRACTIONS.items():
            share = (split[labels == label] == name).mean()
            assert share == pytest.approx(fraction, abs=0.005)


def test_split_of_fraction_zero_stays_empty():
    fractions = {"train": 0.8, "val": 0.0, "test": 0.2}
    split = split_groups(["a", "b"] * 20, np.arange(40), fractions=fractions, seed=0)
    assert set(split) == {"train", "test"}


@pytest.mark.parametrize("fractions", [{"train": 0.5}, {"train": 1.2, "test": -0.2}, {}])
def test_split_refuses_fractions(fractions):
    with pytest.raises(InputError, match="sum to 1"):
        split_groups(["a"], ["g"], fractions=fractions, seed=0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 12)), max_size=40))
def test_joined_groups_are_the_components(units):
    """Equal group or equal image is one part, by following links one at a time."""
    groups = [f"g{g}" for g, _ in units]
    images = [f"i{i}" for _, i in units]
    joined = join_groups(groups, images).tolist()
    for start in range(len(units)):
        reached, waiting = set(), [start]
        while waiting:
            unit = waiting.pop()
            if unit not in reached:
                reached.add(unit)
                waiting += [
                    other
                    for other in range(len(units))
                    if groups[other] == groups[unit] or images[other] == images[unit]
                ]
        assert {n for n, name in enumerate(joined) if name == joined[start]} == reached
        assert joined[start] == min(groups[unit] for unit in reached)
