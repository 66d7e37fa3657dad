"""What an average tile looks like to each model: the tile nearest to the mean (Li 2022, Fig. 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from histograft.core.errors import InputError
from histograft.figures.palette import order_models
from histograft.figures.style import MUTED, PANEL_IN, fit_name, new_figure, styled

SIDE_PX, GAP_PX = 224, 10
# Tiles side by side in the wide form.
MOST_COLUMNS = 5
NAMES_IN = 1.25
LARGEST_IN = 1.75
FRAME, EMPTY = 201, 244

Tiles = Mapping[str, Mapping[str, np.ndarray | None]]


@styled
def mean_tiles(
    tiles: Tiles,
    labels: Mapping[str, str] | None = None,
    *,
    tile_um: float | None = None,
    narrow: bool = False,
) -> Figure:
    """Draw for each slide and model one tile.

    Parameters
    ----------
    tiles : mapping of str to mapping of str to numpy.ndarray or None
        For a slide its models, for a model the tile: uint8, shape (H, W, 3) or (H, W). Each is
        scaled to a square of 224 px. None, or a model that a slide lacks, leaves a place empty.
    labels : mapping of str to str, optional
        What to call a model.
    tile_um : float, optional
        Side of a tile in µm, above 0; said beneath.
    narrow : bool
        Models side by side and slides one beneath the other, for a small screen; else the other
        way round, five slides in a row.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    InputError
        There is no tile, or one is no uint8 image.

    References
    ----------
    Li X, Cen M, Xu J, Zhang H, Xu XS. Improving feature extraction from histopathological
    images through a fine-tuning ImageNet model. J Pathol Inform 2022, Fig. 7;
    doi:10.1016/j.jpi.2022.100115.
    """
    given = {
        slide: [model for model, tile in found.items() if tile is not None]
        for slide, found in tiles.items()
    }
    models = order_models(model for found in given.values() for model in found)
    if not models:
        raise InputError("there is no tile to draw")
    called = {model: (labels or {}).get(model, model) for model in models}
    slides = list(tiles)
    blocks = [slides[i : i + MOST_COLUMNS] for i in range(0, len(slides), MOST_COLUMNS)]
    if narrow:
        blocks = [slides]
    n_columns = len(models) if narrow else len(blocks[0])
    width_in = PANEL_IN if narrow else 2 * PANEL_IN
    side_in = min((width_in - NAMES_IN) / n_columns, LARGEST_IN)
    heights = [side_in * (len(block) if narrow else len(models)) + 0.42 for block in blocks]
    figure = new_figure(side_in * n_columns + NAMES_IN, sum(heights) + 0.25)
    grid = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, block in zip(grid, blocks, strict=True):
        cells = [[tiles[slide].get(model) for slide in block] for model in models]
        rows, columns = [called[model] for model in models], block
        if narrow:
            cells, rows, columns = [list(row) for row in zip(*cells, strict=True)], block, rows
        _draw_sheet(axes, cells, n_columns)
        _write_names(axes, rows, columns, math.floor(14 * side_in))
    if tile_um is not None:
        grid[-1].set_xlabel(f"each tile is {tile_um:,.4g} µm wide", color=MUTED, fontsize=8)
    return figure


def _draw_sheet(axes: Axes, cells: Sequence[Sequence[np.ndarray | None]], n_columns: int) -> None:
    step = SIDE_PX + GAP_PX
    shape = len(cells) * step - GAP_PX, n_columns * step - GAP_PX, 3
    sheet = np.full(shape, 255, np.uint8)
    for i, row in enumerate(cells):
        for j, tile in enumerate(row):
            place = slice(i * step, i * step + SIDE_PX), slice(j * step, j * step + SIDE_PX)
            # The frame shows where a white tile ends.
            sheet[place] = FRAME
            inside = np.full((SIDE_PX, SIDE_PX, 3), EMPTY, np.uint8) if tile is None else _fit(tile)
            sheet[place][1:-1, 1:-1] = inside[1:-1, 1:-1]
            if tile is None:
                middle = j * step + SIDE_PX / 2, i * step + SIDE_PX / 2
                axes.text(*middle, "no tile", ha="center", va="center", fontsize=8, color=MUTED)
    axes.imshow(sheet, interpolation="antialiased")


def _write_names(
    axes: Axes, rows: Sequence[str], columns: Sequence[str], column_letters: int
) -> None:
    step = SIDE_PX + GAP_PX
    middles = [i * step + SIDE_PX / 2 for i in range(max(len(rows), len(columns)))]
    axes.set_yticks(middles[: len(rows)], [fit_name(name, 16, 3) for name in rows])
    heads = [fit_name(name, column_letters) for name in columns]
    axes.set_xticks(middles[: len(columns)], heads)
    axes.tick_params(length=0, labelsize=8.5, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _fit(tile: np.ndarray) -> np.ndarray:
    """Scale a tile to fit a white square."""
    pixels = np.asarray(tile)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise InputError(
            f"a tile has shape {pixels.shape} and type {pixels.dtype}",
            "give uint8 arrays of shape (H, W, 3)",
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
    scale = SIDE_PX / max(image.size)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    square = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    small = image.resize(size, Image.Resampling.LANCZOS)
    square.paste(small, ((SIDE_PX - size[0]) // 2, (SIDE_PX - size[1]) // 2))
    return np.asarray(square)
