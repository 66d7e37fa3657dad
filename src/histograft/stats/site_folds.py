"""Folds that leave out one site at a time.

Slides of one site share stain, scanner and patients' origin, so a network can tell sites apart, and
what differs between sites is then predicted without any biology. A machine that is tested at sites
it has not seen cannot do that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histograft.core.errors import InputError
from histograft.stats.folds import FoldPlan


@dataclass(frozen=True)
class SitePlan:
    """A fold for each site, or for several small ones.

    Attributes
    ----------
    plan : FoldPlan
        One repeat; ``grouped`` is True and nobody is left out.
    sites : tuple of tuple of str
        Sites of each fold.
    """

    plan: FoldPlan
    sites: tuple[tuple[str, ...], ...]


def plan_site_folds(
    sites: ArrayLike, labels: ArrayLike | None = None, *, least_units: int = 10
) -> SitePlan:
    """Plan cross-validation that leaves out one site at a time.

    Sites with fewer than `least_units` units are merged: from the largest to the smallest, each
    joins the fold that is being filled until that is large enough; what remains in the end joins
    the smallest fold. There is no chance in it, so there is one repeat.

    Parameters
    ----------
    sites : array-like of str, shape (N,)
        Site of each unit, such as TCGA's tissue source site. Units are patients, or
        all of a patient's units are of one site.
    labels : array-like, shape (N,), optional
        Class of each unit, where classes are predicted: each must be in each training set.
    least_units : int, default 10
        Least number of units of a fold.

    Returns
    -------
    SitePlan

    Raises
    ------
    InputError
        A site is not known, there are too few sites for two folds, or without some fold a class
        is gone.

    Notes
    -----
    Howard and others 2021, doi:10.1038/s41467-021-24698-1, on what TCGA's sites do to results.
    Several codes of TCGA may stand for one hospital.

    Examples
    --------
    >>> found = plan_site_folds(["a"] * 5 + ["b"] * 4 + ["c", "c", "d", "d", "e"], least_units=3)
    >>> found.sites, found.plan.folds[0].tolist()
    ((('a',), ('b',), ('c', 'd', 'e')), [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    """
    names, index, counts = np.unique(_known(sites), return_inverse=True, return_counts=True)
    folds = _merge(counts, least_units)
    if len(folds) < 2:
        raise InputError(
            f"{len(names)} site(s) make {len(folds)} fold(s) of {least_units} units or more",
            "take a smaller least number of units, or ordinary folds",
        )
    fold_of_site = np.empty(len(names), dtype=np.int16)
    for fold, members in enumerate(folds):
        fold_of_site[members] = fold
    fold_of = fold_of_site[index]
    if labels is not None:
        _check_classes(np.asarray(labels), fold_of)
    plan = FoldPlan(fold_of[None], len(folds), 1, grouped=True, left_out={})
    return SitePlan(plan, tuple(tuple(str(names[i]) for i in sorted(m)) for m in folds))


def _known(sites: ArrayLike) -> NDArray[np.str_]:
    given = np.asarray(sites, dtype=object)
    # NaN is what tables hold where nothing is written, and the only value unlike itself.
    unknown = [value is None or value != value or not str(value).strip() for value in given]
    if any(unknown):
        raise InputError(
            f"{sum(unknown)} of {len(given)} units have no site",
            "name the site of each unit, or leave those units out",
        )
    return given.astype(np.str_)


def _merge(counts: NDArray[np.int64], least_units: int) -> list[list[int]]:
    """Sites of each fold, the largest sites first; equal ones in alphabetical order."""
    folds: list[list[int]] = []
    open_fold: list[int] = []
    for site in np.argsort(-counts, kind="stable").tolist():
        open_fold.append(site)
        if counts[open_fold].sum() >= least_units:
            folds.append(open_fold)
            open_fold = []
    if open_fold and folds:
        sizes = [counts[members].sum() for members in folds]
        # The last of the smallest is the one of the smallest sites.
        folds[len(sizes) - 1 - int(np.argmin(sizes[::-1]))] += open_fold
    return folds


def _check_classes(labels: NDArray[np.generic], fold_of: NDArray[np.int16]) -> None:
    if len(labels) != len(fold_of):
        raise InputError(f"{len(fold_of)} sites but {len(labels)} labels", "give one each a unit")
    for name in np.unique(labels):
        holders = np.unique(fold_of[labels == name])
        if len(holders) < 2:
            raise InputError(
                f"all units of class {name} are of the sites of one fold",
                "without it nothing can be learned of that class: take ordinary folds, or leave "
                "the class out",
            )
