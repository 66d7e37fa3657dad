"""Make labels of a patch from its mask: which classes cover enough of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def class_shares(codes: NDArray[Any], class_codes: Sequence[int]) -> NDArray[np.float64]:
    """Share of a patch that each class covers.

    Parameters
    ----------
    codes : integer array, shape (H, W)
        Code of the class of each pixel.
    class_codes : sequence of int
        Codes of the K classes.

    Returns
    -------
    array of float64, shape (K,)
        0-1, of all pixels of the patch. They sum to less than 1 where other codes occur.

    Notes
    -----
    HistoKT measures such shares on masks that were interpolated as if they were images, and keeps
    a patch of BCSS where its ten classes cover 20 % of it together (Zhang et al. 2022,
    doi:10.48550/arXiv.2201.11246, and the authors' code).

    Examples
    --------
    >>> class_shares(np.array([[0, 1], [1, 7]]), [1, 2, 7]).tolist()
    [0.5, 0.0, 0.25]
    """
    values, counts = np.unique(codes, return_counts=True)
    found = dict(zip(values.tolist(), counts.tolist(), strict=True))
    return np.array([found.get(code, 0) for code in class_codes]) / codes.size


def labels_of_shares(
    shares: NDArray[np.float64], names: Sequence[str], min_fraction: float
) -> list[str]:
    """Name the classes that cover at least a given share of a patch.

    Parameters
    ----------
    shares : array of float, shape (K,)
        From `class_shares`.
    names : sequence of str
        Names of the K classes.
    min_fraction : float
        Least share, above 0 and up to 1.

    Returns
    -------
    list of str
        In the order of `names`.

    Examples
    --------
    >>> labels_of_shares(np.array([0.5, 0.0, 0.25]), ["tumor", "stroma", "fat"], 0.25)
    ['tumor', 'fat']
    """
    return [name for name, share in zip(names, shares, strict=True) if share >= min_fraction]
