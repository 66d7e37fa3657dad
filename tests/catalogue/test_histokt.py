"""HistoKT's nine sets: Table 1 of the paper, and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from histograft.catalogue.entry import LINE_LENGTH
from histograft.catalogue.histokt import HISTOKT, describe_use
from histograft.catalogue.registry import ENTRIES
from histograft.stats.folds import split_groups
from histograft.stats.subsample import draw_split

PAPER_NAMES = {
    "ADP": "adp", "MHIST": "mhist", "BACH": "bach", "AJ-Lymph": "aj", "PCam": "pcam", "CRC": "crc",
    "GlaS": "glas", "OS": "os", "BCSS": "bcss",
}  # fmt: skip


@pytest.mark.real
def test_facts_are_those_of_table_1(shared_data: Path) -> None:
    path = shared_data / "reference" / "histokt_table1_datasets.csv"
    table = pd.read_csv(path).set_index("dataset")
    assert set(table.index.map(PAPER_NAMES)) == set(HISTOKT)
    for paper_name, row in table.iterrows():
        facts = HISTOKT[PAPER_NAMES[paper_name]]
        entry = ENTRIES[facts.entry]
        columns = ["patches_train", "patches_validation", "patches_test"]
        assert tuple(row[columns]) == facts.patches
        assert (row["n_classes"], row["dataset_size"]) == (facts.n_classes, facts.n_images)
        assert len(entry.classes) == facts.n_classes
        assert entry.mpp == pytest.approx(row["um_per_px"], abs=5e-3)  # GlaS is rounded to 0.62
        if entry.size_px is not None:
            assert row["image_size_px"] == "{}x{}".format(*entry.size_px)


@pytest.mark.parametrize("name", ["bach", "aj", "os", "bcss"])
def test_sizes_of_patch_splits_follow_from_their_sum(name: str) -> None:
    facts = HISTOKT[name]
    val, test = facts.options["val_fraction"], facts.options["test_fraction"]
    fractions = {"train": 1 - val - test, "val": val, "test": test}
    split = draw_split(sum(facts.patches), fractions, seed=1).tolist()
    assert tuple(split.count(part) for part in ("train", "val", "test")) == facts.patches


def test_sizes_of_sets_that_are_counted_by_class() -> None:
    for name in ("pcam", "crc"):
        facts = HISTOKT[name]
        limits = dict(pair.split("=") for pair in facts.options["per_class"])
        for part, n_patches in zip(("train", "val", "test"), facts.patches, strict=True):
            if part in limits:
                assert int(limits[part]) * facts.n_classes == n_patches


def test_mhist_validates_on_a_fifth_of_its_training_images() -> None:
    train, val, test = HISTOKT["mhist"].patches
    assert (train + val, test) == (2175, 977)
    share = HISTOKT["mhist"].options["val_of_train"]
    labels = ["HP"] * 1545 + ["SSA"] * 630  # each image its own group
    split = split_groups(
        labels, range(2175), fractions={"train": 1 - share, "val": share}, seed=3
    ).tolist()
    assert (split.count("train"), split.count("val")) == (train, val)
    assert train + val + test == ENTRIES["MHIST"].expected_total


def test_color_statistics_are_shares() -> None:
    for facts in HISTOKT.values():
        assert all(0 < value < 1 for value in (*facts.mean, *facts.std))
        assert max(facts.std) < 0.5  # what a channel of 0 to 1 can reach


@pytest.mark.parametrize("name", HISTOKT)
def test_use_is_told_in_lines_that_fit_a_terminal(name: str) -> None:
    text = describe_use(HISTOKT[name].entry)
    assert f"histokt-{name}" in text
    assert f"{HISTOKT[name].patches[0]:,} training" in text
    assert max(map(len, text.splitlines())) <= LINE_LENGTH


def test_other_sets_have_no_use() -> None:
    assert describe_use("BreakHis") == ""
