"""What libraries raise on damaged slides becomes an error that names the slide."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from histograft.core.errors import InputError

# Decoders were not written for damaged files: bytes changed at random made them divide by zero,
# miss keys and ask for absurd amounts of memory, deep below the readers of `imaging`.
DECODER_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def named_faults(name: str) -> Iterator[None]:
    """Turn faults of decoders into an `InputError` that names the slide.

    Parameters
    ----------
    name : str
        Name of the slide's file.

    Raises
    ------
    InputError
        A decoder failed.

    Examples
    --------
    >>> with named_faults("a.svs"):
    ...     1 / 0
    Traceback (most recent call last):
    histograft.core.errors.InputError: ...
    """
    try:
        yield
    except DECODER_FAULTS as error:
        words = str(error) or "no reason is given"
        raise InputError(
            f"{name} cannot be decoded ({type(error).__name__}: {words})",
            "copy it again from its source, convert it to a tiled pyramidal TIFF, or take it out",
        ) from error
