"""Contract of every entry: its facts are whole, and a fake copy of its folder is read rightly."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from histograft.catalogue.entry import LINE_LENGTH, Entry
from histograft.catalogue.label_tables import ImageFacts, image_key
from histograft.catalogue.registry import (
    ENTRIES,
    IN_MASK,
    count_differences,
    find_entry,
    samples_from_files,
    unmatched_files,
)
from histograft.core.errors import InputError
from histograft.core.units import check_mpp
from histograft.verbs.sources import read_source

DOI = re.compile(r"doi:10\.\d{4,9}/\S+")


def check_entry(entry: Entry) -> None:
    """Check what must hold for the facts of every entry, present and future."""
    labels = [c.label for c in entry.classes]
    assert len(set(labels)) == len(labels) >= 2
    assert all(c.meaning for c in entry.classes)
    assert DOI.search(entry.citation), "a citation needs a DOI"
    assert entry.license
    assert entry.group_rule
    assert entry.mpp_source
    assert entry.faults
    assert all(entry.name in warning for warning in entry.warnings)
    assert entry.checked
    assert entry.size_px is None or min(entry.size_px) > 0
    counts = entry.expected_counts
    if entry.expected_total is not None and len(counts) == len(labels):
        assert sum(counts.values()) == entry.expected_total
    for _, mpp in entry.mpp_by_magnification:
        check_mpp(mpp, entry.name)
    if entry.mpp is not None:
        check_mpp(entry.mpp, entry.name)
        assert not entry.mpp_by_magnification
    assert entry.how_to_get[-1].startswith("Run: histograft standardize")
    names = set(re.compile(entry.path_pattern).groupindex)
    assert names <= {"label", "name", "group", "magnification", "split"}
    assert ("label" in names) == (entry.table is None and not entry.mask_codes)
    assert ("name" in names) == (entry.table is not None)
    assert ("magnification" in names) == bool(entry.mpp_by_magnification)
    example = entry.example_path.removeprefix(f"{entry.name}/")
    facts = {image_key(Path(example).name): ImageFacts(labels[0], "7", None)}
    (row,) = samples_from_files(entry, [example], facts)
    assert row["label"] in [*labels, IN_MASK]
    if entry.group_known and not entry.arrays:
        assert row["group"]
    if entry.mask_codes:
        assert [label for _, label in entry.mask_codes] == labels


def check_reading(entry: Entry, folder: Path, images: list) -> None:
    """Check that the verb reads a copy of the set with the labels, groups and scales of it."""
    source = read_source(folder)
    assert source.entry is entry
    assert source.origin == f"catalogue layout {entry.name}"
    table = source.table.set_index("file")
    assert sorted(table.index) == sorted(image.file for image in images)
    for image in images:
        row = table.loc[image.file]
        assert row["label"] == image.label
        assert (None if pd.isna(row["group"]) else row["group"]) == image.group
        assert (None if pd.isna(row["mpp"]) else row["mpp"]) == image.mpp
        assert (None if pd.isna(row["split"]) else row["split"]) == image.split
        assert (None if pd.isna(row["mask"]) else row["mask"]) == image.mask
        for column, value in image.extra:
            assert row[column] == value


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_keeps_the_contract(name: str) -> None:
    assert ENTRIES[name].name == name
    check_entry(ENTRIES[name])


@pytest.mark.parametrize("name", ENTRIES)
def test_fake_copy_is_read_and_other_numbers_only_warn(
    name: str, fakes: ModuleType, tmp_path: Path
) -> None:
    folder, images = fakes.make_fake(name, tmp_path)
    check_reading(ENTRIES[name], folder, images)
    remarks = read_source(folder).remarks
    # A copy of a few images differs from the release; of CRC-7 no numbers are known.
    assert bool(remarks) == (ENTRIES[name].expected_total is not None)
    assert all(name in remark for remark in remarks)


@pytest.mark.parametrize("name", ENTRIES)
def test_copy_whose_folder_has_another_name_needs_the_entry_named(
    name: str, fakes: ModuleType, tmp_path: Path
) -> None:
    folder, images = fakes.make_fake(name, tmp_path)
    other = folder.rename(tmp_path / "my copy é")
    source = read_source(other, catalogue=name.lower())
    assert source.entry is ENTRIES[name]
    assert len(source.table) == len(images)


def test_every_entry_has_a_fake(fakes: ModuleType) -> None:
    assert set(fakes.FAKES) == set(ENTRIES)


def test_fakes_run_as_a_script(tmp_path: Path) -> None:
    script = Path(__file__).with_name("fakes.py")
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_description_fits_a_terminal_and_holds_the_facts(name: str) -> None:
    entry = ENTRIES[name]
    text = entry.describe()
    for line in text.splitlines():
        # Addresses and paths are kept in one piece, so that they can be copied.
        assert len(line) <= LINE_LENGTH or len(line.split()) <= 2, line
    words = " ".join(text.split())
    for fact in (entry.license, entry.citation, entry.group_rule, *entry.faults, *entry.how_to_get):
        assert " ".join(fact.split()) in words
    assert all(c.meaning in text for c in entry.classes)


def test_layouts_of_the_two_100k_sets_are_not_mixed_up() -> None:
    # Both lie beside each other in many people's folders.
    plain, nonorm = ENTRIES["NCT-CRC-HE-100K"], ENTRIES["NCT-CRC-HE-100K-NONORM"]
    paths = ["NCT-CRC-HE-100K/ADI/ADI-AAAFLCLY.tif", "NCT-CRC-HE-100K-NONORM/ADI/ADI-AAAFLCLY.tif"]
    assert [row["file"] for row in samples_from_files(plain, paths)] == paths[:1]
    assert [row["file"] for row in samples_from_files(nonorm, paths)] == paths[1:]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("NCT-CRC-HE-100K", "ADI/TUM-AAAFLCLY.tif"),  # folder and name disagree
        ("NCT-CRC-HE-100K", "XXX/XXX-AAAFLCLY.tif"),
        ("NCT-CRC-HE-100K", "__MACOSX/ADI/ADI-AAAFLCLY.tif"),
        ("LC25000", "lung_colon_image_set/overview.jpeg"),
        ("BreakHis", "SOB_B_A-14-22549AB-50-001.png"),  # no such magnification
        (
            "Kather-2016",
            "Kather_texture_2016_larger_images_10/CRC-Prim-HE-05_APPLICATION.tif",
        ),
    ],
)
def test_files_that_are_no_samples_are_named(name: str, path: str) -> None:
    entry = find_entry(name)
    assert samples_from_files(entry, [path]) == []
    assert unmatched_files(entry, [path]) == [path]


def test_breakhis_keeps_slides_of_one_number_together() -> None:
    paths = [
        "SOB_B_A-14-22549AB-40-001.png",
        "SOB_B_A-14-22549G-400-009.png",
        "SOB_M_DC-14-13412-100-003.png",
        "SOB_M_LC-14-13412-100-003.png",
    ]
    rows = samples_from_files(find_entry("BreakHis"), paths)
    assert [row["group"] for row in rows] == ["14-22549"] * 2 + ["14-13412"] * 2
    assert [row["mpp"] for row in rows] == [0.49, 0.05, 0.20, 0.20]
    assert [row["superclass"] for row in rows] == ["benign"] * 2 + ["malignant"] * 2


def test_folder_without_the_layout_is_an_error_that_names_the_entry(tmp_path: Path) -> None:
    folder = tmp_path / "BreakHis"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError, match="histograft catalogue BreakHis"):
        read_source(folder)


@pytest.mark.parametrize(
    ("wrong", "suggested"),
    [
        ("NCT-CRC-100K", "NCT-CRC-HE-100K"),
        ("breakhist", "BreakHis"),
        ("nonorm", "NCT-CRC-HE-100K-NONORM"),
        ("kather", "Kather-2016"),
        ("lc2500", "LC25000"),
    ],
)
def test_unknown_name_brings_the_near_ones(wrong: str, suggested: str) -> None:
    with pytest.raises(InputError) as caught:
        find_entry(wrong)
    assert suggested in caught.value.fix
    assert any(name not in caught.value.fix for name in ENTRIES), "only the near ones"


@pytest.mark.parametrize("wrong", ["", "zzzzzz"])
def test_name_near_to_nothing_brings_all(wrong: str) -> None:
    with pytest.raises(InputError) as caught:
        find_entry(wrong)
    assert all(name in caught.value.fix for name in ENTRIES)


def test_names_are_found_in_any_writing() -> None:
    assert find_entry(" nct_crc_he_100k ") is ENTRIES["NCT-CRC-HE-100K"]


class TestCountDifferences:
    def test_release_has_none(self) -> None:
        for entry in ENTRIES.values():
            assert count_differences(entry, entry.expected_counts) == [] or not (
                entry.expected_counts
            )

    def test_each_kind_is_said_once(self) -> None:
        entry = find_entry("Kather-2016")
        counts = entry.expected_counts | {"TUMOR": 624, "odd": 3}
        del counts["EMPTY"]
        missing, strange, differing = count_differences(entry, counts)
        assert "EMPTY" in missing
        assert "odd" in strange
        assert "TUMOR 624 of 625" in differing
        assert "STROMA" not in differing

    def test_total_is_compared_where_classes_are_not_known(self) -> None:
        entry = find_entry("NCT-CRC-HE-100K-NONORM")
        counts = {c.label: 10 for c in entry.classes}
        (message,) = count_differences(entry, counts)
        assert "90 images" in message
        assert "100,000" in message
        exact = counts | {"ADI": 100_000 - 80}
        assert count_differences(entry, exact) == []


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("NCT-CRC-HE-100K", "nct-crc-111"),
        ("CRC-VAL-HE-7K", "nct-crc-111"),
        ("LC25000", "lc25000-orig50"),
        ("LC25000", "lung-lc25000"),
    ],
)
def test_names_of_real_images_match(name: str, folder: str, shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "data" / folder / "samples.csv")
    rows = samples_from_files(ENTRIES[name], table["file"])
    assert [row["file"] for row in rows] == list(table["file"])
    assert [row["label"] for row in rows] == list(table["label"])
