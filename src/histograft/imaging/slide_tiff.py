"""TIFF files: the scale that they state, and slides through TiffSlide, the second reader."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from histograft.core.units import Pyramid
from histograft.imaging.slide_reader import NotOpenedError, StatedScale, UnreadableRegionError

# What tifffile and its decoders raise on files that are damaged or of unknown kinds.
_DAMAGE = (
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    OverflowError,
    SyntaxError,
    struct.error,
    zlib.error,
)
_CENTIMETER = 3
_UM_PER_CM = 1e4
_UM_PER_UNIT = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}


def tiff_scale(path: Path) -> StatedScale | None:
    """µm/px that a TIFF file states: OME-XML first, else a resolution in pixels per centimeter.

    Resolutions per inch are left alone: programs write 72 or 300 there for the printer.

    Parameters
    ----------
    path : Path
        A TIFF file.

    Returns
    -------
    StatedScale or None
        None where it states nothing, or cannot be read.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            ome = file.ome_metadata
            unit = page.tags.valueof(296)
            resolutions = [page.tags.valueof(code) for code in (282, 283)]
    except _DAMAGE:
        return None
    if ome:
        return _ome_scale(ome)
    if unit != _CENTIMETER or not all(resolutions):
        return None
    across, down = (_UM_PER_CM * pixels / per if per else math.nan for per, pixels in resolutions)
    return StatedScale(across, down, "tiff.resolution")


def has_deep_pixels(path: Path) -> bool:
    """Whether a TIFF file has more than 8 bits a channel, which OpenSlide would cut off."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return int(file.pages.first.bitspersample) > 8
    except _DAMAGE:
        return False


def refuse_cut_tiff(path: Path) -> None:
    """Follow the chain of pages of a TIFF file to its end.

    tifffile is content with the pages that it finds, so that a slide that was cut off behind its
    first level would pass for one without a pyramid.

    Raises
    ------
    NotOpenedError
        The chain leads out of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(4)
        order = {b"II": "<", b"MM": ">"}.get(magic[:2])
        if order is None or magic[2:] not in (struct.pack(f"{order}H", v) for v in (42, 43)):
            return  # no TIFF
        big = magic[2:] == struct.pack(f"{order}H", 43)
        count, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
        file.seek(8 if big else 4)
        seen = set()
        try:
            (offset,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
            while offset and offset not in seen:
                seen.add(offset)
                file.seek(offset)
                (entries,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
                file.seek(offset + struct.calcsize(count) + entry * entries)
                (offset,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
        except (struct.error, OSError, OverflowError) as error:
            raise NotOpenedError(f"the file is cut off at {size:,} bytes") from error


def _ome_scale(text: str) -> StatedScale | None:
    """PhysicalSizeX and Y of the first image."""
    try:
        elements = list(ElementTree.fromstring(text).iter())
    except ElementTree.ParseError:
        return None
    pixels = next((e for e in elements if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    sizes = []
    for axis in "XY":
        size = pixels.get(f"PhysicalSize{axis}")
        factor = _UM_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if size is None or factor is None:
            return None
        sizes.append(float(size) * factor)
    return StatedScale(sizes[0], sizes[1], "ome.physical_size")


class TiffSlideReader:
    """A slide opened by TiffSlide (extra ``tiffslide``), for TIFF kinds that OpenSlide refuses.

    Parameters
    ----------
    path : Path
        The slide.

    Raises
    ------
    NotOpenedError
        TiffSlide is not installed, does not know the format, finds it damaged, or its pixels are
        not RGB of 8 bits.
    """

    name = "tiffslide"

    def __init__(self, path: Path) -> None:
        try:
            import tiffslide
        except ImportError as error:
            raise NotOpenedError(
                "not installed, pip install 'histograft[tiffslide]' adds it"
            ) from error
        refuse_cut_tiff(path)
        try:
            self._handle: Any = tiffslide.TiffSlide(path)
            self._factors = self._handle.level_downsamples
            self.pyramid = Pyramid(tuple(self._handle.level_dimensions))
            corner = self._read_region(0, 0, 0, 1, 1)
        except _DAMAGE as error:
            raise NotOpenedError(str(error) or type(error).__name__) from error
        if corner.dtype != np.uint8 or corner.shape != (1, 1, 3):
            self.close()
            raise NotOpenedError("its pixels are not RGB of 8 bits")
        properties = self._handle.properties
        self.vendor = str(properties.get("tiffslide.vendor") or "unknown")
        self.scale = self._stated_scale(properties) or tiff_scale(path)
        power = properties.get("tiffslide.objective-power")
        self.objective = float(power) if power else None

    def read(self, level: int, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """See `Reader.read`."""
        try:
            return self._read_region(level, left, top, width, height)
        except _DAMAGE as error:
            raise UnreadableRegionError(str(error)) from error

    def close(self) -> None:
        """Give back the file; may be called twice."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    @staticmethod
    def _stated_scale(properties: dict[str, Any]) -> StatedScale | None:
        across, down = (properties.get(f"tiffslide.mpp-{axis}") for axis in "xy")
        if across is None or down is None:
            return None
        return StatedScale(float(across), float(down), "tiffslide.mpp")

    def _read_region(
        self, level: int, left: int, top: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        factor = self._factors[level]
        place = (_first_in(left, factor), _first_in(top, factor))
        pixels: NDArray[np.uint8] = self._handle.read_region(
            place, level, (width, height), as_array=True
        )
        return pixels


def _first_in(pixel: int, factor: float) -> int:
    """First level-0 pixel that TiffSlide, which cuts off fractions, takes for a level's pixel."""
    place = math.ceil(pixel * factor)
    return place if int(place / factor) >= pixel else place + 1
