"""Pieces of tissue at a ladder of scales, each level made from the native image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histograft.core.errors import InputError
from histograft.core.units import SAME_SCALE_TOLERANCE, check_mpp

LadderKind = Literal["mpp", "relative"]


def level_factors(
    levels: Sequence[float], native_mpp: float | None, *, kind: LadderKind = "mpp"
) -> list[float]:
    """Return how many native pixels a pixel of each level is wide.

    Parameters
    ----------
    levels : sequence of float
        µm/px for the kind ``"mpp"``; for ``"relative"`` the factors themselves, for images whose
        scale nobody knows.
    native_mpp : float or None
        µm/px of the image; not looked at for ``"relative"``.
    kind : {"mpp", "relative"}
        What `levels` holds.

    Returns
    -------
    list of float
        1 or above.

    Raises
    ------
    InputError
        A level is finer than the image, no scale, or the image's scale is unknown.

    Examples
    --------
    >>> level_factors([1, 2, 8], 0.5)
    [2.0, 4.0, 16.0]
    >>> level_factors([1, 4], None, kind="relative")
    [1.0, 4.0]
    """
    if kind not in get_args(LadderKind):
        raise InputError(f"unknown kind of ladder {kind!r}", "use mpp or relative")
    if kind == "mpp":
        if native_mpp is None:
            raise InputError(
                "the µm/px of an image is unknown, so no level in µm/px can be made of it",
                "state its µm/px, or give factors (--scale relative)",
            )
        native = check_mpp(native_mpp, "native µm/px")
        factors = [check_mpp(level, "ladder") / native for level in levels]
    else:
        factors = [float(level) for level in levels]
    for level, factor in zip(levels, factors, strict=True):
        if not math.isfinite(factor) or factor < 1 - SAME_SCALE_TOLERANCE:
            of = f"the image's {native_mpp:g} µm/px" if kind == "mpp" else "factor 1"
            raise InputError(
                f"level {level:g} of the ladder is finer than {of}: it would invent pixels",
                "leave the level out, or give images of a finer scale",
            )
    return [max(factor, 1.0) for factor in factors]


def level_size(width_px: int, height_px: int, factor: float) -> tuple[int, int]:
    """Return the size of an image at a level, (width, height).

    Sides are rounded to the nearest whole pixel, halves up, and are at least 1. So a level shows
    the whole image, and its true scale is off by less than half a pixel a side.

    Parameters
    ----------
    width_px, height_px : int
        Of the native image.
    factor : float
        Native pixels a pixel of the level, 1 or above.

    Examples
    --------
    >>> level_size(1024, 1000, 16)
    (64, 63)
    """
    # Division may end a hair below .5 where the exact quotient is .5.
    width, height = (math.floor(n / factor + 0.5 + 1e-9) for n in (width_px, height_px))
    return max(1, width), max(1, height)


def at_level(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Shrink a native image to a level with Pillow's Lanczos filter.

    The filter has three lobes, which are as wide as the new pixels, so nothing aliases. Levels are
    made of the native image only: a level made of another one has been blurred twice.

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
        The native image.
    factor : float
        Native pixels a pixel of the level, 1 or above.

    Returns
    -------
    array of uint8, shape (H', W', 3)
        Of `level_size`; the image itself where the factor is 1.

    Raises
    ------
    InputError
        The factor is below 1.

    References
    ----------
    Turkowski 1990, Filters for Common Resampling Tasks, Graphics Gems, pages 147-165; used by
    DiPalma et al. 2021, doi:10.1016/j.artmed.2021.102136, section 4.1.

    Examples
    --------
    >>> at_level(np.zeros((1000, 1024, 3), np.uint8), 16).shape
    (63, 64, 3)
    """
    (factor,) = level_factors([factor], None, kind="relative")
    height, width = pixels.shape[:2]
    size = level_size(width, height, factor)
    if size == (width, height):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def check_pair(
    fine: tuple[int, int], coarse: tuple[int, int], ratio: float, name: str = "a pair"
) -> None:
    """Refuse two images that cannot be one field at two scales.

    Each side of either image is rounded by up to half of its own pixels, so for a side of n fine
    and m coarse pixels ``|n - ratio · m| ≤ (1 + ratio) / 2``. Images made apart, with sides cut
    off instead of rounded, may be off by twice as much and pass too.

    Parameters
    ----------
    fine, coarse : (int, int)
        Sizes, in the same order of sides.
    ratio : float
        Fine pixels per coarse pixel, 1 or above.
    name : str
        Of the piece, for the message.

    Raises
    ------
    InputError
        They do not fit.

    Examples
    --------
    >>> check_pair((1000, 1024), (125, 128), 8)
    >>> check_pair((1000, 1024), (128, 125), 8, "slide-3")
    Traceback (most recent call last):
        ...
    histograft.core.errors.InputError: slide-3: 1000 × 1024 px and 128 × 125 px ...
    """
    for n, m in zip(fine, coarse, strict=True):
        if abs(n - ratio * m) > (1 + ratio) + 1e-6:
            raise InputError(
                f"{name}: {fine[0]} × {fine[1]} px and {coarse[0]} × {coarse[1]} px are not one "
                f"field at two scales that are {ratio:g} times apart",
                "make both of the same native image, or correct the µm/px",
            )


def central_window(
    width_px: int, height_px: int, factor: float, max_pixels: int | None
) -> tuple[int, int, int, int] | None:
    """Return the central part of a piece that is too large, or None where it is not.

    It is cut from the native image, before any level is made, so that all levels and conditions
    see the same field.

    Parameters
    ----------
    width_px, height_px : int
        Of the native image.
    factor : float
        Native pixels a pixel of the finest level that is used.
    max_pixels : int or None
        Most pixels of a piece at that level; None for no limit.

    Returns
    -------
    (left, top, width, height) or None
        In native pixels, of the same shape as the piece.

    Raises
    ------
    InputError
        The limit is below 1.

    Examples
    --------
    >>> central_window(4000, 2000, 1, 2_000_000)
    (1000, 500, 2000, 1000)
    >>> central_window(4000, 2000, 2, 2_000_000) is None
    True
    """
    if max_pixels is None:
        return None
    if max_pixels < 1:
        raise InputError(f"a piece of at most {max_pixels} pixels", "give a limit above 0")
    width, height = level_size(width_px, height_px, factor)
    if width * height <= max_pixels:
        return None
    share = math.sqrt(max_pixels / (width * height))
    new_width, new_height = (
        max(1, math.floor(math.floor(n * share) * factor)) for n in (width, height)
    )
    return (width_px - new_width) // 2, (height_px - new_height) // 2, new_width, new_height
