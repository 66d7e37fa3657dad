"""A transfer matrix as a heat map: which source helps which target, and where that is shown."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.numerals import points
from histograft.figures.style import INK, MUTED, fit_name, new_figure, styled

COLUMNS = ["source", "target", "value", "value_sd", "difference", "p_adjusted", "n_trials"]
LEVEL = 0.05
CELL_IN, ROW_IN = 1.0, 0.58
LEFT_IN, TOP_IN, BOTTOM_IN = 1.5, 0.5, 1.5
LEAST_WIDTH_IN = 4.6  # the note beneath needs so much
# Differences of this size and more have the full color.
FULL = 0.2
_GAIN = LinearSegmentedColormap.from_list("gain", ["#b34700", "#f9d9c2", "#c9dcf0", "#17508a"])
_PLAIN, _BASE = "#f3f4f6", "#ffffff"


@styled
def transfer_heat_map(cells: pd.DataFrame, title: str, against: str) -> Figure:
    """Draw sources as rows and targets as columns.

    A cell holds the metric in percent with its standard deviation over trials, and below it the
    difference to the control. It is colored only where that difference is significant after
    correction: blue where the source helps, orange where it harms. The network that was trained on
    the target alone stands in a frame.

    Parameters
    ----------
    cells : pandas.DataFrame
        Columns source, target, value, value_sd, difference, p_adjusted, n_trials; values 0 … 1. A
        row whose source is its target is the frame of its column. A missing value is a cell in
        which every training diverged.
    title : str
        Above the matrix.
    against : str
        What differences are to, for the note beneath.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        A column is missing, or the table is empty.
    """
    require_columns(cells, COLUMNS, "the matrix")
    if cells.empty:
        raise InputError("the matrix has no cell to draw")
    sources = list(dict.fromkeys(cells["source"]))
    targets = list(dict.fromkeys(cells["target"]))
    width = max(LEAST_WIDTH_IN, LEFT_IN + CELL_IN * len(targets) + 0.15)
    height = TOP_IN + ROW_IN * len(sources) + BOTTOM_IN
    figure = new_figure(width, height, layout=None)
    sizes = (CELL_IN * len(targets) / width, ROW_IN * len(sources) / height)
    axes = figure.add_axes((LEFT_IN / width, BOTTOM_IN / height, *sizes))
    for found in cells.to_dict("records"):
        row = {str(name): value for name, value in found.items()}
        _draw_cell(axes, (targets.index(row["target"]), sources.index(row["source"])), row)
    axes.set(xlim=(0, len(targets)), ylim=(len(sources), 0))
    angle: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(targets)) + 0.5, [fit_name(t, 18) for t in targets], **angle)
    axes.set_yticks(np.arange(len(sources)) + 0.5, [fit_name(s, 20) for s in sources])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    heading = title[:1].upper() + title[1:]
    figure.text(0.1 / width, 1 - 0.28 / height, heading, weight="bold", fontsize=10)
    axes.set_ylabel("source", color=MUTED)
    note = (
        f"Columns: target. In each cell: % ± SD over trials, and the difference to {against}. "
        f"Colored where the adjusted p is below {LEVEL:g}; framed: trained on the target alone."
    )
    note = "\n".join(textwrap.wrap(note, int(14 * width)))
    figure.text(0.1 / width, 0.08 / height, note, color=MUTED, fontsize=8, va="bottom")
    return figure


def _draw_cell(axes: Axes, place: tuple[int, int], row: dict[str, Any]) -> None:
    x, y = place
    own = row["source"] == row["target"]
    shown = _is_significant(row)
    color = _GAIN(Normalize(-FULL, FULL, clip=True)(row["difference"])) if shown else _PLAIN
    face = _BASE if own else color
    axes.add_patch(
        Rectangle((x + 0.03, y + 0.04), 0.94, 0.92, facecolor=face, linewidth=0, zorder=1)
    )
    if own:
        axes.add_patch(
            Rectangle((x + 0.03, y + 0.04), 0.94, 0.92, fill=False, edgecolor=INK, linewidth=1.2)
        )
    dark = shown and abs(row["difference"]) > 0.6 * FULL
    ink = "white" if dark else INK
    middle: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 2}
    if pd.isna(row["value"]):
        axes.text(x + 0.5, y + 0.5, "diverged", fontsize=8, color=MUTED, **middle)
        return
    spread = "" if pd.isna(row["value_sd"]) else f" ± {100 * row['value_sd']:.1f}"
    has_difference = not pd.isna(row["difference"])
    axes.text(
        x + 0.5, y + (0.36 if has_difference else 0.5), f"{100 * row['value']:.1f}{spread}",
        fontsize=8.5, color=ink, weight="bold" if shown or own else "normal", **middle,
    )  # fmt: skip
    if has_difference:
        axes.text(
            x + 0.5, y + 0.7, points(row["difference"]), fontsize=7.5,
            color=ink if shown else MUTED, **middle,
        )  # fmt: skip


def _is_significant(row: dict[str, Any]) -> bool:
    return not pd.isna(row["p_adjusted"]) and row["p_adjusted"] < LEVEL
