"""Contact sheet: what the patches of each class look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from histograft.core.errors import InputError
from histograft.figures.style import fit_name, new_figure, panel_name, styled

SIDE_PX, GAP_PX = 96, 3
SIDE_IN = 0.6

Samples = Mapping[str, Mapping[str, Sequence[np.ndarray]]]


@styled
def patch_sheet(samples: Samples) -> Figure:
    """Draw patches by data set and class.

    Parameters
    ----------
    samples : mapping of str to mapping of str to sequence of numpy.ndarray
        For a data set its classes, for a class its patches: uint8, shape (H, W, 3) or (H, W).
        Each is scaled to fit a square of 96 px; the sheet shows appearance, not scale.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per data set, one row per class.

    Raises
    ------
    InputError
        There is no patch, or one is no uint8 image.
    """
    panels = {name: classes for name, classes in samples.items() if any(classes.values())}
    if not panels:
        raise InputError("there is no sample patch to draw")
    most = max(len(patches) for classes in panels.values() for patches in classes.values())
    heights = [len(classes) * SIDE_IN + 0.4 for classes in panels.values()]
    figure = new_figure(most * SIDE_IN + 1.2, sum(heights))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, (dataset, classes) in zip(grid, panels.items(), strict=True):
        _draw_sheet(axes, classes, most)
        axes.set_title(panel_name(dataset))
    return figure


def _draw_sheet(axes: Axes, classes: Mapping[str, Sequence[np.ndarray]], n_columns: int) -> None:
    step = SIDE_PX + GAP_PX
    sheet = np.full((len(classes) * step - GAP_PX, n_columns * step - GAP_PX, 3), 255, np.uint8)
    for i, (name, patches) in enumerate(classes.items()):
        for j, patch in enumerate(patches):
            tile = _tile(patch, name)
            sheet[i * step : i * step + SIDE_PX, j * step : j * step + SIDE_PX] = tile
    axes.imshow(sheet, interpolation="none")  # an SVG then holds the pixels as they are
    middles = [i * step + SIDE_PX / 2 for i in range(len(classes))]
    axes.set_yticks(middles, [fit_name(name, 14, 3) for name in classes])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _tile(patch: np.ndarray, name: str) -> np.ndarray:
    pixels = np.asarray(patch)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise InputError(
            f"a sample patch of class {name!r} has shape {pixels.shape} and type {pixels.dtype}",
            "give uint8 arrays of shape (H, W, 3)",
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
    scale = SIDE_PX / max(image.size)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    small = image.resize(size, Image.Resampling.LANCZOS)
    tile = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    tile.paste(small, ((SIDE_PX - size[0]) // 2, (SIDE_PX - size[1]) // 2))
    return np.asarray(tile)
