"""Loss and accuracy by epoch, for each step of a training."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.style import PANEL_IN, clean_axes, fit_name, new_figure, styled

# Drawn where the history has them: column, name, line, color.
_CURVES = {
    "loss": (
        ("train_loss", "training", "-", "#1f5f9e"),
        ("val_loss", "validation", "--", "#c44e00"),
    ),
    "accuracy": (
        ("train_accuracy", "training", "-", "#1f5f9e"),
        ("val_accuracy", "validation", "--", "#c44e00"),
    ),
}
STEPS = {
    "head": "dense layers (Part B)",
    "body": "all but the dense layers (Part A)",
    "all": "all layers",
}


@styled
def training_curves(history: pd.DataFrame) -> Figure:
    """Draw loss above accuracy, one column of panels for each step.

    Parameters
    ----------
    history : pandas.DataFrame
        Columns step (such as ``head``), epoch (from 1 in each step), and any of train_loss,
        val_loss, train_accuracy, val_accuracy.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; the panels of a row share their axis, so that the steps can be compared.

    Raises
    ------
    InputError
        A column is missing, or there is neither a loss nor an accuracy.
    """
    require_columns(history, ["step", "epoch"], "the training history")
    rows = [
        quantity
        for quantity, curves in _CURVES.items()
        if any(name in history and history[name].notna().any() for name, *_ in curves)
    ]
    if not rows:
        raise InputError("the training history holds neither loss nor accuracy")
    steps = list(dict.fromkeys(history["step"]))
    figure = new_figure(max(PANEL_IN, 2.3 * len(steps) + 0.4), 2.0 * len(rows) + 0.3)
    grid = figure.subplots(len(rows), len(steps), squeeze=False, sharey="row", sharex="col")
    for axes_row, quantity in zip(grid, rows, strict=True):
        for column, (axes, step) in enumerate(zip(axes_row, steps, strict=True)):
            _draw_curves(axes, history[history["step"] == step], quantity)
            if quantity == rows[0]:
                axes.set_title(fit_name(STEPS.get(str(step), step), 26, 2))
            if quantity == rows[-1]:
                axes.set_xlabel("epoch")
            if column == 0:
                axes.set_ylabel(quantity)
                axes.legend(loc="best")
    return figure


def _draw_curves(axes: Axes, history: pd.DataFrame, quantity: str) -> None:
    for name, label, line, color in _CURVES[quantity]:
        if name in history and history[name].notna().any():
            shown = history.dropna(subset=[name])
            axes.plot(
                shown["epoch"],
                shown[name],
                line,
                color=color,
                label=label,
                marker="o",
                markersize=3,
                linewidth=1.5,
            )
    first, last = history["epoch"].min(), history["epoch"].max()
    # A single epoch would otherwise have an axis of fractions.
    axes.set_xlim(first - 0.5 - 0.02 * (last - first), last + 0.5 + 0.02 * (last - first))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    clean_axes(axes, "y")
