"""The pointing game by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from histograft.core.errors import InputError
from histograft.stats.pointing import point, pointing_game, pointing_interval

# The object is the left column of 3 x 5 pixels.
MASK = np.zeros((3, 5), bool)
MASK[:, 0] = True


def peak(row, column):
    values = np.full((3, 5), 0.1)
    values[row, column] = 0.9
    return values


@pytest.mark.parametrize(
    ("column", "tolerance", "hit"), [(0, 0, 1), (1, 0, 0), (2, 2, 1), (3, 2, 0)]
)
def test_a_hit_is_within_the_tolerance(column, tolerance, hit):
    assert point(peak(1, column), MASK, tolerance_px=tolerance).hit == hit


def test_the_tolerance_is_a_circle():
    corner = np.zeros((3, 5), bool)
    corner[0, 0] = True
    # The peak is 2 rows and 2 columns off: √8 = 2.83 px, not 2.
    assert point(peak(2, 2), corner, tolerance_px=2.8).hit == 0
    assert point(peak(2, 2), corner, tolerance_px=2.9).hit == 1


def test_energy_and_chance_by_hand():
    result = point(peak(1, 0), MASK, tolerance_px=1)
    assert result.energy == pytest.approx((0.1 + 0.9 + 0.1) / (14 * 0.1 + 0.9))
    assert result.energy_by_chance == pytest.approx(3 / 15)
    assert result.hit_by_chance == pytest.approx(6 / 15)  # the column and its neighbor


def test_equal_peaks_share_the_hit():
    values = peak(1, 0)
    values[2, 4] = 0.9
    assert point(values, MASK, tolerance_px=0).hit == 0.5


def test_an_even_map_is_chance_and_an_empty_one_has_no_energy():
    even = point(np.full((3, 5), 0.4), MASK, tolerance_px=1)
    assert even.hit == even.hit_by_chance == pytest.approx(6 / 15)
    assert even.energy == pytest.approx(even.energy_by_chance)
    assert np.isnan(point(np.zeros((3, 5)), MASK).energy)


@given(seed=st.integers(0, 1000), near=st.floats(0, 4), more=st.floats(0, 4))
def test_more_tolerance_never_loses_a_hit(seed, near, more):
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 7)) < 0.2
    mask[0, 0] = True
    values = rng.random((6, 7))
    small, large = (
        point(values, mask, tolerance_px=near),
        point(values, mask, tolerance_px=near + more),
    )
    assert small.hit <= large.hit
    assert small.hit_by_chance <= large.hit_by_chance
    assert point(values, ~mask).energy == pytest.approx(1 - small.energy)


def test_each_class_counts_alike():
    result = pointing_game([1, 1, 1, 0, 0.5], [0.2, 0.2, 0.2, 0.2, 0.6], list("aaaab"))
    assert result.classes == {"a": (0.75, 4), "b": (0.5, 1)}
    assert result.accuracy == pytest.approx((0.75 + 0.5) / 2)
    assert result.by_chance == pytest.approx((0.2 + 0.6) / 2)


def test_the_interval_is_that_of_scipy():
    rng = np.random.default_rng(0)
    hits = (rng.random(80) < 0.7).astype(float)
    expected = bootstrap((hits,), np.mean, method="percentile", n_resamples=9999, rng=1)
    found = pointing_interval(hits, ["a"] * 80, range(80), rng=rng)
    limits = expected.confidence_interval
    assert found == pytest.approx((limits.low, limits.high), abs=0.015)


def test_copies_in_a_group_narrow_nothing():
    rng = np.random.default_rng(0)
    hits, classes = (rng.random(40) < 0.6).astype(float), np.arange(40) % 2
    plain = pointing_interval(hits, classes, range(40), rng=np.random.default_rng(3))
    copied = pointing_interval(
        np.repeat(hits, 5), np.repeat(classes, 5), np.repeat(range(40), 5),
        rng=np.random.default_rng(3),
    )  # fmt: skip
    assert copied == pytest.approx(plain)
    assert np.isnan(pointing_interval([1, 0], ["a", "a"], [1, 1], rng=rng)).all()


def test_refuses():
    for values, mask, word in [
        (peak(0, 0)[:2], MASK, "shape"),
        (peak(0, 0), MASK.astype(int), "int64"),
        (peak(0, 0) - 0.5, MASK, "negative"),
        (peak(0, 0) * np.nan, MASK, "finite"),
        (peak(0, 0), ~MASK & MASK, "empty"),
    ]:
        with pytest.raises(InputError, match=word):
            point(values, mask)
    with pytest.raises(InputError, match="-1 px"):
        point(peak(0, 0), MASK, tolerance_px=-1)
    with pytest.raises(InputError, match="one of each"):
        pointing_game([1, 0], [0.5], ["a", "b"])
    with pytest.raises(InputError, match="within 0"):
        pointing_game([2], [0.5], ["a"])
