"""The heat map of transfers and the picture of ways to a target: what is written and colored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from histograft.core.errors import InputError
from histograft.figures.fused_bars import fused_bars
from histograft.figures.transfer_matrix import transfer_heat_map

CELLS = pd.DataFrame(
    [
        ("colon", "colon", 0.7, 0.02, np.nan, np.nan, 3),
        ("lung", "colon", 0.9, 0.01, 0.15, 0.001, 3),
        ("oral", "colon", 0.6, 0.01, -0.15, 0.01, 3),
        ("skin", "colon", 0.75, np.nan, 0.15, 0.2, 1),
        ("bone", "colon", np.nan, np.nan, np.nan, np.nan, 0),
    ],
    columns=["source", "target", "value", "value_sd", "difference", "p_adjusted", "n_trials"],
)


@pytest.fixture
def heat_map():
    return transfer_heat_map(CELLS, "a random start", "the control")


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def faces(figure):
    filled = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and p.get_fill()]
    return [to_hex(patch.get_facecolor()) for patch in filled]


def test_each_cell_has_its_value_and_difference(heat_map):
    assert words(heat_map) == [
        "70.0 ± 2.0", "90.0 ± 1.0", "+15.0", "60.0 ± 1.0", "−15.0", "75.0", "+15.0", "diverged",
    ]  # fmt: skip


def test_only_significant_cells_are_colored(heat_map):
    own, better, worse, unclear, diverged = faces(heat_map)
    assert unclear == diverged
    assert len({own, better, worse, unclear}) == 4
    blue, orange = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (better, worse))
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


def test_an_empty_matrix_is_refused():
    with pytest.raises(InputError, match="no cell"):
        transfer_heat_map(CELLS.iloc[:0], "title", "control")
    with pytest.raises(InputError, match="p_adjusted"):
        transfer_heat_map(CELLS.drop(columns="p_adjusted"), "title", "control")


def test_ways_are_points_with_intervals_from_the_top():
    ways = pd.DataFrame(
        {
            "label": ["colon alone", "lung + oral"], "kind": ["target", "fused"],
            "value": [0.7, 0.8], "ci_low": [0.6, 0.7], "ci_high": [0.8, 0.9],
            "trials": [[0.69, 0.71], [0.8]],
        }
    )  # fmt: skip
    figure = fused_bars(ways, "Ways to colon", "accuracy")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["colon alone", "lung + oral"]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in points] == pytest.approx([70, 80])
    assert axes.yaxis_inverted()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["the target alone", "fused"]
