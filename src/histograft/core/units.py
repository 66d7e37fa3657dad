"""Physical scale and the arithmetic between micrometres and pixels.

The scale is µm/px (``mpp``), never a magnification. Every number in pixels names its frame. For
an image of a labeled set these are the **native** frame of the file and the **scaled** frame after
it was brought to the target µm/px. For a slide they are the **level-0** frame of its full
resolution, in which tiles have their places (names end in ``0``), the **level** frame of a level of
its pyramid, from which pixels are read, and the **tile** frame of the tile that comes out (names
end in ``_px``).
Sizes are (width, height) in this file only; arrays are (height, width, channels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from histograft.core.errors import InputError

# Objectives and sensors of microscopes end near these values; what lies outside is a unit error
# (such as nm/px or pixels per cm written into the column).
SMALLEST_MPP = 0.01
LARGEST_MPP = 1000.0

# A slide beyond 100 µm/px shows no tissue: its metadata are in another unit (1000 is nm/px or a
# placeholder).
LARGEST_SLIDE_MPP = 100.0

# Takes up the rounding of floats only: 0.252 and 0.25 µm/px are two scales, and the image is
# resampled.
SAME_SCALE_TOLERANCE = 1e-6

# Scanners of one objective differ by up to 2 %: scales within it need no warning.
SCANNER_TOLERANCE = 0.02

# Sizes of levels are whole pixels, so that a level of 1/4 often has a downsample of 4.0003. Tiles
# of downsample 4 are read from it none the less.
LEVEL_TOLERANCE = 1e-3

# Takes up the rounding of floats where a place in a level is made whole.
_PLACE_TOLERANCE = 1e-6


def check_mpp(mpp: float, where: str) -> float:
    """Return `mpp` if it can be a µm/px, else say what is wrong.

    Parameters
    ----------
    mpp : float
        Micrometres per pixel.
    where : str
        What states it, for the message.

    Returns
    -------
    float
        The same value.

    Raises
    ------
    InputError
        The value is not finite or lies outside 0.01–1000 µm/px.

    Examples
    --------
    >>> check_mpp(0.5, "samples.csv")
    0.5
    """
    if not math.isfinite(mpp) or not SMALLEST_MPP <= mpp <= LARGEST_MPP:
        raise InputError(
            f"{where}: {mpp!r} cannot be a scale in µm/px",
            f"state micrometres per pixel, between {SMALLEST_MPP} and {LARGEST_MPP:g} "
            "(a 20x scan is about 0.5, a 40x scan about 0.25)",
        )
    return float(mpp)


@dataclass(frozen=True)
class Scale:
    """A native and a target scale of one image.

    Attributes
    ----------
    native_mpp : float
        µm/px of the file.
    target_mpp : float
        µm/px wanted.

    Examples
    --------
    >>> scale = Scale(native_mpp=0.25, target_mpp=0.5)
    >>> scale.downsample, scale.scaled_size(224, 225), scale.is_upsampling
    (2.0, (112, 112), False)
    """

    native_mpp: float
    target_mpp: float

    def __post_init__(self) -> None:
        check_mpp(self.native_mpp, "native µm/px")
        check_mpp(self.target_mpp, "target µm/px")

    @property
    def downsample(self) -> float:
        """Native pixels per scaled pixel; below 1 the image must grow."""
        return self.target_mpp / self.native_mpp

    @property
    def is_identity(self) -> bool:
        """Whether both scales are the same within `SAME_SCALE_TOLERANCE`."""
        return abs(self.downsample - 1) <= SAME_SCALE_TOLERANCE

    @property
    def is_upsampling(self) -> bool:
        """Whether the target has more pixels than the file."""
        return self.downsample < 1 - SAME_SCALE_TOLERANCE

    def scaled_size(self, width_px: int, height_px: int) -> tuple[int, int]:
        """Whole pixels of exactly `target_mpp` that fit into the image, (width, height)."""
        return self._whole(width_px), self._whole(height_px)

    def native_length(self, scaled_px: float) -> float:
        """Length in native pixels of a length in scaled pixels."""
        return scaled_px * self.downsample

    def scaled_length(self, native_px: float) -> float:
        """Length in scaled pixels of a length in native pixels."""
        return native_px / self.downsample

    def micrometers(self, scaled_px: float) -> float:
        """Length in µm of a length in scaled pixels."""
        return scaled_px * self.target_mpp

    def _whole(self, native_px: int) -> int:
        if self.is_identity:
            return native_px
        # The guard keeps 1024 px at 0.25 -> 0.5 µm/px from becoming 511 through rounding.
        return max(1, math.floor(self.scaled_length(native_px) + 1e-6))


@dataclass(frozen=True)
class Box:
    """A rectangle of a pyramid level, in fractions of that level's pixels.

    Attributes
    ----------
    left, top, width, height : float
        Place of the upper left corner, and size.

    Examples
    --------
    >>> box = Box(10.5, 20.0, 4.5, 3.0)
    >>> box.outer
    (10, 20, 5, 3)
    >>> box.moved(-10, -20)
    Box(left=0.5, top=0.0, width=4.5, height=3.0)
    """

    left: float
    top: float
    width: float
    height: float

    @property
    def outer(self) -> tuple[int, int, int, int]:
        """The whole pixels that the box touches: left, top, width, height."""
        left, width = self._touched(self.left, self.width)
        top, height = self._touched(self.top, self.height)
        return left, top, width, height

    def moved(self, right: int, down: int) -> Box:
        """Give the same rectangle in a frame whose origin lies elsewhere, by whole pixels."""
        return Box(self.left + right, self.top + down, self.width, self.height)

    @staticmethod
    def _touched(begin: float, length: float) -> tuple[int, int]:
        first = math.floor(begin + _PLACE_TOLERANCE)
        return first, max(1, math.ceil(begin + length - _PLACE_TOLERANCE) - first)


@dataclass(frozen=True)
class TileSpec:
    """Size and scale of the square tiles of one slide.

    A tile covers a whole number of level-0 pixels, so that neighbors share no pixel and leave none
    out: its side there is ``round(tile_px * target_mpp / mpp0)``. What the rounding makes of the
    scale is `effective_mpp`, at most half a level-0 pixel a side away from `target_mpp`.

    Attributes
    ----------
    tile_px : int
        Side of a tile in its own frame.
    target_mpp : float
        µm/px wanted.
    mpp0 : float
        µm/px of level 0 of the slide.
    overlap : float
        Share of a side that a tile has in common with the next one, 0 to below 1.

    Raises
    ------
    InputError
        A number that makes no tile.

    Examples
    --------
    >>> spec = TileSpec(tile_px=224, target_mpp=0.5, mpp0=0.2525)
    >>> spec.side0, round(spec.effective_mpp, 6), spec.is_upsampling
    (444, 0.500491, False)
    >>> TileSpec(224, 0.5, 0.25, overlap=0.5).stride0
    224
    """

    tile_px: int
    target_mpp: float
    mpp0: float
    overlap: float = 0.0

    def __post_init__(self) -> None:
        check_mpp(self.target_mpp, "target µm/px")
        check_mpp(self.mpp0, "µm/px of the slide")
        if self.tile_px < 1:
            raise InputError(f"a tile cannot be {self.tile_px} px wide", "state 1 px or more")
        if not 0 <= self.overlap < 1:
            raise InputError(
                f"tiles cannot overlap by a share of {self.overlap!r}",
                "state a share of the side, from 0 to below 1",
            )

    @property
    def side0(self) -> int:
        """Side of a tile in level-0 pixels."""
        return max(1, round(self.tile_px * self.target_mpp / self.mpp0))

    @property
    def stride0(self) -> int:
        """Level-0 pixels from one tile of the grid to the next."""
        return max(1, round(self.side0 * (1 - self.overlap)))

    @property
    def downsample(self) -> float:
        """Level-0 pixels per pixel of the tile; below 1 a tile must grow."""
        return self.side0 / self.tile_px

    @property
    def effective_mpp(self) -> float:
        """µm/px that the pixels of a tile have, exactly."""
        return self.side0 * self.mpp0 / self.tile_px

    @property
    def is_upsampling(self) -> bool:
        """Whether a tile has more pixels than the slide has there."""
        return self.side0 < self.tile_px

    @property
    def overlap_px(self) -> float:
        """Overlap of neighbors in pixels of the tile."""
        return (self.side0 - self.stride0) / self.downsample


@dataclass(frozen=True)
class Pyramid:
    """Levels of a slide.

    Attributes
    ----------
    sizes : tuple of (int, int)
        Width and height of each level in its own pixels, level 0 first.

    Raises
    ------
    InputError
        A size below one pixel, or a level that is larger than level 0.

    Notes
    -----
    The downsample of a level is the ratio of its sizes to those of level 0, for x and y apart:
    5000 px in 312 are 16.03, and 6000 in 375 are 16, in one level.

    Examples
    --------
    >>> pyramid = Pyramid(((6000, 5000), (1500, 1250), (375, 312)))
    >>> pyramid.downsamples[1], pyramid.best_level(8.0), pyramid.best_level(0.5)
    ((4.0, 4.0), 1, 0)
    >>> pyramid.box(1, x0=402, y0=10, width0=448, height0=448)
    Box(left=100.5, top=2.5, width=112.0, height=112.0)
    """

    sizes: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.sizes:
            raise InputError("a slide without levels", "take it out, or copy it again")
        width0, height0 = self.sizes[0]
        for level, (width, height) in enumerate(self.sizes):
            if not (1 <= width <= width0 and 1 <= height <= height0):
                raise InputError(
                    f"level {level} of a slide is {width} x {height} px and level 0 is "
                    f"{width0} x {height0}",
                    "take the slide out, or copy it again",
                )

    @property
    def width0(self) -> int:
        """Width in level-0 pixels."""
        return self.sizes[0][0]

    @property
    def height0(self) -> int:
        """Height in level-0 pixels."""
        return self.sizes[0][1]

    @property
    def downsamples(self) -> tuple[tuple[float, float], ...]:
        """Level-0 pixels per pixel of each level, in x and y."""
        return tuple((self.width0 / width, self.height0 / height) for width, height in self.sizes)

    def best_level(self, downsample: float) -> int:
        """Index of the level with the fewest pixels that still has all that are wanted.

        That is the largest downsample that is not above `downsample`; level 0 where there is none.
        """
        largest = [max(pair) for pair in self.downsamples]
        enough = [i for i, has in enumerate(largest) if has <= downsample * (1 + LEVEL_TOLERANCE)]
        return max(enough, key=lambda level: largest[level], default=0)

    def holds(self, x0: int, y0: int, width0: int, height0: int) -> bool:
        """Whether a rectangle of level 0 lies inside the slide."""
        inside_x = x0 >= 0 and x0 + width0 <= self.width0
        return inside_x and y0 >= 0 and y0 + height0 <= self.height0

    def box(self, level: int, x0: float, y0: float, width0: float, height0: float) -> Box:
        """Rectangle of level 0 in the pixels of a level; inside of it where it was inside of 0."""
        across, down = self.downsamples[level]
        return Box(x0 / across, y0 / down, width0 / across, height0 / down)
