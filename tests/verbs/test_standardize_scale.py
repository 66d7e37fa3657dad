"""standardize: one physical scale, crops, rejects, masks, and what is kept of the source."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histograft.core.artefact import open_artefact
from histograft.core.tables import PATCHES, REJECTS


def one_image(tools, folder, pixels, name="a/one.png", **columns):
    """Write a set of two classes, whose first image is the one that a test looks at."""
    tools.save(folder / name, pixels)
    tools.save(folder / "b/other.png", tools.texture("other", side=64))
    rows = [{"file": name, "label": "a"} | columns, {"file": "b/other.png", "label": "b"} | columns]
    tools.write_table(folder / "samples.csv", rows)
    return folder


def patch(artefact, row):
    with Image.open(artefact / row["file_name"]) as image:
        return np.asarray(image)


def test_area_rule_averages_each_new_pixel_exactly(tmp_path, tools, standardized):
    pixels = tools.texture("area", side=64)
    source = one_image(tools, tmp_path / "set", pixels, mpp=0.5)
    artefact = standardized(source, "--background", 0)
    rows = tools.read_patches(artefact)
    row = rows[rows["label"] == "a"].iloc[0]
    blocks = pixels.reshape(32, 2, 32, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(patch(artefact, row) - blocks).max() <= 0.5
    assert (row["mpp"], row["mpp_native"], row["mpp_source"]) == (1.0, 0.5, "samples")


@pytest.mark.parametrize(
    ("columns", "words", "source", "native"),
    [
        ({"mpp": 0.5}, ("--mpp", 0.25), "samples", 0.5),
        ({}, ("--mpp", 0.5), "option", 0.5),
        ({}, ("--catalogue", "NCT-CRC-HE-100K"), "catalogue", 0.5),
    ],
)
def test_scale_comes_from_the_table_the_option_or_the_catalogue(
    tmp_path, tools, standardized, columns, words, source, native
):
    source_folder = one_image(tools, tmp_path / "set", tools.texture("s", side=64), **columns)
    rows = tools.read_patches(standardized(source_folder, *words))
    assert set(rows["mpp_source"]) == {source}
    assert set(rows["mpp_native"]) == {native}


def test_unknown_scale_is_an_error_that_says_how_to_state_it(tmp_path, tools):
    source = one_image(tools, tmp_path / "set", tools.texture("s", side=64))
    outcome = tools.run("standardize", "--samples", source, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "no µm/px is known for 2 of 2 images" in outcome.err
    for remedy in ("mpp", "--mpp", "--missing-mpp keep-pixels"):
        assert remedy in outcome.err
    assert not (tmp_path / "out").exists()


def test_keep_pixels_is_recorded_and_said(tmp_path, tools):
    pixels = tools.texture("s", side=32)
    source = one_image(tools, tmp_path / "set", pixels)
    outcome = tools.ok(
        "standardize", "--samples", source, "--out", tmp_path / "out", "--missing-mpp",
        "keep-pixels", "--patch-px", 32, "--workers", 1,
    )  # fmt: skip
    assert "pixels are kept as they are" in outcome.err
    artefact = open_artefact(tmp_path / "out")
    assert artefact.manifest["config"]["missing_mpp"] == "keep-pixels"
    assert artefact.facts["n_mpp_unknown"] == len(tools.read_patches(artefact.path))
    rows = tools.read_patches(artefact.path)
    assert rows["mpp"].isna().all()
    assert (rows["mpp_source"] == "unknown").all()
    row = rows[rows["label"] == "a"].iloc[0]
    np.testing.assert_array_equal(patch(artefact.path, row), pixels)


def test_target_keep_leaves_all_pixels_and_needs_no_scale(tmp_path, tools, standardized):
    pixels = tools.texture("s", side=32)
    source = one_image(tools, tmp_path / "set", pixels, mpp=0.25)
    artefact = standardized(source, "--target-mpp", "keep")
    row = tools.read_patches(artefact).query("label == 'a'").iloc[0]
    np.testing.assert_array_equal(patch(artefact, row), pixels)
    assert row["mpp"] == 0.25


def test_growing_is_refused_unless_allowed(tmp_path, tools):
    source = one_image(tools, tmp_path / "set", tools.texture("s", side=32), mpp=2.0)
    words = ["standardize", "--samples", source, "--target-mpp", 1, "--patch-px", 32]
    words += ["--workers", 1]
    refused = tools.run(*words, "--out", tmp_path / "refused")
    assert refused.code == 1
    assert "set/a/one.png has 2 µm/px" in refused.err
    assert "--upsample allow" in refused.err
    allowed = tools.ok(*words, "--out", tmp_path / "allowed", "--upsample", "allow")
    assert "were enlarged" in allowed.err
    assert tools.read_patches(tmp_path / "allowed")["upsampled"].all()


def test_overlap_flush_and_reflection(tmp_path, tools, standardized):
    source = one_image(tools, tmp_path / "set", tools.texture("s", side=72), mpp=1.0)
    corners = {
        out: sorted(
            tools.read_patches(standardized(source, *words, out=out))
            .query("label == 'a'")[["x_px", "y_px"]]
            .itertuples(index=False, name=None)
        )
        for out, words in {
            "plain": (),
            "half": ("--overlap", 0.5),
            "flush": ("--flush",),
        }.items()
    }
    assert corners["plain"] == [(x, y) for x in (0, 32) for y in (0, 32)]
    assert corners["half"] == [(x, y) for x in (0, 16, 32) for y in (0, 16, 32)]
    assert corners["flush"] == [(x, y) for x in (0, 32, 40) for y in (0, 32, 40)]

    small = one_image(tools, tmp_path / "small", tools.texture("s", side=20), mpp=1.0)
    row = tools.read_patches(standardized(small, out="reflect")).query("label == 'a'").iloc[0]
    pixels = patch(tmp_path / "reflect", row)
    assert row["reflected"]
    assert pixels.shape == (32, 32, 3)
    np.testing.assert_array_equal(
        pixels, np.pad(tools.texture("s", side=20), ((0, 12), (0, 12), (0, 0)), mode="reflect")
    )


def test_images_smaller_than_a_patch_are_told(tmp_path, tools):
    source = tools.write_set(tmp_path / "small", groups=2, side=20, mpp=1.0)
    words = ("standardize", "--samples", source, "--target-mpp", 1, "--workers", 1)
    mirrored = tools.ok(*words, "--out", tmp_path / "mirrored", "--patch-px", 32)
    n = len(tools.read_patches(tmp_path / "mirrored"))
    assert f"small: {n} of {n} patches are of images smaller than a patch" in mirrored.err
    whole = tools.ok(*words, "--out", tmp_path / "whole", "--patch-px", 20)
    assert "smaller than a patch" not in whole.err


def test_rejects_are_logged_with_their_reason(tmp_path, tools, standardized):
    pixels = tools.texture("half empty", side=64)
    pixels[:, 32:] = 244
    source = one_image(tools, tmp_path / "set", pixels, mpp=1.0)
    artefact = standardized(source)
    log = REJECTS.check(pd.read_csv(artefact / "rejects.csv"), "rejects.csv")
    assert log[["source_file", "x_px", "y_px", "reason"]].to_numpy().tolist() == [
        ["a/one.png", 32, 0, "background"],
        ["a/one.png", 32, 32, "background"],
    ]
    assert log["detail"].str.contains("below 0.05").all()
    assert len(tools.read_patches(artefact).query("label == 'a'")) == 2
    # An image that is labelled as a whole is kept by the default scope and lost by "all".
    empty = one_image(tools, tmp_path / "white", np.full((32, 32, 3), 240, np.uint8), mpp=1.0)
    assert len(tools.read_patches(standardized(empty, out="crops")).query("label == 'a'")) == 1
    everything = standardized(empty, "--background-scope", "all", out="all")
    assert tools.read_patches(everything).query("label == 'a'").empty


def test_masks_follow_by_nearest_neighbor(tmp_path, tools, standardized):
    codes = np.zeros((64, 64), np.uint8)
    codes[:30, :] = 7
    codes[30:, 20:] = 200
    tools.save(tmp_path / "set/m.png", codes)
    source = one_image(tools, tmp_path / "set", tools.texture("m", side=64), mpp=0.5)
    rows = pd.read_csv(source / "samples.csv").assign(mask=["m.png", ""])
    rows.to_csv(source / "samples.csv", index=False)
    artefact = standardized(source)
    table = tools.read_patches(artefact).set_index("label")
    assert pd.isna(table.loc["b", "mask_file_name"])
    mask = patch(artefact, {"file_name": table.loc["a", "mask_file_name"]})
    assert mask.shape == (32, 32)
    assert set(np.unique(mask)) == {0, 7, 200}  # no code that was not there
    assert (mask[:15] == 7).all()
    assert (mask[15:, 10:] == 200).all()


def test_a_mask_of_another_size_or_none_is_named(tmp_path, tools):
    source = one_image(tools, tmp_path / "set", tools.texture("m", side=64), mpp=1.0)
    tools.save(source / "small.png", np.zeros((10, 12), np.uint8))
    pd.read_csv(source / "samples.csv").assign(mask=["small.png", "none.png"]).to_csv(
        source / "samples.csv", index=False
    )
    outcome = tools.run(
        "standardize", "--samples", source, "--out", tmp_path / "out", "--workers", 1
    )
    assert outcome.code == 1
    assert "mask of set/a/one.png has 12 x 10 px, the image 64 x 64" in outcome.err
    assert "mask of set/b/other.png does not exist" in outcome.err


def test_format_and_quantization_of_the_source_are_kept(tmp_path, tools, standardized):
    path = tools.save(tmp_path / "set/a/one.jpg", tools.texture("q", side=40), quality=40)
    tools.save(tmp_path / "set/b/other.png", tools.texture("p", side=40))
    with Image.open(path) as image:
        tables = [list(image.quantization[key]) for key in sorted(image.quantization)]
    rows = tools.read_patches(standardized(tmp_path / "set", "--mpp", 1)).set_index("label")
    assert json.loads(rows.loc["a", "source_quantization"]) == tables
    assert rows["source_format"].to_dict() == {"a": "JPEG", "b": "PNG"}
    assert pd.isna(rows.loc["b", "source_quantization"])
    assert (rows["source_width_px"] == 40).all()


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("paper", {"patch_px": 224, "target_mpp": 0.5, "upsample": "allow"}),
        ("histokt", {"patch_px": 272, "overlap": 0.25, "resampling": "skimage"}),
        ("histokt-printed", {"patch_px": 272, "overlap": 0.5, "background_scope": "all"}),
        ("recommended", {"resampling": "area", "upsample": "error"}),
    ],
)
def test_presets(tmp_path, tools, preset, expected):
    source = one_image(tools, tmp_path / "set", tools.texture("h", side=300), mpp=0.5)
    tools.ok(
        "standardize", "--samples", source, "--out", tmp_path / "out", "--preset", preset,
        "--workers", 1, "--background", 0,
    )  # fmt: skip
    config = open_artefact(tmp_path / "out").manifest["config"]
    assert {name: config[name] for name in expected} == expected
    pixels = patch(tmp_path / "out", tools.read_patches(tmp_path / "out").iloc[0])
    assert pixels.shape == (config["patch_px"], config["patch_px"], 3)


def test_patches_are_a_table_of_the_contract_and_an_imagefolder(tmp_path, tools, standardized):
    artefact = standardized(tools.write_set(tmp_path / "set"))
    table = PATCHES.check(tools.read_patches(artefact), "metadata.parquet")
    assert len(table) == 18
    assert table["patch_id"].is_unique
    for name in table["file_name"]:
        data = (artefact / name).read_bytes()
        assert Image.open(io.BytesIO(data)).format == "PNG"
    # Hugging Face finds metadata.parquet and its file_name; so do we.
    again = standardized(artefact, out="again")
    assert sorted(tools.read_patches(again)["label"]) == sorted(table["label"])
    np.testing.assert_array_equal(
        patch(again, tools.read_patches(again).iloc[0]), patch(artefact, table.iloc[0])
    )
