"""A table of slides without patients: told early, and mended without computing again."""

import json

import pytest
import small_slides

SIDE = 64


@pytest.fixture
def embed(tmp_path, tools):
    """A function that embeds one slide, with more columns of its row."""
    small_slides.write_weights(tmp_path / "net.safetensors")
    pixels = small_slides.tissue(SIDE * 6, SIDE * 5)
    slide = small_slides.write_slide(tmp_path / "a.tif", pixels, mpp=1)

    def work(**columns):
        row = {"slide_id": "a", "file": slide} | columns
        table = small_slides.write_slides_table(tmp_path / "slides.csv", [row])
        return tools.ok(
            "embed", table, "--weights", tmp_path / "net.safetensors", "--target-mpp", 1,
            "--tile-px", SIDE, "--device", "cpu", "--out", tmp_path / "out",
        )  # fmt: skip

    return work


def test_pool_says_what_to_add_and_then_takes_it(embed, tmp_path, tools):
    first = embed()
    assert "add a column patient_id" in first.err
    assert first.out.strip() == str(tmp_path / "out")  # what `histograft pool` takes
    refused = tools.run("pool", tmp_path / "out", "--out", tmp_path / "pooled")
    assert refused.code == 1
    assert "no patient is stated of any slide with tissue" in refused.err
    assert "add a column patient_id" in refused.err
    written = (tmp_path / "out/slides/a/manifest.json").stat().st_mtime_ns
    assert "patient" not in embed(patient_id="p").err
    assert (tmp_path / "out/slides/a/manifest.json").stat().st_mtime_ns == written
    pooled = tools.ok("pool", tmp_path / "out", "--out", tmp_path / "pooled")
    assert "1 slide of 1 patient\n" in pooled.err
    manifest = json.loads((tmp_path / "pooled/manifest.json").read_text())
    assert manifest["facts"]["n_patients"] == 1
