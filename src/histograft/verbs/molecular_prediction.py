"""Predict expression and mutations of patients, for several models on the same folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.executor import open_threads
from histograft.core.reporter import Reporter, counted
from histograft.verbs.expression_prediction import predict_expression
from histograft.verbs.feature_origins import tell_other_samples, tell_unlike
from histograft.verbs.molecular_targets import ALL, MolecularTables, read_targets
from histograft.verbs.molecular_work import MolecularWork
from histograft.verbs.mutation_prediction import predict_mutations
from histograft.verbs.patient_features import PatientFeatures

if TYPE_CHECKING:
    import pandas as pd

    from histograft.verbs.predict import Predict

DROPS = "drops.csv"
GENE = "gene"
NAMED = 9  # genes of a reason that are named, as many as the paper's


def predict_molecular(
    config: Predict,
    features: PatientFeatures,
    others: PatientFeatures | None,
    tables: MolecularTables,
    draft: Draft,
    reporter: Reporter,
) -> Artefact:
    """Predict each gene of each patient by machines that have not seen the patient.

    Parameters
    ----------
    config : Predict
        Folds, repeats, seed and the options of the machines.
    features : PatientFeatures
        Of the patients who are tested.
    others : PatientFeatures or None
        Of another cohort, to fit on; without it patients are tested among themselves.
    tables : MolecularTables
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

    Raises
    ------
    InputError
        Cohorts share patients, have other models or were embedded by other networks, or tables
        cannot be used.
    """
    from histograft.molecular.drops import DropList, join_drops

    warnings = _warnings(config, features, others)
    work = _join(config, features, others, tables, draft)
    for warning in warnings:
        reporter.warn(warning)
    for note in work.targets.notes:
        reporter.note(note)
    of_genes = DropList("prediction")
    predict = predict_mutations if work.targets.kind == "mutation" else predict_expression
    read = [features.drops, *([] if others is None else [others.drops]), work.targets.drops]
    _tell_drops(join_drops(read), reporter, all_genes=tables.genes == ALL)
    with open_threads(config.workers) as threads:
        found = predict(work, threads, of_genes, reporter)
    drops = join_drops([*read, of_genes.table()])
    with draft.writing(DROPS) as path:
        drops.to_csv(path, index=False)
    facts = _facts(work, drops) | found
    facts["notes"] += warnings
    if others is not None:
        facts |= {"fit_on": work.fit_on}
    return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


def _join(
    config: Predict,
    features: PatientFeatures,
    others: PatientFeatures | None,
    tables: MolecularTables,
    draft: Draft,
) -> MolecularWork:
    """Put those who are tested and those who are only fitted on under each other."""
    import numpy as np

    names, models = list(features.patients), features.models
    if others is not None:
        models = _stacked(features, others)
        names += others.patients
    targets = read_targets(tables, features.patients, [] if others is None else others.patients)
    row = {patient: index for index, patient in enumerate(names)}
    rows = np.array([row[patient] for patient in targets.values.index])
    fitted_on = rows >= len(features.patients)
    if others is not None and (fitted_on.all() or not fitted_on.any()):
        lacking = features.name if fitted_on.all() else others.name
        raise InputError(
            f"no patient of {lacking} has molecular values",
            "give tables that hold both cohorts (a folder of MAF files may), or those of --fit-on "
            "by --fit-mutations, --fit-sequenced or --fit-expression",
        )
    chosen = {model: table.to_numpy(np.float64)[rows] for model, table in models.items()}
    fit_on = "" if others is None else _name_of_other(config, features.name, others.name)
    return MolecularWork(config, features.name, chosen, targets, fitted_on, fit_on, draft)


def _warnings(
    config: Predict, features: PatientFeatures, others: PatientFeatures | None
) -> list[str]:
    """Say what does not go together, though it can be used."""
    models, warnings = list(features.models), []
    if others is not None:
        warnings += tell_unlike(features.origins, others.origins, models)
    return warnings + tell_other_samples(features.origins, models, config.sample_types)


def _name_of_other(config: Predict, tested: str, other: str) -> str:
    """Name the cohort fitted on so that it can be told from the one that is tested."""
    if other != tested:
        return other
    if config.name is None and config.fit_name is None:
        return "another cohort"  # tables of one model have one name in both folders
    raise InputError(f"both cohorts are called {other}", "give --name or --fit-name another name")


def _stacked(features: PatientFeatures, others: PatientFeatures) -> dict[str, pd.DataFrame]:
    """Put features of two cohorts under each other; columns are found by their names."""
    import pandas as pd

    if shared := sorted(set(features.patients) & set(others.patients)):
        raise InputError(
            f"{len(shared)} patient(s) are in --features and in --fit-on, such as {shared[0]}",
            "take them out of one of both",
        )
    stacked = {}
    for model, table in features.models.items():
        other = others.models[model]
        if unlike := table.columns.symmetric_difference(other.columns).tolist():
            raise InputError(
                f"{model}: {len(unlike)} feature(s) are not in both of --features "
                f"({table.shape[1]}) and --fit-on ({other.shape[1]}), such as {unlike[0]}",
                "make features of both cohorts by the same networks",
            )
        stacked[model] = pd.concat([table, other[table.columns]])
    return stacked


def _tell_drops(drops: pd.DataFrame, reporter: Reporter, *, all_genes: bool) -> None:
    """Count by reason what is not used; the whole table is written beside the predictions."""
    for what, n in _counted(drops).items():
        kind, _, why = what.partition(" ")
        tell = reporter.note if all_genes or kind != GENE else reporter.warn
        tell(f"left out: {counted(n, kind)} {why}")


def _counted(drops: pd.DataFrame) -> dict[str, int]:
    """Count by kind and reason; genes are few enough, and dear enough, to be named."""
    found = {}
    for (kind, reason), rows in drops.groupby(["kind", "reason"], sort=False):
        why = f"{reason}: {_named(rows['name'])}" if kind == GENE else str(reason)
        found[f"{kind} ({why})"] = int(rows["count"].sum())
    return found


def _named(names: pd.Series[str]) -> str:
    """Name some, and how many more there are."""
    different = list(dict.fromkeys(names))
    more = f" and {len(different) - NAMED:,} more" if len(different) > NAMED else ""
    return ", ".join(different[:NAMED]) + more


def _facts(work: MolecularWork, drops: pd.DataFrame) -> dict[str, Any]:
    n = int((~work.only_fitted_on).sum())
    return {
        "dataset": work.dataset,
        "protocol": work.protocol,
        "task": work.targets.kind,
        "target": work.targets.kind,
        "models": list(work.features),
        "genes": int(work.targets.values.shape[1]),
        "gene_hash": work.targets.gene_hash,
        "n_units": n,
        "n_groups": n,
        "ci_unit": "patient",
        "notes": list(work.targets.notes),
        "drops": _counted(drops),
    }
