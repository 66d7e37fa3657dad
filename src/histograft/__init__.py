"""Transfer learning in computational pathology.

Every verb is a function of the package and loads its libraries when it is first used, so
``import histograft`` stays light:

>>> import histograft
>>> histograft.standardize  # doctest: +ELLIPSIS
<function standardize at ...>
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_VERBS = {
    "standardize": "Standardize",
    "rescale": "Rescale",
    "train": "Train",
    "fuse": "Fuse",
    "distill": "Distill",
    "embed": "Embed",
    "pool": "Pool",
    "classify": "Classify",
    "transfer": "Transfer",
    "matrix": "Matrix",
    "ladder": "Ladder",
    "predict": "Predict",
    "compare": "Compare",
    "draw": "Draw",
    "explain": "Explain",
    "export": "Export",
}
_HOMES = {verb: f"histograft.verbs.{verb}" for verb in _VERBS}
_HOMES |= {configuration: f"histograft.verbs.{verb}" for verb, configuration in _VERBS.items()}
_HOMES |= dict.fromkeys(("doctor", "Doctor"), "histograft.verbs.doctor")
_HOMES |= dict.fromkeys(("convert", "Convert"), "histograft.verbs.convert")
_HOMES |= {"to_anndata": "histograft.verbs.feature_formats.annotated"}
_HOMES |= {"open_artefact": "histograft.core.artefact", "verify": "histograft.core.verify"}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'histograft' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
