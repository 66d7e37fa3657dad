"""Passes over the pixels of tiles of any array library (array API): torch, CuPy, JAX.

The same as in `stain_loops`, in single precision and with whole arrays, as a GPU likes it. Results
of both differ by at most one grey level. What is not of the size of tiles goes to the host.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from histograft.imaging.stain_matrix import STRONGEST_PERCENTILE, Glass, Moments
from histograft.imaging.tile_arrays import to_host

Float = NDArray[np.float64]
# Single-precision copies of so many pixels stay below a few hundred MB.
PIXELS_AT_ONCE = 1 << 22


class Densities(NamedTuple):
    """Optical densities of N tiles (N, P, 3) of float32, and which pixels are tissue (N, P)."""

    values: Any
    tissue: Any


def densities(tiles: Any, glass: Glass) -> Densities:
    """Optical densities of tiles (N, P, 3)."""
    xp = array_api_compat.array_namespace(tiles)
    values = -xp.log((xp.astype(tiles, xp.float32) + 1.0) / glass.io)
    return Densities(values, _tissue(tiles, glass))


def moments(of: Densities) -> Moments:
    """Count, mean and covariance of the tissue's densities."""
    xp = array_api_compat.array_namespace(of.values)
    weight = xp.astype(of.tissue, of.values.dtype)[:, :, None]
    count = xp.sum(weight, axis=1)
    mean = xp.sum(of.values * weight, axis=1) / xp.maximum(count, xp.ones_like(count))
    # Centered before squaring: single precision would lose small spreads otherwise.
    off = (of.values - mean[:, None, :]) * weight
    spread = _home(xp.matmul(xp.matrix_transpose(off), off))
    counts = _home(count)[:, 0]
    return Moments(counts, _home(mean), spread / np.maximum(counts - 1, 1)[:, None, None])


def angle_percentiles(of: Densities, axes: Float, alpha: float) -> Float:
    """Percentiles alpha and 100 - alpha of the tissue's angles (N, 2); 0 without tissue."""
    xp = array_api_compat.array_namespace(of.values)
    flat = xp.matmul(of.values, _beside(of.values, axes, xp.float32))
    angle = xp.atan2(flat[:, :, 1], flat[:, :, 0])
    angle = xp.sort(xp.where(of.tissue, angle, xp.full_like(angle, xp.inf)), axis=1)
    count = xp.sum(xp.astype(of.tissue, xp.int64), axis=1)
    return np.stack([_percentile(angle, count, q) for q in (alpha, 100 - alpha)], axis=1)


def strongest_concentrations(of: Densities, unmix: Float) -> Float:
    """99th percentiles of the concentrations over all pixels (N, 2); 0 without pixels."""
    xp = array_api_compat.array_namespace(of.values)
    unmixing = xp.matrix_transpose(_beside(of.values, unmix, xp.float32))
    amounts = xp.sort(xp.matmul(of.values, unmixing), axis=1)
    count = xp.sum(xp.ones_like(of.tissue, dtype=xp.int64), axis=1)
    ends = [_percentile(amounts[:, :, k], count, STRONGEST_PERCENTILE) for k in (0, 1)]
    return np.stack(ends, axis=1)


def unexplained_share(of: Densities, unmix: Float, least: Float, colored: float) -> Float:
    """Share of pixels below `least` (N, 2) of a stain, among those of density `colored` (N,)."""
    xp = array_api_compat.array_namespace(of.values)
    unmixing = xp.matrix_transpose(_beside(of.values, unmix, xp.float32))
    limits = _beside(of.values, least, xp.float32)[:, None, :]
    below = xp.any(xp.matmul(of.values, unmixing) < limits, axis=2)
    seen = xp.any(of.values >= colored, axis=2)
    n_colored = _home(xp.sum(xp.astype(seen, xp.int64), axis=1))
    n_below = _home(xp.sum(xp.astype(seen & below, xp.int64), axis=1))
    share: Float = n_below / np.maximum(n_colored, 1)
    return share


def recolor(
    tiles: Any, glass: Glass, matrices: Float, io: float, changed: NDArray[np.bool_]
) -> Any:
    """Tiles with densities M @ OD on glass of grey value `io`; copies where not `changed`.

    `matrices` has one for each tile, or one for all.
    """
    xp = array_api_compat.array_namespace(tiles)
    n = tiles.shape[0]
    step = max(1, PIXELS_AT_ONCE // max(1, tiles.shape[1]))
    every = _beside(tiles, np.broadcast_to(matrices, (n, 3, 3)), xp.float32)
    wanted = _beside(tiles, changed, xp.bool)[:, None, None]
    out = [tiles[:0]]
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        density = xp.matmul(densities(tiles[part], glass).values, xp.matrix_transpose(every[part]))
        grey = xp.clip(xp.round(io * xp.exp(-density) - 1.0), 0.0, 255.0)
        out.append(xp.where(wanted[part], xp.astype(grey, xp.uint8), tiles[part]))
    return xp.concat(out, axis=0)


def has_tissue(tiles: Any, glass: Glass, n_needed: int) -> NDArray[np.bool_]:
    """Whether each tile has so many tissue pixels (N,), on the host."""
    xp = array_api_compat.array_namespace(tiles)
    count = xp.sum(xp.astype(_tissue(tiles, glass), xp.int64), axis=1)
    enough: NDArray[np.bool_] = to_host(count) >= n_needed
    return enough


def _tissue(tiles: Any, glass: Glass) -> Any:
    xp = array_api_compat.array_namespace(tiles)
    return xp.all(xp.astype(tiles, xp.int16) <= glass.brightest, axis=2)


def _percentile(ordered: Any, count: Any, percentile: float) -> Float:
    """Percentile of the first `count` of each row, between neighbors as NumPy does; else 0."""
    if ordered.shape[1] == 0:
        return np.zeros(ordered.shape[0])
    xp = array_api_compat.array_namespace(ordered)
    end = xp.maximum(count - 1, xp.zeros_like(count))
    place = xp.astype(end, ordered.dtype) * (percentile / 100)
    rank = xp.minimum(xp.astype(place, xp.int64), end)
    after = xp.minimum(rank + 1, end)
    low = xp.take_along_axis(ordered, rank[:, None], axis=1)[:, 0]
    high = xp.take_along_axis(ordered, after[:, None], axis=1)[:, 0]
    between = low + (place - xp.astype(rank, ordered.dtype)) * (high - low)
    return _home(xp.where(count > 0, between, xp.zeros_like(low)))


def _beside(array: Any, values: NDArray[Any], dtype: Any) -> Any:
    """`values` as an array of the library and on the device of `array`."""
    xp = array_api_compat.array_namespace(array)
    return xp.asarray(
        np.ascontiguousarray(values), dtype=dtype, device=array_api_compat.device(array)
    )


def _home(array: Any) -> Float:
    return to_host(array).astype(np.float64)
