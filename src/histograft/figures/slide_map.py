"""A map of a slide: its tiles in the color of the tissue that a network says they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from histograft.core.errors import InputError
from histograft.figures.palette import CLASS_COLORS, class_look
from histograft.figures.slide_overview import SIDES, Side, SlidePicture, TileLook, draw_slide
from histograft.figures.style import fit_name, styled

# Colors must be those of the legend on tissue of any color.
OPACITY = 0.85


def class_rgb(classes: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Return the color of each class, 0-255; the same in maps, QuPath and maps of features.

    Parameters
    ----------
    classes : sequence of str
        In the order of the network. Of more than ten the first colors come again.

    Examples
    --------
    >>> class_rgb(["LYM", "TUM"])
    {'LYM': (51, 34, 136), 'TUM': (204, 102, 119)}
    """
    colors = {name: to_rgb(class_look(i)[0]) for i, name in enumerate(classes)}
    return {
        name: (round(255 * red), round(255 * green), round(255 * blue))
        for name, (red, green, blue) in colors.items()
    }


@styled
def slide_map(
    slide: SlidePicture, classes: Sequence[str], *, sides: Sequence[Side] = SIDES
) -> Figure:
    """Draw a slide, and beside it its tiles in the colors of their classes.

    Parameters
    ----------
    slide : SlidePicture
        The slide; its ``status`` are the classes of the tiles.
    classes : sequence of str
        All classes of the network in their order, which decides their colors (Tol's "muted",
        which stay apart in every common form of color blindness).
    sides : sequence of {"outline", "tiles"}
        Which panels to draw.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels at one scale with a bar of its length; the legend says which share of the tiles
        each class has, and leaves out classes that no tile shows.

    Raises
    ------
    InputError
        A tile has a class that is none of these, or the slide cannot be drawn.
    """
    strange = sorted(set(slide.status) - set(classes))
    if strange:
        raise InputError(
            f"tiles of {slide.name} are of the class {strange[0]!r}", f"name it in {list(classes)}"
        )
    counts, n_tiles = Counter(slide.status), max(len(slide.status), 1)
    looks = {
        name: TileLook(
            class_look(i)[0],
            f"{fit_name(name, 24, 1)} ({counts[name] / n_tiles:.0%})",
            "" if i < len(CLASS_COLORS) else "///",
            OPACITY,
        )
        for i, name in enumerate(classes)
        if counts[name]
    }
    return draw_slide(slide, looks, "tissue by the network", sides)


def map_panels(slide: SlidePicture, classes: Sequence[str]) -> list[Figure]:
    """Draw what `slide_map` draws as two figures, which a narrow screen can stack."""
    return [slide_map(slide, classes, sides=(side,)) for side in SIDES]
