"""Physical scale and the arithmetic between micrometres and pixels.

The scale is µm/px (``mpp``), never a magnification. Three pixel frames occur and every number
in pixels names its own: the **native** frame of the file, the **scaled** frame after an image
was brought to the target µm/px, and (for slides) the frame of a pyramid level.
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

# Takes up the rounding of floats only: 0.252 and 0.25 µm/px are two scales, and the image is
# resampled.
SAME_SCALE_TOLERANCE = 1e-6

# Scanners of one objective differ by up to 2 %: scales within it need no warning.
SCANNER_TOLERANCE = 0.02


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


def magnification_label(mpp: float) -> str:
    """Name a scale the way people speak of it, 10/mpp; a label, never a quantity to compute with.

    Examples
    --------
    >>> magnification_label(0.5), magnification_label(8.0)
    ('20x', '1.25x')
    """
    return f"{10 / mpp:.3g}x"
