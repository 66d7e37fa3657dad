"""The recipe of resolution distillation: its steps, and a small run from images to the page."""

import pandas as pd
import pytest
from small_pieces import write_pieces

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.recipes.resolution_distillation import (
    PRESETS,
    ResolutionDistillation,
    resolution_distillation,
)

SMALL = {"epochs": 1, "seeds": 1, "norm_groups": 8, "draws": 200, "workers": 1, "device": "cpu"}


def test_the_commands_of_all_steps_are_printed(tmp_path):
    write_pieces(tmp_path / "set", 8)
    table = pd.read_csv(tmp_path / "set" / "samples.csv").assign(mpp=1.0)
    table.to_csv(tmp_path / "set" / "samples.csv", index=False)
    config = ResolutionDistillation(
        tmp_path / "set", out=tmp_path / "out", ladder=(2, 4), unlabelled=(tmp_path / "more",),
        print_commands=True, seeds=2,
    )  # fmt: skip
    lines = str(resolution_distillation(config)).splitlines()
    verbs = [line.split()[1] for line in lines]
    # 2 sets of 3 levels; by seed a teacher, and at 2 levels baseline, kd, kd-ad and fine-tuning
    assert verbs == ["rescale"] * 6 + ["distill"] * 2 * (1 + 2 * 4) + ["ladder"]
    assert sum("--tune head" in line for line in lines) == 4
    assert not (tmp_path / "out").exists()


def test_a_small_run_makes_the_report(tmp_path):
    write_pieces(tmp_path / "set", 32)
    write_pieces(tmp_path / "more", 8, first=100, splits=("train",))
    config = ResolutionDistillation(
        tmp_path / "set", out=tmp_path / "out", ladder=(2.0,), scale="relative",
        unlabelled=(tmp_path / "more",), augment="none", **SMALL,
    )  # fmt: skip
    page = resolution_distillation(config)
    text = page.read_text(encoding="utf-8")
    assert "run resolution-distillation" in text
    assert "µm/px of the images is unknown" in text
    report = open_artefact(page.parent, "report")
    table = pd.read_csv(report.file("ladder.csv"))
    columns = [
        "mpp", "condition", "n_unlabelled", "fine_tuned", "seed", "metric", "value", "ci_low",
        "ci_high", "gmacs", "ms_per_piece",
    ]  # fmt: skip
    assert set(columns) <= set(table)
    found = set(zip(table["condition"], table["fine_tuned"], strict=True))
    assert found == {
        ("teacher", False), ("baseline", False), ("kd", False), ("kd-ad", False), ("kd-ad", True),
    }  # fmt: skip
    assert (table["ms_per_piece"] > 0).all()
    sizes = pd.read_csv(report.file("sizes.csv"))
    assert sizes["height_max"].tolist() == [80, 40]
    assert sizes["train:a"].tolist() == [8, 8]
    assert resolution_distillation(config) == page  # nothing is done twice


def test_ladders_that_cannot_be(tmp_path):
    write_pieces(tmp_path / "set", 8)
    with pytest.raises(InputError, match="0 known scales"):
        resolution_distillation(ResolutionDistillation(tmp_path / "set", out=tmp_path / "o"))
    config = ResolutionDistillation(
        tmp_path / "set", out=tmp_path / "o", teacher_mpp=4.0, ladder=(2.0, 8.0)
    )
    with pytest.raises(InputError, match="the ladder begins at 2, the teacher at 4"):
        resolution_distillation(config)
    with pytest.raises(InputError, match="--ladder"):
        ResolutionDistillation(tmp_path, out=tmp_path, ladder=(2.0, 2.0))


def test_the_paper_is_a_preset(tmp_path):
    config = ResolutionDistillation(tmp_path, out=tmp_path, **PRESETS["paper"])
    assert (config.teacher_mpp, config.ladder) == (1.0, (2.0, 4.0, 8.0, 16.0))
    assert (config.epochs, config.lr, config.batch_size) == (100, 1e-3, 32)
    assert (config.augment, config.norm, config.published) == ("jitter-flips", "teacher", True)
