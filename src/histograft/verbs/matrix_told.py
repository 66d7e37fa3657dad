"""A transfer matrix in words: the answer, and tables in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from histograft.core.reporter import Reporter, counted
from histograft.figures.numerals import format_p, p_phrase, percent, points, points_range
from histograft.verbs.comparison_told import records
from histograft.verbs.matrix_tables import HEADLINES, LEVEL, MatrixTables, model_label, panels
from histograft.verbs.transfer_cells import BEST_SINGLE

if TYPE_CHECKING:
    import pandas as pd

STARTS = {"random": "a random start", "imagenet": "ImageNet weights"}
AGAINST = {
    "best-single": "the best of its sources alone",
    "self": "the same training on the target alone, twice",
    "direct": "tuning the ImageNet weights on the target directly",
    "scratch": "the target alone for as many epochs",
    "shuffled": "the same tuning from shuffled source weights",
}


def answer(tables: MatrixTables) -> tuple[str, tuple[str, ...]]:
    """Say in one sentence how many transfers helped, and in a list which.

    Parameters
    ----------
    tables : MatrixTables
        The tables.

    Returns
    -------
    tuple of str and tuple of str
        Sentence and list.
    """
    rows = _headline(tables)
    known = rows[rows["p_adjusted"].notna()]
    if known.empty:
        return "No transfer could be compared with its control.", ()
    fused = known[known["compared_with"] == BEST_SINGLE]
    judged = known if fused.empty else fused
    better, worse = (_significant(judged, sign) for sign in (1, -1))
    n = len(judged)
    what = ("transfer", "the control that used the target alone")
    if not fused.empty:
        what = ("fused network", "the best of its sources alone")
    sentence = (
        f"Of {counted(n, what[0])}, {_number(len(better))} did better than {what[1]}, "
        f"{_number(len(worse))} did worse; for the others no difference is shown."
    )
    if better.empty and worse.empty:
        sentence = f"None of {counted(n, what[0])} is shown to differ from {what[1]}."
    parts = [
        _sentence(row)
        for sign in (1, -1)
        for row in records(_significant(known, sign).sort_values("p_adjusted"))
    ]
    return sentence, (*parts, *_tunings(known))


def _significant(rows: pd.DataFrame, sign: int) -> pd.DataFrame:
    return rows[(rows["p_adjusted"] < LEVEL) & (sign * rows["difference"] > 0)]


def _number(count: int) -> str:
    return str(count) if count else "none"


def _headline(tables: MatrixTables) -> pd.DataFrame:
    rows = tables.comparisons
    return rows[rows["headline"].astype(bool) & rows["metric"].isin(HEADLINES)]


def _sentence(row: dict[str, Any]) -> str:
    return (
        f"{model_label(row)}: {points(row['difference'])} points "
        f"({points_range(row['difference_low'], row['difference_high'])}) against "
        f"{AGAINST[row['compared_with']]}, adjusted {p_phrase(row['p_adjusted'])}"
    )


def _tunings(known: pd.DataFrame) -> list[str]:
    """Give the mean gain of each kind of tuning and start."""
    lines = []
    ordered = known.sort_values(["init", "tune"], ascending=[False, True])  # random first
    for (start, tune, control), rows in ordered.groupby(
        ["init", "tune", "compared_with"], sort=False
    ):
        what = "fused network" if control == BEST_SINGLE else "transfer"
        lines.append(
            f"{STARTS.get(str(start), str(start))}, {tune}-tuning: against "
            f"{AGAINST[str(control)]}, {len(_significant(rows, 1))} of "
            f"{counted(len(rows), what)} better and {len(_significant(rows, -1))} worse; "
            f"mean difference {points(float(rows['difference'].mean()))} points, not tested"
        )
    return lines


def diverged(rates: pd.DataFrame) -> str:
    """Say how many trainings diverged, empty for none.

    Examples
    --------
    >>> import pandas as pd
    >>> diverged(pd.DataFrame({"learning_rate": [1.0, 1e9, None], "status": ["done", "diverged: "
    ...     "the loss is nan", "done"]}))
    '1 of 2 trainings diverged; their learning rates were not eligible'
    """
    trained = rates[rates["learning_rate"].notna()]  # what is tested as it is has no rate
    bad = int(trained["status"].str.startswith("diverged").sum())
    if not bad:
        return ""
    total = counted(len(trained), "training")
    return f"{bad} of {total} diverged; their learning rates were not eligible"


def tell_matrix(tables: MatrixTables, reporter: Reporter) -> None:
    """Show each matrix in the terminal, a row for each source and target."""
    for start, tune, cells in panels(tables.matrix):
        rows = []
        for row in records(cells):
            own = row["source"] == row["target"]
            has = not math.isnan(row["p_adjusted"])
            value = "diverged" if math.isnan(row["value"]) else percent(row["value"])
            rows.append(
                [
                    row["target"],
                    "(itself)" if own else row["source"],
                    value,
                    "" if own or not has else points(row["difference"]),
                    "" if not has else format_p(row["p_adjusted"]),
                ]
            )
        rows.sort(key=lambda r: r[0])
        columns = ["target", "source", "%", "± points", "adj. p"]
        used = cells["compared_with"].dropna().unique()
        against = "; of fused networks against ".join(AGAINST[c] for c in sorted(used)[::-1])
        title = f"{STARTS.get(start, start)}, {tune}-tuning; points: against {against}"
        reporter.table(title, columns, rows)
    if lost := diverged(tables.rates):
        reporter.warn(f"{lost} (learning_rates.csv)")
