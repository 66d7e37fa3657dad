"""Passes over the pixels of NumPy tiles, compiled; the same as in `stain_arrays`.

NumPy expressions would write several times the tile to memory at each step and sort it to find one
percentile: about ten times as long. Here each channel's densities lie one after another, so that
the processor takes many pixels at a time, and what cannot be done that way is looked up in tables.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histograft.imaging.stain_matrix import STRONGEST_PERCENTILE, Glass, Moments

Float = NDArray[np.float64]
Pixels = NDArray[np.uint8]
# Densities of so many pixels stay in the processor's caches from one pass to the next.
PIXELS_AT_ONCE = 1 << 18
_BINS = 2048


class Densities(NamedTuple):
    """Optical densities of N tiles, (N, 3, P) of float32, tissue first; tissue counts (N,)."""

    planes: NDArray[np.float32]
    n_tissue: NDArray[np.int64]
    bounds: tuple[float, float]  # of any density


def densities(tiles: Pixels, glass: Glass) -> Densities:
    """Optical densities of tiles (N, P, 3)."""
    n, n_pixels, n_channels = tiles.shape
    planes = np.empty((n, n_channels, n_pixels), np.float32)
    n_tissue = np.zeros(n, np.int64)
    table = glass.densities
    _split(tiles, table.astype(np.float32), glass.brightest, planes, n_tissue)
    return Densities(planes, n_tissue, (float(table[-1]), float(table[0])))


def moments(of: Densities) -> Moments:
    """Count, mean and covariance of the tissue's densities."""
    sums = _sums(of.planes, of.n_tissue)
    count = of.n_tissue.astype(np.float64)
    mean = sums[:, :3] / np.maximum(count, 1)[:, None]
    products = sums[:, [3, 4, 5, 4, 6, 7, 5, 7, 8]].reshape(-1, 3, 3)
    spread = products - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
    return Moments(count, mean, spread / np.maximum(count - 1, 1)[:, None, None])


def angle_percentiles(of: Densities, axes: Float, alpha: float) -> Float:
    """Percentiles alpha and 100 - alpha of the tissue's angles (N, 2); 0 without tissue."""
    pairs, parts = _turns(of.planes, of.n_tissue, axes.astype(np.float32), float(alpha))
    angles = _angle_of_turn(pairs)
    result: Float = angles[..., 0] + parts * (angles[..., 1] - angles[..., 0])
    return result


def strongest_concentrations(of: Densities, unmix: Float) -> Float:
    """99th percentiles of the concentrations over all pixels (N, 2); 0 without pixels."""
    ends = unmix[..., None] * np.array(of.bounds)
    least, most = ends.min(axis=-1).sum(axis=-1), ends.max(axis=-1).sum(axis=-1)
    margin = 1e-3 * (most - least) + 1e-6  # rounding leaves no value outside
    bounds = np.stack([least - margin, most + margin], axis=-1)
    result: Float = _concentrations(of.planes, unmix.astype(np.float32), bounds)
    return result


def unexplained_share(of: Densities, unmix: Float, least: Float, colored: float) -> Float:
    """Share of pixels below `least` (N, 2) of a stain, among those of density `colored` (N,)."""
    result: Float = _unexplained(
        of.planes, unmix.astype(np.float32), least.astype(np.float32), np.float32(colored)
    )
    return result


def recolor(
    tiles: Pixels, glass: Glass, matrices: Float, io: float, changed: NDArray[np.bool_]
) -> Pixels:
    """Tiles with densities M @ OD on glass of grey value `io`; copies where not `changed`.

    `matrices` has one for each tile, or one for all.
    """
    # io * exp(-M @ OD) is a product of three powers, one of each channel's grey value.
    powers = np.exp(-matrices[:, :, :, None] * glass.densities)
    powers[:, :, 0] *= io
    out = np.empty_like(tiles)
    _recolor(tiles, np.ascontiguousarray(powers.transpose(0, 2, 3, 1)), changed, out)
    return out


def has_tissue(tiles: Pixels, glass: Glass, n_needed: int) -> NDArray[np.bool_]:
    """Whether each tile has so many tissue pixels (N,)."""
    result: NDArray[np.bool_] = _has_tissue(tiles, glass.brightest, n_needed)
    return result


