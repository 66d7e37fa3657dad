"""A piece of a slide at a coarser scale, made from level 0 in strips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from histograft.imaging.lanczos_strips import lanczos_strips
from histograft.imaging.scale_pair import level_factors, level_size
from histograft.imaging.slide import Slide

# Slides are mostly stored in tiles of 256 px; strips that end where tiles do decode each once.
STRIP_PX = 256


def piece_at_level(
    slide: Slide, place: tuple[int, int, int, int], factor: float
) -> NDArray[np.uint8]:
    """Shrink a rectangle of level 0 with Lanczos, as `scale_pair.at_level` shrinks an image.

    No other level of the slide is looked at: those have been blurred by their makers already.

    Parameters
    ----------
    slide : Slide
        The slide.
    place : (int, int, int, int)
        Left, upper edge, width and height in level-0 pixels, inside of the slide.
    factor : float
        Level-0 pixels a pixel of the piece, 1 or above.

    Returns
    -------
    array of uint8, shape (H', W', 3)
        Of `level_size`. What the scanner left out is white.

    Raises
    ------
    InputError
        The factor is below 1, or the rectangle leaves the slide.
    UnreadableRegionError
        Something there is damaged.
    """
    (factor,) = level_factors([factor], None, kind="relative")
    size = place[2], place[3]
    return lanczos_strips(_strips(slide, place), size, level_size(*size, factor))


def _strips(slide: Slide, place: tuple[int, int, int, int]) -> Iterator[NDArray[np.uint8]]:
    left, top, width, height = place
    end = top + height
    while top < end:
        rows = min(STRIP_PX - top % STRIP_PX, end - top)
        pixels, _ = slide.read(0, left, top, width, rows)
        yield np.ascontiguousarray(pixels)
        top += rows
