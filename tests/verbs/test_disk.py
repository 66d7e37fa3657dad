"""A disk that is full or cannot be written, and manifests that are not ours to read."""

import json
import os
import shutil
import subprocess

import pytest

from histograft.core import files


def small(folder, out):
    return (
        "standardize", "--samples", folder, "--out", out, "--target-mpp", 1, "--patch-px", 32,
        "--workers", 1,
    )  # fmt: skip


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a small disk of its own; skipped where that is not allowed."""
    mounted = []

    def mount(options):
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        tool = shutil.which("mount")
        command = [str(tool), "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if tool is None or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
            pytest.skip("needs the right to mount a disk in memory")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(tmp_path, tools, disk):
    source = tools.write_set(tmp_path / "set", groups=8)
    out = disk("size=128k") / "out"
    outcome = tools.run(*small(source, out))
    assert outcome.code == 1
    assert "full" in outcome.err
    assert "to fix it" in outcome.err
    assert not (out / "manifest.json").exists()
    # With room again the same command goes on.
    subprocess.run(["mount", "-o", "remount,size=8m", str(out.parent)], check=True)
    tools.ok(*small(source, out))
    assert tools.run("verify", out).code == 0
    elsewhere = tmp_path / "elsewhere"
    tools.ok(*small(source, elsewhere))
    assert (
        json.loads((out / "manifest.json").read_text())["files"]
        == (json.loads((elsewhere / "manifest.json").read_text())["files"])
    )


def test_a_full_disk_in_another_words(tmp_path, tools, monkeypatch):
    """The same without a disk of its own: the third patch finds no space."""
    source = tools.write_set(tmp_path / "set", groups=3)
    calls = []
    whole = files.Path.write_bytes

    def fills_up(path, data):
        calls.append(path)
        if len(calls) > 4:
            raise OSError(28, os.strerror(28))
        return whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "write_bytes", fills_up)
        outcome = tools.run(*small(source, tmp_path / "out"))
    assert outcome.code == 1
    assert "full" in outcome.err
    tools.ok(*small(source, tmp_path / "out"))


def test_a_folder_that_is_read_only(tmp_path, tools, disk):
    source = tools.write_set(tmp_path / "set", groups=3)
    out = disk("ro,size=1m") / "out"
    outcome = tools.run(*small(source, out))
    assert outcome.code == 1
    assert str(out) in outcome.err
    assert "to fix it" in outcome.err


def test_images_on_a_read_only_disk_are_fine(tmp_path, tools, disk):
    folder = disk("size=1m")
    source = tools.write_set(folder / "set", groups=3)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    tools.ok(*small(source, tmp_path / "out"))


def test_a_manifest_of_a_newer_version(tmp_path, tools):
    source = tools.write_set(tmp_path / "set", groups=3)
    tools.ok(*small(source, tmp_path / "out"))
    manifest = tmp_path / "out/manifest.json"
    values = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(values | {"schema": 999}))
    for words in (
        small(source, tmp_path / "out"),
        ("embed", "--patches", tmp_path / "out", "--shortcuts", "--out", tmp_path / "features"),
    ):
        outcome = tools.run(*words)
        assert outcome.code == 1
        assert "schema 999" in outcome.err
        assert "newer histograft" in outcome.err
    assert "schema 999" in tools.run("verify", tmp_path / "out").err
    assert json.loads(manifest.read_text())["schema"] == 999  # nobody touched it


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "\x00"])
def test_a_manifest_that_is_damaged(tmp_path, tools, text):
    source = tools.write_set(tmp_path / "set", groups=3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manifest.json").write_text(text)
    outcome = tools.run(*small(source, tmp_path / "out"))
    assert outcome.code == 1
    assert "manifest.json" in outcome.err
    assert (tmp_path / "out/manifest.json").read_text() == text


def test_a_folder_of_someone_else(tmp_path, tools):
    source = tools.write_set(tmp_path / "set", groups=3)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("all of it")
    outcome = tools.run(*small(source, out))
    assert outcome.code == 1
    assert "was not made by histograft" in outcome.err
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]
    (tmp_path / "file").write_text("a file")
    assert tools.run(*small(source, tmp_path / "file")).code == 1
    assert tools.run(*small(source, tmp_path / "file/below")).code == 1
    assert (tmp_path / "file").read_text() == "a file"
