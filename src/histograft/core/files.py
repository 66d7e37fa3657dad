"""Writing a file so that it is whole or absent: close, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from histograft.core.errors import ArtefactError, HistograftError

PARTIAL_PREFIX = ".partial-"
# A disk with less than this counts as full where writing failed for an unnamed reason.
FULL_BYTES = 1 << 16


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256 (hexadecimal) of a file."""

    size: int
    sha256: str


def hash_file(path: Path) -> FileRecord:
    """Read a file once and return its size and SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileRecord(file.tell(), digest.hexdigest())


@contextmanager
def explained_disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk and a folder that may not be written into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ArtefactError(
                f"no space is left on the disk while writing {path}",
                "free some space and run the same command again: finished work is kept",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ArtefactError(
                f"{path} may not be written ({error.strerror})",
                "choose another --out, or change the permissions of the folder",
            ) from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise ArtefactError(
                f"{path} cannot be made: a file stands where a folder is needed",
                "choose another --out",
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise ArtefactError(
                f"{path} is too long a name for this disk", "choose a shorter --out"
            ) from error
        raise


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Yield a hidden sibling of `path` to write to; on leaving it becomes `path`, whole.

    The sibling keeps the file's ending, because libraries choose a format by it. If the block
    raises, the sibling is removed and `path` stays as it was.

    Parameters
    ----------
    path : pathlib.Path
        The file that is to exist; its folder is made.

    Yields
    ------
    pathlib.Path
        Where to write.
    """
    with explained_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(_partial_name(path.name))
        try:
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException as error:
            full = _is_full_disk(error, path.parent)  # asked before space is given back
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise
        _sync_folder(path.parent)


def _is_full_disk(error: BaseException, folder: Path) -> bool:
    """Whether `error` is a library's other word for a full disk.

    PyTorch raises RuntimeError ("unexpected pos"), safetensors an error of its own in Rust's words
    and removes what it wrote.
    """
    if not isinstance(error, Exception) or isinstance(error, (OSError, HistograftError)):
        return False
    if f"(os error {errno.ENOSPC})" in str(error):
        return True
    with suppress(OSError):
        return shutil.disk_usage(folder).free < FULL_BYTES
    return False


def write_bytes(path: Path, data: bytes) -> FileRecord:
    """Write `data` atomically and return its record, computed from memory."""
    with written_atomically(path) as partial:
        partial.write_bytes(data)
    return FileRecord(len(data), hashlib.sha256(data).hexdigest())


def write_once(path: Path, data: bytes) -> bool:
    """Write `data` to a file that does not exist yet, whole; False where another process was first.

    Unlike `write_bytes` it never replaces a file, so of several processes exactly one succeeds.
    """
    partial = path.with_name(_partial_name(path.name))
    with explained_disk_errors(path):
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(partial, path)
            except (FileExistsError, FileNotFoundError):
                return False
            except OSError:  # a disk without hard links: whole all the same, but not exclusive
                partial.replace(path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    # A rename survives a power cut only when its folder is synced too; some systems cannot.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _partial_name(name: str) -> str:
    # Names are limited to 255 bytes; the end is kept because libraries read the format from it.
    prefix = f"{PARTIAL_PREFIX}{os.getpid()}-"
    tail = name.encode()[-(255 - len(prefix)) :].decode(errors="ignore")
    return prefix + tail
