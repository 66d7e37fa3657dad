"""Test each unit in repeated cross-validation, for several models on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft
from histograft.core.executor import available_cores, map_in_order, open_threads
from histograft.core.files import written_atomically
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed
from histograft.verbs.audit import near_pairs_in_two_groups
from histograft.verbs.feature_sets import FeatureSet, rows_to_test
from histograft.verbs.prediction_files import (
    labeled,
    prediction_facts,
    probe_of,
    refuse_multilabel,
    refuse_too_many_neighbors,
    write_predictions,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.folds import FoldPlan
    from histograft.verbs.predict import Predict


def cross_validate(config: Predict, data: FeatureSet, draft: Draft, reporter: Reporter) -> Artefact:
    """Predict every unit once a repeat, by probes that have not seen its group."""
    import numpy as np

    rows = rows_to_test(data, config.rows, reporter)
    index = data.index[rows].reset_index(drop=True)
    refuse_multilabel(index)
    shared = _with_copies_joined(config, index, data.name, reporter)
    labels = index["label"].to_numpy(str)
    plan = _plan(config, index, data.name, reporter)
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
    facts = prediction_facts(config, data, index, classes) | {
        "protocol": "cv",
        "folds": config.folds,
        "repeats": config.repeats,
        "grouped": plan.grouped,
        "left_out": plan.left_out,
        "shared": shared,
        "rows": "test" if len(index) < len(data.index) else "all",
    }
    return write_predictions(config, draft, tables, facts)


def _with_copies_joined(
    config: Predict, index: pd.DataFrame, name: str, reporter: Reporter
) -> dict[str, int]:
    """Join, in place, groups that hold copies of one image, and count what groups share."""
    from histograft.stats.folds import join_groups

    exact = int((index.groupby("source_sha256")["group"].nunique() > 1).sum())
    if exact and config.groups:
        reporter.warn(f"{name}: {exact} image(s) occur in several groups, which are kept together")
        index["group"] = join_groups(index["group"], index["source_sha256"])
    near = near_pairs_in_two_groups(index)
    if near:
        reporter.warn(
            f"{name}: {near} pair(s) of near duplicate patches are in different groups, "
            "so they can be on both sides of a fold"
        )
    return {"exact": exact, "near": near}


def _plan(config: Predict, index: pd.DataFrame, name: str, reporter: Reporter) -> FoldPlan:
    import numpy as np

    from histograft.stats.folds import plan_folds

    grouped = config.groups and bool(index["group"].duplicated().any())
    if not config.groups:
        reporter.warn(f"{name}: --no-groups: patches of one group are on both sides of folds")
    elif not grouped:
        reporter.note(f"{name}: no two patches share a known group; folds are over patches")
    plan = plan_folds(
        index["label"].to_numpy(str),
        index["group"].to_numpy(str) if grouped else None,
        n_folds=config.folds,
        n_repeats=config.repeats,
        seed=child_seed(config.seed, "folds", name),
    )
    for label, reason in plan.left_out.items():
        reporter.warn(f"{name}: class {label} is left out of the cross-validation ({reason})")
    kept = plan.folds[plan.folds >= 0].reshape(plan.n_repeats, -1)
    largest = max(int(np.bincount(folds).max()) for folds in kept)
    refuse_too_many_neighbors(config, kept.shape[1] - largest)
    return plan


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

    def saved(repeat: int) -> Path:
        return draft.work / f"{model}-{repeat:04d}.npz"

    def one(repeat: int) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
        file = saved(repeat)
        if file.is_file():
            with np.load(file) as kept:
                return kept["predicted"], kept["score"]
        folds = plan.folds[repeat]
        predicted, score = predict_repeat(features, truth, folds, probe_of(config), start)
        with written_atomically(file) as path:
            np.savez(path, predicted=predicted, score=score)
        return predicted, score

    missing = not all(saved(repeat).is_file() for repeat in range(plan.n_repeats))
    start = _start(features, truth, plan, config) if missing else {}
    found = []
    with open_threads(config.workers) as threads:
        for result in map_in_order(threads, one, range(plan.n_repeats), window=available_cores()):
            found.append(result)
            task.advance(1, model)
    return np.stack([p for p, _ in found]), np.stack([s for _, s in found])


def _start(
    features: NDArray[np.float32], truth: NDArray[np.int16], plan: FoldPlan, config: Predict
) -> dict[str, Any]:
    """Fit all units once: from there the exact machine of a fold is a few steps away."""
    import numpy as np

    kept = plan.folds[0] >= 0
    if config.probe != "svc" or not np.isfinite(features[kept]).all():
        return {}
    machine = probe_of(config)().fit(features[kept].astype(np.float64), truth[kept])
    return {"probe__start": machine.named_steps["probe"]}


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
    return labeled(table, model, units["dataset"].iloc[0], "cv", config.target)
