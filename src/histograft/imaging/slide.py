"""Open a whole slide, know its scale, and read pixels of its levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.core.units import (
    LARGEST_SLIDE_MPP,
    SCANNER_TOLERANCE,
    SMALLEST_MPP,
    Pyramid,
    TileSpec,
)
from histograft.imaging.slide_image import ImageReader
from histograft.imaging.slide_openslide import OpenSlideReader
from histograft.imaging.slide_reader import NotOpenedError, Reader, StatedScale
from histograft.imaging.slide_tiff import TiffSlideReader

READERS: dict[str, Callable[[Path], Reader]] = {
    "openslide": OpenSlideReader,
    "image": ImageReader,
    "tiffslide": TiffSlideReader,
}
_STATE_IT = (
    "write its µm/px into the column mpp of the table of slides "
    "(a 20x scan is about 0.5, a 40x scan about 0.25)"
)


class Slide:
    """An open slide, made by `open_slide`. Used from one thread at a time.

    Attributes
    ----------
    path : Path
        The file.
    reader : str
        Library that reads it: ``"openslide"``, ``"tiffslide"`` or ``"image"``.
    vendor : str
        Format as the reader names it, such as ``"aperio"``.
    pyramid : Pyramid
        Sizes and downsamples of its levels.
    mpp : (float, float)
        µm/px of level 0 in x and y.
    mpp_source : str
        Where `mpp` comes from: ``"table"`` (stated by the user), ``"openslide.mpp"``,
        ``"tiffslide.mpp"``, ``"ome.physical_size"`` or ``"tiff.resolution"``.
    objective : float or None
        Power of the objective that the file names; a label.
    """

    def __init__(
        self, path: Path, reader: Reader, mpp: tuple[float, float], mpp_source: str
    ) -> None:
        self.path = path
        self.reader = reader.name
        self.vendor = reader.vendor
        self.pyramid: Pyramid = reader.pyramid
        self.mpp = mpp
        self.mpp_source = mpp_source
        self.objective = reader.objective
        self._reader = reader

    @property
    def width(self) -> int:
        """Width in level-0 pixels."""
        return self.pyramid.width0

    @property
    def height(self) -> int:
        """Height in level-0 pixels."""
        return self.pyramid.height0

    @property
    def mpp0(self) -> float:
        """µm/px of level 0: the mean of x and y, which differ by less than 2 %."""
        return (self.mpp[0] + self.mpp[1]) / 2

    def tile_spec(self, tile_px: int, target_mpp: float, *, overlap: float = 0.0) -> TileSpec:
        """Tiles of this slide: `tile_px` pixels a side at `target_mpp` µm/px."""
        return TileSpec(tile_px, target_mpp, self.mpp0, overlap)

    def read(
        self, level: int, left: int, top: int, width: int, height: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """Read whole pixels of a level; what the scanner left out is white.

        Parameters
        ----------
        level : int
            Index into ``pyramid.sizes``.
        left, top, width, height : int
            Rectangle in pixels of that level, inside of it.

        Returns
        -------
        rgb : array of uint8, shape (height, width, 3)
            Colors as they are stored; color profiles are not applied.
        scanned : array of bool, shape (height, width), or None
            False where the scanner left the slide out; None where it left out nothing here.

        Raises
        ------
        UnreadableRegionError
            Something there is damaged; other regions can still be read.
        InputError
            The rectangle leaves the level.
        """
        level_width, level_height = self.pyramid.sizes[level]
        inside_x = left >= 0 and left + width <= level_width
        if not inside_x or top < 0 or top + height > level_height or min(width, height) < 1:
            raise InputError(
                f"{self.path.name}: {width} x {height} px at ({left}, {top}) leave level {level}, "
                f"which has {level_width} x {level_height} px",
                "ask for pixels inside of the slide",
            )
        return _on_white(self._reader.read(level, left, top, width, height))

    def close(self) -> None:
        """Give back the file; may be called twice."""
        self._reader.close()

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Slide({self.path.name!r}, {self.width} x {self.height} px, {self.mpp0:g} µm/px)"


def open_slide(path: str | Path, *, mpp: float | None = None, reader: str | None = None) -> Slide:
    """Open a slide or a plain image whose µm/px is known.

    Parameters
    ----------
    path : str or Path
        SVS, NDPI, MRXS, SCN, BIF, DICOM, OME-TIFF, other TIFF, or an image such as PNG.
    mpp : float, optional
        µm/px of level 0 as the user states it. It beats what the file says.
    reader : {"openslide", "image", "tiffslide"}, optional
        Library to use; by default the first of these that opens the file.

    Returns
    -------
    Slide
        To be closed, or used in a ``with`` statement.

    Raises
    ------
    InputError
        The file is absent, empty, damaged or no slide; or its µm/px is neither stated nor in the
        file, or cannot be true: outside 0.01–100, or more than 2 % apart in x and y.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = Path(folder.name) / "biopsy.png"
    >>> Image.new("RGB", (640, 480), "white").save(file)
    >>> with open_slide(file, mpp=0.5) as slide:
    ...     slide, slide.reader, slide.mpp_source
    (Slide('biopsy.png', 640 x 480 px, 0.5 µm/px), 'image', 'table')
    >>> folder.cleanup()
    """
    path = Path(path)
    opened = open_reader(path, reader=reader)
    try:
        scale, source = decide_scale(path.name, mpp, opened.scale, opened.objective)
    except InputError:
        opened.close()
        raise
    return Slide(path, opened, scale, source)


def open_reader(path: Path, *, reader: str | None = None) -> Reader:
    """Open a file with the first library that can, whether or not it states its µm/px.

    For a look at files; tiles need `open_slide`.

    Raises
    ------
    InputError
        The file is absent, empty, damaged or no slide.
    """
    if reader is not None and reader not in READERS:
        raise InputError(f"there is no reader {reader!r}", f"choose from {', '.join(READERS)}")
    if not path.is_file():
        raise InputError(f"{path.name} is not there, or is no file", "correct its path")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty (0 bytes)", "copy it again from its source")
    reasons = []
    for name in READERS if reader is None else [reader]:
        try:
            return READERS[name](path)
        except NotOpenedError as error:
            reasons.append(f"{name}: {error}")
        except OSError as error:
            raise InputError(
                f"{path.name} cannot be read ({error.strerror or error})",
                "see that it can be read, and copy it again if its disk is faulty",
            ) from error
    raise InputError(
        f"{path.name} is no slide that can be read, or is damaged ({'; '.join(reasons)})",
        "copy it again from its source, convert it to a tiled pyramidal TIFF, or take it out",
    )


def decide_scale(
    name: str, stated: float | None, found: StatedScale | None, objective: float | None
) -> tuple[tuple[float, float], str]:
    """µm/px of level 0 in x and y, and where it comes from: the user first, then the file.

    Raises
    ------
    InputError
        There is none, or it cannot be true.

    Examples
    --------
    >>> decide_scale("a.svs", None, StatedScale(0.25, 0.2501, "openslide.mpp"), 40)
    ((0.25, 0.2501), 'openslide.mpp')
    >>> decide_scale("a.svs", 0.5, StatedScale(0.25, 0.25, "openslide.mpp"), 40)
    ((0.5, 0.5), 'table')
    """
    if stated is not None:
        if not _possible(stated):
            raise InputError(
                f"{name}: {stated:g} µm/px in the column mpp cannot be the scale of a slide",
                f"state a value between {SMALLEST_MPP:g} and {LARGEST_SLIDE_MPP:g} "
                "(a 20x scan is about 0.5, a 40x scan about 0.25)",
            )
        return (float(stated), float(stated)), "table"
    if found is None:
        label = "" if objective is None else f" (its objective is {objective:g}x)"
        raise InputError(f"{name} does not state its µm/px{label}", _STATE_IT)
    across, down = found.mpp_x, found.mpp_y
    if not (_possible(across) and _possible(down)):
        raise InputError(
            f"{name} states {across:g} x {down:g} µm/px ({found.source}), which cannot be true",
            _STATE_IT,
        )
    if abs(across - down) > SCANNER_TOLERANCE * min(across, down):
        raise InputError(
            f"{name} states {across:g} µm/px in x and {down:g} in y ({found.source}), "
            f"more than {SCANNER_TOLERANCE:.0%} apart",
            _STATE_IT,
        )
    return (across, down), found.source


def _possible(mpp: float) -> bool:
    return math.isfinite(mpp) and SMALLEST_MPP <= mpp <= LARGEST_SLIDE_MPP


def _on_white(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """Lay RGBA on white; where nothing is transparent that is to drop the fourth channel."""
    if pixels.shape[2] == 3:
        return pixels, None
    alpha = pixels[..., 3]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[..., :3]), None
    share = alpha[..., None].astype(np.uint16)
    rgb = (pixels[..., :3] * share + 255 * (255 - share) + 127) // 255
    return rgb.astype(np.uint8), alpha > 0
