"""Which layouts there are, and which of them a folder has."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Literal, cast

from histograft.core.errors import InputError
from histograft.verbs.feature_formats import clam, eva, own, slide2vec, stamp, trident
from histograft.verbs.feature_formats.contract import FeatureFormat, Found

Layout = Literal["histograft", "trident", "clam", "stamp", "slide2vec", "eva"]
OWN: Layout = "histograft"
# In the order in which they are recognized: what holds any HDF5 file comes last.
_MODULES: dict[str, ModuleType] = {
    OWN: own,
    "eva": eva,
    "slide2vec": slide2vec,
    "clam": clam,
    "stamp": stamp,
    "trident": trident,
}


def format_of(layout: str) -> FeatureFormat:
    """Return the reader and writer of a layout of other programs."""
    return cast(FeatureFormat, _MODULES[layout])


def recognize(source: Path) -> str:
    """Name the layout of a folder.

    Raises
    ------
    InputError
        The folder is not there, or has none of them.
    """
    if not source.is_dir():
        raise InputError(f"{source} is no folder", "give a folder of features")
    for name, module in _MODULES.items():
        if module.recognize(source):
            return name
    raise InputError(
        f"{source} holds no features of slides that are known here",
        "give a folder of histograft (slides/, index/), TRIDENT (features_…), CLAM (h5_files or "
        "pt_files), STAMP (HDF5 with feats), slide2vec (tile_embeddings) or eva (manifest.csv)",
    )


def find_slides(source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    """List the slides that a folder holds.

    Raises
    ------
    InputError
        It holds none, or two of one name.
    """
    if coordinates is not None and not coordinates.is_dir():
        raise InputError(f"--coordinates {coordinates} is no folder", "correct its path")
    found = format_of(recognize(source)).find(source, model, coordinates)
    if not found:
        raise InputError(f"{source} holds no slide", "see that features were computed")
    first: dict[str, Found] = {}
    for slide in found:
        if (other := first.setdefault(slide.slide_id, slide)) is not slide:
            raise InputError(
                f"two files are called {slide.slide_id}: {other.files[0]} and {slide.files[0]}",
                "rename one, or give the folder of one of them as the source",
            )
    return found
