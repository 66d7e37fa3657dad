"""One look for all pictures: fonts, names, new figures and files that are equal byte by byte.

No function here touches pyplot, so there is no GUI backend to choose and nothing to close.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

import matplotlib.style
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from histograft.core.files import write_bytes
from histograft.core.tables import PROTOCOLS
from histograft.figures.svg import compact_svg

INK = "#1f2328"
MUTED = "#5d6670"
GRID = "#e3e6ea"
DPI = 200
# Two panels of this width stand side by side on a laptop, one can be read on a phone.
PANEL_IN = 4.8

# Asked for in this order where a name needs a glyph that DejaVu lacks (Chinese, Japanese, Korean).
FURTHER_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "Hiragino Sans",
    "PingFang SC",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Arial Unicode MS",
)

P = ParamSpec("P")
R = TypeVar("R")


@cache
def _font_families() -> tuple[str, ...]:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in FURTHER_FONTS if name in installed))


@cache
def _drawable_codes() -> frozenset[int]:
    codes: set[int] = set()
    for family in _font_families():
        codes.update(FT2Font(font_manager.findfont(family)).get_charmap())
    return frozenset(codes)


def _look() -> dict[str, object]:
    return {
        # The generic name is for readers of an SVG who have none of ours.
        "font.family": [*_font_families(), "sans-serif"],
        "font.sans-serif": ["Verdana", "Arial", "DejaVu Sans"],
        "font.size": 9.0,
        "text.parse_math": False,  # a class may be called "$a$"
        "text.color": INK,
        "axes.titlesize": 10.0,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9.0,
        "axes.labelcolor": INK,
        "axes.edgecolor": "#9aa3ad",
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": False,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "hatch.linewidth": 0.7,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "svg.fonttype": "none",  # text stays text: small, searchable, sharp
        "svg.hashsalt": "histograft",
    }


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under our look, whatever the user's matplotlibrc says.

    Parameters
    ----------
    draw : callable
        A function that draws or saves.

    Returns
    -------
    callable
        The same function; the settings of the process are as before when it returns.
    """

    @wraps(draw)
    def draw_styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.style.context(["default", _look()]):
            return draw(*args, **kwargs)

    return draw_styled


def new_figure(
    width_in: float,
    height_in: float,
    *,
    layout: Literal["constrained"] | None = "constrained",
    w_pad_in: float = 0.07,
) -> Figure:
    """Return an empty figure on the Agg canvas, without pyplot.

    Parameters
    ----------
    width_in, height_in : float
        Size in inches, above 0.
    layout : {"constrained"} or None
        "constrained" makes room for long names, None leaves all places to the caller.
    w_pad_in : float
        Inches to keep free on both sides of a panel.

    Returns
    -------
    matplotlib.figure.Figure
        Without panels.

    Examples
    --------
    >>> new_figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    if layout is not None:
        figure.set_layout_engine(layout, h_pad=0.07, w_pad=w_pad_in)
    return figure


@styled
def figure_bytes(figure: Figure, kind: Literal["png", "svg"]) -> bytes:
    """Render a figure; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to render.
    kind : {"png", "svg"}
        PNG at 200 dots per inch, or SVG with text as text.

    Returns
    -------
    bytes
        The file, without dates and without names of programs.
    """
    # Dates, program versions and random ids of elements would make equal pictures differ.
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    if kind == "svg":
        return compact_svg(buffer.getvalue().decode()).encode()
    return buffer.getvalue()


def save_figure(figure: Figure, folder: Path, stem: str) -> tuple[Path, Path]:
    """Write a figure as PNG and as SVG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    folder : pathlib.Path
        An existing folder.
    stem : str
        File name without its ending.

    Returns
    -------
    png, svg : pathlib.Path
        The two files; each appears whole or not at all.
    """
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    write_bytes(png, figure_bytes(figure, "png"))
    write_bytes(svg, figure_bytes(figure, "svg"))
    return png, svg


def printable(text: object) -> str:
    r"""Return a name in one line, each character drawable.

    A character that no font at hand can draw is spelled by its number, so that two names never
    become the same row of boxes.

    Parameters
    ----------
    text : object
        A name from somebody's table.

    Returns
    -------
    str
        The text to draw.

    Examples
    --------
    >>> printable("Drüsen\n(gut)"), printable("\U000f0000")
    ('Drüsen (gut)', '<U+F0000>')
    """
    codes = _drawable_codes()
    return "".join(
        letter if ord(letter) in codes else f"<U+{ord(letter):04X}>"
        for letter in " ".join(str(text).split())
    )


def fit_name(text: object, width: int, lines: int = 2) -> str:
    r"""Wrap a name to `lines` lines of `width` letters and cut what is left.

    Parameters
    ----------
    text : object
        A name.
    width, lines : int
        Letters in a line and lines, at least 1.

    Returns
    -------
    str
        The name with line breaks; it ends in "…" where it was cut.

    Examples
    --------
    >>> fit_name("mucinous adenocarcinoma of the colon", 14)
    'mucinous\nadenocarcinom…'
    >>> fit_name("ImageNet, dense of step 1", 24)
    'ImageNet, dense\nof step 1'
    """
    name = printable(text)
    broken = textwrap.wrap(name, width) or [""]
    if len(broken) <= lines:
        # The narrowest width that needs no further line: no last word alone on its line.
        longest_word = max(map(len, name.split()), default=width)
        while width > longest_word and len(tighter := textwrap.wrap(name, width - 1)) == len(
            broken
        ):
            broken, width = tighter, width - 1
        return "\n".join(broken)
    kept = broken[:lines]
    kept[-1] = kept[-1][: width - 1].rstrip() + "…"
    return "\n".join(kept)


def panel_name(dataset: object, protocol: object = "") -> str:
    """Return the title of a panel.

    Examples
    --------
    >>> panel_name("nct-crc-111", "cv")
    'nct-crc-111 · cross-validation'
    """
    name = fit_name(dataset, 44, 1)
    spelled = PROTOCOLS.get(str(protocol), str(protocol))
    return f"{name} · {printable(spelled)}" if spelled else name


def is_share(metric: str) -> bool:
    """Whether a metric is a share of 1, to be shown in percent.

    Examples
    --------
    >>> is_share("recall:STR"), is_share("kappa")
    (True, False)
    """
    shares = ("accuracy", "balanced_accuracy", "recall", "precision", "f1", "macro_f1")
    return metric.split(":", 1)[0] in shares


def clean_axes(axes: Axes, grid: Literal["x", "y"] | None = None) -> None:
    """Take the tick marks off, and draw grid lines for one axis."""
    axes.tick_params(length=0)
    if grid is not None:
        axes.grid(visible=True, axis=grid)


def hide_unused(axes: Sequence[Axes]) -> None:
    """Remove the panels that a grid of panels has too many."""
    for one in axes:
        one.set_axis_off()
