"""Whose folder it is: the note and the lock of unfinished work, and work that failed.

``unfinished.json`` says what is being made, and its lock says that somebody is at it. A run that
ends with an error that it would meet again adds to it which files it wrote: so the next run, which
has another identity as soon as the input was mended or an option changed, may put its own in their
place, and only in theirs.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from histograft.core.errors import ArtefactError, InUseError
from histograft.core.files import PARTIAL_PREFIX, FileRecord, write_bytes, write_once
from histograft.core.identity import Identity
from histograft.core.layout import MANIFEST, UNFINISHED, WORK_FOLDER, list_files, remove_partials

# In the note of a run that failed: path of each file that it wrote, to its size.
FAILED = "failed"
# Settings that a refusal names, and characters of a value of one.
MOST_NAMED, LONGEST_VALUE = 4, 60


@dataclass(frozen=True)
class Claim:
    """A folder that this process may fill.

    Attributes
    ----------
    lock : file
        The open note; closing it gives the folder up, and so does the end of the process.
    resumed : bool
        Whether earlier work of the same identity is in the folder.
    """

    lock: IO[str]
    resumed: bool


def take(path: Path, identity: Identity) -> Claim | None:
    """Begin, resume, or take over from a run that failed.

    Parameters
    ----------
    path : pathlib.Path
        A folder without a manifest.
    identity : Identity
        What is to be made.

    Returns
    -------
    Claim or None
        None where the folder changed meanwhile: look at it again.

    Raises
    ------
    ArtefactError
        The folder holds something else, or another process writes into it.
    """
    resumed = (path / UNFINISHED).exists()
    if not resumed and not _begin(path, identity):
        return None
    lock = _lock(path / UNFINISHED)
    if lock is None:
        return None
    try:
        if _settled(path, lock, identity):
            remove_partials(path)
            return Claim(lock, resumed)
    except BaseException:
        lock.close()
        raise
    lock.close()
    return None


def mark_failed(path: Path, identity: Identity, records: Mapping[str, FileRecord]) -> None:
    """Write down, still under the lock, that a run failed and which files it wrote."""
    if not (path / UNFINISHED).exists() or (path / MANIFEST).exists():
        return
    sizes = {name: record.size for name, record in records.items()}
    with suppress(ArtefactError, OSError):  # without the mark the folder is unfinished, no more
        _write_note(path, identity, {FAILED: sizes})


def give_up(path: Path, identity: Identity) -> None:
    """Let another artefact take the place of a finished one, as of work that failed.

    For an artefact inside of one that is being made, such as the first of two steps: where the
    outer run failed and was taken over with other options, the inner one is left of the run before.
    What is the same, of another verb, or absent stays as it is, and so does a folder with files
    that the artefact does not know: that one is then refused as any other artefact.

    Parameters
    ----------
    path : pathlib.Path
        A folder inside of a folder that this process holds.
    identity : Identity
        What is to be made there.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        theirs = {key: manifest[key] for key in identity.as_json()}
        sizes = {name: record["size"] for name, record in manifest["files"].items()}
    except (OSError, ValueError, LookupError, TypeError):
        return
    same_verb = (theirs["kind"], theirs["verb"]) == (identity.kind, identity.verb)
    if not same_verb or theirs["id"] == identity.id or set(list_files(path)) != set(sizes):
        return
    note = json.dumps(theirs | {FAILED: sizes}, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path / UNFINISHED, note.encode())
    (path / MANIFEST).unlink()


def has_failed(path: Path) -> bool:
    """Whether the unfinished work in a folder ended with an error that it would meet again."""
    with suppress(OSError), (path / UNFINISHED).open(encoding="utf-8") as file:
        return FAILED in _read_note(file)
    return False


def refusal(what: str, theirs: Mapping[str, Any], identity: Identity) -> ArtefactError:
    """Say whose folder it is, and the settings in which that differs from what is made."""
    name = f"{theirs.get('kind', '?')} {str(theirs.get('id', '?'))[:12]}"
    return ArtefactError(
        f"{what}: {name}{_differences(theirs, identity)}",
        "choose another --out, or delete that folder if it is no longer needed",
    )


def in_use(path: Path) -> InUseError:
    """Say that another process is at work in a folder."""
    return InUseError(
        f"another process is writing {path}", "wait for it to end, or choose another --out"
    )


