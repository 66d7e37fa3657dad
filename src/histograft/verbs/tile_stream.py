"""Tiles of a slide, read ahead in threads while a network is at work on those before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from histograft.core.executor import available_cores, map_in_order
from histograft.verbs.slide_faults import named_faults

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from histograft.core.units import TileSpec
    from histograft.imaging.slide import Slide

# Tiles that one thread reads together: so many, or fewer where they are large.
MOST_TILES, MOST_BYTES = 64, 32 << 20
# One reads several hundred tiles a second, so that more only take memory.
MOST_THREADS = 8

Stain = Callable[["NDArray[np.uint8]"], "tuple[NDArray[np.uint8], NDArray[np.uint8]]"]


@dataclass(frozen=True)
class TilePart:
    """Tiles that were read together, in the order of their coordinates.

    Attributes
    ----------
    tiles : array of uint8, shape (n, tile_px, tile_px, 3)
        RGB.
    status : array of uint8, shape (n,)
        `histograft.imaging.slide_tiles.TileStatus` of each.
    stain_status : array of uint8, shape (n,)
        `histograft.imaging.stain.StainStatus` of each, or zeros.
    """

    tiles: NDArray[np.uint8]
    status: NDArray[np.uint8]
    stain_status: NDArray[np.uint8]


def reading_threads(wanted: int | None) -> int:
    """Threads that read: as many as wanted, else one for each core, but not above `MOST_THREADS`.

    Examples
    --------
    >>> reading_threads(3), reading_threads(0), reading_threads(None) <= MOST_THREADS
    (3, 1, True)
    """
    return min(available_cores(), MOST_THREADS) if wanted is None else max(1, wanted)


def tiles_at_once(tile_px: int) -> int:
    """Tiles that one thread reads together, a power of two.

    Examples
    --------
    >>> tiles_at_once(224), tiles_at_once(512), tiles_at_once(10_000)
    (64, 32, 1)
    """
    n_tiles = MOST_TILES
    while n_tiles > 1 and n_tiles * 3 * tile_px**2 > MOST_BYTES:
        n_tiles //= 2
    return n_tiles


class TileStream:
    """Reads tiles of one slide in several threads; use it as a context manager.

    Memory is bounded by the number of threads, however large the slide. Leaving it, also by an
    interrupt, ends all reading after the regions that are under way.

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
        self._at_once = tiles_at_once(spec.tile_px)
        self._local = threading.local()
        self._opened: list[Slide] = []
        self._ending = threading.Event()
        self._executor = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._executor.shutdown(cancel_futures=True)
        for slide in self._opened:
            slide.close()

    def parts(
        self, coords: NDArray[np.int64], stain: Stain | None = None
    ) -> Generator[TilePart, None, None]:
        """Yield all tiles, part by part, in order.

        Parameters
        ----------
        coords : array of int64, shape (N, 2)
            Upper left corners in level-0 pixels, in the order of `block_order`.
        stain : callable, optional
            Takes tiles to tiles and their stain status; it runs in the reading threads.

        Yields
        ------
        TilePart
            `tiles_at_once` tiles in each but the last.

        Raises
        ------
        InputError
            The slide cannot be read at all any more; damage in places only makes a status.
        """
        starts = range(0, len(coords), self._at_once)
        chosen = (coords[start : start + self._at_once] for start in starts)
        read = partial(self._read, stain)
        yield from map_in_order(self._executor, read, chosen, window=self._threads + 1)

    def _read(self, stain: Stain | None, coords: NDArray[np.int64]) -> TilePart:
        import numpy as np

        from histograft.imaging.slide_tiles import TileStatus, iter_tile_blocks

        side = self._spec.tile_px
        tiles = np.zeros((len(coords), side, side, 3), np.uint8)
        status, stained = np.zeros((2, len(coords)), np.uint8)
        with named_faults(self._path.name):
            for block in iter_tile_blocks(
                self._slide(), coords, self._spec, upsample=self._upsample
            ):
                tiles[block.index], status[block.index] = block.tiles, block.status
                if self._ending.is_set():  # nobody waits for this part any more
                    break
        good = np.flatnonzero(status == TileStatus.READ)
        if stain is not None and len(good):
            tiles[good], stained[good] = stain(tiles[good])
        return TilePart(tiles, status, stained)

    def _slide(self) -> Slide:
        """Return the thread's own handle of the slide."""
        from histograft.imaging.slide import open_slide

        if not hasattr(self._local, "slide"):
            self._local.slide = open_slide(self._path, mpp=self._mpp)
            self._opened.append(self._local.slide)
        slide: Slide = self._local.slide
        return slide
