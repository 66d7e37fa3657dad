from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from histograft.figures import palette, style
from histograft.figures.accuracy import accuracy_boxes

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1.0, linear RGB.
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _linear(color: str) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _seen(color: str, matrix: list[list[float]]) -> np.ndarray:
    linear = np.clip(np.array(matrix) @ _linear(color), 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(rgb.reshape(1, 1, 3))[0, 0]


@pytest.mark.parametrize("name", DEFICIENCIES)
@pytest.mark.parametrize("part", ["face", "edge"])
def test_imagenet_and_tuned_are_told_apart_with_every_color_deficiency(name: str, part: str):
    colors = [getattr(palette.model_style(m), part) for m in ("imgnet-gap", "ftx-dense")]
    one, other = (_seen(color, DEFICIENCIES[name]) for color in colors)
    assert deltaE_ciede2000(one, other) > 20  # 2 is just noticeable


@pytest.mark.parametrize("model", ["imgnet-gap", "imgnet-random", "ftx-dense", "shortcut-x", "uni"])
def test_outlines_stand_out_from_white(model: str):
    luminance = _linear(palette.model_style(model).edge) @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (luminance + 0.05) >= 3  # WCAG 2.1, 1.4.11 graphics


def test_a_model_looks_the_same_whatever_stands_beside_it():
    assert palette.model_style("uni2-h") == palette.model_style("uni2-h")
    assert palette.model_style("shortcut-new").hatch
    assert palette.model_style("ftx-new") != palette.model_style("imgnet-new")


def test_order_puts_the_reference_first_and_shortcuts_last():
    models = ["shortcut-a", "zeta", "ftx-dense", "alpha", "imgnet-dense", "imgnet-gap"]
    assert palette.order_models(models) == [
        "imgnet-dense",
        "imgnet-gap",
        "ftx-dense",
        "zeta",
        "alpha",
        "shortcut-a",
    ]


def test_files_are_equal_byte_by_byte_whatever_the_user_has_set(
    tmp_path: Path, repeats: pd.DataFrame, results: pd.DataFrame
):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = style.save_figure(accuracy_boxes(repeats, results), tmp_path / "a", "x")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "none", "axes.grid": True}):
        second = style.save_figure(accuracy_boxes(repeats, results), tmp_path / "b", "x")
        assert matplotlib.rcParams["font.size"] == 30
    assert [path.name for path in first] == ["x.png", "x.svg"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    svg = first[1].read_text(encoding="utf-8")
    assert "dc:date" not in svg
    assert matplotlib.__version__ not in svg
    assert b"Software" not in first[0].read_bytes()


def test_rendering_the_same_figure_twice_gives_the_same_bytes(
    repeats: pd.DataFrame, results: pd.DataFrame
):
    figure = accuracy_boxes(repeats, results)
    for kind in ("png", "svg"):
        assert style.figure_bytes(figure, kind) == style.figure_bytes(figure, kind)


def test_no_gui_and_no_pyplot_is_touched():
    code = (
        "import sys\n"
        "import histograft.figures.accuracy, histograft.figures.confusion\n"
        "import histograft.figures.differences, histograft.figures.history\n"
        "import histograft.figures.page, histograft.figures.patches\n"
        "import histograft.figures.per_class, histograft.figures.projection\n"
        "print([m for m in ('matplotlib.pyplot', 'tkinter', 'torch') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_undrawable_names_stay_two_names():
    one, other = style.printable("\U000f0000"), style.printable("\U000f0001")
    assert one != other
    assert style.printable("STR – Größe µm ≥ 5") == "STR – Größe µm ≥ 5"


@pytest.mark.parametrize("text", ["", "   ", "a", "a" * 200, "word " * 60, "\n\t x"])
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_fitted_names_keep_their_box(text: str, lines: int):
    fitted = style.fit_name(text, 12, lines).split("\n")
    assert len(fitted) <= lines
    assert all(len(line) <= 12 for line in fitted)
