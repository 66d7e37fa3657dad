"""standardize and images that cannot be used: each is named, nothing is substituted or lost."""

import re
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histograft.core.artefact import open_artefact


def bomb() -> bytes:
    """Write a PNG header that states 30000 x 30000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.fixture
def bad_set(tmp_path, tools):
    """A good set with one image of each kind that cannot be used; reason by file."""
    folder = tools.write_set(tmp_path / "set", groups=3)
    pixels = tools.texture("bad")
    whole = tools.save(tmp_path / "whole.jpg", pixels).read_bytes()
    bad = {
        "gland/truncated.jpg": (whole[: len(whole) // 2], "truncated"),
        "gland/zero.png": (b"", "empty"),
        "gland/text.png": (b"not an image at all", "unreadable"),
        "gland/bomb.png": (bomb(), "bomb"),
        "gland/deep.png": (None, "depth"),
        "gland/cmyk.jpg": (None, "cmyk"),
        "gland/gone.png": (None, "absent"),
    }
    for name, (data, _) in bad.items():
        if data is not None:
            (folder / name).write_bytes(data)
    Image.fromarray(np.full((48, 48), 40_000, np.uint16)).save(folder / "gland/deep.png")
    Image.fromarray(pixels).convert("CMYK").save(folder / "gland/cmyk.jpg")
    rows = pd.read_csv(folder / "samples.csv").to_dict("records")
    rows += [{"file": name, "label": "gland", "group": "p9", "mpp": 1} for name in bad]
    tools.write_table(folder / "samples.csv", rows)
    return folder, {name: reason for name, (_, reason) in bad.items()}


def small(folder, out):
    return (
        "standardize", "--samples", folder, "--out", out, "--target-mpp", 1, "--patch-px", 32,
        "--workers", 1,
    )  # fmt: skip


def test_all_are_listed_and_nothing_is_finished(tmp_path, tools, bad_set):
    folder, reasons = bad_set
    outcome = tools.run(*small(folder, tmp_path / "out"))
    assert outcome.code == 1
    assert f"{len(reasons)} of 16 images cannot be used" in outcome.err
    assert "--keep-going" in outcome.err
    log = pd.read_csv(tmp_path / "out/rejects.csv").set_index("source_file")
    assert log["reason"].to_dict() == reasons
    for name, detail in log["detail"].items():
        assert f"set/{name}" in detail
        assert "To fix it: " in detail
    # The terminal shows the first of them and where all are.
    assert len(re.findall(r"set/gland/\S+", outcome.err)) >= 5
    assert str(tmp_path / "out/rejects.csv") in outcome.err
    assert not (tmp_path / "out/manifest.json").exists()


def test_keep_going_leaves_out_and_says_so(tmp_path, tools, bad_set):
    folder, reasons = bad_set
    tools.run(*small(folder, tmp_path / "out"))
    outcome = tools.ok(*small(folder, tmp_path / "out"), "--keep-going")  # resumes
    assert f"{len(reasons)} image(s) were left out" in outcome.err
    rows = tools.read_patches(tmp_path / "out")
    assert len(rows) == 9
    assert not set(rows["source_file"]) & set(reasons)
    facts = open_artefact(tmp_path / "out").facts
    assert facts["rejects"] == dict.fromkeys(reasons.values(), 1)
    # Now that it is finished it is found; without --keep-going what was left out is an error still.
    assert tools.run(*small(folder, tmp_path / "out"), "--keep-going").code == 0
    again = tools.run(*small(folder, tmp_path / "out"))
    assert again.code == 1
    assert "--keep-going" in again.err


def test_after_mending_the_same_command_works(tmp_path, tools, bad_set):
    """Mended images are another input; what the failed run wrote gives way to it."""
    folder, reasons = bad_set
    outcome = tools.run(*small(folder, tmp_path / "out"))
    assert "mend them or take them out of the table and run the same command again" in outcome.err
    for name in reasons:
        tools.save(tmp_path / "mended.png", tools.texture(name))
        (folder / name).write_bytes((tmp_path / "mended.png").read_bytes())
    tools.ok(*small(folder, tmp_path / "out"))
    assert set(tools.read_patches(tmp_path / "out")["source_file"]) >= set(reasons)
    assert pd.read_csv(tmp_path / "out/rejects.csv").empty
    tools.ok(*small(folder, tmp_path / "fresh"))
    assert tools.content(tmp_path / "out") == tools.content(tmp_path / "fresh")


def test_nothing_usable_is_an_error_even_with_keep_going(tmp_path, tools):
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / "zero.png").write_bytes(b"")
    outcome = tools.run(*small(tmp_path / "set", tmp_path / "out"), "--mpp", 1, "--keep-going")
    assert outcome.code == 1
    assert "no patch is left of 2 images" in outcome.err
    assert not (tmp_path / "out/manifest.json").exists()


def test_palette_grey_and_alpha_are_converted_with_a_note(tmp_path, tools):
    folder = tools.write_set(tmp_path / "set", groups=3)
    image = Image.fromarray(tools.texture("p"))
    image.quantize(16).save(folder / "gland/p0-0.png")
    image.convert("L").save(folder / "gland/p1-0.png")
    clear = np.dstack([tools.texture("alpha"), np.full((48, 48), 100, np.uint8)])
    Image.fromarray(clear).save(folder / "gland/p2-0.png")
    tools.ok(*small(folder, tmp_path / "out"))
    rows = tools.read_patches(tmp_path / "out").set_index("source_file")
    changed = [f"gland/p{number}-0.png" for number in range(3)]
    assert rows.loc[changed, "source_mode"].tolist() == ["P", "L", "RGBA"]
    notes = open_artefact(tmp_path / "out").facts["notes"]
    assert notes == {
        "palette converted to RGB": 1,
        "grey converted to RGB": 1,
        "transparency laid on white": 1,
    }


def test_a_folder_and_an_endless_name_in_the_table(tmp_path, tools):
    folder = tools.write_set(tmp_path / "set", groups=3)
    rows = pd.read_csv(folder / "samples.csv").to_dict("records")
    endless = "x" * 300 + ".png"
    rows += [{"file": name, "label": "gland", "mpp": 1} for name in ("gland", endless)]
    tools.write_table(folder / "samples.csv", rows)
    outcome = tools.run(*small(folder, tmp_path / "out"))
    assert outcome.code == 1
    assert "set/gland cannot be read (Is a directory)" in outcome.err
    assert f"set/{endless} cannot be read (File name too long)" in outcome.err


def test_names_that_are_long_or_not_ascii_and_alike(tmp_path, tools):
    folder = tmp_path / "Gewebe für Prüfung"
    names = [
        "ä" * 120 + ".png",
        "組織/画像.png",
        "組織/画像 2.png",
        "a b'c\"d.png",
        "x/1.png",
        "y/1.png",
    ]
    rows = []
    for number, name in enumerate(names):
        tools.save(folder / name, tools.texture(name))
        rows.append({"file": name, "label": ["Muskel", "筋肉", "脂肪"][number % 3], "mpp": 1})
    tools.write_table(folder / "samples.csv", rows)
    tools.ok(*small(folder, tmp_path / "out"))
    patches = tools.read_patches(tmp_path / "out")
    assert sorted(patches["source_file"]) == sorted(names)
    assert patches["patch_id"].is_unique
    assert set(patches["label"]) == {"Muskel", "筋肉", "脂肪"}
    for name, label in zip(patches["file_name"], patches["label"], strict=True):
        assert name.isascii()
        assert (tmp_path / "out" / name).is_file()
        assert label != "Muskel" or name.startswith("images/Muskel/")
    assert len({name.split("/")[1] for name in patches["file_name"]}) == 3
    assert tools.run("verify", tmp_path / "out").code == 0
