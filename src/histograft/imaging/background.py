"""Tell patches without tissue by the spread of their grey values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOWER_PERCENTILE = 5
UPPER_PERCENTILE = 99
_LUMA = np.array([0.2125, 0.7154, 0.0721])  # scikit-image's rgb2gray


def contrast_spread(pixels: NDArray[np.uint8]) -> float:
    """Spread of grey values between the 5th and the 99th percentile.

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
        A patch.

    Returns
    -------
    float
        0 (one grey value) to 1 (black and white).

    Notes
    -----
    ``skimage.exposure.is_low_contrast(fraction_threshold=f)`` divides the spread of an RGB image
    by the range of floats, 2, instead of 1 (scikit-image issue 6774), so its threshold f is this
    spread below 2 f. HistoKT prints 5 % and used 10 %.

    Examples
    --------
    >>> contrast_spread(np.full((8, 8, 3), 240, np.uint8))
    0.0
    """
    grey = pixels @ _LUMA / 255
    low, high = np.percentile(grey, (LOWER_PERCENTILE, UPPER_PERCENTILE))
    return float(high - low)


def is_background(pixels: NDArray[np.uint8], threshold: float) -> bool:
    """Whether the spread of grey values of a patch is below `threshold` (0-1).

    Examples
    --------
    >>> is_background(np.full((8, 8, 3), 240, np.uint8), 0.05)
    True
    """
    return contrast_spread(pixels) < threshold
