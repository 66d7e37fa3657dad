"""What the terminal says of molecular predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from histograft.core.reporter import Reporter
from histograft.figures.numerals import NOTHING, format_p, signed

if TYPE_CHECKING:
    import pandas as pd

MOST_GENES = 15
METRICS = {"auc": "AUC", "mean_pearson": "mean correlation"}


def tell_genes(results: pd.DataFrame, comparisons: pd.DataFrame, reporter: Reporter) -> None:
    """Show what is predicted of genes, and the differences between models; nothing for patches."""
    _tell_areas(results, reporter)
    _tell_expression(results, reporter)
    labels = dict(zip(results["model"], results["label"], strict=True))
    _tell_differences(comparisons[comparisons["metric"].isin(METRICS)], labels, reporter)


def _tell_areas(results: pd.DataFrame, reporter: Reporter) -> None:
    areas = results[results["metric"] == "auc"]
    if len(areas):
        best = areas.groupby("target", sort=False)["value"].max()
        best = best.sort_values(ascending=False, kind="stable")
        place = {gene: i for i, gene in enumerate(best.index[:MOST_GENES])}
        shown = areas[areas["target"].isin(place)]
        # In the order of the page.
        shown = shown.sort_values("target", key=lambda genes: genes.map(place), kind="stable")
        title = "Mutation status: area under the ROC curve"
        if len(best) > MOST_GENES:
            title += f" (the {MOST_GENES} best of {len(best)} genes)"
        rows = [
            [
                row["target"],
                row["label"],
                _plain(row["value"]),
                _range(row["ci_low"], row["ci_high"], _plain),
                f"{row['n_units']:,}",
            ]
            for row in shown.to_dict("records")
        ]
        reporter.table(title, ["gene", "model", "AUC", "95 % interval", "patients"], rows)


def _tell_expression(results: pd.DataFrame, reporter: Reporter) -> None:
    whole = results[results["metric"].isin(["mean_pearson", "n_genes", "n_genes_predicted"])]
    for (dataset, label), rows_of in whole.groupby(["dataset", "label"], sort=False):
        value = rows_of.set_index("metric")["value"]
        reporter.note(
            f"{dataset}, {label}: {value['n_genes_predicted']:.0f} of {value['n_genes']:.0f} genes "
            f"are predicted (FDR 5 %); mean correlation {_plain(value['mean_pearson'])}"
        )


def _tell_differences(
    comparisons: pd.DataFrame, labels: dict[str, str], reporter: Reporter
) -> None:
    keys = ["dataset", "metric", "compared_with", "test"]
    for (dataset, metric, other, test), part in comparisons.groupby(keys, sort=False):
        called = labels.get(str(other), str(other))
        rows = [
            [
                row["target"],
                row["label"],
                signed(row["difference"], 3),
                _range(row["difference_low"], row["difference_high"]),
                format_p(row["p_value"]),
                format_p(row["p_adjusted"]),
            ]
            for row in part.to_dict("records")
        ]
        # Areas have both from DeLong; correlations have their intervals from elsewhere.
        how = test if metric == "auc" else f"interval: over patients; p: {test}"
        title = f"{dataset}: {METRICS[str(metric)]} less that of {called}; {how}"
        if len(rows) > MOST_GENES:
            title += f" (the first {MOST_GENES} of {len(rows)}; all are in comparisons.csv)"
        reporter.table(
            title,
            ["target", "model", "difference", "95 % interval", "p", "p (Holm)"],
            rows[:MOST_GENES],
        )


def _plain(number: float) -> str:
    return signed(number, 3).removeprefix("+")


def _with_sign(number: float) -> str:
    return signed(number, 3)


def _range(low: float, high: float, written: Callable[[float], str] = _with_sign) -> str:
    """Write an interval; an undefined one, such as of a single mutated patient, is a dash."""
    return f"{written(low)} to {written(high)}" if low == low else NOTHING
