"""Folds of sites: whole, large enough, and each tested once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.stats.folds import FoldPlan
from histograft.stats.site_folds import plan_site_folds


@given(st.lists(st.integers(1, 30), min_size=1, max_size=15), st.integers(1, 20))
def test_sites_are_whole_and_folds_large_enough(sizes, least):
    sites = np.repeat([f"s{i:02d}" for i in range(len(sizes))], sizes)
    sites = np.random.default_rng(0).permutation(sites)
    try:
        found = plan_site_folds(sites, least_units=least)
    except InputError:
        assert sum(sizes) < 3 * least or sum(sizes) - max(sizes) < least
        return
    assert isinstance(found.plan, FoldPlan)
    folds = found.plan.folds[0]
    assert (found.plan.n_folds, found.plan.n_repeats) == (len(found.sites), 1)
    assert np.bincount(folds, minlength=found.plan.n_folds).min() >= least
    for fold, members in enumerate(found.sites):
        assert set(sites[folds == fold]) == set(members)
    assert sorted(sum(found.sites, ())) == sorted(set(sites))
    # Large sites stay alone, but for one that may take what remains.
    large = {f"s{i:02d}" for i, n in enumerate(sizes) if n >= least}
    mixed = [m for m in found.sites if len(m) > 1 and large & set(m)]
    assert len(mixed) <= 1
    assert all(len(large & set(m)) <= 1 for m in found.sites)


def test_two_large_sites_are_two_folds():
    found = plan_site_folds(["b"] * 10 + ["a"] * 20, least_units=10)
    assert found.sites == (("a",), ("b",))
    assert found.plan.folds.tolist() == [[1] * 10 + [0] * 20]
    assert (found.plan.grouped, found.plan.left_out) == (True, {})


def test_order_of_units_does_not_matter():
    sites = np.array(["a"] * 3 + ["b"] * 3 + ["c"] * 2 + ["d"])
    order = np.random.default_rng(0).permutation(9)
    there, moved = (plan_site_folds(s, least_units=3) for s in (sites, sites[order]))
    np.testing.assert_array_equal(there.plan.folds[0, order], moved.plan.folds[0])


def test_a_class_of_one_fold_is_refused():
    sites = ["a"] * 5 + ["b"] * 5
    plan_site_folds(sites, [0, 1] * 5, least_units=5)
    with pytest.raises(InputError, match="class 1"):
        plan_site_folds(sites, [0] * 5 + [0, 0, 0, 1, 1], least_units=5)


@pytest.mark.parametrize("sites", [["a"] * 9, ["a"] * 9 + ["b"], [], ["a"] * 9 + [None],
                                   ["a"] * 9 + [float("nan")], ["a"] * 9 + [" "]])  # fmt: skip
def test_refuses(sites):
    with pytest.raises(InputError):
        plan_site_folds(sites, least_units=5)


def test_labels_and_sites_go_together():
    with pytest.raises(InputError):
        plan_site_folds(["a"] * 5 + ["b"] * 5, [0, 1], least_units=5)


@pytest.mark.real
def test_tcga_luad(shared_data):
    """Each of the 453 patients is tested once, at a site that no machine has seen."""
    patients = (shared_data / "data/molecular/luad_sequenced.txt").read_text().split()
    sites = [p.split("-")[1] for p in patients]
    found = plan_site_folds(sites, least_units=20)
    assert len(patients) == 453
    assert np.bincount(found.plan.folds[0]).min() >= 20
    assert sum(map(len, found.sites)) == len(set(sites))
