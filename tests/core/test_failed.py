"""A run that failed does not block its folder, and nothing but what it wrote is ever removed."""

import json
import shutil
from contextlib import suppress

import pytest

from histograft.core.artefact import Artefact, claim, list_files
from histograft.core.errors import ArtefactError, HistograftError, InputError
from histograft.core.files import write_bytes
from histograft.core.verify import verify

OLD = {"images/a.png": "old a", "images/deep/b.png": "old b", "rejects.csv": "c.png,empty"}


def fail(folder, identity, error=None):
    """Write the files of a run, as a worker and as the draft do, and fail."""
    wanted = error or InputError("c.png is empty", "mend it")
    with suppress(type(wanted)), claim(folder, identity) as draft:
        (draft.work / "journal").write_text("done: a b")
        for name, text in OLD.items():
            draft.record(name, write_bytes(folder / name, text.encode()))
        raise wanted
    return folder


@pytest.fixture
def mended(make_identity):
    return make_identity(inputs=())


def test_what_failed_stays_to_be_read(tmp_path, identity):
    folder = fail(tmp_path / "p", identity)
    assert {name: (folder / name).read_text() for name in list_files(folder)} == OLD
    [result] = verify(folder)
    assert [f.problem for f in result.findings] == ["unfinished"]
    assert "mend what it named" in result.findings[0].detail


def test_the_mended_run_takes_the_folder(tmp_path, identity, mended):
    folder = fail(tmp_path / "p", identity)
    with claim(folder, mended) as draft:
        assert list_files(folder) == []
        assert sorted(p.name for p in folder.iterdir()) == ["unfinished.json"]
        draft.write_text("new.txt", "new")
        made = draft.finish()
    assert set(made.files) == {"new.txt"}
    assert made.id == mended.id
    assert isinstance(claim(folder, mended), Artefact)


def test_the_same_run_goes_on_with_what_was_done(tmp_path, identity, mended):
    """As with --keep-going, which is no part of the identity. Killed then, it is no failure."""
    folder = fail(tmp_path / "p", identity)
    draft = claim(folder, identity)
    assert draft.resumed
    assert (draft.work / "journal").read_text() == "done: a b"
    draft._lock.close()  # as the system does when the process is killed
    with pytest.raises(ArtefactError, match="unfinished work of another run"):
        claim(folder, mended)
    assert list_files(folder) == sorted(OLD)
    assert "resume" in verify(folder)[0].findings[0].detail


@pytest.mark.parametrize(
    "error", [ArtefactError("no space is left"), RuntimeError("a bug"), KeyboardInterrupt()]
)
def test_what_may_end_otherwise_next_time_is_no_failure(tmp_path, identity, mended, error):
    folder = fail(tmp_path / "p", identity, error)
    with pytest.raises(ArtefactError, match="unfinished work of another run"):
        claim(folder, mended)
    assert list_files(folder) == sorted(OLD)


def test_training_that_diverged_is_a_failure(tmp_path, identity, mended):
    folder = fail(tmp_path / "p", identity, HistograftError("training diverged", "less"))
    with claim(folder, mended):
        assert list_files(folder) == []


@pytest.mark.parametrize("change", [{"verb": "embed"}, {"kind": "features"}])
def test_another_verb_does_not_take_over(tmp_path, identity, make_identity, change):
    folder = fail(tmp_path / "p", identity)
    with pytest.raises(ArtefactError, match="unfinished work of another run"):
        claim(folder, make_identity(**change))
    assert list_files(folder) == sorted(OLD)


@pytest.mark.parametrize("name", ["thesis.txt", "images/thesis.txt", "rejects.csv", "link"])
def test_files_of_others_are_never_removed(tmp_path, identity, mended, name):
    folder = fail(tmp_path / "p", identity)
    if name == "link":
        (folder / name).symlink_to(tmp_path / "gone")
    else:
        (folder / name).write_text("all of it, or a note in the log")
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(ArtefactError, match=rf"{name}, which was not made by it or was changed"):
        claim(folder, mended)
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before


def test_empty_folders_of_others_stay(tmp_path, identity, mended):
    folder = fail(tmp_path / "p", identity)
    (folder / "images" / "mine").mkdir()
    with claim(folder, mended):
        assert (folder / "images" / "mine").is_dir()
        assert not (folder / "images" / "deep").exists()


def test_a_finished_step_below_stays_and_a_failed_one_is_replaced(tmp_path, make_identity, mended):
    folder, inner = tmp_path / "p", make_identity(seed=7)
    with claim(folder, make_identity()) as draft:
        with claim(folder / "step1", inner) as step:
            step.write_text("weights", "w")
            step.finish()
        fail(folder / "step2", make_identity(seed=8))
        with pytest.raises(InputError), draft:
            raise InputError("step 2 cannot be done")
    with claim(folder, mended):
        assert isinstance(claim(folder / "step1", inner), Artefact)
        with claim(folder / "step2", make_identity(seed=9)):
            assert list_files(folder / "step2") == []


def test_nothing_is_left_of_a_failure_in_a_finished_artefact(tmp_path, identity):
    folder = fail(tmp_path / "p", identity)
    with claim(folder, identity) as draft:
        made = draft.finish()
    assert set(made.files) == set(OLD)
    assert sorted(p.name for p in folder.iterdir()) == ["images", "manifest.json", "rejects.csv"]
    assert "failed" not in json.loads((folder / "manifest.json").read_text())
    assert verify(folder)[0].findings == ()


def test_a_folder_that_is_deleted_meanwhile_does_not_come_back(tmp_path, identity):
    with suppress(InputError), claim(tmp_path / "p", identity):
        shutil.rmtree(tmp_path / "p")
        raise InputError("no")
    assert not (tmp_path / "p").exists()
