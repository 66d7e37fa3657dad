"""standardize: HistoKT's presets, its patch counts, and its ways to divide a set."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.transform import rescale

from histograft.catalogue.histokt import HISTOKT
from histograft.core.artefact import open_artefact
from histograft.verbs.standardize import PRESETS

NINE = ("adp", "mhist", "bach", "aj", "pcam", "crc", "glas", "os", "bcss")
# Specification of the paper's pipeline as coded; 10 % is what its filter of 5 % does.
AS_CODED = {
    "target_mpp": 1.0, "patch_px": 272, "overlap": 0.25, "resampling": "skimage",
    "background": 0.10, "background_scope": "all", "upsample": "allow",
}  # fmt: skip
OF_A_SET = {
    "adp": {},
    "mhist": {"val_of_train": 0.2},
    "bach": {"split_by": "patches", "val_fraction": 0.1, "test_fraction": 0.5},
    "aj": {"split_by": "patches", "val_fraction": 0.1, "test_fraction": 0.1},
    "pcam": {"per_class": ("train=1000", "val=200")},
    "crc": {
        "per_class": ("train=2000", "val=250", "test=250"),
        "val_fraction": 0.1, "test_fraction": 0.1,
    },
    "glas": {},
    "os": {"split_by": "patches", "val_fraction": 0.1, "test_fraction": 0.1},
    "bcss": {
        "overlap": 0.75, "min_labelled": 0.2, "split_by": "patches", "val_fraction": 0.1,
        "test_fraction": 0.1,
    },
}  # fmt: skip


def tissue(width, height, seed=0):
    """Blobs of strong contrast everywhere, so that no patch is background."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height)))


def write(folder, tools, *, width=300, height=300, rows, suffix="png"):
    """Write an image for each row (which has no file yet) and the table."""
    for i, row in enumerate(rows):
        row["file"] = f"{i}.{suffix}"
        tools.save(folder / row["file"], tissue(width, height, i))
    tools.write_table(folder / "samples.csv", rows)
    return folder


@pytest.fixture
def run(tmp_path, tools):
    """Return a function that runs standardize and gives the table of patches."""

    def work(folder, *words, out="out"):
        tools.ok(
            "standardize", "--samples", folder, "--out", tmp_path / out, "--workers", 1, *words
        )
        return tools.read_patches(tmp_path / out)

    return work


@pytest.mark.parametrize("name", NINE)
def test_presets_of_the_nine_sets_hold_every_value(name):
    assert PRESETS[f"histokt-{name}"] == AS_CODED | OF_A_SET[name]


def test_presets_as_coded_and_as_printed():
    assert PRESETS["histokt"] == AS_CODED
    assert PRESETS["histokt-printed"] == AS_CODED | {"overlap": 0.5, "background": 0.05}


@pytest.mark.parametrize(
    ("name", "size", "mpp", "coded", "printed"),
    [  # sizes and scales of Table 1; 6 and 16 a picture give its 2,397 and, filtered, 16,534
        ("bach", (2048, 1536), 0.42, 6, 15),
        ("os", (1024, 1024), 1.0, 16, 36),
        ("mhist", (224, 224), 1.25, 1, 1),
        ("aj", (1388, 1040), 0.25, 1, 1),
        ("pcam", (96, 96), 0.972, 1, 1),
        ("crc", (224, 224), 0.5, 1, 1),
        ("adp", (272, 272), 1.0, 1, 1),
        ("glas", (775, 522), 0.62005, 2, 2),  # all 20 of test B: its 40
        ("bcss", (1400, 1672), 0.25, 6, None),  # 350 x 418 px, stride 68: 2 x 3
    ],
)
def test_patches_of_one_image(tmp_path, tools, run, name, size, mpp, coded, printed):
    width, height = size
    rows = [{"label": "a", "mpp": mpp}]
    folder = write(tmp_path / "set", tools, width=width, height=height, rows=rows)
    words = ("--split-by", "groups") if name in ("bach", "os", "aj", "bcss") else ()
    preset = f"histokt-{name}"
    assert len(run(folder, "--preset", preset, *words, out="coded")) == coded
    if printed is not None:
        assert len(run(folder, "--preset", "histokt-printed", out="printed")) == printed


