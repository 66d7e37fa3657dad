"""Which interval of a mean correlation holds the truth as often as it says.

Usage: ``python benchmarks/interval_coverage.py [--sets 500] [--patients 100] [--genes 20]``

Draws data sets in which every gene's prediction has a correlation of 0.3 with the truth, and counts
how often 95 % intervals of one gene's r, of the mean r and of the difference of two equally good
models' mean r hold the true value. SciPy's bootstrap (percentile and BCa) beside the jackknife of
`histograft.stats.correlation_jackknife`. In the last row predictions come from cross-validated
ridge regression, the "truth" is the mean of all data sets, and intervals are widened by √2.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from histograft.stats.correlation_jackknife import correlation_jackknife

R = 0.3
DRAWS = 999
METHODS = ("percentile", "BCa", "jackknife")
WHAT = ("r", "mean r", "difference")
Noise = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def lognormal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (np.exp(rng.normal(size=shape)) - np.e**0.5) / np.sqrt(np.e * (np.e - 1))


NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "Student's t, 3 degrees": lambda rng, shape: rng.standard_t(3, size=shape) / np.sqrt(3),
    "lognormal": lognormal,
}


def draw(rng: np.random.Generator, noise: Noise, n: int, genes: int, shared: float) -> np.ndarray:
    """Return predictions of two models and the truth, (3, n, genes); genes share a factor."""

    def field() -> np.ndarray:
        own, common = noise(rng, (n, genes)), noise(rng, (n, 1))
        return np.sqrt(shared) * common + np.sqrt(1 - shared) * own

    rest = np.sqrt(1 - R**2)
    first, error, other = field(), field(), field()
    truth = R * first + rest * error
    return np.stack([first, R * truth + rest * other, truth])


def cross_validated(rng: np.random.Generator, n: int, genes: int) -> np.ndarray:
    """Predict genes by ridge regression on the features of two models, in five folds."""
    signal = rng.normal(size=(n, 10))
    effect = np.random.default_rng(0).normal(size=(10, genes)) / np.sqrt(10)  # of all data sets
    truth = signal @ effect + rng.normal(size=(n, genes))
    folds = rng.permutation(n) % 5
    found = []
    for _ in range(2):
        x = np.hstack([signal + rng.normal(size=signal.shape), rng.normal(size=(n, 40))])
        predicted = np.empty_like(truth)
        for fold in range(5):
            fit, test = folds != fold, folds == fold
            center, mean = x[fit].mean(0), truth[fit].mean(0)
            known = x[fit] - center
            kernel = known.T @ known + 50 * np.eye(x.shape[1])
            weights = np.linalg.solve(kernel, known.T @ (truth[fit] - mean))
            predicted[test] = (x[test] - center) @ weights + mean
        found.append(predicted)
    return np.stack([*found, truth])


def correlations(data: np.ndarray) -> np.ndarray:
    """Correlations with the truth over the axis before the last, (…, 3, n, G) to (…, 2, G)."""
    z = data - data.mean(axis=-2, keepdims=True)
    z /= np.sqrt((z**2).sum(axis=-2, keepdims=True))
    return (z[..., :2, :, :] * z[..., 2:, :, :]).sum(axis=-2)


def statistics(data: np.ndarray) -> np.ndarray:
    r = correlations(data)
    mean = r.mean(axis=-1)
    return np.stack([r[..., 0, 0], mean[..., 0], mean[..., 0] - mean[..., 1]])


def intervals(data: np.ndarray, rng: np.random.Generator, factor: float) -> np.ndarray:
    """Return ends by method and statistic, (methods, 3, 2)."""

    def statistic(rows: np.ndarray, axis: int) -> np.ndarray:
        del axis
        return statistics(np.moveaxis(data[:, rows], 0, -3))

    value, rows = statistics(data), np.arange(data.shape[1])
    options = {"vectorized": True, "axis": -1, "rng": rng, "batch": 250}
    made = stats.bootstrap((rows,), statistic, n_resamples=DRAWS, method="percentile", **options)
    bca = stats.bootstrap(
        (rows,), statistic, n_resamples=0, method="BCa", bootstrap_result=made, **options
    )
    ends = [np.stack(found.confidence_interval, axis=-1) for found in (made, bca)]
    ends = [value[:, None] + factor * (end - value[:, None]) for end in ends]
    ours = correlation_jackknife(data[:2], data[2], rows, cross_validated=factor > 1)
    pairs = [ours.interval[:, 0, 0], ours.mean_interval(0), ours.mean_difference_interval(0, 1)]
    return np.stack([*ends, np.array(pairs)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=500, help="data sets of each kind")
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--genes", type=int, default=20)
    options = parser.parse_args()
    heads = [f"{what}, {method}" for what in WHAT for method in METHODS]
    print("| values | " + " | ".join(heads) + " |\n|" + "---|" * (1 + len(heads)))
    kinds = [(name, shared) for name in NOISES for shared in (0.0, 0.3)] + [("", 0.0)]
    for name, shared in kinds:
        rng = np.random.default_rng(0)
        found, values = [], []
        for _ in range(options.sets):
            if name:
                data = draw(rng, NOISES[name], options.patients, options.genes, shared)
            else:
                data = cross_validated(rng, options.patients, options.genes)
            values.append(statistics(data))
            found.append(intervals(data, rng, 1.0 if name else np.sqrt(2)))
        truth = np.array([R, R, 0.0]) if name else np.mean(values, axis=0) * [1, 1, 0]
        ends = np.stack(found)
        held = (ends[..., 0] <= truth) & (truth <= ends[..., 1])
        share = 100 * held.mean(axis=0).T.ravel()
        title = name + (", genes alike" if shared else "") if name else "cross-validated ridge"
        print(f"| {title} | " + " | ".join(f"{s:.1f}" for s in share) + " |", flush=True)


if __name__ == "__main__":
    main()
