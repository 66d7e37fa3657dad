"""Predict classes from features: repeated cross-validation, or fit on one set, test on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, claim, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.files import written_atomically
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import child_seed
from histograft.core.tables import PREDICTIONS
from histograft.verbs.feature_sets import FeatureSet, rows_to_test

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.folds import FoldPlan

VERSION = 1
TABLE = "predictions.parquet"


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Predict the class of each patch from its features, for several models on the same folds.

    Attributes
    ----------
    features : tuple of Path
        Features artefacts of one data set; all their models are compared on the same patches.
    out : Path
        Folder of the predictions artefact; new, empty, or of the same unfinished run.
    fit_on : tuple of Path
        Features artefacts to fit on, with the same models: fit once there, test once here.
        Without them: cross-validation within `features`.
    models : tuple of str
        Models to use; all by default.
    rows : str
        "auto": test rows where the networks were tuned on this set, else all; or "all", "test".
    probe : str
        svc (linear, squared hinge), logistic, or knn (10 nearest neighbors); features are
        standardized on the training folds.
    c : float
        Inverse regularization of svc and logistic.
    neighbors : int
        Neighbors of knn.
    folds : int
        Folds of the cross-validation.
    repeats : int
        Repeats of the cross-validation.
    groups : bool
        Keep groups together in folds where they are known; --no-groups is printed in the report.
    target : str
        What is predicted, for tables and figures.
    seed : int
        Seed of the folds.
    """

    features: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    fit_on: Annotated[tuple[Path, ...], Role.INPUT] = ()
    models: tuple[str, ...] = ()
    rows: Literal["auto", "all", "test"] = "auto"
    probe: Literal["svc", "logistic", "knn"] = "svc"
    c: float | None = None
    neighbors: int = 10
    folds: int = 5
    repeats: int = 50
    groups: bool = True
    target: str = "tissue"
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(self.folds, 2, "folds")
        require_at_least(self.repeats, 1, "repeats")
        require_at_least(self.neighbors, 1, "neighbors")
        require_at_least(self.seed, 0, "seed")
        if self.c is not None and not self.c > 0:
            raise InputError(f"--c is {self.c}", "give more than 0")
        if not self.features:
            raise InputError("no features are given", "give one or more features artefacts")


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"probe": "svc", "c": 1.0, "folds": 5, "repeats": 50},
    "recommended": {},
}


def predict(config: Predict, reporter: Reporter = SILENT) -> Artefact:
    """Make a predictions artefact.

    Parameters
    ----------
    config : Predict
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``predictions``.

    Raises
    ------
    InputError
        Features do not belong together, a network has seen what it would be tested on, or fewer
        than two classes have enough units.
    ArtefactError
        The folder is taken, or cannot be written, or features are damaged.
    """
    tested = [open_artefact(path, "features") for path in config.features]
    fitted = [open_artefact(path, "features") for path in config.fit_on]
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    inputs = [a.as_input("features") for a in tested] + [a.as_input("fit_on") for a in fitted]
    identity = Identity("predictions", "predict", VERSION, settings, tuple(inputs), config.seed)
    draft = claim(config.out, identity)
    if isinstance(draft, Artefact):
        reporter.note(f"the predictions are there already ({draft.path})")
        return draft
    with draft:
        test = FeatureSet.of(tested, config.models)
        if fitted:
            return _external(config, test, FeatureSet.of(fitted, config.models), draft, reporter)
        return _cross_validate(config, test, draft, reporter)


