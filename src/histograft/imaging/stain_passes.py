"""Which passes over pixels serve an array: compiled loops for NumPy, whole arrays for the rest."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from histograft.imaging import stain_matrix
from histograft.imaging.stain_matrix import Float, Glass, Status
from histograft.imaging.stain_status import StainStatus


def passes_for(tiles: Any) -> ModuleType:
    """Choose the passes for this kind of array; compiled ones are loaded on first use."""
    if isinstance(tiles, np.ndarray):
        from histograft.imaging import stain_loops

        return stain_loops
    from histograft.imaging import stain_arrays

    return stain_arrays


def find_stains(tiles: Any, glass: Glass, alpha: float) -> tuple[Float, Float, Status]:
    """Stain vectors of each tile, and how strong they get.

    Parameters
    ----------
    tiles : uint8 array, shape (N, P, 3)
    glass : Glass
        Densities, and what counts as tissue.
    alpha : float
        Percentage of angles beyond each stain.

    Returns
    -------
    stains : array, shape (N, 3, 2)
        Unit vectors of hematoxylin and eosin.
    strongest : array, shape (N, 2)
        99th percentiles of their concentrations over all pixels.
    status : uint8 array, shape (N,)
        Where it is not NORMALIZED, the stains mean nothing.
    """
    stain_matrix.check_alpha(alpha)
    step = max(1, passes_for(tiles).PIXELS_AT_ONCE // max(1, tiles.shape[1]))
    stains, strongest = np.empty((tiles.shape[0], 3, 2)), np.empty((tiles.shape[0], 2))
    status = np.empty(tiles.shape[0], np.uint8)
    for start in range(0, tiles.shape[0], step):
        part = slice(start, start + step)
        found = _find_in_block(tiles[part], glass, alpha)
        stains[part], strongest[part], status[part] = found
    return stains, strongest, status


def _find_in_block(tiles: Any, glass: Glass, alpha: float) -> tuple[Float, Float, Status]:
    passes = passes_for(tiles)
    densities = passes.densities(tiles, glass)
    axes, status = stain_matrix.plane_of(passes.moments(densities), tiles.shape[1])
    angles = passes.angle_percentiles(densities, axes, alpha)
    stains = stain_matrix.stains_at(axes, angles, status)
    unmix = stain_matrix.unmixing(stains)
    strongest = passes.strongest_concentrations(densities, unmix)
    least, colored = -stain_matrix.NEGATIVE * np.abs(strongest), 2 * glass.beta
    unexplained = passes.unexplained_share(densities, unmix, least, colored)
    unusable = (strongest.min(axis=1) <= 0) | (unexplained > stain_matrix.MAX_UNEXPLAINED)
    status[unusable & (status == StainStatus.NORMALIZED)] = StainStatus.ILL_CONDITIONED
    return stains, strongest, status
