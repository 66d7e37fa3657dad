"""Artefacts: folders with data and a manifest that is written last.

This is the only code that knows the disk format (`docs/formats.md`). A verb describes what it
is about to make with an `Identity` and claims its folder:

* the folder holds that very artefact, finished: it is returned,
* it holds the same artefact, unfinished: work resumes,
* it holds what a run of the same verb left that failed: that is replaced,
* it holds anything else: the claim is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from histograft.core.claims import Claim, in_use, mark_failed, refusal, take
from histograft.core.errors import ArtefactError, HistograftError
from histograft.core.files import (
    FileRecord,
    explained_disk_errors,
    hash_file,
    write_bytes,
    written_atomically,
)
from histograft.core.identity import SCHEMA_VERSION as SCHEMA_VERSION
from histograft.core.identity import Identity as Identity
from histograft.core.identity import Input as Input
from histograft.core.identity import hash_json as hash_json
from histograft.core.layout import MANIFEST as MANIFEST
from histograft.core.layout import UNFINISHED as UNFINISHED
from histograft.core.layout import WORK_FOLDER, remove_leftovers
from histograft.core.layout import list_files as list_files
from histograft.core.reporter import SILENT, Reporter

# Looks at a folder that other processes claim or finish at the same time.
MOST_NAMED = 4  # artefacts that an error lists
CLAIM_ATTEMPTS = 5
KINDS = ("patches", "network", "features", "predictions", "report")


@dataclass(frozen=True)
class Artefact:
    """A finished artefact.

    Attributes
    ----------
    path : pathlib.Path
        Its folder.
    manifest : dict
        The parsed ``manifest.json``.
    """

    path: Path
    manifest: dict[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return str(self.manifest["kind"])

    @property
    def id(self) -> str:
        """Hash of configuration, inputs and algorithm version."""
        return str(self.manifest["id"])

    @property
    def facts(self) -> dict[str, Any]:
        """What the verb found out and wrote down, such as counts and classes."""
        return dict(self.manifest.get("facts", {}))

    @cached_property
    def files(self) -> dict[str, FileRecord]:
        """Size and SHA-256 of each file, by its path below the folder."""
        return {name: FileRecord(**record) for name, record in self.manifest["files"].items()}

    def file(self, name: str) -> Path:
        """Path of one of the artefact's files.

        Raises
        ------
        ArtefactError
            The manifest does not list it, or the file is gone or of another size.
        """
        record = self.files.get(name)
        path = self.path / name
        if record is None or not path.is_file() or path.stat().st_size != record.size:
            raise ArtefactError(
                f"{path} is missing or damaged",
                f"run `histograft verify {self.path}`, then delete the folder and make it again",
            )
        return path

    def as_input(self, role: str) -> Input:
        """Describe this artefact as the input of another."""
        return Input(role, self.kind, self.id, self.path.resolve().name)


class Draft:
    """An artefact in the making; use it as a context manager.

    Leaving it by an error of the input or the options marks the work as failed, because to run
    again without a change would end alike. Disk errors, bugs and interrupts leave it to be resumed.

    Attributes
    ----------
    path : pathlib.Path
        Its folder.
    identity : Identity
        What it will be.
    resumed : bool
        Whether earlier unfinished work is in the folder.
    """

    def __init__(self, path: Path, identity: Identity, claim: Claim) -> None:
        self.path = path
        self.identity = identity
        self.resumed = claim.resumed
        self._lock = claim.lock
        self._records: dict[str, FileRecord] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, HistograftError) and not isinstance(error, ArtefactError):
            mark_failed(self.path, self.identity, self._records)
        self._lock.close()

    @property
    def work(self) -> Path:
        """Folder for checkpoints; it is removed when the artefact is finished."""
        folder = self.path / WORK_FOLDER
        folder.mkdir(exist_ok=True)
        return folder

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a path to write the file `name` to; it appears whole or not at all."""
        with written_atomically(self.path / name) as partial:
            yield partial
            self._records[name] = hash_file(partial)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, readable by people."""
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file."""
        self._records[name] = write_bytes(self.path / name, text.encode())

    def record(self, name: str, record: FileRecord) -> None:
        """Take note of a file that a worker wrote with `write_bytes`."""
        self._records[name] = record

    def finish(
        self, facts: Mapping[str, Any] | None = None, execution: Mapping[str, Any] | None = None
    ) -> Artefact:
        """Hash what is not hashed yet, write the manifest and return the artefact.

        Parameters
        ----------
        facts : mapping, optional
            What the verb found out; JSON values, no paths.
        execution : mapping, optional
            How it ran (device, workers); JSON values, not part of the id.

        Returns
        -------
        Artefact
            The finished artefact.
        """
        names = list_files(self.path)
        files = {name: self._records.get(name) or hash_file(self.path / name) for name in names}
        manifest = self.identity.as_json() | {
            "packages": package_versions(),
            "execution": dict(execution or {}),
            "facts": dict(facts or {}),
            "files": {name: asdict(record) for name, record in files.items()},
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_bytes(self.path / MANIFEST, text.encode())
        remove_leftovers(self.path)
        self._lock.close()
        return Artefact(self.path, json.loads(text))


def claim(path: Path, identity: Identity) -> Artefact | Draft:
    """Take a folder for an artefact.

    Parameters
    ----------
    path : pathlib.Path
        The folder; made where it does not exist.
    identity : Identity
        What is to be made.

    Returns
    -------
    Artefact or Draft
        The finished artefact if it is there already, else a draft to fill.

    Raises
    ------
    ArtefactError
        The folder holds something else, is in use by another process, or cannot be written.
    """
    path = Path(path)
    hash_json(identity.as_json())  # refuses settings that are no JSON before a folder is made
    with explained_disk_errors(path):
        for _ in range(CLAIM_ATTEMPTS):
            if (path / MANIFEST).exists():
                return _finished(path, identity)
            if (taken := take(path, identity)) is not None:
                return Draft(path, identity, taken)
    raise in_use(path)


def make_once(
    path: Path, identity: Identity, work: Callable[[Draft], Artefact], reporter: Reporter = SILENT
) -> Artefact:
    """Return the artefact that is to be made: as it was found if finished, else as `work` makes it.

    Parameters
    ----------
    path : pathlib.Path
        Its folder, see `claim`.
    identity : Identity
        What is to be made.
    work : callable
        Fills a draft and finishes it.
    reporter : Reporter
        Who is told that nothing had to be done.

    Returns
    -------
    Artefact
        Finished.

    Raises
    ------
    ArtefactError
        As `claim` does.
    """
    draft = claim(path, identity)
    if isinstance(draft, Artefact):
        reporter.note(f"the {identity.kind} artefact is there already ({path})")
        return draft
    with draft:
        return work(draft)


def open_artefact(path: Path | str, kind: str | None = None) -> Artefact:
    """Open a finished artefact.

    Parameters
    ----------
    path : path-like
        Its folder.
    kind : str, optional
        The kind that it must be.

    Returns
    -------
    Artefact
        With the parsed manifest; files are not read (see `histograft.core.verify`).

    Raises
    ------
    ArtefactError
        There is no finished artefact, it is of another kind, or a newer histograft wrote it.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    schema = manifest.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        raise ArtefactError(
            f"{path / MANIFEST} has schema {schema!r}; this histograft reads up to "
            f"{SCHEMA_VERSION}",
            "install the newer histograft that wrote it (pip install -U histograft)",
        )
    lacking = {"kind", "id", "verb", "config", "files"} - manifest.keys()
    if lacking:
        raise ArtefactError(
            f"{path / MANIFEST} lacks {', '.join(sorted(lacking))}",
            "delete the folder and make the artefact again",
        )
    if kind is not None and manifest["kind"] != kind:
        raise ArtefactError(
            f"{path} is a {manifest['kind']} artefact, not {kind}",
            f"give the folder of a {kind} artefact",
        )
    return Artefact(path, manifest)


def is_artefact(path: Path | str) -> bool:
    """Whether the folder holds a finished artefact."""
    return (Path(path) / MANIFEST).is_file()


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change results, where installed."""
    import platform
    from importlib import metadata

    versions = {"python": platform.python_version()}
    for name in (
        "histograft", "numpy", "scipy", "pandas", "scikit-learn", "scikit-image", "pillow",
        "torch", "timm", "h5py",
    ):  # fmt: skip
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_manifest(path) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtefactError(
            f"{path / MANIFEST} is not JSON ({error})",
            "delete the folder and make the artefact again",
        ) from error
    if not isinstance(manifest, dict):
        raise ArtefactError(
            f"{path / MANIFEST} is not a JSON object",
            "delete the folder and make the artefact again",
        )
    return manifest


def _no_manifest(path: Path) -> ArtefactError:
    """Say what is there instead of an artefact, such as several in folders below."""
    if (path / UNFINISHED).exists():
        return ArtefactError(
            f"{path} is unfinished (no {MANIFEST})",
            "run the command that makes it again: it resumes",
        )
    if not path.exists():
        return ArtefactError(f"{path} holds no artefact: it does not exist", "correct the path")
    below = sorted({p.parent.relative_to(path) for p in path.glob(f"*/{MANIFEST}")})
    if not below:
        return ArtefactError(
            f"{path} holds no artefact (no {MANIFEST})",
            "give the folder that a histograft command wrote",
        )
    names = ", ".join(str(path / name) for name in below[:MOST_NAMED])
    more = f" and {len(below) - MOST_NAMED} more" if len(below) > MOST_NAMED else ""
    return ArtefactError(f"{path} is no artefact but holds some", f"give one of {names}{more}")


def _finished(path: Path, identity: Identity) -> Artefact:
    found = open_artefact(path)
    if found.id != identity.id:
        raise refusal(f"{path} holds another artefact", found.manifest, identity)
    for name in found.files:
        found.file(name)
    remove_leftovers(path)
    return found
