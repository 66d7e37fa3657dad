"""Predict the mutation status of patients, gene by gene, by lasso."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.executor import available_cores, map_in_order
from histograft.core.files import written_atomically
from histograft.core.reporter import Reporter, Task
from histograft.core.seeds import child_seed
from histograft.core.tables import PREDICTIONS
from histograft.verbs.molecular_work import MUTATED, WILD_TYPE, MolecularWork, describe_plan
from histograft.verbs.prediction_files import TABLE
from histograft.verbs.value_files import write_row_groups

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from histograft.molecular.drops import DropList
    from histograft.stats.folds import FoldPlan

MOST_TOLD = 20


@dataclass(frozen=True)
class _Gene:
    """A gene, the patients in whom it is known, and who of them is tested when.

    Attributes
    ----------
    name : str
        Gene.
    number : int
        Its place among all genes.
    known : array of bool, shape (N,)
        Patients of known status.
    status : array of bool, shape (K,)
        Their status.
    plan : FoldPlan
        Their folds.
    """

    name: str
    number: int
    known: NDArray[np.bool_]
    status: NDArray[np.bool_]
    plan: FoldPlan


def predict_mutations(
    work: MolecularWork, threads: Executor, drops: DropList, reporter: Reporter
) -> dict[str, Any]:
    """Predict each gene over the patients in whom it is known; write ``predictions.parquet``.

    Parameters
    ----------
    work : MolecularWork
        Patients, features and status.
    threads : concurrent.futures.Executor
        Where repeats run.
    drops : DropList
        Takes genes that cannot be predicted.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    dict
        Facts.

    Raises
    ------
    InputError
        No gene can be predicted.
    """
    genes, left_out = _genes(work, drops, reporter)
    tasks = [(model, gene) for model in work.features for gene in genes]
    nulls: dict[str, dict[str, dict[str, int]]] = {gene.name: {} for gene in genes}
    title = f"{work.dataset}: mutation of {len(genes)} genes"
    steps = len(tasks) * genes[0].plan.n_repeats

    def tables(task: Task) -> Iterator[pa.Table]:
        for model, gene in tasks:
            probability, nulls[gene.name][model] = _one_gene(work, gene, model, threads, task)
            yield _table(work, gene, model, probability)

    with work.draft.writing(TABLE) as path, reporter.task(title, steps) as task:
        write_row_groups(path, tables(task))
    # Of thousands of genes the table of drops tells.
    named = left_out if len(left_out) <= MOST_TOLD else {}
    return describe_plan(work, genes[0].plan) | {"left_out": named, "null_models": nulls}


def _genes(
    work: MolecularWork, drops: DropList, reporter: Reporter
) -> tuple[list[_Gene], dict[str, str]]:
    """Genes with folds, the same for all models; the others with their reasons."""
    import numpy as np

    genes: list[_Gene] = []
    left_out: dict[str, str] = {}
    for number, name in enumerate(map(str, work.targets.values.columns)):
        values = work.targets.values.iloc[:, number].to_numpy(np.float64)
        known = np.isfinite(values)
        status = values[known] == 1
        try:
            plan = work.plan_status(name, status, known)
        except InputError as error:
            left_out[name] = error.problem
            drops.add("gene", name, "too-few-patients", error.problem)
            continue
        genes.append(_Gene(name, number, known, status, plan))
    if not genes:
        raise InputError(
            "no gene can be predicted: "
            + "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:3]),
            "take fewer folds, other genes, or more patients",
        )
    if len(left_out) > MOST_TOLD:
        reporter.warn(f"{len(left_out):,} genes are left out (too few patients; see drops.csv)")
    else:
        for name, reason in left_out.items():
            reporter.warn(f"{name} is left out ({reason})")
    return genes, left_out


def _one_gene(
    work: MolecularWork, gene: _Gene, model: str, threads: Executor, task: Task
) -> tuple[NDArray[np.float64], dict[str, int]]:
    """Probabilities of one gene by one model, (R, K), and how many fits chose no feature."""
    import numpy as np

    from histograft.stats.molecular_cv import predict_status

    features = work.features[model][gene.known]

    def one(repeat: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        file = work.saved(model, gene.number, repeat, ending=".npz")
        if file.is_file():
            with np.load(file) as saved:
                return saved["probability"], saved["chosen"]
        seed = child_seed(work.config.seed, "inner folds", gene.name, str(repeat))
        probability, chosen = predict_status(
            features,
            gene.status,
            gene.plan.folds[repeat],
            rule=work.config.lasso_rule,
            tested=work.tested_folds,
            seed=seed,
        )
        with written_atomically(file) as path, path.open("wb") as stream:
            np.savez(stream, probability=probability, chosen=chosen)
        return probability, chosen

    found = []
    repeats = range(gene.plan.n_repeats)
    for result in map_in_order(threads, one, repeats, window=available_cores()):
        found.append(result)
        task.advance(1, f"{model}, {gene.name}")
    nothing = np.stack([chosen == 0 for _, chosen in found])  # repeats x fits
    null = {
        "fits": nothing.size,
        "null_fits": int(nothing.sum()),
        "null_repeats": int(nothing.all(axis=1).sum()),
    }
    return np.stack([probability for probability, _ in found]), null


def _table(
    work: MolecularWork, gene: _Gene, model: str, probability: NDArray[np.float64]
) -> pa.Table:
    """Rows of `histograft.core.tables.PREDICTIONS`, by repeat and patient."""
    import numpy as np
    import pyarrow as pa

    rows = np.flatnonzero(gene.known)
    tested = ~work.only_fitted_on[rows]
    score = probability[:, tested]
    n_repeats, n = score.shape

    def text(words: list[str], codes: NDArray[Any]) -> pa.DictionaryArray:
        wide = np.broadcast_to(codes, score.shape).ravel().astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(wide), pa.array(words))

    units = text([work.patients[i] for i in rows[tested]], np.arange(n))
    classes, same = [WILD_TYPE, MUTATED], np.zeros(1, np.int32)
    columns = {
        "model": text([model], same), "dataset": text([work.dataset], same),
        "protocol": text([work.protocol], same),
        "repeat": pa.array(np.repeat(np.arange(n_repeats, dtype=np.int32), n)),
        "fold": pa.array(gene.plan.folds[:, tested].astype(np.int32).ravel()),
        "unit": units, "group": units, "target": text([gene.name], same),
        "class": text([MUTATED], same), "truth": text(classes, gene.status[tested]),
        "score": pa.array(score.ravel()), "predicted": text(classes, score > 0.5),
    }  # fmt: skip
    return pa.table({name: columns[name] for name in PREDICTIONS.column_names()})
