"""A ladder of scales in the columns that all reports of histograft share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.core.tables import RESULTS
from histograft.verbs.ladder_tables import BASELINE, KEYS, Judged, Rung, test_scores
from histograft.verbs.ladder_told import condition_name, scale_name

if TYPE_CHECKING:
    import pandas as pd

RESULTS_FILE = "results.csv"
TARGET = "tissue"


def results_table(judged: Judged, ladder: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return ``results.csv``: each condition and metric, students with their baseline.

    Parameters
    ----------
    judged : Judged
        The ladder.
    ladder, comparisons : pandas.DataFrame
        As ``ladder.csv`` and ``comparisons.csv``.
    """
    import pandas as pd

    rungs = {rung.key: rung for rung in judged.rungs}
    bases = {rung.level: rung for rung in judged.rungs if rung.condition == BASELINE}
    tests = comparisons[comparisons["compared_with"] == BASELINE].set_index([*KEYS, "metric"])
    tested = test_scores(judged.rungs[0].networks[0])
    fixed = {
        "dataset": str(tested["dataset"].iloc[0]),
        "protocol": "held-out",
        "target": TARGET,
        "ci_unit": _unit(set(tested["group_source"])),
        "n_units": judged.draws.n_units,
        "n_groups": judged.n_groups,
    }
    rows = []
    for row in ladder[(ladder["unit"] == "piece") & (ladder["seed"] == "all")].to_dict("records"):
        key = tuple(row[name] for name in KEYS)
        rung = rungs[key]
        found = fixed | {
            "model": model_name(rung),
            "label": f"{condition_name(rung)}, {scale_name(rung)}",
            "repeat_sd": row["seed_sd"],
        }
        found |= {name: row[name] for name in ("metric", "value", "ci_low", "ci_high")}
        at = (*key, row["metric"])
        if at in tests.index:
            found |= _compared(tests.loc[at]) | {"compared_with": model_name(bases[rung.level])}
        rows.append(found)
    return RESULTS.check(pd.DataFrame(rows, columns=RESULTS.column_names()), RESULTS_FILE)


def _compared(row: Any) -> dict[str, Any]:
    return {
        "difference": row["difference"],
        "difference_low": row["ci_low"],
        "difference_high": row["ci_high"],
        "test": row["test"],
        "p_value": row["p"],
        "p_adjusted": row["p_holm"],
    }


def _unit(sources: set[str]) -> str:
    """Say what intervals take for independent."""
    if "image" not in sources:
        return "group"
    return "image" if sources == {"image"} else "mixed"


def model_name(rung: Rung) -> str:
    """Name a condition at a scale for programs.

    Examples
    --------
    >>> model_name(Rung(4.0, "kd-ad", 120, True, ()))
    'kd-ad-120-tuned-4'
    """
    parts = [rung.condition, str(rung.n_unlabelled or ""), "tuned" if rung.fine_tuned else ""]
    return "-".join(part for part in (*parts, f"{rung.level:g}") if part)
