"""Bring an image, or a box of it, from its own µm/px to another, exactly."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_array

from histograft.core.errors import InputError
from histograft.core.units import SAME_SCALE_TOLERANCE, Box, Scale

Rule = Literal["area", "skimage"]

# Pillow's mean over whole squares equals ours for powers of two, four times as fast; over squares
# of 3 it is one grey level off now and then.
_EXACT_REDUCTIONS = (1, 2, 4, 8, 16)


def resample(
    pixels: NDArray[np.uint8], native_mpp: float, target_mpp: float, *, rule: Rule = "area"
) -> NDArray[np.uint8]:
    """Resample an image to a target scale.

    With the rule ``"area"`` the new pixels are exactly `target_mpp` wide and high: the grid starts
    at the upper left corner, and what is left of the image at the right and lower edge, less than
    one new pixel, is dropped. A new pixel of an image that shrinks is the mean over the square that
    it covers, in which a native pixel counts by the share of it that lies inside. An image that
    must grow is interpolated bilinearly, which overshoots nowhere and adds no ringing to nuclei.

    With the rule ``"skimage"`` the image is resampled as HistoKT's code did with scikit-image:
    bilinear after a Gaussian of sigma (f - 1) / 2 for the factor f = old / new length of a side,
    the size rounded, the result truncated to integers. As the size is rounded, the true scale of
    a side of n pixels is native * n / round(n * native / target), not `target_mpp`.

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
        The image itself where both scales are the same. At least one pixel a side, also where the
        image is smaller than one.

    Raises
    ------
    InputError
        A scale that cannot be one.

    Notes
    -----
    Pillow's box filter weighs native pixels 0 or 1, which is the mean over the area for whole
    factors only: at 0.4 -> 1 µm/px it is up to 57 grey levels off on white noise. So the weights
    are made here.

    References
    ----------
    Zhang et al. 2022 (HistoKT), doi:10.48550/arXiv.2201.11246, for the rule ``"skimage"``.

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
    if scale.is_upsampling:
        return _interpolate(pixels, scale)
    return _mean_over_areas(pixels, scale)


def resample_mask(
    codes: NDArray[Any], native_mpp: float, target_mpp: float, *, rule: Rule = "area"
) -> NDArray[Any]:
    """Resample a label mask on the grid on which `resample` puts the image.

    Each new pixel takes the code at its center, so no code is invented. (HistoKT's code
    interpolated masks as images, which makes up classes along every border.)

    Parameters
    ----------
    codes : integer array, shape (H, W)
        Class codes.
    native_mpp, target_mpp : float
        µm/px of the mask and of the result, above 0.
    rule : {"area", "skimage"}
        Rule of the image, which decides the size and the last µm.

    Returns
    -------
    integer array, shape (H', W')
        Of the same dtype, and of the size that `resample` gives the image.

    Examples
    --------
    >>> resample_mask(np.array([[1, 1, 7, 7]]).repeat(2, 0), 0.5, 1.0)
    array([[1, 7]])
    """
    scale = Scale(native_mpp, target_mpp)
    if scale.is_identity:
        return codes
    height, width = codes.shape
    if rule == "skimage":
        new_height, new_width = (_rounded(n, 1 / scale.downsample) for n in codes.shape)
        rows = _centers(new_height, height / new_height, height)
        columns = _centers(new_width, width / new_width, width)
    else:
        new_width, new_height = scale.scaled_size(width, height)
        rows = _centers(new_height, scale.downsample, height)
        columns = _centers(new_width, scale.downsample, width)
    return codes[np.ix_(rows, columns)]


