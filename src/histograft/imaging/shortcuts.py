"""Features that see no tissue: what color and file format alone tell of a class.

Ignatov and Malivenko 2024 (doi:10.48550/arXiv.2409.11546) reached over 50 % with mean RGB and over
82 % with color histograms on nine classes of colorectal tissue. A network that does not beat
these has learned nothing of histology.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histograft.imaging.read import FORMATS

HISTOGRAM_BINS = 32
TABLES = 2  # luma and chroma


def mean_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean of each channel, 0–1, float32 (3,).

    Examples
    --------
    >>> mean_rgb(np.full((2, 2, 3), 51, np.uint8)).round(2).tolist()
    [0.20000000298023224, 0.20000000298023224, 0.20000000298023224]
    """
    return np.asarray(pixels.reshape(-1, 3).mean(axis=0) / 255, np.float32)


def color_histogram(pixels: NDArray[np.uint8], bins: int = HISTOGRAM_BINS) -> NDArray[np.float32]:
    """Histograms of the three channels, each summing to 1, float32 (3 * bins,).

    Examples
    --------
    >>> color_histogram(np.zeros((2, 2, 3), np.uint8), bins=2).tolist()
    [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    """
    flat = pixels.reshape(-1, 3)
    counts = [
        np.bincount(flat[:, c].astype(np.intp) * bins // 256, minlength=bins) for c in range(3)
    ]
    return (np.concatenate(counts) / len(flat)).astype(np.float32)


def jpeg_features(
    file_format: str, quantization: Sequence[Sequence[int]] | None
) -> NDArray[np.float32]:
    """Format of the source file and its JPEG quantization tables, float32 (6 + 128,).

    Parameters
    ----------
    file_format : str
        As `DecodedImage.format`.
    quantization : sequence of sequences of 64 int, or None
        As `DecodedImage.quantization`; tables after the second are left out.

    Returns
    -------
    array of float32
        One indicator for each of `FORMATS`, then both tables; zeros where there is none.

    Examples
    --------
    >>> float(jpeg_features("PNG", None).sum())
    1.0
    """
    values = np.zeros(len(FORMATS) + TABLES * 64, np.float32)
    if file_format in FORMATS:
        values[FORMATS.index(file_format)] = 1
    for index, table in enumerate((quantization or ())[:TABLES]):
        start = len(FORMATS) + index * 64
        values[start : start + 64] = table
    return values
