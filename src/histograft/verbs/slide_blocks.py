"""Features of a slide's tiles, kept block by block, so that a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.files import written_atomically
from histograft.verbs.tile_stream import Stain, TilePart, TileStream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.verbs.extractors import NetworkExtractor

BLOCK = 1024  # tiles after which a killed run resumes
STATUS, STAINED = "tile status", "stain status"  # no model is called so: names have no spaces


def compute_blocks(
    work: Path,
    stream: TileStream,
    coords: NDArray[np.int64],
    stain: Stain | None,
    extractor: NetworkExtractor,
    tell: Callable[[int], None],
) -> None:
    """Write features and statuses of each block of tiles into a folder, where they are not yet.

    Parameters
    ----------
    work : pathlib.Path
        The folder.
    stream : TileStream
        Reads the tiles.
    coords : array of int64, shape (N, 2)
        Where the tiles lie, in the order in which they are read.
    stain : callable or None
        What normalizes their stain.
    extractor : NetworkExtractor
        The network.
    tell : callable
        Called with the number of tiles that were embedded since the last call.

    Raises
    ------
    InputError
        A feature is not finite, or the slide cannot be read any more.
    """
    import numpy as np

    starts = range(0, len(coords), BLOCK)
    first = next((start for start in starts if not _file(work, start).is_file()), None)
    if first is None:
        return
    with closing(stream.parts(coords[first:], stain)) as parts:
        for start in range(first, len(coords), BLOCK):
            block = _embedded(parts, min(BLOCK, len(coords) - start), extractor, tell)
            with written_atomically(_file(work, start)) as path:
                np.savez(path, **block)


def try_network(extractor: NetworkExtractor, tile_px: int) -> None:
    """Pass one black tile through the network, so that one that cannot work fails before all work.

    Raises
    ------
    InputError
        The network does not take tiles of that size, or gives features that are not finite.
    """
    import numpy as np

    tile = np.zeros((tile_px, tile_px, 3), np.uint8)
    try:
        for batch in extractor.features_of(iter([tile])):
            for model, values in batch.items():
                _refuse_not_finite(model, values)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"the network does not take tiles of {tile_px} px ({error})",
            "give the --tile-px that it was made for, or its own size in --arch-kwargs",
        ) from error


def read_blocks(work: Path, n_tiles: int, name: str) -> Iterator[NDArray[Any]]:
    """Yield what `compute_blocks` wrote, block by block.

    Parameters
    ----------
    work : pathlib.Path
        The folder.
    n_tiles : int
        Tiles of the slide.
    name : str
        Name of a model, for its features (tiles that were not read have none); or `STATUS` or
        `STAINED`, uint8 for every tile.
    """
    import numpy as np

    for start in range(0, n_tiles, BLOCK):
        with np.load(_file(work, start)) as block:
            yield block[name]


def _file(work: Path, start: int) -> Path:
    return work / f"block-{start:09d}.npz"


def _embedded(
    parts: Iterator[TilePart],
    n_tiles: int,
    extractor: NetworkExtractor,
    tell: Callable[[int], None],
) -> dict[str, Any]:
    """Features and statuses of the next `n_tiles` tiles."""
    import numpy as np

    from histograft.imaging.slide_tiles import TileStatus

    status: list[NDArray[np.uint8]] = []
    stained: list[NDArray[np.uint8]] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        while sum(map(len, status)) < n_tiles:
            part = next(parts)
            status.append(part.status)
            stained.append(part.stain_status)
            yield from part.tiles[part.status == TileStatus.READ]

    found = {model: [np.empty((0, size), np.float32)] for model, size in extractor.sizes.items()}
    for batch in extractor.features_of(pictures()):
        for model, values in batch.items():
            _refuse_not_finite(model, values)
            found[model].append(values)
        tell(len(next(iter(batch.values()))))
    features = {model: np.concatenate(values) for model, values in found.items()}
    return features | {STATUS: np.concatenate(status), STAINED: np.concatenate(stained)}


def _refuse_not_finite(model: str, values: NDArray[np.float32]) -> None:
    import numpy as np

    if not np.isfinite(values).all():
        raise InputError(
            f"{model}: the network gives NaN or infinity",
            "check the weights, or use --precision 32-true",
        )
