"""Plain images as slides of one level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import ImageError
from histograft.core.units import Pyramid
from histograft.imaging.read import decode_image
from histograft.imaging.slide_reader import NotOpenedError
from histograft.imaging.slide_tiff import tiff_scale

# A plain image is decoded whole; a larger file is a slide whose reader is missing.
LARGEST_IMAGE_BYTES = 2**31


class ImageReader:
    """A plain image in memory: one level.

    Parameters
    ----------
    path : Path
        PNG, JPEG, BMP, WebP, GIF or TIFF of one page, 8 bits a channel.

    Raises
    ------
    NotOpenedError
        It is no such image, or damaged.
    """

    name = "image"
    objective: float | None = None

    def __init__(self, path: Path) -> None:
        if path.stat().st_size > LARGEST_IMAGE_BYTES:
            raise NotOpenedError("the file is too large for a plain image")
        try:
            image = decode_image(path.read_bytes(), path.name)
        except ImageError as error:
            raise NotOpenedError(error.problem) from error
        self._pixels = image.pixels
        height, width = image.pixels.shape[:2]
        self.vendor = image.format
        self.pyramid = Pyramid(((width, height),))
        self.scale = tiff_scale(path) if image.format == "TIFF" else None

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `Reader.read`."""
        del level  # there is one
        return self._pixels[top : top + height, left : left + width]

    def close(self) -> None:
        """Forget the pixels."""
        self._pixels = np.empty((0, 0, 3), np.uint8)
