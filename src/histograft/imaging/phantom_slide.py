"""Small pyramidal slides with known pixels, which OpenSlide opens."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.core.units import Box
from histograft.imaging.resample import resample_box

# Cells of a checkerboard beyond this share a color with another.
MOST_CELLS = 64
_COLOR_STEP = 4


def phantom_slide(
    pixels: NDArray[np.uint8],
    mpp: float,
    *,
    downsamples: tuple[float, ...] = (1, 4),
    vendor: Literal["generic-tiff", "aperio"] = "generic-tiff",
    native_tile_px: int = 256,
) -> bytes:
    """Make a tiled, pyramidal, losslessly compressed TIFF file of an image.

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
        Level 0.
    mpp : float
        Its µm/px, which is written as a resolution in pixels per centimeter, or for Aperio as MPP
        in the description.
    downsamples : tuple of float
        Of the levels, from 1 upward. The size of a level is rounded down to whole pixels, as
        scanners do, so that its true downsample is a little larger.
    vendor : {"generic-tiff", "aperio"}
        What OpenSlide takes the file for. Aperio's also states an objective, 10 / mpp.
    native_tile_px : int
        Side of the tiles of the file, a multiple of 16.

    Returns
    -------
    bytes
        Content of the file.

    Raises
    ------
    InputError
        The downsamples do not ascend from 1.

    Examples
    --------
    >>> data = phantom_slide(np.full((300, 400, 3), 240, np.uint8), 0.5)
    >>> data[:2], phantom_slide(np.full((300, 400, 3), 240, np.uint8), 0.5) == data
    (b'II', True)
    """
    import tifffile

    if downsamples[0] != 1 or any(np.diff(downsamples) <= 0):
        raise InputError(f"levels cannot have the downsamples {downsamples}", "ascend from 1")
    height, width = pixels.shape[:2]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for level, downsample in enumerate(downsamples):
            shape = (max(1, int(height / downsample)), max(1, int(width / downsample)))
            described = f"Aperio phantom\r\n{shape[1]}x{shape[0]}"
            if level == 0:
                described += f"|AppMag = {10 / mpp:g}|MPP = {mpp:.9g}"
            file.write(
                resample_box(pixels, Box(0.0, 0.0, width, height), shape),
                tile=(native_tile_px, native_tile_px),
                compression="zlib",
                photometric="rgb",
                subfiletype=0 if level == 0 or vendor == "aperio" else 1,
                description=described if vendor == "aperio" else None,
                resolution=(1e4 / mpp * downsample, 1e4 / mpp * downsample),
                resolutionunit="CENTIMETER",
                metadata=None,
                software="histograft",
            )
    return buffer.getvalue()


def checkerboard(columns: int, rows: int, cell_px: int) -> NDArray[np.uint8]:
    """Draw squares whose color names their column and row.

    Parameters
    ----------
    columns, rows : int
        Number of squares, at most 64 each.
    cell_px : int
        Side of a square.

    Returns
    -------
    array of uint8, shape (rows * cell_px, columns * cell_px, 3)
        Red is 4 * column + 2, green is 4 * row + 2; blue is 60 and 190 in turns.

    Raises
    ------
    InputError
        More squares than there are colors.

    Examples
    --------
    >>> board = checkerboard(3, 2, 8)
    >>> board.shape, cell_at(board[12, 17])
    ((16, 24, 3), (2, 1))
    """
    if not (1 <= columns <= MOST_CELLS and 1 <= rows <= MOST_CELLS):
        raise InputError(f"there are no colors for {columns} x {rows} squares", "draw fewer")
    column, row = np.meshgrid(np.arange(columns), np.arange(rows))
    blue = np.where((column + row) % 2 == 0, 60, 190)
    colors = np.stack([column * _COLOR_STEP + 2, row * _COLOR_STEP + 2, blue], axis=-1).astype(
        np.uint8
    )
    return colors.repeat(cell_px, axis=0).repeat(cell_px, axis=1)


def cell_at(color: NDArray[np.uint8]) -> tuple[int, int]:
    """Column and row of the square of a checkerboard that has a color.

    Examples
    --------
    >>> cell_at(np.array([14, 6, 60], np.uint8))
    (3, 1)
    """
    return int(color[0]) // _COLOR_STEP, int(color[1]) // _COLOR_STEP
