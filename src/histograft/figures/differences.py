"""Forest plot of paired differences: does one model beat the other, and where."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.numerals import format_p, signed
from histograft.figures.palette import model_style
from histograft.figures.style import (
    INK,
    MUTED,
    PANEL_IN,
    clean_axes,
    fit_name,
    is_share,
    new_figure,
    panel_name,
    styled,
)

# Where the numbers stand, in points to the right of the panel.
NUMBERS_PT, P_VALUE_PT = 8, 112
# Letters of a model's or data set's name before it is cut.
WIDEST = 42
# Row names of more letters need a picture twice as wide.
WIDE_NAME = 32

COLUMNS = [
    "dataset",
    "protocol",
    "model",
    "label",
    "metric",
    "compared_with",
    "difference",
    "difference_low",
    "difference_high",
    "p_adjusted",
]


@styled
def difference_forest(
    results: pd.DataFrame,
    *,
    metric: str = "accuracy",
    names: Mapping[str, str] | None = None,
    reach: float | None = None,
) -> Figure:
    """Draw a row for each paired comparison: difference, paired interval and adjusted p.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns of the results table; rows without ``compared_with`` are passed over.
    metric : str
        The metric compared; shares of 1 are drawn in percentage points.
    names : mapping of str to str, optional
        What to call a model; by default the labels in the table.
    reach : float, optional
        Ends of the axis, in its units: ``forest_reach`` of several tables makes their pictures
        comparable.

    Returns
    -------
    matplotlib.figure.Figure
        The picture. What all rows share (data set and protocol, or the pair of models) is its
        title. A filled mark has an interval that leaves out 0.

    Raises
    ------
    InputError
        A column is missing, or no comparison is left.
    """
    require_columns(results, COLUMNS, "the results table")
    rows = results[(results["metric"] == metric) & results["compared_with"].notna()]
    if rows.empty:
        raise InputError(f"no paired comparison of the metric {metric!r} to draw")
    called = dict(zip(results["model"], results["label"], strict=True)) | dict(names or {})
    others = [called.get(other, other) for other in rows["compared_with"]]
    rows = rows.assign(other=others).reset_index(drop=True)
    title, row_names = _title_and_names(rows)
    wide = max(len(line) for name in row_names for line in name.split("\n")) > WIDE_NAME
    lines = max(name.count("\n") + 1 for name in row_names)
    figure = new_figure(2 * PANEL_IN if wide else PANEL_IN, (0.16 + 0.15 * lines) * len(rows) + 1.1)
    axes = figure.subplots()
    _draw_rows(axes, rows, 100.0 if is_share(metric) else 1.0, reach)
    axes.set_yticks(range(len(rows)), row_names)
    unit = " (percentage points)" if is_share(metric) else ""
    axes.set_xlabel(f"← lower · {metric.replace('_', ' ')}{unit} · higher →")
    figure.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold")
    return figure


def forest_reach(results: pd.DataFrame, *, metric: str = "accuracy") -> float:
    """Return how far an axis must reach on both sides of 0 to show all differences of a table.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns of the results table.
    metric : str
        The metric compared; shares of 1 are counted in percentage points.

    Returns
    -------
    float
        Above 0.
    """
    numbers = _numbers(results[results["metric"] == metric], 100.0 if is_share(metric) else 1.0)
    finite = np.abs(numbers[np.isfinite(numbers)])
    return 1.12 * float(finite.max(initial=0)) or 1.0


def _numbers(rows: pd.DataFrame, scale: float) -> np.ndarray:
    names = ["difference", "difference_low", "difference_high"]
    numbers = rows[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    return np.asarray(numbers * scale)


def _draw_rows(axes: Axes, rows: pd.DataFrame, scale: float, reach: float | None) -> None:
    numbers = _numbers(rows, scale)
    reach = reach or forest_reach(rows, metric=str(rows["metric"].iloc[0]))
    decimals = 3 if scale == 1 else 2 if reach < 2 else 1
    p_values = pd.to_numeric(rows["p_adjusted"], errors="coerce").to_numpy(dtype=np.float64)
    for y, (three, model, p) in enumerate(zip(numbers, rows["model"], p_values, strict=True)):
        _draw_difference(axes, y, three, model_style(str(model)).edge)
        _beside(axes, y, _describe(three, decimals), NUMBERS_PT)
        _beside(axes, y, format_p(p), P_VALUE_PT)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(rows) - 0.4, -1.0)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    clean_axes(axes, "x")
    axes.spines["left"].set_visible(False)
    _beside(axes, -0.8, "difference [95 %]", NUMBERS_PT, color=MUTED)
    _beside(axes, -0.8, "adjusted p", P_VALUE_PT, color=MUTED)


def _title_and_names(rows: pd.DataFrame) -> tuple[str, list[str]]:
    """Set what all rows share above the picture, and name rows by the rest."""
    pairs = [
        f"{fit_name(label, WIDEST, 1)} − {fit_name(other, WIDEST, 1)}"
        for label, other in zip(rows["label"], rows["other"], strict=True)
    ]
    places = [
        panel_name(fit_name(dataset, WIDEST, 1), protocol)
        for dataset, protocol in zip(rows["dataset"], rows["protocol"], strict=True)
    ]
    if len(set(pairs)) == 1:
        return "\n− ".join(pairs[0].split(" − ")), [place.replace(" · ", "\n") for place in places]
    if len(set(places)) > 1:
        return "", [f"{place}\n{pair}" for place, pair in zip(places, pairs, strict=True)]
    if rows["other"].nunique() == 1:
        other = f"\n− {fit_name(rows['other'].iloc[0], 60, 1)}"
        return places[0] + other, [fit_name(label, 24) for label in rows["label"]]
    return places[0], [pair.replace(" − ", "\n− ") for pair in pairs]


def _draw_difference(axes: Axes, y: float, numbers: np.ndarray, color: str) -> None:
    point, low, high = numbers
    if not np.isfinite(point):
        return
    known = bool(np.isfinite(low) and np.isfinite(high))
    if known:
        axes.plot([low, high], [y, y], color=color, linewidth=1.8, zorder=2)
    face = color if known and (low > 0 or high < 0) else "white"
    axes.plot([point], [y], "s", color=color, markerfacecolor=face, markersize=7, zorder=3)


def _describe(numbers: np.ndarray, decimals: int) -> str:
    if not np.isfinite(numbers[0]):
        return "not estimable"
    point, low, high = (signed(number, decimals) for number in numbers)
    return f"{point} [{low}, {high}]" if np.isfinite(numbers[1:]).all() else point


def _beside(axes: Axes, y: float, text: str, points: float, *, color: str = INK) -> None:
    axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(points, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=color,
    )
