"""Recall of each class by model: boxes over repeats (Li 2022, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures import boxes
from histograft.figures.palette import model_style
from histograft.figures.style import (
    PANEL_IN,
    clean_axes,
    fit_name,
    is_share,
    new_figure,
    panel_name,
    styled,
)

KEYS = ["dataset", "protocol", "model", "label", "metric"]


@styled
def class_boxes(
    repeats: pd.DataFrame,
    models: Sequence[str],
    *,
    results: pd.DataFrame | None = None,
    measure: str = "recall",
    legend: bool = True,
) -> Figure:
    """Draw one panel per data set and in it, class by class, a box over repeats for each model.

    Parameters
    ----------
    repeats : pandas.DataFrame
        Columns dataset, protocol, model, label, repeat, metric, value, where metric is
        ``measure:class``.
    models : sequence of str
        Fixed names of the models to compare, in the order to draw; those without a row in a
        data set are left out there.
    results : pandas.DataFrame, optional
        Columns of the results table; adds estimate and interval to each box.
    measure : str
        The part of the metric's name before the colon.
    legend : bool
        Explain colors, boxes and intervals beneath the panels.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, classes in their order in the tables.

    Raises
    ------
    InputError
        A column is missing, or there is nothing to draw.
    """
    require_columns(repeats, [*KEYS, "repeat", "value"], "the repeats table")
    tables = [_select(repeats, models, measure)]
    if results is not None:
        require_columns(results, [*KEYS, "value", "ci_low", "ci_high"], "the results table")
        tables.append(_select(results, models, measure))
    both = pd.concat([table[[*KEYS, "class"]] for table in tables]).drop_duplicates()
    if both.empty:
        raise InputError(f"no {measure} of {', '.join(models) or 'no model'} to draw")
    panels = list(both.groupby(["dataset", "protocol"], sort=False))
    line_in = 0.18 if results is None else 0.25
    heights = [_n_lines(panel) * line_in + 0.8 for _, panel in panels]
    figure = new_figure(PANEL_IN, sum(heights) + 0.9 * legend)
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, (key, panel) in zip(grid, panels, strict=True):
        here = [t[(t["dataset"] == key[0]) & (t["protocol"] == key[1])] for t in tables]
        _draw_panel(axes, panel, models, here)
        axes.set_title(panel_name(*key))
        axes.set_xlabel(f"{measure} (%)" if is_share(measure) else measure)
    if legend:
        handles = [*_model_handles(both, models)]
        intervals = boxes.interval_legend(tables[1] if results is not None else None)
        figure.legend(
            handles=handles + boxes.legend_handles(tables[0], intervals), loc="outside lower left"
        )
    return figure


@styled
def class_legend(results: pd.DataFrame, models: Sequence[str]) -> Figure:
    """Draw the legend of `class_boxes` alone, for panels that stand side by side without one.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns model, label and ci_unit of the results table.
    models : sequence of str
        Fixed names of the models, in the order to draw.

    Returns
    -------
    matplotlib.figure.Figure
        No panel, only the explanation of colors, boxes and intervals.
    """
    box = pd.DataFrame({"repeat": [0, 1]})
    intervals = boxes.interval_legend(results)
    handles = [*_model_handles(results, models), *boxes.legend_handles(box, intervals)]
    figure = new_figure(PANEL_IN, 0.24 * len(handles) + 0.45, layout=None)
    figure.legend(handles=handles, loc="upper left")
    return figure


def _select(table: pd.DataFrame, models: Sequence[str], measure: str) -> pd.DataFrame:
    of_measure = table["metric"].astype(str).str.startswith(f"{measure}:")
    chosen = table[of_measure & table["model"].isin(list(models))]
    return chosen.assign(**{"class": chosen["metric"].astype(str).str.split(":", n=1).str[1]})


def _n_lines(panel: pd.DataFrame) -> float:
    return panel["class"].nunique() * (panel["model"].nunique() + 0.6)


def _model_handles(table: pd.DataFrame, models: Sequence[str]) -> list[Patch]:
    labels = dict(zip(table["model"], table["label"], strict=True))
    handles = []
    for model in dict.fromkeys(models):
        if model in labels:
            style = model_style(model)
            handles.append(
                Patch(
                    facecolor=style.face,
                    edgecolor=style.edge,
                    hatch=style.hatch,
                    label=fit_name(labels[model], 60, 1),
                )
            )
    return handles


def _draw_panel(
    axes: Axes, panel: pd.DataFrame, models: Sequence[str], tables: list[pd.DataFrame]
) -> None:
    classes = list(dict.fromkeys(panel["class"]))
    shown = [model for model in dict.fromkeys(models) if (panel["model"] == model).any()]
    height = 0.84 / len(shown)
    numbers: list[float] = []
    for i, name in enumerate(classes):
        for j, model in enumerate(shown):
            here = [t[(t["class"] == name) & (t["model"] == model)] for t in tables]
            row = boxes.row_of(here[0], here[1] if len(here) > 1 else None)
            y = i + (j - (len(shown) - 1) / 2) * height
            boxes.draw_row(axes, row, y, height, model_style(model))
            numbers += row.extremes()
        if i:
            axes.axhline(i - 0.5, color="#eceef1", linewidth=0.8, zorder=0)
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_yticks(range(len(classes)), [fit_name(name, 26) for name in classes])
    boxes.set_range(axes, numbers, percent=is_share(str(panel["metric"].iloc[0])))
    clean_axes(axes, "x")
