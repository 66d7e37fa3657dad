"""One row of a box picture: the box over repeats, and beneath it the estimate and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from histograft.figures.numerals import fixed
from histograft.figures.palette import ModelStyle
from histograft.figures.style import INK, MUTED

BOX_LEGEND = "box, line, whiskers, dots: repeats of the cross-\nvalidation (split noise, not a CI)"


PLURALS = {
    "patch": "patches",
    "image": "source images",
    "mixed": "groups and images of unknown group",
}


@dataclass(frozen=True)
class Row:
    """What one row shows.

    Attributes
    ----------
    values : numpy.ndarray of float64, shape (n_repeats,)
        One value for each repeat; may be empty or hold NaN.
    point, low, high : float
        Estimate and the ends of its interval; NaN where unknown.
    """

    values: np.ndarray
    point: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def extremes(self) -> list[float]:
        """Return every finite number that the axis must reach."""
        numbers = [*self.values.tolist(), self.point, self.low, self.high]
        return [number for number in numbers if math.isfinite(number)]


def row_of(repeats: pd.DataFrame, results: pd.DataFrame | None) -> Row:
    """Gather a row from the tables of one data set, model and metric.

    Parameters
    ----------
    repeats : pandas.DataFrame
        Column ``value``, a row for each repeat.
    results : pandas.DataFrame or None
        Columns ``value``, ``ci_low``, ``ci_high``; the first row counts, since one model may
        stand there once for each comparison.

    Returns
    -------
    Row
        Repeats that are NaN are left out.
    """
    values = pd.to_numeric(repeats["value"], errors="coerce").to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    if results is None or results.empty:
        return Row(values)
    ends = pd.to_numeric(results[list(_ENDS)].iloc[0], errors="coerce").to_numpy(dtype=np.float64)
    return Row(values, *ends.tolist())


_ENDS = ("value", "ci_low", "ci_high")


def draw_row(axes: Axes, row: Row, y: float, height: float, style: ModelStyle) -> None:
    """Draw a box in the upper part of a row and the interval in its lower part.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Its y axis points downward.
    row : Row
        What to show.
    y, height : float
        Middle and height of the row in data units.
    style : ModelStyle
        Colors.
    """
    has_box, has_point = row.values.size > 1, math.isfinite(row.point)
    split = has_box and has_point
    if has_box:
        _draw_box(axes, row.values, y - 0.17 * height * split, 0.42 * height, style)
    elif row.values.size == 1 and not has_point:
        axes.plot(row.values, [y], "o", color=style.edge, markersize=5)
    if has_point:
        _draw_interval(axes, row, y + 0.26 * height * split, style)


def _draw_box(
    axes: Axes, values: np.ndarray, y: float, thickness: float, style: ModelStyle
) -> None:
    stats = boxplot_stats(values)[0]
    low, high = stats["q1"], stats["q3"]
    line: dict[str, Any] = {"color": style.edge, "linewidth": 1.1, "solid_capstyle": "butt"}
    for start, end in ((stats["whislo"], low), (high, stats["whishi"])):
        axes.plot([start, end], [y, y], zorder=2, **line)
    for end in (stats["whislo"], stats["whishi"]):
        axes.plot([end, end], [y - thickness / 4, y + thickness / 4], zorder=2, **line)
    box = Rectangle((low, y - thickness / 2), high - low, thickness, zorder=3, linewidth=1.1)
    box.set(facecolor=style.face, edgecolor=style.edge, hatch=style.hatch)
    axes.add_patch(box)
    median = [y - thickness / 2, y + thickness / 2]
    axes.plot([stats["med"]] * 2, median, zorder=4, color=style.edge, linewidth=1.7)
    fliers = stats["fliers"]
    axes.plot(fliers, np.full(len(fliers), y), ".", color=style.edge, markersize=3, zorder=2)


def _draw_interval(axes: Axes, row: Row, y: float, style: ModelStyle) -> None:
    if math.isfinite(row.low) and math.isfinite(row.high):
        # With bars at its ends, an interval shorter than the diamond is still seen.
        axes.plot(
            [row.low, row.high],
            [y, y],
            color=INK,
            linewidth=1.3,
            zorder=4,
            marker="|",
            markersize=7,
        )
    axes.plot([row.point], [y], "D", markersize=4.5, zorder=5, color=style.edge)
    axes.lines[-1].set(markeredgecolor="white", markeredgewidth=0.7)


def legend_handles(repeats: pd.DataFrame, interval: str) -> list[Patch | Line2D]:
    """Explain a row, whatever its colors.

    Parameters
    ----------
    repeats : pandas.DataFrame
        Column ``repeat``; without a second repeat there is no box to explain.
    interval : str
        What the interval is; "" where none is drawn.

    Returns
    -------
    list of matplotlib artists
        With labels, for a legend.
    """
    handles: list[Patch | Line2D] = []
    if repeats["repeat"].nunique() > 1:
        handles.append(Patch(facecolor="#e8eaed", edgecolor=MUTED, label=BOX_LEGEND))
    if not interval:
        return handles
    mark = Line2D([], [], color=INK, linewidth=1.3, marker="D", markersize=4.5, label=interval)
    mark.set(markerfacecolor=MUTED, markeredgecolor="white")
    return [*handles, mark]


def interval_legend(results: pd.DataFrame | None) -> str:
    """Say what the intervals of a results table come from.

    Parameters
    ----------
    results : pandas.DataFrame or None
        Column ``ci_unit``.

    Returns
    -------
    str
        A line for the legend; "" where there is no interval.
    """
    if results is None or results.empty:
        return ""
    units = sorted(str(unit) for unit in results["ci_unit"].dropna().unique())
    which = " or ".join(PLURALS.get(unit, f"{unit}s") for unit in units) or "units"
    return f"diamond, bar: estimate over all repeats, 95 % interval\nfrom resampling {which}"


def set_range(axes: Axes, numbers: Sequence[float], *, percent: bool) -> None:
    """Fit the x axis around numbers, and print shares in percent.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to set.
    numbers : sequence of float
        All that must be visible; may be empty.
    percent : bool
        Whether the numbers are shares of 1.
    """
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    pad = max(0.04 * (high - low), 0.004)
    top = min(high + pad, 1.0 + pad / 2) if percent else high + pad
    axes.set_xlim(low - pad, top)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if percent:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))


def describe(row: Row, *, percent: bool) -> str:
    """Print a row's estimate and interval.

    Examples
    --------
    >>> describe(Row(np.array([]), 0.984, 0.971, 0.993), percent=True)
    '98.4 [97.1, 99.3]'
    """
    if not math.isfinite(row.point):
        return "not estimable"
    numbers = [
        (fixed(100 * n, 1) if percent else fixed(n, 3)) if math.isfinite(n) else ""
        for n in (row.point, row.low, row.high)
    ]
    if math.isfinite(row.low) and math.isfinite(row.high):
        return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"
    return numbers[0]
