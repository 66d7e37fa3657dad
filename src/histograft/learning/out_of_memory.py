"""Memory that runs out: the size of the piece and what helps, instead of an allocator's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from histograft.core.errors import HistograftError


@contextmanager
def memory_told(n: int, *shapes: tuple[int, ...]) -> Iterator[None]:
    """Say how large pieces are where memory runs out inside the block.

    Parameters
    ----------
    n : int
        Pieces that are worked on at once.
    shapes : tuple of (int, int)
        Their (height, width) at each scale, pixels.

    Raises
    ------
    HistograftError
        NumPy or an allocator of PyTorch had no more memory. Other errors pass as they are.

    Examples
    --------
    >>> with memory_told(2, (64, 80), (32, 40)):
    ...     raise MemoryError
    Traceback (most recent call last):
        ...
    histograft.core.errors.HistograftError: memory ran out on 2 piece(s) of 80 × 64 px (5,120 ...
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_of_memory(error):
            raise
        height, width = max(shapes, key=lambda shape: shape[0] * shape[1])
        raise HistograftError(
            f"memory ran out on {n} piece(s) of {width} × {height} px "
            f"({width * height:,} pixels each)",
            "use --checkpointing, --precision bf16-mixed, --augment flips (colors take most), a "
            "smaller --pass-pixels, pieces cut by --max-pixels, or a coarser scale for the teacher",
        ) from error


def _is_of_memory(error: RuntimeError | MemoryError) -> bool:
    # both words occur in what CPU and CUDA allocators say; anything else is not ours to explain
    text = str(error).lower()
    told = "memory" in text and ("alloc" in text or "enough" in text)
    return told or isinstance(error, MemoryError)
