"""Tables of releases: names are found in any writing, and what does not fit is refused."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from histograft.catalogue.entry import LabelTable
from histograft.catalogue.label_tables import facts_of_images, image_key
from histograft.catalogue.registry import find_entry, samples_from_files, unmatched_files
from histograft.core.errors import InputError
from histograft.verbs.sources import read_source

TABLE = LabelTable(file="t.csv", image="name", label="grade")
FLAGS = LabelTable(file="t.csv", image="name", label_columns=("a", "b", "c"))


@pytest.mark.parametrize(
    ("table", "disk"),
    [
        ("Case 3 - A10 - 10075 - 36420", "Case-3-A10-10075-36420.jpg"),
        ("Case 48 - P5 C7 - 10 - 20", "Case-48-P5-C7-10-20.jpg"),
        ("001.png_crop_16.png", "001.png_crop_16.png"),
        ("testA_1", "testA_1.bmp"),
    ],
)
def test_one_image_in_two_writings(table: str, disk: str) -> None:
    assert image_key(table) == image_key(disk)


def test_other_images_keep_other_keys() -> None:
    names = ["testA_1", "testA_11", "testB_1", "train_1", "001.png_crop_16", "001.png_crop_160"]
    assert len({image_key(name) for name in names}) == len(names)


def test_flags_become_labels_in_the_order_of_the_columns() -> None:
    rows = [
        {"name": "x", "a": "1", "b": "0", "c": "1.0"},
        {"name": "y", "a": "0", "b": "0.0", "c": "0"},
    ]
    facts = facts_of_images(FLAGS, rows, {"train": [1], "test": [0]})
    assert (facts["x"].label, facts["x"].split) == ("a|c", "test")
    assert (facts["y"].label, facts["y"].split) == ("", "train")


@pytest.mark.parametrize(
    ("table", "rows", "splits", "message"),
    [
        (TABLE, [{"name": "x", "class": "a"}], {}, "lacks the column.s. grade"),
        (TABLE, [{"name": "x y", "grade": "a"}, {"name": "x-y", "grade": "b"}], {}, "two rows"),
        (FLAGS, [{"name": "x", "a": "2", "b": "0", "c": "1"}], {}, "'2' in column a"),
        (TABLE, [{"name": "x", "grade": "a"}], {"train": [1]}, "names row 1"),
        (TABLE, [{"name": "x", "grade": "a"}], {"train": [-1]}, "names row -1"),
        (TABLE, [{"name": "x", "grade": "a"}], {"train": [0], "test": [0]}, "in train and in test"),
    ],
)
def test_what_does_not_fit_is_refused(table, rows, splits, message) -> None:
    with pytest.raises(InputError, match=message):
        facts_of_images(table, rows, splits)


def test_missing_doubled_and_damaged_files_of_a_release_are_named(
    tmp_path: Path, fakes: ModuleType
) -> None:
    folder, _ = fakes.make_fake("ADP", tmp_path)
    table, array = folder / "ADP_EncodedLabels_Release1_Flat.csv", folder / "splits/valid.npy"
    whole = array.read_bytes()
    for bad in (b"", whole[:20], b"not numpy"):
        array.write_bytes(bad)
        with pytest.raises(InputError, match=r"valid\.npy is no NumPy array"):
            read_source(folder)
    np.save(array, np.array([0.5]))
    with pytest.raises(InputError, match="holds float64"):
        read_source(folder)
    np.save(array, np.array([{}]), allow_pickle=True)  # pickles are never opened
    with pytest.raises(InputError, match="no NumPy array"):
        read_source(folder)
    array.write_bytes(whole)
    (folder / "copy").mkdir()
    (folder / "copy" / table.name).write_bytes(table.read_bytes())
    with pytest.raises(InputError, match="2 times"):
        read_source(folder)
    (folder / "copy" / table.name).unlink()
    table.unlink()
    with pytest.raises(InputError, match=re.escape(f"lacks {table.name}")) as caught:
        read_source(folder)
    assert "histograft catalogue ADP" in caught.value.fix


def test_images_without_a_label_are_left_out_aloud(tmp_path: Path, fakes: ModuleType) -> None:
    folder, images = fakes.make_fake("MHIST", tmp_path)
    first = folder / images[0].file
    (folder / "images" / "MHIST_zzz.png").write_bytes(first.read_bytes())
    source = read_source(folder)
    assert len(source.table) == len(images)
    (remark,) = [r for r in source.remarks if "no label" in r]
    assert "1 image(s) of MHIST" in remark
    assert "MHIST_zzz.png" in remark


def test_masks_and_what_is_left_out_on_purpose_are_no_strange_files() -> None:
    glas, crc = find_entry("GlaS"), find_entry("CRC-7")
    paths = ["train_1.bmp", "train_1_anno.bmp", "train_2_anno.bmp"]
    assert unmatched_files(glas, paths) == ["train_2_anno.bmp"]
    assert unmatched_files(crc, ["BACK/BACK-AAAA.tif", "x/cover.tif"]) == ["x/cover.tif"]


def test_a_mask_that_is_not_there_is_not_named() -> None:
    (row,) = samples_from_files(find_entry("BCSS"), ["images/TCGA-A1-A0SK-DX1_x.png"])
    assert "mask" not in row
    assert row["group"] == "TCGA-A1-A0SK"
