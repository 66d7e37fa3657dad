"""Every picture, on plain and on awkward tables; what is drawn is read back from the axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from histograft.core.errors import InputError
from histograft.figures.accuracy import accuracy_boxes
from histograft.figures.confusion import confusion_matrices
from histograft.figures.differences import difference_forest, forest_reach
from histograft.figures.history import training_curves
from histograft.figures.patches import patch_sheet
from histograft.figures.per_class import class_boxes
from histograft.figures.projection import classes_of, projection_legend, projection_panels
from histograft.figures.style import figure_bytes


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    found: list[str] = []
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
        found += [label.get_text() for label in axes.get_yticklabels()]
        found += [axes.get_title(loc="left"), axes.get_title(), axes.get_xlabel()]
    return found


def draws(figure: Figure) -> None:
    png, svg = figure_bytes(figure, "png"), figure_bytes(figure, "svg")
    assert png.startswith(b"\x89PNG")
    assert b"</svg>" in svg


# --- accuracy ---------------------------------------------------------------------------------


def test_boxes_span_the_quartiles_and_diamonds_the_estimate(repeats, results):
    one = repeats["dataset"] == "colon"
    figure = accuracy_boxes(repeats[one], results[results["dataset"] == "colon"])
    (axes,) = figure.axes
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(boxes) == 4
    chosen = repeats[one & (repeats["metric"] == "accuracy") & (repeats["model"] == "imgnet-gap")]
    low, high = np.percentile(chosen["value"], [25, 75])
    assert boxes[0].get_x() == pytest.approx(low)
    assert boxes[0].get_width() == pytest.approx(high - low)
    points = [line for line in axes.lines if line.get_marker() == "D"]
    expected = results.query("dataset == 'colon' and metric == 'accuracy'")["value"]
    assert [float(line.get_xdata()[0]) for line in points] == pytest.approx(expected.tolist())
    assert "1,500 patches in 40 groups" in axes.get_xlabel()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "split noise, not a CI" in legend[0]
    assert "resampling groups" in legend[1]


def test_one_panel_for_each_data_set_with_its_protocol(repeats, results):
    found = texts(accuracy_boxes(repeats, results, chance={"colon": 0.5, "elsewhere": 0.1}))
    assert "colon · cross-validation" in found
    assert "Lunge & Ümläut · external test" in found
    assert sum("largest class 50 %" in text for text in found) == 1


def test_only_the_models_asked_for_are_drawn(repeats, results):
    figure = accuracy_boxes(repeats, results, models=["ftx-dense", "imgnet-gap"])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [label.replace("\n", " ") for label in labels] == [
        "ImageNet (GAP)",
        "FTX, tuned in two steps",
    ]


def test_constant_repeats_draw_a_line(repeats, results):
    draws(accuracy_boxes(repeats.assign(value=1.0), results.assign(value=1.0, ci_low=1.0)))


def test_a_single_test_has_an_estimate_and_no_box(repeats, results):
    figure = accuracy_boxes(repeats.iloc[:0], results)
    assert not [patch for axes in figure.axes for patch in axes.patches]
    (legend,) = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "95 % interval\nfrom resampling groups" in legend
    draws(figure)


def test_missing_values_are_said_and_not_drawn(repeats, results):
    empty = results.assign(value=np.nan, ci_low=np.nan, ci_high=np.nan)
    figure = accuracy_boxes(repeats.assign(value=np.nan), empty)
    assert texts(figure).count("not estimable") == 8
    draws(figure)


def test_one_model_one_set_without_interval(repeats, results):
    one = (results["dataset"] == "colon") & (results["model"] == "ftx-dense")
    bare = results[one].assign(ci_low=np.nan, ci_high=np.nan, n_groups=pd.NA)
    draws(accuracy_boxes(repeats[repeats["model"] == "ftx-dense"], bare, legend=False))


def test_kappa_is_not_printed_in_percent(repeats, results):
    tables = (t.assign(metric=t["metric"].replace("accuracy", "kappa")) for t in (repeats, results))
    figure = accuracy_boxes(*tables, metric="kappa")
    assert "%" not in figure.axes[0].get_xlabel()


def test_nothing_to_draw_is_an_error(repeats, results):
    with pytest.raises(InputError, match="no value of the metric 'auc'"):
        accuracy_boxes(repeats, results, metric="auc")
    with pytest.raises(InputError, match="the repeats table lacks the column"):
        accuracy_boxes(repeats.drop(columns="label"), results)


# --- classes ----------------------------------------------------------------------------------


def test_each_class_has_a_box_for_each_model(repeats, results):
    figure = class_boxes(repeats, ["imgnet-gap", "ftx-dense"])
    assert [len(axes.patches) for axes in figure.axes] == [4, 6]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["STR", "TUM"]
    draws(class_boxes(repeats, ["imgnet-gap", "ftx-dense"], results=results))


def test_a_model_that_is_missing_in_one_set_is_left_out_there(repeats):
    kept = repeats[(repeats["dataset"] != "colon") | (repeats["model"] != "ftx-dense")]
    figure = class_boxes(kept, ["imgnet-gap", "ftx-dense"])
    assert [len(axes.patches) for axes in figure.axes] == [2, 6]


def test_a_class_name_with_a_colon_survives(repeats):
    renamed = repeats.assign(metric=repeats["metric"].str.replace("recall:STR", "recall:a:b"))
    labels = class_boxes(renamed, ["ftx-dense"]).axes[0].get_yticklabels()
    assert labels[0].get_text() == "a:b"


def test_one_class_and_no_model(repeats):
    draws(class_boxes(repeats[repeats["metric"] == "recall:STR"], ["ftx-dense"]))
    with pytest.raises(InputError, match="no recall of no model"):
        class_boxes(repeats, [])


# --- confusion --------------------------------------------------------------------------------


def test_cells_hold_the_row_percentage_and_the_count():
    table = pd.DataFrame(
        [("a", "a", 75.0), ("a", "b", 25.0), ("b", "b", 3.0), ("b", "a", 0.0)],
        columns=["truth", "predicted", "count"],
    ).assign(dataset="s", protocol="cv", model="ftx-dense", label="FTX")
    (axes,) = confusion_matrices(table).axes
    cells = [text.get_text() for text in axes.texts]
    assert cells == ["75.0", "75", "25.0", "25", "100", "3"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a\nn = 100", "b\nn = 3"]


def test_matrices_of_two_sets_and_models(confusion):
    figure = confusion_matrices(confusion)
    assert len(figure.axes) == 4
    draws(figure)


@pytest.mark.parametrize("n_classes", [1, 2, 9, 13, 25])
def test_matrices_of_any_size(n_classes):
    names = [f"class {i}" for i in range(n_classes)]
    table = pd.DataFrame({"truth": names, "predicted": names[::-1], "count": 7.0})
    table = table.assign(dataset="s", protocol="cv", model="ftx-dense", label="FTX")
    draws(confusion_matrices(table))


def test_a_class_without_a_case_or_with_nan_has_an_empty_row():
    table = pd.DataFrame({"truth": ["a", "b"], "predicted": ["a", "c"], "count": [2.0, np.nan]})
    table = table.assign(dataset="s", protocol="cv", model="m", label="M")
    (axes,) = confusion_matrices(table).axes
    assert [t.get_text() for t in axes.texts] == ["100", "2"]


def test_an_empty_confusion_table_is_an_error(confusion):
    with pytest.raises(InputError, match="no row"):
        confusion_matrices(confusion.iloc[:0])


# --- differences ------------------------------------------------------------------------------


def forest_table(difference, low, high, p):
    return pd.DataFrame(
        {
            "dataset": [f"set {i}" for i in range(len(difference))],
            "protocol": "cv",
            "model": "ftx-dense",
            "label": "FTX",
            "metric": "accuracy",
            "compared_with": "imgnet-gap",
            "difference": difference,
            "difference_low": low,
            "difference_high": high,
            "p_adjusted": p,
        }
    )


def test_forest_draws_points_in_percentage_points_and_fills_those_apart_from_zero():
    table = forest_table(
        [0.03, -0.02, 0.01], [0.01, -0.03, -0.02], [0.05, -0.01, 0.03], [0, 0.04, 1]
    )
    (axes,) = difference_forest(table).axes
    marks = [line for line in axes.lines if line.get_marker() == "s"]
    assert [float(line.get_xdata()[0]) for line in marks] == pytest.approx([3, -2, 1])
    filled = [line.get_markerfacecolor() != "white" for line in marks]
    assert filled == [True, True, False]
    found = texts(axes.figure)
    assert "+3.0 [+1.0, +5.0]" in found
    assert "−2.0 [−3.0, −1.0]" in found
    assert {"<0.001", "0.040", "1.00"} <= set(found)
    low, high = axes.get_xlim()
    assert low == -high


def test_forest_names_both_models(results):
    figure = difference_forest(
        results[results["model"] == "ftx-dense"], names={"imgnet-gap": "ImageNet (GAP)"}
    )
    assert figure.get_suptitle() == "FTX, tuned in two steps\n− ImageNet (GAP)"
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["colon\ncross-validation", "Lunge & Ümläut\nexternal test"]


def test_forests_of_one_reach_can_be_compared(results):
    reach = forest_reach(results)
    low = results.loc[results["compared_with"].notna(), "difference_low"].min()
    assert reach > -100 * low
    for dataset in ("colon", "Lunge & Ümläut"):
        figure = difference_forest(results[results["dataset"] == dataset], reach=reach)
        assert figure.axes[0].get_xlim() == (-reach, reach)
        assert dataset in figure.get_suptitle()


def test_forest_without_interval_or_difference():
    nan = np.nan
    figure = difference_forest(forest_table([0.0, nan], [nan, nan], [nan, nan], [nan, nan]))
    assert "not estimable" in texts(figure)
    draws(figure)


def test_forest_of_several_pairs_names_them_in_the_rows(results):
    labels = difference_forest(results).axes[0].get_yticklabels()
    assert any("FTX, tuned in two steps − ImageNet (GAP)" in t.get_text() for t in labels)


def test_forest_without_a_comparison_is_an_error(results):
    with pytest.raises(InputError, match="no paired comparison"):
        difference_forest(results[results["model"] == "imgnet-gap"])


# --- maps, sheets, curves ---------------------------------------------------------------------


def test_maps_carry_the_score_of_the_full_space(projection, scores):
    figure = projection_panels(projection, scores)
    assert texts(figure).count("10-NN in full space 91.2 % · silhouette −0.05") == 4
    draws(figure)


def test_maps_with_one_legend_for_all_are_of_one_size(projection, scores):
    """Long and short names, and sets of two and of three classes, stand level."""
    classes = classes_of(projection)
    sizes, colors = [], {}
    for (_, model), part in projection.groupby(["dataset", "model"]):
        label = "long name " * 5 if model == "ftx-dense" else "short"
        figure = projection_panels(part.assign(label=label), scores, classes=classes, legend=False)
        assert len(figure.axes) == 1
        assert not figure.axes[0].get_legend()
        figure_bytes(figure, "png")
        box = figure.axes[0].get_window_extent()
        sizes.append((box.width, box.height))
        for points, name in zip(figure.axes[0].collections, classes, strict=True):
            colors.setdefault(name, set()).add(tuple(points.get_facecolor()[0]))
    assert np.ptp(sizes, axis=0).max() < 0.01 * np.min(sizes)  # letters differ in height
    assert all(len(found) == 1 for found in colors.values())  # a class has one color in all
    words = [text.get_text() for text in projection_legend(classes).legends[0].get_texts()]
    assert [word.split()[0] for word in words] == [str(i + 1) for i in range(len(classes))]


def test_maps_without_scores_with_nan_and_one_class(projection, scores):
    one = projection[projection["class"] == "STR"].copy()
    one.iloc[0, one.columns.get_loc("x")] = np.nan
    draws(projection_panels(one, scores.iloc[:0]))
    draws(projection_panels(one, scores.assign(knn_accuracy=np.nan, silhouette=np.nan)))
    with pytest.raises(InputError, match="no point"):
        projection_panels(projection.assign(x=np.nan), scores)


def test_the_sheet_shows_the_patches_where_they_belong():
    red, blue = (np.zeros((50, 50, 3), np.uint8) for _ in range(2))
    red[..., 0], blue[..., 2] = 255, 255
    (axes,) = patch_sheet({"s": {"r": [red], "b": [blue, blue]}}).axes
    sheet = axes.images[0].get_array()
    assert sheet[56, 56].tolist() == [255, 0, 0]
    assert sheet[56 + 116, 56].tolist() == [0, 0, 255]
    assert sheet[56, 56 + 116].tolist() == [255, 255, 255]


def test_sheets_of_gray_long_and_missing_patches(samples):
    draws(patch_sheet(samples))
    gray, long = np.zeros((9, 9), np.uint8), np.zeros((2, 300, 4), np.uint8)
    draws(patch_sheet({"s": {"a": [gray, long], "b": []}, "empty": {"c": []}}))
    with pytest.raises(InputError, match="no sample patch"):
        patch_sheet({"s": {"a": []}})
    with pytest.raises(InputError, match="float64"):
        patch_sheet({"s": {"a": [np.zeros((4, 4, 3))]}})


def test_curves_show_what_the_history_has(history):
    figure = training_curves(history)
    assert len(figure.axes) == 4
    assert [line.get_label() for line in figure.axes[0].lines] == ["training"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5, 0.3]
    draws(figure)
    both = history.assign(val_loss=[np.nan, 0.6, 0.5, 0.4, 0.4])
    assert len(training_curves(both).axes[0].lines) == 2
    once = training_curves(history.iloc[:1])
    draws(once)
    low, high = once.axes[-1].get_xlim()
    assert [tick for tick in once.axes[-1].get_xticks() if low <= tick <= high] == [1]
    with pytest.raises(InputError, match="neither loss nor accuracy"):
        training_curves(history[["step", "epoch"]])