def _cross_validate(
    config: Predict, data: FeatureSet, draft: Draft, reporter: Reporter
) -> Artefact:
    import numpy as np

    from histograft.stats.folds import plan_folds

    rows = rows_to_test(data, config.rows, reporter)
    index = data.index[rows].reset_index(drop=True)
    _refuse_multilabel(index)
    labels = index["label"].to_numpy(str)
    grouped = config.groups and bool(index["group"].duplicated().any())
    if not config.groups:
        reporter.warn(f"{data.name}: --no-groups: patches of one group are on both sides of folds")
    elif not grouped:
        reporter.note(f"{data.name}: no two patches share a known group; folds are over patches")
    plan = plan_folds(
        labels,
        index["group"].to_numpy(str) if grouped else None,
        n_folds=config.folds,
        n_repeats=config.repeats,
        seed=child_seed(config.seed, "folds", data.name),
    )
    for name, reason in plan.left_out.items():
        reporter.warn(f"{data.name}: class {name} is left out of the cross-validation ({reason})")
    kept = plan.folds[plan.folds >= 0].reshape(plan.n_repeats, -1)
    largest = max(int(np.bincount(folds).max()) for folds in kept)
    _refuse_too_many_neighbors(config, kept.shape[1] - largest)
    classes = sorted(set(labels[plan.folds[0] >= 0]))
    truth = np.searchsorted(classes, labels).astype(np.int16)
    with reporter.task(
        f"{data.name}: {config.folds}-fold cross-validation",
        len(data.models) * config.repeats,
    ) as task:
        tables = [
            _model_table(model, index, classes, plan, config, repeats)
            for model in data.models
            for repeats in [
                _repeats(model, data.features(model, rows), truth, plan, config, draft, task)
            ]
        ]
    facts = _facts(config, data, index, classes) | {
        "protocol": "cv",
        "folds": config.folds,
        "repeats": config.repeats,
        "grouped": grouped,
        "left_out": plan.left_out,
        "rows": "test" if len(index) < len(data.index) else "all",
    }
    return _write(draft, tables, facts)


