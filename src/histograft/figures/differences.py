"""Forest plot of paired differences: does one model beat the other, and where."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from histograft.core.errors import InputError
from histograft.core.tables import require_columns
from histograft.figures.formats import format_p
from histograft.figures.palette import model_style
from histograft.figures.style import (
    INK,
    MUTED,
    clean_axes,
    fit_name,
    is_share,
    new_figure,
    panel_name,
    styled,
)

# Where the numbers stand, in points to the right of the panel.
NUMBERS_PT, P_VALUE_PT = 10, 132

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
    model: str | None = None,
    compared_with: str | None = None,
) -> Figure:
    """Draw a row for each paired comparison: difference, paired interval and adjusted p.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns of the results table; rows without ``compared_with`` are passed over.
    metric : str
        The metric compared; shares of 1 are drawn in percentage points.
    model, compared_with : str, optional
        Keep only comparisons of this model, or with this one.

    Returns
    -------
    matplotlib.figure.Figure
        The picture. A filled mark has an interval that leaves out 0.

    Raises
    ------
    InputError
        A column is missing, or no comparison is left.
    """
    require_columns(results, COLUMNS, "the results table")
    rows = results[(results["metric"] == metric) & results["compared_with"].notna()]
    if model is not None:
        rows = rows[rows["model"] == model]
    if compared_with is not None:
        rows = rows[rows["compared_with"] == compared_with]
    if rows.empty:
        raise InputError(f"no paired comparison of the metric {metric!r} to draw")
    names = dict(zip(results["model"], results["label"], strict=True))
    others = [names.get(other, other) for other in rows["compared_with"]]
    rows = rows.assign(other=others).reset_index(drop=True)
    figure = new_figure(9.0, 0.46 * len(rows) + 1.35)
    axes = figure.subplots()
    _draw_rows(axes, rows, 100.0 if is_share(metric) else 1.0)
    unit = " (percentage points)" if is_share(metric) else ""
    axes.set_xlabel(f"difference in {metric.replace('_', ' ')}{unit}, paired 95 % interval")
    return figure


def _draw_rows(axes: Axes, rows: pd.DataFrame, scale: float) -> None:
    names = ["difference", "difference_low", "difference_high"]
    numbers = rows[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64) * scale
    finite = np.abs(numbers[np.isfinite(numbers)])
    reach = 1.12 * float(finite.max(initial=0)) or 1.0
    decimals = 3 if scale == 1 else 2 if reach < 2 else 1
    p_values = pd.to_numeric(rows["p_adjusted"], errors="coerce").to_numpy(dtype=np.float64)
    for y, (three, model, p) in enumerate(zip(numbers, rows["model"], p_values, strict=True)):
        _draw_difference(axes, y, three, model_style(str(model)).edge)
        _beside(axes, y, _describe(three, decimals), NUMBERS_PT)
        _beside(axes, y, format_p(p), P_VALUE_PT)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(rows) - 0.4, -1.0)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.set_yticks(range(len(rows)), _row_names(rows))
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    clean_axes(axes, "x")
    axes.spines["left"].set_visible(False)
    _write_heads(axes, rows)


def _row_names(rows: pd.DataFrame) -> list[str]:
    one_pair = len(rows[["model", "compared_with"]].drop_duplicates()) == 1
    names = []
    for _, row in rows.iterrows():
        where = panel_name(row["dataset"], row["protocol"])
        pair = f"{fit_name(row['label'], 28, 1)} − {fit_name(row['other'], 28, 1)}"
        names.append(where if one_pair else f"{where}\n{pair}")
    return names


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
    point, low, high = (f"{number:+.{decimals}f}".replace("-", "−") for number in numbers)
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


def _write_heads(axes: Axes, rows: pd.DataFrame) -> None:
    _beside(axes, -0.75, "difference [95 %]", NUMBERS_PT, color=MUTED)
    _beside(axes, -0.75, "adjusted p", P_VALUE_PT, color=MUTED)
    pairs = rows[["label", "other"]].drop_duplicates()
    left, right = "lower", "higher"
    if len(pairs) == 1:
        left = f"{fit_name(pairs['other'].iloc[0], 24, 1)} better"
        right = f"{fit_name(pairs['label'].iloc[0], 24, 1)} better"
    for text, shift, side in ((f"← {left}", -8, "right"), (f"{right} →", 8, "left")):
        head = axes.annotate(text, (0, -0.75), xytext=(shift, 0), textcoords="offset points")
        head.set(ha=side, va="center", fontsize=8.5, color=MUTED, backgroundcolor="white")
