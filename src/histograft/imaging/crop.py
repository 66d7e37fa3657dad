"""Cut an image into square patches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError


def crop_origins(
    length_px: int, patch_px: int, overlap: float, *, flush_last: bool = False
) -> list[int]:
    """Where patches begin along one side.

    Patches begin at 0 and at every multiple of the stride int(patch_px * (1 - overlap)), as long
    as they fit; what is left over is dropped, or covered by a last patch that ends at the edge.

    Parameters
    ----------
    length_px : int
        Length of the side, at least `patch_px`.
    patch_px : int
        Side of a patch.
    overlap : float
        Share of a patch's side that neighbors have in common, 0 up to below 1.
    flush_last : bool
        Add the last patch.

    Returns
    -------
    list of int
        Ascending; empty where no patch fits.

    Raises
    ------
    InputError
        A patch without pixels, or an overlap outside 0 up to below 1.

    Notes
    -----
    To match HistoKT as coded set ``overlap=0.25`` (0.75 for BCSS); the paper prints 50 %, but the
    numbers of patches in its Table 1 follow from 25 % (doi:10.48550/arXiv.2201.11246).

    Examples
    --------
    >>> crop_origins(860, 272, 0.25), crop_origins(860, 272, 0.25, flush_last=True)
    ([0, 204, 408], [0, 204, 408, 588])
    """
    if patch_px < 1 or not 0 <= overlap < 1:
        raise InputError(
            f"patches of {patch_px} px cannot overlap by {overlap:g} of their side",
            "give a side of at least 1 px, and an overlap from 0 up to below 1",
        )
    stride = max(1, int(patch_px * (1 - overlap) + 1e-9))
    origins = list(range(0, length_px - patch_px + 1, stride))
    last = length_px - patch_px
    if flush_last and origins and origins[-1] != last:
        origins.append(last)
    return origins


def crop_boxes(
    height_px: int, width_px: int, patch_px: int, overlap: float, *, flush_last: bool = False
) -> list[tuple[int, int, int, int]]:
    """Boxes of the patches of an image, row by row.

    Parameters
    ----------
    height_px, width_px : int
        Size of the image.
    patch_px, overlap, flush_last
        As for `crop_origins`.

    Returns
    -------
    list of (x, y, width, height)
        In pixels.

    Examples
    --------
    >>> crop_boxes(4, 6, 2, 0.0)[:4]
    [(0, 0, 2, 2), (2, 0, 2, 2), (4, 0, 2, 2), (0, 2, 2, 2)]
    """
    return [
        (x, y, patch_px, patch_px)
        for y in crop_origins(height_px, patch_px, overlap, flush_last=flush_last)
        for x in crop_origins(width_px, patch_px, overlap, flush_last=flush_last)
    ]


def reflect_to(pixels: NDArray[Any], patch_px: int, *, centered: bool = False) -> NDArray[Any]:
    """Fill an image up to the size of a patch by reflecting it at its edges.

    The edge pixel is not repeated, and the reflection goes on as often as needed: along a side of
    n pixels the result is periodic with period 2 (n - 1), as ``np.pad(mode="reflect")``. A side of
    one pixel is repeated.

    Parameters
    ----------
    pixels : array, shape (H, W) or (H, W, C)
        The image.
    patch_px : int
        Least height and width of the result.
    centered : bool
        Keep the image in the middle (an odd pixel goes to the right and lower edge). By default
        it stays in the upper left corner, as in HistoKT.

    Returns
    -------
    array
        Of height max(H, patch_px) and width max(W, patch_px).

    Examples
    --------
    >>> reflect_to(np.array([[1, 2, 3]]), 7)[0]
    array([1, 2, 3, 2, 1, 2, 3])
    >>> reflect_to(np.array([[1, 2, 3]]), 6, centered=True)[0]
    array([2, 1, 2, 3, 2, 1])
    """
    rows, columns = (_mirrored(n, patch_px, centered=centered) for n in pixels.shape[:2])
    return pixels[np.ix_(rows, columns)]


def _mirrored(n: int, wanted: int, *, centered: bool) -> NDArray[np.intp]:
    length = max(n, wanted)
    if n == 1:
        return np.zeros(length, np.intp)
    before = (length - n) // 2 if centered else 0
    position = np.arange(-before, length - before) % (2 * (n - 1))
    return np.where(position < n, position, 2 * (n - 1) - position).astype(np.intp)
