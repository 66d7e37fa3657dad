"""On what scale expression is given: linear, in logarithms, or centered such as z-scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError

Scale = Literal["linear", "log", "centered", "unknown"]
Transform = Literal["auto", "none", "log2p1"]

# log2 of 2**35, more than all reads of a sample: no logarithm of a count or TPM is above it.
LARGEST_LOG = 35.0
# So many genes always have some above LARGEST_LOG where they are linear: TPM sum to a million.
MANY_GENES = 1000
_GENES_LOOKED_AT = 2000
_CENTERED_MEDIAN = 0.5


@dataclass(frozen=True)
class ScaleFinding:
    """On what scale values are.

    Attributes
    ----------
    scale : {"linear", "log", "centered", "unknown"}
        ``centered``: z-scores, or log ratios, which have negative values around 0.
    because : str
        What was seen.
    """

    scale: Scale
    because: str


def detect_scale(values: NDArray[np.float64]) -> ScaleFinding:
    """Find out on what scale expression is given, from the values of all genes.

    1. Negative values: *centered* if the medians of genes lie around 0 (the middle one within
       0.5); else *log* if no value is above 35 (a logarithm with an offset below 1); else unknown.
    2. No negative values: *linear* if a value is above 35, since no logarithm of a count is; *log*
       if none is among 1,000 genes or more, since their TPM or counts would be; else unknown.

    Parameters
    ----------
    values : ndarray of float, shape (S, G)
        Samples x genes, all genes of the file; NaN where missing.

    Returns
    -------
    ScaleFinding

    Examples
    --------
    >>> detect_scale(np.array([[0.0, 812.5], [3.1, 77.0]])).scale
    'linear'
    >>> detect_scale(np.array([[-1.2, 0.1], [0.4, -0.3], [0.1, 2.0]])).scale
    'centered'
    """
    if values.size == 0 or np.isnan(values).all():
        return ScaleFinding("unknown", "there is no value")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    n_genes = values.shape[1]
    if low < 0:
        middle = _middle_gene(values)
        if abs(middle) < _CENTERED_MEDIAN:
            why = f"values from {low:.4g} to {high:.4g}, around {middle:.2g} in the middle gene"
            return ScaleFinding("centered", why)
        if high <= LARGEST_LOG:
            return ScaleFinding("log", f"values from {low:.4g} to {high:.4g}")
        return ScaleFinding(
            "unknown", f"negative values beside large ones: {low:.4g} to {high:.4g}"
        )
    if high > LARGEST_LOG:
        return ScaleFinding("linear", f"values up to {high:.4g}; no logarithm is so large")
    if n_genes >= MANY_GENES:
        return ScaleFinding("log", f"no value of {n_genes} genes is above {high:.4g}")
    return ScaleFinding(
        "unknown", f"only {n_genes} genes, with values from {low:.4g} to {high:.4g}"
    )


def resolve_transform(finding: ScaleFinding, transform: Transform, name: str) -> Transform:
    """Decide whether to take logarithms; what is in logarithms already is never logged again.

    Returns
    -------
    {"none", "log2p1"}

    Raises
    ------
    InputError
        ``auto`` and the scale is unknown; ``log2p1`` and values are in logarithms or negative.

    Examples
    --------
    >>> resolve_transform(ScaleFinding("linear", "values up to 900"), "auto", "a.tsv")
    'log2p1'
    """
    if transform not in ("auto", "none", "log2p1"):
        raise InputError(f"{transform!r} is no transform", "take auto, none or log2p1")
    if transform == "none":
        return "none"
    if finding.scale in ("log", "centered"):
        if transform == "auto":
            return "none"
        kind = "in logarithms already" if finding.scale == "log" else "z-scores or log ratios"
        raise InputError(
            f"{name} seems to be {kind} ({finding.because}); it will not be logged",
            "take --transform auto or none",
        )
    if finding.scale == "unknown" and transform == "auto":
        raise InputError(
            f"{name}: it cannot be told whether values are in logarithms ({finding.because})",
            "state --transform log2p1 if they are linear, none if not",
        )
    return "log2p1"


def _middle_gene(values: NDArray[np.float64]) -> float:
    """Median over genes of their median over samples, in at most 2,000 genes evenly taken."""
    step = -(-values.shape[1] // _GENES_LOOKED_AT)
    some = values[:, ::step]
    some = some[:, ~np.isnan(some).all(axis=0)]
    return float(np.median(np.nanmedian(some, axis=0)))