def test_pixels_are_scikit_images_cropped_and_reflected(tmp_path, tools, run):
    folder = write(
        tmp_path / "set", tools, width=1388, height=1040, rows=[{"label": "a", "mpp": 0.25}]
    )
    (row,) = run(folder, "--preset", "histokt").to_dict("records")
    with Image.open(folder / "0.png") as image:
        scaled = rescale(
            np.asarray(image), 0.25, channel_axis=2, anti_aliasing=True, preserve_range=True,
            order=1, mode="reflect",
        ).astype(np.uint8)  # fmt: skip
    assert scaled.shape[:2] == (260, 347)
    expected = np.pad(scaled, ((0, 12), (0, 0), (0, 0)), mode="reflect")[:, :272]
    with Image.open(tmp_path / "out" / row["file_name"]) as image:
        off = np.asarray(image).astype(int) - expected
    # scikit-image computes in doubles and cuts off decimals: a rounding apart here and there.
    assert np.abs(off).max() <= 1
    assert (off != 0).mean() < 0.01


def test_patches_are_dealt_as_in_the_code_and_the_leak_is_told(tmp_path, tools):
    rows = [{"label": "ab"[i % 2], "group": f"p{i}", "mpp": 1.0} for i in range(5)]
    folder = write(tmp_path / "set", tools, width=1024, height=1024, rows=rows)
    words = ["standardize", "--samples", folder, "--preset", "histokt-os", "--workers", 1]
    outcome = tools.ok(*words, "--out", tmp_path / "patches")
    table = tools.read_patches(tmp_path / "patches")
    # 80 patches: cuts at 64 and 72.
    assert table["split"].value_counts().to_dict() == {"train": 64, "val": 8, "test": 8}
    assert set(table["split_source"]) == {"drawn patches"}
    leakage = json.loads((tmp_path / "patches" / "leakage.json").read_text())
    assert leakage["overlapping_test_share"] > 0.9  # neighbors share a quarter of their side
    assert leakage["groups_in_two_splits"]
    assert "overlap training ones" in outcome.err
    tools.ok(*words, "--out", tmp_path / "groups", "--split-by", "groups")
    leakage = json.loads((tmp_path / "groups" / "leakage.json").read_text())
    assert leakage["overlapping_test_share"] == 0
    assert leakage["groups_in_two_splits"] == []


def test_stated_splits_are_obeyed_also_where_patches_would_be_dealt(tmp_path, tools, run):
    rows = [{"label": "a", "mpp": 1.0, "split": s} for s in ("train", "test", "val")]
    folder = write(tmp_path / "set", tools, rows=rows)
    table = run(folder, "--target-mpp", 1, "--split-by", "patches")
    assert table.groupby("source_file")["split"].unique().map(list).to_list() == [
        ["train"], ["test"], ["val"],
    ]  # fmt: skip


def test_validation_is_drawn_from_stated_training_groups_only(tmp_path, tools, run):
    rows = [
        {"label": "ab"[i % 2], "group": f"p{i // 2}", "mpp": 1.0, "split": "train"}
        for i in range(40)
    ] + [{"label": "ab"[i % 2], "group": f"q{i}", "mpp": 1.0, "split": "test"} for i in range(6)]
    folder = write(tmp_path / "set", tools, width=40, height=40, rows=rows)
    words = ("--patch-px", 32, "--target-mpp", 1)
    plain = run(folder, *words, out="plain")
    assert set(plain["split"]) == {"train", "test"}
    table = run(folder, *words, "--val-of-train", 0.2, out="drawn")
    counts = table["split"].value_counts()
    assert counts["test"] == 6
    assert counts["val"] == pytest.approx(8, abs=2)
    assert (table.groupby("group")["split"].nunique() == 1).all()
    assert table[table["group"].str.startswith("q")]["split"].unique().tolist() == ["test"]


def test_images_per_class_and_split(tmp_path, tools, run):
    rows = [
        {"label": label, "mpp": 1.0, "split": split}
        for label in "ab"
        for split in ("train", "val", "test")
        for _ in range(6)
    ]
    folder = write(tmp_path / "set", tools, width=40, height=40, rows=rows)
    words = ("--patch-px", 32, "--target-mpp", 1, "--per-class", "train=4", "val=1")
    table = run(folder, *words)
    counts = table.groupby(["split", "label"]).size()
    assert counts["train"].to_list() == [4, 4]
    assert counts["val"].to_list() == [1, 1]
    assert counts["test"].to_list() == [6, 6]
    assert open_artefact(tmp_path / "out").facts["n_images"] == 22
    other = run(folder, *words, "--seed", 1, out="other")
    assert set(other["source_file"]) != set(table["source_file"])


