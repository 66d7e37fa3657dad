"""Whether a map of what a network sees lies where the object is, against a mask."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt

from histograft.core.errors import InputError
from histograft.stats.bootstrap import draw_groups

Float = NDArray[np.float64]

# The margin of the paper, for images of about 300 to 500 px.
PAPER_TOLERANCE_PX = 15.0


class Pointing(NamedTuple):
    """How one map lies over one mask.

    Attributes
    ----------
    hit : float
        1: the highest place of the map lies in the object or within the tolerance; 0: it does
        not. Where several places are equally high, the share of them that do.
    hit_by_chance : float
        The same of a place drawn at random: share of the image in or near the object.
    energy : float
        Share of the map's sum that lies in the object, 0 … 1; NaN where the map is 0 everywhere.
    energy_by_chance : float
        The same of an even map: share of the image that is object.
    """

    hit: float
    hit_by_chance: float
    energy: float
    energy_by_chance: float


class PointingGame(NamedTuple):
    """The score of many maps.

    Attributes
    ----------
    accuracy : float
        Mean over classes of the mean hit, 0 … 1: each class counts alike.
    by_chance : float
        The same of places drawn at random.
    classes : dict of str to (float, int)
        For each class its mean hit and its number of maps.
    """

    accuracy: float
    by_chance: float
    classes: dict[str, tuple[float, int]]


def point(
    found: ArrayLike, mask: ArrayLike, *, tolerance_px: float = PAPER_TOLERANCE_PX
) -> Pointing:
    """Play the pointing game with one map, and measure its energy.

    Parameters
    ----------
    found : array-like of float, shape (H, W)
        The map; finite, 0 or above.
    mask : array-like of bool, shape (H, W)
        Where the object is; somewhere.
    tolerance_px : float, default 15
        Pixels between the middles of the highest place and of the nearest pixel of the object
        that still make a hit; 0 for none.

    Returns
    -------
    Pointing
        Hit, energy, and both by chance.

    Raises
    ------
    InputError
        Shapes differ, the map has negative or not finite values, the object is nowhere, or the
        tolerance is negative.

    Notes
    -----
    Hit: Zhang et al. 2018, doi:10.1007/s11263-017-1059-x. A map that is even everywhere hits as
    often as chance, not always and not never. Energy: Wang et al. 2020 (Score-CAM),
    doi:10.1109/CVPRW50498.2020.00020.

    Examples
    --------
    >>> point([[0.0, 0.2, 1.0]], [[False, True, False]], tolerance_px=0).hit
    0.0
    >>> point([[0.0, 0.2, 1.0]], [[False, True, False]], tolerance_px=1).hit
    1.0
    >>> round(point([[0.0, 0.2, 1.0]], [[False, True, False]]).energy, 3)
    0.167
    """
    values, inside = _checked(found, mask, tolerance_px)
    near = distance_transform_edt(~inside) <= tolerance_px
    total = values.sum()
    return Pointing(
        float(near[values == values.max()].mean()),
        float(near.mean()),
        float(values[inside].sum() / total) if total > 0 else float("nan"),
        float(inside.mean()),
    )


def pointing_game(hits: ArrayLike, by_chance: ArrayLike, classes: ArrayLike) -> PointingGame:
    """Score many maps: hits / (hits + misses) for each class, then the mean over classes.

    Parameters
    ----------
    hits, by_chance : array-like of float, shape (N,)
        Of `point`.
    classes : array-like, shape (N,)
        Class that each map was made for.

    Returns
    -------
    PointingGame
        Score, score by chance, and the classes apart.

    Raises
    ------
    InputError
        There is no map, lengths differ, or a value is not within 0 … 1.

    Notes
    -----
    Zhang et al. 2018, doi:10.1007/s11263-017-1059-x.

    Examples
    --------
    >>> pointing_game([1, 1, 0, 1], [0.5, 0.5, 0.5, 0.1], ["a", "a", "a", "b"]).classes
    {'a': (0.6666666666666666, 3), 'b': (1.0, 1)}
    """
    hit, chance = np.asarray(hits, dtype=np.float64), np.asarray(by_chance, dtype=np.float64)
    names = np.asarray(classes)
    if hit.ndim != 1 or not len(hit) or not hit.shape == chance.shape == names.shape:
        raise InputError(
            f"{hit.shape} hits, {chance.shape} by chance, {names.shape} classes",
            "give one of each for every map",
        )
    both = np.concatenate([hit, chance])
    if not ((both >= 0) & (both <= 1)).all():
        raise InputError("a hit is not within 0 … 1", "give the hits that `point` returns")
    own = {str(name): names == name for name in np.unique(names)}
    return PointingGame(
        float(np.mean([hit[rows].mean() for rows in own.values()])),
        float(np.mean([chance[rows].mean() for rows in own.values()])),
        {name: (float(hit[rows].mean()), int(rows.sum())) for name, rows in own.items()},
    )


def pointing_interval(
    hits: ArrayLike,
    classes: ArrayLike,
    groups: ArrayLike,
    *,
    n_draws: int = 10_000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Percentile interval of the pointing game's accuracy from resampling groups.

    Parameters
    ----------
    hits : array-like of float, shape (N,)
        Of `point`; or differences of two networks' hits, or of hits and hits by chance.
    classes, groups : array-like, shape (N,)
        Class that each map was made for, and what is resampled: patients, or images.
    n_draws : int
        Number of draws.
    level : float
        Of the interval, above 0 and below 1.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    low, high : float
        A class that a draw does not contain is left out of that draw's mean; NaN for one group.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> low, high = pointing_interval([1, 0] * 50, ["a"] * 100, range(100), rng=rng)
    >>> round(low, 1), round(high, 1)
    (0.4, 0.6)
    """
    hit, names = np.asarray(hits, dtype=np.float64), np.asarray(classes)
    _, class_index = np.unique(names, return_inverse=True)
    _, group_index = np.unique(np.asarray(groups), return_inverse=True)
    if hit.ndim != 1 or not len(hit) or not len(hit) == len(class_index) == len(group_index):
        raise InputError(f"{len(hit)} hits, {len(class_index)} classes, {len(group_index)} groups")
    shape = int(group_index.max()) + 1, int(class_index.max()) + 1
    if shape[0] < 2:
        return float("nan"), float("nan")
    summed, counted = np.zeros(shape), np.zeros(shape)
    np.add.at(summed, (group_index, class_index), hit)
    np.add.at(counted, (group_index, class_index), 1)
    drawn = draw_groups(shape[0], n_draws, rng)
    n_maps = drawn @ counted
    shares = np.divide(drawn @ summed, n_maps, out=np.zeros_like(n_maps), where=n_maps > 0)
    accuracy = shares.sum(axis=1) / (n_maps > 0).sum(axis=1)
    low, high = np.quantile(accuracy, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _checked(
    found: ArrayLike, mask: ArrayLike, tolerance_px: float
) -> tuple[Float, NDArray[np.bool_]]:
    values, inside = np.asarray(found, dtype=np.float64), np.asarray(mask)
    problem: Any = None
    if values.ndim != 2 or values.shape != inside.shape or inside.dtype != np.bool_:
        problem = f"a map of shape {values.shape} and a mask of {inside.dtype} {inside.shape}"
    elif not np.isfinite(values).all() or values.min() < 0:
        problem = "the map has values that are negative or not finite"
    elif not inside.any():
        problem = "the mask is empty: there is nothing to point at"
    elif not tolerance_px >= 0:
        problem = f"a tolerance of {tolerance_px} px"
    if problem is not None:
        raise InputError(
            problem, "give a map of 0 and above, a bool mask of its shape, and 0 px or more"
        )
    return values, inside
