"""A file is whole or absent, whatever happens while it is written."""

import errno
import hashlib
import os

import pytest

from histograft.core.errors import ArtefactError
from histograft.core.files import (
    PARTIAL_PREFIX,
    FileRecord,
    hash_file,
    write_bytes,
    write_once,
    written_atomically,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_record_is_size_and_sha256(tmp_path):
    data = b"tissue" * 100_000
    record = write_bytes(tmp_path / "a" / "b.bin", data)
    assert record == FileRecord(600_000, hashlib.sha256(data).hexdigest())
    assert hash_file(tmp_path / "a" / "b.bin") == record
    assert names(tmp_path / "a") == ["b.bin"]


def test_until_the_block_ends_the_old_file_stands(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with written_atomically(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        assert partial.parent == tmp_path
        assert partial.suffix == ".csv"
        assert partial.name.startswith(PARTIAL_PREFIX)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file_only(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half():
        with written_atomically(path) as partial:
            partial.write_text("ne")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), written_atomically(tmp_path / "x"):
        pass
    assert names(tmp_path) == []


def test_a_real_full_disk(small_disk):
    path = small_disk / "features.h5"
    write_bytes(path, b"old" * 1000)
    with pytest.raises(ArtefactError, match=r"no space is left.*features\.h5.*free some space"):
        write_bytes(path, bytes(1 << 20))
    assert path.read_bytes() == b"old" * 1000
    assert names(small_disk) == ["features.h5"]
    write_bytes(path, b"new" * 1000)  # what was half-written no longer takes space


@pytest.mark.slow
def test_a_full_disk_in_the_words_of_other_libraries(small_disk):
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    large = torch.rand(100_000)

    def write(save):
        with written_atomically(small_disk / "x.pt") as partial:
            save(partial)

    for save in (lambda p: torch.save(large, p), lambda p: save_file({"x": large}, p)):
        with pytest.raises(ArtefactError, match="no space is left"):
            write(save)
        assert names(small_disk) == []


def test_an_error_of_another_kind_keeps_its_words(small_disk):
    def write(error):
        with written_atomically(small_disk / "x") as partial:
            partial.write_bytes(bytes(250_000 if isinstance(error, ArtefactError) else 10))
            raise error

    with pytest.raises(ValueError, match="mine"):
        write(ValueError("mine"))
    with pytest.raises(ArtefactError, match="mine"):
        write(ArtefactError("mine"))


def test_a_full_device(tmp_path):
    def write():
        with written_atomically(tmp_path / "x") as partial:
            partial.symlink_to("/dev/full")
            partial.write_bytes(b"x")

    with pytest.raises(ArtefactError, match="no space is left"):
        write()
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_while_syncing(tmp_path, monkeypatch, number):
    (tmp_path / "x").write_text("old")

    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    for write in (write_bytes, write_once):
        with pytest.raises(ArtefactError, match="no space is left"):
            write(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_a_folder_that_may_not_be_written(closed_folder):
    with pytest.raises(ArtefactError, match=r"may not be written.*choose another --out"):
        write_bytes(closed_folder / "old.txt", b"new")
    with pytest.raises(ArtefactError, match="may not be written"):
        write_bytes(closed_folder / "below" / "new.txt", b"new")
    assert (closed_folder / "old.txt").read_text() == "old"


def test_a_name_that_is_too_long(tmp_path):
    for path in (tmp_path / ("x" * 300), tmp_path / ("ü" * 200) / "x"):
        with pytest.raises(ArtefactError, match="too long"):
            write_bytes(path, b"x")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["Gewebe Ä.png", "組織切片.png", "a'b\"$(c);d.png", "x" * 251 + ".png", "ü" * 125 + ".png"],
)
def test_names_of_all_kinds_and_of_full_length(tmp_path, name):
    write_bytes(tmp_path / name, b"x")
    assert names(tmp_path) == [name]
    with written_atomically(tmp_path / name) as partial:
        assert partial.suffix == ".png"
        partial.write_bytes(b"y")
    assert (tmp_path / name).read_bytes() == b"y"


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "below" / "x"):
        with pytest.raises(ArtefactError, match="a file stands where a folder is needed"):
            write_bytes(path, b"x")


def test_written_once_means_once(tmp_path):
    assert write_once(tmp_path / "claim", b"first")
    assert not write_once(tmp_path / "claim", b"second")
    assert (tmp_path / "claim").read_bytes() == b"first"
    assert names(tmp_path) == ["claim"]


def test_written_once_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    assert write_once(tmp_path / "claim", b"whole")
    assert (tmp_path / "claim").read_bytes() == b"whole"
    assert names(tmp_path) == ["claim"]