@pytest.mark.parametrize(
    "words",
    [
        ("--per-class", "train"),
        ("--per-class", "train=0"),
        ("--per-class", "dev=3"),
        ("--per-class", "train=3", "train=4"),
        ("--val-of-train", 1),
        ("--min-fraction", 0),
        ("--min-fraction", 1.5),
        ("--min-labelled", -0.1, "--min-fraction", 0.1),
        ("--mask-classes", "1=a"),
        ("--mask-classes", "1", "--min-fraction", 0.1),
        ("--mask-classes", "1=a", "1=b", "--min-fraction", 0.1),
        ("--mask-classes", "1=a|b", "--min-fraction", 0.1),
    ],
)
def test_values_that_mean_nothing_are_usage_errors(tmp_path, tools, words):
    folder = write(tmp_path / "set", tools, width=9, height=9, rows=[{"label": "a"}])
    outcome = tools.run("standardize", "--samples", folder, "--out", tmp_path / "out", *words)
    assert outcome.code == 2, outcome.err
    assert str(words[0]) in outcome.err


def test_several_labels_an_image_cannot_be_counted_by_class(tmp_path, tools):
    rows = [{"label": "a|b", "mpp": 1.0}, {"label": "b", "mpp": 1.0}]
    folder = write(tmp_path / "set", tools, width=40, height=40, rows=rows)
    outcome = tools.run(
        "standardize", "--samples", folder, "--out", tmp_path / "out", "--per-class", "train=1"
    )
    assert outcome.code == 1
    assert "several labels an image" in outcome.err


def test_settings_that_take_no_part_leave_the_id_as_it_was(tmp_path, tools, run):
    folder = write(
        tmp_path / "set", tools, width=40, height=40, rows=[{"label": "a", "mpp": 1.0}] * 1
    )
    run(folder, "--patch-px", 32, "--target-mpp", 1)
    config = open_artefact(tmp_path / "out").manifest["config"]
    new = {"val_of_train", "split_by", "per_class", "mask_classes", "min_fraction", "min_labelled"}
    assert new.isdisjoint(config)


