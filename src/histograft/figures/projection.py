"""Two-dimensional maps of features, with the score of the full space beside each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.numerals import percent, plain
from histograft.figures.palette import class_look, order_models
from histograft.figures.style import (
    MUTED,
    PANEL_IN,
    fit_name,
    new_figure,
    panel_name,
    styled,
)

MAP_IN = 3.1
# Side of a map that has its legend elsewhere; two stand side by side.
WIDE_IN = 4.2
LEGEND_COLUMNS = 3


@styled
def projection_panels(
    projection: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    n_neighbors: int = 10,
    classes: Sequence[str] | None = None,
    legend: bool = True,
) -> Figure:
    """Draw a map for each data set (rows) and model (columns).

    A map distorts distances, so the accuracy of the nearest neighbors in the full feature space
    stands above it: the number is the evidence, the map its illustration.

    Parameters
    ----------
    projection : pandas.DataFrame
        Columns dataset, model, label, x, y, class; a row for each patch.
    scores : pandas.DataFrame
        Columns dataset, model, knn_accuracy (0 to 1) and silhouette (−1 to 1); NaN and missing
        rows are left blank.
    n_neighbors : int
        Neighbors behind ``knn_accuracy``, for the caption.
    classes : sequence of str, optional
        Order of the classes, which decides numerals and colors; by default that of each set.
    legend : bool
        Explain the classes beside the maps; without, `projection_legend` does it for several.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; a numeral stands at the middle of each class.

    Raises
    ------
    InputError
        A column is missing, or no point has coordinates.
    """
    require_columns(projection, ["dataset", "model", "label", "x", "y", "class"], "the projection")
    require_columns(scores, ["dataset", "model", "knn_accuracy", "silhouette"], "the scores")
    points = projection.dropna(subset=["x", "y"])
    if points.empty:
        raise InputError("the projection has no point to draw")
    models = order_models(points["model"])
    panels = list(points.groupby("dataset", sort=False))
    listed = [list(classes) if classes is not None else classes_of(panel) for _, panel in panels]
    widths = [MAP_IN] * len(models) + [PANEL_IN - MAP_IN] if legend else [WIDE_IN] * len(models)
    heights = [max(2.9, 0.21 * len(names) + 0.8) if legend else WIDE_IN for names in listed]
    figure = new_figure(sum(widths), sum(heights) + 0.25)
    grid = figure.subplots(
        len(panels), len(widths), squeeze=False, height_ratios=heights, width_ratios=widths
    )
    for axes_row, (dataset, panel), names in zip(grid, panels, listed, strict=True):
        for column, (axes, model) in enumerate(zip(axes_row, models, strict=False)):
            table = panel[panel["model"] == model]
            if table.empty:
                axes.set_axis_off()
                continue
            _draw_map(axes, table, names)
            where = (scores["dataset"] == dataset) & (scores["model"] == model)
            above = panel_name(dataset) if column == 0 else ""
            # Without a legend a map is wide enough for a name in one line: all are of one height.
            name = fit_name(table["label"].iloc[0], *((34, 2) if legend else (52, 1)))
            axes.set_title(f"{above}\n{name}", pad=18)
            _write_above(axes, _score_line(scores[where], n_neighbors))
        if legend:
            axes_row[-1].set_axis_off()
            axes_row[-1].legend(handles=_class_handles(names), loc="center left", borderpad=0)
    return figure


def classes_of(projection: pd.DataFrame) -> list[str]:
    """Return each class once, in the order of the table."""
    return list(dict.fromkeys(projection["class"].astype(str)))


@styled
def projection_legend(classes: Sequence[str]) -> Figure:
    """Draw the legend of `projection_panels` alone, for maps that stand side by side without one.

    Parameters
    ----------
    classes : sequence of str
        The order that was given to the maps.

    Returns
    -------
    matplotlib.figure.Figure
        No map, only numerals, colors and names.
    """
    n_rows = math.ceil(len(classes) / LEGEND_COLUMNS)
    figure = new_figure(PANEL_IN, 0.22 * n_rows + 0.15, layout=None)
    figure.legend(handles=_class_handles(classes), loc="upper left", ncols=LEGEND_COLUMNS)
    return figure


def _draw_map(axes: Axes, table: pd.DataFrame, classes: list[str]) -> None:
    size = 16 if len(table) < 400 else 8 if len(table) < 2000 else 4
    for index, name in enumerate(classes):
        one = table[table["class"].astype(str) == name]
        color, marker = class_look(index)
        # As pixels also in the SVG: ten thousand markers make a file that no browser likes.
        axes.scatter(
            one["x"],
            one["y"],
            s=size,
            c=color,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            rasterized=True,
        )
    for index, name in enumerate(classes):
        one = table[table["class"].astype(str) == name]
        if one.empty:
            continue
        number = axes.text(one["x"].median(), one["y"].median(), str(index + 1))
        number.set(ha="center", va="center", fontsize=9, fontweight="bold")
        number.set_path_effects([patheffects.withStroke(linewidth=2.6, foreground="white")])
    axes.set(xticks=[], yticks=[])
    axes.margins(0.05)
    axes.spines[:].set(visible=True, color="#c9ced4")


def _class_handles(classes: Sequence[str]) -> list[Line2D]:
    handles = []
    for index, name in enumerate(classes):
        color, marker = class_look(index)
        label = f"{index + 1} {fit_name(name, 16)}"
        handles.append(Line2D([], [], color=color, marker=marker, linestyle="", label=label))
    return handles


def _write_above(axes: Axes, text: str) -> None:
    axes.annotate(
        text,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 5),
        textcoords="offset points",
        fontsize=8,
        color=MUTED,
    )


def _score_line(scores: pd.DataFrame, n_neighbors: int) -> str:
    if scores.empty:
        return ""
    parts = []
    row = scores.iloc[0]
    if pd.notna(row["knn_accuracy"]):
        parts.append(f"{n_neighbors}-NN in full space {percent(row['knn_accuracy'])} %")
    if pd.notna(row["silhouette"]):
        parts.append(f"silhouette {plain(row['silhouette'])}")
    return " · ".join(parts)
