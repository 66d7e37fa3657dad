"""Expression of many genes from end to end: ``predict``, its table, and reading it back.

Usage: ``python benchmarks/molecular.py [--repeats 2] [--genes 907] [--single 3] [--draws 10000]``

344 patients, 2,048 features of two extractors like those of networks, five folds. The command
``predict`` runs with some repeats; a table of 50 repeats (31 million rows for 907 genes) is written
and read back as the verbs do; ``compare`` runs on it. scikit-learn's SVR predicts a few genes of
one fold, one machine a gene, standardized outside of its time. Printed: seconds, the largest memory
of each step, what the paper's 50 repeats would take (extrapolated from those run), and how many
times as long scikit-learn would, for each core. Exit status 1 where the experiment (907 genes)
would take half an hour or more, or scikit-learn less than 20 times as long.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from expression_svr import N_TRAIN, N, P, make_tables, time_scikit_learn

PAPER_REPEATS, N_FOLDS = 50, 5
MOST_MINUTES, LEAST_RATIO = 30.0, 20.0
SCRIPT = """
import resource, sys, time
import numpy as np
from pathlib import Path
from histograft.core.artefact import open_artefact
from histograft.verbs.comparison import Choices
from histograft.verbs.expression_comparison import ExpressionComparison
from histograft.verbs.value_files import ValueTable, genes_at_once, read_values, write_values
step, source, out, n_repeats = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
start = time.perf_counter()

def repeated(table):
    # Repeats beside each other differ, as those of cross-validation do.
    noise = np.random.default_rng(0).normal(size=(n_repeats, *table.truth.shape))
    predicted = table.predicted.mean(axis=0) + 0.1 * noise.astype(np.float32)
    folds = np.repeat(table.folds[:1], n_repeats, axis=0)
    at_once = genes_at_once(n_repeats, len(table.units))
    for i in range(0, len(table.targets), at_once):
        part = slice(i, i + at_once)
        yield ValueTable(
            table.model, table.dataset, table.protocol, table.units, table.targets[part], folds,
            table.truth[:, part], predicted[:, :, part],
        )

if step == "write":
    tables = (part for table in read_values(open_artefact(source)) for part in repeated(table))
    write_values(out, tables)
else:
    class Made:
        path, facts = out, open_artefact(source).facts
        file = staticmethod(lambda name: out)
    found = ExpressionComparison.of(Made(), Choices(int(sys.argv[5]), seed=0))
    print(time.perf_counter() - start)
    if step == "compare":
        found.tables(found.models[0], [], plain_t=True)
print(time.perf_counter() - start)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2, help="repeats that predict does")
    parser.add_argument("--genes", type=int, default=907)
    parser.add_argument("--single", type=int, default=3, help="genes that scikit-learn predicts")
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where to work; else a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        return run(Path(name), options)


def run(folder: Path, options: argparse.Namespace) -> int:
    features, genes = make_tables(options.genes)
    write_tables(folder, features, genes)
    base = time_command(folder, 1, "one")
    more = time_command(folder, 1 + options.repeats, "more")
    each = (more - base) / options.repeats
    paper = base + each * (PAPER_REPEATS - 1)
    print(f"predict: {each:.1f} s a repeat of 2 extractors, {base - each:.1f} s besides")
    print(
        f"predict, {PAPER_REPEATS} repeats: {paper / 60:.1f} minutes on {cores()} core(s), "
        f"extrapolated (below {MOST_MINUTES:.0f} wanted)"
    )
    values = folder / "values.parquet"
    arguments = [str(folder / "more"), str(values), str(PAPER_REPEATS), str(options.draws)]
    seconds, memory = step("write", arguments)
    rows = 2 * PAPER_REPEATS * N * options.genes / 1e6
    size = values.stat().st_size / 1e6
    print(f"write {rows:.1f} million rows: {seconds[-1]:.0f} s, {memory:.0f} MB, {size:.0f} MB")
    seconds, memory = step("compare", arguments)
    print(
        f"compare: read in {seconds[0]:.0f} s, all in {seconds[-1]:.0f} s, {memory:.0f} MB "
        f"({options.draws:,} draws)"
    )
    single, _ = time_scikit_learn(features, genes[:, : options.single])
    fits = options.genes * N_FOLDS * PAPER_REPEATS * 2
    slow = single / options.single * fits
    ratio = slow / (paper * cores())
    print(
        f"scikit-learn, one machine a gene and fold: {slow / 3600:.1f} hours on one thread, "
        f"{ratio:.0f} times as long ({N_TRAIN} × {P}, {fits:,} fits; "
        f"at least {LEAST_RATIO:.0f} wanted)"
    )
    return 0 if paper < MOST_MINUTES * 60 and ratio >= LEAST_RATIO else 1


def write_tables(folder: Path, features: np.ndarray, genes: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    patients = pd.Index([f"P{i:03d}" for i in range(N)], name="patient_id")
    others = features + rng.normal(size=features.shape)
    for name, table in (("one", features), ("other", others)):
        frame = pd.DataFrame(table.astype(np.float32), index=patients)
        frame.columns = [f"f{i}" for i in range(table.shape[1])]
        frame.reset_index().to_parquet(folder / f"{name}.parquet", index=False)
    columns = [f"G{i}" for i in range(genes.shape[1])]
    pd.DataFrame(genes, index=patients, columns=columns).to_csv(folder / "genes.csv")


def time_command(folder: Path, repeats: int, out: str) -> float:
    words = ["predict", "--features", str(folder / "one.parquet"), str(folder / "other.parquet")]
    words += ["--expression", str(folder / "genes.csv"), "--repeats", str(repeats)]
    words += ["--transform", "none", "--out", str(folder / out)]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "histograft", *words], check=True, capture_output=True)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    seconds = time.perf_counter() - start
    print(f"predict, {repeats} repeat(s): {seconds:.1f} s, {children:.0f} MB", flush=True)
    return seconds


def step(name: str, arguments: list[str]) -> tuple[list[float], float]:
    command = [sys.executable, "-c", SCRIPT, name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
