"""What every reader of slides offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from histograft.core.units import Pyramid


class NotOpenedError(Exception):
    """A reader does not open the file; the text says why."""


class UnreadableRegionError(Exception):
    """Pixels of a region could not be decoded."""


@dataclass(frozen=True)
class StatedScale:
    """A µm/px that a file states.

    Attributes
    ----------
    mpp_x, mpp_y : float
        µm/px of level 0, as they stand there, unchecked.
    source : str
        Where they stand, such as ``"openslide.mpp"``, ``"ome.physical_size"`` or
        ``"tiff.resolution"``.
    """

    mpp_x: float
    mpp_y: float
    source: str


class Reader(Protocol):
    """A file opened by one library. Used from one thread at a time."""

    name: str
    vendor: str
    pyramid: Pyramid
    scale: StatedScale | None
    objective: float | None

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """Whole pixels of a level, in its own frame; they lie inside of it.

        Returns
        -------
        array of uint8, shape (height, width, 3 or 4)
            RGB, or RGB not multiplied by the fourth channel, which is 0 where nothing was scanned.

        Raises
        ------
        UnreadableRegionError
            Something there is damaged. The reader goes on to work for other regions.
        """
        ...

    def close(self) -> None:
        """Give back the file; may be called twice."""
        ...
