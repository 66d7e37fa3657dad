"""How much structure a matrix holds beside noise: analytic variational Bayes factorization."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

_GRID = 60  # the free energy can have several minima: the best of so many points is refined
_NO_NOISE = 1e-15  # smallest share of the mean square that is taken for noise


@dataclass(frozen=True)
class Factorization:
    """What of a matrix is signal.

    Attributes
    ----------
    strengths : float array (r,)
        Shrunken singular values of the r components that are kept, largest first.
    noise : float
        σ², the variance of the noise of an entry.
    """

    strengths: NDArray[np.float64]
    noise: float


def evbmf(singular_values: NDArray[np.floating], shape: tuple[int, int]) -> Factorization:
    """Factorize a matrix by empirical variational Bayes, from its singular values alone.

    The matrix is taken for a sum of rank-one components and Gaussian noise; the number of
    components, their size and the variance of the noise are estimated together. With L ≤ M the
    sides, α = L / M, ``τ̄ = 2.5129 √α`` and ``x̄ = (1 + τ̄)(1 + α / τ̄)``, σ² minimizes over
    ``x_i = s_i² / (M σ²)``::

        Σ_i (x_i - ln x_i) + Σ_{x_i > x̄} (ln(τ_i + 1) + α ln(τ_i / α + 1) - τ_i)
        τ_i = ½ (x_i - (1 + α) + √((x_i - (1 + α))² - 4 α))

    Components with ``s_i² > M σ² x̄`` are kept and shrunken to ::

        ½ s_i (1 - (L + M) σ² / s_i² + √((1 - (L + M) σ² / s_i²)² - 4 L M σ⁴ / s_i⁴))

    Parameters
    ----------
    singular_values : array, shape (L,)
        All of them, 0 or above, in any order.
    shape : (int, int)
        Rows and columns of the matrix, in either order.

    Returns
    -------
    Factorization
        No component for a matrix of zeros or of a single row.

    Raises
    ------
    ValueError
        A singular value is negative or not finite, or there are not L of them.

    Notes
    -----
    Nakajima, Sugiyama, Babacan and Tomioka, JMLR 14:1-37 (2013), theorem 2 and corollary 1. Their
    approximation of τ̄ is used. σ² is found to a relative 1e-9, so that the result does not depend
    on the unit of the matrix.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = 3 * np.outer(rng.normal(size=40), rng.normal(size=90))
    >>> values = np.linalg.svd(signal + rng.normal(size=(40, 90)), compute_uv=False)
    >>> found = evbmf(values, (40, 90))
    >>> len(found.strengths), round(found.noise, 1)
    (1, 1.0)
    """
    s = -np.sort(-np.asarray(singular_values, dtype=np.float64))
    short, long = sorted(shape)
    if s.shape != (short,) or not np.isfinite(s).all() or (s < 0).any():
        raise ValueError(f"a matrix of {shape} has {short} finite singular values of 0 or above")
    mean_square = float((s**2).mean())
    if mean_square == 0:
        return Factorization(np.empty(0), 0.0)
    # In this unit the largest σ² that is possible, Σ s² / (L M), is 1.
    squares, alpha = s**2 / mean_square, short / long
    noise = _noise(squares, alpha)
    kept = squares > noise * _threshold(alpha)
    ratio = noise / squares[kept]
    first = 1 - (1 + alpha) * ratio
    root = np.sqrt(np.maximum(first**2 - 4 * alpha * ratio**2, 0))
    return Factorization(s[kept] / 2 * (first + root), noise * mean_square / long)


def _threshold(alpha: float) -> float:
    """x̄: below it a component cannot be told from noise."""
    tau = 2.5129 * math.sqrt(alpha)
    return (1 + tau) * (1 + alpha / tau)


def _noise(squares: NDArray[np.float64], alpha: float) -> float:
    """σ² that minimizes the free energy; `squares` are s² / M in a unit where it is at most 1."""
    short = len(squares)
    # At most so many components can be told from noise (theorem 3 of the source).
    most = min(math.ceil(short / (1 + alpha)) - 1, short - 1)
    rest = squares[most:]
    lower = max(float(rest[0]) / _threshold(alpha), float(rest.mean()), _NO_NOISE)
    if lower >= 1 - 1e-12:
        return 1.0
    squares = np.maximum(squares, _NO_NOISE**2)
    grid = np.geomspace(lower, 1.0, _GRID)
    values = [_free_energy(value, squares, alpha) for value in grid]
    best = int(np.argmin(values))
    found = minimize_scalar(
        lambda log: _free_energy(math.exp(log), squares, alpha),
        bounds=(math.log(grid[max(best - 1, 0)]), math.log(grid[min(best + 1, _GRID - 1)])),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return math.exp(found.x) if found.fun <= values[best] else float(grid[best])


def _free_energy(noise: float, squares: NDArray[np.float64], alpha: float) -> float:
    x = squares / noise
    above = x[x > _threshold(alpha)]
    shifted = above - (1 + alpha)
    tau = (shifted + np.sqrt(np.maximum(shifted**2 - 4 * alpha, 0))) / 2
    signal = np.log1p(tau) + alpha * np.log1p(tau / alpha) - tau
    return float((x - np.log(x)).sum() + signal.sum())
