"""Features of tiles → slides → patients, block by block, and the tile nearest to the mean.

Sums are kept, not tiles, so a slide never has to be in memory, and slides and patients are pooled
from the same sums whichever way they are weighted.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.stats.crossval import require_finite

Float = NDArray[np.float64]
Weighting = Literal["tiles", "slides"]


class FeatureSums:
    """Count, mean and spread of the tiles of one slide, fed block by block, in float64.

    Two of them join into the one of all their tiles, so blocks may come from several processes.

    Attributes
    ----------
    n_tiles : int
        Tiles so far.
    mean : ndarray of float64, shape (D,)
        Their mean; zeros before the first tile.

    Notes
    -----
    The formula for joining moments of two samples keeps digits where the sum of squares would lose
    them: Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115.

    Examples
    --------
    >>> slide = FeatureSums(2)
    >>> slide.add(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> slide.add(np.array([[5.0, 5.0]], dtype=np.float32))
    >>> slide.n_tiles, slide.mean, slide.sd.round(3)
    (3, array([3., 5.]), array([1.633, 0.   ]))
    """

    def __init__(self, n_features: int) -> None:
        self.n_tiles = 0
        self.mean: Float = np.zeros(n_features)
        self._squares: Float = np.zeros(n_features)

    @property
    def sd(self) -> Float:
        """Standard deviation of the tiles with divisor n, shape (D,); NaN without a tile."""
        if not self.n_tiles:
            return np.full(len(self.mean), np.nan)
        return np.sqrt(self._squares / self.n_tiles)

    def add(self, features: NDArray[np.floating[Any]]) -> None:
        """Take a block of tiles.

        Parameters
        ----------
        features : ndarray of float, shape (B, D)
            Finite features of any number of tiles.

        Raises
        ------
        InputError
            Another number of features, or a value that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise InputError(
                f"a block of shape {features.shape} for {len(self.mean)} features",
                "give blocks as tiles × features, all of the same network",
            )
        require_finite(features, "the features")
        if len(features):
            block = FeatureSums(len(self.mean))
            block.n_tiles = len(features)
            block.mean = features.mean(axis=0, dtype=np.float64)
            block._squares = ((features - block.mean) ** 2).sum(axis=0)
            self.join(block)

    def join(self, other: FeatureSums) -> None:
        """Take all tiles of another.

        Raises
        ------
        InputError
            It has another number of features.
        """
        if len(other.mean) != len(self.mean):
            raise InputError(
                f"{len(self.mean)} and {len(other.mean)} features",
                "embed all slides with the same network",
            )
        total = self.n_tiles + other.n_tiles
        if not total:
            return
        step = other.mean - self.mean
        share = other.n_tiles / total
        self._squares = self._squares + other._squares + step**2 * (self.n_tiles * share)
        # Alone, the other's mean is taken as it is, to the last digit.
        self.mean = self.mean + step * share if self.n_tiles else other.mean.copy()
        self.n_tiles = total


def pool_slides(
    slides: Mapping[Hashable, FeatureSums],
    patient_of: Mapping[Hashable, Hashable],
    *,
    weighting: Weighting = "tiles",
) -> dict[Hashable, Float]:
    """Average slides to patients.

    Parameters
    ----------
    slides : mapping
        Sums of each slide.
    patient_of : mapping
        Patient of each of these slides.
    weighting : {"tiles", "slides"}
        ``"tiles"``: each tile counts alike, so large slides count more; to match the FTX paper.
        ``"slides"``: each slide counts alike.

    Returns
    -------
    dict
        Mean feature of each patient, float64, shape (D,), in the order of their first slides.

    Raises
    ------
    InputError
        A slide has no tile or no patient, the slides have different numbers of features, or the
        weighting has another name.

    Examples
    --------
    >>> small, large = FeatureSums(1), FeatureSums(1)
    >>> small.add(np.array([[0.0]]))
    >>> large.add(np.array([[3.0], [3.0]]))
    >>> slides, patient = {"s": small, "l": large}, {"s": "p", "l": "p"}
    >>> pool_slides(slides, patient)["p"], pool_slides(slides, patient, weighting="slides")["p"]
    (array([2.]), array([1.5]))
    """
    if weighting not in ("tiles", "slides"):
        raise InputError(f"no weighting is called {weighting!r}", "take 'tiles' or 'slides'")
    pooled: dict[Hashable, FeatureSums] = {}
    for name, sums in slides.items():
        if name not in patient_of:
            raise InputError(f"slide {name} has no patient", "name the patient of each slide")
        if not sums.n_tiles:
            raise InputError(f"slide {name} has no tile", "leave it out")
        entry = sums
        if weighting == "slides":
            entry = FeatureSums(len(sums.mean))
            entry.add(sums.mean[None])
        pooled.setdefault(patient_of[name], FeatureSums(len(sums.mean))).join(entry)
    return {patient: sums.mean for patient, sums in pooled.items()}


class NearestTile:
    """The tile of a slide whose features are nearest to a mean, found block by block.

    The distance is Euclidean over standardized features: each difference is divided by the standard
    deviation of its feature, and features that do not vary are left out.

    Parameters
    ----------
    mean, sd : ndarray of float, shape (D,)
        Mean and standard deviation of the slide's tiles (`FeatureSums`), or the deviation of the
        cohort's, so that slides are on one scale.

    Attributes
    ----------
    index : int
        Place of the nearest tile in the order of feeding, the first of equals; -1 before any.
    distance : float
        Its distance; infinite before any.

    Examples
    --------
    >>> tiles = np.array([[0.0, 10.0], [1.0, 90.0], [4.0, 50.0]])
    >>> slide = FeatureSums(2)
    >>> slide.add(tiles)
    >>> nearest = NearestTile(slide.mean, slide.sd)
    >>> nearest.add(tiles[:1])
    >>> nearest.add(tiles[1:])
    >>> nearest.index, round(nearest.distance, 3)
    (1, 1.286)
    """

    def __init__(self, mean: NDArray[np.floating[Any]], sd: NDArray[np.floating[Any]]) -> None:
        self._mean = np.asarray(mean, dtype=np.float64)
        deviation = np.asarray(sd, dtype=np.float64)
        if self._mean.ndim != 1 or self._mean.shape != deviation.shape:
            raise InputError(
                f"a mean of shape {self._mean.shape}, deviations of shape {deviation.shape}",
                "give both of the same features",
            )
        # A deviation of rounding alone is none: such a feature would outweigh all others.
        varies = deviation > 1e-12 * np.abs(self._mean)
        self._weight = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
        self._n_fed = 0
        self.index = -1
        self.distance = float("inf")

    def add(self, features: NDArray[np.floating[Any]]) -> None:
        """Take a block of tiles, shape (B, D).

        Raises
        ------
        InputError
            Another number of features, or a value that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self._mean):
            raise InputError(
                f"a block of shape {features.shape} for {len(self._mean)} features",
                "give blocks as tiles × features, all of the same network",
            )
        require_finite(features, "the features")
        if len(features):
            distance = np.sqrt((((features - self._mean) * self._weight) ** 2).sum(axis=1))
            best = int(distance.argmin())
            if distance[best] < self.distance:
                self.index, self.distance = self._n_fed + best, float(distance[best])
        self._n_fed += len(features)
