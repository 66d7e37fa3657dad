"""What networks look at: rows of patches, a column for each network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from histograft.core.errors import InputError
from histograft.figures.style import INK, fit_name, new_figure, styled

CELL_IN = 1.45
NAME_IN = 1.0  # of the classes at the left
HEAD_IN = 0.45
BENEATH_IN = 0.4
SIDE_PX = 256  # what is larger is shrunk: 200 dots an inch show no more
# Light is much and dark is little, on grey tissue: its pink and blue would read as heat.
COLOR_MAP = "inferno"
OPACITY = 0.55
OUTLINE = "#00d5ff"
WRONG = "#c44e00"


@dataclass(frozen=True)
class CamCell:
    """What one network makes of one patch.

    Attributes
    ----------
    found : float array, shape (h, w)
        Its map, 0 … 1; stretched to the patch where it has another size.
    shown : str
        Class that the map is of.
    probability : float
        Of that class, 0 … 1.
    remark : str
        What is wrong with the prediction, such as "taken for muscle"; "" where it is right.
    image : uint8 array, shape (H, W, 3), or None
        The same field as this network sees it, where it is not the row's patch: at another scale.
    """

    found: NDArray[np.floating]
    shown: str
    probability: float
    remark: str = ""
    image: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class CamRow:
    """A patch and what each network makes of it.

    Attributes
    ----------
    image : uint8 array, shape (H, W, 3)
        The patch.
    truth : str
        Its class, or classes.
    cells : sequence of CamCell
        One for each network, in their order.
    mask : bool array, shape (H, W), or None
        Where the object is; drawn as an outline.
    """

    image: NDArray[np.uint8]
    truth: str
    cells: Sequence[CamCell]
    mask: NDArray[np.bool_] | None = None


@styled
def cam_overlays(rows: Sequence[CamRow], networks: Sequence[str]) -> Figure:
    """Draw class activation maps over patches.

    Parameters
    ----------
    rows : sequence of CamRow
        From above to below.
    networks : sequence of str
        Names above the columns.

    Returns
    -------
    matplotlib.figure.Figure
        The patch at the left, then for each network its map over the grey patch, the class and
        its probability beneath, and what is wrong with the prediction in words.

    Raises
    ------
    InputError
        There is nothing to draw, a row has not one cell for each network, or an array is not what
        it should be.
    """
    _check(rows, networks)
    n_columns = 1 + len(networks)
    height = HEAD_IN + len(rows) * (CELL_IN + BENEATH_IN) + 0.5
    figure = new_figure(NAME_IN + n_columns * CELL_IN, height)
    grid = figure.subplots(len(rows), n_columns, squeeze=False)
    for i, (row, line) in enumerate(zip(rows, grid, strict=True)):
        _draw_image(line[0], _small(row.image), row.mask)
        line[0].set_ylabel(fit_name(row.truth, 14, 3), rotation=0, ha="right", va="center")
        for axes, cell in zip(line[1:], row.cells, strict=True):
            image = row.image if cell.image is None else cell.image
            _draw_image(axes, overlay(_small(image), cell.found), row.mask)
            _write_beneath(axes, cell)
        if i == 0:
            for axes, name in zip(line, ["patch", *networks], strict=True):
                axes.set_title(fit_name(name, 18), fontsize=9, loc="center")
    scale = ScalarMappable(cmap=COLOR_MAP)
    scale.set_clim(0, 1)
    bar = figure.colorbar(scale, ax=grid, location="bottom", shrink=0.4, aspect=30, pad=0.01)
    bar.set_label("evidence for the class named beneath,\neach map from its least to its most")
    bar.set_ticks([0, 0.5, 1])
    bar.outline.set_visible(False)
    return figure


def overlay(image: NDArray[np.uint8], found: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lay a map in colors over the grey values of an image.

    Parameters
    ----------
    image : uint8 array, shape (H, W, 3)
        The patch.
    found : float array, shape (h, w)
        The map, 0 … 1; stretched bilinearly to the image.

    Returns
    -------
    uint8 array, shape (H, W, 3)
        0.45 of the grey value and 0.55 of the color.

    Examples
    --------
    >>> white = np.full((2, 2, 3), 255, np.uint8)
    >>> overlay(white, np.zeros((2, 2)))[0, 0].tolist()  # inferno begins in black
    [115, 115, 117]
    """
    height, width = image.shape[:2]
    values = np.asarray(found, dtype=np.float32)
    if values.shape != (height, width):
        stretched = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
        values = np.asarray(stretched)
    colors = matplotlib.colormaps[COLOR_MAP](values.clip(0, 1))[..., :3]
    grey = (image @ np.array([0.299, 0.587, 0.114]))[..., None]
    mixed = (1 - OPACITY) * grey + OPACITY * 255 * colors
    return np.asarray(mixed.round().clip(0, 255), dtype=np.uint8)


def _draw_image(axes: Axes, image: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> None:
    axes.imshow(image, interpolation="none")
    if mask is not None and mask.any() and not mask.all():
        small = Image.fromarray(mask).resize((image.shape[1], image.shape[0]))
        axes.contour(np.asarray(small), levels=[0.5], colors=OUTLINE, linewidths=0.9)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _write_beneath(axes: Axes, cell: CamCell) -> None:
    lines = f"{fit_name(cell.shown, 16, 1)} {100 * cell.probability:.0f} %"
    if cell.remark:
        lines += f"\n{fit_name(cell.remark, 24, 1)}"
    color = WRONG if cell.remark else INK
    axes.set_xlabel(lines, fontsize=7.5, labelpad=2, color=color)


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = SIDE_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    size = max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0]))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _check(rows: Sequence[CamRow], networks: Sequence[str]) -> None:
    if not rows or not networks:
        raise InputError("there is no map to draw", "give one patch and one network or more")
    for number, row in enumerate(rows):
        if len(row.cells) != len(networks):
            raise InputError(
                f"row {number} has {len(row.cells)} maps for {len(networks)} networks",
                "give one map for each network",
            )
        images = [row.image, *(cell.image for cell in row.cells if cell.image is not None)]
        maps = [np.asarray(cell.found) for cell in row.cells]
        right = all(
            image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
            for image in images
        ) and all(found.ndim == 2 and found.size and np.isfinite(found).all() for found in maps)
        if not right or (row.mask is not None and row.mask.shape != row.image.shape[:2]):
            raise InputError(
                f"row {number} holds an array of another form",
                "give uint8 patches (H, W, 3), finite maps (h, w) and a mask of the patch's size",
            )
