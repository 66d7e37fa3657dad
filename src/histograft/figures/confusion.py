"""Confusion matrices: where the errors of a model go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.numerals import fixed
from histograft.figures.palette import order_models
from histograft.figures.style import INK, MUTED, fit_name, new_figure, panel_name, styled

COLUMNS = ["dataset", "protocol", "model", "label", "truth", "predicted", "count"]
# Above this many classes a cell has room for the percentage only, or for nothing.
MOST_WITH_COUNTS, MOST_WITH_TEXT = 12, 24
# Margins in inches. They are set by hand: the automatic layouts give all matrices one size,
# and then two classes fill a page or nine are too small to read.
GAP_IN, TOP_IN = 0.3, 0.75

_RIGHT = (
    LinearSegmentedColormap.from_list("right", ["#f3f7fb", "#7fa9d3", "#17508a"]),
    Normalize(0, 1),
)
_WRONG = (
    LinearSegmentedColormap.from_list("wrong", ["#f7f7f8", "#f6b78c", "#b34700"]),
    PowerNorm(0.5, 0, 0.6, clip=True),
)


@styled
def confusion_matrices(confusion: pd.DataFrame) -> Figure:
    """Draw a matrix for each data set (rows of panels) and model (columns of panels).

    Cells hold the percentage of the true class and the count (a mean over repeats). Right
    answers are blue; errors are orange on a scale of their own, so that 2 % can be seen.

    Parameters
    ----------
    confusion : pandas.DataFrame
        Columns dataset, protocol, model, label, truth, predicted, count; a missing pair counts
        as 0. Classes are drawn in their order in the column ``truth``.

    Returns
    -------
    matplotlib.figure.Figure
        The picture. A class without a case has an empty gray row.

    Raises
    ------
    InputError
        A column is missing, or the table is empty.
    """
    require_columns(confusion, COLUMNS, "the confusion table")
    if confusion.empty:
        raise InputError("the confusion table has no row to draw")
    models = order_models(confusion["model"])
    panels = list(confusion.groupby(["dataset", "protocol"], sort=False))
    orders = [_classes(panel) for _, panel in panels]
    sides = [_side_in(len(classes)) for classes in orders]
    left_in = max(map(_left_in, orders))
    width = left_in + len(models) * (max(sides) + GAP_IN)
    bottoms = [_bottom_in(classes) for classes in orders]
    height = sum(sides) + sum(bottoms) + len(panels) * TOP_IN
    figure = new_figure(width, height, layout=None)
    top = height
    for (key, panel), classes, side, bottom in zip(panels, orders, sides, bottoms, strict=True):
        top -= TOP_IN + side
        figure.text(0.1 / width, (top + side + 0.47) / height, panel_name(*key), weight="bold")
        shown = [model for model in models if (panel["model"] == model).any()]
        for column, model in enumerate(shown):
            left = left_in + column * (side + GAP_IN)
            place = (left / width, top / height, side / width, side / height)
            table = panel[panel["model"] == model]
            axes = figure.add_axes(place)
            _draw_matrix(axes, _matrix(table, classes), classes)
            title = fit_name(table["label"].iloc[0], int(13 * side), 2)
            axes.set_title(title, fontsize=9, fontweight="normal")
            if column:
                axes.set_yticklabels([])
        top -= bottom
    return figure


def _side_in(n_classes: int) -> float:
    return max(1.8, n_classes * (0.42 if n_classes <= MOST_WITH_COUNTS else 0.28))


def _left_in(classes: list[str]) -> float:
    longest = max(len(line) for name in classes for line in fit_name(name, 20).split("\n"))
    return 0.3 + 0.075 * max(longest, 8)


def _bottom_in(classes: list[str]) -> float:
    longest = max(len(line) for name in classes for line in fit_name(name, 18).split("\n"))
    return 0.45 + 0.052 * longest


def _classes(panel: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys([*panel["truth"].astype(str), *panel["predicted"].astype(str)]))


def _matrix(table: pd.DataFrame, classes: list[str]) -> np.ndarray:
    place = {name: i for i, name in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)))
    rows = [place[name] for name in table["truth"].astype(str)]
    columns = [place[name] for name in table["predicted"].astype(str)]
    counts = pd.to_numeric(table["count"], errors="coerce").fillna(0).to_numpy(dtype=np.float64)
    np.add.at(matrix, (rows, columns), counts)
    return matrix


def _draw_matrix(axes: Axes, counts: np.ndarray, classes: list[str]) -> None:
    n = len(classes)
    totals = counts.sum(axis=1)
    shares = np.divide(
        counts, totals[:, None], out=np.full_like(counts, np.nan), where=totals[:, None] > 0
    )
    diagonal = np.eye(n, dtype=bool)
    axes.set_facecolor("#e9ebee")
    edges = np.arange(n + 1) - 0.5
    for scale, hidden in ((_RIGHT, ~diagonal), (_WRONG, diagonal)):
        shown = np.ma.masked_array(shares, hidden | np.isnan(shares))
        # Squares instead of an image: an SVG of them is sharp at any size.
        axes.pcolormesh(
            edges, edges, shown, cmap=scale[0], norm=scale[1], edgecolors="white", linewidth=1.2
        )
    for i, j in zip(*np.nonzero(counts > 0), strict=True):
        _write_cell(axes, (i, j), shares[i, j], counts[i, j], n)
    axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), aspect="equal")
    axes.tick_params(which="both", length=0)
    angle: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(n), [fit_name(name, 18) for name in classes], **angle)
    names = [
        f"{fit_name(name, 20)}\nn = {_count(total)}"
        for name, total in zip(classes, totals, strict=True)
    ]
    axes.set_yticks(range(n), names, fontsize=8 if n <= MOST_WITH_COUNTS else 6.5)
    axes.set_xlabel("predicted", color=MUTED, labelpad=2)
    axes.spines[:].set_visible(False)


def _write_cell(
    axes: Axes, cell: tuple[int, int], share: float, count: float, n_classes: int
) -> None:
    if n_classes > MOST_WITH_TEXT:
        return
    i, j = cell
    colors, norm = _RIGHT if i == j else _WRONG
    color = "white" if _luminance(colors(norm(share))) < 0.35 else INK
    look: dict[str, Any] = {"ha": "center", "va": "center", "color": color}
    if n_classes > MOST_WITH_COUNTS:
        axes.text(j, i, _percent(share), fontsize=6, **look)
        return
    axes.text(j, i - 0.12, _percent(share), fontsize=8, **look)
    axes.text(j, i + 0.26, _count(count), fontsize=6, **look)


def _luminance(color: tuple[float, float, float, float]) -> float:
    # Relative luminance of WCAG 2.1, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _percent(share: float) -> str:
    percent = 100 * share
    if percent < 0.1:
        return "<0.1"
    return "100" if percent > 99.95 else fixed(percent, 1)


def _count(count: float) -> str:
    if 0 < count < 0.05:
        return "<0.1"
    if count >= 100 or abs(count - round(count)) < 0.05:
        return f"{count:,.0f}"
    return f"{count:.1f}"
