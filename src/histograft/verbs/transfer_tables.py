"""What a transfer writes: predictions of the test rows and facts for the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.tables import PREDICTIONS
from histograft.verbs.networks import Start
from histograft.verbs.prediction_files import TABLE as TABLE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.verbs.transfer import Transfer

TARGET = "tissue"


def validation_metric(scores: NDArray[np.float32], labels: NDArray[Any]) -> float:
    """Return what learning rates are chosen by: accuracy, or for several labels the macro-AP."""
    import numpy as np

    if labels.ndim == 1:
        return float((scores.argmax(1) == labels).mean())
    from sklearn.metrics import average_precision_score

    occurs = labels.any(axis=0)
    return float(average_precision_score(np.asarray(labels)[:, occurs], scores[:, occurs]))


def prediction_rows(
    patches: Artefact, table: pd.DataFrame, runs: list[dict[str, Any]]
) -> pd.DataFrame:
    """Make the table of predictions: a row a test patch, of several labels one a class too."""
    import pandas as pd

    test, classes = table[table["split"] == "test"], list(patches.facts["classes"])
    several = patches.facts["task"] == "multilabel"
    frames = [
        (_rows_of_labels if several else _rows_of_classes)(test, run["test"], classes).assign(
            model=run["name"]
        )
        for run in runs
        if not run["diverged"]
    ]
    if not frames:
        return pd.DataFrame(columns=PREDICTIONS.column_names())
    rows = pd.concat(frames, ignore_index=True).assign(
        dataset=patches.facts["dataset"], protocol="held-out", repeat=0, fold=0, target=TARGET
    )
    return rows[PREDICTIONS.column_names()]


def _rows_of_classes(
    test: pd.DataFrame, scores: NDArray[np.float32], classes: list[str]
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    best = scores.argmax(1)
    names = np.array(classes, dtype=object)[best]
    return pd.DataFrame(
        {
            "unit": test["patch_id"].to_numpy(object),
            "group": test["group"].to_numpy(object),
            "class": names,
            "truth": test["label"].to_numpy(object),
            "score": scores[np.arange(len(best)), best].astype(np.float64),
            "predicted": names,
        }
    )


def _rows_of_labels(
    test: pd.DataFrame, scores: NDArray[np.float32], classes: list[str]
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    found = ["|".join(c for c, on in zip(classes, row, strict=True) if on) for row in scores > 0.5]
    repeated = {
        "unit": test["patch_id"],
        "group": test["group"],
        "truth": test["label"],
        "predicted": found,
    }
    return pd.DataFrame(
        {name: np.repeat(np.asarray(v, dtype=object), len(classes)) for name, v in repeated.items()}
        | {
            "class": np.tile(np.array(classes, dtype=object), len(test)),
            "score": scores.ravel().astype(np.float64),
        }
    )


def transfer_facts(
    config: Transfer,
    start: Start,
    patches: Artefact,
    table: pd.DataFrame,
    runs: list[dict[str, Any]],
) -> dict[str, Any]:
    """Say what was transferred and what each learning rate reached on the validation rows."""
    test = table[table["split"] == "test"]
    known = float((test["group_source"] != "image").mean())
    source = start.artefact.facts["tuned_on"] if start.artefact is not None else start.kind
    facts = patches.facts
    return {
        "dataset": facts["dataset"],
        "protocol": "held-out",
        "target": TARGET,
        "task": "class" if facts["task"] == "multiclass" else facts["task"],
        "models": [run["name"] for run in runs if not run["diverged"]],
        "classes": list(facts["classes"]),
        "n_units": len(test),
        "n_groups": int(test["group"].nunique()),
        "groups_known": known,
        "transfer": {
            "source": config.source or str(source),
            "start": config.start or start.kind,
            "tune": config.tune,
            "control": config.control,
            "trial": config.trial,
            "fused": fused_of(start.artefact),
            "architecture": start.architecture,
            "epochs": config.epochs,
            "splits": {str(k): int(n) for k, n in table["split"].value_counts().items()},
            "rates": [
                {
                    "name": run["name"],
                    "lr": run.get("lr"),
                    "val_metric": run.get("val_metric"),
                    "best_epoch": run.get("best_epoch"),
                    "diverged": run["diverged"],
                }
                for run in runs
            ],
        },
    }


def fused_of(artefact: Artefact | None) -> dict[str, Any] | None:
    """Say by which mode, and of which data sets, a network was fused; None for any other."""
    if artefact is None or artefact.manifest["verb"] != "fuse":
        return None
    return {"mode": artefact.manifest["config"]["mode"], "of": artefact.facts["sets"]}
