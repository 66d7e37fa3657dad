"""Colors, hatches and markers: what a model and a class look like in every picture."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelStyle:
    """How a model looks in every picture.

    Attributes
    ----------
    face, edge : str
        Colors of the area and of the outline and points.
    hatch : str
        Pattern over the area, "" for none.
    """

    face: str
    edge: str
    hatch: str = ""


# Okabe and Ito's colors (https://jfly.uni-koeln.de/color/), lightened for areas: blue against
# vermilion stays apart in every common form of color blindness and in gray print.
_FIXED = {
    "imgnet-gap": ModelStyle("#8fb3d9", "#1f5f9e"),
    "imgnet-dense": ModelStyle("#c6d9ec", "#4a86bd"),
    "imgnet-random": ModelStyle("#d5d9de", "#6b7580"),
    "ftx-dense": ModelStyle("#f3a06b", "#c44e00"),
    "ftx-gap": ModelStyle("#f9d2b6", "#d9722b"),
    "ftx-dense-pre": ModelStyle("#fbe3d0", "#e08d4f"),
}
_FAMILIES = {
    "imgnet": ModelStyle("#dde8f3", "#6d9cc9"),
    "ftx": ModelStyle("#fbe3d0", "#e08d4f"),
    "shortcut": ModelStyle("#ffffff", "#8a8f96", "////"),
}
_FURTHER = (
    ModelStyle("#8fd3bd", "#00795a"),
    ModelStyle("#e3bcd3", "#a5487f"),
    ModelStyle("#f5e08a", "#8f7400"),
    ModelStyle("#b9e0f5", "#1b86b8"),
    ModelStyle("#c9bfe8", "#5f4bb0"),
)
_ORDER = ("imgnet", "ftx", "further", "shortcut")


def family(model: str) -> str:
    """Return what a model's fixed name says it is: imgnet, ftx, shortcut or further.

    Examples
    --------
    >>> family("imgnet-gap"), family("shortcut-rgb"), family("uni2-h")
    ('imgnet', 'shortcut', 'further')
    """
    head = model.split("-", 1)[0]
    return head if head in _FAMILIES else "further"


def order_models(models: Iterable[str]) -> list[str]:
    """Return each model once: ImageNet, tuned, further, shortcut baselines.

    Parameters
    ----------
    models : iterable of str
        Fixed names; their order within a family is kept.

    Examples
    --------
    >>> order_models(["shortcut-rgb", "ftx-dense", "uni", "imgnet-gap", "uni"])
    ['imgnet-gap', 'ftx-dense', 'uni', 'shortcut-rgb']
    """
    return sorted(dict.fromkeys(models), key=lambda model: _ORDER.index(family(model)))


def model_style(model: str) -> ModelStyle:
    """Return the look of a model, which depends on nothing but its name.

    Parameters
    ----------
    model : str
        Its fixed name.

    Examples
    --------
    >>> model_style("ftx-dense").edge, model_style("shortcut-jpeg").hatch
    ('#c44e00', '////')
    """
    if model in _FIXED:
        return _FIXED[model]
    if family(model) in _FAMILIES:
        return _FAMILIES[family(model)]
    return _FURTHER[zlib.crc32(model.encode()) % len(_FURTHER)]


# Tol's "muted" colors (https://personal.sron.nl/~pault/) and black; markers change as well, so
# that a class is told by its form where colors fail.
CLASS_COLORS = (
    "#332288",
    "#cc6677",
    "#117733",
    "#ddaa33",
    "#66bbdd",
    "#aa4499",
    "#44aa99",
    "#882255",
    "#8a8a3c",
    "#444444",
)
CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")


def class_look(index: int) -> tuple[str, str]:
    """Return color and marker of the class at a position; the first 110 pairs differ.

    Examples
    --------
    >>> len({class_look(index) for index in range(110)})
    110
    """
    return CLASS_COLORS[index % len(CLASS_COLORS)], CLASS_MARKERS[index % len(CLASS_MARKERS)]
