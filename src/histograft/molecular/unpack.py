"""See through gzip and zip: what is compressed is known by its first bytes, not by its name."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from histograft.core.errors import InputError

_GZIP, _ZIP, _XLS = b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_TAR_MAGIC = slice(257, 262)
_BUFFER_BYTES = 1 << 20
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)


def unpacked(stream: BinaryIO, name: str) -> io.BufferedReader:
    """Return the bytes of a table that may be compressed with gzip or zip.

    Parameters
    ----------
    stream : binary file
        Open for reading. It stays the caller's, who closes it.
    name : str
        Its name, for messages.

    Returns
    -------
    io.BufferedReader
        Of the uncompressed bytes.

    Raises
    ------
    InputError
        It is empty, a spreadsheet, a tar archive, or a zip archive with several files or a
        password.

    Examples
    --------
    >>> unpacked(io.BytesIO(gzip.compress(b"a table")), "a.gz").read()
    b'a table'
    """
    plain = buffered(stream)
    with damage_explained(name):
        start = plain.peek(4)[:4]
        if not start:
            raise InputError(f"{name} is empty", "copy it again from its source")
        if start == _XLS:
            raise _spreadsheet(name)
        if start.startswith(_GZIP):
            plain = buffered(cast(BinaryIO, gzip.GzipFile(fileobj=plain)))
        elif start == _ZIP:
            plain = _only_member(plain, name)
        if plain.peek(512)[_TAR_MAGIC] == b"ustar":
            raise InputError(
                f"{name} is a tar archive of several files",
                "unpack it (tar -xf) and give the files in it",
            )
    return plain


@contextmanager
def damage_explained(name: str) -> Iterator[None]:
    """Turn what decompression raises on damaged files into an error that says what to do."""
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            f"{name} is damaged or cut short ({error})", "copy it again from its source"
        ) from error


class Borrowed(io.RawIOBase):
    """A stream that is not closed with its reader, with some bytes put back to its front.

    Parameters
    ----------
    stream : binary file
        Where to read on.
    front : bytes
        What comes first.
    """

    def __init__(self, stream: BinaryIO, front: bytes = b"") -> None:
        self._stream, self._front = stream, front

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer; return the number of bytes."""
        found = self._front[: len(buffer)] or self._stream.read(len(buffer)) or b""
        self._front = self._front[len(found) :]
        buffer[: len(found)] = found
        return len(found)


def buffered(stream: BinaryIO, front: bytes = b"") -> io.BufferedReader:
    """Return a reader of a `Borrowed` stream."""
    return io.BufferedReader(Borrowed(stream, front), _BUFFER_BYTES)


def _only_member(stream: io.BufferedReader, name: str) -> io.BufferedReader:
    # The list of a zip archive is at its end.
    archive = zipfile.ZipFile(io.BytesIO(stream.read()))
    names = [n for n in archive.namelist() if not n.endswith("/") and "__MACOSX" not in n]
    if "[Content_Types].xml" in names:
        raise _spreadsheet(name)
    if len(names) != 1:
        raise InputError(
            f"{name} holds {len(names)} files ({', '.join(names[:3])} …)",
            "unpack it and give one of them",
        )
    try:
        return buffered(cast(BinaryIO, archive.open(names[0])))
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{name} cannot be unpacked here: {error}", "unpack it and give the file in it"
        ) from error


def _spreadsheet(name: str) -> InputError:
    return InputError(
        f"{name} is a spreadsheet, in which gene names such as SEPT2 may have become dates",
        "take the text file that it was made from, or save it as tab-separated UTF-8 text",
    )
