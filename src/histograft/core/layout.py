"""What lies where in an artefact's folder, and which files belong to the artefact."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from histograft.core.files import PARTIAL_PREFIX

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
WORK_FOLDER = ".work"


def list_files(path: Path) -> list[str]:
    """Files that belong to the artefact in `path`, sorted, as POSIX paths below it.

    Manifest, work folder, half-written files and artefacts in folders below do not belong.
    """
    names: list[str] = []
    for folder, subfolders, files in os.walk(path):
        here = Path(folder)
        if here != path and ({MANIFEST, UNFINISHED} & set(files)):
            subfolders.clear()
            continue
        subfolders[:] = [name for name in subfolders if name != WORK_FOLDER]
        names += [
            (here / name).relative_to(path).as_posix()
            for name in files
            if name not in (MANIFEST, UNFINISHED) and not name.startswith(PARTIAL_PREFIX)
        ]
    return sorted(names)


def remove_partials(path: Path) -> None:
    """Remove what processes that were killed had half written."""
    for partial in path.rglob(f"{PARTIAL_PREFIX}*"):
        partial.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what only an unfinished artefact needs; it does no harm where it stays."""
    with suppress(OSError):
        (path / UNFINISHED).unlink(missing_ok=True)
    shutil.rmtree(path / WORK_FOLDER, ignore_errors=True)
