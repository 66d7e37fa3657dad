"""Pictures of genes, on plain and on awkward tables; what is drawn is read back from the axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from histograft.core.errors import InputError
from histograft.figures.gene_auc import gene_auc
from histograft.figures.gene_correlations import gene_correlations
from histograft.figures.gene_differences import gene_differences
from histograft.figures.mean_tiles import mean_tiles
from histograft.figures.style import figure_bytes

LABELS = {"imgnet-gap": "ImageNet (GAP)", "ftx-dense": "FTX, tuned in two steps"}
NAN = float("nan")


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def draws(figure: Figure) -> None:
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    assert b"</svg>" in figure_bytes(figure, "svg")


def nothing_overlaps(figure: Figure) -> None:
    figure.draw_without_rendering()
    for axes in figure.axes:
        # An annotation's own box has its arrow in it; a line's has room that capitals leave empty.
        boxes = [Text.get_window_extent(text) for text in axes.texts if text.get_text()]
        for i, box in enumerate(boxes):
            assert figure.bbox.x0 - 1 <= box.x0
            assert box.x1 <= figure.bbox.x1 + 1
            assert not any(box.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7)) for b in boxes[:i])


def make_table(values: dict[str, dict[str, float]], metric: str = "pearson", half: float = 0.1):
    """Rows of the results table from gene → model → value; the first model is the baseline."""
    rows = []
    for gene, by_model in values.items():
        baseline = next(iter(by_model))
        for model, value in by_model.items():
            row = {"dataset": "luad", "protocol": "cv", "target": gene, "model": model}
            row |= {"label": LABELS.get(model, model), "metric": metric, "value": value}
            row |= {"ci_low": value - half, "ci_high": value + half, "n_units": 344}
            row |= {"compared_with": None, "difference": NAN, "difference_low": NAN}
            row |= {"difference_high": NAN, "test": None, "p_adjusted": NAN}
            if model != baseline:
                difference = value - by_model[baseline]
                row |= {"compared_with": baseline, "difference": difference, "test": "DeLong"}
                row |= {"difference_low": difference - half, "difference_high": difference + half}
                row["p_adjusted"] = 0.042
            rows.append(row)
    return pd.DataFrame(rows)


def two(first: float, second: float) -> dict[str, float]:
    return {"imgnet-gap": first, "ftx-dense": second}


def q_table(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["target", "model", "q"]).assign(dataset="luad")


def many(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return make_table({f"GENE{i}": two(*rng.normal([0.2, 0.22], 0.05)) for i in range(n)})


GENES = {"A": two(0.2, 0.3), "B": two(0.4, 0.35), "C": two(0.1, 0.4), "D": two(0.2, 0.2)}


# --- differences ------------------------------------------------------------------------------


def marks(axes: Axes) -> dict[tuple[float, float], bool]:
    """Every point drawn, and whether it is filled."""
    found = {}
    for line in axes.lines:
        if line.get_marker() == "o":
            filled = line.get_markerfacecolor() != "white"
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                found[round(float(x), 6), float(y)] = filled
    return found


def test_genes_are_sorted_counted_and_filled_if_either_model_predicts_them():
    below = [("A", "imgnet-gap", 0.5), ("A", "ftx-dense", 0.01), ("B", "imgnet-gap", 0.049)]
    above = [("C", "ftx-dense", 0.05), ("C", "elsewhere", 0.0), ("D", "ftx-dense", NAN)]
    q = q_table([*below, *above])
    (axes,) = gene_differences(make_table(GENES), q).axes
    assert marks(axes) == {(0.3, 0): False, (0.1, 1): True, (0.0, 2): False, (-0.05, 3): True}
    found = texts(axes)
    assert "← ImageNet (GAP)" in found
    assert {"FTX, tuned", "in two steps →"} <= set(found)
    assert found.count("better in 2 of 4") == 1
    assert found.count("better in 1 of 4") == 1
    assert found.count("1 of 2 filled") == 2
    assert found[-4:] == ["C +0.300", "A +0.100", "D 0.000", "B −0.050"]
    low, high = axes.get_xlim()
    assert low == -high


def test_nobody_counts_as_filled_where_nobody_has_tested():
    figure = gene_differences(make_table(GENES))
    assert not any("filled" in text for text in texts(figure.axes[0]))
    (legend,) = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == "95 % interval"


def test_named_genes_of_many_are_labelled_once_and_apart():
    table = many(907)
    tops = table.dropna(subset=["difference"]).sort_values("difference")["target"].tolist()
    named = [*tops[:5], *tops[400:404], *tops[-6:], "not in the table"]
    figure = gene_differences(table, genes=named)
    nothing_overlaps(figure)
    shown = [text.split(" ")[0] for text in texts(figure.axes[0])]
    assert sum(name in shown for name in named) == 15
    draws(figure)


@pytest.mark.parametrize("n", [1, 9, 30, 31, 171])
def test_any_number_of_genes_with_long_names(n):
    table = many(n)
    table["target"] = "ENSG00000123456.12_PAR_Y_" + table["target"]
    figure = gene_differences(table, q_table([("GENE0", "ftx-dense", 0.0)]))
    nothing_overlaps(figure)
    assert len(marks(figure.axes[0])) == n
    draws(figure)


def test_missing_differences_are_counted_and_missing_intervals_not_drawn():
    table = make_table(GENES).assign(difference_low=NAN)
    table.loc[table["target"] == "A", "difference"] = NAN
    figure = gene_differences(table)
    (axes,) = figure.axes
    assert "1 more not estimable" in axes.get_xlabel()
    assert len(marks(axes)) == 3
    assert not figure.legends
    draws(gene_differences(table.assign(difference=NAN)))


def test_panels_share_an_axis_and_protocols_are_not_mixed_up():
    both = pd.concat([make_table(GENES), many(40).assign(protocol="external")])
    figure = gene_differences(both)
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert gene_differences(both, reach=2.0).axes[0].get_xlim() == (-2, 2)
    draws(figure)
    q = q_table([("A", "ftx-dense", 0.01)])
    with pytest.raises(InputError, match="no column 'protocol'"):
        gene_differences(both, q)
    external = q.assign(protocol="external")
    assert not any(marks(gene_differences(both, external).axes[0]).values())


def test_differences_without_a_comparison_are_an_error():
    with pytest.raises(InputError, match="no paired comparison of the metric 'spearman'"):
        gene_differences(make_table(GENES), metric="spearman")
    with pytest.raises(InputError, match="the table of q values lacks"):
        gene_differences(make_table(GENES), pd.DataFrame({"dataset": []}))


# --- correlations and areas -------------------------------------------------------------------


def estimates(axes: Axes) -> list[float]:
    points = [line for line in axes.lines if line.get_marker() in ("o", "s")]
    return [round(float(line.get_xdata()[0]), 6) for line in points]


def names_from_the_top(axes: Axes, genes: list[str]) -> list[str]:
    heights = {text.get_text(): text.xy[1] for text in axes.texts if text.get_text() in genes}
    return sorted(heights, key=lambda gene: heights[gene])


def test_correlations_are_sorted_with_intervals_and_q():
    q = q_table([("A", "ftx-dense", 0.0004), ("B", "imgnet-gap", 0.23)])
    figure = gene_correlations(make_table(GENES), q, genes=["A", "B", "D"])
    (axes,) = figure.axes
    assert names_from_the_top(axes, [*"ABCD"]) == ["B", "A", "D"]
    assert estimates(axes) == [0.4, 0.35, 0.2, 0.3, 0.2, 0.2]
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 1.8]
    assert np.array(bars[0]) == pytest.approx([0.3, 0.5])
    found = texts(axes)
    assert {"r [95 %]", "q", "0.40 [0.30, 0.50]", "<0.001", "0.23"} <= set(found)
    assert found.count("–") == 4
    assert axes.get_xlabel() == "correlation (Pearson) · 344 patients"
    nothing_overlaps(figure)


def test_correlations_of_one_model_without_intervals_or_q():
    table = make_table(GENES).assign(ci_low=NAN)
    table.loc[0, "value"] = NAN
    figure = gene_correlations(table, models=["imgnet-gap"])
    found = texts(figure.axes[0])
    assert "not estimable" in found
    assert "q" not in found
    assert names_from_the_top(figure.axes[0], [*"ABCD"])[-1] == "A"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["ImageNet (GAP)"]
    draws(figure)


def test_only_named_genes_of_many_are_drawn():
    with pytest.raises(InputError, match="61 genes are more than"):
        gene_correlations(many(61))
    with pytest.raises(InputError, match="for X, Y"):
        gene_correlations(many(61), genes=["GENE1", "X", "Y"])
    with pytest.raises(InputError, match="no gene with the metric 'auc'"):
        gene_auc(many(3))


def test_a_model_that_stands_there_once_for_each_comparison_is_drawn_once():
    table = make_table(GENES)
    again = table[table["model"] == "ftx-dense"].assign(compared_with="shortcut-rgb")
    assert len(estimates(gene_correlations(pd.concat([table, again])).axes[0])) == 8


def test_areas_have_the_line_of_chance_the_mutated_and_the_test():
    table = make_table({"TP53": two(0.6, 0.7), "KRAS": two(0.55, 0.5)}, "auc")
    mutated = pd.DataFrame({"dataset": "luad", "target": ["TP53"], "n_mutated": [1225]})
    figure = gene_auc(table, mutated)
    (axes,) = figure.axes
    assert [0.5, 0.5] in [list(line.get_xdata()) for line in axes.lines]
    assert names_from_the_top(axes, ["KRAS", "TP53"]) == ["TP53", "KRAS"]
    found = texts(axes)
    assert "1,225 of 344 mutated" in found
    assert found.count("0.042") == 2
    assert "0.70 [0.60, 0.80]" in found
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-1] == "adjusted p: DeLong, against ImageNet (GAP)"
    nothing_overlaps(figure)


def test_areas_of_long_names_and_without_tests():
    table = make_table({"X" * 60: two(0.6, NAN), "$a_b$ 鱗": two(0.4, 0.9)}, "auc")
    table = table.assign(compared_with=None, p_adjusted=NAN)
    both = pd.concat([table, table.assign(dataset="other", ci_low=NAN)])
    figure = gene_auc(both)
    assert "adjusted p" not in texts(figure.axes[0])
    nothing_overlaps(figure)
    draws(figure)


def test_mutated_of_another_data_set_are_not_taken():
    table = make_table({"TP53": two(0.6, 0.7)}, "auc")
    mutated = pd.DataFrame({"dataset": "other", "target": ["TP53"], "n_mutated": [7]})
    assert not any("mutated" in text for text in texts(gene_auc(table, mutated).axes[0]))


# --- tiles ------------------------------------------------------------------------------------


def plain(color: tuple[int, int, int], side: int = 50) -> np.ndarray:
    return np.full((side, side, 3), color, np.uint8)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
TILES = {
    "slide 1": {"ftx-dense": plain(RED), "imgnet-gap": plain(GREEN)},
    "slide 2": {"ftx-dense": plain(BLUE), "imgnet-gap": None},
}


def test_tiles_stand_where_they_belong():
    (axes,) = mean_tiles(TILES, LABELS, tile_um=112).axes
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet[112, 112].tolist() == list(GREEN)
    assert sheet[234 + 112, 112].tolist() == list(RED)
    assert sheet[234 + 112, 234 + 112].tolist() == list(BLUE)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["slide 1", "slide 2"]
    assert axes.get_yticklabels()[0].get_text() == "ImageNet (GAP)"
    (empty,) = axes.texts
    assert empty.get_text() == "no tile"
    assert empty.get_position() == (234 + 112, 112)
    assert axes.get_xlabel() == "each tile is 112 µm wide"


def test_the_narrow_form_turns_rows_into_columns():
    wide, narrow = (mean_tiles(TILES, narrow=n).axes[0].images[0] for n in (False, True))
    turned = np.asarray(narrow.get_array()).transpose(1, 0, 2)
    assert (turned == np.asarray(wide.get_array())).all()


def test_many_slides_are_wrapped():
    figure = mean_tiles({f"slide {i}": {"m": plain(RED)} for i in range(7)})
    assert [len(axes.get_xticklabels()) for axes in figure.axes] == [5, 2]
    assert figure.axes[0].images[0].get_array().shape == figure.axes[1].images[0].get_array().shape
    draws(figure)


def test_awkward_tiles():
    gray, long = np.zeros((9, 9), np.uint8), np.zeros((2, 300, 4), np.uint8)
    draws(mean_tiles({"TCGA-05-4244-01A-01-TS1." * 3: {"a": gray}, "b": {"c": long}}, narrow=True))
    with pytest.raises(InputError, match="no tile"):
        mean_tiles({"s": {"m": None}})
    with pytest.raises(InputError, match="float64"):
        mean_tiles({"s": {"m": np.zeros((4, 4, 3))}})
