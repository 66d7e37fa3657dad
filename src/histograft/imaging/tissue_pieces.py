"""Pieces of tissue on a slide: the boxes that hold them, in level-0 pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histograft.core.errors import InputError
from histograft.core.units import check_mpp


@dataclass(frozen=True)
class SlideBox:
    """A rectangle of a slide.

    Attributes
    ----------
    x0, y0, width0, height0 : int
        Upper left corner and size in level-0 pixels.
    area_um2 : float
        Area of the tissue in it.
    """

    x0: int
    y0: int
    width0: int
    height0: int
    area_um2: float

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Corner and size."""
        return self.x0, self.y0, self.width0, self.height0

    def holds(self, other: SlideBox) -> bool:
        """Whether another box lies inside of this one."""
        inside_x = self.x0 <= other.x0 and other.x0 + other.width0 <= self.x0 + self.width0
        inside_y = self.y0 <= other.y0 and other.y0 + other.height0 <= self.y0 + self.height0
        return inside_x and inside_y


def tissue_boxes(
    mask: NDArray[np.bool_], size0: tuple[int, int], mpp0: float, margin_um: float
) -> list[SlideBox]:
    """Return the box around each connected piece of tissue.

    What lies in the box of a larger piece is seen with it and makes no box of its own; its area
    counts there. Other tissue that reaches into a box stays in the picture.

    Parameters
    ----------
    mask : array of bool, shape (H, W)
        Tissue, such as `histograft.imaging.tissue.find_tissue` finds; it covers the whole slide.
        Pixels that touch at a corner only belong to different pieces.
    size0 : (int, int)
        Width and height of the slide in level-0 pixels.
    mpp0 : float
        µm/px of level 0.
    margin_um : float
        How much glass is left on each side, in µm; boxes end where the slide ends.

    Returns
    -------
    list of SlideBox
        By the first pixel of each piece, row by row.

    Raises
    ------
    InputError
        The margin is below 0 or not finite.

    Examples
    --------
    >>> mask = np.zeros((4, 6), bool)
    >>> mask[1, 1:3] = mask[3, 5] = True
    >>> [(box.place, box.area_um2) for box in tissue_boxes(mask, (60, 40), 0.5, 2.0)]
    [((6, 6, 28, 18), 50.0), ((46, 26, 14, 14), 25.0)]
    """
    check_mpp(mpp0, "µm/px of the slide")
    if not 0 <= margin_um < math.inf:
        raise InputError(f"a margin of {margin_um} µm", "give 0 or more")
    labels, _ = ndimage.label(mask)
    counts = np.bincount(labels.ravel())[1:]
    across, down = size0[0] / mask.shape[1], size0[1] / mask.shape[0]
    boxes = []
    for (rows, columns), count in zip(ndimage.find_objects(labels), counts, strict=True):
        x0, width0 = _side(columns, across, margin_um / mpp0, size0[0])
        y0, height0 = _side(rows, down, margin_um / mpp0, size0[1])
        area_um2 = float(count) * across * down * mpp0**2
        boxes.append(SlideBox(x0, y0, width0, height0, area_um2))
    return _without_nested(boxes)


def _side(pixels: slice, step: float, margin0: float, length0: int) -> tuple[int, int]:
    """First level-0 pixel and length of a side of a box."""
    first = max(0, math.floor(pixels.start * step - margin0))
    last = min(length0, math.ceil(pixels.stop * step + margin0))
    return first, last - first


def _without_nested(boxes: list[SlideBox]) -> list[SlideBox]:
    """Join boxes with the largest box that holds them."""
    order = sorted(range(len(boxes)), key=lambda i: -boxes[i].width0 * boxes[i].height0)
    kept: dict[int, SlideBox] = {}
    for i in order:
        outer = next((k for k in kept if kept[k].holds(boxes[i])), None)
        if outer is None:
            kept[i] = boxes[i]
        else:
            area_um2 = kept[outer].area_um2 + boxes[i].area_um2
            kept[outer] = replace(kept[outer], area_um2=area_um2)
    return [kept[i] for i in sorted(kept)]
