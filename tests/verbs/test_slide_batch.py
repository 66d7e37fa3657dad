"""A list of slides: one bad slide never spoils the rest, and no work is done twice."""

import errno
import json
import os

import h5py
import numpy as np
import pandas as pd
import pytest
import small_slides
import tifffile
from PIL import Image

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.imaging import slide_openslide
from histograft.verbs import slide_blocks, tile_stream
from histograft.verbs.extractors import NetworkExtractor
from histograft.verbs.tile_stream import TileStream

TISSUE = small_slides.tissue(400, 320)


@pytest.fixture
def listed(tmp_path):
    """A function that writes a table of slides: names to file or to columns."""

    def write(**slides):
        rows = [
            {"slide_id": name, "patient_id": f"p-{name}"}
            | (value if isinstance(value, dict) else {"file": value})
            for name, value in slides.items()
        ]
        return small_slides.write_slides_table(tmp_path / "slides.csv", rows)

    return write


@pytest.fixture
def slide(tmp_path):
    """A function that writes a slide and gives its path."""

    def write(name, pixels=TISSUE, mpp=1.0, **options):
        return small_slides.write_slide(tmp_path / f"{name}.tif", pixels, mpp, **options)

    return write


def words(table, out, *more, arch="resnet10t"):
    return (
        "embed", table, "--out", out, "--arch", arch, "--weights", "random", "--device",
        "cpu", "--target-mpp", 1, "--tile-px", 64, "--workers", 2, *more,
    )  # fmt: skip


def index(out):
    return pd.read_csv(out / "index/slides.csv", keep_default_na=False).set_index("slide_id")


def without_scale(path):
    Image.fromarray(TISSUE).save(path)
    return path