def _angle_of_turn(turn: Float) -> Float:
    """Undo `_turn_of`: a share of the turn, -2 … 2, to an angle, -π … π."""
    y = np.where(np.abs(turn) <= 1, turn, np.sign(turn) * (2 - np.abs(turn)))
    angle: Float = np.arctan2(y, 1 - np.abs(turn))
    return angle


@njit(cache=True, nogil=True, error_model="numpy")
def _split(tiles: Any, density: Any, brightest: int, planes: Any, n_tissue: Any) -> None:
    for n in range(tiles.shape[0]):
        front, back = 0, tiles.shape[1] - 1
        for p in range(tiles.shape[1]):
            red, green, blue = tiles[n, p, 0], tiles[n, p, 1], tiles[n, p, 2]
            tissue = 1 if max(red, green, blue) <= brightest else 0
            place = front if tissue else back
            planes[n, 0, place] = density[red]
            planes[n, 1, place] = density[green]
            planes[n, 2, place] = density[blue]
            front += tissue
            back -= 1 - tissue
        n_tissue[n] = front


# Sums may be taken in any order, so that they are taken in several lanes at once.
@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _sums(planes: Any, n_tissue: Any) -> Any:
    sums = np.zeros((planes.shape[0], 9))
    for n in range(planes.shape[0]):
        sr = sg = sb = rr = rg = rb = gg = gb = bb = 0.0
        reds, greens, blues = planes[n, 0], planes[n, 1], planes[n, 2]
        for p in range(n_tissue[n]):
            r, g, b = np.float64(reds[p]), np.float64(greens[p]), np.float64(blues[p])
            sr += r
            sg += g
            sb += b
            rr += r * r
            rg += r * g
            rb += r * b
            gg += g * g
            gb += g * b
            bb += b * b
        sums[n] = np.array((sr, sg, sb, rr, rg, rb, gg, gb, bb))
    return sums


@njit(cache=True, nogil=True, error_model="numpy")
def _turns(planes: Any, n_tissue: Any, axes: Any, alpha: float) -> Any:
    """Order statistics around the percentiles of the angles, as shares of a turn."""
    pairs, parts = np.zeros((planes.shape[0], 2, 2)), np.zeros((planes.shape[0], 2))
    turns = np.empty(planes.shape[2], np.float32)
    bins = np.empty(planes.shape[2], np.int32)
    for n in range(planes.shape[0]):
        count = n_tissue[n]
        if count == 0:
            continue
        reds, greens, blues = planes[n, 0], planes[n, 1], planes[n, 2]
        x0, x1, x2 = axes[n, 0, 0], axes[n, 1, 0], axes[n, 2, 0]
        y0, y1, y2 = axes[n, 0, 1], axes[n, 1, 1], axes[n, 2, 1]
        for p in range(count):
            r, g, b = reds[p], greens[p], blues[p]
            turns[p] = _turn_of(x0 * r + x1 * g + x2 * b, y0 * r + y1 * g + y2 * b)
        counts = _binned(turns[:count], bins, np.float32(-2.0), np.float32(2.0))
        for end, percentile in enumerate((alpha, 100.0 - alpha)):
            found = _around(turns[:count], bins, counts, percentile)
            pairs[n, end, 0], pairs[n, end, 1], parts[n, end] = found
    return pairs, parts


@njit(cache=True, nogil=True, error_model="numpy")
def _turn_of(x: Any, y: Any) -> Any:
    """Rise with the angle of (x, y) as it does, for one division instead of an arctangent."""
    total = max(abs(x) + abs(y), np.float32(1e-30))
    share = y / total
    back = np.float32(2.0) - share if y >= 0 else np.float32(-2.0) - share
    return share if x >= 0 else back


