"""Whether predicted probabilities are what is observed: reliability curves of each gene."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.gene_rows import model_marks
from histograft.figures.gene_tables import numbers_of
from histograft.figures.numerals import plain
from histograft.figures.palette import model_style
from histograft.figures.style import (
    MUTED,
    PANEL_IN,
    clean_axes,
    fit_name,
    hide_unused,
    new_figure,
    styled,
)

COLUMNS = [
    *("dataset", "protocol", "target", "model", "label"),
    *("n_units", "mean_probability", "observed", "low", "high"),
]
NUMBERS = ["mean_probability", "observed", "low", "high"]
# Height of a panel without its legend, and of a line of that.
HEIGHT_IN, LINE_IN = 3.3, 0.2
# Bars of several models stand beside each other, by this share of the axis.
APART = 0.008


@styled
def calibration_curves(
    bins: pd.DataFrame, slopes: Mapping[tuple[str, str], float] | None = None
) -> Figure:
    """Draw a panel for each gene: the share observed over the probability predicted.

    Parameters
    ----------
    bins : pandas.DataFrame
        Columns dataset, protocol, target, model, label, n_units, mean_probability, observed, low,
        high: bins of patients with similar probabilities, of one data set and protocol.
    slopes : mapping of (str, str) to float, optional
        Slope of the calibration line by gene and model, printed in the legend; NaN where there
        is none.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, two panels side by side at most, in the order of the table. Marks are larger
        where bins hold more patients, bars are intervals of the share, and a broken line says
        where probabilities would be right.

    Raises
    ------
    InputError
        A column is missing, or there is nothing to draw.
    """
    require_columns(bins, COLUMNS, "the table of calibration")
    genes = list(dict.fromkeys(bins["target"]))
    if not genes:
        raise InputError("no gene has probabilities to draw")
    n_columns = min(len(genes), 2)
    n_rows = math.ceil(len(genes) / n_columns)
    lines = 1 + bins["model"].nunique()
    figure = new_figure(PANEL_IN * n_columns, n_rows * (HEIGHT_IN + LINE_IN * lines))
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for axes, gene in zip(grid, genes, strict=False):
        _draw_gene(axes, bins[bins["target"] == gene], dict(slopes or {}))
    hide_unused(grid[len(genes) :])
    return figure


def _draw_gene(axes: Axes, bins: pd.DataFrame, slopes: dict[tuple[str, str], float]) -> None:
    numbers = numbers_of(bins, NUMBERS)
    end = min(1.0, 1.06 * float(np.nanmax(numbers)))
    axes.plot([0, end], [0, end], "--", color=MUTED, linewidth=1, zorder=1)
    handles = []
    marks = model_marks(bins["model"])
    for k, (model, marker) in enumerate(marks.items()):
        rows = bins[bins["model"] == model]
        x, y, low, high = numbers_of(rows, NUMBERS).T
        x = x + end * APART * (k - (len(marks) - 1) / 2)
        color = model_style(model).edge
        sizes = 12 + 60 * np.sqrt(rows["n_units"].to_numpy(float) / bins["n_units"].max())
        axes.vlines(x, low, high, color=color, linewidth=1.6, alpha=0.6, zorder=2)
        axes.plot(x, y, color=color, linewidth=0.9, zorder=3)
        axes.scatter(x, y, s=sizes, marker=marker, color=color, edgecolor="white", zorder=4)
        label = fit_name(rows["label"].iloc[0], 44, 1)
        slope = slopes.get((str(rows["target"].iloc[0]), model), math.nan)
        label += f": slope {plain(slope)}" if math.isfinite(slope) else ""
        handles.append(Line2D([], [], color=color, marker=marker, label=label))
    handles.append(Line2D([], [], color=MUTED, linestyle="--", label="right"))
    axes.set_xlim(-0.02 * end, 1.02 * end)
    axes.set_ylim(-0.02 * end, 1.02 * end)
    axes.set_box_aspect(0.72)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    clean_axes(axes)
    axes.grid(visible=True)
    axes.set_title(fit_name(bins["target"].iloc[0], 40, 1))
    axes.set_xlabel("predicted probability of a mutation")
    axes.set_ylabel("share mutated")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.02, -0.2), ncols=1)
