"""Reliability curves: what is drawn is read back from the axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histograft.core.errors import InputError
from histograft.figures.calibration import COLUMNS, calibration_curves
from histograft.figures.style import figure_bytes

LABELS = {"imgnet-gap": "ImageNet (GAP)", "ftx-dense": "FTX, tuned"}


def make_bins(genes=("TP53", "<i>$x$</i>" * 8), n_bins=3):
    rows = []
    for gene in genes:
        for model, label in LABELS.items():
            for i in range(n_bins):
                p = 0.1 + 0.1 * i
                rows.append(
                    ("luad", "cv", gene, model, label, 20 + i, p, p + 0.05, p - 0.1, p + 0.2)
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def test_points_bars_and_the_line_of_right_predictions_stand_where_the_table_says():
    figure = calibration_curves(make_bins(), {("TP53", "imgnet-gap"): -0.5})
    axes, other = figure.axes
    right, *curves = axes.lines
    np.testing.assert_array_equal(*right.get_data())
    assert len(curves) == 2
    for curve in curves:
        x, y = curve.get_data()
        np.testing.assert_allclose(y, [0.15, 0.25, 0.35])
        np.testing.assert_allclose(x, [0.1, 0.2, 0.3], atol=0.01)  # beside each other
    bars = axes.collections[0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[0, 0.3], [0.1, 0.4], [0.2, 0.5]])
    entries = [text.get_text() for text in axes.get_legend().get_texts()]
    assert entries == ["ImageNet (GAP): slope −0.50", "FTX, tuned", "right"]
    assert axes.get_title(loc="left") == "TP53"
    assert "…" in other.get_title(loc="left")
    assert axes.get_xlim() == axes.get_ylim()


@pytest.mark.parametrize("n_genes", [1, 2, 9])
def test_any_number_of_genes_is_drawn(n_genes):
    figure = calibration_curves(make_bins([f"G{i}" for i in range(n_genes)], n_bins=1))
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    assert b"</svg>" in figure_bytes(figure, "svg")


def test_nothing_to_draw_is_an_error():
    for table, said in ((make_bins([]), "no gene"), (make_bins().drop(columns="low"), "low")):
        with pytest.raises(InputError, match=said):
            calibration_curves(table)
