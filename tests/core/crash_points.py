"""Write an artefact and die at each call that changes the disk, one after the other; resume.

Run by `test_killed.py` in a process without threads, because it forks. Prints one JSON object:
the number of points, and what was wrong after resuming. With the word "failed" the folder holds
what another run left that failed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from histograft.core.artefact import Artefact, Identity, claim, list_files, open_artefact
from histograft.core.errors import InputError
from histograft.core.files import PARTIAL_PREFIX, written_atomically
from histograft.core.verify import verify

CALLS = ("fsync", "replace", "link", "unlink", "mkdir", "rmdir")
DIED = 9
IDENTITY = Identity("patches", "standardize", 1, {"patch_px": 224}, (), 0)
INNER = Identity("network", "train", 1, {"tune": "head"}, (), 0)
FAILED = Identity("patches", "standardize", 1, {"patch_px": 272}, (), 0)


def work(folder: Path) -> None:
    """Make an artefact with checkpoints, several files and an artefact below it."""
    claimed = claim(folder, IDENTITY)
    if isinstance(claimed, Artefact):
        return
    with claimed as draft:
        for number in range(2):
            step = draft.work / f"{number}.txt"
            if not step.exists():
                with written_atomically(step) as partial:
                    partial.write_text(str(number))
            draft.write_text(f"images/{number}.txt", f"pixels {number}" * 100)
        inner = claim(folder / "step1", INNER)
        if not isinstance(inner, Artefact):
            with inner:
                inner.write_text("weights.txt", "w")
                inner.finish()
        with draft.writing("metadata.txt") as partial:
            partial.write_text("table")
        draft.finish({"n": 2})


def fail(folder: Path) -> None:
    """Leave what a run leaves that cannot use its input."""
    with suppress(InputError), claim(folder, FAILED) as draft:
        (draft.work / "0.txt").write_text("another run's checkpoint")
        draft.write_text("images/0.txt", "another run's pixels")
        draft.write_text("images/deep/9.txt", "more of them")
        raise InputError("an image is empty")


def die_at(point: int) -> None:
    """Make the process end, with no clean-up, before or after the call number `point` // 2."""
    count = 0

    def dying(call):
        def wrapped(*args, **kwargs):
            nonlocal count
            if count == point:
                os._exit(DIED)
            count += 1
            result = call(*args, **kwargs)
            if count == point:
                os._exit(DIED)
            count += 1
            return result

        return wrapped

    for name in CALLS:
        setattr(os, name, dying(getattr(os, name)))


def in_child(folder: Path, point: int | None) -> int:
    """Work in a child process and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if point is not None:
                die_at(point)
            work(folder)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hashes(folder: Path) -> dict:
    return {name: record.sha256 for name, record in open_artefact(folder).files.items()}


def problems(folder: Path, expected: dict) -> list[str]:
    """Say what is wrong with a resumed artefact."""
    wrong = [f"{f.file}: {f.problem}" for result in verify(folder) for f in result.findings]
    if hashes(folder) != expected or list_files(folder) != sorted(expected):
        wrong.append("other files than without a kill")
    wrong += [f"{p.name} is left" for p in folder.rglob(f"{PARTIAL_PREFIX}*")]
    wrong += [
        f"{name} is left" for name in (".work", "unfinished.json") if (folder / name).exists()
    ]
    return wrong


def main(base: Path, *, after_failure: bool) -> None:
    # A process that dies loses nothing that it wrote: the place of an fsync matters, not its wait.
    os.fsync = lambda _: None
    work(base / "reference")
    expected = hashes(base / "reference")
    wrong, point = {}, 0
    while True:
        folder = base / "killed"
        if after_failure:
            fail(folder)
        code = in_child(folder, point)
        if code == 0:
            break
        again = in_child(folder, None)
        found = problems(folder, expected) if again == 0 else [f"resuming ended with {again}"]
        if code != DIED:
            found.append(f"ended with {code}, not by the kill")
        if found:
            wrong[point] = found
        shutil.rmtree(folder)
        point += 1
    json.dump({"points": point, "wrong": wrong}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), after_failure="failed" in sys.argv[2:])
