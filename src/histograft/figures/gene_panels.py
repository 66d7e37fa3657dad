"""A figure of panels of genes, one for each data set and protocol."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from histograft.core.errors import InputError
from histograft.figures.gene_rows import GeneRow, draw_rows, legend_handles, rows_height_in
from histograft.figures.style import PANEL_IN, fit_name, hide_unused, new_figure, panel_name

MOST_GENES = 60
# Title and axis of a panel; a line of the legend.
AROUND_IN, LEGEND_IN = 0.85, 0.2


@dataclass(frozen=True)
class GenePanel:
    """One panel.

    Attributes
    ----------
    key : tuple of str
        Data set and protocol.
    rows : list of GeneRow
        In the order to draw.
    label : str
        Beneath the axis.
    """

    key: tuple[Hashable, ...]
    rows: list[GeneRow]
    label: str


def select_genes(
    results: pd.DataFrame,
    metric: str,
    genes: Sequence[str] | None,
    models: Sequence[str] | None,
) -> pd.DataFrame:
    """Return the rows of a metric, of some genes and models.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns metric, target and model.
    metric : str
        Name of the metric.
    genes, models : sequence of str or None
        Names to keep; None keeps all.

    Returns
    -------
    pandas.DataFrame
        A part of the table, in its order.

    Raises
    ------
    InputError
        A gene that is asked for is in no row, nothing is left, or more than 60 genes are.
    """
    rows = results[results["metric"] == metric]
    if models is not None:
        rows = rows[rows["model"].isin(list(models))]
    if genes is not None:
        absent = [gene for gene in dict.fromkeys(genes) if not (rows["target"] == gene).any()]
        if absent:
            raise InputError(
                f"no row of the metric {metric!r} for {', '.join(absent)}",
                "ask for genes of the results table",
            )
        rows = rows[rows["target"].isin(list(genes))]
    if rows.empty:
        raise InputError(f"no gene with the metric {metric!r} to draw")
    if (n := rows["target"].nunique()) > MOST_GENES:
        raise InputError(
            f"{n:,} genes are more than a picture with a row for each can show",
            f"name up to {MOST_GENES} genes",
        )
    return rows


def draw_gene_panels(
    panels: Sequence[GenePanel],
    heads: tuple[str, str],
    reference: float,
    labels: dict[str, str],
    note: str = "",
) -> Figure:
    """Draw panels, two side by side at most, and one legend for all.

    Parameters
    ----------
    panels : sequence of GenePanel
        What to draw.
    heads : tuple of str
        What stands above the two columns of numbers.
    reference : float
        Where to draw the line of chance.
    labels : dict of str to str
        What to call each model.
    note : str
        A line beneath the legend.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    n_columns = min(len(panels), 2)
    n_rows = math.ceil(len(panels) / n_columns)
    heights = [
        max(rows_height_in(panel.rows) for panel in panels[i * n_columns : (i + 1) * n_columns])
        + AROUND_IN
        for i in range(n_rows)
    ]
    handles = legend_handles((row for panel in panels for row in panel.rows), labels)
    lines = len(handles)
    if note:
        note = fit_name(note, 62)
        lines += 1 + note.count("\n")
        handles.append(Line2D([], [], linestyle="", label=note))
    figure = new_figure(PANEL_IN * n_columns, sum(heights) + LEGEND_IN * lines + 0.1)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, height_ratios=heights)
    for axes, panel in zip(grid.ravel().tolist(), panels, strict=False):
        draw_rows(axes, panel.rows, heads, reference)
        axes.set_title(panel_name(*panel.key))
        axes.set_xlabel(panel.label)
    hide_unused(grid.ravel().tolist()[len(panels) :])
    figure.legend(handles=handles, loc="outside lower left")
    return figure
