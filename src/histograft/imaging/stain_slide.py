"""One pair of stains for a whole slide, found in a first pass over some or all of its tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.imaging.stain_matrix import MIN_TISSUE_SHARE, Glass, Status, recoloring
from histograft.imaging.stain_passes import find_stains, passes_for
from histograft.imaging.stain_reference import TORCHSTAIN, StainReference
from histograft.imaging.stain_status import StainStatus
from histograft.imaging.tile_arrays import N_CHANNELS, flat_tiles, to_host

ALPHA, BETA = 1.0, 0.15
# 1 % of it, which decides a percentile, is still 2,600 pixels.
SAMPLE_LIMIT = 1 << 18


class TissueSample:
    """A bounded sample of the tissue pixels of many tiles.

    It looks at every s-th pixel and keeps it if it is tissue; each time it holds too many, it makes
    s three times as large and drops what no longer fits. So it depends on the pixels in their
    order, not on how they were cut into blocks, it covers all tiles evenly, and needs no chance.
    (Three is odd: rows of 224 or 256 pixels are not seen at the same columns.)

    Parameters
    ----------
    io : float
        Grey value of empty glass.
    beta : float
        Tissue has at least this optical density (natural logarithm) in all channels.
    limit : int
        Most pixels to keep, at least 2.

    Attributes
    ----------
    n_pixels : int
        Pixels that it was given, tissue or not.

    Examples
    --------
    >>> sample = TissueSample(limit=1000)
    >>> for _ in range(5):
    ...     sample.add(np.full((1, 20, 20, 3), 100, np.uint8))
    >>> sample.n_pixels, len(sample.pixels)
    (2000, 667)
    """

    def __init__(
        self, *, io: float = TORCHSTAIN.io, beta: float = BETA, limit: int = SAMPLE_LIMIT
    ) -> None:
        if limit < 2:
            raise InputError(f"a sample of {limit} pixels has no spread", "take limit=262144")
        self.glass = Glass(io, beta)
        self._brightest = self.glass.brightest
        self.n_pixels = 0
        self._limit = limit
        self._stride = 1
        self._n_kept = 0
        self._pixels = [np.empty((0, N_CHANNELS), np.uint8)]
        self._places = [np.empty(0, np.int64)]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Tissue pixels that it kept, shape (n, 3)."""
        return np.concatenate(self._pixels)

    def add(self, tiles: Any) -> None:
        """Look at a block of tiles, uint8 (N, H, W, 3), of any array library."""
        flat = flat_tiles(tiles)
        for tile in range(flat.shape[0]):
            self._add(flat[tile])

    def _add(self, pixels: Any) -> None:
        first = -self.n_pixels % self._stride
        seen = to_host(pixels[first :: self._stride])
        brightest = np.maximum(np.maximum(seen[:, 0], seen[:, 1]), seen[:, 2])
        # Black does not count: scanners and readers fill with it what was not scanned.
        tissue = np.flatnonzero((brightest <= self._brightest) & (brightest > 0))
        self._pixels.append(seen.take(tissue, axis=0))
        self._places.append(self.n_pixels + first + tissue * self._stride)
        self._n_kept += len(tissue)
        self.n_pixels += pixels.shape[0]
        while self._n_kept > self._limit:
            self._thin()

    def _thin(self) -> None:
        self._stride *= 3
        places = np.concatenate(self._places)
        kept = np.flatnonzero(places % self._stride == 0)
        self._pixels = [self.pixels.take(kept, axis=0)]
        self._places = [places[kept]]
        self._n_kept = len(kept)


@dataclass(frozen=True)
class SlideStains:
    """What a slide's sample says of its stains.

    Attributes
    ----------
    status : StainStatus
        NORMALIZED if `stains` can be used.
    stains : StainReference or None
        Its stains and their 99th percentiles over tissue; None where they were not found.
    """

    status: StainStatus
    stains: StainReference | None


def estimate_stains(sample: Any, *, name: str = "slide", alpha: float = ALPHA) -> SlideStains:
    """Find the two stains of a slide.

    Parameters
    ----------
    sample : TissueSample or uint8 array, shape (N, H, W, 3)
        A sample that has seen the slide's tiles, or tiles, which are sampled as `TissueSample` does
        with its defaults.
    name : str
        Name of the result.
    alpha : float
        Percentage of angles beyond each stain.

    Returns
    -------
    SlideStains
    """
    if not isinstance(sample, TissueSample):
        tiles, sample = sample, TissueSample()
        sample.add(tiles)
    glass, pixels = sample.glass, sample.pixels
    stains, strongest, status = find_stains(pixels[None], glass, alpha)
    code = StainStatus(int(status[0]))
    if code != StainStatus.NORMALIZED:
        return SlideStains(code, None)
    return SlideStains(code, StainReference.of_arrays(name, glass.io, stains[0], strongest[0]))


def apply_stains(
    tiles: Any, slide: SlideStains, *, reference: StainReference = TORCHSTAIN, beta: float = BETA
) -> tuple[Any, Status]:
    """Give tiles of a slide the stains of a reference.

    Parameters
    ----------
    tiles : uint8 array, shape (N, H, W, 3)
        Any block of the slide's tiles, of any array library.
    slide : SlideStains
        From `estimate_stains`.
    reference : StainReference
        What the tiles shall look like.
    beta : float
        Tissue has at least this optical density; tiles with less than 1 % of it stay as they are.

    Returns
    -------
    tiles : uint8 array, shape (N, H, W, 3)
    status : NumPy uint8 array, shape (N,)
        `StainStatus` of each tile: its own BLANK, else that of the slide.
    """
    flat = flat_tiles(tiles)
    passes = passes_for(flat)
    n, n_pixels = flat.shape[:2]
    stains, code = reference, np.array([slide.status], np.uint8)
    if slide.stains is not None:
        stains = slide.stains
    strongest = np.array([stains.max_concentrations])
    matrix = recoloring(stains.matrix[None], strongest, reference, code)
    glass = Glass(stains.io, beta)
    status = np.full(n, code[0], np.uint8)
    n_needed = max(1, math.ceil(MIN_TISSUE_SHARE * n_pixels))
    status[~passes.has_tissue(flat, glass, n_needed)] = StainStatus.BLANK
    changed = status == StainStatus.NORMALIZED
    result = passes.recolor(flat, glass, matrix, reference.io, changed)
    return result.reshape(tiles.shape), status


def fit_reference(
    tiles: Any, *, name: str, io: float = TORCHSTAIN.io, alpha: float = ALPHA, beta: float = BETA
) -> StainReference:
    """Find a reference of one's own in tiles with both stains.

    Parameters
    ----------
    tiles : uint8 array, shape (N, H, W, 3)
        Tiles that look as all shall look. Take none of a test set.
    name : str
        Name of the reference.
    io, alpha, beta : float
        As in `histograft.imaging.stain.macenko`.

    Returns
    -------
    StainReference
        Its largest concentrations are 99th percentiles over tissue pixels. (torchstain's ``fit``
        counts empty glass, too.)

    Raises
    ------
    InputError
        The tiles do not show two stains.
    """
    sample = TissueSample(io=io, beta=beta)
    sample.add(tiles)
    found = estimate_stains(sample, name=name, alpha=alpha)
    if found.stains is None:
        raise InputError(
            f"no reference can be made of these tiles: {found.status.explanation}",
            "take tiles with nuclei and stroma, or the reference TORCHSTAIN",
        )
    return found.stains
