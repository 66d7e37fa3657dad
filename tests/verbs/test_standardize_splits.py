"""standardize: splits are obeyed or drawn over groups, and the leakage report counts."""

import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from histograft.core.artefact import open_artefact
from histograft.core.reporter import SILENT
from histograft.core.tables import SAMPLES
from histograft.verbs.annotating import with_groups, with_splits
from histograft.verbs.sources import Source
from histograft.verbs.standardize import Standardize


def with_column(source, **columns):
    table = pd.read_csv(source / "samples.csv").assign(**columns)
    table.to_csv(source / "samples.csv", index=False)
    return source


def splits_by_file(tools, artefact):
    return tools.read_patches(artefact).set_index("source_file")["split"].to_dict()


def test_a_split_column_is_obeyed_even_against_groups_and_the_report_says_so(
    tmp_path, tools, standardized
):
    source = tools.write_set(tmp_path / "set", groups=2, per_group=3)
    words = ["train", "Validation", " TEST "] * 6
    with_column(source, split=words)
    artefact = standardized(source)
    found = splits_by_file(tools, artefact)
    files = pd.read_csv(source / "samples.csv")["file"]
    expected = ["train", "val", "test"] * 6
    assert found == dict(zip(files, expected, strict=True))
    assert set(tools.read_patches(artefact)["split_source"]) == {"samples"}
    leakage = open_artefact(artefact).facts["leakage"]
    assert leakage["groups_in_two_splits"] == ["p0", "p1"]


def test_another_column_only_on_request_and_only_with_train_and_test(tmp_path, tools, standardized):
    source = tools.write_set(tmp_path / "set")
    with_column(source, arm=["train", "test"] * 9, site=["north"] * 18, half=["train"] * 18)
    drawn = tools.read_patches(standardized(source, out="drawn"))
    assert set(drawn["split_source"]) == {"drawn"}
    arm = tools.read_patches(standardized(source, "--split-column", "arm", out="arm"))
    assert set(arm["split_source"]) == {"column"}
    assert sorted(arm["split"]) == ["test"] * 9 + ["train"] * 9
    for column in ("site", "half", "absent"):
        rows = tools.read_patches(standardized(source, "--split-column", column, out=column))
        assert set(rows["split_source"]) == {"drawn"}
        # The same seed draws the same split, whatever column was asked for in vain.
        assert rows["split"].tolist() == drawn["split"].tolist()


def test_a_requested_column_beats_the_column_called_split(tmp_path, tools, standardized):
    source = tools.write_set(tmp_path / "set")
    with_column(source, split=["train", "test"] * 9, mine=["test", "train"] * 9)
    rows = tools.read_patches(standardized(source, "--split-column", "mine"))
    assert set(rows["split_source"]) == {"column"}
    files = pd.read_csv(source / "samples.csv")
    assert rows.set_index("source_file")["split"].to_dict() == dict(
        zip(files["file"], files["mine"], strict=True)
    )


def test_a_split_column_with_one_split_is_obeyed(tmp_path, tools, standardized):
    source = with_column(tools.write_set(tmp_path / "set"), split=["test"] * 18)
    rows = tools.read_patches(standardized(source))
    assert set(rows["split"]) == {"test"}
    assert set(rows["split_source"]) == {"samples"}


