"""A square of tissue in micrometers, and smooth chance on it.

Everything is drawn in micrometers from numbers that do not depend on the pixel, so that one seed
gives the same tissue at every µm/px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.special import expit

Field = NDArray[np.float32]

# Variance of a cubic B-spline lattice of independent normal numbers, averaged over one cell, along
# one axis: the sum of the squared weights, 151 / 315.
_SPLINE_VARIANCE = 151 / 315
_TABLE_STEPS = 3  # samples per knot of a table that is read with linear interpolation


@dataclass(frozen=True)
class Grid:
    """Pixels over a square of tissue.

    Attributes
    ----------
    size_px : int
        Pixels along a side.
    mpp : float
        Micrometers per pixel.
    """

    size_px: int
    mpp: float

    @property
    def side_um(self) -> float:
        """Side of the square in micrometers."""
        return self.size_px * self.mpp

    @property
    def centers_um(self) -> Field:
        """Positions of the pixel centers along a side, shape (size_px,), in micrometers."""
        return ((np.arange(self.size_px) + 0.5) * self.mpp).astype(np.float32)

    def turned(self, angle: float) -> tuple[Field, Field]:
        """Coordinates along and across a direction, each of shape (size_px, size_px), in µm."""
        x, y = self.centers_um[None, :], self.centers_um[:, None]
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return x * c + y * s, y * c - x * s

    def read(self, field: Field, points_um: NDArray[np.float64]) -> Field:
        """Values of a field at the pixels nearest to points.

        Parameters
        ----------
        field : float32 array, shape (size_px, size_px)
            What to read.
        points_um : float array, shape (n, 2)
            x and y; points outside read the edge.

        Returns
        -------
        float32 array, shape (n,)
        """
        column, row = np.clip((points_um / self.mpp).astype(int), 0, self.size_px - 1).T
        values: Field = field[row, column]
        return values


def smooth_noise(
    grid: Grid, rng: np.random.Generator, length_um: float, *, octaves: int = 1
) -> Field:
    """Draw a random field of mean 0 and variance 1.

    A cubic B-spline over a lattice of independent normal numbers. Each further octave halves the
    length and the amplitude.

    Parameters
    ----------
    grid : Grid
        Where.
    rng : numpy.random.Generator
        Source of chance; the numbers drawn depend on the side in µm, not on µm/px.
    length_um : float
        Spacing of the lattice.
    octaves : int
        How many lattices are added.

    Returns
    -------
    float32 array, shape (size_px, size_px)
    """
    total = np.zeros((grid.size_px, grid.size_px), np.float32)
    for octave in range(octaves):
        spacing = length_um / 2**octave
        n_knots = int(np.ceil(grid.side_um / spacing - 1e-6)) + 5
        knots = rng.standard_normal((n_knots, n_knots), dtype=np.float32)
        down, right = (
            _spline_weights(grid.centers_um / spacing + shift, n_knots) for shift in rng.random(2)
        )
        total += np.float32(0.5**octave / _SPLINE_VARIANCE) * (down @ knots @ right.T)
    return total / np.float32(np.sqrt(np.sum(0.25 ** np.arange(octaves))))


def streaks(
    grid: Grid,
    rng: np.random.Generator,
    along: Field,
    across: Field,
    *,
    length_um: float,
    width_um: float,
) -> Field:
    """Draw a random field of mean 0 and variance 1 that is long along one coordinate.

    Parameters
    ----------
    grid : Grid
        Where.
    rng : numpy.random.Generator
        Source of chance.
    along, across : float32 array, shape (size_px, size_px)
        Coordinates in µm; bending `across` bends the streaks.
    length_um, width_um : float
        Spacing of the lattice along and across.

    Returns
    -------
    float32 array, shape (size_px, size_px)
    """
    n_along, n_across = (int(2 * grid.side_um / um) + 4 for um in (length_um, width_um))
    knots = rng.standard_normal((n_along, n_across), dtype=np.float32)
    table = _wrapped_weights(n_along) @ knots @ _wrapped_weights(n_across).T
    table /= np.float32(_SPLINE_VARIANCE)
    where = np.stack([along * (_TABLE_STEPS / length_um), across * (_TABLE_STEPS / width_um)])
    values: Field = map_coordinates(table, where, order=1, mode="grid-wrap", output=np.float32)
    return values


def soft_step(field: Field, edge: float | Field, width: float) -> Field:
    """Rise from 0 to 1 around an edge: the logistic function of (field - edge) / width."""
    return np.asarray(expit((field - edge) / width), np.float32)


def _spline_weights(position: Field, n_knots: int) -> Field:
    cell = np.floor(position).astype(int)
    t = (position - cell).astype(np.float32)
    weights = np.zeros((len(position), n_knots), np.float32)
    rows = np.arange(len(position))
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for offset, piece in enumerate(pieces):
        weights[rows, cell + offset] = piece / 6
    return weights


def _wrapped_weights(n_knots: int) -> Field:
    position = np.arange(n_knots * _TABLE_STEPS, dtype=np.float32) / np.float32(_TABLE_STEPS)
    weights = _spline_weights(position, n_knots + 3)
    weights[:, :3] += weights[:, n_knots:]
    return weights[:, :n_knots]
