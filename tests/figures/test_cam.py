"""Overlays of what networks look at."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from histograft.core.errors import InputError
from histograft.figures.cam import CamCell, CamRow, cam_overlays, overlay
from histograft.figures.style import figure_bytes
from histograft.imaging.phantom import LABORATORIES, render_phantom

NETWORKS = ["ImageNet", "colon, then <b>lung</b> and a very long name of it"]


def phantom(tissue, seed):
    rng = np.random.default_rng(seed)
    return render_phantom(tissue, LABORATORIES["lab-a"], 7, rng, size_px=96, mpp=1.0)


def bump(side, row, column):
    y, x = np.mgrid[:side, :side] / side
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / 0.05).astype(np.float32)


@pytest.fixture
def rows():
    mask = np.zeros((96, 96), bool)
    mask[10:50, 10:50] = True
    made = []
    for i, label in enumerate(["STR", "TUM", "$a_b$ 鱗状" + "n" * 60]):
        first = CamCell(bump(7, 0.2, 0.2), "TUM", 0.91, "" if i == 1 else "taken for TUM")
        small = phantom("gland", 9)[::4, ::4]
        cells = [first, CamCell(bump(96, 0.7, 0.5), "STR", 0.5, image=small)]
        made.append(CamRow(phantom("tumor", i), label, cells, mask if i == 0 else None))
    return made


def panels(figure):
    return [axes for axes in figure.axes if axes.images]


def test_a_row_for_each_patch_and_a_column_for_each_network(rows):
    figure = cam_overlays(rows, NETWORKS)
    found = panels(figure)
    assert len(found) == 3 * 3
    titles = [axes.get_title() for axes in found[:3]]
    assert titles[:2] == ["patch", "ImageNet"]
    assert titles[2].startswith("colon, then")
    assert [axes.get_ylabel() for axes in found[::3]][:2] == ["STR", "TUM"]
    assert found[1].get_xlabel() == "TUM 91 %\ntaken for TUM"
    assert found[4].get_xlabel() == "TUM 91 %"
    assert found[2].images[0].get_array().shape == (24, 24, 3)  # as that network sees the field
    assert [bool(axes.collections) for axes in found[:4]] == [True, True, True, False]
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    first, second = (figure_bytes(cam_overlays(rows, NETWORKS), "svg") for _ in range(2))
    assert first == second
    assert b"</svg>" in first


def test_the_patch_is_drawn_as_it_is(rows):
    np.testing.assert_array_equal(
        panels(cam_overlays(rows, NETWORKS))[0].images[0].get_array(), rows[0].image
    )


def test_an_overlay_by_hand():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = (200, 100, 50)
    found = overlay(image, np.array([[0.0, 1.0], [0.5, 0.25]]))
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    colors = {value: np.array(colormaps["inferno"](value)[:3]) for value in (0.0, 1.0, 0.5)}
    np.testing.assert_allclose(found[0, 0], 0.45 * grey + 0.55 * 255 * colors[0.0], atol=0.6)
    np.testing.assert_allclose(found[0, 1], 0.55 * 255 * colors[1.0], atol=0.6)
    np.testing.assert_allclose(found[1, 0], 0.55 * 255 * colors[0.5], atol=1.5)


def test_more_evidence_is_lighter():
    image = np.full((1, 256, 3), 128, np.uint8)
    ramp = overlay(image, np.linspace(0, 1, 256)[None]).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(ramp[0]) > -1.5).all()
    assert ramp[0, -1] > ramp[0, 0] + 100


def test_refuses(rows):
    with pytest.raises(InputError, match="no map to draw"):
        cam_overlays([], NETWORKS)
    with pytest.raises(InputError, match="row 0 has 2 maps for 1"):
        cam_overlays(rows, NETWORKS[:1])
    for changed in (
        {"image": rows[0].image / 255},
        {"mask": np.ones((3, 3), bool)},
        {"cells": [rows[0].cells[0], CamCell(np.full((7, 7), np.nan), "TUM", 0.5)]},
    ):
        row = CamRow(**{**vars(rows[0]), **changed})
        with pytest.raises(InputError, match="another form"):
            cam_overlays([row], NETWORKS)
