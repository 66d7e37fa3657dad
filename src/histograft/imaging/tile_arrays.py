"""Tiles as arrays of any library that speaks the array API: checked, flattened, brought home."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError

N_CHANNELS = 3


def flat_tiles(tiles: Any) -> Any:
    """Tiles (N, H, W, 3) of uint8 as (N, H * W, 3).

    Raises
    ------
    InputError
        Another shape or type.
    """
    if not array_api_compat.is_array_api_obj(tiles):
        raise InputError(f"tiles are {type(tiles).__name__}, no array", "stack them into one array")
    xp = array_api_compat.array_namespace(tiles)
    if tiles.ndim != 4 or tiles.shape[3] != N_CHANNELS or tiles.dtype != xp.uint8:
        raise InputError(
            f"tiles have the shape {tuple(tiles.shape)} and the type {tiles.dtype}",
            "pass uint8 RGB of the shape (tiles, height, width, 3)",
        )
    n, height, width, _ = tiles.shape
    flat = xp.reshape(tiles, (n, height * width, N_CHANNELS))
    return np.ascontiguousarray(flat) if isinstance(flat, np.ndarray) else flat


def to_host(array: Any) -> NDArray[Any]:
    """Copy an array of any library to a NumPy array."""
    return np.asarray(array_api_compat.to_device(array, "cpu"))