def _repeats(
    model: str,
    features: NDArray[np.float32],
    truth: NDArray[np.int16],
    plan: FoldPlan,
    config: Predict,
    draft: Draft,
    task: Any,
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Predict all repeats of one model, (R, N) each; finished repeats of a killed run are kept."""
    import numpy as np

    from histograft.stats.crossval import predict_repeat

    predicted = np.full(plan.folds.shape, -1, dtype=np.int16)
    score = np.full(plan.folds.shape, np.nan)
    for repeat in range(plan.n_repeats):
        file = draft.work / f"{model}-{repeat:04d}.npz"
        if file.is_file():
            with np.load(file) as saved:
                predicted[repeat], score[repeat] = saved["predicted"], saved["score"]
        else:
            predicted[repeat], score[repeat] = predict_repeat(
                features, truth, plan.folds[repeat], _probe(config)
            )
            with written_atomically(file) as path:
                np.savez(path, predicted=predicted[repeat], score=score[repeat])
        task.advance(1, model)
    return predicted, score


def _probe(config: Predict) -> Callable[[], Any]:
    from functools import partial

    from histograft.stats.probes import make_probe

    options: dict[str, Any] = {"n_neighbors": config.neighbors}
    if config.c is not None:
        options["C"] = config.c
    return partial(make_probe, config.probe, **options)


def _model_table(
    model: str,
    index: pd.DataFrame,
    classes: list[str],
    plan: FoldPlan,
    config: Predict,
    repeats: tuple[NDArray[np.int16], NDArray[np.float64]],
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    predicted, score = repeats
    kept = plan.folds[0] >= 0
    units = index[kept]
    n_repeats, n = plan.n_repeats, int(kept.sum())
    names = np.array(classes)[predicted[:, kept]].ravel()
    table = pd.DataFrame(
        {
            "repeat": np.repeat(np.arange(n_repeats), n),
            "fold": plan.folds[:, kept].ravel(),
            "class": names,
            "score": score[:, kept].ravel(),
            "predicted": names,
        }
    )
    for column, source in (("unit", "patch_id"), ("group", "group"), ("truth", "label")):
        table[column] = np.tile(units[source].to_numpy(object), n_repeats)
    return _labeled(table, model, units["dataset"].iloc[0], "cv", config.target)


def _labeled(
    table: pd.DataFrame, model: str, dataset: str, protocol: str, target: str
) -> pd.DataFrame:
    table = table.assign(model=model, dataset=dataset, protocol=protocol, target=target)
    return table[PREDICTIONS.column_names()]


def _external(
    config: Predict, test: FeatureSet, fit: FeatureSet, draft: Draft, reporter: Reporter
) -> Artefact:
    """Fit on one set and test once on another, or on training and test rows of one set."""
    import numpy as np
    import pandas as pd

    from histograft.stats.crossval import predict_external

    same = fit.name == test.name and fit.index["patch_id"].equals(test.index["patch_id"])
    rows = rows_to_test(test, "test" if same else config.rows, reporter)
    fit_rows = (fit.index["split"] != "test").to_numpy(bool) | (not same)
    index, fit_index = test.index[rows], fit.index[fit_rows]
    _refuse_multilabel(index)
    _refuse_shared_groups(fit_index, index, test.name)
    _refuse_too_many_neighbors(config, len(fit_index))
    classes = sorted(set(fit_index["label"]))
    if strange := sorted(set(index["label"]) - set(classes)):
        raise InputError(
            f"{test.name} has classes that {fit.name} lacks: {', '.join(strange)}",
            "give both sets the same class names, or use cross-validation",
        )
    if lacking := [model for model in test.models if model not in fit.models]:
        raise InputError(
            f"{fit.name} has no features of {', '.join(lacking)}", "embed it with them"
        )
    tables = []
    with reporter.task(f"{test.name}: fitted on {fit.name}", len(test.models)) as task:
        for model in test.models:
            predicted, score = predict_external(
                fit.features(model, fit_rows),
                np.searchsorted(classes, fit_index["label"].to_numpy(str)).astype(np.int16),
                test.features(model, rows),
                _probe(config),
            )
            names = np.array(classes)[predicted]
            table = pd.DataFrame(
                {
                    "repeat": 0, "fold": 0, "unit": index["patch_id"].to_numpy(object),
                    "group": index["group"].to_numpy(object), "class": names,
                    "truth": index["label"].to_numpy(object), "score": score, "predicted": names,
                }
            )  # fmt: skip
            tables.append(_labeled(table, model, test.name, "external", config.target))
            task.advance(1, model)
    facts = _facts(config, test, index, classes) | {
        "protocol": "external",
        "fit_on": fit.name,
        "n_fit": int(fit_rows.sum()),
        "rows": "test" if len(index) < len(test.index) else "all",
    }
    return _write(draft, tables, facts)


def _refuse_too_many_neighbors(config: Predict, n_fit: int) -> None:
    if config.probe == "knn" and config.neighbors > n_fit:
        raise InputError(
            f"--neighbors is {config.neighbors}, but there are only {n_fit} patches to fit on",
            f"give {n_fit} or less",
        )


def _refuse_multilabel(index: pd.DataFrame) -> None:
    if index["label"].str.contains("|", regex=False).any():
        raise InputError(
            "patches with several labels cannot be classified by a linear probe",
            "train a network on them (histograft train), which handles several labels",
        )


def _refuse_shared_groups(fit: pd.DataFrame, test: pd.DataFrame, name: str) -> None:
    """Refuse one group on both sides; of two sets, one image: "patient 1" occurs in many sets."""
    if fit["dataset"].iloc[0] != test["dataset"].iloc[0]:
        fit, test = (rows[rows["group_source"] == "image"] for rows in (fit, test))
    if shared := sorted(set(fit["group"]) & set(test["group"])):
        raise InputError(
            f"{name}: {len(shared)} group(s) are in the training and in the test rows, "
            f"such as {shared[0]}",
            "split by group (histograft standardize does), or take them out of one of the sets",
        )


def _facts(
    config: Predict, data: FeatureSet, index: pd.DataFrame, classes: list[str]
) -> dict[str, Any]:
    known = bool((index["group_source"] != "image").any())
    several = bool(index["group"].duplicated().any())
    kept = index["label"].isin(classes)
    return {
        "dataset": data.name,
        "target": config.target,
        "models": list(data.models),
        "classes": list(classes),
        "probe": config.probe,
        "n_units": int(kept.sum()),
        "n_groups": int(index.loc[kept, "group"].nunique()),
        "largest_class": float(index.loc[kept, "label"].value_counts(normalize=True).iloc[0]),
        "ci_unit": "group" if known else "image" if several else "patch",
        "no_groups": not config.groups,
    }


def _write(draft: Draft, tables: list[pd.DataFrame], facts: dict[str, Any]) -> Artefact:
    import pandas as pd

    table = pd.concat([t.astype(object) for t in tables], ignore_index=True)
    numbers = {"repeat": "int32", "fold": "int32", "score": "float64"}
    # Names stand in every row of every repeat: as categories they cost next to nothing.
    table = table.astype({name: numbers.get(name, "category") for name in table.columns})
    with draft.writing(TABLE) as path:
        table.to_parquet(path, index=False)
    return draft.finish(facts)
