"""Pillow's Lanczos on an image that is too large for memory, strip by strip."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histograft.core.errors import InputError

LOBES = 3
_BITS = 22  # to which Pillow rounds the weights of images of 8 bits
_ROWS_AT_ONCE = 16  # of the result: few more native rows are summed than each of them needs


def lanczos_strips(
    strips: Iterable[NDArray[np.uint8]], size: tuple[int, int], new_size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Shrink an image that comes in strips, to the bytes that Pillow makes of the whole one.

    Pillow filters rows first, rounds to 8 bits, and then filters columns. Rows know nothing of each
    other, so Pillow itself filters those of a strip. Columns are summed here with Pillow's weights,
    which are whole numbers of 2^-22; the sums are exact in float64. (Pillow's own argument ``box``
    would not do: it is float32, and one value of some thousands comes out a grey level off.)

    Parameters
    ----------
    strips : iterable of arrays of uint8, shape (h, W, 3)
        Rows from the first to the last one, in strips of any heights.
    size, new_size : (int, int)
        Width and height of the image and of the result, which is no larger.

    Returns
    -------
    array of uint8, shape (H', W', 3)
        Equal to ``Image.resize(new_size, Image.Resampling.LANCZOS)`` of the whole image. Pillow
        from 13.0 on filters columns first where an image loses more than twice as many rows as
        columns; of such tall ones a few values differ from that, mostly by a grey level. Beside
        the result memory holds one strip, and at their new width the native rows of 22 new ones.

    Raises
    ------
    InputError
        The result would be larger, or the strips are not those of such an image.

    References
    ----------
    Turkowski 1990, Filters for Common Resampling Tasks, Graphics Gems, pages 147-165.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype(np.uint8)
    >>> small = lanczos_strips([image[:50], image[50:]], (70, 90), (20, 25))
    >>> whole = Image.fromarray(image).resize((20, 25), Image.Resampling.LANCZOS)
    >>> bool((small == np.asarray(whole)).all())
    True
    """
    (width, height), (new_width, new_height) = size, new_size
    if not (1 <= new_width <= width and 1 <= new_height <= height):
        raise InputError(
            f"{width} x {height} px cannot shrink to {new_width} x {new_height}",
            "ask for a smaller image of 1 px a side or more",
        )
    narrow = _NarrowRows(strips, size, new_width)
    result = np.empty((new_height, new_width, 3), np.uint8)
    for first in range(0, new_height, _ROWS_AT_ONCE):
        rows = range(first, min(first + _ROWS_AT_ONCE, new_height))
        begin, weights = _weights(rows, height, new_height)
        band = narrow.rows(begin, begin + weights.shape[1])
        sums = weights @ band.reshape(len(band), -1).astype(np.float64)
        values = np.floor((sums + 2 ** (_BITS - 1)) / 2**_BITS)
        result[rows.start : rows.stop] = np.clip(values, 0, 255).reshape(len(rows), new_width, 3)
    narrow.check_end()
    return result


class _NarrowRows:
    """Native rows at the new width, read as far as they are asked for, from above to below."""

    def __init__(
        self, strips: Iterable[NDArray[np.uint8]], size: tuple[int, int], new_width: int
    ) -> None:
        self._strips = iter(strips)
        self._width, self._height = size
        self._new_width = new_width
        self._held = np.empty((0, new_width, 3), np.uint8)
        self._top = 0

    def rows(self, begin: int, end: int) -> NDArray[np.uint8]:
        """Give rows; those above `begin` are forgotten."""
        self._held, self._top = self._held[begin - self._top :], begin
        parts = [self._held]
        reached = begin + len(self._held)
        while reached < end:
            strip = next(self._strips, None)
            if strip is None or strip.ndim != 3 or strip.shape[1:] != (self._width, 3):
                raise self._wrong(reached)
            shape = (self._new_width, len(strip))
            parts.append(np.asarray(Image.fromarray(strip).resize(shape, Image.Resampling.LANCZOS)))
            reached += len(strip)
        if reached > self._height:
            raise self._wrong(reached)
        self._held = np.concatenate(parts) if len(parts) > 1 else self._held
        return self._held[: end - begin]

    def check_end(self) -> None:
        """Refuse strips that are left over."""
        if next(self._strips, None) is not None:
            raise self._wrong(self._height + 1)

    def _wrong(self, reached: int) -> InputError:
        return InputError(
            f"the strips of an image of {self._width} x {self._height} px have another width, or "
            f"end at row {reached}",
            "give all its rows once, from the first to the last",
        )


def _weights(rows: range, height: int, new_height: int) -> tuple[int, NDArray[np.float64]]:
    """Return the first native row that counts, and weights (new rows, native rows) times 2^22."""
    factor = height / new_height
    spans = [_span((row + 0.5) * factor, factor, height) for row in rows]
    begin = spans[0][0]
    weights = np.zeros((len(rows), spans[-1][1] - begin))
    if height == new_height:  # Pillow leaves the rows as they are
        return begin, np.eye(len(rows), weights.shape[1], rows.start - begin) * 2**_BITS
    for i, (first, last) in enumerate(spans):
        center = (rows[i] + 0.5) * factor
        shares = [_lanczos((row - center + 0.5) / factor) for row in range(first, last)]
        # From left to right, as Pillow adds them.
        total = sum(shares)
        scaled = np.array(shares) / total * 2**_BITS
        weights[i, first - begin : last - begin] = np.trunc(scaled + np.copysign(0.5, scaled))
    return begin, weights


def _span(center: float, factor: float, height: int) -> tuple[int, int]:
    """First and last + 1 of the native rows below the filter."""
    reach = LOBES * factor
    return max(0, int(center - reach + 0.5)), min(height, int(center + reach + 0.5))


def _lanczos(x: float) -> float:
    if not -LOBES <= x < LOBES:
        return 0.0
    return _sinc(x) * _sinc(x / LOBES)


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(x * math.pi) / (x * math.pi)
