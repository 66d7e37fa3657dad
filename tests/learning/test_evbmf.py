"""Analytic variational factorization on matrices whose rank, noise and signal are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histograft.learning.evbmf import evbmf


def matrix(rng, shape, strengths, noise):
    """A matrix with these population singular values in Gaussian noise."""
    u, v = (np.linalg.qr(rng.normal(size=(n, len(strengths))))[0] for n in shape)
    return u @ np.diag(strengths) @ v.T + noise * rng.normal(size=shape)


def factorized(values):
    return evbmf(np.linalg.svd(values, compute_uv=False), values.shape)


@settings(max_examples=25, deadline=None)
@given(
    rank=st.integers(0, 8),
    noise=st.sampled_from([1e-4, 0.02, 3.0]),
    tall=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rank_and_noise_are_found(rank, noise, tall, seed):
    shape = (240, 90) if tall else (90, 240)
    # three times √(σ² √(L M)), the least strength that can be seen at all
    strengths = noise * 3 * (90 * 240) ** 0.25 * np.linspace(1, 2, rank)
    found = factorized(matrix(np.random.default_rng(seed), shape, strengths, noise))
    assert len(found.strengths) == rank
    assert found.noise == pytest.approx(noise**2, rel=0.05)


def test_a_matrix_without_noise_is_kept_as_it_is():
    found = factorized(matrix(np.random.default_rng(0), (30, 70), [5.0, 2.0, 1.0], 0.0))
    np.testing.assert_allclose(found.strengths, [5, 2, 1], rtol=1e-5)
    assert found.noise < 1e-10


def test_shrinkage_undoes_what_noise_adds():
    """Noise lifts θ to s with s² = (θ² + L σ²)(θ² + M σ²) / θ²; the estimate is then θ² / s.

    (Benaych-Georges and Nadakuditi 2012, doi:10.1016/j.jmva.2012.04.019.)
    """
    theta = np.array([200.0, 120.0, 70.0])
    values = matrix(np.random.default_rng(1), (400, 900), theta, 1.0)
    s = np.sqrt((theta**2 + 400) * (theta**2 + 900)) / theta
    np.testing.assert_allclose(factorized(values).strengths, theta**2 / s, rtol=0.02)


def test_strengths_by_the_quadratic_that_defines_them():
    """d² - d (s - (L + M) σ² / s) + L M σ⁴ / s² = 0, and d is its larger root."""
    s = np.linalg.svd(
        matrix(np.random.default_rng(2), (20, 50), [40.0, 25.0], 1.0), compute_uv=False
    )
    found = evbmf(s, (20, 50))
    for d, value in zip(found.strengths, s[:2], strict=True):
        roots = np.roots([1, -(value - 70 * found.noise / value), 1000 * found.noise**2 / value**2])
        assert d == pytest.approx(roots.max(), rel=1e-9)


def test_noise_is_where_the_free_energy_is_least():
    """The free energy is written out again and looked at on a fine grid of σ²."""
    shape, alpha = (25, 60), 25 / 60
    s = np.linalg.svd(
        matrix(np.random.default_rng(3), shape, [30.0, 9.0, 8.0], 1.0), compute_uv=False
    )
    tau = 2.5129 * alpha**0.5
    limit = (1 + tau) * (1 + alpha / tau)

    def energy(noise):
        total = 0.0
        for x in s**2 / (60 * noise):
            total += x - np.log(x)
            if x > limit:
                t = ((x - 1 - alpha) + np.sqrt((x - 1 - alpha) ** 2 - 4 * alpha)) / 2
                total += np.log(t + 1) + alpha * np.log(t / alpha + 1) - t
        return total

    grid = np.linspace(0.5, 2.5, 20_001)
    least = grid[np.argmin([energy(noise) for noise in grid])]
    assert evbmf(s, shape).noise == pytest.approx(least, abs=1.5e-4)


@given(scale=st.floats(1e-12, 1e12), seed=st.integers(0, 20))
def test_the_unit_does_not_matter(scale, seed):
    s = np.linalg.svd(matrix(np.random.default_rng(seed), (12, 30), [20.0], 1.0), compute_uv=False)
    one, other = evbmf(s, (12, 30)), evbmf(s * scale, (30, 12))
    np.testing.assert_allclose(other.strengths, one.strengths * scale, rtol=1e-6)
    assert other.noise == pytest.approx(one.noise * scale**2, rel=1e-6)


def test_edges_and_bad_input():
    for values, shape in (([0, 0, 0], (3, 5)), ([2.0], (1, 9)), ([1, 1, 1], (3, 3))):
        assert len(evbmf(np.array(values, float), shape).strengths) == 0
    for values in ([1.0, np.nan], [1.0, -1.0], [1.0]):
        with pytest.raises(ValueError, match="2 finite singular values"):
            evbmf(np.array(values), (2, 4))
