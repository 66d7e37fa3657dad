"""Stain normalization after Macenko: every tile gets a result and a status, whatever is in it.

A slide that does not fit into memory is done in two passes: `TissueSample` and `estimate_stains`,
then `apply_stains`.
"""

from __future__ import annotations

from typing import Any, Literal

from histograft.core.errors import InputError
from histograft.imaging.stain_matrix import Glass, Status, recoloring
from histograft.imaging.stain_passes import find_stains, passes_for
from histograft.imaging.stain_reference import PAPER, PUBLISHED, TORCHSTAIN, StainReference
from histograft.imaging.stain_slide import (
    ALPHA,
    BETA,
    SlideStains,
    TissueSample,
    apply_stains,
    estimate_stains,
    fit_reference,
)
from histograft.imaging.stain_status import StainStatus
from histograft.imaging.tile_arrays import flat_tiles

__all__ = [
    "PAPER",
    "PUBLISHED",
    "TORCHSTAIN",
    "SlideStains",
    "StainReference",
    "StainStatus",
    "TissueSample",
    "apply_stains",
    "estimate_stains",
    "fit_reference",
    "macenko",
]


def macenko(
    tiles: Any,
    *,
    mode: Literal["tile", "slide"] = "slide",
    reference: StainReference = TORCHSTAIN,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> tuple[Any, Status]:
    """Give tiles the hematoxylin and eosin of a reference.

    Optical densities OD = -ln((I + 1) / io) of tissue (OD of at least `beta` in all channels) are
    projected onto the plane of their two largest principal components. The percentiles `alpha` and
    100 - `alpha` of the angles in it are the two stains S. With C = (SᵀS)⁻¹Sᵀ OD, and c the 99th
    percentiles of C, a tile becomes I' = io exp(-R diag(r / c) C) - 1, rounded and clipped, with
    the stains R and concentrations r of the reference.

    Parameters
    ----------
    tiles : uint8 array, shape (N, H, W, 3)
        RGB tiles; NumPy, or any other array-API library (torch, CuPy), on any device.
    mode : "tile" or "slide"
        Whether S and c are found in each tile or in all of them together. Per tile, c is taken over
        all pixels, as published code does; per slide, over tissue, so that the share of empty glass
        does not matter.
    reference : StainReference
        What tiles shall look like; its `io` also holds for the tiles.
    alpha : float
        Percentage of angles beyond each stain, 0 to below 50.
    beta : float
        Least optical density of tissue, natural logarithm.

    Returns
    -------
    tiles : uint8 array, shape (N, H, W, 3)
        Of the library and device of the input; unchanged where the status is not NORMALIZED.
    status : NumPy uint8 array, shape (N,)
        `StainStatus` of each tile.

    Raises
    ------
    InputError
        Wrong shape, type or option. No pixels make it fail.

    Notes
    -----
    NumPy tiles go through compiled loops, others through whole-array operations in single
    precision; both agree to one grey level. Per tile with TORCHSTAIN it is torchstain's NumPy
    backend to one grey level: that one truncates, and leaves the 1 that the density added. To match
    the FTX paper set ``mode="tile", reference=PAPER``.

    References
    ----------
    Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI
    2009, doi:10.1109/ISBI.2009.5193250.

    Examples
    --------
    >>> import numpy as np
    >>> amounts = np.random.default_rng(0).uniform(0, 1, (1, 64, 64, 2)) * [1.2, 2.0]
    >>> stains = np.array([[0.65, 0.07], [0.70, 0.99], [0.29, 0.11]])
    >>> tiles = (240 * np.exp(-amounts @ stains.T)).astype(np.uint8)
    >>> white = np.full_like(tiles, 255)
    >>> normal, status = macenko(np.concatenate([tiles, white]), mode="tile")
    >>> [StainStatus(code).label for code in status]
    ['normalized', 'blank']
    """
    if mode not in ("tile", "slide"):
        raise InputError(f"mode {mode!r} is neither 'tile' nor 'slide'", "take one of the two")
    if mode == "slide":
        sample = TissueSample(io=reference.io, beta=beta)
        sample.add(tiles)
        slide = estimate_stains(sample, alpha=alpha)
        return apply_stains(tiles, slide, reference=reference, beta=beta)
    flat, glass = flat_tiles(tiles), Glass(reference.io, beta)
    stains, strongest, status = find_stains(flat, glass, alpha)
    matrices = recoloring(stains, strongest, reference, status)
    changed = status == StainStatus.NORMALIZED
    result = passes_for(flat).recolor(flat, glass, matrices, reference.io, changed)
    return result.reshape(tiles.shape), status
