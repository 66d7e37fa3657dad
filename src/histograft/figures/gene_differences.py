"""Each gene's difference in correlation between two models, sorted (Li 2022, Fig. 4)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.gene_tables import (
    CORRELATIONS,
    Q_TABLE,
    numbers_of,
    require_protocol,
    signed,
    significant_genes,
)
from histograft.figures.label_places import spread
from histograft.figures.palette import ModelStyle, model_style
from histograft.figures.style import (
    INK,
    MUTED,
    PANEL_IN,
    clean_axes,
    fit_name,
    hide_unused,
    new_figure,
    panel_name,
    styled,
)

COLUMNS = [
    *("dataset", "protocol", "target", "model", "label", "metric"),
    *("compared_with", "difference", "difference_low", "difference_high"),
]
PAIR = ["dataset", "protocol", "model", "compared_with"]
ENDS = ["difference", "difference_low", "difference_high"]
# Up to this many genes each has its name, its place of LABEL_IN and a bar for its interval.
FEW_GENES = 30
LABEL_IN = 0.16
TALLEST_IN = 4.6
# Genes named at each end where nobody says which.
N_EXTREME = 4
# What title, heads, axis and legend take of a figure's height.
AROUND_IN = 2.25
LINE_PT = 12
BAND, BAR = "#e4e7eb", "#b4bcc5"
TIE = ModelStyle("#c9ced4", MUTED)
LEADER: dict[str, Any] = {
    "arrowstyle": "-",
    "linewidth": 0.4,
    "color": MUTED,
    "shrinkA": 0,
    "shrinkB": 0,
    "relpos": (0, 0.5),
}


@styled
def gene_differences(
    results: pd.DataFrame,
    q_values: pd.DataFrame | None = None,
    *,
    metric: str = "pearson",
    genes: Collection[str] | None = None,
    fdr: float = 0.05,
    reach: float | None = None,
) -> Figure:
    """Draw for each comparison a panel with the differences of all genes, the largest on top.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns of the results table with a row for each gene (``target``); rows without
        ``compared_with`` and rows of other metrics are passed over, but name models.
    q_values : pandas.DataFrame, optional
        Columns dataset, target, model, q (0 to 1) and, where data sets have several, protocol.
        Genes with q below `fdr` in either model are filled, and counted apart; among many genes
        a line joins them to 0.
    metric : str
        ``"pearson"`` or ``"spearman"``.
    genes : collection of str, optional
        Genes to name; those that are not in the table are passed over. By default all where
        there are at most 30, else four at each end.
    fdr : float
        False discovery rate, 0 to 1.
    reach : float, optional
        Both ends of the axis; by default all panels of the figure share what they need.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, two panels side by side at most. A gray band (a bar for each of at most 30
        genes) is the paired 95 % interval, where the table has it.

    Raises
    ------
    InputError
        A column is missing, no comparison is left, or `q_values` lacks the protocol where
        results have several.

    References
    ----------
    Li X, Cen M, Xu J, Zhang H, Xu XS. Improving feature extraction from histopathological
    images through a fine-tuning ImageNet model. J Pathol Inform 2022, Fig. 4;
    doi:10.1016/j.jpi.2022.100115.
    """
    require_columns(results, COLUMNS, "the results table")
    rows = results[(results["metric"] == metric) & results["compared_with"].notna()]
    if rows.empty:
        raise InputError(f"no paired comparison of the metric {metric!r} to draw")
    if q_values is not None:
        require_protocol(q_values, rows, Q_TABLE)
    names = dict(zip(results["model"], results["label"], strict=True))
    panels = []
    for _, part in rows.groupby(PAIR, sort=False):
        marks = significant_genes(part, q_values, fdr)
        panels.append(_Waterfall(part, names, marks, genes))
    n_columns = min(len(panels), 2)
    n_rows = math.ceil(len(panels) / n_columns)
    height_in = max(panel.height_in for panel in panels)
    reach = reach or max(panel.reach for panel in panels)
    figure = new_figure(PANEL_IN * n_columns, n_rows * (height_in + AROUND_IN - 0.4) + 0.4)
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel().tolist()
    for axes, panel in zip(grid, panels, strict=False):
        panel.draw(axes, height_in, reach, metric)
    hide_unused(grid[len(panels) :])
    handles = _legend(panels, fdr)
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=1)
    return figure


class _Waterfall:
    """The genes of one comparison, sorted."""

    def __init__(
        self,
        rows: pd.DataFrame,
        names: dict[str, str],
        marks: Collection[str] | None,
        genes: Collection[str] | None,
    ) -> None:
        first = rows.iloc[0]
        numbers = numbers_of(rows, ENDS)
        known = np.isfinite(numbers[:, 0])
        targets = rows["target"].astype(str).to_numpy()
        order = np.lexsort((targets[known], -numbers[known, 0]))
        self.title = panel_name(first["dataset"], first["protocol"])
        self.models = [str(first["model"]), str(first["compared_with"])]
        self.labels = [str(names.get(model, model)) for model in self.models]
        self.targets = targets[known][order]
        self.numbers = numbers[known][order]
        self.n_unknown = int((~known).sum())
        self.marked = None if marks is None else np.isin(self.targets, list(marks))
        self.named = self._named(genes)
        lines = max(len(self.named), len(self.targets) if self.few else 0, 4)
        self.height_in = max(lines * LABEL_IN, 0.0 if self.few else TALLEST_IN)

    @property
    def few(self) -> bool:
        return len(self.targets) <= FEW_GENES

    @property
    def has_intervals(self) -> bool:
        return bool(np.isfinite(self.numbers).all(axis=1).any())

    def _named(self, genes: Collection[str] | None) -> np.ndarray:
        if genes is not None:
            return np.flatnonzero(np.isin(self.targets, list(genes)))
        n = len(self.targets)
        every = np.arange(n)
        return every if self.few else np.r_[every[:N_EXTREME], every[n - N_EXTREME :]]

    @property
    def reach(self) -> float:
        return 1.08 * float(np.abs(np.nan_to_num(self.numbers)).max(initial=0)) or 1.0

    def draw(self, axes: Axes, height_in: float, reach: float, metric: str) -> None:
        """Draw the panel on axes of about this height, from minus to plus `reach`."""
        n = max(len(self.targets), 1)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(n - 0.5 + 0.01 * n, -0.5 - 0.01 * n)
        axes.axvline(0, color=INK, linewidth=1, zorder=3)
        self._draw_intervals(axes)
        self._draw_points(axes, 72 * height_in / n)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        clean_axes(axes, "x")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_title(self.title, pad=self._write_heads(axes) + 8)
        unknown = f"\n{self.n_unknown:,} more not estimable" if self.n_unknown else ""
        what = f"difference in {CORRELATIONS.get(metric, metric)}"
        axes.set_xlabel(f"{what} · {len(self.targets):,} genes{unknown}")
        self._write_names(axes, height_in)

    def _draw_intervals(self, axes: Axes) -> None:
        y = np.arange(len(self.numbers), dtype=np.float64)
        low, high = self.numbers[:, 1], self.numbers[:, 2]
        known = np.isfinite(self.numbers).all(axis=1)
        if self.few:
            axes.hlines(y[known], low[known], high[known], color=BAR, linewidth=1.8, zorder=2)
        elif known.any():
            axes.fill_betweenx(
                y, low, high, where=known.tolist(), step="mid", color=BAND, linewidth=0, zorder=1
            )

    def _draw_points(self, axes: Axes, pitch_pt: float) -> None:
        x, y = self.numbers[:, 0], np.arange(len(self.numbers))
        marked = np.ones(len(x), bool) if self.marked is None else self.marked
        size = float(np.clip(0.55 * pitch_pt, 2.4, 6.0))
        for model, side in ((self.models[0], x > 0), (self.models[1], x < 0), ("", x == 0)):
            style = model_style(model) if model else TIE
            plain, filled = side & ~marked, side & marked
            pale: dict[str, Any] = {"color": style.edge, "markerfacecolor": "white"}
            if not self.few:  # an outline of a small mark is as dark as the mark
                pale = {"color": style.face, "markeredgewidth": 0}
                if self.marked is not None:
                    _draw_stems(axes, x[filled], y[filled], style.edge)
            axes.plot(x[plain], y[plain], "o", markersize=size, zorder=4, **pale)
            # What is filled comes last, so that it is not lost among a thousand others.
            axes.plot(x[filled], y[filled], "o", markersize=size, zorder=5, color=style.edge)

    def _write_heads(self, axes: Axes) -> float:
        """Write above the panel on which side which model is better; return the height in pt."""
        x, n = self.numbers[:, 0], len(self.targets)
        heights = []
        for i, (side, shift, align) in enumerate(((x > 0, 7, "left"), (x < 0, -7, "right"))):
            lines = [f"better in {int(side.sum()):,} of {n:,}"]
            if self.marked is not None:
                found, all_filled = int((side & self.marked).sum()), int(self.marked.sum())
                lines.append(f"{found:,} of {all_filled:,} filled" if all_filled else "none filled")
            name = fit_name(self.labels[i], 17, 3).split("\n")
            name[-1 if i == 0 else 0] = f"{name[-1]} →" if i == 0 else f"← {name[0]}"
            for k, line in enumerate(reversed([*name, *lines])):
                text = axes.annotate(
                    line,
                    (0, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(shift, 5 + LINE_PT * k),
                    textcoords="offset points",
                )
                text.set(ha=align, fontsize=8.5)
                if k >= len(lines):
                    text.set(fontweight="bold", color=model_style(self.models[i]).edge)
            heights.append(5 + LINE_PT * len([*name, *lines]))
        return max(heights)

    def _write_names(self, axes: Axes, height_in: float) -> None:
        bottom, top = axes.get_ylim()
        step = 0.96 * LABEL_IN * (bottom - top) / height_in
        wanted = self.named.astype(np.float64)
        places = wanted if self.few else spread(wanted.tolist(), step, top, bottom)
        leader: dict[str, Any] = {"color": MUTED, "linewidth": 0.4}
        for i, place in zip(self.named, places, strict=True):
            text = f"{fit_name(self.targets[i], 18, 1)} {signed(self.numbers[i, 0])}"
            name = axes.annotate(
                text,
                (1, i),
                xycoords=("axes fraction", "data"),
                xytext=(1.02 if self.few else 1.05, place),
                textcoords=("axes fraction", "data"),
                arrowprops=None if self.few else LEADER,
            )
            name.set(va="center", fontsize=8)
            if not self.few:
                axes.hlines(i, self.numbers[i, 0], axes.get_xlim()[1], zorder=2.5, **leader)


def _draw_stems(axes: Axes, x: np.ndarray, y: np.ndarray, color: str) -> None:
    # One path with gaps is a third of the file that as many lines make.
    ends = np.column_stack([np.zeros(len(x)), x, np.full(len(x), np.nan)]).ravel()
    axes.plot(ends, np.repeat(y, 3), color=color, linewidth=0.5, zorder=2)


def _legend(panels: list[_Waterfall], fdr: float) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = []
    look: dict[str, Any] = {"color": MUTED, "marker": "o", "linestyle": "", "markersize": 5}
    tested = [panel.few for panel in panels if panel.marked is not None]
    if tested:
        line = "" if all(tested) else " with a line"
        filled = f"filled{line}: predicted by either model (q < {fdr:g})"
        handles.append(Line2D([], [], label=filled, **look))
        word = "hollow" if all(tested) else "pale"
        pale = {"markerfacecolor": "white"} if all(tested) else {"color": TIE.face}
        handles.append(Line2D([], [], label=f"{word}: by neither", **(look | pale)))
    bars = [panel.few for panel in panels if panel.has_intervals]
    if True in bars:
        handles.append(Line2D([], [], color=BAR, linewidth=1.8, label="95 % interval"))
    if False in bars:
        handles.append(Patch(facecolor=BAND, label="95 % interval of each gene"))
    return handles
