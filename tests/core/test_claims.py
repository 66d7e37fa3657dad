"""A folder belongs to one piece of work and to one process."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histograft.core import artefact as module
from histograft.core import claims
from histograft.core.artefact import Artefact, Draft, claim, is_artefact
from histograft.core.errors import ArtefactError

CLAIM = """
import sys
from pathlib import Path
from histograft.core.artefact import Artefact, Identity, claim
from histograft.core.errors import ArtefactError
sys.stdin.readline()
try:
    claimed = claim(Path(sys.argv[1]), Identity("patches", "standardize", 1, {}))
except ArtefactError as error:
    print("refused", error)
else:
    print("finished" if isinstance(claimed, Artefact) else "draft", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def claimers():
    """Start processes that claim a folder when they are told to."""
    started = []

    def start(folder, n):
        for _ in range(n):
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", CLAIM, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        return started[-n:]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def simple(make_identity):
    return make_identity(config={}, inputs=(), seed=None)


def test_a_finished_artefact_is_returned(tmp_path, identity):
    with claim(tmp_path / "p", identity) as draft:
        draft.write_text("a.txt", "a")
        made = draft.finish()
    before = {p.name: p.stat().st_mtime_ns for p in made.path.iterdir()}
    assert claim(tmp_path / "p", identity) == made
    assert {p.name: p.stat().st_mtime_ns for p in made.path.iterdir()} == before


def test_a_finished_artefact_that_lost_a_file_is_not_returned(tmp_path, identity):
    with claim(tmp_path / "p", identity) as draft:
        draft.write_text("a.txt", "a")
        draft.finish()
    (tmp_path / "p" / "a.txt").unlink()
    with pytest.raises(ArtefactError, match=r"a\.txt is missing.*delete the folder"):
        claim(tmp_path / "p", identity)


def test_unfinished_work_is_resumed(tmp_path, identity):
    with claim(tmp_path / "p", identity) as draft:
        draft.write_text("a.txt", "a")
        (draft.work / "step").write_text("3")
    (tmp_path / "p" / ".partial-9-b.txt").write_text("half")
    with claim(tmp_path / "p", identity) as draft:
        assert draft.resumed
        assert (draft.work / "step").read_text() == "3"
        assert not (tmp_path / "p" / ".partial-9-b.txt").exists()
        assert set(draft.finish().files) == {"a.txt"}


def test_half_written_files_of_the_work_folder_go_too(tmp_path, identity):
    with claim(tmp_path / "p", identity) as draft:
        half = draft.work / ".partial-9-step"
        half.write_text("half")
    with claim(tmp_path / "p", identity):
        assert not half.exists()


def test_a_kill_before_the_first_file_is_whole_can_be_resumed(tmp_path, identity):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / ".partial-9-unfinished.json").write_text("{")
    with claim(tmp_path / "p", identity) as draft:
        assert isinstance(draft, Draft)


def test_a_kill_between_manifest_and_tidying_is_finished(tmp_path, identity, monkeypatch):
    monkeypatch.setattr(module, "remove_leftovers", lambda path: None)
    with claim(tmp_path / "p", identity) as draft:
        draft.write_text("a.txt", "a")
        (draft.work / "step").write_text("3")
        draft.finish()
    monkeypatch.undo()
    assert isinstance(claim(tmp_path / "p", identity), Artefact)
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == ["a.txt", "manifest.json"]


def test_checkpoints_stay_until_the_manifest_stands(tmp_path, identity, monkeypatch):
    def fail(path):
        raise RuntimeError

    with claim(tmp_path / "p", identity) as draft:
        (draft.path / "slow.bin").write_bytes(b"x")
        (draft.work / "step").write_text("3")
        monkeypatch.setattr(module, "hash_file", fail)
        with pytest.raises(RuntimeError):
            draft.finish()
        assert (draft.work / "step").read_text() == "3"


@pytest.mark.parametrize("name", ["thesis.docx", ".hidden", "folder"])
def test_a_foreign_folder_is_refused_and_untouched(tmp_path, identity, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / name).mkdir(exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ArtefactError, match=r"was not made by histograft.*choose another --out"):
        claim(tmp_path, identity)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_is_refused(tmp_path, identity):
    (tmp_path / "p").write_text("mine")
    with pytest.raises(ArtefactError, match="was not made by histograft"):
        claim(tmp_path / "p", identity)
    with pytest.raises(ArtefactError, match="a file stands where a folder is needed"):
        claim(tmp_path / "p" / "below", identity)
    assert (tmp_path / "p").read_text() == "mine"


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 3}, "seed: there 0, here 3"),
        ({"verb": "embed"}, "verb: there 'standardize', here 'embed'"),
        ({"verb_version": 2}, "verb_version: there 1, here 2"),
        (
            {"config": {"patch_px": 224, "target_mpp": 1.0, "preset": ["a", None]}},
            "target_mpp: there 0.5, here 1.0",
        ),
        (
            {"config": {"patch_px": 224, "target_mpp": 0.5}},
            r"preset: there \['a', None\], here None",
        ),
        (
            {"seed": 3, "config": {"patch_px": 448, "target_mpp": 0.5, "preset": ["a", None]}},
            "seed: there 0, here 3; patch_px: there 224, here 448",
        ),
        ({"inputs": ()}, "the input is another one"),
    ],
    ids=str,
)
def test_other_work_is_refused_and_the_differences_named(
    tmp_path, identity, make_identity, change, message, finished
):
    with claim(tmp_path / "p", identity) as draft:
        draft.write_text("a.txt", "a")
        if finished:
            draft.finish()
    with pytest.raises(ArtefactError, match=f"(?s)another.*{message}.*choose another --out"):
        claim(tmp_path / "p", make_identity(**change))
    assert (tmp_path / "p" / "a.txt").read_text() == "a"


