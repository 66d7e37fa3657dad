"""Drawing units: limits hold, nothing else is touched, chance has a seed; sizes are Table 1's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.stats.subsample import draw_per_class, draw_split

UNITS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["train", "val", "test"])), max_size=60
)


@given(
    units=UNITS,
    limits=st.dictionaries(st.sampled_from(["train", "val"]), st.integers(1, 8)),
    seed=st.integers(0, 99),
)
def test_each_class_of_each_split_keeps_the_limit_or_all(units, limits, seed) -> None:
    labels, splits = [u[0] for u in units], [u[1] for u in units]
    kept = draw_per_class(labels, splits, limits, seed=seed)
    for label in "abc":
        for split in ("train", "val", "test"):
            here = np.array([u == (label, split) for u in units], dtype=bool)
            n_all = int(here.sum())
            assert int(kept[here].sum()) == min(n_all, limits.get(split, n_all))


def test_what_is_drawn_of_one_class_does_not_depend_on_the_others() -> None:
    alone = draw_per_class(["a"] * 50, ["train"] * 50, {"train": 9}, seed=3)
    mixed = draw_per_class(["b"] * 7 + ["a"] * 50, ["train"] * 57, {"train": 9, "val": 1}, seed=3)[
        7:
    ]
    np.testing.assert_array_equal(alone, mixed)


def test_every_unit_is_drawn_as_often_as_any_other() -> None:
    draws = np.array(
        [draw_per_class(["a"] * 10, ["train"] * 10, {"train": 3}, seed=s) for s in range(2000)]
    )
    # Binomial(2000, 0.3): the standard deviation of a mean is 0.0102.
    assert np.abs(draws.mean(axis=0) - 0.3).max() < 5 * 0.0102


@pytest.mark.parametrize(
    ("fractions", "sizes"),
    [  # Table 1 of Zhang et al. 2022, doi:10.48550/arXiv.2201.11246
        ((0.4, 0.1, 0.5), (958, 240, 1199)),  # BACH
        ((0.8, 0.1, 0.1), (299, 37, 38)),  # AJ-Lymph
        ((0.8, 0.1, 0.1), (13227, 1653, 1654)),  # OS
        ((0.8, 0.1, 0.1), (14288, 1786, 1787)),  # BCSS
    ],
)
def test_sizes_are_those_of_the_paper(fractions, sizes) -> None:
    names = ("train", "val", "test")
    split = draw_split(sum(sizes), dict(zip(names, fractions, strict=True)), seed=0).tolist()
    assert tuple(split.count(name) for name in names) == sizes


@given(n=st.integers(0, 300), seed=st.integers(0, 50))
def test_every_unit_has_a_split_and_the_seed_decides(n: int, seed: int) -> None:
    fractions = {"train": 0.7, "val": 0.1, "test": 0.2}
    split = draw_split(n, fractions, seed=seed)
    assert set(split.tolist()) <= set(fractions)
    assert len(split) == n
    np.testing.assert_array_equal(split, draw_split(n, fractions, seed=seed))
    if n >= 100:
        assert split.tolist() != draw_split(n, fractions, seed=seed + 1).tolist()
        assert split.tolist() != sorted(split.tolist())  # not one block after the other
