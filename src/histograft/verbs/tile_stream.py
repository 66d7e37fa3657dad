"""Tiles of a slide, read ahead in threads while a network is at work on those before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from histograft.core.executor import map_in_order

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from histograft.core.units import TileSpec
    from histograft.imaging.slide import Slide

# Tiles that one thread reads together: at 224 px some 40 MB, and a few of them wait at a time.
PART = 256

Stain = Callable[["NDArray[np.uint8]"], "tuple[NDArray[np.uint8], NDArray[np.uint8]]"]


@dataclass(frozen=True)
class TilePart:
    """Tiles that were read together, in the order of their coordinates.

    Attributes
    ----------
    start : int
        Row of the first in the coordinates.
    tiles : array of uint8, shape (n, tile_px, tile_px, 3)
        RGB.
    status : array of uint8, shape (n,)
        `histograft.imaging.slide_tiles.TileStatus` of each.
    stain_status : array of uint8, shape (n,)
        `histograft.imaging.stain.StainStatus` of each, or zeros.
    """

    start: int
    tiles: NDArray[np.uint8]
    status: NDArray[np.uint8]
    stain_status: NDArray[np.uint8]


class TileStream:
    """Reads tiles of one slide in several threads; use it as a context manager.

    Memory is bounded by the number of threads, however large the slide.

    Parameters
    ----------
    path : pathlib.Path
        The slide.
    mpp : float or None
        µm/px of level 0 that the user states.
    spec : TileSpec
        Size and scale of the tiles.
    upsample : {"error", "allow"}
        What to do where the slide has fewer pixels than the tiles.
    threads : int
        Threads that read, 1 or more; each opens the slide for itself.
    """

    def __init__(
        self,
        path: Path,
        mpp: float | None,
        spec: TileSpec,
        *,
        upsample: Literal["error", "allow"],
        threads: int,
    ) -> None:
        self._path, self._mpp, self._spec, self._upsample = path, mpp, spec, upsample
        self._threads = threads
        self._local = threading.local()
        self._opened: list[Slide] = []
        self._executor = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(cancel_futures=True)
        for slide in self._opened:
            slide.close()

    def parts(
        self, coords: NDArray[np.int64], stain: Stain | None = None, *, first: int = 0
    ) -> Iterator[TilePart]:
        """Yield all tiles from row `first` on, part by part, `PART` tiles in each but the last.

        Parameters
        ----------
        coords : array of int64, shape (N, 2)
            Upper left corners in level-0 pixels, in the order of `block_order`.
        stain : callable, optional
            Takes tiles to tiles and their stain status; it runs in the reading threads.
        first : int
            Row to begin with, a multiple of `PART`.
        """
        read = partial(self._read, coords, stain)
        starts = range(first, len(coords), PART)
        yield from map_in_order(self._executor, read, starts, window=self._threads + 1)

    def _read(self, coords: NDArray[np.int64], stain: Stain | None, start: int) -> TilePart:
        import numpy as np

        from histograft.imaging.slide_tiles import TileStatus, read_tiles

        tiles, status = read_tiles(
            self._slide(), coords[start : start + PART], self._spec, upsample=self._upsample
        )
        stained = np.zeros(len(tiles), np.uint8)
        good = np.flatnonzero(status == TileStatus.READ)
        if stain is not None and len(good):
            tiles[good], stained[good] = stain(tiles[good])
        return TilePart(start, tiles, status, stained)

    def _slide(self) -> Slide:
        """Return the thread's own handle of the slide."""
        from histograft.imaging.slide import open_slide

        if not hasattr(self._local, "slide"):
            self._local.slide = open_slide(self._path, mpp=self._mpp)
            self._opened.append(self._local.slide)
        slide: Slide = self._local.slide
        return slide
