"""Find tissue on the overview of a brightfield slide."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from histograft.core.errors import InputError
from histograft.core.units import check_mpp

# Glass is at least this bright, and this little colored, in 8-bit values; and it is as bright as
# the brightest of what may be glass.
_GLASS_LEAST = 200
_GLASS_SPREAD = 40
_GLASS_DEPTH = 15
_GLASS_SHARE = 0.005  # of the overview; with less glass white stands for it
_WHITE = 255.0
# The brightest twentieth of a brightfield overview is far above this.
_DARK = 80
# Dyes of ink absorb red far more than green (blue ink), or green least of all (green ink).
# Hematoxylin and eosin absorb green most: red / green stays below 1.2 on slides of three scanners.
_BLUE_INK = 1.3
_GREEN_INK = 0.8
_UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class TissueSettings:
    """What counts as tissue; lengths in µm, so that all scales give the same outline.

    Attributes
    ----------
    smoothing_um : float
        Sigma of the Gaussian that takes out the noise of single pixels.
    closing_um : float
        Gaps up to twice this are closed.
    smallest_tissue_um2 : float
        Smaller pieces are dirt.
    smallest_hole_um2 : float
        Smaller holes are filled.
    least_color, most_color : float
        Bounds of the threshold, in optical density. Below the first lies the noise of glass, so
        that a blank slide stays blank. Above the second fat, pale stroma and necrosis are lost: on
        well stained slides Otsu's threshold is about 0.1 and is held here.
    """

    smoothing_um: float = 8.0
    closing_um: float = 24.0
    smallest_tissue_um2: float = 50_000.0
    smallest_hole_um2: float = 20_000.0
    least_color: float = 0.02
    most_color: float = 0.035

    def __post_init__(self) -> None:
        for name in ("smoothing_um", "closing_um", "smallest_tissue_um2", "smallest_hole_um2"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} of tissue is {value!r}", "state a number from 0 upward")
        if not 0 < self.least_color <= self.most_color:
            raise InputError(
                f"the threshold of tissue cannot lie between {self.least_color!r} and "
                f"{self.most_color!r}",
                "state least_color above 0 and not above most_color",
            )


@dataclass(frozen=True)
class Tissue:
    """Where tissue is.

    Attributes
    ----------
    mask : array of bool, shape (H, W)
        True on tissue.
    area_um2 : float
        Area of the mask.
    threshold : float
        Optical density above which color counts as tissue.
    glass : tuple of 3 float
        Color of the glass, 0-255.
    notes : tuple of str
        What a person should look at: no tissue, a dark background, colors of ink.
    """

    mask: NDArray[np.bool_]
    area_um2: float
    threshold: float
    glass: tuple[float, ...]
    notes: tuple[str, ...]


def find_tissue(
    pixels: NDArray[np.uint8], mpp: float, settings: TissueSettings | None = None
) -> Tissue:
    """Find tissue by its color against the glass.

    1. The color of the glass is the median of the brightest pixels with little color, or
       white.
    2. Optical density of a channel is ``log10((glass + 1) / (value + 1))``. Its largest minus its
       smallest of the three channels is the color of a pixel: near 0 for glass, shadow, black ink
       and bubbles, whatever their brightness, and mostly above 0.1 for stained tissue.
    3. The color is smoothed, and split by Otsu's threshold. Values are cut at three times
       `most_color` first, so that one strong dye does not push the threshold over pale tissue; and
       the threshold is kept within its bounds.
    4. Gaps are closed, small pieces dropped, small holes filled.

    Parameters
    ----------
    pixels : array of uint8, shape (H, W, 3)
        Overview of a slide, 4-30 µm/px.
    mpp : float
        Its µm/px.
    settings : TissueSettings, optional
        See there.

    Returns
    -------
    Tissue
        Of a slide with a dark background (fluorescence) the mask is empty and a note says why.

    References
    ----------
    Otsu 1979, doi:10.1109/TSMC.1979.4310076.

    Examples
    --------
    >>> overview = np.full((60, 60, 3), 240, np.uint8)
    >>> overview[10:50, 10:50] = (200, 120, 180)
    >>> tissue = find_tissue(overview, 8.0)
    >>> int(tissue.mask.sum()), tissue.area_um2, tissue.notes  # smoothing adds a pixel a side
    (1760, 112640.0, ())
    """
    settings = settings or TissueSettings()
    check_mpp(mpp, "µm/px of the overview")
    brightness = pixels.mean(axis=2)
    if np.percentile(brightness, 95) < _DARK:
        note = (
            "the background is dark: no brightfield slide (fluorescence?), so no tissue is sought"
        )
        empty = np.zeros(brightness.shape, np.bool_)
        return Tissue(empty, 0.0, settings.least_color, (0.0, 0.0, 0.0), (note,))
    glass = _glass(pixels, brightness)
    density = np.log10((glass + 1) / (pixels + np.float32(1)), dtype=np.float32)
    smoothed = ndimage.gaussian_filter(density, (*(settings.smoothing_um / mpp,) * 2, 0))
    color = smoothed.max(axis=2) - smoothed.min(axis=2)
    threshold = _threshold(color, settings)
    mask = _tidied(color > threshold, mpp, settings)
    area_um2 = float(mask.sum()) * mpp**2
    notes = _notes(smoothed, mask, mpp, settings)
    return Tissue(mask, area_um2, threshold, tuple(glass.tolist()), notes)


def tissue_mask(
    pixels: NDArray[np.uint8], mpp: float, settings: TissueSettings | None = None
) -> NDArray[np.bool_]:
    """Mask of `find_tissue`, array of bool, shape (H, W)."""
    return find_tissue(pixels, mpp, settings).mask


def _glass(pixels: NDArray[np.uint8], brightness: NDArray[np.float64]) -> NDArray[np.float32]:
    spread = pixels.max(axis=2) - pixels.min(axis=2)  # uint8, never below 0
    glass = (brightness > _GLASS_LEAST) & (spread < _GLASS_SPREAD)
    if glass.mean() < _GLASS_SHARE:
        return np.full(3, _WHITE, np.float32)
    glass &= brightness > np.percentile(brightness[glass], 95) - _GLASS_DEPTH
    color: NDArray[np.float32] = np.median(pixels[glass], axis=0).astype(np.float32)
    return color


def _threshold(color: NDArray[np.float32], settings: TissueSettings) -> float:
    from skimage.filters import threshold_otsu

    low, high = settings.least_color, settings.most_color
    cut = np.minimum(color, 3 * high)
    if cut.max() - cut.min() < low:
        return low
    otsu = float(threshold_otsu(cut))  # type: ignore[no-untyped-call]
    return min(max(otsu, low), high)


def _tidied(mask: NDArray[np.bool_], mpp: float, settings: TissueSettings) -> NDArray[np.bool_]:
    radius = settings.closing_um / mpp
    reach = int(radius)
    if reach >= 1:
        rows, columns = np.ogrid[-reach : reach + 1, -reach : reach + 1]
        disk = rows**2 + columns**2 <= radius**2
        # Beyond the border the slide is taken to go on: else closing would eat tissue there.
        padded = ndimage.binary_closing(np.pad(mask, reach, mode="edge"), disk)
        mask = padded[reach:-reach, reach:-reach]
    mask = _without_small(mask, settings.smallest_tissue_um2 / mpp**2)
    # Corners do not connect holes that tissue separates, so holes count 4 neighbors, too.
    return ~_without_small(~mask, settings.smallest_hole_um2 / mpp**2)


def _without_small(mask: NDArray[np.bool_], least_px: float) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    kept = np.bincount(labels.ravel()) >= least_px
    kept[0] = False
    return np.asarray(kept[labels])


def _notes(
    density: NDArray[np.float32],
    mask: NDArray[np.bool_],
    mpp: float,
    settings: TissueSettings,
) -> tuple[str, ...]:
    if not mask.any():
        return ("no tissue was found",)
    red, green, blue = (density[..., channel] for channel in range(3))
    strong = mask & (density.max(axis=2) > 0.2)
    ink = strong & ((red > _BLUE_INK * green) | (green < _GREEN_INK * np.minimum(red, blue)))
    area_um2 = float(_without_small(ink, settings.smallest_tissue_um2 / mpp**2).sum()) * mpp**2
    if area_um2 == 0:
        return ()
    return (
        f"{area_um2 / _UM2_PER_MM2:.2g} mm2 of the tissue have the blue or green of ink "
        "(pen marks, or a stain other than hematoxylin and eosin)",
    )