def test_bad_slides_are_named_and_the_others_finished(tmp_path, listed, slide, tools):
    good = slide("good").read_bytes()
    (tmp_path / "cut.tif").write_bytes(good[: len(good) // 2])
    (tmp_path / "zero.tif").touch()
    (tmp_path / "words.svs").write_text("not a slide")
    bad = {
        "cut": ({"file": "cut.tif"}, "cut off"),
        "zero": ({"file": "zero.tif"}, "empty"),
        "words": ({"file": "words.svs"}, "no slide that can be read"),
        "absent": ({"file": "absent.tif"}, "cannot be read"),
        "unknown": ({"file": without_scale(tmp_path / "u.png")}, "column mpp"),
        "mpp-0": ({"file": slide("m0"), "mpp": 0}, "between 0.01 and 100"),
        "mpp-1000": ({"file": slide("m1"), "mpp": 1000}, "between 0.01 and 100"),
        "coarse": ({"file": slide("c", mpp=4.0)}, "--upsample allow"),
        "no-outline": ({"file": slide("n"), "annotations": "none.geojson"}, "none.geojson"),
    }
    fine = {
        "glass": {"file": slide("glass", np.full((400, 400, 3), 245, np.uint8))},
        "one-tile": {"file": slide("one", small_slides.tissue(300, 300)[:90, :90], mpp=1.0)},
        "good": {"file": "good.tif"},
    }
    table = listed(**{name: columns for name, (columns, _) in bad.items()}, **fine)
    outcome = tools.run(*words(table, tmp_path / "out", "--least-tissue", 0.3))
    assert outcome.code == 1
    assert "9 of 12 slides failed, such as cut" in outcome.err
    assert "--keep-going" in outcome.err
    assert not (tmp_path / "out/index").exists()
    assert {p.name for p in (tmp_path / "out/slides").iterdir()} == set(fine)
    assert "outcomes.csv" in outcome.err
    told = pd.read_csv(tmp_path / "out/outcomes.csv", keep_default_na=False).set_index("slide_id")
    assert told.index.tolist() == [*bad, *fine]
    assert told.loc[[*bad], "status"].tolist() == ["failed"] * len(bad)
    assert told.loc[[*fine], "status"].tolist() == ["no tissue", "done", "done"]
    assert (told.loc[[*bad], ["reason", "remedy"]] != "").all(axis=None)
    assert not told["reason"].str.contains("To fix it").any()
    assert "column mpp" in told.loc["unknown", "remedy"]

    tools.ok(*words(table, tmp_path / "out", "--least-tissue", 0.3, "--keep-going"))
    found = index(tmp_path / "out")
    assert found.index.tolist() == [*bad, *fine]
    for name, (_, reason) in bad.items():
        assert found.loc[name, "status"] == "failed"
        assert reason in found.loc[name, "reason"]
        assert "To fix it" in found.loc[name, "reason"]
    assert found.loc[[*fine], "status"].tolist() == ["no tissue", "done", "done"]
    assert found.loc[[*fine], "n_tiles"].tolist() == [0, 1, 30]
    assert "no tissue was found" in found.loc["glass", "reason"]
    assert tools.run("verify", tmp_path / "out").code == 0
    with h5py.File(tmp_path / "out/slides/glass/resnet10t-gap.h5") as file:
        assert file["features"].shape == (0, 512)


def test_a_scale_that_differs_in_x_and_y(tmp_path, listed, slide, tools):
    path = slide("skew")
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            numerator, denominator = page.tags["YResolution"].value
            page.tags["YResolution"].overwrite((numerator * 2, denominator))
    outcome = tools.run(*words(listed(skew=path), tmp_path / "out"))
    assert outcome.code == 1
    assert "in x and 0.5 in y" in outcome.err
    assert "no slide could be used" in outcome.err
    assert pd.read_csv(tmp_path / "out/outcomes.csv")["status"].tolist() == ["failed"]


def test_mended_and_added_slides_are_all_that_is_done(tmp_path, listed, slide, tools):
    slide("a")
    out = tmp_path / "out"
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    assert tools.run(*words(listed(a="a.tif", b="b.tif"), out)).code == 1
    before = (out / "slides/a/manifest.json").stat().st_mtime_ns
    slide("b", small_slides.tissue(256, 256, seed=1))
    tools.ok(*words(listed(a="a.tif", b="b.tif"), out))
    first = open_artefact(out / "index")
    slide("c", small_slides.tissue(256, 256, seed=2))
    tools.ok(*words(listed(a="a.tif", b="b.tif", c="c.tif"), out))
    assert (out / "slides/a/manifest.json").stat().st_mtime_ns == before
    assert index(out)["status"].tolist() == ["done"] * 3
    assert open_artefact(out / "index").id != first.id
    assert {p.name for p in out.iterdir()} == {"index", "slides", "outcomes.csv"}
    again = tools.ok(*words(listed(a="a.tif", b="b.tif", c="c.tif"), out))
    assert "there already" in again.err


def test_a_fault_deep_in_a_decoder_is_one_slides(tmp_path, listed, slide, tools, monkeypatch):
    slide("a")
    slide("b")
    read = slide_openslide.OpenSlideReader.read

    def fails(reader, *where):
        if reader._path.name == "a.tif":
            raise ZeroDivisionError("division by zero")
        return read(reader, *where)

    monkeypatch.setattr(slide_openslide.OpenSlideReader, "read", fails)
    tools.ok(*words(listed(a="a.tif", b="b.tif"), tmp_path / "out", "--keep-going"))
    found = index(tmp_path / "out")
    assert found["status"].tolist() == ["failed", "done"]
    assert (
        "a.tif cannot be decoded (ZeroDivisionError: division by zero)" in found["reason"].iloc[0]
    )


def test_a_slide_that_fails_midway_leaves_no_folder(tmp_path, listed, slide, tools, monkeypatch):
    """Until the list goes on without it, its work stays: the slide may be within reach again."""
    slide("a", small_slides.tissue(512, 512))
    slide("b")
    monkeypatch.setattr(slide_blocks, "BLOCK", 16)
    read, calls = TileStream._read, []

    def fails(stream, stain, coords):
        calls.append(stream._path.name)
        if stream._path.name == "a.tif" and calls.count("a.tif") > 2:
            raise InputError("a.tif is out of reach")
        return read(stream, stain, coords)

    monkeypatch.setattr(tile_stream, "tiles_at_once", lambda tile_px: 16)
    out, table = tmp_path / "out", listed(a="a.tif", b="b.tif")
    with monkeypatch.context() as patch:
        patch.setattr(TileStream, "_read", fails)
        assert tools.run(*words(table, out)).code == 1
        assert list((out / "slides/a/.work").glob("*.npz"))
        tools.ok(*words(table, out, "--keep-going"))
    assert {p.name for p in (out / "slides").iterdir()} == {"b"}
    assert index(out)["status"].tolist() == ["failed", "done"]
    assert tools.run("verify", out).code == 0
    tools.ok(*words(table, out))
    assert index(out)["status"].tolist() == ["done", "done"]


def test_a_full_disk_ends_the_batch(tmp_path, listed, slide, tools, monkeypatch):
    slide("a")
    slide("b")

    def full(path, **arrays):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    table = listed(a="a.tif", b="b.tif")
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        outcome = tools.run(*words(table, tmp_path / "out"))
    assert outcome.code == 1
    assert "no space is left" in outcome.err
    assert not (tmp_path / "out/slides/b").exists()
    tools.ok(*words(table, tmp_path / "out"))


def test_fluorescence_is_told(tmp_path, listed, slide, tools):
    dark = slide("dark", (small_slides.tissue(320, 320) // 12).astype(np.uint8))
    ring = [[0, 0], [320, 0], [320, 320], [0, 320], [0, 0]]
    shape = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "all.geojson").write_text(json.dumps(shape))
    annotated = {"file": dark, "annotations": "all.geojson"}
    for number, (columns, more, n_tiles) in enumerate(
        (({"file": dark}, (), 0), ({"file": dark}, ("--least-tissue", 0), 25), (annotated, (), 25))
    ):
        out = tmp_path / str(number)
        tools.ok(*words(listed(dark=columns), out, "--stain", "macenko-slide", *more))
        assert "no brightfield slide (fluorescence?)" in index(out).loc["dark", "reason"]
        assert index(out).loc["dark", "n_tiles"] == n_tiles


def test_stains_that_are_not_found_are_told(tmp_path, listed, slide, tools):
    gray = small_slides.tissue(320, 320).mean(axis=2, keepdims=True).repeat(3, axis=2)
    table = listed(gray=slide("gray", gray.astype(np.uint8)))
    out = tmp_path / "out"
    tools.ok(*words(table, out, "--stain", "macenko-slide", "--least-tissue", 0))
    assert "no stain was normalized, all tiles keep their colors" in index(out)["reason"].iloc[0]


# --- refused before any work -------------------------------------------------------------------


def test_a_slide_listed_twice(tmp_path, slide, tools):
    rows = [{"slide_id": name, "file": slide("a")} for name in ("a", "b")]
    table = small_slides.write_slides_table(tmp_path / "slides.csv", rows)
    outcome = tools.run(*words(table, tmp_path / "out"))
    assert outcome.code == 1
    assert "a and b are the same file" in outcome.err
    assert not (tmp_path / "out").exists()


def test_other_settings_into_the_same_folder(tmp_path, listed, slide, tools):
    slide("a")
    out = tmp_path / "out"
    tools.ok(*words(listed(a="a.tif"), out))
    slide("b")
    for more, said in ((("--overlap", 0.5), "overlap"), (("--seed", 1), "seed")):
        outcome = tools.run(*words(listed(b="b.tif", a="a.tif"), out, *more))
        assert outcome.code == 1
        assert "embedded in another way" in outcome.err
        assert said in outcome.err
    assert not (out / "slides/b").exists()


def test_the_folder_of_another_artefact(tmp_path, listed, slide, tools, standardized):
    patches = standardized(tools.write_set(tmp_path / "set", groups=4))
    outcome = tools.run(*words(listed(a=slide("a")), patches))
    assert outcome.code == 1
    assert "holds another artefact" in outcome.err
    assert not (patches / "slides").exists()


def test_tiles_that_the_network_does_not_take(tmp_path, listed, slide, tools):
    table = listed(a=slide("a"))
    outcome = tools.run(*words(table, tmp_path / "out", arch="vit_tiny_patch16_224"))
    assert outcome.code == 1
    assert "does not take tiles of 64 px" in outcome.err
    assert not (tmp_path / "out").exists()


def test_features_that_are_not_finite(tmp_path, listed, slide, tools, monkeypatch):
    def undefined(extractor, pictures):
        yield from ({"resnet10t-gap": np.full((1, 512), np.nan, np.float32)} for _ in pictures)

    monkeypatch.setattr(NetworkExtractor, "features_of", undefined)
    outcome = tools.run(*words(listed(a=slide("a")), tmp_path / "out"))
    assert outcome.code == 1
    assert "NaN" in outcome.err
    assert not (tmp_path / "out").exists()
