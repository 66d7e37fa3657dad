"""Features in PyTorch files, with their coordinates in a file beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from histograft.core.artefact import Draft
from histograft.core.errors import InputError
from histograft.verbs.feature_formats.coordinates import read_places
from histograft.verbs.feature_formats.tiles import SlideTiles, make_tiles


def read_tensor_with_places(
    paths: Sequence[Path], names: tuple[str, str | None], places: Path | None
) -> SlideTiles:
    """Read tensors (N, D), one after another, and the coordinates of their rows.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files of tensors.
    names : (str, str or None)
        Slide and model.
    places : pathlib.Path or None
        File of coordinates.

    Raises
    ------
    InputError
        A file cannot be used, or there are no coordinates.
    """
    import numpy as np

    from histograft.learning.tensor_files import read_tensor

    first = paths[0]
    if places is None:
        raise InputError(
            f"{first} has no coordinates, and there is no file of them for {names[0]}",
            "give the folder of TRIDENT's or CLAM's patches with --coordinates",
        )
    parts = [np.atleast_2d(read_tensor(path)) for path in paths]
    if len({part.shape[1:] for part in parts}) > 1:
        raise InputError(
            f"{first} and what belongs to it differ in their numbers of features",
            "keep the files of one model in the folder, or make them anew",
        )
    beside = read_places(places)
    features = parts[0] if len(parts) == 1 else np.concatenate(parts)
    model = names[1] or beside.model
    arrays = (features, beside.coords)
    return make_tiles(first, (names[0], model), arrays, beside.scale, beside.extras)


def write_tensor_file(draft: Draft, name: str, tiles: SlideTiles) -> None:
    """Write the features of a slide as one tensor (N, D), float32."""
    from histograft.learning.tensor_files import write_tensor

    with draft.writing(name) as path:
        write_tensor(path, tiles.features)
