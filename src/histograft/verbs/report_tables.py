"""The tables of a report as people read them; the whole numbers are in its CSV files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.figures.numerals import (
    NOTHING,
    format_p,
    percent,
    percent_range,
    plain,
    points,
    points_range,
    signed,
)
from histograft.verbs.comparison import PLAIN_T
from histograft.verbs.comparison_told import UNITS, place, records, unit_words
from histograft.verbs.report_material import Compared

if TYPE_CHECKING:
    import pandas as pd

    from histograft.figures.page import Table

GROUP = "where"
SPLITS = ("train", "val", "test")
# Between −1 and 1, so no percentages.
COEFFICIENTS = {"kappa": "Cohen's κ", "mcc": "Matthews correlation"}
METRIC_HELP = {
    "metric": "balanced accuracy: mean recall of the classes. Macro: mean over classes; weighted: "
    "mean over classes by their size. F1: harmonic mean of precision and recall. Cohen's κ: "
    "agreement beyond chance. Matthews correlation: correlation of truth and prediction. The last "
    "two run from −1 to 1, all others are in percent."
}


def accuracy_table(compared: Compared) -> Table:
    """Tabulate the accuracy of every model in percent."""
    import pandas as pd

    from histograft.figures.page import Table

    rows = records(compared.results[compared.results["metric"] == "accuracy"])
    frame = pd.DataFrame(
        {
            GROUP: _heading(row),
            "model": row["label"],
            "accuracy, %": percent(row["value"]),
            "95 % interval": percent_range(row["ci_low"], row["ci_high"]),
            "SD": NOTHING if pd.isna(row["repeat_sd"]) else percent(row["repeat_sd"]),
        }
        for row in rows
    )
    what = "standard deviation over repeats, in points: noise of the folds, not an interval"
    return Table(frame, "Accuracy of every model.", help={"SD": what}, group=GROUP)


def _heading(row: dict[str, Any]) -> str:
    return f"{place(row)} · {row['n_units']:,} patches; resampled: {unit_words(row)}"


def comparison_table(compared: Compared) -> Table | None:
    """Tabulate every paired comparison in percentage points; None where there is none."""
    import pandas as pd

    from histograft.figures.page import Table

    rows = compared.comparisons
    if rows.empty:
        return None
    plain_t = rows[rows["test"] == PLAIN_T].set_index(_PAIR)["p_value"].to_dict()
    frame = pd.DataFrame(
        _pair(row, compared, plain_t) for row in records(rows[rows["test"] != PLAIN_T])
    )
    help_text = {"p (Holm)": "adjusted for all tests of this table together"}
    if plain_t:
        help_text["plain t, misleading"] = (
            "p of the plain paired t test over repeats, as in Li 2022: it takes repeats over the "
            "same patches for independent samples, and is far too small"
        )
    return Table(
        frame,
        f"Differences in accuracy, in percentage points: to {compared.baseline} unless another "
        "model is named.",
        help=help_text,
        group=GROUP,
        note=_methods(compared),
    )


def _methods(compared: Compared) -> str:
    """Say that intervals and p values come from different methods."""
    units = dict.fromkeys(UNITS.get(unit, unit) for unit in compared.results["ci_unit"].dropna())
    tests = dict.fromkeys(compared.comparisons["test"].dropna())
    named = " or ".join(str(test) for test in tests if test != PLAIN_T)
    return (
        f"The interval is a bootstrap over {' or '.join(units)}, given the fitted models; p is of "
        f"a test that stands above its rows ({named}). They are different methods, and can "
        "disagree near 0."
    )


_PAIR = ["dataset", "protocol", "model", "compared_with"]


def _pair(row: dict[str, Any], compared: Compared, plain_t: dict[Any, float]) -> dict[str, Any]:
    other = str(row["compared_with"])
    label = str(row["label"])
    if other != compared.facts["baseline"]:
        label = f"{label} − {compared.labels.get(other, other)}"
    cells = {
        GROUP: f"{place(row)} · {row['test']}",
        "model": label,
        "points": points(row["difference"]),
        "95 % interval": points_range(row["difference_low"], row["difference_high"]),
        "p (Holm)": format_p(row["p_adjusted"]),
        "p": format_p(row["p_value"]),
    }
    if plain_t:
        cells["plain t, misleading"] = format_p(plain_t.get(tuple(row[key] for key in _PAIR)))
    return cells


def metric_table(compared: Compared, models: list[str]) -> Table:
    """Tabulate the metrics over all classes, a column for each model and one for the difference."""
    from histograft.figures.page import Table

    over_classes = ~compared.results["metric"].str.contains(":")
    return Table(
        _by_model(compared, compared.results[over_classes], models),
        "All metrics over classes, with 95 % intervals.",
        help=METRIC_HELP,
        group=GROUP,
    )


def recall_table(compared: Compared, models: list[str]) -> Table:
    """Tabulate the recall of each class, a column for each model and one for the difference."""
    from histograft.figures.page import Table

    recalls = compared.results[compared.results["metric"].str.startswith("recall:")]
    recalls = recalls.assign(metric=recalls["metric"].str.split(":", n=1).str[1])
    return Table(
        _by_model(compared, recalls, models, first="class"),
        "Recall by class in %, with 95 % intervals; precision and F1 are in results.csv.",
        group=GROUP,
    )


def _by_model(
    compared: Compared, rows: pd.DataFrame, models: list[str], *, first: str = "metric"
) -> pd.DataFrame:
    import pandas as pd

    rows = rows[rows["model"].isin(models)]
    cells = []
    for (dataset, protocol, metric), part in rows.groupby(
        ["dataset", "protocol", "metric"], sort=False
    ):
        where = place({"dataset": dataset, "protocol": protocol})
        coefficient = first == "metric" and metric in COEFFICIENTS
        name = COEFFICIENTS.get(str(metric), str(metric).replace("_", " ").replace("f1", "F1"))
        line = {GROUP: where, first: name if first == "metric" else metric}
        for row in records(part):
            line[str(row["label"])] = _estimate(row, coefficient=coefficient)
            if pd.notna(row["difference"]):
                line[f"{row['label']} − {compared.labels.get(row['compared_with'], '')}"] = (
                    _difference(row, coefficient=coefficient)
                )
        cells.append(line)
    frame = pd.DataFrame(cells)
    if len(models) == 2:  # one difference only, so its name can be short
        frame.columns = [
            "difference, points" if " − " in str(column) else column for column in frame.columns
        ]
    return frame


def _estimate(row: dict[str, Any], *, coefficient: bool) -> str:
    if coefficient:
        value, low, high = (plain(row[name]) for name in ("value", "ci_low", "ci_high"))
        return f"{value} ({low} to {high})"
    return f"{percent(row['value'])} ({percent_range(row['ci_low'], row['ci_high'])})"


def _difference(row: dict[str, Any], *, coefficient: bool) -> str:
    if coefficient:
        numbers = (row["difference"], row["difference_low"], row["difference_high"])
        point, low, high = (signed(number, 2) for number in numbers)
        return f"{point} ({low} to {high})"
    interval = points_range(row["difference_low"], row["difference_high"])
    return f"{points(row['difference'])} ({interval})"


def feature_table(scores: pd.DataFrame, labels: dict[str, str]) -> Table:
    """Tabulate neighbor accuracy and silhouette of each model.

    Parameters
    ----------
    scores : pandas.DataFrame
        Columns dataset, model, knn_accuracy (0 to 1), silhouette (−1 to 1).
    labels : dict of str to str
        What to call each model.
    """
    import pandas as pd

    from histograft.figures.page import Table

    frame = pd.DataFrame(
        {
            GROUP: row["dataset"],
            "model": labels.get(row["model"], row["model"]),
            "10-NN accuracy, %": percent(row["knn_accuracy"]),
            "silhouette": plain(row["silhouette"]),
        }
        for row in records(scores)
    )
    return Table(
        frame,
        "Neighborhoods in the full feature space.",
        help={
            "10-NN accuracy, %": "how often most of the ten nearest patches of other groups are "
            "of the same class",
            "silhouette": "how much nearer a patch is to its own class than to the next: 1 far "
            "nearer, 0 equally near",
        },
        group=GROUP,
    )


def patch_table(facts: list[dict[str, Any]]) -> Table:
    """Tabulate what each data set holds and at which scale."""
    import pandas as pd

    from histograft.figures.page import Table

    rows = [
        {
            "data set": f["dataset"],
            "images": f["n_images"],
            "patches": f["n_patches"],
            "classes": len(f["classes"]),
            "groups": f["n_groups"] if f["groups_known"] else None,
            "train / val / test": " / ".join(
                f"{sum(f['counts'].get(split, {}).values()):,}" for split in SPLITS
            ),
            "split": ", ".join(f["split_source"]),
            "µm/px": ", ".join(f"{m:g}" for m in f["mpp_native"]) or "unknown",
            "enlarged": f["n_upsampled"],
            "reflected": f["n_reflected"],
            "rejected": sum(f["rejects"].values()),
        }
        for f in facts
    ]
    return Table(
        pd.DataFrame(rows),
        "Data sets after standardizing.",
        help={
            "groups": "patients, slides or source images, as the data state them; – for unknown",
            "split": "column: as the data state it; drawn: by histograft, group by group",
            "µm/px": "of the images as they came, before they were brought to one scale",
            "enlarged": "patches of images that were coarser than that scale",
            "reflected": "patches of images too small for one, continued by reflection",
        },
    )
