"""Glands of a phantom: closed outlines with cells in a row along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histograft.imaging.phantom_grid import Field, Grid
from histograft.imaging.phantom_nuclei import Nuclei, Points, sow

_CELL_UM = 5.0  # width of a cell at the outline
_WAVES = np.arange(2, 6)


@dataclass(frozen=True)
class Rings:
    """Outlines of glands: stretched, turned circles with a few waves.

    In the frame of a gland, r(φ) = radius · (1 + Σ a_k cos(k φ + p_k)), k = 2 … 5.

    Attributes
    ----------
    centers_um : float array, shape (n, 2)
        x and y.
    radius_um : float array, shape (n,)
        Mean radius of the outline.
    wall_um : float array, shape (n,)
        Height of the cells, from outline to lumen.
    frame : float array, shape (n, 2, 2)
        From x and y to the frame of a gland: it turns and stretches.
    amplitude, phase : float array, shape (n, 4)
        a_k and p_k.
    """

    centers_um: Points
    radius_um: NDArray[np.float64]
    wall_um: NDArray[np.float64]
    frame: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    phase: NDArray[np.float64]

    @classmethod
    def draw(cls, grid: Grid, rng: np.random.Generator) -> Rings:
        """Draw glands that do not touch, up to a gland's radius outside the grid."""
        spacing = rng.uniform(64, 92)
        centers = sow(grid, rng, spacing, jitter=0.07, margin_um=50.0)
        n = len(centers)
        radius = spacing * rng.uniform(0.36, 0.43, n)
        angle, stretch = rng.uniform(0, np.pi, n), np.exp(rng.normal(0, 0.09, n))
        c, s = np.cos(angle), np.sin(angle)
        frame = np.moveaxis(
            np.array([[c / stretch, s / stretch], [-s * stretch, c * stretch]]), 2, 0
        )
        return cls(
            centers,
            radius,
            radius * rng.uniform(0.55, 0.85, n),
            frame,
            rng.normal(0, 0.09, (n, 4)) / _WAVES,
            rng.uniform(0, 2 * np.pi, (n, 4)),
        )

    def depth(self, grid: Grid) -> tuple[Field, Field]:
        """Depth below the nearest outline, and the height of its cells.

        Returns
        -------
        depth_um, wall_um : float32 array, shape (size_px, size_px)
            Depth is negative outside glands; the lumen is where depth exceeds the wall.
        """
        x, y = grid.turned(0.0)
        shape = (-1, 1, 1)
        dx = x - self.centers_um[:, 0].astype(np.float32).reshape(shape)
        dy = y - self.centers_um[:, 1].astype(np.float32).reshape(shape)
        frame = self.frame.astype(np.float32)[..., None, None]
        u = frame[:, 0, 0] * dx + frame[:, 0, 1] * dy
        v = frame[:, 1, 0] * dx + frame[:, 1, 1] * dy
        relative = (u * u + v * v) / (self.radius_um**2).astype(np.float32).reshape(shape)
        nearest = relative.argmin(0)
        u, v = (np.take_along_axis(axis, nearest[None], 0)[0] for axis in (u, v))
        outline = self._outline(nearest, np.arctan2(v, u))
        return (outline - np.hypot(u, v)).astype(np.float32), self.wall_um.astype(np.float32)[
            nearest
        ]

    def nuclei(self, rng: np.random.Generator) -> Nuclei:
        """One row of long nuclei at the base of the cells, upright on the outline."""
        which, turn = self._row(rng)
        n = len(which)
        points, upright = self._at(which, turn, rng.normal(6.2, 0.9, n))
        return Nuclei(
            points,
            rng.normal(4.0, 0.4, n).clip(3.0, 5.0),
            rng.normal(2.5, 0.25, n).clip(1.9, 3.2),
            upright + rng.normal(0, 0.15, n),
            rng.normal(0.72, 0.1, n).clip(0.45, 1.0),
            irregular=0.05,
            clear=0.3,
            clump=0.24,
            clump_um=1.2,
        )

    def goblets(self, rng: np.random.Generator) -> Nuclei:
        """Outlines of drops of mucin between the nuclei and the lumen, to be filled."""
        which, turn = self._row(rng)
        kept = rng.random(len(which)) < rng.uniform(0.15, 0.6)
        which, turn = which[kept], turn[kept]
        n = len(which)
        height = self.wall_um[which]
        points, upright = self._at(which, turn, 10 + (height - 10) * rng.uniform(0.35, 0.7, n))
        half = rng.uniform(2.6, 3.8, n)
        return Nuclei(points, half * rng.uniform(1.1, 1.5, n), half, upright, np.ones(n))

    def _row(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        cells = np.maximum(6, 2 * np.pi * self.radius_um / _CELL_UM).astype(int)
        which = np.repeat(np.arange(len(cells)), cells)
        place = np.concatenate([np.arange(count) for count in cells]) + rng.normal(
            0, 0.15, len(which)
        )
        return which, 2 * np.pi * place / cells[which]

    def _at(
        self, which: NDArray[np.int64], turn: NDArray[np.float64], depth_um: NDArray[np.float64]
    ) -> tuple[Points, NDArray[np.float64]]:
        """Points at a depth below the outline, and the direction to the center."""
        radius = self._outline(which, turn) - depth_um
        local = np.column_stack([np.cos(turn), np.sin(turn)]) * radius[:, None]
        offset = np.einsum("nij,nj->ni", np.linalg.inv(self.frame)[which], local)
        return self.centers_um[which] + offset, np.arctan2(offset[:, 1], offset[:, 0])

    def _outline(
        self, which: NDArray[np.int64], turn: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        total = np.ones_like(turn)
        for k, wave in enumerate(_WAVES):
            amplitude = self.amplitude[:, k].astype(turn.dtype)[which]
            total += amplitude * np.cos(
                int(wave) * turn + self.phase[:, k].astype(turn.dtype)[which]
            )
        return total * self.radius_um.astype(turn.dtype)[which]