@pytest.mark.parametrize("word", ["", "fold 3"])
def test_a_row_that_names_no_split_is_an_error(tmp_path, tools, word):
    source = tools.write_set(tmp_path / "set")
    with_column(source, split=["train", "test"] * 8 + ["train", word])
    outcome = tools.run("standardize", "--samples", source, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "column 'split'" in outcome.err
    assert "train, val, test" in outcome.err


def test_drawn_splits_are_seeded_and_whole_groups(tmp_path, tools, standardized):
    source = tools.write_set(tmp_path / "set", groups=10, per_group=2)
    first = tools.read_patches(standardized(source, out="first"))
    again = tools.read_patches(standardized(source, out="again"))
    other = tools.read_patches(standardized(source, "--seed", 1, out="other"))
    assert first["split"].tolist() == again["split"].tolist()
    assert first["split"].tolist() != other["split"].tolist()
    for rows in (first, other):
        assert (rows.groupby("group")["split"].nunique() == 1).all()
        assert set(rows["split"]) == {"train", "val", "test"}
        # Each class has groups in each split.
        assert (rows.groupby("label")["split"].nunique() == 3).all()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.none() | st.integers(0, 4), st.integers(0, 12)),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 3),
)
def test_no_group_and_no_image_is_ever_in_two_splits(rows, seed):
    """Rows of class, group (or none) and content; equal numbers are copies of one image."""
    table = pd.DataFrame(
        {
            "file": [f"{i}.png" for i in range(len(rows))],
            "label": [f"c{label}" for label, _, _ in rows],
            "group": [None if group is None else f"g{group}" for _, group, _ in rows],
        }
    )
    table = SAMPLES.check(table, "samples.csv")
    for column in ("split", "mask"):
        table[column] = None
    table["mpp"] = 1.0
    source = Source("set", None, table, "samples.csv")
    hashes = [f"{content:064x}" for _, _, content in rows]
    config = Standardize(samples="set", out="out", seed=seed)
    done = with_splits(with_groups(source, hashes), config, source, SILENT)
    by_group, by_image = defaultdict(set), defaultdict(set)
    for (_, group, content), split in zip(rows, done["split"], strict=True):
        by_image[content].add(split)
        if group is not None:
            by_group[group].add(split)
    assert all(len(splits) == 1 for splits in by_group.values())
    assert all(len(splits) == 1 for splits in by_image.values())
    # What the user called a group keeps that name.
    stated = [None if group is None else f"g{group}" for _, group, _ in rows]
    kept = [g for g, known in zip(done["group"], stated, strict=True) if known is not None]
    assert kept == [g for g in stated if g is not None]


def test_the_leakage_report_counts_what_was_planted(tmp_path, tools, standardized):
    folder = tmp_path / "set"
    tools.write_set(folder, groups=4, side=64)
    rows = pd.read_csv(folder / "samples.csv").to_dict("records")
    for index, row in enumerate(rows):
        row["split"] = "test" if index % 4 == 3 else "train"
    original = folder / "gland/p0-0.png"  # a training image
    pixels = np.asarray(Image.open(original))
    planted = {"copy.png": None, "flipped.png": pixels[:, ::-1], "again.jpg": pixels}
    for name, copy in planted.items():
        if copy is None:
            (folder / name).write_bytes(original.read_bytes())
        else:
            tools.save(folder / name, copy, **({"quality": 80} if name[-3:] == "jpg" else {}))
        rows.append({"file": name, "label": "gland", "group": name, "mpp": 1, "split": "test"})
    tools.write_table(folder / "samples.csv", rows)
    artefact = standardized(folder, "--patch-px", 64)
    report = json.loads((artefact / "leakage.json").read_text())
    assert report["exact_duplicates_across_splits"] == 1
    assert report["near_duplicates_across_splits"] == 2
    assert report["groups_in_two_splits"] == []
    assert report["groups_known"] == 1.0
    table = tools.read_patches(artefact).set_index("patch_id")["source_file"]
    pairs = {frozenset((table[a], table[b])) for a, b, _ in report["near_duplicate_pairs"]}
    for name in planted:
        assert frozenset(("gland/p0-0.png", name)) in pairs


def test_patches_of_different_images_do_not_overlap(tmp_path, tools, standardized):
    source = tools.write_set(tmp_path / "set", side=64, groups=3)
    with_column(source, split=["train", "train", "test"] * 3)
    report = json.loads((standardized(source) / "leakage.json").read_text())
    assert report["overlapping_test_share"] == 0.0
