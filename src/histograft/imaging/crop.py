"""Cut an image into square patches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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

    Examples
    --------
    >>> crop_origins(860, 272, 0.25), crop_origins(860, 272, 0.25, flush_last=True)
    ([0, 204, 408], [0, 204, 408, 588])
    """
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


def reflect_to(pixels: NDArray[Any], patch_px: int) -> NDArray[Any]:
    """Fill an image up to the size of a patch by reflecting it to the right and downward.

    The edge pixel is not repeated, and the reflection goes on as often as needed: along a side of
    n pixels the result is periodic with period 2 (n - 1), as ``np.pad(mode="reflect")``. A side of
    one pixel is repeated.

    Parameters
    ----------
    pixels : array, shape (H, W) or (H, W, C)
        The image.
    patch_px : int
        Least height and width of the result.

    Returns
    -------
    array
        Of height max(H, patch_px) and width max(W, patch_px).

    Examples
    --------
    >>> reflect_to(np.array([[1, 2, 3]]), 7)[0]
    array([1, 2, 3, 2, 1, 2, 3])
    """
    rows = _mirrored(pixels.shape[0], patch_px)
    columns = _mirrored(pixels.shape[1], patch_px)
    return pixels[np.ix_(rows, columns)]


def _mirrored(n: int, wanted: int) -> NDArray[np.intp]:
    if n == 1:
        return np.zeros(max(n, wanted), np.intp)
    position = np.arange(max(n, wanted)) % (2 * (n - 1))
    return np.where(position < n, position, 2 * (n - 1) - position).astype(np.intp)
