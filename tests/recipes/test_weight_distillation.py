"""`histograft run weight-distillation` on tiny sets: every way to the target is there."""

from __future__ import annotations

import shlex

import pandas as pd
import pytest

from histograft.core.errors import InputError
from histograft.recipes.weight_distillation import WeightDistillation, weight_distillation

SMALL = (
    "--target-mpp", 1, "--patch-px", 32, "--arch", "resnet10t", "--epochs", 1, "--trials", 1,
    "--learning-rates", 1e-3, "--batch-size", 8, "--augment", "none", "--weights", "none",
    "--modes", "paper", "average", "first-only", "--test-fraction", 0.3, "--val-fraction", 0.2,
    "--workers", 1, "--device", "cpu",
)  # fmt: skip


def command(folder):
    return (
        "run", "weight-distillation", "--sources", folder / "lung", folder / "colon", "--target",
        folder / "bone", "--out", folder / "run", *SMALL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory, tools):
    folder = tmp_path_factory.mktemp("fusion")
    for name in ("lung", "colon", "bone"):
        tools.write_set(folder / name, groups=8)
    return folder, tools.ok(*command(folder))


def test_every_way_is_a_row(done):
    folder, outcome = done
    assert outcome.out.strip() == str(folder / "run/report/index.html")
    table = pd.read_csv(folder / "run/report/matrix.csv", keep_default_na=False)
    assert set(table["source"] + table["control"]) == {
        "bone", "boneself", "lung", "colon", "lung+colon (paper)", "lung+colon (average)",
        "lung+colon (first-only)first-only",
    }  # fmt: skip
    assert set(table["target"]) == {"bone"}


def test_fused_networks_are_judged_against_the_best_single_source(done):
    folder, _ = done
    rows = pd.read_csv(folder / "run/report/comparisons.csv", keep_default_na=False)
    fused = rows[rows["source"] == "lung+colon (paper)"]
    assert set(fused["compared_with"]) == {"best-single", "first-only", "self"}
    assert set(fused[fused["headline"].isin([True, "True"])]["compared_with"]) == {"best-single"}
    rates = pd.read_csv(folder / "run/report/learning_rates.csv", keep_default_na=False)
    single = rates[rates["source"].isin(["lung", "colon"])].sort_values("val_metric")
    best = single["source"].iloc[-1]
    values = pd.read_csv(folder / "run/report/matrix.csv").set_index("source")["value"]
    if single["val_metric"].nunique() == 2:
        row = fused[fused["compared_with"] == "best-single"].iloc[0]
        expected = values["lung+colon (paper)"] - values[best]
        assert float(row["difference"]) == pytest.approx(expected, abs=1e-9)


def test_the_picture_of_the_paper(done):
    folder, _ = done
    assert (folder / "run/report/figures/ways-to-bone.svg").is_file()
    assert (
        "of 2 fused networks"
        in (folder / "run/report/index.html").read_text(encoding="utf-8").lower()
    )


def test_fused_networks_are_recalibrated_on_the_target(done):
    folder, _ = done
    cards = list((folder / "run/fused").glob("*/manifest.json"))
    assert len(cards) == 3
    assert all('"recalibrated_on": "bone"' in card.read_text(encoding="utf-8") for card in cards)


def test_pairs_and_all_of_three_sources(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    config = WeightDistillation(
        sources=tuple(tmp_path / n for n in "abc"), target=tmp_path / "d", out=tmp_path / "run",
        modes=("paper",), trials=1, print_commands=True,
    )  # fmt: skip
    lines = str(weight_distillation(config)).splitlines()
    fused = [line for line in lines if line.startswith("histograft fuse")]
    assert len(fused) == 4  # a+b, a+c, b+c, a+b+c
    assert any("b+c" in line for line in fused)


def test_fine_and_deep_have_every_way_and_control(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    config = WeightDistillation(
        sources=(tmp_path / "a", tmp_path / "b"), target=tmp_path / "c", out=tmp_path / "run",
        modes=("paper", "first-only"), tune=("fine", "deep"), trials=1, print_commands=True,
    )  # fmt: skip
    lines = [shlex.split(text) for text in str(weight_distillation(config)).splitlines()]
    cells = [line for line in lines if line[1] == "transfer"]
    fine = [line for line in cells if "--tune" in line and line[line.index("--tune") + 1] == "fine"]
    none = [line for line in cells if "--tune" in line and line[line.index("--tune") + 1] == "none"]
    assert (len(cells), len(fine), len(none)) == (13, 6, 1)  # two singles, two fused, self, direct
    places = [line[line.index("--out") + 1] for line in cells]
    assert len(set(places)) == len(places)


def test_a_target_that_is_a_source_is_refused(tmp_path):
    """Its network would be fused with networks and tuned again on what it has seen."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    a, b = tmp_path / "a", tmp_path / "b"
    config = WeightDistillation(sources=(a, b), target=b, out=tmp_path / "run", print_commands=True)
    with pytest.raises(InputError, match="given twice"):
        weight_distillation(config)


def test_unknown_sources_are_refused(tools, done):
    folder, _ = done
    outcome = tools.run(*command(folder), "--combine", "lung+kidney")
    assert outcome.code != 0
    assert "kidney" in outcome.err
