"""A comparison in the terminal: narrow tables, one for each data set and protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.core.reporter import Reporter
from histograft.core.tables import PROTOCOLS
from histograft.figures.numerals import (
    format_p,
    percent,
    percent_range,
    points,
    points_range,
)
from histograft.verbs.comparison import PLAIN_T

if TYPE_CHECKING:
    import pandas as pd

UNITS = {
    "group": "groups",
    "mixed": "groups and images of unknown group",
    "image": "source images",
    "patch": "patches",
}


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def place(row: dict[str, Any]) -> str:
    """Name what was tested: a data set and how.

    Examples
    --------
    >>> place({"dataset": "colon", "protocol": "cv"})
    'colon, cross-validation'
    """
    return f"{row['dataset']}, {PROTOCOLS.get(row['protocol'], row['protocol'])}"


def unit_words(row: dict[str, Any]) -> str:
    """Name what was resampled for an interval, with its number.

    Examples
    --------
    >>> unit_words({"n_groups": 1194, "ci_unit": "patch"})
    '1,194 patches'
    """
    return f"{row['n_groups']:,} {UNITS.get(row['ci_unit'], row['ci_unit'])}"


def tell_accuracies(results: pd.DataFrame, reporter: Reporter) -> None:
    """Show the accuracy of every model, a table for each data set and protocol.

    Parameters
    ----------
    results : pandas.DataFrame
        The results table with labels.
    reporter : Reporter
        Whom to show it.
    """
    accuracies = results[results["metric"] == "accuracy"]
    for _, part in accuracies.groupby(["dataset", "protocol"], sort=False):
        rows = records(part)
        first = rows[0]
        resampled = (
            f"{first['n_groups']:,} {UNITS.get(first['ci_unit'], first['ci_unit'])} resampled"
        )
        reporter.table(
            f"{place(first)}: accuracy, {resampled}",
            ["model", "%", "95 % interval"],
            [
                [row["label"], percent(row["value"]), percent_range(row["ci_low"], row["ci_high"])]
                for row in rows
            ],
        )


def tell_pairs(comparisons: pd.DataFrame, labels: dict[str, str], reporter: Reporter) -> None:
    """Show every paired comparison, a table for each data set, protocol and test.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        The comparisons table.
    labels : dict of str to str
        What to call each model.
    reporter : Reporter
        Whom to show it, with a warning where a misleading test is among them.
    """
    keys = ["dataset", "protocol", "test"]
    for _, part in comparisons.groupby(keys, sort=False, dropna=False):
        rows = records(part)
        reporter.table(
            f"{place(rows[0])}: differences in accuracy; interval: bootstrap, given the models; "
            f"p: {rows[0]['test']}",
            ["models", "points", "95 % interval", "p", "p (Holm)"],
            [
                [
                    f"{row['label']} − {labels.get(row['compared_with'], row['compared_with'])}",
                    points(row["difference"]),
                    points_range(row["difference_low"], row["difference_high"]),
                    format_p(row["p_value"]),
                    format_p(row["p_adjusted"]),
                ]
                for row in rows
            ],
        )
    if (comparisons["test"] == PLAIN_T).any():
        reporter.warn(
            "the plain paired t test (as in Li 2022) takes repeats over the same patches for "
            "independent samples; its p values are far too small and are shown to be seen as such"
        )
