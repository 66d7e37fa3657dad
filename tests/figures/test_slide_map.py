"""A map of tissue classes; what is drawn is read back from the axes."""

import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from histograft.core.errors import InputError
from histograft.figures.palette import class_look
from histograft.figures.slide_map import class_rgb, slide_map
from histograft.figures.slide_overview import SlidePicture
from histograft.figures.style import figure_bytes

CLASSES = [f"class {i}" for i in range(12)]


@pytest.fixture
def slide():
    coords = np.array([[0, 0], [100, 0], [200, 0], [300, 0]])
    status = ["class 3", "class 0", "class 3", "class 11"]
    pixels = np.full((20, 40, 3), 200, np.uint8)
    return SlidePicture("s1", pixels, (400, 200), 0.5, [], coords, 100, status)


def test_tiles_lie_where_they_are_in_the_color_of_their_class(slide):
    figure = slide_map(slide, CLASSES)
    _, right = figure.axes
    places = {
        tuple(tiles.get_facecolor()[0][:3]): [p.get_extents().x0 for p in tiles.get_paths()]
        for tiles in right.collections
        if not tiles.get_hatch()
    }
    assert places == {to_rgb(class_look(0)[0]): [100], to_rgb(class_look(3)[0]): [0, 200]}
    # The twelfth class has the color of the second, and a hatch.
    (hatched,) = [tiles for tiles in right.collections if tiles.get_hatch()]
    assert hatched.get_paths()[0].get_extents().x0 == 300
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["class 0 (25%)", "class 3 (50%)", "class 11 (25%)"]
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    assert b"</svg>" in figure_bytes(figure, "svg")


def test_colors_are_those_of_the_palette():
    colors = class_rgb(CLASSES)
    assert ["#" + bytes(rgb).hex() for rgb in colors.values()] == [
        class_look(i)[0] for i in range(len(CLASSES))
    ]


def test_a_class_that_is_not_listed_is_refused(slide):
    with pytest.raises(InputError, match="of the class 'class 11'"):
        slide_map(slide, CLASSES[:2])
    none = dataclasses.replace(slide, coords=np.empty((0, 2), np.int64), status=[])
    assert not slide_map(none, CLASSES).legends