@njit(cache=True, nogil=True, error_model="numpy")
def _concentrations(planes: Any, unmix: Any, bounds: Any) -> Any:
    strongest = np.zeros((planes.shape[0], 2))
    if planes.shape[2] == 0:
        return strongest
    amounts = np.empty(planes.shape[2], np.float32)
    bins = np.empty(planes.shape[2], np.int32)
    for n in range(planes.shape[0]):
        reds, greens, blues = planes[n, 0], planes[n, 1], planes[n, 2]
        for k in range(2):
            u0, u1, u2 = unmix[n, k, 0], unmix[n, k, 1], unmix[n, k, 2]
            for p in range(planes.shape[2]):
                amounts[p] = u0 * reds[p] + u1 * greens[p] + u2 * blues[p]
            low, high = np.float32(bounds[n, k, 0]), np.float32(bounds[n, k, 1])
            counts = _binned(amounts, bins, low, high)
            below, above, part = _around(amounts, bins, counts, STRONGEST_PERCENTILE)
            strongest[n, k] = below + part * (above - below)
    return strongest


@njit(cache=True, nogil=True, error_model="numpy")
def _unexplained(planes: Any, unmix: Any, least: Any, colored: Any) -> Any:
    shares = np.zeros(planes.shape[0])
    for n in range(planes.shape[0]):
        reds, greens, blues = planes[n, 0], planes[n, 1], planes[n, 2]
        u0, u1, u2 = unmix[n, 0, 0], unmix[n, 0, 1], unmix[n, 0, 2]
        v0, v1, v2 = unmix[n, 1, 0], unmix[n, 1, 1], unmix[n, 1, 2]
        least0, least1 = least[n, 0], least[n, 1]
        n_colored = n_below = 0
        for p in range(planes.shape[2]):
            r, g, b = reds[p], greens[p], blues[p]
            first, second = u0 * r + u1 * g + u2 * b, v0 * r + v1 * g + v2 * b
            seen = 1 if max(r, g, b) >= colored else 0
            n_colored += seen
            n_below += seen if first < least0 or second < least1 else 0
        shares[n] = n_below / max(n_colored, 1)
    return shares


@njit(cache=True, nogil=True, error_model="numpy")
def _binned(values: Any, bins: Any, low: Any, high: Any) -> Any:
    """Write the bin of each value, and count them."""
    scale = np.float32(_BINS - 1) / (high - low)
    for p in range(values.size):
        bins[p] = np.int32((values[p] - low) * scale)
    counts = np.zeros(_BINS, np.int64)
    for p in range(values.size):
        counts[bins[p]] += 1
    return counts


@njit(cache=True, nogil=True, error_model="numpy")
def _around(values: Any, bins: Any, counts: Any, percentile: float) -> Any:
    """Two neighbors in the order of `values` around a percentile, and the way between them.

    Only what is in the bins of both is sorted.
    """
    place = percentile / 100.0 * (values.size - 1)
    rank = min(int(place), values.size - 1)
    after = min(rank + 1, values.size - 1)
    first = below = 0
    while below + counts[first] <= rank:
        below += counts[first]
        first += 1
    last, up_to = first, below + counts[first]
    while up_to <= after:
        last += 1
        up_to += counts[last]
    near = np.empty(up_to - below, values.dtype)
    k = 0
    for p in range(values.size):
        if first <= bins[p] <= last:
            near[k] = values[p]
            k += 1
    near.sort()
    return float(near[rank - below]), float(near[after - below]), place - rank


@njit(cache=True, nogil=True, error_model="numpy")
def _recolor(tiles: Any, powers: Any, changed: Any, out: Any) -> None:
    for n in range(tiles.shape[0]):
        if not changed[n]:
            out[n] = tiles[n]
            continue
        table = powers[min(n, powers.shape[0] - 1)]
        for p in range(tiles.shape[1]):
            r, g, b = table[0, tiles[n, p, 0]], table[1, tiles[n, p, 1]], table[2, tiles[n, p, 2]]
            for c in range(3):
                # The grey value of a density has the 1 taken off again, then it is rounded.
                out[n, p, c] = np.uint8(min(max(r[c] * g[c] * b[c] - 0.5, 0.0), 255.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _has_tissue(tiles: Any, brightest: int, n_needed: int) -> Any:
    enough = np.zeros(tiles.shape[0], np.bool_)
    for n in range(tiles.shape[0]):
        count = p = 0
        while count < n_needed and p < tiles.shape[1]:
            count += max(tiles[n, p, 0], tiles[n, p, 1], tiles[n, p, 2]) <= brightest
            p += 1
        enough[n] = count >= n_needed
    return enough
