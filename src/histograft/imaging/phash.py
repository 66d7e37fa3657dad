"""Perceptual hashes that find copies also where they were flipped or turned."""

from __future__ import annotations

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 8
THUMBNAIL_SIDE = 32


def perceptual_hashes(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64-bit perceptual hashes of the eight flips and quarter turns of an image.

    The hash keeps which of the 64 lowest frequencies of a 32 x 32 grey copy lie above their
    median (`imagehash.phash`).

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
        An image.

    Returns
    -------
    array of uint64, shape (8,)
        Turns by 0, 90, 180 and 270 degrees, then the same of the mirrored image.

    Examples
    --------
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    >>> turned = np.rot90(image)
    >>> bool(perceptual_hashes(turned)[0] == perceptual_hashes(image)[1])
    True
    """
    grey = Image.fromarray(pixels).convert("L")
    small = np.asarray(grey.resize((THUMBNAIL_SIDE,) * 2, Image.Resampling.LANCZOS))
    variants = [np.rot90(base, turns) for base in (small, small[:, ::-1]) for turns in range(4)]
    return np.array([_hash(variant) for variant in variants], dtype=np.uint64)


def _hash(grey: NDArray[np.uint8]) -> int:
    bits = imagehash.phash(Image.fromarray(np.ascontiguousarray(grey)), hash_size=HASH_SIDE)
    return int(str(bits), 16)
