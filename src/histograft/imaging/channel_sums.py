"""Mean and standard deviation of the channels of many images, exact and in any order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histograft.core.errors import InputError


@dataclass(frozen=True)
class ChannelSums:
    """Number of pixels, and for each channel the sums of values and of their squares.

    All are whole numbers of any length, so that sums of parts are the sum of the whole to the last
    digit, whatever the order: images may be counted in parallel and merged.

    Attributes
    ----------
    n : int
        Pixels.
    sums, squares : tuple of int
        For red, green and blue, of values 0 … 255.

    Examples
    --------
    >>> black, white = (np.full((2, 2, 3), v, np.uint8) for v in (0, 255))
    >>> both = ChannelSums.of(black) + ChannelSums.of(white)
    >>> both.mean, both.std
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """

    n: int = 0
    sums: tuple[int, int, int] = (0, 0, 0)
    squares: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> ChannelSums:
        """Count one image, uint8 (H, W, 3)."""
        counts = np.array(Image.fromarray(pixels).histogram(), dtype=np.int64).reshape(3, 256)
        values = np.arange(256)
        red, green, blue = (int(c @ values) for c in counts)
        red2, green2, blue2 = (int(c @ values**2) for c in counts)
        n = pixels.shape[0] * pixels.shape[1]
        return cls(n, (red, green, blue), (red2, green2, blue2))

    def __add__(self, other: ChannelSums) -> ChannelSums:
        """Merge with the sums of other images."""
        a, b, c = (x + y for x, y in zip(self.sums, other.sums, strict=True))
        d, e, f = (x + y for x, y in zip(self.squares, other.squares, strict=True))
        return ChannelSums(self.n + other.n, (a, b, c), (d, e, f))

    @property
    def mean(self) -> tuple[float, float, float]:
        """Means over all pixels, 0 … 1."""
        a, b, c = (total / (255 * self._known) for total in self.sums)
        return a, b, c

    @property
    def std(self) -> tuple[float, float, float]:
        """Standard deviations over all pixels (divided by n, not n - 1), 0 … 1."""
        n = self._known
        a, b, c = (
            math.sqrt(n * square - total * total) / (255 * n)
            for total, square in zip(self.sums, self.squares, strict=True)
        )
        return a, b, c

    @property
    def _known(self) -> int:
        if self.n == 0:
            raise InputError("there is no pixel to average", "give at least one image")
        return self.n
