"""Calibration against R's glm and prop.test, and what it must not claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import brier_score_loss

from histograft.core.errors import InputError
from histograft.stats import calibration as module
from histograft.stats.calibration import calibration, reliability, wilson_interval


def test_equals_r(molecular):
    for case in molecular["calibrations"].values():
        found = calibration(case["truth"], case["probability"])
        for name in ("brier", "intercept", "slope", "in_the_large", "intercept_se", "slope_se",
                     "in_the_large_se"):  # fmt: skip
            assert getattr(found, name) == pytest.approx(case[name], rel=1e-7), name
        assert found.reason == ""
    for case in molecular["wilson"].values():
        ends = wilson_interval(case["events"], case["n"])
        assert ends == pytest.approx((case["low"], case["high"]), abs=1e-12)


@given(st.integers(0, 10_000))
def test_brier_and_expectation(seed):
    rng = np.random.default_rng(seed)
    truth, p = rng.integers(0, 2, 40), rng.random(40)
    found = calibration(truth, p)
    assert found.brier == pytest.approx(brier_score_loss(truth, p), abs=1e-14)
    assert found.observed_to_expected == pytest.approx(truth.sum() / p.sum())
    low, high = found.observed_to_expected_interval
    assert low <= found.observed_to_expected <= high
    assert found.brier_no_skill == pytest.approx(((truth - truth.mean()) ** 2).mean())


def test_right_probabilities_have_slope_one():
    rng = np.random.default_rng(0)
    logit = rng.normal(size=40_000)
    truth = rng.random(40_000) < expit(logit)
    right, extreme = calibration(truth, expit(logit)), calibration(truth, expit(2 * logit + 1))
    assert abs(right.slope - 1) < 4 * right.slope_se < 0.1
    assert abs(right.intercept) < 4 * right.intercept_se < 0.1
    # 2 logit + 1 is undone by slope 1/2 and intercept -1/2: exactly so, whatever the data.
    assert extreme.slope == pytest.approx(right.slope / 2, rel=1e-9)
    assert extreme.intercept == pytest.approx(right.intercept - right.slope / 2, abs=1e-9)


@pytest.mark.parametrize(("truth", "p", "reason"), [
    ([0, 1, 0, 1], [0.3] * 4, module.CONSTANT),
    ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], module.SEPARATED),
    ([0, 0, 1, 1], [0.1, 0.3, 0.3, 0.4], module.SEPARATED),
    ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4], module.SEPARATED),
    ([0, 1, 0, 1], [0.0, 0.2, 0.3, 0.4], module.EXTREME),
    ([0, 1, 0, 1], [0.1, 0.2, 0.3, 1.0], module.EXTREME),
    ([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], module.ONE_CLASS),
    ([1, 1, -1, 1], [0.1, 0.2, 0.3, 0.4], module.ONE_CLASS),
    ([], [], module.ONE_CLASS),
])  # fmt: skip
def test_no_slope_but_a_reason(truth, p, reason):
    found = calibration(truth, p)
    assert found.reason == reason
    assert np.isnan([found.slope, found.slope_se, found.intercept, found.intercept_se]).all()
    assert math.isnan(found.brier) == (not truth)
    # The intercept of slope 1 is defined wherever there are two classes and logits.
    assert math.isnan(found.in_the_large) == (reason in (module.ONE_CLASS, module.EXTREME))


def test_a_null_model_is_right_in_the_large():
    """The share of events for everybody: observed equals expected, nothing else is known."""
    found = calibration([1, 0, 0, 0], [0.25] * 4)
    assert (found.observed_to_expected, found.brier) == (1, found.brier_no_skill)
    assert found.in_the_large == pytest.approx(0, abs=1e-12)
    assert math.isnan(calibration([0, 0], [0, 0]).observed_to_expected)


def test_nearly_separated_classes_converge():
    truth = np.repeat([0, 1], 50)
    logit = np.linspace(-30, 30, 100)
    logit[[49, 50]] = logit[[50, 49]]
    found = calibration(truth, expit(logit))
    assert found.reason == ""
    assert found.slope > 1


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_bins_partition_the_units(seed, n_bins):
    rng = np.random.default_rng(seed)
    truth, p = rng.integers(0, 2, 50), np.round(rng.random(50), rng.integers(1, 4))
    found = reliability(truth, p, n_bins=n_bins)
    assert 1 <= len(found.n_units) <= n_bins
    assert found.n_units.sum() == 50
    assert (found.n_units * found.observed).sum() == pytest.approx(truth.sum())
    assert (found.n_units * found.mean_probability).sum() == pytest.approx(p.sum())
    assert (np.diff(found.mean_probability) > 0).all()
    assert ((found.low <= found.observed) & (found.observed <= found.high)).all()


def test_bins_of_equal_size_and_of_ties():
    found = reliability(np.arange(100) % 2, np.arange(100) / 100)
    assert found.n_units.tolist() == [10] * 10
    assert reliability([0, 1, 1], [0.2] * 3).n_units.tolist() == [3]


def test_refuses():
    for bad in (([0, 1], [0.5, 1.2]), ([0, 1], [[0.5, 0.2]]), ([0, 2], [0.5, 0.2])):
        with pytest.raises(InputError):
            calibration(*bad)
    with pytest.raises(InputError):
        reliability([0, 1], [0.5, 0.2], n_bins=0)
