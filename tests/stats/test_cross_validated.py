"""The factor for cross-validated predictions, by simulating cross-validation."""

from __future__ import annotations

import numpy as np
import pytest

from histograft.stats.auc import delong
from histograft.stats.correlation_bootstrap import correlation_bootstrap
from histograft.stats.cross_validated import WIDTH


def out_of_fold(features, y, *, ridge, fold_of):
    predicted = np.empty_like(y)
    for fold in range(5):
        test = fold_of == fold
        X, mean = features[~test], y[~test].mean(axis=0)
        beta = np.linalg.solve(X.T @ X + ridge * np.eye(X.shape[1]), X.T @ (y[~test] - mean))
        predicted[test] = features[test] @ beta + mean
    return predicted


@pytest.mark.parametrize("n_features", [5, 20, 200])
def test_spread_of_r_without_signal_is_below_the_bound(n_features):
    """3000 independent targets: their r spreads more than 1 / √(n - 1), and at most √2 times it.

    Linear in 3000 targets, whose spread is known to 2 %. The bound is that of y'Ay; dividing by the
    spread of predictions adds some per cent where they have few degrees of freedom.
    """
    rng = np.random.default_rng(0)
    features, y = rng.normal(size=(100, n_features)), rng.normal(size=(100, 3000))
    x = out_of_fold(features, y, ridge=20, fold_of=np.arange(100) % 5)
    r = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(x.T, y.T, strict=True)])
    assert r.mean() < 0
    assert 1.15 < r.std() * np.sqrt(99) < WIDTH * 1.06


@pytest.mark.slow
def test_differences_of_equal_extractors():
    """Two views of the patients that are equally good: who claims a difference at 5 %."""
    rng = np.random.default_rng(1)
    n, genes = 90, 10
    claims = dict.fromkeys((f"{t} {c}" for t in ("delong", "draws") for c in (True, False)), 0.0)
    for _ in range(150):
        hidden = rng.normal(size=(n, 5))
        y = hidden @ rng.normal(size=(5, genes)) * 0.3 + rng.normal(size=(n, genes))
        views = [np.hstack([hidden + rng.normal(size=(n, 5)), rng.normal(size=(n, 20))])
                 for _ in range(2)]  # fmt: skip
        fold_of = rng.permutation(np.arange(n) % 5)
        x = np.stack([out_of_fold(v, y, ridge=10, fold_of=fold_of) for v in views])
        event = (y > 0).astype(float)
        score = np.stack([out_of_fold(v, event, ridge=10, fold_of=fold_of) for v in views])
        for c in (True, False):
            low, high = correlation_bootstrap(
                x, y, np.arange(n), n_draws=300, cross_validated=c, rng=rng
            ).difference_interval[:, 0]
            claims[f"draws {c}"] += ((low > 0) | (high < 0)).mean() / 150
            tests = [delong(event[:, g], score[:, :, g], cross_validated=c) for g in range(genes)]
            claims[f"delong {c}"] += (
                np.mean([t.difference(0, 1).p_value < 0.05 for t in tests]) / 150
            )
    assert claims["delong False"] > 0.1 < claims["draws False"]
    assert 0.02 < claims["delong True"] < 0.08
    assert 0.02 < claims["draws True"] < 0.09
