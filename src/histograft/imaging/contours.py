"""Masks to polygons and back, without losing a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Right, down, left, up, in an image whose rows go down.
_STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])


@dataclass(frozen=True)
class Polygon:
    """An outline with holes.

    Attributes
    ----------
    exterior : array of float64, shape (n, 2)
        x and y of the corners, the first not repeated at the end.
    holes : tuple of arrays of float64, shape (m, 2)
        Outlines of what is cut out.

    Examples
    --------
    >>> square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    >>> Polygon(square, (square / 2 + 1,)).area  # 16 - 4
    12.0
    """

    exterior: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...] = ()

    @property
    def rings(self) -> tuple[NDArray[np.float64], ...]:
        """Exterior and holes."""
        return (self.exterior, *self.holes)

    @property
    def area(self) -> float:
        """Area by the shoelace formula, holes taken off."""
        return abs(_signed_area(self.exterior)) - sum(abs(_signed_area(h)) for h in self.holes)

    def scaled(self, across: float, down: float) -> Polygon:
        """Bring it to another frame: x times `across`, y times `down`."""
        factors = np.array([across, down])
        return Polygon(self.exterior * factors, tuple(hole * factors for hole in self.holes))

    def moved(self, right: float, down: float) -> Polygon:
        """Shift it."""
        shift = np.array([right, down])
        return Polygon(self.exterior + shift, tuple(hole + shift for hole in self.holes))


def mask_to_polygons(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Outline the pieces of a mask along the edges of its pixels.

    Parameters
    ----------
    mask : array of bool, shape (H, W)
        The mask. Pixels that touch at a corner only belong to different pieces, unless others
        connect them; holes that touch at a corner only have a ring each.

    Returns
    -------
    list of Polygon
        In pixels of the mask, whose upper left corner is (0, 0); pieces by their first pixel in
        rows. No ring meets itself, as programs that check outlines demand. Their areas add up to
        the number of pixels, and `polygons_to_mask` gives the mask back.

    Examples
    --------
    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> (polygon,) = mask_to_polygons(ring)
    >>> polygon.exterior.astype(int).tolist(), polygon.area
    ([[0, 0], [3, 0], [3, 3], [0, 3]], 8.0)
    >>> polygon.holes[0].astype(int).tolist()
    [[1, 1], [1, 2], [2, 2], [2, 1]]
    """
    labels, number = ndimage.label(mask)
    exteriors: list[NDArray[np.float64] | None] = [None] * number
    holes: list[list[NDArray[np.float64]]] = [[] for _ in range(number)]
    for piece, ring in _rings(mask, labels):
        if _signed_area(ring) > 0:
            exteriors[piece - 1] = ring
        else:
            holes[piece - 1].append(ring)
    return [
        Polygon(exterior, tuple(inner))
        for exterior, inner in zip(exteriors, holes, strict=True)
        if exterior is not None
    ]


def polygons_to_mask(
    polygons: Sequence[Polygon],
    shape: tuple[int, int],
    *,
    scale: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.bool_]:
    """Draw polygons into a mask.

    Parameters
    ----------
    polygons : sequence of Polygon
        They may overlap, and reach beyond the mask.
    shape : (int, int)
        Rows and columns of the mask.
    scale : (float, float)
        Units of the polygons per column and per row of the mask: for polygons in level-0 pixels
        and a mask of the whole slide, width / columns and height / rows.

    Returns
    -------
    array of bool, shape `shape`
        True where the center of a pixel lies inside of a polygon and of none of its holes. A
        center on an edge belongs to what lies right of it or below.

    Examples
    --------
    >>> triangle = Polygon(np.array([[0, 0], [4, 0], [0, 4]], float))
    >>> polygons_to_mask([triangle], (4, 4)).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    """
    mask = np.zeros(shape, np.bool_)
    for polygon in polygons:
        rings = [ring / np.asarray(scale) for ring in polygon.rings]
        top = max(0, int(min(ring[:, 1].min() for ring in rings)))
        bottom = min(shape[0], int(max(ring[:, 1].max() for ring in rings)) + 1)
        if top < bottom:
            mask[top:bottom] |= _even_odd(rings, top, bottom, shape[1])
    return mask


