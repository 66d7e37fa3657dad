"""Two-dimensional maps of features, with the score of the full space beside each."""

from __future__ import annotations

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


@styled
def projection_panels(
    projection: pd.DataFrame, scores: pd.DataFrame, *, n_neighbors: int = 10
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
    classes = [list(dict.fromkeys(panel["class"].astype(str))) for _, panel in panels]
    heights = [max(2.9, 0.21 * len(names) + 0.8) for names in classes]
    figure = new_figure(MAP_IN * len(models) + PANEL_IN - MAP_IN, sum(heights) + 0.25)
    grid = figure.subplots(
        len(panels),
        len(models) + 1,
        squeeze=False,
        height_ratios=heights,
        width_ratios=[MAP_IN] * len(models) + [PANEL_IN - MAP_IN],
    )
    for axes_row, (dataset, panel), names in zip(grid, panels, classes, strict=True):
        for column, (axes, model) in enumerate(zip(axes_row, models, strict=False)):
            table = panel[panel["model"] == model]
            if table.empty:
                axes.set_axis_off()
                continue
            _draw_map(axes, table, names)
            where = (scores["dataset"] == dataset) & (scores["model"] == model)
            above = panel_name(dataset) if column == 0 else ""
            axes.set_title(f"{above}\n{fit_name(table['label'].iloc[0], 34)}", pad=18)
            _write_above(axes, _score_line(scores[where], n_neighbors))
        axes_row[-1].set_axis_off()
        axes_row[-1].legend(handles=_class_handles(names), loc="center left", borderpad=0)
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


def _class_handles(classes: list[str]) -> list[Line2D]:
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
