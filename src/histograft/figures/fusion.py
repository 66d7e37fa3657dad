"""What is left of networks that were fused, layer by layer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures.palette import class_look
from histograft.figures.style import clean_axes, fit_name, new_figure, printable, styled

# Column, title, and the value at which nothing is lost.
PANELS = (
    ("retained_energy", "energy in what is kept", 1.0),
    ("energy_ratio", "energy of the result", 1.0),
    ("distance", "distance to the result", 0.0),
    ("order_sensitivity", "change if it came first", 0.0),
)
_ROW_IN = 0.13


@styled
def fused_layers(layers: pd.DataFrame, title: str = "") -> Figure:
    """Draw a row for each layer and a mark for each network, in a panel for each measure.

    Parameters
    ----------
    layers : pandas.DataFrame
        Columns layer, parent (from 1), network (name), and any of retained_energy, energy_ratio,
        distance, order_sensitivity; a measure without a value has no panel. Layers are drawn from
        top to bottom in the order of the table.
    title : str
        Title of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; all measures are shares of the network's own Frobenius norm (squared where it
        is an energy), a thin line marks where a network is there unchanged.

    Raises
    ------
    InputError
        A column is missing, or there is nothing to draw.
    """
    require_columns(layers, ["layer", "parent", "network"], "the table of layers")
    panels = [p for p in PANELS if p[0] in layers and layers[p[0]].notna().any()]
    if not panels:
        raise InputError("the table of layers holds no measure", "give what `fuse` wrote")
    names = list(dict.fromkeys(layers["layer"]))
    place = {name: index for index, name in enumerate(names)}
    parents = list(dict.fromkeys(zip(layers["parent"], layers["network"], strict=True)))
    row_in = _ROW_IN + 0.02 * len(parents)
    height = 1.2 + row_in * len(names) + 0.17 * ((len(parents) + 2) // 3)
    figure = new_figure(1.7 + 1.75 * len(panels), height)
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    # Networks of one layer stand one below the other, as near ones would hide each other.
    steps = np.linspace(-0.25, 0.25, len(parents)) if len(parents) > 1 else np.zeros(1)
    for axes, (column, label, unchanged) in zip(grid, panels, strict=True):
        axes.axvline(unchanged, color="#9aa3ad", linewidth=0.8)
        for index, (parent, network) in enumerate(parents):
            color, marker = class_look(index)
            rows = layers[layers["parent"] == parent]
            axes.plot(
                rows[column].astype(float),
                rows["layer"].map(place) + steps[index],
                linestyle="none",
                marker=marker,
                markersize=3.2,
                color=color,
                label=fit_name(network, 28, 1),
            )
        axes.set_xlabel(label)
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        clean_axes(axes, "x")
    grid[0].set_yticks(range(len(names)), [printable(name) for name in names])
    grid[0].tick_params(axis="y", labelsize=7)
    grid[0].set_ylim(len(names) - 0.5, -0.5)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=min(3, len(parents)))
    if title:
        figure.suptitle(printable(title), x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure
