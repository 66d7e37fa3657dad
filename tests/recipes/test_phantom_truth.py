"""What the demo says of its genes is what its tables hold."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from histograft.recipes.phantom_truth import known_truth

N = 20
RNG = np.random.default_rng(1)
SHARE = RNG.random(N)
MUTATED = {"M": RNG.permutation(np.arange(N) < N // 2), "U": RNG.random(N) < 0.5}
EXPRESSION = {"E": SHARE + 0.1 * RNG.normal(size=N), "N1": RNG.normal(size=N)}


@pytest.fixture
def told():
    return known_truth({"M": "tumor", "E": "tumor"}, {"tumor": SHARE}, MUTATED, EXPRESSION)


def test_genes_are_named_with_what_they_follow(told):
    assert "M and E follow the share of tumor; U and N1 follow nothing" in told


def test_the_best_that_could_be_reached_is_that_of_the_true_share(told):
    status = MUTATED["M"]
    u = mannwhitneyu(SHARE[status], SHARE[~status]).statistic
    assert f"M an AUC of {u / (status.sum() * (~status).sum()):.2f}" in told
    assert f"E a correlation of {np.corrcoef(SHARE, EXPRESSION['E'])[0, 1]:.2f}" in told


def test_the_range_by_chance_is_that_of_permuted_patients():
    """10 of 20 mutated: 1.96 times the square root of 21 / 1200 is 0.26."""
    half = {"U": np.arange(N) < N // 2}
    told = known_truth({}, {"tumor": SHARE}, half, {})
    assert "AUCs from 0.24 to 0.76 and correlations from -0.45 to 0.45" in told
    areas = []
    for _ in range(4000):
        ranks = RNG.permutation(N) + 1
        areas.append((ranks[: N // 2].sum() - 55) / 100)
    low, high = np.quantile(areas, [0.025, 0.975])
    assert (low, high) == pytest.approx((0.24, 0.76), abs=0.02)
