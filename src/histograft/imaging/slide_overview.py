"""A whole slide as one small image, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.core.units import Box, check_mpp
from histograft.imaging.resample import resample_box
from histograft.imaging.slide import Slide
from histograft.imaging.slide_reader import UnreadableRegionError

# Fine enough for the outline of a biopsy, and 2,500 x 2,500 px for 2 x 2 cm.
OVERVIEW_MPP = 8.0
_LARGEST_REGION_PX = 2048
_MOST_PIXELS = 100_000_000


@dataclass(frozen=True)
class Overview:
    """A slide in small.

    Attributes
    ----------
    pixels : array of uint8, shape (H, W, 3)
        RGB. It covers exactly the whole of level 0.
    unreadable : array of bool, shape (H, W)
        Where the file is damaged in all levels; pixels are white there.
    mpp : float
        µm/px, the mean of x and y: sizes are rounded to whole pixels.
    """

    pixels: NDArray[np.uint8]
    unreadable: NDArray[np.bool_]
    mpp: float


def read_overview(slide: Slide, target_mpp: float = OVERVIEW_MPP) -> Overview:
    """Read a whole slide at a coarse scale, each pixel the mean over its area.

    Parameters
    ----------
    slide : Slide
        The slide.
    target_mpp : float
        µm/px wanted; the slide's own where that is coarser.

    Returns
    -------
    Overview
        Read from the best level; where that is damaged, from the next finer one.

    Raises
    ------
    InputError
        The overview would have more than 10^8 pixels.
    """
    downsample = max(1.0, check_mpp(target_mpp, "µm/px of the overview") / slide.mpp0)
    shape = (max(1, round(slide.height / downsample)), max(1, round(slide.width / downsample)))
    if shape[0] * shape[1] > _MOST_PIXELS:
        raise InputError(
            f"an overview of {slide.path.name} at {target_mpp:g} µm/px has "
            f"{shape[1]} x {shape[0]} px",
            f"choose a coarser scale, such as {OVERVIEW_MPP:g} µm/px",
        )
    step = (slide.height / shape[0], slide.width / shape[1])  # level-0 pixels per new one
    best = slide.pyramid.best_level(min(step))
    pixels = np.full((*shape, 3), 255, np.uint8)
    unreadable = np.zeros(shape, np.bool_)
    side = max(1, int(_LARGEST_REGION_PX * min(slide.pyramid.downsamples[best]) / max(step)))
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            here = np.s_[top : min(top + side, shape[0]), left : min(left + side, shape[1])]
            part = _read_part(slide, best, here, step)
            if part is None:
                unreadable[here] = True
            else:
                pixels[here] = part
    return Overview(pixels, unreadable, slide.mpp0 * (step[0] + step[1]) / 2)


def _read_part(
    slide: Slide, best: int, here: tuple[slice, slice], step: tuple[float, float]
) -> NDArray[np.uint8] | None:
    """Rows and columns of the overview, from the coarsest level that is whole there."""
    rows, columns = here
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    for level in range(best, -1, -1):
        box = slide.pyramid.box(
            level,
            columns.start * step[1],
            rows.start * step[0],
            shape[1] * step[1],
            shape[0] * step[0],
        )
        pixels = _read_box(slide, level, box, shape)
        if pixels is not None:
            return pixels
    return None


def _read_box(
    slide: Slide, level: int, box: Box, shape: tuple[int, int]
) -> NDArray[np.uint8] | None:
    left, top, width, height = box.outer
    level_width, level_height = slide.pyramid.sizes[level]
    width, height = min(width, level_width - left), min(height, level_height - top)
    try:
        rgb, _ = slide.read(level, left, top, width, height)
    except UnreadableRegionError:
        return None
    return resample_box(rgb, box.moved(-left, -top), shape)
