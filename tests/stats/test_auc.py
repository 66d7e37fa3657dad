"""ROC areas, DeLong's variance and average precision against pROC, scikit-learn and pairs."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from histograft.core.errors import InputError
from histograft.stats import auc as module
from histograft.stats.auc import NO_SPREAD, ONE_CLASS, ONE_UNIT, auc, average_precision

delong = partial(module.delong, cross_validated=False)


def outcomes(seed, *, n=30, ties=False):
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n) < rng.integers(2, n - 1)).astype(int)
    scores = truth + rng.normal(size=(3, n))
    return truth, np.round(scores) if ties else scores


def test_equals_proc(molecular):
    for case in molecular["rocs"].values():
        found = delong(case["truth"], [case["first"], case["second"]])
        np.testing.assert_allclose(found.auc, case["auc"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.diag(found.covariance), case["variance"], rtol=1e-8)
        assert found.covariance[0, 1] == pytest.approx(case["covariance"], rel=1e-8)
        assert found.interval(0) == pytest.approx(case["interval_first"], abs=1e-8)
        assert found.interval(1) == pytest.approx(case["interval_second"], abs=1e-8)
        test = found.difference(0, 1)
        assert (test.statistic, test.p_value) == pytest.approx((case["z"], case["p"]), rel=1e-8)
        low, high = found.difference_interval(0, 1)
        wanted = test.mean - 1.959963984540054 * test.mean / case["z"]
        assert (low, (low + high) / 2) == pytest.approx((wanted, test.mean), abs=1e-9)


@given(st.integers(0, 10_000), st.booleans())
def test_equals_scikit_learn(seed, ties):
    truth, scores = outcomes(seed, ties=ties)
    area = [roc_auc_score(truth, s) for s in scores]
    np.testing.assert_allclose(auc(truth, scores), area, atol=1e-12)
    np.testing.assert_allclose(delong(truth, scores).auc, area, atol=1e-12)
    found = average_precision(truth, scores)
    wanted = [average_precision_score(truth, s) for s in scores]
    np.testing.assert_allclose(found.value, wanted, atol=1e-12)
    assert found.no_skill == truth.mean()


@given(st.integers(0, 10_000), st.booleans())
def test_covariance_by_its_definition(seed, ties):
    """All pairs, one by one: no ranks."""
    truth, scores = outcomes(seed, ties=ties)
    high, low = scores[:, truth == 1, None], scores[:, None, truth == 0]
    psi = (high > low) + 0.5 * (high == low)
    m, n = psi.shape[1:]
    wanted = np.cov(psi.mean(axis=2)) / m + np.cov(psi.mean(axis=1)) / n
    np.testing.assert_allclose(delong(truth, scores).covariance, wanted, atol=1e-15)


@given(st.integers(0, 10_000))
def test_reversed_scores_mirror_the_area(seed):
    truth, scores = outcomes(seed)
    there, back = delong(truth, scores), delong(truth, -scores)
    np.testing.assert_allclose(there.auc, 1 - back.auc, atol=1e-13)
    np.testing.assert_allclose(there.covariance, back.covariance, atol=1e-15)


def test_interval_covers():
    """Scores of two normal populations: the true area is Φ(d / √2)."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [60, 40])
    area = 0.5 * (1 + math.erf(0.5))  # d = 1
    intervals = [delong(truth, truth + rng.normal(size=(1, 100))).interval(0) for _ in range(800)]
    share = np.mean([low < area < high for low, high in intervals])
    assert share == pytest.approx(0.95, abs=0.025)


def test_paired_test_holds_its_level():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], [60, 40])
    p = []
    for _ in range(800):
        shared = truth + rng.normal(size=100)
        p.append(delong(truth, shared + rng.normal(size=(2, 100))).difference(0, 1).p_value)
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_cross_validated_scores_have_twice_the_variance():
    truth, scores = outcomes(5)
    plain, wide = delong(truth, scores), module.delong(truth, scores)
    np.testing.assert_allclose(wide.covariance, 2 * plain.covariance, rtol=1e-14)
    np.testing.assert_array_equal(wide.auc, plain.auc)
    assert "doubled" in wide.difference(0, 1).name
    assert "doubled" not in plain.difference(0, 1).name


def test_scores_without_spread_are_not_certain():
    truth = [0, 0, 0, 1, 1]
    found = delong(truth, [[1, 1, 1, 1, 1], [1, 2, 3, 4, 5], [1, 3, 2, 2.5, 4]])
    assert found.auc.tolist()[:2] == [0.5, 1]
    assert found.reason == (NO_SPREAD, NO_SPREAD, "")
    assert math.isnan(found.difference(0, 1).p_value)
    assert found.difference(0, 0).p_value == found.difference(2, 2).p_value == 1
    assert found.difference(2, 2).statistic == 0


@pytest.mark.parametrize(("truth", "area", "reason"), [
    ([0, 0, 0, 0], math.nan, ONE_CLASS), ([1, 1, -1, np.nan], math.nan, ONE_CLASS),
    ([1, 0, 0, 0], 0.0, ONE_UNIT), ([-1] * 4, math.nan, ONE_CLASS),
])  # fmt: skip
def test_too_few_units(truth, area, reason):
    scores = [[1.0, 2, 3, 4]]
    found = delong(truth, scores)
    assert found.reason == (reason,)
    assert found.auc[0] == pytest.approx(area, nan_ok=True)
    assert auc(truth, scores)[0] == pytest.approx(area, nan_ok=True)
    assert np.isnan(found.interval(0)).all()
    assert math.isnan(found.difference(0, 0).p_value)


def test_average_precision_without_an_event():
    found = average_precision([0, 0, -1], [[1.0, 2, 3]])
    assert np.isnan(found.value).all()
    assert found.no_skill == 0
    assert math.isnan(average_precision([-1], [2.0]).no_skill)


def test_unknown_units_do_not_count():
    truth, scores = outcomes(3)
    gap, unknown = scores.copy(), truth.astype(float)
    gap[:, :3], unknown[3:5], unknown[5] = np.nan, np.nan, -1
    found, wanted = delong(unknown, gap), delong(truth[6:], scores[:, 6:])
    np.testing.assert_array_equal(found.covariance, wanted.covariance)
    assert found.n_events + found.n_others == 24


def test_refuses():
    truth, scores = outcomes(3)
    partly, infinite = scores.copy(), scores.copy()
    partly[0, 4], infinite[0, 0] = np.nan, np.inf
    for bad in ((truth + 1, scores), (truth, partly), (truth, infinite), (truth[1:], scores),
                (truth, scores[0])):  # fmt: skip
        with pytest.raises(InputError):
            delong(*bad)
