"""Keep freed memory for the next step instead of giving it back to the system.

A training step on a CPU allocates and frees gigabytes of activations. The C library maps each
large block anew and returns it when it is freed, so the kernel has to clear every page again in
every step. Measured with MobileNetV2 at 224 px on two cores, that was half of the processor time:
see ``benchmarks/kept_memory.py``.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Options of mallopt(3) and their defaults in glibc.
_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD = -1, 128 * 1024
_M_MMAP_MAX, _DEFAULT_MMAP_MAX = -4, 65536
_NEVER_TRIM = 2**31 - 1


@contextmanager
def kept_memory(device_type: str) -> Iterator[bool]:
    """Hold on to freed memory inside the block; give it back on leaving.

    Only where it helps: on a CPU under glibc. Results do not change.

    Parameters
    ----------
    device_type : str
        ``"cpu"``, ``"cuda"`` and so on.

    Yields
    ------
    bool
        Whether memory is kept.

    Examples
    --------
    >>> with kept_memory("cuda") as kept:
    ...     kept
    False
    """
    library = _glibc() if device_type == "cpu" else None
    if library is None:
        yield False
        return
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)
    try:
        yield True
    finally:
        library.mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
        library.mallopt(_M_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    # musl and other C libraries have neither function.
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
