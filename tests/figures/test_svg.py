"""Figures as SVG are small, are XML, and show what they showed."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histograft.figures.accuracy import accuracy_boxes
from histograft.figures.confusion import confusion_matrices
from histograft.figures.differences import difference_forest
from histograft.figures.page import Page, Picture, Section, render_page
from histograft.figures.patches import patch_sheet
from histograft.figures.per_class import class_boxes, class_legend
from histograft.figures.projection import projection_panels
from histograft.figures.style import figure_bytes
from histograft.figures.svg import compact_svg

XLINK = "{http://www.w3.org/1999/xlink}href"


def svg_of(figure) -> str:
    return figure_bytes(figure, "svg").decode()


def tissue(seed: int) -> np.ndarray:
    """Two stains in amounts that vary over a few pixels, as in tissue."""
    amounts = np.random.default_rng(seed).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    two = [Image.fromarray(a).resize((96, 96), Image.Resampling.BICUBIC) for a in amounts]
    purple, pink = (np.asarray(a, dtype=float)[..., None] / 255 for a in two)
    light = 245 - purple * [110, 140, 60] - pink * [15, 80, 50]
    return light.clip(0, 255).astype(np.uint8)


def maps(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    names = {"dataset": "s", "model": "ftx-dense", "label": "FTX"}
    points = pd.DataFrame(rng.normal(size=(n, 2)), columns=["x", "y"]).assign(**names)
    points["class"] = rng.choice(list("abcdefghi"), n)
    return points, pd.DataFrame([names | {"knn_accuracy": 0.9, "silhouette": 0.1}])


def test_text_is_text_and_every_reference_has_its_target(repeats, results, confusion):
    for figure in (
        accuracy_boxes(repeats, results),
        class_boxes(repeats, ["imgnet-gap", "ftx-dense"], results=results),
        confusion_matrices(confusion),
    ):
        svg = svg_of(figure)
        root = ET.fromstring(svg)
        ids = [e.get("id") for e in root.iter() if e.get("id")]
        assert len(ids) == len(set(ids))
        wanted = re.findall(r"url\(#(\w+)\)", svg)
        wanted += [e.get(XLINK)[1:] for e in root.iter() if (e.get(XLINK) or "").startswith("#")]
        assert set(wanted) <= set(ids)
        shown = {"".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")}
        drawn = {
            line
            for axes in figure.axes
            for text in (axes.title, *axes.texts, *axes.get_yticklabels())
            for line in text.get_text().split("\n")
        }
        assert {text for text in drawn if text} <= shown


def test_numbers_in_words_are_not_rounded(repeats, results):
    renamed = results.assign(label='1.23456789 a="b" & <c>')
    svg = svg_of(accuracy_boxes(repeats.assign(label='1.23456789 a="b" & <c>'), renamed))
    words = " ".join("".join(e.itertext()) for e in ET.fromstring(svg).iter())
    assert '1.23456789 a="b"' in words


def test_points_are_a_palette_image_that_looks_the_same():
    svg = svg_of(projection_panels(*maps(500)))
    (image,) = (e for e in ET.fromstring(svg).iter() if e.tag.endswith("}image"))
    kind, data = image.get(XLINK).split(";base64,")
    assert kind == "data:image/png"
    pixels = Image.open(io.BytesIO(base64.b64decode(data)))
    assert pixels.mode == "P"
    raw = np.zeros((64, 64, 4), np.uint8)
    raw[..., 0] = np.arange(64)[:, None] * 4
    raw[..., 3] = np.arange(64)[None, :] * 4
    buffer = io.BytesIO()
    Image.fromarray(raw).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    small = re.search(
        "base64,([^']*)", compact_svg(f'<image xlink:href="data:image/png;base64,{text}"/>')
    )
    assert small is not None
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(small.group(1)))).convert("RGBA"))
    seen = [p[..., :1] * (p[..., 3:] / 255) + 255 - p[..., 3:] for p in (raw, back)]
    assert np.abs(seen[0] - seen[1]).mean() < 6  # of 255, on a white page


def test_patches_are_jpeg_that_looks_the_same():
    svg = svg_of(patch_sheet({"s": {"a": [tissue(i) for i in range(6)]}}))
    (image,) = (e for e in ET.fromstring(svg).iter() if e.tag.endswith("}image"))
    kind, data = image.get(XLINK).split(";base64,")
    assert kind == "data:image/jpeg"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), dtype=float)
    assert shown.shape == (96, 6 * 99 - 3, 3)
    error = np.sqrt(np.mean((shown[:, :96] - tissue(0)) ** 2))
    assert 20 * np.log10(255 / error) > 30  # dB; above 30 a loss is hard to see at this size


def test_a_report_of_four_sets_is_small(repeats, results, confusion):
    """Nine classes of six patches, 2,000 points a map, two models, four data sets."""
    forest = results[results["compared_with"].notna() & (results["metric"] == "accuracy")]
    one = results["dataset"] == "colon"
    names = [f"class {i}" for i in range(9)]
    table = pd.DataFrame(
        [(a, b, 5.5) for a in names for b in names], columns=["truth", "predicted", "count"]
    ).assign(dataset="s", protocol="cv", model="ftx-dense", label="FTX")
    sheet = {name: [tissue(6 * i + j) for j in range(6)] for i, name in enumerate(names)}
    limits_kb = {
        "accuracy": (accuracy_boxes(repeats[repeats["dataset"] == "colon"], results[one]), 16),
        "forest": (difference_forest(forest[forest["dataset"] == "colon"]), 10),
        "legend": (class_legend(results, ["ftx-dense"]), 4),
        "confusion": (confusion_matrices(table), 50),
        "map": (projection_panels(*maps(2000)), 70),
        "patches": (patch_sheet({"s": sheet}), 330),
    }
    panels = {name: svg_of(figure) for name, (figure, _) in limits_kb.items()}
    for name, (_, limit) in limits_kb.items():
        assert len(panels[name]) < 1000 * limit, name
    page = Page(
        "t",
        "v",
        sections=tuple(
            Section(name, figures=(Picture((svg,) * (4 if name == "patches" else 8), "c", "a"),))
            for name, svg in panels.items()
        ),
    )
    assert len(render_page(page)) < 2_500_000


@pytest.mark.parametrize("svg", ["", "<svg/>", "<svg><text>a</text></svg>"])
def test_what_is_small_already_stays(svg: str):
    assert compact_svg(svg) == svg
