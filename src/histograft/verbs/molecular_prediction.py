"""Predict expression and mutations of patients: repeated cross-validation on the same folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.executor import available_cores, map_in_order, open_threads
from histograft.core.files import written_atomically
from histograft.core.reporter import Reporter, Task
from histograft.core.seeds import child_seed
from histograft.core.tables import PREDICTIONS
from histograft.verbs.molecular_targets import Targets
from histograft.verbs.patient_features import PatientFeatures
from histograft.verbs.prediction_files import TABLE
from histograft.verbs.value_files import VALUES, ValueTable, write_values

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.folds import FoldPlan
    from histograft.verbs.predict import Predict

DROPS = "drops.csv"
MUTATED, WILD_TYPE = "mutated", "wild type"


def predict_molecular(
    config: Predict, features: PatientFeatures, targets: Targets, draft: Draft, reporter: Reporter
) -> Artefact:
    """Predict each gene of each patient by machines that have not seen the patient.

    Parameters
    ----------
    config : Predict
        Folds, repeats, seed and the options of the machines.
    features : PatientFeatures
        Features by model.
    targets : Targets
        What is predicted.
    draft : Draft
        Of kind ``predictions``.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        With ``predictions.parquet`` (mutation) or ``values.parquet`` (expression), and
        ``drops.csv``.
    """
    for note in targets.notes:
        reporter.note(note)
    _tell_drops(targets, reporter)
    row = {patient: index for index, patient in enumerate(features.patients)}
    rows = [row[patient] for patient in targets.values.index]
    tables = {model: values[rows] for model, values in features.models.items()}
    with draft.writing(DROPS) as path:
        targets.drops.to_csv(path, index=False)
    work = _Work(config, features.name, tables, targets, draft)
    with open_threads(config.workers) as threads:
        found = (
            _mutations(work, threads, reporter)
            if targets.kind == "mutation"
            else _expression(work, threads, reporter)
        )
    facts = _facts(config, features, targets) | found
    return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


@dataclass(frozen=True)
class _Work:
    """What both kinds of targets need."""

    config: Predict
    dataset: str
    features: dict[str, NDArray[np.float64]]
    targets: Targets
    draft: Draft

    @property
    def patients(self) -> list[str]:
        return [str(name) for name in self.targets.values.index]


def _expression(work: _Work, threads: Any, reporter: Reporter) -> dict[str, Any]:
    """Predict all genes by SVR; genes of one fold share a kernel matrix."""
    import numpy as np

    from histograft.stats.folds import plan_unstratified_folds
    from histograft.stats.molecular_cv import predict_values
    from histograft.stats.svr import RSVR

    config = work.config
    truth = work.targets.values.to_numpy(np.float64)
    plan = plan_unstratified_folds(
        len(truth),
        n_folds=config.folds,
        n_repeats=config.repeats,
        seed=child_seed(config.seed, "folds", "expression"),
    )
    machine = RSVR(constant_columns=config.constant_columns)

    def one(task: tuple[str, int]) -> None:
        model, repeat = task
        file = _saved(work, f"{model}-{repeat:04d}")
        if not file.is_file():
            values = predict_values(
                work.features[model], truth, plan.folds[repeat], machine=machine
            )
            with written_atomically(file) as path:
                np.save(path, values.astype(np.float32))

    tasks = [(model, repeat) for model in work.features for repeat in range(config.repeats)]
    title = f"{work.dataset}: expression of {truth.shape[1]:,} genes"
    with reporter.task(title, len(tasks)) as task:
        for (model, _), _ in zip(
            tasks, map_in_order(threads, one, tasks, window=available_cores()), strict=True
        ):
            task.advance(1, model)
    with work.draft.writing(VALUES) as path:
        write_values(path, _value_tables(work, plan))
    return {"left_out": {}}


def _value_tables(work: _Work, plan: FoldPlan) -> Iterator[ValueTable]:
    import numpy as np

    genes = [str(gene) for gene in work.targets.values.columns]
    truth = work.targets.values.to_numpy(np.float32)
    for model in work.features:
        predicted = np.stack(
            [np.load(_saved(work, f"{model}-{repeat:04d}")) for repeat in range(plan.n_repeats)]
        )
        yield ValueTable(
            model, work.dataset, "cv", work.patients, genes, plan.folds, truth, predicted
        )


def _mutations(work: _Work, threads: Any, reporter: Reporter) -> dict[str, Any]:
    """Predict each gene by lasso, over the patients in whom it is known."""
    import pandas as pd

    plans, left_out = _mutation_plans(work)
    for gene, reason in left_out.items():
        reporter.warn(f"{gene} is left out ({reason})")
    if not plans:
        raise InputError(
            "no gene has enough patients with and without a mutation",
            f"take fewer folds than {work.config.folds}, other genes, or more patients",
        )
    tasks = [(model, gene) for model in work.features for gene in plans]
    title = f"{work.dataset}: mutation of {len(plans)} genes"
    with reporter.task(title, len(tasks) * work.config.repeats) as task:
        parts = [_one_gene(work, plans[gene], model, gene, threads, task) for model, gene in tasks]
    names = {"repeat": "int32", "fold": "int32", "score": "float64"}
    table = pd.concat([part for part, _ in parts], ignore_index=True)
    table = table.astype({name: names.get(name, "category") for name in table.columns})
    with work.draft.writing(TABLE) as path:
        table.to_parquet(path, index=False)
    nulls: dict[str, dict[str, int]] = {}
    for (model, gene), (_, n_null) in zip(tasks, parts, strict=True):
        nulls.setdefault(gene, {})[model] = n_null
    return {"left_out": left_out, "null_models": nulls}


def _mutation_plans(work: _Work) -> tuple[dict[str, FoldPlan], dict[str, str]]:
    """Folds of each gene, the same for all models; genes with too few patients of a kind."""
    import numpy as np

    from histograft.stats.folds import plan_folds

    config, plans, left_out = work.config, {}, {}
    for gene in work.targets.values.columns:
        status = work.targets.values[gene].to_numpy(np.float64)
        known = np.isfinite(status)
        counts = {WILD_TYPE: int((status == 0).sum()), MUTATED: int((status == 1).sum())}
        few = [
            f"{n} {kind} for {config.folds} folds" for kind, n in counts.items() if n < config.folds
        ]
        if few:
            left_out[str(gene)] = few[0]
            continue
        labels = np.where(status == 1, MUTATED, WILD_TYPE)[known]
        plans[str(gene)] = plan_folds(
            labels,
            n_folds=config.folds,
            n_repeats=config.repeats,
            seed=child_seed(config.seed, "folds", str(gene)),
        )
    return plans, left_out


def _one_gene(
    work: _Work, plan: FoldPlan, model: str, gene: str, threads: Any, task: Task
) -> tuple[pd.DataFrame, int]:
    """Predictions of one gene by one model in all repeats, and how many fits chose nothing."""
    import numpy as np
    import pandas as pd

    from histograft.stats.molecular_cv import predict_status

    status = work.targets.values[gene].to_numpy(np.float64)
    known = np.isfinite(status)
    features, truth = work.features[model][known], status[known] == 1

    def one(repeat: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        file = _saved(work, f"{model}-{gene}-{repeat:04d}", "npz")
        if file.is_file():
            with np.load(file) as saved:
                return saved["probability"], saved["chosen"]
        seed = child_seed(work.config.seed, "inner folds", gene, str(repeat))
        probability, chosen = predict_status(
            features, truth, plan.folds[repeat], rule=work.config.lasso_rule, seed=seed
        )
        with written_atomically(file) as path:
            np.savez(path, probability=probability, chosen=chosen)
        return probability, chosen

    found = []
    for result in map_in_order(threads, one, range(plan.n_repeats), window=available_cores()):
        found.append(result)
        task.advance(1, f"{model}, {gene}")
    n, repeats = int(known.sum()), plan.n_repeats
    score = np.concatenate([probability for probability, _ in found])
    units = np.tile(np.array(work.patients, dtype=object)[known], repeats)
    table = pd.DataFrame(
        {
            "model": model, "dataset": work.dataset, "protocol": "cv",
            "repeat": np.repeat(np.arange(repeats), n), "fold": plan.folds.ravel(),
            "unit": units, "group": units, "target": gene, "class": MUTATED,
            "truth": np.tile(np.where(truth, MUTATED, WILD_TYPE), repeats), "score": score,
            "predicted": np.where(score > 0.5, MUTATED, WILD_TYPE),
        }
    )  # fmt: skip
    return table[PREDICTIONS.column_names()], int(sum((c == 0).sum() for _, c in found))


def _saved(work: _Work, name: str, ending: str = "npy") -> Any:
    return work.draft.work / f"{name}.{ending}"


def _tell_drops(targets: Targets, reporter: Reporter) -> None:
    """Count by reason what is not used; the whole table is written beside the predictions."""
    for (kind, reason), rows in targets.drops.groupby(["kind", "reason"], sort=False):
        reporter.note(f"left out: {int(rows['count'].sum()):,} {kind} ({reason})")


def _facts(config: Predict, features: PatientFeatures, targets: Targets) -> dict[str, Any]:
    return {
        "dataset": features.name,
        "protocol": "cv",
        "task": targets.kind,
        "target": targets.kind,
        "models": list(features.models),
        "genes": int(targets.values.shape[1]),
        "gene_hash": targets.gene_hash,
        "n_units": len(targets.values),
        "n_groups": len(targets.values),
        "ci_unit": "patient",
        "folds": config.folds,
        "repeats": config.repeats,
        "notes": list(targets.notes),
        "drops": {
            f"{kind}: {reason}": int(rows["count"].sum())
            for (kind, reason), rows in targets.drops.groupby(["kind", "reason"], sort=False)
        },
    }
