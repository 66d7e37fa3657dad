"""What standardize takes: samples tables, class folders, imagefolders, catalogue layouts."""

import json

import numpy as np
import pandas as pd
import pytest

from histograft.catalogue.registry import ENTRIES
from histograft.core.artefact import open_artefact
from histograft.verbs.sources import read_source


def test_class_folders(tmp_path, tools, standardized):
    source = tools.write_set(tmp_path / "set")
    (source / "samples.csv").unlink()
    (source / "gland/.hidden.png").write_bytes(b"no image")
    (source / "gland/notes.txt").write_text("no image either")
    artefact = standardized(source, "--mpp", 1)
    rows = tools.read_patches(artefact)
    assert rows.groupby("label").size().to_dict() == {"fat": 6, "gland": 6, "muscle": 6}
    assert (rows["group_source"] == "image").all()
    assert open_artefact(artefact).facts["origin"] == "class folders"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val", "test"), {"train": 2, "val": 2, "test": 2}),
        (("Training", "valid", "Testing"), {"train": 2, "val": 2, "test": 2}),
        (("train", "test"), {"train": 2, "test": 2}),
        (("train", "val"), {"train": 2, "val": 2}),
    ],
)
def test_split_folders(tmp_path, tools, standardized, names, expected):
    for split in names:
        for label in ("a", "b"):
            tools.save(tmp_path / "set" / split / label / "1.png", tools.texture((split, label)))
    rows = tools.read_patches(standardized(tmp_path / "set", "--mpp", 1))
    assert rows.groupby("split").size().to_dict() == expected
    assert set(rows["label"]) == {"a", "b"}


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_imagefolder(tmp_path, tools, standardized, ending):
    rows = [
        {"file_name": f"images/{number}.png", "label": label}
        for number, label in enumerate(["01", "02"] * 5)
    ]
    for row in rows:
        tools.save(tmp_path / "set" / row["file_name"], tools.texture(row["file_name"]))
    path = tmp_path / "set" / f"metadata.{ending}"
    table = pd.DataFrame(rows)
    if ending == "csv":
        table.to_csv(path, index=False)
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    patches = tools.read_patches(standardized(tmp_path / "set", "--mpp", 1))
    assert patches.groupby("label").size().to_dict() == {"01": 5, "02": 5}


def test_catalogue_layouts(tmp_path, fakes):
    """Every entry's tiny fake is found by its folder's name, with labels and groups."""
    for name in ENTRIES:
        folder, images = fakes.make_fake(name, tmp_path)
        expected = {f.file: f for f in images}
        source = read_source(folder)
        assert source.entry is ENTRIES[name]
        assert set(source.table["file"]) == set(expected)
        for row in source.table.to_dict("records"):
            fake = expected[row["file"]]
            assert row["label"] == fake.label
            assert (None if pd.isna(row["group"]) else row["group"]) == fake.group
        # A fake has not as many images as the release, where that is known: a warning.
        assert bool(source.remarks) == (ENTRIES[name].expected_total is not None)


def test_scale_of_a_catalogue_layout_is_said_to_be_the_catalogues(tmp_path, tools, fakes):
    fakes.make_fake("BreakHis", tmp_path)
    outcome = tools.ok(
        "standardize", "--samples", tmp_path / "BreakHis", "--out", tmp_path / "out",
        "--patch-px", 16, "--target-mpp", 0.5, "--workers", 1,
    )  # fmt: skip
    rows = tools.read_patches(tmp_path / "out")
    assert "warning" in outcome.err
    assert set(rows["mpp_source"]) == {"catalogue"}
    assert set(rows["group_source"]) == {"catalogue"}
    assert len(set(rows["mpp_native"])) > 1


def test_further_columns_do_not_disturb(tmp_path, tools, standardized):
    source = tools.write_set(tmp_path / "set")
    table = pd.read_csv(source / "samples.csv").assign(source_sha256="mine", note="a, b")
    table.to_csv(source / "samples.csv", index=False)
    rows = tools.read_patches(standardized(source))
    assert not (rows["source_sha256"] == "mine").any()


def test_out_below_the_samples_does_not_become_a_class(tmp_path, tools):
    source = tools.write_set(tmp_path / "set")
    (source / "samples.csv").unlink()
    words = ["standardize", "--samples", source, "--out", source / "patches", "--mpp", 1]
    words += ["--target-mpp", 1, "--patch-px", 32, "--workers", 1]
    outcome = tools.run(*words)
    assert outcome.code == 1
    assert "--out" in outcome.err
    assert not (source / "patches").exists()


def test_seed_and_workers_do_not_change_pixels(tmp_path, tools, standardized):
    source = tools.write_set(tmp_path / "set", groups=2)
    a = tools.read_patches(standardized(source, out="a")).set_index("patch_id")
    b = tools.read_patches(standardized(source, "--seed", 7, out="b")).set_index("patch_id")
    assert set(a.index) == set(b.index)
    for name, row in a.iterrows():
        one = (tmp_path / "a" / row["file_name"]).read_bytes()
        assert one == (tmp_path / "b" / b.loc[name, "file_name"]).read_bytes()
    assert np.array_equal(
        a["perceptual_hash"].sort_index().to_numpy(str),
        b["perceptual_hash"].sort_index().to_numpy(str),
    )
