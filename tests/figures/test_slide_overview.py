"""A slide in small; what is drawn is read back from the axes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from histograft.core.errors import InputError
from histograft.figures.page import CSS_PX_PER_PT, SMALLEST_SHARE
from histograft.figures.slide_overview import (
    STATUS_COLORS,
    SlidePicture,
    round_length,
    slide_overview,
    slide_panels,
)
from histograft.figures.style import figure_bytes

RING = np.array([[100.0, 50.0], [900.0, 50.0], [900.0, 450.0], [100.0, 450.0]])


@pytest.fixture
def slide():
    pixels = np.full((50, 100, 3), 200, np.uint8)
    coords = np.array([[100, 100], [300, 100], [500, 100], [700, 100]])
    status = ["normalized", "unreadable", "normalized", "single-stain"]
    return SlidePicture("s1", pixels, (1000, 500), 0.5, [RING], coords, 200, status)


def draws(figure):
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    assert b"</svg>" in figure_bytes(figure, "svg")


def test_tiles_lie_where_they_are_in_the_color_of_their_status(slide):
    left, right = slide_overview(slide).axes
    for axes in (left, right):
        assert tuple(axes.images[0].get_extent()) == (0, 1000, 500, 0)
    places = {}
    for tiles in right.collections:
        color = tuple(tiles.get_facecolor()[0][:3])
        places[color] = [path.get_extents().bounds for path in tiles.get_paths()]
    assert places == {
        to_rgb(STATUS_COLORS["normalized"]): [(100, 100, 200, 200), (500, 100, 200, 200)],
        to_rgb(STATUS_COLORS["single-stain"]): [(700, 100, 200, 200)],
        to_rgb(STATUS_COLORS["unreadable"]): [(300, 100, 200, 200)],
    }


def test_the_legend_counts_and_the_titles_name(slide):
    figure = slide_overview(slide)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["normalized (2)", "single-stain (1)", "unreadable (1)"]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["s1", "4 tiles of 100 µm"]


def test_outlines_are_closed_and_the_bar_has_its_length(slide):
    left, _ = slide_overview(slide).axes
    (line,) = left.collections[0].get_segments()
    np.testing.assert_array_equal(line, np.vstack([RING, RING[:1]]))
    (bar,) = left.lines
    # A fifth of 1,000 px of 0.5 µm is 100 µm, which is 200 px.
    assert np.diff(bar.get_xdata()).tolist() == [200]
    assert [text.get_text() for text in left.texts] == ["100 µm"]


@given(st.floats(1e-3, 1e9))
def test_round_lengths(most):
    length = round_length(most)
    assert 0.39 * most < length <= most * (1 + 1e-6)
    assert f"{length:.0e}"[0] in "125"


def test_awkward_slides(slide):
    change = dataclasses.replace
    none = np.empty((0, 2), np.int64)
    for one in (
        change(slide, coords=none, status=[], rings=[]),
        change(slide, size0=(100_000, 200), name="Ümläut <$a$> " * 9),
        change(slide, size0=(200, 100_000)),
        change(slide, status=["read", "burnt", "burnt", "lost"]),
    ):
        draws(slide_overview(one))


def test_what_cannot_be_drawn(slide):
    with pytest.raises(InputError, match="float64"):
        slide_overview(dataclasses.replace(slide, overview=np.zeros((4, 4, 3))))
    with pytest.raises(InputError, match="4 tiles and 1 statuses"):
        slide_overview(dataclasses.replace(slide, status=["read"]))


@pytest.mark.parametrize("n_kinds", [3, 7])
def test_the_panels_of_a_page_fit_a_phone_one_by_one(slide, n_kinds):
    """On a screen of 390 px a sheet is 346 px wide; the legend must end within its figure."""
    kinds = [*STATUS_COLORS][:n_kinds]
    coords = np.array([[100 * i, 100] for i in range(n_kinds)])
    panels = slide_panels(dataclasses.replace(slide, coords=coords, status=kinds))
    assert [len(figure.axes) for figure in panels] == [1, 1]
    assert [len(figure.legends) for figure in panels] == [0, 1]
    for figure in panels:
        assert 72 * figure.get_figwidth() * CSS_PX_PER_PT * SMALLEST_SHARE < 346
        draws(figure)
    box = panels[1].legends[0].get_window_extent()
    whole = panels[1].bbox
    assert whole.x0 <= box.x0
    assert box.x1 <= whole.x1
    assert whole.y0 <= box.y0
    # The slide itself is of one size in both.
    left, right = (figure.axes[0].get_window_extent() for figure in panels)
    assert left.width == pytest.approx(right.width, rel=0.02)
