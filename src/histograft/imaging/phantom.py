"""A phantom of H&E tissue with a known truth.

Six tissue types, drawn in micrometers as densities of hematoxylin and eosin, stained and scanned
by two laboratories. The mean color tells little about the type, the structure tells all. Nothing
in it comes from a real image, and no result on it says anything about patients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.imaging.phantom_grid import Grid, smooth_noise
from histograft.imaging.phantom_stain import LABORATORIES, Laboratory, photograph, stain
from histograft.imaging.phantom_tissue import TISSUES

__all__ = ["LABORATORIES", "PHANTOM_CLASSES", "Laboratory", "render_phantom"]

PHANTOM_CLASSES = ("adipose", "gland", "lymphoid", "muscle", "stroma", "tumor")

# Chromatin and cell walls have details of about 1 µm; coarser images sum over finer samples.
COARSEST_SAMPLE_UM = 0.5

# Proteins are never evenly dyed: contrast and size of the grain of eosin.
GRAIN, GRAIN_UM = 0.08, 1.4


def render_phantom(
    tissue: str,
    laboratory: Laboratory,
    patient_seed: int,
    rng: np.random.Generator,
    *,
    size_px: int,
    mpp: float,
) -> NDArray[np.uint8]:
    """Draw an image of a tissue.

    The tissue depends on `rng` and on the side in µm, not on µm/px: one seed at another µm/px
    gives the same tissue in other pixels.

    Parameters
    ----------
    tissue : str
        One of `PHANTOM_CLASSES`.
    laboratory : Laboratory
        Who stains and scans.
    patient_seed : int
        Seed of the patient, 0 or above: images of one patient are alike in color.
    rng : numpy.random.Generator
        Source of everything else.
    size_px : int
        Side of the image.
    mpp : float
        Micrometers per pixel.

    Returns
    -------
    uint8 array, shape (size_px, size_px, 3)
        Red, green, blue.

    Raises
    ------
    InputError
        Unknown tissue, or a size that is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = render_phantom("gland", LABORATORIES["lab-a"], 7, rng, size_px=64, mpp=0.5)
    >>> image.shape, image.dtype.name
    ((64, 64, 3), 'uint8')
    """
    if tissue not in TISSUES:
        raise InputError(
            f"the phantom has no tissue {tissue!r}", f"choose one of {', '.join(PHANTOM_CLASSES)}"
        )
    if size_px < 1 or not 0 < mpp < np.inf:
        raise InputError(
            f"an image of {size_px} px at {mpp} µm/px cannot be drawn", "give positive numbers"
        )
    binning = int(np.ceil(mpp / COARSEST_SAMPLE_UM - 1e-9))
    grid = Grid(size_px * binning, mpp / binning)
    section = TISSUES[tissue](grid, rng)
    grain = smooth_noise(grid, rng, GRAIN_UM, octaves=2)
    section.eosin *= 1 + np.float32(GRAIN) * grain
    light = stain(section.hematoxylin, section.eosin, laboratory, patient_seed, rng)
    return photograph(light, laboratory, rng, mpp=grid.mpp, binning=binning)