def test_a_refusal_is_short_whatever_differs(tmp_path, make_identity):
    with claim(tmp_path / "p", make_identity(config={f"option{i}": "x" * 999 for i in range(9)})):
        pass
    with pytest.raises(ArtefactError, match=r"option3: .* and 5 more") as caught:
        claim(tmp_path / "p", make_identity(config={}))
    assert "option4" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_folder_that_cannot_be_made(identity):
    folder = Path("/proc")
    if not (folder / "self").exists():
        pytest.skip("needs a file system in which no folder can be made")
    with pytest.raises(ArtefactError, match=r"/proc/nowhere cannot be made.*another --out"):
        claim(folder / "nowhere", identity)


@pytest.mark.parametrize("text", ["", "[]", '{"id": 3'])
def test_a_damaged_note_of_unfinished_work_is_refused(tmp_path, identity, text):
    with claim(tmp_path / "p", identity):
        pass
    (tmp_path / "p" / "unfinished.json").write_text(text)
    with pytest.raises(ArtefactError, match="unfinished work of another run"):
        claim(tmp_path / "p", identity)


def test_a_closed_folder(closed_folder, identity):
    with pytest.raises(ArtefactError, match="may not be written"):
        claim(closed_folder / "p", identity)


def test_a_name_that_is_too_long(tmp_path, identity):
    with pytest.raises(ArtefactError, match="too long"):
        claim(tmp_path / ("x" * 300), identity)


def test_a_full_disk_keeps_what_is_done(small_disk, identity):
    folder = small_disk / "p"
    with claim(folder, identity) as draft:
        draft.write_text("a.txt", "a")
        with pytest.raises(ArtefactError, match="no space is left"):
            draft.write_text("b.txt", "b" * (1 << 20))
    assert not is_artefact(folder)
    with claim(folder, identity) as draft:
        assert draft.resumed
        draft.write_text("b.txt", "b")
        assert set(draft.finish().files) == {"a.txt", "b.txt"}


def test_a_second_process_is_refused_until_the_first_ends(tmp_path, simple, claimers):
    folder = tmp_path / "p"
    first, second, third = claimers(folder, 3)
    tell(first)
    assert first.stdout.readline() == "draft\n"
    tell(second)
    assert "another process is writing" in second.stdout.readline()
    with pytest.raises(ArtefactError, match="another process is writing"):
        claim(folder, simple)
    first.send_signal(signal.SIGKILL)
    first.wait()
    tell(third)
    assert third.stdout.readline() == "draft\n"


def test_of_many_processes_that_start_at_once_one_wins(tmp_path, claimers):
    processes = claimers(tmp_path / "p", 6)
    time.sleep(0.3)  # let them import, so that they do claim at once
    for process in processes:
        tell(process)
    words = [process.stdout.readline().split()[0] for process in processes]
    assert sorted(words) == ["draft", *["refused"] * 5]


def test_a_lock_on_a_note_that_was_replaced_is_none(tmp_path, identity, monkeypatch):
    """Another process finishes between our look at the folder and our lock."""
    first = claim(tmp_path / "p", identity)
    first.write_text("a.txt", "a")
    lock = fcntl.flock

    def finish_first(file, how):
        monkeypatch.undo()
        first.finish()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", finish_first)
    second = claim(tmp_path / "p", identity)
    assert isinstance(second, Artefact)
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == ["a.txt", "manifest.json"]


def test_an_artefact_that_is_finished_before_the_lock_is_taken(tmp_path, identity, monkeypatch):
    first = claim(tmp_path / "p", identity)
    open_lock = claims._lock

    def finish_first(path):
        monkeypatch.undo()
        os.link(path, tmp_path / "kept")
        first.finish()
        (tmp_path / "kept").rename(path)  # as after a kill before the note was removed
        return open_lock(path)

    monkeypatch.setattr(claims, "_lock", finish_first)
    assert isinstance(claim(tmp_path / "p", identity), Artefact)
