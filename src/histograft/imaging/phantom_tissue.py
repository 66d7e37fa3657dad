"""Six tissues of a phantom as densities of hematoxylin and eosin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histograft.imaging.phantom_glands import Rings
from histograft.imaging.phantom_grid import Field, Grid, smooth_noise, soft_step, streaks
from histograft.imaging.phantom_nuclei import Nuclei, Points, scatter, sow, stamp


@dataclass
class Section:
    """Dye densities of a section while it is being built.

    Attributes
    ----------
    hematoxylin, eosin : float32 array, shape (H, W)
        Optical density of each dye.
    """

    hematoxylin: Field
    eosin: Field

    def put(self, cover: Field, hematoxylin: Field | float, eosin: Field | float) -> None:
        """Replace what is there by something that covers it, 0 (not) … 1 (wholly)."""
        self.hematoxylin = self.hematoxylin * (1 - cover) + cover * hematoxylin
        self.eosin = self.eosin * (1 - cover) + cover * eosin

    def put_nuclei(self, grid: Grid, nuclei: Nuclei, rng: np.random.Generator) -> None:
        """Draw nuclei; what lies above and below them in the section shows through."""
        cover, density = stamp(grid, nuclei, rng)
        self.hematoxylin = self.hematoxylin * (1 - 0.6 * cover) + density
        self.eosin = self.eosin * (1 - 0.55 * cover)


@dataclass(frozen=True)
class Fibers:
    """Bent fibers.

    Attributes
    ----------
    along, across : float32 array, shape (H, W)
        Coordinates in µm.
    """

    along: Field
    across: Field

    def angles(self, grid: Grid, points_um: Points) -> NDArray[np.float64]:
        """Directions of the fibers at points, in radians."""
        step = np.array([[2.0, 0.0], [0.0, 2.0]])
        dx, dy = (
            grid.read(self.across, points_um + h) - grid.read(self.across, points_um - h)
            for h in step
        )
        angles: NDArray[np.float64] = np.arctan2(-dx, dy).astype(np.float64)
        return angles


def fibers(grid: Grid, rng: np.random.Generator, bend_um: float, bend_length_um: float) -> Fibers:
    """Fibers in a random direction, bent by `bend_um` (SD) over `bend_length_um`."""
    along, across = grid.turned(rng.uniform(0, np.pi))
    across = across + bend_um * smooth_noise(grid, rng, bend_length_um)
    along = along + 0.5 * bend_um * smooth_noise(grid, rng, bend_length_um)
    return Fibers(along, across)


def _blank(grid: Grid) -> Section:
    return Section(*np.zeros((2, grid.size_px, grid.size_px), np.float32))


def _spindles(grid: Grid, rng: np.random.Generator, lie: Fibers, points: Points) -> Nuclei:
    n = len(points)
    return Nuclei(
        points,
        rng.uniform(4.5, 8.0, n),
        rng.uniform(1.1, 1.9, n),
        lie.angles(grid, points) + rng.normal(0, 0.12, n),
        rng.uniform(0.55, 0.95, n),
        irregular=0.08,
        clear=0.2,
    )


def _lymphocytes(
    rng: np.random.Generator, points: Points, shown: NDArray[np.bool_] | None = None
) -> Nuclei:
    n = len(points)
    half = rng.normal(3.2, 0.2, n).clip(2.7, 3.7)
    return Nuclei(
        points,
        half * rng.uniform(1.0, 1.12, n),
        half,
        rng.uniform(0, np.pi, n),
        rng.normal(0.85, 0.12, n).clip(0.5, 1.2),
        irregular=0.04,
        clear=0.15,
        clump=0.28,
        clump_um=1.1,
        shown=shown,
    )


def collagen(grid: Grid, rng: np.random.Generator, gaps: float) -> tuple[Section, Fibers]:
    """Wavy bundles of collagen with spindle nuclei; `gaps` is about the share of empty space."""
    lie = fibers(grid, rng, 7.0, 26.0)
    crimp, phase = (smooth_noise(grid, rng, 24) for _ in range(2))
    lie = Fibers(lie.along, lie.across + crimp * np.sin(0.45 * lie.along + phase))
    bundles = streaks(grid, rng, lie.along, lie.across, length_um=38, width_um=5.5)
    fine = streaks(grid, rng, lie.along, lie.across, length_um=16, width_um=1.5)
    hairs = streaks(grid, rng, lie.along, lie.across, length_um=9, width_um=0.7)
    solid = soft_step(bundles + 0.4 * fine + 0.15 * hairs, 2.6 * (gaps - 0.5), 0.3)
    section = _blank(grid)
    section.put(solid, 0.03, 0.25 + 0.05 * fine + 0.03 * hairs + 0.03 * bundles)
    section.put(1 - solid, 0.015, 0.03 + 0.008 * hairs)
    return section, lie


def stroma(grid: Grid, rng: np.random.Generator) -> Section:
    """Loose connective tissue: wavy collagen, spindle nuclei, a few lymphocytes."""
    section, lie = collagen(grid, rng, rng.uniform(0.05, 0.6))
    section.put_nuclei(
        grid, _spindles(grid, rng, lie, scatter(grid, rng, rng.uniform(1200, 3600))), rng
    )
    section.put_nuclei(
        grid, _lymphocytes(rng, scatter(grid, rng, rng.choice([100, 600, 2400]))), rng
    )
    return section


def muscle(grid: Grid, rng: np.random.Generator) -> Section:
    """Smooth muscle: straight parallel fibers with long nuclei."""
    lie = fibers(grid, rng, 3.0, 70.0)
    width = rng.uniform(5.0, 8.0)
    cells = streaks(grid, rng, lie.along, lie.across, length_um=60, width_um=0.6 * width)
    fine = streaks(grid, rng, lie.along, lie.across, length_um=30, width_um=1.1)
    clefts = streaks(grid, rng, lie.along, lie.across, length_um=90, width_um=14)
    solid = soft_step(clefts, rng.uniform(-2.2, 0.4), 0.12)
    section = _blank(grid)
    section.put(solid, 0.04, 0.29 + 0.045 * cells + 0.03 * fine)
    section.put(1 - solid, 0.015, 0.04)
    points = scatter(grid, rng, rng.uniform(1100, 3000))
    n = len(points)
    nuclei = Nuclei(
        points,
        rng.uniform(6.5, 11.0, n),
        rng.uniform(1.3, 1.9, n),
        lie.angles(grid, points) + rng.normal(0, 0.03, n),
        rng.uniform(0.45, 0.8, n),
        irregular=0.04,
        clear=0.25,
        shown=grid.read(solid, points) > 0.6,
    )
    section.put_nuclei(grid, nuclei, rng)
    return section


def lymphoid(grid: Grid, rng: np.random.Generator) -> Section:
    """Lymphoid tissue: densely packed small round nuclei with hardly any cytoplasm."""
    section, lie = collagen(grid, rng, rng.uniform(0.3, 0.6))
    share = rng.uniform(0.55, 0.95)
    place = smooth_noise(grid, rng, 45, octaves=2)
    field = soft_step(place, 1.6 - 3.6 * share, 0.3)
    section.put(0.8 * field, 0.06, 0.14 + 0.03 * smooth_noise(grid, rng, 2.5))
    section.put_nuclei(grid, _spindles(grid, rng, lie, scatter(grid, rng, 700)), rng)
    points = sow(grid, rng, rng.uniform(7.2, 9.0))
    shown = grid.read(field, points) > rng.uniform(0.15, 0.8, len(points))
    section.put_nuclei(grid, _lymphocytes(rng, points, shown), rng)
    return section


def tumor(grid: Grid, rng: np.random.Generator) -> Section:
    """Carcinoma: nests of crowded, large, unequal nuclei with nucleoli, in a stroma."""
    section, lie = collagen(grid, rng, rng.uniform(0.1, 0.5))
    section.put_nuclei(grid, _spindles(grid, rng, lie, scatter(grid, rng, 1500)), rng)
    share = rng.uniform(0.5, 0.9)
    place = smooth_noise(grid, rng, 34, octaves=2)
    edge = 1.5 - 3.4 * share
    nest = soft_step(place, edge, 0.06)
    shrink = soft_step(place, edge - rng.uniform(0.1, 0.5), 0.10)
    section.put(shrink, 0.01, 0.03)
    grain = smooth_noise(grid, rng, 2.2, octaves=2)
    section.put(nest, 0.12 + 0.02 * grain, 0.22 + 0.03 * grain)
    points = sow(grid, rng, rng.uniform(11.0, 15.5))
    n = len(points)
    half = np.exp(rng.normal(np.log(5.3), 0.15, n)).clip(3.8, 8.0)
    stretch = np.exp(np.abs(rng.normal(0, 0.16, n)))
    nuclei = Nuclei(
        points,
        half * stretch,
        half / stretch,
        rng.uniform(0, np.pi, n),
        np.exp(rng.normal(np.log(0.62), 0.22, n)).clip(0.35, 1.2),
        irregular=0.11,
        clear=0.42,
        clump=0.26,
        clump_um=1.5,
        nucleolus=0.7,
        shown=grid.read(place, points) > edge + 0.15,
    )
    section.put_nuclei(grid, nuclei, rng)
    return section


def gland(grid: Grid, rng: np.random.Generator) -> Section:
    """Glands: a ring of basal nuclei, pale mucin above them, a lumen; stroma between."""
    section, lie = collagen(grid, rng, rng.uniform(0.2, 0.55))
    rings = Rings.draw(grid, rng)
    depth, wall = rings.depth(grid)
    between = [
        _spindles(grid, rng, lie, scatter(grid, rng, 1500)),
        _lymphocytes(rng, scatter(grid, rng, rng.uniform(200, 2500))),
    ]
    for nuclei in between:
        section.put_nuclei(grid, nuclei, rng)
    grain = smooth_noise(grid, rng, 2.0, octaves=2)
    section.put(0.8 * soft_step(depth, -0.8, 0.25), 0.04, 0.34)  # the basement membrane
    section.put(soft_step(depth, 0.0, 0.4), 0.14 + 0.025 * grain, 0.26 + 0.03 * grain)
    goblets, _ = stamp(grid, rings.goblets(rng), rng)
    section.put(0.9 * goblets, 0.075 + 0.015 * grain, 0.05)
    mucin = smooth_noise(grid, rng, 9, octaves=3)
    lumen = soft_step(depth, wall, 0.6)
    section.put(lumen, 0.03 + 0.03 * soft_step(mucin, 0.5, 0.3), 0.03)
    section.put_nuclei(grid, rings.nuclei(rng), rng)
    return section


def adipose(grid: Grid, rng: np.random.Generator) -> Section:
    """Fat: large empty cells with thin walls and flat nuclei, in septa of collagen."""
    section, lie = collagen(grid, rng, rng.uniform(0.05, 0.4))
    between = [
        _spindles(grid, rng, lie, scatter(grid, rng, rng.uniform(1000, 4000))),
        _lymphocytes(rng, scatter(grid, rng, rng.choice([300, 1500, 5000]))),
    ]
    for nuclei in between:
        section.put_nuclei(grid, nuclei, rng)
    spacing = rng.uniform(42, 66)
    inside = _distance_to_wall(grid, rng, spacing)
    septum = smooth_noise(grid, rng, 45) * 9 + rng.uniform(-9, 6)
    inside = inside - np.maximum(septum, 0)
    thin = rng.uniform(0.5, 1.1)
    section.put(soft_step(inside, -1.0, 0.5), 0.03, 0.28)
    section.put(soft_step(inside, thin, 0.3), 0.012, 0.02)
    points = scatter(grid, rng, 14000)
    n = len(points)
    flat = Nuclei(
        points,
        rng.uniform(3.0, 5.0, n),
        rng.uniform(1.0, 1.5, n),
        Fibers(inside, inside).angles(grid, points),
        rng.uniform(0.6, 1.0, n),
        shown=np.abs(grid.read(inside, points)) < 0.8,
    )
    section.put_nuclei(grid, flat, rng)
    return section


def _distance_to_wall(grid: Grid, rng: np.random.Generator, spacing_um: float) -> Field:
    """Distance to the wall of a rounded Voronoi cell in µm, below 0 where three cells meet.

    For the nearest center 1 and any other j, (d_j² - d_1²) / (2 spacing) is about the distance to
    their wall; the soft minimum over j rounds the corners.
    """
    centers = sow(grid, rng, spacing_um, jitter=0.13, margin_um=70.0).astype(np.float32)
    x, y = (axis + 2.5 * smooth_noise(grid, rng, 30) for axis in grid.turned(0.0))
    square = (x - centers[:, 0, None, None]) ** 2 + (y - centers[:, 1, None, None]) ** 2
    soft_um = 2.0
    gap = (square.min(0) - square) / np.float32(2 * spacing_um * soft_um)
    others = np.exp(np.maximum(gap, -60)).sum(0) - 1
    distance: Field = -soft_um * np.log(np.maximum(others, np.float32(1e-12)))
    return distance


TISSUES: dict[str, Callable[[Grid, np.random.Generator], Section]] = {
    "adipose": adipose,
    "gland": gland,
    "lymphoid": lymphoid,
    "muscle": muscle,
    "stroma": stroma,
    "tumor": tumor,
}
