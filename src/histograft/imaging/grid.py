"""Where the tiles of a slide lie, and how much tissue each has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.core.units import Pyramid, TileSpec

# Takes up the rounding of sums, so that a tile with exactly the least share is kept.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Grid:
    """Tiles of a slide.

    Attributes
    ----------
    coords : array of int64, shape (N, 2)
        x and y of the upper left corners in level-0 pixels, row by row, each row from left to
        right.
    tissue : array of float64, shape (N,)
        Share of each tile that is tissue, 0-1.
    n_positions : int
        Tiles of the whole slide, with and without tissue.
    """

    coords: NDArray[np.int64]
    tissue: NDArray[np.float64]
    n_positions: int


def grid(
    pyramid: Pyramid,
    spec: TileSpec,
    mask: NDArray[np.bool_] | None = None,
    *,
    least_tissue: float = 0.5,
) -> Grid:
    """Lay a grid of tiles over a slide and keep those with enough tissue.

    The grid begins at the upper left corner. What is left at the right and lower edge, less than a
    tile, is dropped, so that no tile leaves the slide.

    Parameters
    ----------
    pyramid : Pyramid
        Of the slide.
    spec : TileSpec
        Size, scale and overlap of the tiles.
    mask : array of bool, shape (H, W), optional
        Tissue. It covers the whole slide at any scale, not always the same in x and y. Without it
        all tiles are kept, with a share of 1.
    least_tissue : float
        Least share of tissue of a tile, 0-1; a tile with just that is kept. At 0 tiles without
        any tissue are kept, too.

    Returns
    -------
    Grid
        Empty where the slide is smaller than a tile.

    Raises
    ------
    InputError
        The least share lies outside 0-1, or the mask is empty.

    Notes
    -----
    The share is exact: pixels of the mask that a tile covers in part count by that part. With the
    summed-area table S, whose values between corners of pixels are bilinear as the mask is constant
    within a pixel, it is ``S(right, bottom) - S(left, bottom) - S(right, top) + S(left, top)`` over
    the area of the tile.

    References
    ----------
    Crow 1984, doi:10.1145/964965.808600, for summed-area tables.

    Examples
    --------
    >>> mask = np.array([[True, False], [True, True]])
    >>> found = grid(Pyramid(((1000, 1000),)), TileSpec(250, 0.5, 0.5), mask, least_tissue=0.1)
    >>> found.coords[:3].tolist(), len(found.coords), found.n_positions
    ([[0, 0], [250, 0], [0, 250]], 12, 16)
    >>> grid(Pyramid(((1000, 1000),)), TileSpec(1000, 0.5, 0.5), mask).tissue.tolist()
    [0.75]
    """
    if not 0 <= least_tissue <= 1:
        raise InputError(
            f"a share of tissue cannot be {least_tissue!r}", "state a share from 0 to 1"
        )
    lefts = np.arange(0, pyramid.width0 - spec.side0 + 1, spec.stride0, dtype=np.int64)
    tops = np.arange(0, pyramid.height0 - spec.side0 + 1, spec.stride0, dtype=np.int64)
    coords = np.stack(np.meshgrid(lefts, tops), axis=-1).reshape(-1, 2)
    if mask is None:
        return Grid(coords, np.ones(len(coords)), len(coords))
    tissue = _shares(mask, pyramid, spec.side0, (lefts, tops)).ravel()
    kept = tissue >= least_tissue - _ROUNDING
    return Grid(coords[kept], tissue[kept], len(coords))


def _shares(
    mask: NDArray[np.bool_],
    pyramid: Pyramid,
    side0: int,
    corners: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Share of tissue of every tile, shape (rows, columns) of the grid."""
    if mask.ndim != 2 or 0 in mask.shape:
        raise InputError(f"a mask of tissue cannot have the shape {mask.shape}", "give (H, W)")
    lefts, tops = corners
    down, across = mask.shape[0] / pyramid.height0, mask.shape[1] / pyramid.width0
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    table[1:, 1:] = mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    rows = _between(table, (tops + side0) * down) - _between(table, tops * down)
    areas = _between(rows.T, (lefts + side0) * across) - _between(rows.T, lefts * across)
    shares: NDArray[np.float64] = areas.T / (side0 * down * side0 * across)
    return shares.clip(0.0, 1.0)


def _between(table: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of a table at fractional places, by linear interpolation."""
    lower = np.clip(np.floor(places).astype(np.intp), 0, len(table) - 2)
    share = np.clip(places - lower, 0.0, 1.0)[:, None]
    values: NDArray[np.float64] = table[lower] * (1 - share) + table[lower + 1] * share
    return values
