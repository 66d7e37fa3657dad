"""Macenko's algebra: from the spread of optical densities to stains, and to a change of colors.

All of it is small and runs in double precision on the host, for any kind of pixels; what must look
at every pixel is in `stain_loops` (NumPy arrays) and `stain_arrays` (all others).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.imaging.stain_reference import StainReference
from histograft.imaging.stain_status import StainStatus

Float = NDArray[np.float64]
Status = NDArray[np.uint8]

GREY_LEVELS = 256
STRONGEST_PERCENTILE = 99.0
# Below, the percentiles of angles are those of a few pixels: dust, pen, the rim of a fold.
MIN_TISSUE_SHARE = 0.01
# A spread (SD) of densities below the step between two grey levels is one color.
MIN_VARIANCE = 1e-6
# One stain with camera noise of two grey levels spreads by 5 degrees. Among 276 tiles of three
# public sets of H&E the least was 7.7 (docs/decisions/005).
MIN_ANGLE = np.deg2rad(5.0)
# Densities of two stains lie in a plane; what leaves it had at most 0.08 of the largest variance in
# those tiles. Noise of all colors has 1.
MAX_OFF_PLANE = 0.25
# No stain gives off light; rounding and noise may tilt a vector a little.
MIN_COMPONENT = -0.1
# A color that takes clearly less than nothing (a quarter of the largest concentration) of a stain
# is not made of the two. Where blue is saturated, most of a tile is: it would turn cyan or white.
# Tiles that looked right after normalization had at most 0.08 of their colored pixels so, tiles
# that looked wrong at least 0.2.
NEGATIVE, MAX_UNEXPLAINED = 0.25, 0.1
# A difference of densities may become ten times as large, not more: it is mostly noise then.
MAX_GAIN = 10.0


@dataclass(frozen=True)
class Glass:
    """Optical density of grey values, and which pixels count as tissue.

    OD = -ln((I + 1) / io); tissue has an OD of at least `beta` in all three channels. (Macenko
    prints logarithms without a base; the 0.15 of published code is of natural ones.)

    Examples
    --------
    >>> glass = Glass(io=240.0, beta=0.15)
    >>> glass.brightest  # -ln(206 / 240) = 0.153, -ln(207 / 240) = 0.148
    205
    """

    io: float
    beta: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.io) and self.io > 0 and np.isfinite(self.beta)):
            raise InputError(
                f"io {self.io} and beta {self.beta} are no grey value of glass and no density",
                "take io=240 and beta=0.15",
            )

    @property
    def densities(self) -> Float:
        """Optical density of the grey values 0 … 255."""
        table: Float = -np.log((np.arange(GREY_LEVELS) + 1.0) / self.io)
        return table

    @property
    def brightest(self) -> int:
        """Largest grey value of tissue; -1 if there is none."""
        return int((self.densities >= self.beta).sum()) - 1


class Moments(NamedTuple):
    """Of the tissue pixels of N tiles: how many, their mean OD (N, 3), its covariance (N, 3, 3)."""

    n_tissue: Float
    mean: Float
    covariance: Float


def check_alpha(alpha: float) -> None:
    """Raise InputError unless `alpha` is a percentage from 0 to below 50."""
    if not 0 <= alpha < 50:
        raise InputError(f"alpha {alpha} is no percentage below 50", "take alpha=1")


def plane_of(moments: Moments, n_pixels: int) -> tuple[Float, Status]:
    """Plane through no light lost and along the two largest spreads of optical density.

    Parameters
    ----------
    moments : Moments
        Of N tiles.
    n_pixels : int
        Pixels of a tile, tissue or not.

    Returns
    -------
    axes : array, shape (N, 3, 2)
        Orthonormal; the first points along the mean within the plane, so that angles from it never
        run over the end of the circle.
    status : uint8 array, shape (N,)
    """
    status = np.zeros(len(moments.n_tissue), np.uint8)
    variances, vectors = np.linalg.eigh(moments.covariance)
    plane = vectors[:, :, 1:]
    center = np.einsum("nck,nc->nk", plane, moments.mean)
    length = np.linalg.norm(center, axis=1, keepdims=True)
    center = np.where(length > 0, center / np.where(length > 0, length, 1), [0.0, 1.0])
    turned = np.stack([-center[:, 1], center[:, 0]], axis=1)
    axes = np.einsum("nck,nak->nca", plane, np.stack([center, turned], axis=1))
    least, middle, most = variances.T
    status[least > MAX_OFF_PLANE * most] = StainStatus.ILL_CONDITIONED
    status[middle < MIN_VARIANCE] = StainStatus.SINGLE_STAIN
    few = moments.n_tissue < max(1, MIN_TISSUE_SHARE * n_pixels)
    status[few] = StainStatus.BLANK
    return axes, status


def stains_at(axes: Float, angles: Float, status: Status) -> Float:
    """Take the unit vectors of the two stains at the extreme angles; hematoxylin (more red) first.

    Parameters
    ----------
    axes : array, shape (N, 3, 2)
        From `plane_of`.
    angles : array, shape (N, 2)
        Percentiles alpha and 100 - alpha of the angles from the first axis, in radians.
    status : uint8 array, shape (N,)
        Changed in place where the stains cannot be used.

    Returns
    -------
    array, shape (N, 3, 2)
        Two fixed, different directions where the status is not NORMALIZED.
    """
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    stains: Float = axes @ circle
    swap = stains[:, 0, 0] <= stains[:, 0, 1]
    stains[swap] = stains[swap][:, :, ::-1]
    good = status == StainStatus.NORMALIZED
    status[good & (stains.min(axis=(1, 2)) < MIN_COMPONENT)] = StainStatus.ILL_CONDITIONED
    status[good & (angles[:, 1] - angles[:, 0] < MIN_ANGLE)] = StainStatus.SINGLE_STAIN
    stains[status != StainStatus.NORMALIZED] = np.eye(3)[:, :2]
    return stains


def unmixing(stains: Float) -> Float:
    """Least squares in closed form: concentrations = unmixing @ OD, shape (N, 2, 3)."""
    transposed = np.swapaxes(stains, -1, -2)
    return np.asarray(np.linalg.solve(transposed @ stains, transposed), np.float64)


def recoloring(stains: Float, strongest: Float, reference: StainReference, status: Status) -> Float:
    """Matrices that take optical densities to those of the reference.

    M = R diag(r / c) (SᵀS)⁻¹Sᵀ, with the stains S and largest concentrations c of the tile, and R
    and r of the reference.

    Parameters
    ----------
    stains : array, shape (N, 3, 2)
    strongest : array, shape (N, 2)
        99th percentiles of the concentrations.
    reference : StainReference
        What tiles shall look like.
    status : uint8 array, shape (N,)
        Changed in place where a matrix would amplify noise.

    Returns
    -------
    array, shape (N, 3, 3)
        Identity where the status is not NORMALIZED.
    """
    good = status == StainStatus.NORMALIZED
    there = strongest.min(axis=1) > 1e-6
    scale = np.array(reference.max_concentrations) / np.where(there[:, None], strongest, 1.0)
    matrices = (reference.matrix * scale[:, None, :]) @ unmixing(stains)
    gain = np.linalg.norm(matrices, ord=2, axis=(1, 2))
    status[good & ~(there & (gain <= MAX_GAIN))] = StainStatus.ILL_CONDITIONED
    matrices[status != StainStatus.NORMALIZED] = np.eye(3)
    return matrices
