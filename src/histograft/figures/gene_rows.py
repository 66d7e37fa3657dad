"""Rows of genes, and in each row a line for each model: estimate, interval, and numbers beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from histograft.figures import boxes
from histograft.figures.gene_tables import with_interval
from histograft.figures.palette import model_style, order_models
from histograft.figures.style import INK, MUTED, clean_axes, fit_name

LINE_IN = 0.175
GAP_IN = 0.1
# Name and note of a gene need two lines, also where there is one model.
LEAST_IN = 0.36
HEAD_IN = 0.2
TEXT_PT = 8.0
COLUMN_GAP_PT = 9.0
MARKERS = ("o", "s", "D", "^", "v", "P")


@dataclass(frozen=True)
class Line:
    """One model in the row of a gene.

    Attributes
    ----------
    model : str
        Fixed name of the model.
    numbers : tuple of float
        Estimate and the ends of its interval; NaN where unknown.
    text : str
        What stands in the last column; may be empty.
    """

    model: str
    numbers: tuple[float, float, float]
    text: str = ""


@dataclass(frozen=True)
class GeneRow:
    """A gene.

    Attributes
    ----------
    gene, note : str
        Its name, and what stands beneath it; the note may be empty.
    lines : tuple of Line
        A line for each model that predicts it.
    """

    gene: str
    note: str
    lines: tuple[Line, ...]

    @property
    def height_in(self) -> float:
        """Height of the row in inches."""
        return max(len(self.lines) * LINE_IN + GAP_IN, LEAST_IN if self.note else 0.0)

    @property
    def best(self) -> float:
        """The largest estimate of all models; minus infinity where there is none."""
        known = [line.numbers[0] for line in self.lines if np.isfinite(line.numbers[0])]
        return max(known, default=-np.inf)


def sort_rows(rows: Iterable[GeneRow]) -> list[GeneRow]:
    """Return the rows, the gene that any model predicts best on top.

    Examples
    --------
    >>> low, high = (GeneRow(n, "", (Line("m", (v, 0, 1)),)) for n, v in (("a", 0.1), ("b", 0.9)))
    >>> [row.gene for row in sort_rows([low, high])]
    ['b', 'a']
    """
    return sorted(rows, key=lambda row: -row.best)


def rows_height_in(rows: Sequence[GeneRow]) -> float:
    """Height of a panel of rows in inches, without what stands around the axes."""
    return HEAD_IN + sum(row.height_in for row in rows)


def draw_rows(
    axes: Axes, rows: Sequence[GeneRow], heads: tuple[str, str], reference: float
) -> None:
    """Draw genes from top to bottom, with their numbers to the right of the panel.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw; y is in inches from the top.
    rows : sequence of GeneRow
        In order.
    heads : tuple of str
        What stands above the estimates, and above the last column; that is left out where no
        line has a text for it.
    reference : float
        Where a vertical line says "no better than chance".
    """
    texts = [with_interval(*line.numbers) for row in rows for line in row.lines]
    second_pt = COLUMN_GAP_PT + max(map(_width_pt, [heads[0], *texts])) + COLUMN_GAP_PT
    has_second = any(line.text for row in rows for line in row.lines)
    numbers: list[float] = [reference]
    order = model_marks(line.model for row in rows for line in row.lines)
    top = HEAD_IN
    for row in rows:
        if row is not rows[0]:
            axes.axhline(top, color="#eceef1", linewidth=0.8, zorder=0)
        middle = top + row.height_in / 2
        _name(axes, row, middle)
        for k, line in enumerate(row.lines):
            y = middle + (k - (len(row.lines) - 1) / 2) * LINE_IN
            _draw_line(axes, line, y, order[line.model])
            _beside(axes, y, with_interval(*line.numbers), COLUMN_GAP_PT)
            _beside(axes, y, line.text, second_pt)
            numbers += [number for number in line.numbers if np.isfinite(number)]
        top += row.height_in
    _beside(axes, HEAD_IN / 2, heads[0], COLUMN_GAP_PT, color=MUTED)
    if has_second:
        _beside(axes, HEAD_IN / 2, heads[1], second_pt, color=MUTED)
    axes.axvline(reference, color=INK, linewidth=1, zorder=1)
    axes.set_ylim(top, 0)
    axes.set_yticks([])
    boxes.set_range(axes, numbers, percent=False)
    clean_axes(axes, "x")
    axes.spines["left"].set_visible(False)


def model_marks(models: Iterable[str]) -> dict[str, str]:
    """Return a marker for each model, in the usual order of models.

    Examples
    --------
    >>> model_marks(["ftx-dense", "imgnet-gap"])
    {'imgnet-gap': 'o', 'ftx-dense': 's'}
    """
    return {model: MARKERS[i % len(MARKERS)] for i, model in enumerate(order_models(models))}


def legend_handles(rows: Iterable[GeneRow], labels: dict[str, str]) -> list[Line2D]:
    """Say which mark is which model, and what the bar is where there is one."""
    lines = [line for row in rows for line in row.lines]
    handles = []
    for model, marker in model_marks(line.model for line in lines).items():
        color = model_style(model).edge
        label = fit_name(labels.get(model, model), 60, 1)
        handles.append(Line2D([], [], color=color, marker=marker, linestyle="", label=label))
    if any(np.isfinite(line.numbers).all() for line in lines):
        handles.append(Line2D([], [], color=MUTED, linewidth=1.8, label="95 % interval"))
    return handles


def _draw_line(axes: Axes, line: Line, y: float, marker: str) -> None:
    point, low, high = line.numbers
    color = model_style(line.model).edge
    if not np.isfinite(point):
        return
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [y, y], color=color, linewidth=1.8, alpha=0.75, zorder=2)
    axes.plot([point], [y], marker, color=color, markersize=5.5, zorder=3)
    axes.lines[-1].set(markeredgecolor="white", markeredgewidth=0.6)


def _name(axes: Axes, row: GeneRow, middle: float) -> None:
    up = 6.0 if row.note else 0.0
    for text, shift, size, color in ((row.gene, up, 9.0, INK), (row.note, -up, 7.5, MUTED)):
        if text:
            lines = 1 if row.note or len(row.lines) == 1 else 2
            name = axes.annotate(
                fit_name(text, 20, lines),
                (0, middle),
                xycoords=("axes fraction", "data"),
                xytext=(-8, shift),
                textcoords="offset points",
            )
            name.set(ha="right", va="center", fontsize=size, color=color)


def _beside(axes: Axes, y: float, text: str, points: float, *, color: str = INK) -> None:
    if text:
        beside = axes.annotate(
            text,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(points, 0),
            textcoords="offset points",
        )
        beside.set(va="center", fontsize=TEXT_PT, color=color)


def _width_pt(text: str) -> float:
    return float(TextPath((0, 0), text, size=TEXT_PT).get_extents().width)
