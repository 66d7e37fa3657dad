"""Overall accuracy by model: boxes over repeats with estimate and interval (Li 2022, Fig. 2)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures import boxes
from histograft.figures.palette import model_style, order_models
from histograft.figures.style import (
    MUTED,
    PANEL_IN,
    clean_axes,
    fit_name,
    hide_unused,
    is_share,
    new_figure,
    panel_name,
    styled,
)

KEYS = ["dataset", "protocol", "model", "label"]


@styled
def accuracy_boxes(
    repeats: pd.DataFrame,
    results: pd.DataFrame,
    *,
    metric: str = "accuracy",
    models: Sequence[str] | None = None,
    chance: Mapping[str, float] | None = None,
    legend: bool = True,
) -> Figure:
    """Draw one panel per data set: a box over repeats and an interval for each model.

    Split noise and sampling uncertainty are different things and are drawn apart: the box says
    how much the number depends on how the folds fell, the interval how much it depends on which
    patients (or patches) happened to be in the set.

    Parameters
    ----------
    repeats : pandas.DataFrame
        Columns dataset, protocol, model, label, repeat, metric, value. May have no row for a
        data set that was tested once.
    results : pandas.DataFrame
        Columns dataset, protocol, model, label, metric, value, ci_low, ci_high, ci_unit,
        n_units, n_groups.
    metric : str
        The metric to draw.
    models : sequence of str, optional
        Draw these only; two models on an axis of their own show what the full list hides.
    chance : mapping of str to float, optional
        For a data set the share of its largest class, drawn as a dashed line.
    legend : bool
        Explain boxes and intervals beneath the panels.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    InputError
        A column is missing, or neither table holds the metric.

    References
    ----------
    Li X, Cen M, Xu J, Zhang H, Xu XS. Improving feature extraction from histopathological
    images through a fine-tuning ImageNet model. J Pathol Inform 2022, Fig. 2;
    doi:10.1016/j.jpi.2022.100115.
    """
    require_columns(repeats, [*KEYS, "repeat", "metric", "value"], "the repeats table")
    require_columns(results, [*KEYS, "metric", *_RESULT_COLUMNS], "the results table")
    repeats, results = (_select(table, metric, models) for table in (repeats, results))
    both = pd.concat([results[KEYS], repeats[KEYS]]).drop_duplicates()
    if both.empty:
        raise InputError(f"no value of the metric {metric!r} to draw")
    panels = list(both.groupby(["dataset", "protocol"], sort=False))
    n_columns = min(len(panels), 2)
    n_rows = math.ceil(len(panels) / n_columns)
    most = max(panel["model"].nunique() for _, panel in panels)
    height = n_rows * (0.36 * most + 0.95) + 0.75 * legend
    figure = new_figure(PANEL_IN * n_columns, height, w_pad_in=0.07 * n_columns)
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for axes, (key, panel) in zip(grid, panels, strict=False):
        rows = {name: _of(table, key) for name, table in (("r", repeats), ("s", results))}
        _draw_panel(axes, panel, rows["r"], rows["s"], metric)
        axes.set_title(panel_name(*key))
        _draw_chance(axes, (chance or {}).get(str(key[0])))
    hide_unused(grid[len(panels) :])
    if legend:
        figure.legend(
            handles=boxes.legend_handles(repeats, boxes.interval_legend(results)),
            loc="outside lower left",
        )
    return figure


_RESULT_COLUMNS = ("value", "ci_low", "ci_high", "ci_unit", "n_units", "n_groups")


def _select(table: pd.DataFrame, metric: str, models: Sequence[str] | None) -> pd.DataFrame:
    chosen = table["metric"] == metric
    return table[chosen if models is None else chosen & table["model"].isin(list(models))]


def _of(table: pd.DataFrame, key: tuple[Hashable, ...]) -> pd.DataFrame:
    return table[(table["dataset"] == key[0]) & (table["protocol"] == key[1])]


def _draw_panel(
    axes: Axes, panel: pd.DataFrame, repeats: pd.DataFrame, results: pd.DataFrame, metric: str
) -> None:
    percent = is_share(metric)
    labels = dict(zip(panel["model"], panel["label"], strict=True))
    models = order_models(panel["model"])
    numbers: list[float] = []
    for y, model in enumerate(models):
        row = boxes.row_of(repeats[repeats["model"] == model], results[results["model"] == model])
        boxes.draw_row(axes, row, y, 1.0, model_style(model))
        numbers += row.extremes()
        axes.annotate(
            boxes.describe(row, percent=percent),
            (1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_ylim(len(models) - 0.45, -0.9)  # room above for the line of the largest class
    axes.set_yticks(range(len(models)), [fit_name(labels[model], 24) for model in models])
    boxes.set_range(axes, numbers, percent=percent)
    axes.set_xlabel(f"{metric.replace('_', ' ')}{' (%)' if percent else ''}{_sizes(results)}")
    clean_axes(axes, "x")


def _sizes(results: pd.DataFrame) -> str:
    counts = results.dropna(subset=["n_units", "n_groups"])
    if counts.empty:
        return ""
    n_units, n_groups = int(counts["n_units"].iloc[0]), int(counts["n_groups"].iloc[0])
    if set(counts["ci_unit"]) == {"patch"}:
        return f" · {n_units:,} patches, no groups used"
    kinds = {"image": "images", "mixed": "groups and images"}
    kind = kinds.get(str(counts["ci_unit"].iloc[0]), "groups")
    return f" · {n_units:,} patches in {n_groups:,} {kind}"


def _draw_chance(axes: Axes, chance: float | None) -> None:
    if chance is None or not math.isfinite(chance):
        return
    low, high = axes.get_xlim()
    text = f"largest class {100 * chance:.0f} %"
    to_right = chance < (low + high) / 2
    if low <= chance <= high:
        axes.axvline(chance, color=MUTED, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    else:
        # The axis is not stretched to a line that tells little: an arrow points to it.
        text = f"← {text}" if to_right else f"{text} →"
    note = axes.annotate(
        text,
        (min(max(chance, low), high), 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(3 if to_right else -3, -2),
        textcoords="offset points",
    )
    note.set(va="top", ha="left" if to_right else "right", fontsize=7.5, color=MUTED)
