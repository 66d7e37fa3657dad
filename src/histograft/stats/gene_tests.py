"""Whether one extractor predicts more than another, over all targets together.

Genes are correlated with each other, so a test that counts genes as independent claims
differences that are not there. `swap_test` exchanges the two extractors' predictions patient by
patient, for all genes at once. The tests over genes are here because papers print them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from histograft.core.errors import InputError
from histograft.stats.compare import TestResult, paired_t
from histograft.stats.correlation import (
    Bool,
    Float,
    Method,
    correlation_p,
    known_pairs,
    standard_scores,
)
from histograft.stats.cross_validated import width

NOT_INDEPENDENT = "invalid for correlated genes"
_DRAWS_AT_ONCE = 512
_LARGEST_EXACT = 50
_LEAST_VARIANCE = 1e-10
_TIE = 1e-12


@dataclass(frozen=True)
class SwapTest:
    """Paired test of two extractors over targets.

    Attributes
    ----------
    mean, median : float
        Mean and median over the selected targets of r of the first less r of the second; 0 where
        none is selected.
    p_mean, p_median : float
        Two-sided, (1 + b) / (1 + B).
    selected : ndarray of bool, shape (G,)
        Targets that count.
    n_swaps : int
        B.
    """

    mean: float
    median: float
    p_mean: float
    p_median: float
    selected: Bool = field(repr=False)
    n_swaps: int


def swap_test(
    predictions: ArrayLike,
    truth: ArrayLike,
    *,
    method: Method = "pearson",
    fdr: float | None = None,
    cross_validated: bool = True,
    n_swaps: int = 10_000,
    rng: np.random.Generator,
) -> SwapTest:
    r"""Test that two extractors predict all targets equally well, by swapping them by patient.

    If they are equally good, which of a patient's two rows of predictions is called the first
    does not matter. Each target's predictions are brought to mean 0 and variance 1 before; a swap
    exchanges a patient's rows for all targets together, which keeps their dependence.

    Parameters
    ----------
    predictions : array-like of float, shape (2, N, G)
        Predictions of the two extractors for N patients and G targets, averaged over repeats.
    truth : array-like of float, shape (N, G)
        Measured values; NaN where unknown.
    method : {"pearson", "spearman"}
        With ``"spearman"`` predictions and truths are replaced by their ranks first; after a swap
        they are not ranked again.
    fdr : float, optional
        Count only targets that either extractor predicts: the union of both extractors' targets
        that are significant at this false discovery rate (one-sided P of ``cor.test``, of r / √2
        where cross-validated; Benjamini and Hochberg over both together). The selection is made
        anew after each swap, because selection by the same data favors large differences. By
        default all targets count.
    cross_validated : bool, default True
        Predictions come from cross-validation among these very patients. They then depend on
        each other, and differences after swaps are widened by √2: see
        `histograft.stats.cross_validated`. False for patients that no machine has seen.
    n_swaps : int, default 10,000
        B.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    SwapTest

    Raises
    ------
    InputError
        As in `correlate`, or for no swap.

    Notes
    -----
    Fisher's randomization test with patients as its units; Good 2005, Permutation, Parametric
    and Bootstrap Tests of Hypotheses, doi:10.1007/b138696. Targets whose truth or
    either prediction is constant do not count.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(80, 5))
    >>> good, bad = truth + rng.normal(size=(80, 5)), rng.normal(size=(80, 5))
    >>> swap_test([good, bad], truth, n_swaps=199, rng=rng).p_mean
    0.005
    """
    if n_swaps < 1:
        raise InputError(f"{n_swaps} swaps", "take 1 swap or more")
    swaps = _Swaps(predictions, truth, method, width(cross_validated=cross_validated))
    selected, observed = _statistics(swaps.correlations(np.ones((1, swaps.n_patients))), swaps, fdr)
    reached = np.zeros(2, dtype=np.int64)
    for start in range(0, n_swaps, _DRAWS_AT_ONCE):
        size = min(_DRAWS_AT_ONCE, n_swaps - start)
        signs = rng.choice([-1.0, 1.0], size=(size, swaps.n_patients))
        _, found = _statistics(swaps.correlations(signs), swaps, fdr)
        found *= swaps.width
        reached += (np.abs(found) >= np.abs(observed) - _TIE).sum(axis=0)
    p_mean, p_median = (1 + reached) / (1 + n_swaps)
    mean, median = observed[0]
    return SwapTest(
        float(mean), float(median), float(p_mean), float(p_median), selected[0], n_swaps
    )


def gene_sign_test(differences: ArrayLike) -> TestResult:
    """Count genes on which the first extractor is better: the binomial test of papers.

    It takes genes for independent, which they are not: its p-value is far too small. Use
    `swap_test`.

    Parameters
    ----------
    differences : array-like of float, shape (G,)
        Differences by gene; those of 0 and NaN do not count.

    Returns
    -------
    TestResult
        ``statistic`` is the number of positive differences, ``mean`` their share less a half;
        p is 1 where nothing differs.

    Examples
    --------
    >>> gene_sign_test([0.1, 0.2, 0.1, 0.3, -0.1]).p_value
    0.375
    """
    values = _differing(differences)
    wins, n = int((values > 0).sum()), len(values)
    p = float(stats.binomtest(wins, n).pvalue) if n else 1.0
    name = f"sign test over genes ({NOT_INDEPENDENT})"
    return TestResult(name, float(wins), math.nan, p, wins / n - 0.5 if n else 0.0, math.nan)


def gene_t_test(differences: ArrayLike) -> TestResult:
    """Run the paired t-test over genes of the FTX paper, which takes genes for independent.

    Parameters
    ----------
    differences : array-like of float, shape (G,)
        Differences by gene; NaN does not count.

    Returns
    -------
    TestResult
        As of `histograft.stats.compare.paired_t`, under a name that says what is wrong with it.

    Raises
    ------
    InputError
        Fewer than two differences.
    """
    values = np.asarray(differences, dtype=np.float64)
    result = paired_t(values[~np.isnan(values)])
    return replace(result, name=f"paired t over genes ({NOT_INDEPENDENT})")


def signed_rank(differences: ArrayLike, *, over: str = "genes") -> TestResult:
    """Wilcoxon's signed-rank test over genes.

    Exact for up to 50 differences, with ties too; beyond that by the normal distribution with
    corrections for ties and continuity, as R's ``wilcox.test``. Over genes it takes correlated
    values for independent, which the name of the result says.

    Parameters
    ----------
    differences : array-like of float, shape (G,)
        Differences by gene; those of 0 and NaN do not count.
    over : str, default "genes"
        What is counted, for the name. Anything but genes is taken for independent.

    Returns
    -------
    TestResult
        ``statistic`` is the sum of ranks of positive differences, ``mean`` that less its
        expectation; p is 1 where nothing differs.

    Notes
    -----
    Wilcoxon 1945, doi:10.2307/3001968. The smallest p of n genes is 2 / 2ⁿ, so with few
    genes it cannot be significant at all.

    Examples
    --------
    >>> round(signed_rank([3, 1, 2, 4, 5, 6, 7, 8, 9]).p_value, 4)
    0.0039
    """
    values = _differing(differences)
    n = len(values)
    name = f"signed rank over {over}" + (f" ({NOT_INDEPENDENT})" if over == "genes" else "")
    if not n:
        return TestResult(name, 0.0, math.nan, 1.0, 0.0, math.nan)
    ranks = stats.rankdata(np.abs(values))
    statistic = float(ranks[values > 0].sum())
    mean = statistic - n * (n + 1) / 4
    se = float(np.sqrt((ranks**2).sum() / 4))
    if n <= _LARGEST_EXACT:
        p = _exact_signed_rank_p(ranks, statistic)
    else:
        p = 2 * float(stats.norm.sf(max(abs(mean) - 0.5, 0.0) / se))
    return TestResult(name, statistic, math.nan, min(p, 1.0), mean, se)


class _Swaps:
    """Correlations after swaps are products of signs with sums of each patient.

    With m the mean of the two standardized predictions and d half their difference, a swap makes
    m + s d of the first and m - s d of the second, s being 1 or -1.
    """

    def __init__(
        self, predictions: ArrayLike, truth: ArrayLike, method: Method, factor: float
    ) -> None:
        self.width = factor
        x, y, known = known_pairs(predictions, truth)
        if x.ndim != 3 or len(x) != 2:
            raise InputError(
                f"predictions of shape {x.shape}",
                "give those of two extractors, as 2 × patients × targets",
            )
        (one, flat_one), (two, flat_two) = (
            standard_scores(layer, known, method=method) for layer in x
        )
        zy, flat = standard_scores(y, known, method=method)
        self.n_units = known.sum(axis=0)
        self.usable = ~(flat | flat_one | flat_two) & (self.n_units > 2)
        self.n_patients = len(y)
        m, d = (one + two) / 2, (one - two) / 2
        n = np.maximum(self.n_units, 1)
        self._moving = np.concatenate([d / n, 2 * m * d / n, d * zy / n], axis=1)
        self._fixed = [column.sum(axis=0) / n for column in (m, m**2 + d**2, m * zy)]

    def correlations(self, signs: Float) -> tuple[Float, Float]:
        """Return r of the first and of the second, each (B, G), of signs (B, N)."""
        moving = (signs @ self._moving).reshape(len(signs), 3, -1)
        both = []
        for sign in (1, -1):
            mean, square, product = (self._fixed[k] + sign * moving[:, k] for k in range(3))
            variance = square - mean**2
            flat = variance < _LEAST_VARIANCE
            r = np.where(flat, 0.0, product / np.sqrt(np.where(flat, 1.0, variance)))
            both.append(np.clip(r, -1.0, 1.0))
        return both[0], both[1]


def _statistics(r: tuple[Float, Float], swaps: _Swaps, fdr: float | None) -> tuple[Bool, Float]:
    """Return which targets count (B, G), and mean and median of their differences (B, 2)."""
    difference = r[0] - r[1]
    selected = np.broadcast_to(swaps.usable, difference.shape)
    if fdr is None:
        if not swaps.usable.any():
            return selected, np.zeros((len(difference), 2))
        kept = difference[:, swaps.usable]
        return selected, np.stack([kept.mean(axis=1), np.median(kept, axis=1)], axis=1)
    selected = selected & _union(r, swaps, fdr)
    found = np.zeros((len(difference), 2))
    for b in np.flatnonzero(selected.any(axis=1)):
        kept = difference[b, selected[b]]
        found[b] = kept.mean(), np.median(kept)
    return selected, found


def _union(r: tuple[Float, Float], swaps: _Swaps, fdr: float) -> Bool:
    """Targets that either extractor predicts, by one step-up over both, shape (B, G)."""
    p = np.concatenate(
        [correlation_p(x / swaps.width, swaps.n_units, greater=True) for x in r], axis=1
    )
    p[:, ~np.tile(swaps.usable, 2)] = np.inf
    n_tests = 2 * int(swaps.usable.sum())
    ordered = np.sort(p, axis=1)[:, :n_tests]
    passed = ordered <= fdr * np.arange(1, n_tests + 1) / max(n_tests, 1)
    cut = np.where(passed, ordered, -1.0).max(axis=1, initial=-1.0)
    significant = p <= cut[:, None]
    half = p.shape[1] // 2
    union: Bool = significant[:, :half] | significant[:, half:]
    return union


def _exact_signed_rank_p(ranks: Float, statistic: float) -> float:
    """Enumerate all patterns of signs by adding one rank after the other; halves are exact."""
    doubled = np.rint(2 * ranks).astype(np.int64)
    ways: NDArray[np.float64] = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] = 0.5 * (ways[rank:] + ways[: len(ways) - rank])
        ways[:rank] *= 0.5
    at = round(2 * statistic)
    return float(2 * min(ways[: at + 1].sum(), ways[at:].sum()))


def _differing(differences: ArrayLike) -> Float:
    values = np.asarray(differences, dtype=np.float64).ravel()
    kept: Float = values[~np.isnan(values) & (values != 0)]
    return kept
