"""Prove that artefacts on disk are what their manifests say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from histograft.core.artefact import (
    MANIFEST,
    UNFINISHED,
    Artefact,
    list_files,
    open_artefact,
)
from histograft.core.claims import has_failed
from histograft.core.errors import ArtefactError, HistograftError
from histograft.core.files import FileRecord, hash_file
from histograft.core.identity import Identity


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an artefact.

    Attributes
    ----------
    artefact : pathlib.Path
        Its folder.
    file : str
        The file below it, or ``"manifest.json"``.
    problem : str
        One of ``missing``, ``truncated``, ``grown``, ``changed``, ``unlisted``, ``not finite``,
        ``unreadable`` and ``unfinished``.
    detail : str
        The measured values.
    """

    artefact: Path
    file: str
    problem: str
    detail: str


@dataclass(frozen=True)
class Verified:
    """What `verify` found at one artefact; `kind` is empty where its manifest cannot be read."""

    path: Path
    kind: str
    n_files: int
    n_bytes: int
    findings: tuple[Finding, ...]


def verify(path: Path | str) -> list[Verified]:
    """Re-hash every artefact at or below a folder.

    Parameters
    ----------
    path : path-like
        A folder.

    Returns
    -------
    list of Verified
        One per artefact, in the order of their paths.

    Raises
    ------
    ArtefactError
        No artefact lies at or below the folder.
    """
    results = [_verify_one(folder) for folder in find_artefacts(Path(path))]
    if not results:
        raise ArtefactError(
            f"no artefact lies at or below {path}", "give a folder that a histograft command wrote"
        )
    return results


def find_artefacts(path: Path) -> Iterator[Path]:
    """Yield folders at or below `path` that hold an artefact, finished or not."""
    for folder, subfolders, files in os.walk(path):
        subfolders.sort()
        if MANIFEST in files or UNFINISHED in files:
            yield Path(folder)


def _verify_one(path: Path) -> Verified:
    if not (path / MANIFEST).exists():
        detail = "run its command again to resume"
        if has_failed(path):
            detail = "it failed: mend what it named, then run its command again"
        finding = Finding(path, UNFINISHED, "unfinished", detail)
        return Verified(path, "", 0, 0, (finding,))
    try:
        artefact = open_artefact(path)
        records = artefact.files
        expected_id = Identity.from_json(artefact.manifest).id
    except (HistograftError, OSError, KeyError, TypeError, AttributeError) as error:
        return Verified(path, "", 0, 0, (Finding(path, MANIFEST, "unreadable", str(error)),))
    findings = []
    if artefact.id != expected_id:
        detail = "the id does not follow from the configuration, inputs and seed"
        findings.append(Finding(path, MANIFEST, "changed", detail))
    findings += [f for name, record in records.items() for f in _check(artefact, name, record)]
    findings += [
        Finding(path, name, "unlisted", "not in the manifest")
        for name in list_files(path)
        if name not in records
    ]
    n_bytes = sum(record.size for record in records.values())
    return Verified(path, artefact.kind, len(records), n_bytes, tuple(findings))


def _check(artefact: Artefact, name: str, record: FileRecord) -> Iterator[Finding]:
    file = artefact.path / name
    if not file.is_file():
        yield Finding(artefact.path, name, "missing", f"{record.size:,} bytes expected")
        return
    size = file.stat().st_size
    if size != record.size:
        problem = "truncated" if size < record.size else "grown"
        yield Finding(artefact.path, name, problem, f"{size:,} bytes, {record.size:,} expected")
        return
    try:
        found = hash_file(file)
    except OSError as error:
        yield Finding(artefact.path, name, "unreadable", str(error.strerror))
        return
    if found.sha256 != record.sha256:
        yield Finding(
            artefact.path,
            name,
            "changed",
            f"SHA-256 {found.sha256[:12]}…, {record.sha256[:12]}… expected",
        )
        return
    if artefact.kind == "features" and file.suffix == ".h5":
        try:
            yield from _check_finite(artefact.path, name)
        except OSError as error:  # h5py's word for a file that is no HDF5
            yield Finding(artefact.path, name, "unreadable", str(error))


def _check_finite(path: Path, name: str) -> Iterator[Finding]:
    import h5py
    import numpy as np

    with h5py.File(path / name, "r") as file:
        for key, dataset in file.items():
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f":
                continue
            rows = max(1, (1 << 24) // max(1, int(np.prod(dataset.shape[1:]))))
            broken = 0
            for start in range(0, dataset.shape[0] if dataset.shape else 0, rows):
                block = dataset[start : start + rows].reshape(-1, *dataset.shape[1:])
                axes = tuple(range(1, block.ndim))
                broken += int((~np.isfinite(block)).any(axis=axes).sum())
            if broken:
                yield Finding(
                    path, name, "not finite", f"{broken:,} row(s) of {key!r} hold NaN or infinity"
                )
