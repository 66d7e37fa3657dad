"""Tests between models, against R and against what the definitions say."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import permutation_test

from histograft.core.errors import InputError
from histograft.stats import compare
from histograft.stats.metrics import evaluate

GOLDEN = Path(__file__).parent / "golden"


def check_against_r(golden):
    for case in golden["mcnemar"].values():
        result = compare.mcnemar(case["b"], case["c"], exact=False)
        assert result.statistic == pytest.approx(case["statistic"], rel=1e-12)
        assert result.p_value == pytest.approx(case["p"], rel=1e-10)
    for case in golden["exact"].values():
        result = compare.mcnemar(case["b"], case["c"])
        assert result.name == "McNemar, exact"
        assert result.p_value == pytest.approx(case["p"], rel=1e-10)
    adjusted = {k: np.array(v, dtype=float) for k, v in golden["adjusted"].items()}
    np.testing.assert_allclose(compare.holm(adjusted["p"]), adjusted["holm"], rtol=1e-13)
    np.testing.assert_allclose(compare.benjamini_hochberg(adjusted["p"]), adjusted["bh"], 1e-13)
    t = golden["t_tests"]
    plain = compare.paired_t(t["differences"])
    assert (plain.statistic, plain.p_value, plain.se) == pytest.approx(
        (t["plain_t"], t["plain_p"], t["plain_se"]), rel=1e-10
    )
    corrected = compare.corrected_resampled_t(
        np.reshape(t["differences"], (3, 4)), t["n_train"], t["n_test"]
    )
    assert (corrected.statistic, corrected.p_value) == pytest.approx(
        (t["corrected_t"], t["corrected_p"]), rel=1e-10
    )
    matrix = np.reshape(golden["confusion"]["matrix"], (3, 3))
    found = evaluate(matrix, ["0", "1", "2"])
    for name, value in golden["confusion"].items():
        if name == "matrix":
            continue
        ours = [found[f"{name}:{k}"] for k in range(3)] if isinstance(value, list) else found[name]
        np.testing.assert_allclose(ours, value, rtol=1e-13, err_msg=name)


def test_stored_r():
    check_against_r(json.loads((GOLDEN / "golden.json").read_text()))


@pytest.mark.r
def test_live_r():
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed (Debian: r-base-core)")
    run = subprocess.run(
        ["Rscript", str(GOLDEN / "make_golden.R")], capture_output=True, text=True, check=True
    )
    check_against_r(json.loads(run.stdout))


def test_default_mcnemar_changes_at_25():
    assert compare.mcnemar(12, 12).name == "McNemar, exact"
    assert compare.mcnemar(13, 12).name == "McNemar"


@pytest.mark.parametrize("exact", [None, True, False])
def test_mcnemar_without_disagreement(exact):
    assert compare.mcnemar(0, 0, exact=exact).p_value == 1


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_symmetric(b, c):
    assert compare.mcnemar(b, c).p_value == compare.mcnemar(c, b).p_value


def test_equal_differences():
    zero = compare.corrected_resampled_t(np.zeros((2, 5)), 80, 20)
    assert (zero.statistic, zero.p_value) == (0, 1)
    constant = compare.corrected_resampled_t(np.full((2, 5), 0.1), 80, 20)
    assert np.isnan(constant.p_value)
    assert constant.mean == pytest.approx(0.1)


def test_correction_does_not_vanish_with_repeats():
    rng = np.random.default_rng(0)
    d = rng.normal(0.1, 1, size=(2000, 5))
    corrected, plain = compare.corrected_resampled_t(d, 80, 20), compare.paired_t(d)
    assert plain.se == pytest.approx(d.std(ddof=1) / 100)
    assert corrected.se == pytest.approx(d.std(ddof=1) * np.sqrt(1e-4 + 0.25))


def test_false_alarms_of_the_plain_t():
    """Under no difference the corrected test keeps its level, the plain one does not.

    Differences of a random-subsampling scheme with correlation n_test / (n_test + n_train)
    between any two, which is what the correction assumes.
    """
    rng = np.random.default_rng(1)
    correlation, n_repeats = 0.2, 10
    alarms = np.zeros(2)
    for _ in range(400):
        shared = rng.normal() * np.sqrt(correlation)
        d = shared + rng.normal(size=(n_repeats, 5)) * np.sqrt(1 - correlation)
        alarms += [
            compare.corrected_resampled_t(d, 80, 20).p_value < 0.05,
            compare.paired_t(d).p_value < 0.05,
        ]
    # Binomial SD at 5 % of 400 is 4.4.
    assert alarms[0] <= 20 + 4 * 4.4
    assert alarms[1] > 150


@pytest.mark.parametrize(
    "call",
    [
        lambda: compare.paired_t([1.0]),
        lambda: compare.paired_t([1.0, np.nan]),
        lambda: compare.corrected_resampled_t([[1.0, 2.0]], 0, 5),
        lambda: compare.mcnemar(-1, 3),
        lambda: compare.holm([1.2]),
    ],
)
def test_refuses(call):
    with pytest.raises(InputError):
        call()


P_VALUES = hnp.arrays(float, st.integers(0, 20), elements=st.floats(0, 1))


@given(P_VALUES, st.randoms(use_true_random=False))
def test_adjustments(p, random):
    holm, bh = compare.holm(p), compare.benjamini_hochberg(p)
    assert (holm >= p).all()
    assert (bh >= p).all()
    assert (bh <= holm + 1e-15).all()
    order = np.argsort(p)
    assert (np.diff(holm[order]) >= 0).all()
    assert (np.diff(bh[order]) >= 0).all()
    shuffled = list(range(len(p)))
    random.shuffle(shuffled)
    np.testing.assert_array_equal(compare.holm(p[shuffled]), holm[shuffled])


@given(P_VALUES)
def test_nan_does_not_count(p):
    with_gap = np.concatenate([[np.nan], p])
    for adjust in (compare.holm, compare.benjamini_hochberg):
        adjusted = adjust(with_gap)
        assert np.isnan(adjusted[0])
        np.testing.assert_array_equal(adjusted[1:], adjust(p))


def test_sign_flips_enumerate_few_groups() -> None:
    """Of the 16 sign patterns of (3, 2, 4, 1) only two reach a sum of 10 in size."""
    result = compare.group_sign_flip([3, 2, 4, 1], rng=np.random.default_rng(0))
    assert result.p_value == 2 / 16
    assert compare.group_sign_flip([0, 0], rng=np.random.default_rng(0)).p_value == 1


def test_sign_flips_agree_with_scipy_for_many_groups() -> None:
    sums = np.random.default_rng(1).integers(-3, 5, 40).astype(float)
    ours = compare.group_sign_flip(sums, n_draws=50_000, rng=np.random.default_rng(2)).p_value
    theirs = permutation_test(
        (sums,),
        np.sum,
        permutation_type="samples",
        n_resamples=50_000,
        rng=np.random.default_rng(3),
    ).pvalue
    assert ours == pytest.approx(theirs, abs=0.01)


def test_sign_flips_keep_their_level_where_mcnemar_does_not() -> None:
    """Twelve patients with twelve patches each that are right or wrong together, under the null."""
    rng = np.random.default_rng(4)
    rejected = {"flips": 0, "mcnemar": 0}
    for _ in range(400):
        lean = rng.choice([-1, 1], 12) * rng.integers(0, 7, 12)
        rejected["flips"] += compare.group_sign_flip(lean, rng=rng).p_value < 0.05
        gain, loss = int(lean[lean > 0].sum()), int(-lean[lean < 0].sum())
        rejected["mcnemar"] += compare.mcnemar(gain, loss).p_value < 0.05
    assert rejected["flips"] / 400 < 0.08
    assert rejected["mcnemar"] / 400 > 0.15
