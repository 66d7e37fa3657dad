"""Cell nuclei of a phantom: where they lie and how they look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit

from histograft.imaging.phantom_grid import Field, Grid, smooth_noise

MARGIN_UM = 12.0  # nuclei are drawn this far beyond the edge, so that the edge cuts some
_NUCLEOLUS_UM = 0.9

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Nuclei:
    """Nuclei of one kind of cell.

    Attributes
    ----------
    points_um : float array, shape (n, 2)
        x and y of the centers.
    half_length_um, half_width_um : float array, shape (n,)
        Half axes of the ellipse.
    angle : float array, shape (n,)
        Direction of the long axis in radians, clockwise from the x axis.
    tone : float array, shape (n,)
        Hematoxylin in the nucleus, as optical density.
    irregular : float
        Size of the dents of the outline, as share of the radius.
    clear : float
        How much paler the middle is than the rim, 0 (dense) up to 1 (empty).
    clump : float
        Contrast of the chromatin.
    clump_um : float
        Size of its clumps.
    nucleolus : float
        Share of nuclei with a visible nucleolus.
    shown : bool array, shape (n,), or None
        Which are drawn; None for all. A nucleus that is not shown still takes its share of the
        random numbers, so that one that flips at another µm/px changes none of the others.
    """

    points_um: Points
    half_length_um: NDArray[np.float64]
    half_width_um: NDArray[np.float64]
    angle: NDArray[np.float64]
    tone: NDArray[np.float64]
    irregular: float = 0.05
    clear: float = 0.25
    clump: float = 0.25
    clump_um: float = 1.0
    nucleolus: float = 0.0
    shown: NDArray[np.bool_] | None = None


def sow(
    grid: Grid,
    rng: np.random.Generator,
    spacing_um: float,
    *,
    jitter: float = 0.3,
    margin_um: float = MARGIN_UM,
) -> Points:
    """Points that keep a distance without standing in rows.

    A turned hexagonal lattice, shaken by `jitter` times the spacing, after which points that are
    closer than 0.8 spacings push each other apart.

    Parameters
    ----------
    grid : Grid
        Where.
    rng : numpy.random.Generator
        Source of chance.
    spacing_um : float
        Distance of neighbors in the lattice.
    jitter : float
        SD of the shaking, as share of the spacing.
    margin_um : float
        How far outside the grid points may lie.

    Returns
    -------
    float array, shape (n, 2)
        x and y in µm.
    """
    reach = grid.side_um / 2 + margin_um
    n = int(np.ceil(reach * 1.5 / spacing_um)) + 1
    row, column = np.mgrid[-n : n + 1, -n : n + 1].reshape(2, -1)
    lattice = np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)]) * spacing_um
    lattice += rng.uniform(-spacing_um, spacing_um, 2)
    angle = rng.uniform(0, np.pi)
    c, s = np.cos(angle), np.sin(angle)
    points = lattice @ np.array([[c, s], [-s, c]]) + grid.side_um / 2
    points += rng.normal(0, jitter * spacing_um, points.shape)
    points = points[np.all(np.abs(points - grid.side_um / 2) < reach, axis=1)]
    return _pushed_apart(points, 0.8 * spacing_um)


def scatter(grid: Grid, rng: np.random.Generator, per_mm2: float) -> Points:
    """Independent points at a mean density; they lie up to `MARGIN_UM` outside the grid.

    Parameters
    ----------
    grid : Grid
        Where.
    rng : numpy.random.Generator
        Source of chance.
    per_mm2 : float
        Mean number per square millimeter.

    Returns
    -------
    float array, shape (n, 2)
        x and y in µm.
    """
    side = grid.side_um + 2 * MARGIN_UM
    n = rng.poisson(per_mm2 * side**2 / 1e6)
    return _pushed_apart(rng.uniform(-MARGIN_UM, side - MARGIN_UM, (n, 2)), 6.0)


def _pushed_apart(points: Points, least_um: float, rounds: int = 2) -> Points:
    points = points.copy()
    for _ in range(rounds):
        if len(points) < 2:
            break
        i, j = cKDTree(points).query_pairs(least_um, output_type="ndarray").T
        between = points[j] - points[i]
        distance = np.maximum(np.hypot(between[:, 0], between[:, 1]), 1e-6)
        push = between * ((least_um - distance) / distance / 2)[:, None]
        for axis in (0, 1):
            points[:, axis] += np.bincount(j, push[:, axis], len(points))
            points[:, axis] -= np.bincount(i, push[:, axis], len(points))
    return points


def stamp(grid: Grid, nuclei: Nuclei, rng: np.random.Generator) -> tuple[Field, Field]:
    """Draw nuclei.

    Inside an outline r(φ) = 1 + Σ a_k cos(k φ + p_k), k = 2, 3, 4, the density falls from the rim
    to the middle, a nucleolus may darken it, and clumped chromatin modulates it. Where nuclei
    overlap in the section, densities average and deepen by a fifth, as in a section of finite
    thickness of which each holds a part.

    Parameters
    ----------
    grid : Grid
        Where.
    nuclei : Nuclei
        What.
    rng : numpy.random.Generator
        Outlines and chromatin.

    Returns
    -------
    cover : float32 array, shape (size_px, size_px)
        Share of the pixel that lies under nuclei, 0 … 1.
    hematoxylin : float32 array, shape (size_px, size_px)
        Optical density.
    """
    n, size = len(nuclei.points_um), grid.size_px
    chance = _Outlines.draw(rng, n)
    clumps = smooth_noise(grid, rng, nuclei.clump_um, octaves=1)
    shown = np.ones(n, bool) if nuclei.shown is None else nuclei.shown
    if not shown.any():
        return np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    reach_um = float(nuclei.half_length_um[shown].max()) * (1 + 2 * nuclei.irregular) + 1.0
    half = int(np.ceil(reach_um / grid.mpp))
    center = np.floor(nuclei.points_um / grid.mpp).astype(int)
    inside = shown & np.all((center > -half) & (center < size + half), axis=1)
    index, u, v = _windows(grid, nuclei, inside, half)
    mask, density = _profiles(nuclei, inside, chance, u, v, edge_um=max(0.45, 0.6 * grid.mpp))
    padded = size + 4 * half
    flat = index.ravel()
    total = np.bincount(flat, mask.ravel(), padded**2).reshape(padded, padded)
    weighted = np.bincount(flat, (mask * density).ravel(), padded**2).reshape(padded, padded)
    crop = slice(2 * half, 2 * half + size)
    total, weighted = total[crop, crop].astype(np.float32), weighted[crop, crop].astype(np.float32)
    deepen = 1 + 0.2 * np.clip(total - 1, 0, 1)
    chromatin = 1 + nuclei.clump * np.clip(clumps, -2, 2)
    return np.minimum(total, 1), weighted / np.maximum(total, 1) * deepen * chromatin


@dataclass(frozen=True)
class _Outlines:
    """What chance decides for each nucleus, shown or not."""

    amplitude: NDArray[np.float64]
    phase: NDArray[np.float64]
    nucleolus: NDArray[np.float64]

    @classmethod
    def draw(cls, rng: np.random.Generator, n: int) -> _Outlines:
        spread = np.array([0.7, 0.6, 0.4])
        return cls(
            rng.normal(0, spread, (n, 3)), rng.uniform(0, 2 * np.pi, (n, 3)), rng.random((n, 3))
        )


def _windows(
    grid: Grid, nuclei: Nuclei, inside: NDArray[np.bool_], half: int
) -> tuple[NDArray[np.int64], Field, Field]:
    """Flat pixel indices of a window around each nucleus, and its coordinates in half axes."""
    points = nuclei.points_um[inside]
    center = np.floor(points / grid.mpp).astype(int)
    offset = np.arange(-half, half + 1)
    columns, rows = (center[:, axis, None] + offset for axis in (0, 1))
    padded = grid.size_px + 4 * half
    index = (rows + 2 * half)[:, :, None] * padded + (columns + 2 * half)[:, None, :]
    dx = ((columns + 0.5) * grid.mpp - points[:, :1]).astype(np.float32)[:, None, :]
    dy = ((rows + 0.5) * grid.mpp - points[:, 1:]).astype(np.float32)[:, :, None]
    c, s = (f(nuclei.angle[inside]).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    a, b = (
        axis[inside].astype(np.float32)[:, None, None]
        for axis in (nuclei.half_length_um, nuclei.half_width_um)
    )
    u, v = ((dx * c + dy * s) / a).astype(np.float32), ((dy * c - dx * s) / b).astype(np.float32)
    return index.astype(np.int64, copy=False), u, v


def _profiles(
    nuclei: Nuclei,
    inside: NDArray[np.bool_],
    chance: _Outlines,
    u: Field,
    v: Field,
    *,
    edge_um: float,
) -> tuple[Field, Field]:
    """Cover and density over each window."""

    def column(values: NDArray[np.float64]) -> Field:
        return values[inside].astype(np.float32)[:, None, None]

    rho = _relative_radius(u, v, column, nuclei.irregular, chance)
    mean_um = column(np.sqrt(nuclei.half_length_um * nuclei.half_width_um))
    mask = expit((1 - rho) * mean_um * np.float32(2.2 / edge_um))
    density = 1 - np.float32(nuclei.clear) * (1 - np.clip(rho, 0, 1) ** 3)
    if nuclei.nucleolus > 0:
        has = column((chance.nucleolus[:, 2] < nuclei.nucleolus).astype(float))
        cu, cv = (column(0.7 * chance.nucleolus[:, k] - 0.35) for k in (0, 1))
        away = ((u - cu) ** 2 + (v - cv) ** 2) * (mean_um / np.float32(_NUCLEOLUS_UM)) ** 2
        density = density + has * np.float32(0.45) * np.exp(-np.minimum(away, 30))
    return mask.astype(np.float32), (density * column(nuclei.tone)).astype(np.float32)


def _relative_radius(
    u: Field,
    v: Field,
    column: Callable[[NDArray[np.float64]], Field],
    irregular: float,
    chance: _Outlines,
) -> Field:
    """Distance from the center as a share of the outline's in that direction."""
    radius = np.sqrt(u * u + v * v) + np.float32(1e-6)
    # cos(kφ + p) = cos(kφ) cos(p) - sin(kφ) sin(p), with the powers of (u + iv) / r: no arctan.
    c1, s1 = u / radius, v / radius
    c2, s2 = c1 * c1 - s1 * s1, 2 * c1 * s1
    waves = ((c2, s2), (c2 * c1 - s2 * s1, s2 * c1 + c2 * s1), (c2 * c2 - s2 * s2, 2 * c2 * s2))
    outline = np.ones_like(radius)
    for k, (ck, sk) in enumerate(waves):
        size = irregular * chance.amplitude[:, k]
        outline += column(size * np.cos(chance.phase[:, k])) * ck
        outline -= column(size * np.sin(chance.phase[:, k])) * sk
    return (radius / np.maximum(outline, np.float32(0.3))).astype(np.float32)
