"""Slides through OpenSlide: SVS, NDPI, MRXS, SCN, BIF, DICOM, Philips and generic tiled TIFF."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histograft.core.units import Pyramid
from histograft.imaging.slide_reader import NotOpenedError, StatedScale, UnreadableRegionError
from histograft.imaging.slide_tiff import has_deep_pixels, tiff_scale

if TYPE_CHECKING:
    from openslide import OpenSlide

# Side of the blocks in which levels of a fractional downsample are read, in pixels of the level.
_BLOCK_PX = 256


class OpenSlideReader:
    """A slide opened by OpenSlide.

    Parameters
    ----------
    path : Path
        The slide; of formats with several files the one that OpenSlide wants (``.mrxs``, one of
        the DICOM files).

    Raises
    ------
    NotOpenedError
        OpenSlide does not know the format, or finds it damaged.

    Notes
    -----
    OpenSlide takes the place of a region in level-0 pixels and divides it by its own mean of the x
    and y downsamples. Where that is no whole number, most pixels of the level cannot be asked for
    exactly: it shifts by the fraction and interpolates. Such levels are read in blocks at fixed
    places, each rounded to the nearest level-0 pixel. So a pixel is off by half a level-0 pixel at
    most, and is the same whatever region it was read with.

    After an error all calls of a handle of OpenSlide fail, so the next read opens the file anew.
    """

    name = "openslide"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: OpenSlide | None = self._open()
        properties = dict(self._handle.properties)
        self.pyramid = Pyramid(tuple(self._handle.level_dimensions))
        self._factors = self._handle.level_downsamples
        self.vendor = properties.get("openslide.vendor", "unknown")
        if self.vendor == "generic-tiff" and has_deep_pixels(path):
            self.close()
            raise NotOpenedError("it has more than 8 bits a channel")
        self.scale = self._stated_scale(properties)
        power = properties.get("openslide.objective-power")
        self.objective = float(power) if power else None

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `Reader.read`."""
        if float(self._factors[level]).is_integer():
            return self._read_at(level, left, top, width, height)
        pixels = np.full((height, width, 4), 255, np.uint8)
        for block_top in range(top - top % _BLOCK_PX, top + height, _BLOCK_PX):
            for block_left in range(left - left % _BLOCK_PX, left + width, _BLOCK_PX):
                self._copy_block(pixels, level, (left, top), (block_left, block_top))
        return pixels

    def close(self) -> None:
        """Give back the file; may be called twice."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _open(self) -> OpenSlide:
        import openslide

        try:
            return openslide.OpenSlide(self._path)
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise NotOpenedError("not a format that it knows") from error
        except openslide.OpenSlideError as error:
            raise NotOpenedError(str(error)) from error

    def _stated_scale(self, properties: dict[str, str]) -> StatedScale | None:
        across, down = (properties.get(f"openslide.mpp-{axis}") for axis in "xy")
        if across is not None and down is not None:
            return StatedScale(float(across), float(down), "openslide.mpp")
        return tiff_scale(self._path) if self.vendor == "generic-tiff" else None

    def _copy_block(
        self,
        pixels: NDArray[np.uint8],
        level: int,
        corner: tuple[int, int],
        block: tuple[int, int],
    ) -> None:
        """Read one block of the level, and copy what lies inside of the region at `corner`."""
        (left, top), (block_left, block_top) = corner, block
        level_width, level_height = self.pyramid.sizes[level]
        width = min(_BLOCK_PX, level_width - block_left)
        height = min(_BLOCK_PX, level_height - block_top)
        read = self._read_at(level, block_left, block_top, width, height)
        first_row, first_column = max(top - block_top, 0), max(left - block_left, 0)
        part = read[first_row:, first_column:]
        row, column = max(block_top - top, 0), max(block_left - left, 0)
        rows, columns = slice(row, row + part.shape[0]), slice(column, column + part.shape[1])
        wanted = pixels[rows, columns, : part.shape[2]]
        wanted[...] = part[: wanted.shape[0], : wanted.shape[1]]

    def _read_at(
        self, level: int, left: int, top: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        import openslide

        factor = self._factors[level]
        place = (math.floor(left * factor + 0.5), math.floor(top * factor + 0.5))
        try:
            if self._handle is None:
                self._handle = self._open()
            image = self._handle.read_region(place, level, (width, height))
        except (openslide.OpenSlideError, NotOpenedError) as error:
            self.close()
            raise UnreadableRegionError(str(error)) from error
        pixels = np.asarray(image)
        # Pillow drops the fourth channel twice as fast as NumPy copies the other three.
        return pixels if pixels[..., 3].min() < 255 else np.asarray(image.convert("RGB"))