def _begin(path: Path, identity: Identity) -> bool:
    """Write the note into a new folder; False where another process was first."""
    if path.exists() and (not path.is_dir() or _holds_files(path)):
        raise ArtefactError(
            f"{path} exists and was not made by histograft, or its {UNFINISHED} is gone",
            "choose another --out: a folder that is new or empty",
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # such as in /proc
        raise ArtefactError(
            f"{path} cannot be made: no folder can be made there", "choose another --out"
        ) from error
    return write_once(path / UNFINISHED, _note(identity, {}))


def _holds_files(path: Path) -> bool:
    # A process that is killed before its first file is whole leaves only a half-written one.
    return any(not item.name.startswith(PARTIAL_PREFIX) for item in path.iterdir())


def _settled(path: Path, lock: IO[str], identity: Identity) -> bool:
    """Whether the note under our lock is ours and its work can go on; False where we changed it."""
    note = _read_note(lock)
    if note.get("id") != identity.id:
        same_verb = (note.get("kind"), note.get("verb")) == (identity.kind, identity.verb)
        if FAILED not in note or not same_verb:
            raise refusal(f"{path} holds unfinished work of another run", note, identity)
        _remove_failed(path, note[FAILED])
    elif FAILED not in note:
        return True
    _write_note(path, identity, {})  # a new file, which is not the one that we hold the lock of
    return False


def _remove_failed(path: Path, sizes: Mapping[str, int]) -> None:
    """Remove what a failed run wrote; refuse, before anything is removed, if there is more."""
    names = list_files(path)
    for name in names:
        if sizes.get(name) != (path / name).lstat().st_size:
            raise ArtefactError(
                f"{path} holds what a failed run left, and {name}, which was not made by it or was "
                "changed since",
                "move that file elsewhere, or choose another --out",
            )
    for name in names:
        (path / name).unlink(missing_ok=True)
    for folder in sorted({f for name in names for f in (path / name).parents}, reverse=True):
        if folder != path and folder.is_relative_to(path):
            with suppress(OSError):  # not empty
                folder.rmdir()
    shutil.rmtree(path / WORK_FOLDER, ignore_errors=True)


def _note(identity: Identity, more: Mapping[str, Any]) -> bytes:
    text = json.dumps(identity.as_json() | dict(more), indent=2, ensure_ascii=False) + "\n"
    return text.encode()


def _write_note(path: Path, identity: Identity, more: Mapping[str, Any]) -> None:
    write_bytes(path / UNFINISHED, _note(identity, more))


def _read_note(file: IO[str]) -> dict[str, Any]:
    try:
        note = json.load(file)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return note if isinstance(note, dict) else {}


def _lock(path: Path) -> IO[str] | None:
    """Open a file and lock it; the system releases the lock with the process, however it ends.

    None where the file that was locked is no longer the one on disk, because another process
    finished the artefact between our look and our lock.
    """
    try:
        lock = path.open("r+", encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise in_use(path.parent) from error
    except (ImportError, OSError):  # a system or disk without locks: the claim is not protected
        pass
    try:
        same = os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        same = False
    if not same or (path.parent / MANIFEST).exists():
        lock.close()
        return None
    return lock


def _differences(theirs: Mapping[str, Any], identity: Identity) -> str:
    """Name the settings in which two identities differ, because that is what users ask."""
    ours = identity.as_json()
    for key in ("kind", "verb", "verb_version"):
        if theirs.get(key) != ours[key]:
            return f" ({key}: there {theirs.get(key)!r}, here {ours[key]!r})"
    found = differing_settings(theirs, _with_seed(ours))
    if not found:
        return " (the input is another one)"
    said = [f"{k}: there {_short(there)}, here {_short(here)}" for k, there, here in found]
    more = [f"and {len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []
    return f" ({'; '.join(said[:MOST_NAMED] + more)})"


def differing_settings(
    theirs: Mapping[str, Any], settings: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """Compare the settings of a manifest, or of a note of unfinished work, with others.

    Parameters
    ----------
    theirs : mapping
        The manifest.
    settings : mapping
        The configuration and the ``seed`` of what is to be made, as JSON values.

    Returns
    -------
    list of (str, value there, value here)
        Of each that differs, the seed first.
    """
    config = _with_seed(theirs)
    ours = json.loads(json.dumps(settings))
    names = ["seed", *sorted((set(config) | set(ours)) - {"seed"})]
    pairs = [(name, config.get(name), ours.get(name)) for name in names]
    return [(name, there, here) for name, there, here in pairs if there != here]


def _with_seed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the root seed; where there is none, a setting may be called so."""
    config = dict(manifest.get("config", {}))
    return config if manifest.get("seed") is None else config | {"seed": manifest["seed"]}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
