"""The picture of fused layers shows the table's numbers, and no panel without one."""

import numpy as np
import pandas as pd
import pytest

from histograft.core.errors import InputError
from histograft.figures.fusion import fused_layers
from histograft.figures.style import figure_bytes

LAYERS = ("conv1", "layer1.0.conv1", "layer1.0.conv2")


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    rows = [
        {"layer": layer, "parent": parent, "network": network, "retained_energy": rng.random()}
        for layer in LAYERS
        for parent, network in ((1, "colon $a$"), (2, "lung"))
    ]
    table = pd.DataFrame(rows)
    return table.assign(distance=rng.random(6) + 0.5, order_sensitivity=np.nan)


def test_marks_are_where_the_table_says(layers):
    figure = fused_layers(layers, title="2 networks, paper")
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "energy in what is kept",
        "distance to the result",
    ]
    for axes, column in zip(figure.axes, ("retained_energy", "distance"), strict=True):
        unchanged, *marks = axes.lines
        assert set(unchanged.get_xdata()) == {1.0 if column == "retained_energy" else 0.0}
        for parent, line in enumerate(marks, start=1):
            rows = layers[layers["parent"] == parent]
            np.testing.assert_allclose(line.get_xdata(), rows[column])
            assert np.round(np.asarray(line.get_ydata(), dtype=float)).tolist() == [0, 1, 2]
    left = figure.axes[0]
    assert [text.get_text() for text in left.get_yticklabels()] == list(LAYERS)
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first layer is on top
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["colon $a$", "lung"]
    assert left.lines[1].get_marker() != left.lines[2].get_marker()


def test_equal_tables_give_equal_files_and_nine_networks_fit(layers):
    nine = pd.concat([layers.assign(parent=i, network=f"set {i}") for i in range(1, 10)])
    for kind in ("png", "svg"):
        assert figure_bytes(fused_layers(nine), kind) == figure_bytes(fused_layers(nine), kind)


def test_a_table_without_measures_is_refused(layers):
    with pytest.raises(InputError, match="holds no measure"):
        fused_layers(layers[["layer", "parent", "network"]])
    with pytest.raises(InputError, match="network"):
        fused_layers(layers.drop(columns="network"))