def _even_odd(
    rings: list[NDArray[np.float64]], top: int, bottom: int, columns: int
) -> NDArray[np.bool_]:
    """Rows `top` to `bottom`: a center is inside where an odd number of edges lies left of it."""
    toggles = np.zeros((bottom - top, columns + 1), np.bool_)
    for ring in rings:
        following = np.roll(ring, -1, axis=0)
        for (x1, y1), (x2, y2) in zip(ring.tolist(), following.tolist(), strict=True):
            (low_y, low_x), (high_y, high_x) = sorted([(y1, x1), (y2, x2)])
            first = max(int(np.ceil(low_y - 0.5)), top)
            last = min(int(np.ceil(high_y - 0.5)), bottom)
            if first >= last:
                continue
            rows = np.arange(first, last)
            cut = low_x + (rows + 0.5 - low_y) * (high_x - low_x) / (high_y - low_y)
            at = np.clip(np.ceil(cut - 0.5), 0, columns).astype(np.intp)
            toggles[rows - top, at] ^= True
    return np.logical_xor.accumulate(toggles[:, :-1], axis=1)


def _signed_area(ring: NDArray[np.float64]) -> float:
    """Shoelace formula; above 0 for rings that turn clockwise as one sees them in an image."""
    x, y = ring[:, 0], ring[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


def _rings(
    mask: NDArray[np.bool_], labels: NDArray[np.integer]
) -> list[tuple[int, NDArray[np.float64]]]:
    """All outlines with the piece that each belongs to; the mask lies on their right."""
    start, direction, piece = _edges(mask, labels)
    ends = start + _STEPS[direction]
    leaving: dict[tuple[int, int], list[int]] = {}
    for edge, corner in enumerate(map(tuple, start.tolist())):
        leaving.setdefault(corner, []).append(edge)
    done = np.zeros(len(start), np.bool_)
    end_corners = list(map(tuple, ends.tolist()))
    ways = direction.tolist()
    found = []
    for first in range(len(start)):
        if done[first]:
            continue
        corners: list[tuple[int, int]] = []
        edge = first
        while not done[edge]:
            done[edge] = True
            choice = leaving[end_corners[edge]]
            # Where two pieces touch at a corner, turning right stays with the own one.
            right = (ways[edge] + 1) % 4
            following = next((e for e in choice if ways[e] == right), choice[0])
            if ways[following] != ways[edge]:
                corners.append(end_corners[edge])
            edge = following
        found += [(int(piece[first]), _from_first(ring)) for ring in _simple(corners)]
    return found


def _simple(corners: list[tuple[int, int]]) -> list[NDArray[np.float64]]:
    """Cut a ring into rings that pass no corner twice."""
    rings: list[list[tuple[int, int]]] = []
    path: list[tuple[int, int]] = []
    places: dict[tuple[int, int], int] = {}
    for corner in corners:
        if corner in places:
            begin = places[corner]
            loop, path = path[begin:], path[:begin]
            for passed in loop:
                del places[passed]
            rings.append(loop)
        places[corner] = len(path)
        path.append(corner)
    return [np.array(ring, float) for ring in [path, *rings]]


def _from_first(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Begin a ring at its uppermost, then leftmost corner."""
    return np.roll(ring, -int(np.lexsort((ring[:, 0], ring[:, 1]))[0]), axis=0)


def _edges(
    mask: NDArray[np.bool_], labels: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.integer]]:
    """Edges of pixels between mask and not mask: start corner (x, y), direction, piece."""
    padded = np.pad(mask, 1)
    # For each direction: the neighbor across the edge, and the corner at which the edge starts.
    sides = (((-1, 0), (0, 0)), ((0, 1), (1, 0)), ((1, 0), (1, 1)), ((0, -1), (0, 1)))
    starts, directions, pieces = [], [], []
    for direction, ((down, across), (right, below)) in enumerate(sides):
        neighbor = padded[1 + down : 1 + down + mask.shape[0], 1 + across :][:, : mask.shape[1]]
        rows, columns = np.nonzero(mask & ~neighbor)
        starts.append(np.stack([columns + right, rows + below], axis=1))
        directions.append(np.full(len(rows), direction, np.intp))
        pieces.append(labels[rows, columns])
    return np.concatenate(starts), np.concatenate(directions), np.concatenate(pieces)