def resample_box(pixels: NDArray[np.uint8], box: Box, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample a rectangle of an image that may begin and end inside of pixels.

    The rule is ``"area"`` of `resample`, with a grid of `shape` cells that starts at the corner of
    `box`: a new pixel is the mean over its cell where the rectangle shrinks, and is interpolated
    bilinearly between pixel centers where it grows (columns and rows apart).

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
        The image.
    box : Box
        The rectangle in pixels of the image. It lies inside, up to the rounding of floats; for
        bilinear values across its edge the image must hold the pixels next to it.
    shape : (int, int)
        Rows and columns of the result.

    Returns
    -------
    array of uint8, shape (*shape, 3)
        The same bytes for the same rectangle, whatever else the image holds, if `pixels` is cut to
        whole pixels in the same way.

    Raises
    ------
    InputError
        The box leaves the image.

    Examples
    --------
    >>> row = np.array([[[0] * 3, [60] * 3, [120] * 3]], np.uint8)
    >>> resample_box(row, Box(0.5, 0.0, 2.0, 1.0), (1, 1)).tolist()  # (0/2 + 60 + 120/2) / 2
    [[[60, 60, 60]]]
    """
    height, width = pixels.shape[:2]
    slack = 1e-3
    inside_x = -slack <= box.left and box.left + box.width <= width + slack
    if not inside_x or not -slack <= box.top or box.top + box.height > height + slack:
        raise InputError(
            f"{box} leaves an image of {width} x {height} px", "ask for a box inside the image"
        )
    rows, columns = shape
    down, across = box.height / rows, box.width / columns
    factor = round(across)
    on_grid = all(abs(v - round(v)) < 1e-6 for v in (box.left, box.top, down, across))
    if on_grid and round(down) == factor and factor in _EXACT_REDUCTIONS:
        left, top = round(box.left), round(box.top)
        cut = pixels[top : top + rows * factor, left : left + columns * factor]
        if factor == 1:
            return cut.copy()
        return np.asarray(Image.fromarray(cut).reduce(factor))
    return _weighted(
        pixels,
        _cells(rows, height, box.top, down),
        _cells(columns, width, box.left, across),
    )


def _cells(n_new: int, n_native: int, begin: float, step: float) -> csr_array:
    """Weights of native pixels in new ones: area shares, or bilinear ones where pixels multiply."""
    if step >= 1 - SAME_SCALE_TOLERANCE:
        return _shares(n_new, n_native, step, begin=min(max(begin, 0.0), n_native))
    centers = np.clip(begin + (np.arange(n_new) + 0.5) * step - 0.5, 0, n_native - 1)
    lower = np.minimum(centers.astype(np.intp), max(n_native - 2, 0))
    upper = np.minimum(lower + 1, n_native - 1)
    share = (centers - lower).astype(np.float32)
    weights = np.stack([1 - share, share], axis=1).ravel()
    columns = np.stack([lower, upper], axis=1).ravel()
    return csr_array((weights, (np.repeat(np.arange(n_new), 2), columns)), (n_new, n_native))


def _mean_over_areas(pixels: NDArray[np.uint8], scale: Scale) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    new_width, new_height = scale.scaled_size(width, height)
    return _weighted(
        pixels,
        _shares(new_height, height, scale.downsample),
        _shares(new_width, width, scale.downsample),
    )


def _weighted(
    pixels: NDArray[np.uint8], down_weights: csr_array, across_weights: csr_array
) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    new_height, new_width = down_weights.shape[0], across_weights.shape[0]
    down = down_weights @ pixels.reshape(height, -1)
    turned = down.reshape(new_height, width, -1).transpose(1, 0, 2).reshape(width, -1)
    both = across_weights @ turned
    means = both.reshape(new_width, new_height, -1).transpose(1, 0, 2)
    return np.ascontiguousarray(np.floor(means + 0.5).astype(np.uint8))


def _shares(n_new: int, n_native: int, step: float, *, begin: float = 0.0) -> csr_array:
    """Share that each native pixel has in each new one, shape (n_new, n_native), rows sum to 1."""
    edges = np.minimum(begin + step * np.arange(n_new + 1), n_native)
    begin_of, end_of = edges[:-1, None], edges[1:, None]
    reach = np.arange(int(np.ceil(step)) + 1)
    native = begin_of.astype(np.intp) + reach
    covered = np.clip(np.minimum(end_of, native + 1) - np.maximum(begin_of, native), 0, None)
    shares = (covered / (end_of - begin_of)).astype(np.float32)
    rows = np.repeat(np.arange(n_new), len(reach))
    columns = np.minimum(native, n_native - 1).ravel()
    return csr_array((shares.ravel(), (rows, columns)), shape=(n_new, n_native))


def _interpolate(pixels: NDArray[np.uint8], scale: Scale) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    new_width, new_height = scale.scaled_size(width, height)
    right = min(width, scale.native_length(new_width))
    lower = min(height, scale.native_length(new_height))
    resized = Image.fromarray(pixels).resize(
        (new_width, new_height), Image.Resampling.BILINEAR, box=(0.0, 0.0, right, lower)
    )
    return np.asarray(resized)


def _centers(n: int, step: float, length: int) -> NDArray[np.intp]:
    centers = (np.arange(n) + 0.5) * step
    return np.minimum(centers.astype(np.intp), length - 1)


def _rounded(length: int, factor: float) -> int:
    return max(1, int(np.round(factor * length)))


def _resample_as_histokt(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    from skimage.transform import resize

    shape = tuple(_rounded(n, factor) for n in pixels.shape[:2])
    result = resize(  # type: ignore[no-untyped-call]
        pixels,
        shape,
        order=1,
        mode="reflect",
        clip=True,
        preserve_range=True,
        anti_aliasing=factor < 1,
    )
    return np.asarray(result).astype(np.uint8)  # truncated, as the authors' code does
