"""A slide in small: what counts as tissue, and what became of its tiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.figures.palette import class_look
from histograft.figures.style import INK, fit_name, new_figure, panel_name, styled

Side = Literal["outline", "tiles"]
SIDES: tuple[Side, ...] = ("outline", "tiles")
PANEL_IN = 3.6
LONGEST_LABEL = 17  # of which two stand side by side below a panel
FADE = 0.55  # how far the slide goes toward white below its tiles
OPACITY = 0.6  # of the tiles
BAR_SHARE = 0.2  # of the width, at most

# What is as wished in quiet blue, what to look at in Okabe and Ito's strong colors.
STATUS_COLORS = {
    "read": "#1f5f9e",
    "normalized": "#1f5f9e",
    "blank": "#8a8f96",
    "single-stain": "#e69f00",
    "ill-conditioned": "#c44e00",
    "unreadable": "#000000",
    "unscanned": "#cc79a7",
}


@dataclass(frozen=True)
class SlidePicture:
    """What is drawn of a slide; all places in level-0 pixels.

    Attributes
    ----------
    name : str
        Its name.
    overview : array of uint8, shape (H, W, 3)
        The whole slide in small.
    size0 : (int, int)
        Width and height of level 0.
    mpp0 : float
        Its µm/px.
    rings : sequence of float arrays, shape (n, 2)
        Outlines of the tissue and of holes in it, x and y.
    coords : array, shape (N, 2)
        x and y of the upper left corners of the tiles.
    side0 : int
        Side of a tile.
    status : sequence of str, length N
        What became of each tile, such as ``"read"``, ``"normalized"`` or ``"unreadable"``.
    """

    name: str
    overview: NDArray[np.uint8]
    size0: tuple[int, int]
    mpp0: float
    rings: Sequence[NDArray[np.float64]]
    coords: NDArray[np.int64]
    side0: int
    status: Sequence[str]


@dataclass(frozen=True)
class TileLook:
    """How tiles of one kind look: color, what the legend says, hatch, and opacity, 0-1."""

    color: str
    label: str
    hatch: str = ""
    opacity: float = OPACITY


@styled
def slide_overview(slide: SlidePicture, *, sides: Sequence[Side] = SIDES) -> Figure:
    """Draw a slide with the outline of its tissue, and beside it its tiles by status.

    Parameters
    ----------
    slide : SlidePicture
        What to draw.
    sides : sequence of {"outline", "tiles"}
        Which panels to draw.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels at one scale, with a bar of its length; the legend counts the tiles.

    Raises
    ------
    InputError
        The overview is no color image, or statuses and tiles differ in number.
    """
    counts = Counter(slide.status)
    looks = {
        word: TileLook(
            STATUS_COLORS.get(word) or class_look(number)[0],
            f"{fit_name(word, 24, 1)} ({counts[word]:,})",
        )
        for number, word in enumerate(_in_order(slide.status))
    }
    tiles = f"{len(slide.coords):,} tiles of {slide.side0 * slide.mpp0:.3g} µm"
    return draw_slide(slide, looks, tiles if len(slide.coords) else "no tiles", sides)


def slide_panels(slide: SlidePicture) -> list[Figure]:
    """Draw what `slide_overview` draws as two figures, which a narrow screen can stack."""
    return [slide_overview(slide, sides=(side,)) for side in SIDES]


@styled
def draw_slide(
    slide: SlidePicture,
    looks: Mapping[str, TileLook],
    title: str,
    sides: Sequence[Side] = SIDES,
) -> Figure:
    """Draw a slide with the outline of its tissue, and beside it its tiles.

    Parameters
    ----------
    slide : SlidePicture
        What to draw.
    looks : mapping of str to TileLook
        The look of each status that there is, in the order of the legend.
    title : str
        Of the panel with the tiles.
    sides : sequence of {"outline", "tiles"}
        Which panels to draw.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each side; the legend stands below the tiles.

    Raises
    ------
    InputError
        The overview is no color image, or statuses and tiles differ in number.
    """
    _check(slide)
    width, height = slide.size0
    panel_height = min(max(PANEL_IN * height / width, 1.0), 2 * PANEL_IN)
    n_columns = _legend_columns(looks, len(sides))
    legend_in = 0.22 * math.ceil(len(looks) / n_columns) + 0.1 if "tiles" in sides else 0.0
    figure = new_figure(PANEL_IN * len(sides) + 0.15, panel_height + 0.35 + legend_in)
    grid = figure.subplots(1, len(sides), sharex=True, sharey=True, squeeze=False)[0]
    for axes, side in zip(grid, sides, strict=True):
        faded = FADE if side == "tiles" else 0.0
        pixels = slide.overview + (255 - slide.overview.astype(np.float32)) * faded
        axes.imshow(
            pixels.astype(np.uint8), extent=(0, width, height, 0), interpolation="antialiased"
        )
        axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
        axes.spines[:].set(visible=True, color="#c9ced4")
        axes.set_anchor("N")  # figures of one panel each stand level beside each other
        if side == "outline":
            _draw_outline(axes, slide)
            _draw_bar(axes, slide)
            axes.set_title(panel_name(slide.name))
            continue
        axes.set_title(title)
        if handles := _draw_tiles(axes, slide, looks):
            figure.legend(handles=handles, loc="outside lower center", ncols=n_columns)
    return figure


def _legend_columns(looks: Mapping[str, TileLook], n_panels: int) -> int:
    """How many labels fit beside each other below so many panels."""
    longest = max((len(look.label) for look in looks.values()), default=0)
    return max(1, min(len(looks), 2 * n_panels if longest <= LONGEST_LABEL else n_panels))


def _check(slide: SlidePicture) -> None:
    pixels = slide.overview
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InputError(
            f"the overview of {slide.name} has shape {pixels.shape} and type {pixels.dtype}",
            "give a uint8 array of shape (H, W, 3)",
        )
    if len(slide.coords) != len(slide.status):
        raise InputError(
            f"{slide.name} has {len(slide.coords)} tiles and {len(slide.status)} statuses",
            "give one status for each tile",
        )


def _draw_outline(axes: Axes, slide: SlidePicture) -> None:
    rings = [np.asarray(ring) for ring in slide.rings if len(ring)]
    lines = LineCollection([np.vstack([ring, ring[:1]]) for ring in rings], colors=INK)
    lines.set(linewidth=0.9, joinstyle="round")
    lines.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground="white")])
    axes.add_collection(lines, autolim=False)


def _draw_bar(axes: Axes, slide: SlidePicture) -> None:
    """Draw a bar of a round length, as long as it fits into `BAR_SHARE` of the width."""
    width, height = slide.size0
    length_um = round_length(BAR_SHARE * width * slide.mpp0)
    length0 = length_um / slide.mpp0
    x, y = 0.03 * width, height - 0.04 * min(width, height)
    halo = [patheffects.withStroke(linewidth=4.4, foreground="white")]
    (bar,) = axes.plot([x, x + length0], [y, y], color=INK, linewidth=2.2)
    bar.set(path_effects=halo, solid_capstyle="butt")
    words = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    text = axes.annotate(words, (x, y), xytext=(0, 3), textcoords="offset points", fontsize=8)
    text.set_path_effects([patheffects.withStroke(linewidth=2.6, foreground="white")])


def round_length(most: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above `most`.

    Examples
    --------
    >>> round_length(730), round_length(0.21), round_length(1000)
    (500.0, 0.2, 1000.0)
    """
    power = 10.0 ** math.floor(math.log10(most * (1 + 1e-9)))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def _draw_tiles(axes: Axes, slide: SlidePicture, looks: Mapping[str, TileLook]) -> list[Patch]:
    """Draw each tile as a square; return what the legend says of each status."""
    status = np.asarray(slide.status, dtype=object)
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * slide.side0
    handles = []
    for word, look in looks.items():
        chosen = slide.coords[status == word]
        # As pixels also in the SVG: a slide can have fifty thousand tiles.
        tiles = PolyCollection(chosen[:, None] + corner, rasterized=True)
        tiles.set(
            facecolor=look.color, edgecolor="white", alpha=look.opacity, linewidth=_edge(slide)
        )
        if look.hatch:
            tiles.set_hatch(look.hatch)
        axes.add_collection(tiles, autolim=False)
        handles.append(
            Patch(
                facecolor=look.color,
                alpha=look.opacity,
                label=look.label,
                hatch=look.hatch or None,
            )
        )
    return handles


def _edge(slide: SlidePicture) -> float:
    """Width of the lines between tiles in points: a twelfth of a tile, half a point at most."""
    return min(0.5, slide.side0 / slide.size0[0] * PANEL_IN * 72 / 12)


def _in_order(status: Sequence[str]) -> list[str]:
    """Return each status once, those with a fixed color first and in its order."""
    known = list(STATUS_COLORS)
    return sorted(set(status), key=lambda s: (known.index(s) if s in known else len(known), s))