class TestLabelsFromMasks:
    """Four quarters of a region: tumor; tumor and 4 % fat; 10 % stroma; codes that are no class."""

    @pytest.fixture
    def folder(self, tmp_path, tools):
        """A copy of BCSS with one region of 80 x 80 px at 1 µm/px."""
        codes = np.zeros((80, 80), np.uint8)
        codes[:40, :40] = 1
        codes[:40, 40:] = 1
        codes[:8, 40:48] = 9  # 64 of 1,600 pixels
        codes[40:44, :40] = 2
        codes[40:, 40:] = 7
        name = "TCGA-A1-A0SK-DX1_xmin1_ymin2_MPP-0.2500.png"
        tools.save(tmp_path / "BCSS/rgbs_colorNormalized" / name, tissue(80, 80))
        tools.save(tmp_path / "BCSS/masks" / name, codes)
        return tmp_path / "BCSS"

    WORDS = ("--patch-px", 40, "--target-mpp", "keep")

    def test_classes_that_cover_enough_are_labels(self, tmp_path, tools, folder):
        outcome = tools.ok(
            "standardize", "--samples", folder, "--out", tmp_path / "out", "--workers", 1,
            *self.WORDS, "--min-fraction", 0.04,
        )  # fmt: skip
        table = tools.read_patches(tmp_path / "out")
        assert table.set_index(["x_px", "y_px"])["label"].to_dict() == {
            (0, 0): "tumor",
            (40, 0): "tumor|fat",
        }
        rejects = pd.read_csv(tmp_path / "out" / "rejects.csv")
        assert rejects[["x_px", "y_px", "reason"]].to_numpy().tolist() == [
            [0, 40, "unlabelled"], [40, 40, "unlabelled"],
        ]  # fmt: skip
        assert "masks cover too little" in outcome.err
        facts = open_artefact(tmp_path / "out").facts
        assert facts["task"] == "multilabel"
        assert facts["classes"] == ["fat", "tumor"]
        assert "stroma" in facts["lost_classes"]
        assert set(table["group"]) == {"TCGA-A1-A0SK"}
        # The masks of the patches are kept, for pointing games.
        with Image.open(tmp_path / "out" / table["mask_file_name"].iloc[1]) as mask:
            assert sorted(np.unique(mask)) == [1, 9]
        shares = pd.read_csv(tmp_path / "out" / "mask_shares.csv").set_index("patch_id")
        assert shares.loc[table["patch_id"], "fat"].to_list() == [0.0, 0.04]
        assert shares.loc[table["patch_id"], "tumor"].to_list() == [1.0, 0.96]
        counts = pd.read_csv(tmp_path / "out" / "min_fraction.csv")
        fat = counts[counts["class"] == "fat"].set_index("min_fraction")["n_patches"]
        assert (fat[0.02], fat[0.05]) == (1, 0)
        assert set(counts["n_all"]) == {2}

    def test_least_share_and_coverage_are_obeyed(self, tmp_path, run, folder):
        labels = run(folder, *self.WORDS, "--min-fraction", 0.05, out="a")["label"].to_list()
        assert labels == ["tumor", "tumor"]
        table = run(folder, *self.WORDS, "--min-fraction", 0.05, "--min-labelled", 0.1, out="b")
        assert table["label"].to_list() == ["tumor", "tumor", "stroma"]
        table = run(folder, *self.WORDS, "--min-fraction", 0.2, "--min-labelled", 0.1, out="c")
        assert len(table) == 2
        assert "no-class" in set(pd.read_csv(tmp_path / "c" / "rejects.csv")["reason"])

    def test_the_share_must_be_given(self, tmp_path, tools, folder):
        outcome = tools.run("standardize", "--samples", folder, "--out", tmp_path / "out")
        assert outcome.code == 1
        assert "--min-fraction" in outcome.err

    def test_own_masks_with_stated_codes(self, tmp_path, tools, run):
        codes = np.zeros((40, 40), np.uint8)
        codes[:20], codes[20:] = 5, 6
        tools.save(tmp_path / "set/m.png", codes)
        rows = [{"label": "whatever", "mpp": 1.0, "mask": "m.png"}]
        folder = write(tmp_path / "set", tools, width=40, height=40, rows=rows)
        words = ("--patch-px", 40, "--target-mpp", 1, "--min-fraction", 0.3)
        (label,) = run(folder, *words, "--mask-classes", "6=islet", "5=duct")["label"]
        assert label == "islet|duct"
        refused = tools.run("standardize", "--samples", folder, "--out", tmp_path / "x", *words)
        assert refused.code == 1
        assert "--mask-classes" in refused.err

    def test_an_image_without_a_mask_is_an_error(self, tmp_path, tools, folder):
        (mask,) = (folder / "masks").iterdir()
        mask.unlink()
        outcome = tools.run(
            "standardize", "--samples", folder, "--out", tmp_path / "out", *self.WORDS,
            "--min-fraction", 0.1, "--workers", 1,
        )  # fmt: skip
        assert outcome.code == 1
        assert "has no mask to take its labels from" in outcome.err


@pytest.mark.parametrize("name", NINE)
def test_each_preset_runs_on_a_copy_of_its_release(tmp_path, tools, fakes, name):
    entry = HISTOKT[name].entry
    folder, images = fakes.make_fake(entry, tmp_path)
    words = ("--min-fraction", 0.01) if name == "bcss" else ()
    tools.ok(
        "standardize", "--samples", folder, "--out", tmp_path / "out", "--workers", 1,
        "--preset", f"histokt-{name}", *words,
    )  # fmt: skip
    table = tools.read_patches(tmp_path / "out")
    assert sorted(table["source_file"]) == sorted(image.file for image in images)
    assert table["reflected"].all()
    assert (table["mpp"] == 1.0).all()
    stated = {image.file: image.split for image in images if image.split is not None}
    found = table.set_index("source_file")["split"].to_dict()
    for file, split in stated.items():
        assert found[file] == split or (
            name == "mhist" and {found[file], split} == {"val", "train"}
        )
    assert ("mask_file_name" in table) == (images[0].mask is not None)
    if name in ("adp", "bcss"):
        assert open_artefact(tmp_path / "out").facts["task"] == "multilabel"
