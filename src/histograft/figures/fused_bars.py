"""Ways to a target side by side: alone, from single sources, fused, from ImageNet (Fig. 4)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.style import INK, MUTED, fit_name, new_figure, styled

COLUMNS = ["label", "kind", "value", "ci_low", "ci_high", "trials"]
# Okabe and Ito's colors: gray for the target, blue for single sources, orange for fused ones.
KINDS = {
    "target": ("#6b7580", "the target alone"),
    "single": ("#1f5f9e", "single sources"),
    "fused": ("#c44e00", "fused"),
    "control": ("#a9a9b5", "controls of fusing"),
    "imagenet": ("#00795a", "ImageNet"),
}
ROW_IN, LINE_IN, LEFT_IN, WIDTH_IN = 0.2, 0.12, 2.8, 7.4
LETTERS = 42  # of a label's line, in LEFT_IN


@styled
def fused_bars(ways: pd.DataFrame, title: str, metric: str) -> Figure:
    """Draw each way as a point with its interval, and each trial as a small mark.

    Parameters
    ----------
    ways : pandas.DataFrame
        Columns label, kind (target, single, fused, control or imagenet), value, ci_low, ci_high
        (0 … 1) and trials (a sequence of the values of single trials). Drawn from the top in the
        order of rows.
    title : str
        Above the picture.
    metric : str
        What the values are, for the axis.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        A column is missing, or the table is empty.
    """
    require_columns(ways, COLUMNS, "the table of ways")
    if ways.empty:
        raise InputError("there is no way to draw")
    names = [_in_lines(str(text)) for text in ways["label"]]
    row_in = ROW_IN + LINE_IN * max(name.count("\n") for name in names)
    height = 1.35 + row_in * len(ways)
    figure = new_figure(WIDTH_IN, height, layout=None)
    sizes = ((WIDTH_IN - LEFT_IN - 0.2) / WIDTH_IN, row_in * len(ways) / height)
    axes = figure.add_axes((LEFT_IN / WIDTH_IN, 0.75 / height, *sizes))
    for place, row in enumerate(ways.to_dict("records")):
        color, _ = KINDS[str(row["kind"])]
        axes.hlines(place, 100 * row["ci_low"], 100 * row["ci_high"], color=color, linewidth=1.6)
        axes.plot(100 * row["value"], place, "o", color=color, markersize=5.5, zorder=3)
        trials = 100 * np.asarray(row["trials"], dtype=np.float64)
        axes.plot(trials, np.full(len(trials), place + 0.28), "|", color=color, markersize=4)
    axes.set_yticks(range(len(ways)), names)
    axes.set_ylim(len(ways) - 0.4, -0.6)
    axes.grid(axis="x", color="#e3e6ea", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{metric}, %", color=MUTED)
    figure.text(0.1 / WIDTH_IN, 1 - 0.25 / height, title, weight="bold", fontsize=10, color=INK)
    kinds = [KINDS[kind] for kind in KINDS if (ways["kind"] == kind).any()]
    marks = [Line2D([], [], color=color, marker="o", markersize=5.5) for color, _ in kinds]
    figure.legend(
        marks, [name for _, name in kinds], loc="lower left", bbox_to_anchor=(0.0, 0.0),
        ncols=len(kinds), fontsize=8, handletextpad=0.4, columnspacing=1.0,
    )  # fmt: skip
    return figure


def _in_lines(label: str) -> str:
    """Set the way of fusing below the sets that were fused."""
    sets, bracket, way = label.partition(" (")
    if "+" not in sets or not bracket:
        return fit_name(label, LETTERS)
    below = fit_name(way.rstrip(")"), LETTERS, lines=1)
    return f"{fit_name(sets.replace('+', ' + '), LETTERS, lines=1)}\n{below}"
