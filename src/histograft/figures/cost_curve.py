"""Accuracy against the cost of a piece, one line for each condition (Fig. 3 of DiPalma 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from histograft.core.errors import InputError
from histograft.figures.style import MUTED, PANEL_IN, clean_axes, new_figure, styled

_LOOKS = (
    ("#6b7580", "s", "--"),
    ("#1f5f9e", "o", "-"),
    ("#c44e00", "^", "-"),
    ("#00795a", "D", "-"),
    ("#a5487f", "v", "-"),
    ("#8f7400", "P", "-"),
)


@dataclass(frozen=True)
class CostPoint:
    """One condition at one scale.

    Attributes
    ----------
    label : str
        The condition.
    scale : str
        The scale, as it is written beside the point.
    gmacs : float
        Cost of a piece, 10⁹ multiplications with addition, above 0.
    value, low, high : float
        The metric and the ends of its interval, 0-1.
    """

    label: str
    scale: str
    gmacs: float
    value: float
    low: float
    high: float


@styled
def cost_curve(points: Sequence[CostPoint], teacher: CostPoint, metric: str) -> Figure:
    """Draw accuracy against cost, with the teacher as a line across.

    Parameters
    ----------
    points : sequence of CostPoint
        Of all conditions but the teacher; those of one label are joined.
    teacher : CostPoint
        The teacher.
    metric : str
        Name of the metric.

    Returns
    -------
    matplotlib.figure.Figure
        The cost is logarithmic: each halving of the resolution is a step of 4.

    Raises
    ------
    InputError
        There is no point, or a cost is not above 0.
    """
    if not points or min(p.gmacs for p in (*points, teacher)) <= 0:
        raise InputError("there is no condition with a cost above 0 to draw")
    figure = new_figure(1.3 * PANEL_IN, 3.6)
    axes = figure.subplots()
    axes.axhspan(100 * teacher.low, 100 * teacher.high, color="#eceff2", zorder=0)
    axes.axhline(100 * teacher.value, color=MUTED, linewidth=1.2, label=f"teacher, {teacher.scale}")
    labels = list(dict.fromkeys(p.label for p in points))
    for i, label in enumerate(labels):
        color, marker, line = _LOOKS[i % len(_LOOKS)]
        own = sorted((p for p in points if p.label == label), key=lambda p: p.gmacs)
        shift = 1.05 ** (i - (len(labels) - 1) / 2)  # so that intervals do not hide each other
        x, y = [p.gmacs * shift for p in own], [100 * p.value for p in own]
        down = [100 * max(0.0, p.value - p.low) for p in own]
        up = [100 * max(0.0, p.high - p.value) for p in own]
        axes.errorbar(
            x, y, yerr=[down, up], color=color, marker=marker, linestyle=line, label=label,
            markersize=5, linewidth=1.2, elinewidth=0.8, capsize=2,
        )  # fmt: skip
    axes.set_xscale("log")
    ticks = dict(sorted({p.gmacs: p.scale for p in (*points, teacher)}.items()))
    names = [f"{cost:.3g}\n{scale}" for cost, scale in ticks.items()]
    axes.set_xticks(list(ticks), names)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("GMAC a piece, and its scale")
    axes.set_ylabel(f"{metric}, %")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    clean_axes(axes)
    return figure
