"""Pieces of tissue of any size: how they are grouped into passes, decoded and prepared."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError

Job = TypeVar("Job")
Result = TypeVar("Result")
Shape = tuple[int, int]
_AHEAD = 2  # passes that are prepared while one is computed


class PieceSource(Protocol):
    """Images of any size, by number."""

    def __len__(self) -> int:
        """Return the number of pieces."""
        ...

    def shape(self, index: int) -> Shape:
        """Return (height, width) of piece `index` in pixels, without decoding it."""
        ...

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return piece `index`, uint8 (H, W, 3); it must be the same at every call."""
        ...


@dataclass(frozen=True)
class Pieces:
    """A split: what the network that learns sees, and what goes with it.

    Attributes
    ----------
    images : PieceSource
        At the scale of the network that learns.
    labels : int array (N,) or None
        Classes, where they are known.
    fine : PieceSource or None
        The same pieces at the scale of a teacher.

    Raises
    ------
    InputError
        There is no piece, or the parts differ in their number of pieces.
    """

    images: PieceSource
    labels: NDArray[Any] | None = None
    fine: PieceSource | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if n == 0:
            raise InputError("there is no piece to learn from", "give at least one")
        for name, part in (("labels", self.labels), ("pieces at the teacher's scale", self.fine)):
            if part is not None and len(part) != n:
                raise InputError(
                    f"{n} pieces and {len(part)} {name}", "give one for each piece, in one order"
                )

    def __len__(self) -> int:
        return len(self.images)


def check_stride(source: PieceSource, least_px: int) -> None:
    """Refuse pieces that are smaller than the network's stride.

    Raises
    ------
    InputError
        With the number of such pieces, and one of them.
    """
    small = [i for i in range(len(source)) if min(source.shape(i)) < least_px]
    if small:
        height, width = source.shape(small[0])
        raise InputError(
            f"{len(small)} of {len(source)} pieces are smaller than the network's stride of "
            f"{least_px} px (piece {small[0]} has {width} × {height} px)",
            "leave them out, or use a finer scale",
        )


def passes(
    indices: Iterable[int], shapes: Callable[[int], Sequence[Shape]], most_pixels: int | None
) -> list[list[int]]:
    """Group pieces of equal shapes, so that each group can pass a network as one batch.

    Parameters
    ----------
    indices : iterable of int
        Pieces of one step.
    shapes : callable
        From a piece to its (height, width) at each scale that is read.
    most_pixels : int or None
        Most pixels of a group at its finest scale, unless it is one piece; None: each piece passes
        alone.

    Returns
    -------
    list of list of int
        In the order in which each group's first piece occurs.

    Examples
    --------
    >>> sizes = [(32, 32), (64, 32), (32, 32), (32, 32)]
    >>> passes(range(4), lambda i: [sizes[i]], 2048)
    [[0, 2], [1], [3]]
    >>> passes(range(3), lambda i: [sizes[i]], None)
    [[0], [1], [2]]
    """
    groups: list[list[int]] = []
    opened: dict[tuple[Shape, ...], list[int]] = {}
    for index in indices:
        key = tuple(shapes(index))
        largest = max(height * width for height, width in key)
        group = opened.get(key)
        if group is None or most_pixels is None or (len(group) + 1) * largest > most_pixels:
            group = opened[key] = []
            groups.append(group)
        group.append(index)
    return groups


class Budget:
    """Bytes of memory that all that is remembered in a run shares.

    Parameters
    ----------
    free : int
        How many there are.

    Examples
    --------
    >>> budget = Budget(10)
    >>> budget.take(7), budget.take(7), budget.free
    (True, False, 3)
    """

    def __init__(self, free: int) -> None:
        self.free = free

    def take(self, n: int) -> bool:
        """Take n bytes, if they are there."""
        if n > self.free:
            return False
        self.free -= n
        return True


class Decoded:
    """Pieces of a source, decoded once as long as they fit into memory.

    Parameters
    ----------
    source : PieceSource
        Where they come from.
    budget : Budget
        Decoded pieces are kept as long as there is room.
    """

    def __init__(self, source: PieceSource, budget: Budget) -> None:
        self.source = source
        self._budget = budget
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.source)

    def shape(self, index: int) -> Shape:
        """Return (height, width) of a piece."""
        return self.source.shape(index)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return a piece, from memory if it was kept.

        Raises
        ------
        InputError
            It is not uint8 (H, W, 3), or not of the size that the source stated.
        """
        if (kept := self._kept.get(index)) is not None:
            return kept
        image = self.checked(index)
        if self._budget.take(image.nbytes):
            self._kept[index] = image = np.array(image, order="C")
        return image

    def checked(self, index: int) -> NDArray[np.uint8]:
        """Return a piece without keeping it, for those who look at each once.

        Raises
        ------
        InputError
            As for `image`.
        """
        image = self.source.image(index)
        expected = (*self.source.shape(index), 3)
        if image.dtype != np.uint8 or image.shape != expected:
            raise InputError(
                f"piece {index} is {image.dtype} {image.shape}, not uint8 {expected}",
                "give color images of 8 bits, with their true sizes",
            )
        return image


def ahead(
    jobs: Iterable[Job], prepare: Callable[[Job], Result]
) -> Generator[tuple[Job, Result], None, None]:
    """Yield jobs with what another thread prepares for them while the caller computes.

    Examples
    --------
    >>> list(ahead([1, 2, 3], lambda n: n * n))
    [(1, 1), (2, 4), (3, 9)]
    """
    with ThreadPoolExecutor(1) as thread:
        waiting: list[tuple[Job, Future[Result]]] = []
        try:
            for job in jobs:
                waiting.append((job, thread.submit(prepare, job)))
                if len(waiting) > _AHEAD:
                    first, future = waiting.pop(0)
                    yield first, future.result()
            while waiting:
                first, future = waiting.pop(0)
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
