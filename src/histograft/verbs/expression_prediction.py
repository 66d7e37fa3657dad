"""Predict the expression of patients: all genes of a fold share one kernel matrix."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.executor import available_cores, map_in_order
from histograft.core.files import written_atomically
from histograft.core.reporter import Reporter
from histograft.verbs.molecular_work import MolecularWork, describe_plan
from histograft.verbs.value_files import VALUES, ValueTable, genes_at_once, write_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.molecular.drops import DropList
    from histograft.stats.folds import FoldPlan


def predict_expression(
    work: MolecularWork, threads: Executor, drops: DropList, reporter: Reporter
) -> dict[str, Any]:
    """Predict all genes by support vector regression and write ``values.parquet``.

    Parameters
    ----------
    work : MolecularWork
        Patients, features and values.
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
    """
    truth = _values(work, drops, reporter)
    plan = work.plan_values()
    _predict_repeats(work, truth, plan, threads, reporter)
    with work.draft.writing(VALUES) as path:
        write_values(path, _tables(work, truth, plan, drops))
    return describe_plan(work, plan) | {"left_out": {}}


def _values(work: MolecularWork, drops: DropList, reporter: Reporter) -> NDArray[np.float64]:
    """Return values (N, G); genes that do not vary at all stay, as genes without a prediction."""
    import numpy as np

    values = work.targets.values
    truth = values.to_numpy(np.float64)
    flat = ~(values.max() > values.min()).to_numpy()
    for gene in values.columns[flat]:
        drops.add("gene", str(gene), "no-variance", "all patients have one value")
    if flat.all():
        raise InputError(
            f"none of {len(flat)} gene(s) varies between {len(truth)} patients",
            "take other genes, or more patients",
        )
    if flat.any():
        reporter.warn(f"{int(flat.sum()):,} gene(s) do not vary and are not predicted")
    return truth


def _predict_repeats(
    work: MolecularWork,
    truth: NDArray[np.float64],
    plan: FoldPlan,
    threads: Executor,
    reporter: Reporter,
) -> None:
    """Predict repeat by repeat into files, which a killed run finds again."""
    import numpy as np

    from histograft.stats.molecular_cv import predict_values
    from histograft.stats.svr import RSVR

    machine = RSVR(constant_columns=work.config.constant_columns)
    tested = ~work.only_fitted_on

    def one(task: tuple[str, int]) -> None:
        model, repeat = task
        file = work.saved(model, repeat, ending=".npy")
        if file.is_file():
            return
        predicted = predict_values(
            work.features[model],
            truth,
            plan.folds[repeat],
            machine=machine,
            tested=work.tested_folds,
        )
        with written_atomically(file) as path, path.open("wb") as stream:
            # Gene by gene, as they are read.
            np.save(stream, np.ascontiguousarray(predicted[tested].T, np.float32))

    tasks = [(model, repeat) for model in work.features for repeat in range(plan.n_repeats)]
    title = f"{work.dataset}: expression of {truth.shape[1]:,} genes"
    with reporter.task(title, len(tasks)) as task:
        done = map_in_order(threads, one, tasks, window=available_cores())
        for (model, _), _ in zip(tasks, done, strict=True):
            task.advance(1, model)


def _tables(
    work: MolecularWork, truth: NDArray[np.float64], plan: FoldPlan, drops: DropList
) -> Iterator[ValueTable]:
    """Yield tables of some genes each: all of them at once need not fit into memory."""
    import numpy as np

    tested = ~work.only_fitted_on
    units = [name for name, is_tested in zip(work.patients, tested, strict=True) if is_tested]
    genes = [str(gene) for gene in work.targets.values.columns]
    folds, known = plan.folds[:, tested], truth[tested].astype(np.float32)
    step = genes_at_once(plan.n_repeats, len(units))
    for model in work.features:
        files = [
            np.load(work.saved(model, repeat, ending=".npy"), mmap_mode="r")
            for repeat in range(plan.n_repeats)
        ]
        for start in range(0, len(genes), step):
            part = slice(start, start + step)
            predicted = np.stack([file[part].T for file in files])
            table = ValueTable(
                model, work.dataset, work.protocol, units, genes[part], folds, known[:, part],
                predicted,
            )  # fmt: skip
            _note_lacking(table, drops)
            if np.isfinite(table.truth).any():
                yield table


def _note_lacking(table: ValueTable, drops: DropList) -> None:
    """Write down genes without truth, and those that do not vary in some training set."""
    import numpy as np

    known: NDArray[np.bool_] = np.isfinite(table.truth)
    lacking: NDArray[np.bool_] = np.any(np.isnan(table.predicted) & known, axis=1)  # R, G
    for g, gene in enumerate(table.targets):
        values = table.truth[known[:, g], g]
        if not len(values):
            drops.add("gene", gene, "no-value-tested", table.model)
        elif lacking[:, g].any() and values.max() > values.min():
            detail = f"{table.model}: in {int(lacking[:, g].sum())} of {len(lacking)} repeats"
            drops.add("gene", gene, "no-variance-in-training", detail)
