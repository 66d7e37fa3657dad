"""Cluster bootstrap: 10,000 draws of ten metrics, vectorized against a loop over draws.

Usage: ``python benchmarks/bootstrap.py [--units 2000] [--repeats 50] ...``

Both ways get the same draws, and their results are compared. The loop counts one confusion
matrix per draw, model and repeat with ``numpy.bincount`` and calls the same metric functions; it
is timed on a subset of the draws and its time is scaled up, which is said in the table. Ends with
exit status 1 where the ratio is below the one that is wanted.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from numpy.typing import NDArray

from histograft.stats.bootstrap import cluster_bootstrap, draw_groups
from histograft.stats.metrics import METRICS

LEAST_RATIO = 50
CLASSES = [f"class{i}" for i in range(5)]


def make_cohort(
    n_units: int, n_groups: int, n_models: int, n_repeats: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Units in groups, and models that are right about nine times in ten."""
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, n_units - n_groups)])
    truth = rng.integers(0, len(CLASSES), n_units)
    predicted = np.broadcast_to(truth, (n_models, n_repeats, n_units)).copy()
    hard = rng.random(n_units) ** 8
    wrong = rng.random(predicted.shape) < hard
    predicted[wrong] = rng.integers(0, len(CLASSES), int(wrong.sum()))
    return truth, predicted, groups


def loop_over_draws(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: NDArray[np.int64],
    weights: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Compute the ten metrics draw by draw; a metric per class as the mean over classes."""
    k = len(CLASSES)
    n_models, n_repeats, _ = predicted.shape
    draws = np.empty((n_models, len(METRICS), len(weights)))
    for d, weight in enumerate(weights):
        times = weight[groups]
        for m in range(n_models):
            values = np.empty((n_repeats, len(METRICS)))
            for r in range(n_repeats):
                cells = np.bincount(truth * k + predicted[m, r], weights=times, minlength=k * k)
                matrix = cells.reshape(k, k)
                values[r] = [np.mean(metric.function(matrix)) for metric in METRICS.values()]
            draws[m, :, d] = values.mean(axis=0)
    return draws


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--loop-draws", type=int, default=10)
    a = parser.parse_args()
    truth, predicted, groups = make_cohort(a.units, a.groups, a.models, a.repeats)

    start = time.perf_counter()
    found = cluster_bootstrap(
        truth, predicted, groups, CLASSES, n_draws=a.draws, rng=np.random.default_rng(1)
    )
    vectorized_s = time.perf_counter() - start

    weights = draw_groups(a.groups, a.loop_draws, np.random.default_rng(1))
    start = time.perf_counter()
    plain = loop_over_draws(truth, predicted, groups, weights)
    loop_s = (time.perf_counter() - start) * a.draws / a.loop_draws

    for i, metric in enumerate(METRICS.values()):
        names = [f"{metric.name}:{c}" for c in CLASSES] if metric.per_class else [metric.name]
        columns = [found.metrics.index(name) for name in names]
        ours = found.draws[:, columns, : a.loop_draws].mean(axis=1)
        np.testing.assert_allclose(ours, plain[:, i], atol=1e-12, err_msg=metric.name)

    accuracy = (predicted == truth).mean()
    print(
        f"{a.draws:,} draws of {len(METRICS)} metrics ({len(found.metrics)} numbers, "
        f"{len(CLASSES)} classes), {a.models} models, {a.repeats} repeats, {a.units:,} units in "
        f"{a.groups:,} groups, accuracy {accuracy:.3f}"
    )
    print(f"loop over draws  {loop_s:10.1f} s   (timed on {a.loop_draws} draws and scaled)")
    print(f"vectorized       {vectorized_s:10.1f} s")
    ratio = loop_s / vectorized_s
    print(
        f"ratio            {ratio:10.0f} x   at least {LEAST_RATIO} wanted; results equal on the "
        "same draws"
    )
    return 0 if ratio >= LEAST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
