"""What both protocols share: the probe, the table of predictions, its facts and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.tables import PREDICTIONS
from histograft.verbs.feature_sets import FeatureSet

if TYPE_CHECKING:
    import pandas as pd

    from histograft.verbs.predict import Predict

TABLE = "predictions.parquet"


def labeled(
    table: pd.DataFrame, model: str, dataset: str, protocol: str, target: str
) -> pd.DataFrame:
    """Complete a table of predictions with what is the same in all its rows."""
    table = table.assign(model=model, dataset=dataset, protocol=protocol, target=target)
    return table[PREDICTIONS.column_names()]


def prediction_facts(
    config: Predict, data: FeatureSet, index: pd.DataFrame, classes: list[str]
) -> dict[str, Any]:
    """Say what was tested, for the manifest: counts, classes and the resampling unit."""
    known = float((index["group_source"] != "image").mean())
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
        "groups_known": known,
        "ci_unit": _resampled(known, several=several),
        "no_groups": not config.groups,
    }


def _resampled(known: float, *, several: bool) -> str:
    """Name what intervals resample, by the share of patches whose group is known."""
    if known == 1:
        return "group"
    if known > 0:
        return "mixed"
    return "image" if several else "patch"


def write_predictions(
    config: Predict, draft: Draft, tables: list[pd.DataFrame], facts: dict[str, Any]
) -> Artefact:
    """Write the tables of all models, under the name that the user gave, and finish."""
    import pandas as pd

    table = pd.concat([t.astype(object) for t in tables], ignore_index=True)
    facts = facts | {"dataset": config.name or facts["dataset"]}
    if "fit_on" in facts:
        facts["fit_on"] = config.fit_name or facts["fit_on"]
    table["dataset"] = facts["dataset"]
    numbers = {"repeat": "int32", "fold": "int32", "score": "float64"}
    # Names stand in every row of every repeat: as categories they cost next to nothing.
    table = table.astype({name: numbers.get(name, "category") for name in table.columns})
    with draft.writing(TABLE) as path:
        table.to_parquet(path, index=False)
    return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


def refuse_multilabel(index: pd.DataFrame) -> None:
    """Refuse patches with several labels."""
    if index["label"].str.contains("|", regex=False).any():
        raise InputError(
            "patches with several labels cannot be classified by a linear probe",
            "train a network on them (histograft train), which handles several labels",
        )


def refuse_too_many_neighbors(config: Predict, n_fit: int) -> None:
    """Refuse to ask for more neighbors than there are patches to fit on."""
    if config.probe == "knn" and config.neighbors > n_fit:
        raise InputError(
            f"--neighbors is {config.neighbors}, but there are only {n_fit} patches to fit on",
            f"give {n_fit} or less",
        )


def probe_of(config: Predict) -> Callable[[], Any]:
    """Make new, unfitted probes with the options of a configuration."""
    from functools import partial

    from histograft.stats.probes import make_probe

    options: dict[str, Any] = {"n_neighbors": config.neighbors}
    if config.c is not None:
        options["C"] = config.c
    return partial(make_probe, config.probe, **options)
