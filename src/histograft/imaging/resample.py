"""Bring an image from its own µm/px to another, exactly."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histograft.core.units import Scale

Rule = Literal["area", "skimage"]


def resample(
    pixels: NDArray[np.uint8], native_mpp: float, target_mpp: float, *, rule: Rule = "area"
) -> NDArray[np.uint8]:
    """Resample an image to a target scale.

    With the rule ``"area"`` the new pixels are exactly `target_mpp` wide and high: the grid starts
    at the upper left corner, and what is left of the image at the right and lower edge, less than
    one new pixel, is dropped. A new pixel is the mean over the area that it covers. An image that
    must grow is interpolated bilinearly, which overshoots nowhere.

    With the rule ``"skimage"`` the image is resampled as HistoKT's code did with scikit-image
    0.18: bilinear after a Gaussian of sigma (f - 1) / 2 for the factor f = target / native, the
    size rounded, the result truncated to integers. As the size is rounded, the scale is off by
    up to half a pixel over the image.

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
        The image.
    native_mpp, target_mpp : float
        µm/px of the image and of the result, above 0.
    rule : {"area", "skimage"}
        See above.

    Returns
    -------
    array of uint8, shape (H', W', 3)
        The image itself where both scales are the same.

    Examples
    --------
    >>> resample(np.zeros((100, 60, 3), np.uint8), 0.25, 0.5).shape
    (50, 30, 3)
    """
    scale = Scale(native_mpp, target_mpp)
    if scale.is_identity:
        return pixels
    if rule == "skimage":
        return _resample_as_histokt(pixels, 1 / scale.downsample)
    height, width = pixels.shape[:2]
    new_width, new_height = scale.scaled_size(width, height)
    covered = (
        0.0,
        0.0,
        min(width, scale.native_length(new_width)),
        min(height, scale.native_length(new_height)),
    )
    method = Image.Resampling.BILINEAR if scale.is_upsampling else Image.Resampling.BOX
    resized = Image.fromarray(pixels).resize((new_width, new_height), method, box=covered)
    return np.asarray(resized)


def resample_mask(codes: NDArray[Any], native_mpp: float, target_mpp: float) -> NDArray[Any]:
    """Resample a label mask on the grid of `resample` with the rule ``"area"``.

    Each new pixel takes the code at its center, so no code is invented.

    Parameters
    ----------
    codes : integer array, shape (H, W)
        Class codes.
    native_mpp, target_mpp : float
        µm/px of the mask and of the result, above 0.

    Returns
    -------
    integer array, shape (H', W')
        Of the same dtype.

    Examples
    --------
    >>> resample_mask(np.array([[1, 1, 7, 7]]).repeat(2, 0), 0.5, 1.0)
    array([[1, 7]])
    """
    scale = Scale(native_mpp, target_mpp)
    if scale.is_identity:
        return codes
    height, width = codes.shape
    new_width, new_height = scale.scaled_size(width, height)
    rows = _centers(new_height, scale, height)
    columns = _centers(new_width, scale, width)
    return codes[np.ix_(rows, columns)]


def _centers(n: int, scale: Scale, length: int) -> NDArray[np.intp]:
    centers = (np.arange(n) + 0.5) * scale.downsample
    return np.minimum(centers.astype(np.intp), length - 1)


def _resample_as_histokt(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    from skimage.transform import rescale

    result = rescale(
        pixels,
        factor,
        order=1,
        mode="reflect",
        clip=True,
        preserve_range=True,
        anti_aliasing=factor < 1,
        channel_axis=-1,
    )
    return np.asarray(result).astype(np.uint8)  # truncated, as the authors' code does
