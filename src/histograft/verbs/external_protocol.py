"""Fit on one set and test once on another, or on the test rows of the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact, Draft
from histograft.core.errors import InputError
from histograft.core.executor import open_threads
from histograft.core.reporter import Reporter
from histograft.core.units import SCANNER_TOLERANCE
from histograft.verbs.audit import shared_between
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
    import pandas as pd

    from histograft.verbs.predict import Predict


def evaluate_externally(
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
    refuse_multilabel(index)
    _refuse_shared_groups(fit_index, index, test.name)
    shared = shared_between(fit_index, index)
    _refuse_shared_images(shared, fit.name, test.name)
    if shared["names"]:
        reporter.warn(
            f"{shared['names']} group name(s) occur in both {fit.name} and {test.name}: if these "
            "are the same patients, they are on both sides"
        )
    _tell_scales(fit_index, index, fit.name, test.name, reporter)
    refuse_too_many_neighbors(config, len(fit_index))
    classes = sorted(set(fit_index["label"]))
    _refuse_what_the_fit_lacks(set(index["label"]), classes, test, fit)
    truth = np.searchsorted(classes, fit_index["label"].to_numpy(str)).astype(np.int16)
    tables = []
    with (
        open_threads(1),
        reporter.task(f"{test.name}: fitted on {fit.name}", len(test.models)) as task,
    ):
        for model in test.models:
            known, unknown = fit.features(model, fit_rows), test.features(model, rows)
            predicted, score = predict_external(known, truth, unknown, probe_of(config))
            names = np.array(classes)[predicted]
            table = pd.DataFrame(
                {
                    "repeat": 0, "fold": 0, "unit": index["patch_id"].to_numpy(object),
                    "group": index["group"].to_numpy(object), "class": names,
                    "truth": index["label"].to_numpy(object), "score": score, "predicted": names,
                }
            )  # fmt: skip
            tables.append(labeled(table, model, test.name, "external", config.target))
            task.advance(1, model)
    facts = prediction_facts(config, test, index, classes) | {
        "protocol": "external",
        "fit_on": config.name or fit.name if same else fit.name,
        "held_out": same,
        "n_fit": int(fit_rows.sum()),
        "shared": shared,
        "rows": "test" if len(index) < len(test.index) else "all",
    }
    return write_predictions(config, draft, tables, facts)


def _refuse_what_the_fit_lacks(
    tested: set[str], classes: list[str], test: FeatureSet, fit: FeatureSet
) -> None:
    if strange := sorted(tested - set(classes)):
        raise InputError(
            f"{test.name} has classes that {fit.name} lacks: {', '.join(strange)}",
            "give both sets the same class names, or use cross-validation",
        )
    if lacking := [model for model in test.models if model not in fit.models]:
        raise InputError(
            f"{fit.name} has no features of {', '.join(lacking)}", "embed it with them"
        )


def _refuse_shared_groups(fit: pd.DataFrame, test: pd.DataFrame, name: str) -> None:
    """Refuse one group on both sides of one set: "patient 1" occurs in many sets."""
    if fit["dataset"].iloc[0] != test["dataset"].iloc[0]:
        return
    if shared := sorted(set(fit["group"]) & set(test["group"])):
        raise InputError(
            f"{name}: {len(shared)} group(s) are in the training and in the test rows, "
            f"such as {shared[0]}",
            "split by group (histograft standardize does), or take them out of one of the sets",
        )


def _refuse_shared_images(shared: dict[str, int], fit: str, test: str) -> None:
    if shared["exact"]:
        raise InputError(
            f"{test}: {shared['exact']} image(s) of its tested rows are also among those of {fit} "
            "that are fitted on",
            "take them out of one of the sets",
        )


def _tell_scales(
    fit: pd.DataFrame, test: pd.DataFrame, fit_name: str, test_name: str, reporter: Reporter
) -> None:
    """Warn where the patches fitted on show tissue at another scale than those tested."""
    scales = [table["mpp"].dropna() for table in (fit, test)]
    if any(known.empty for known in scales):
        return
    one, other = (float(known.median()) for known in scales)
    if abs(one / other - 1) > SCANNER_TOLERANCE:
        reporter.warn(
            f"{fit_name} has {one:g} µm/px, {test_name} {other:g}: standardize both to one scale "
            "unless this is meant"
        )
