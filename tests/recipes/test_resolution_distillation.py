"""The recipe of resolution distillation: its steps, and a small run from images to the page."""

from dataclasses import replace

import pandas as pd
import pytest
from small_pieces import write_pieces

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT
from histograft.core.tables import RESULTS
from histograft.recipes.ladder_plan import training_options
from histograft.recipes.resolution_checks import tell_of_few_pieces
from histograft.recipes.resolution_distillation import (
    PRESETS,
    ResolutionDistillation,
    resolution_distillation,
)
from histograft.verbs import distill
from histograft.verbs.distill import Distill
from histograft.verbs.ladder import Ladder
from histograft.verbs.ladder_paper import counts_as_printed
from histograft.verbs.ladder_tables import find_rungs
from histograft.verbs.rescale import Rescale, rescale

SMALL = {"epochs": 1, "seeds": 1, "norm_groups": 8, "workers": 1, "device": "cpu"}


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
        unlabelled=(tmp_path / "more",), unlabelled_shares=(0.5, 1.0), ablate=True,
        augment="none", margin=0.99, draws=1000, **SMALL,
    )  # fmt: skip
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    page = resolution_distillation(config)
    text = page.read_text(encoding="utf-8")
    assert "run resolution-distillation" in text
    assert "µm/px of the images is unknown" in text
    assert "Leakage report" in text
    report = open_artefact(page.parent, "report")
    RESULTS.check(pd.read_csv(report.file("results.csv")), "results.csv")
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
    check_counts(tmp_path)
    for words in (
        "by Lanczos to native scale and 1/2. A teacher learned at native scale",
        "by Adam (learning rate 0.001, weight decay 0.0001) for at most 1 epochs in steps of 32",
        "1.0 T² KL(teacher ‖ student) at temperature T = 1.0 plus 1.0 times the mean squared",
        "On 8 test pieces of 4 groups",
        "margin 99 points of top-1 accuracy",
        "Software: histograft ",
    ):
        assert words in text
    assert "Pieces of each class (Tables 2 to 4)." in text
    shares = table[table["condition"] == "kd-ad"]
    assert set(zip(shares["n_unlabelled"], shares["fine_tuned"], strict=True)) == {
        (4, False), (4, True), (8, False), (8, True),
    }  # fmt: skip
    ablation = pd.read_csv(report.file("ablation.csv"), keep_default_na=False, na_values=[""])
    assert ablation["resize"].tolist() == ["both", "bicubic", "max-pool"]
    own = table[(table["condition"] == "kd") & (table["metric"] == "accuracy_top1")]
    own = own[(own["seed"] == "all") & (own["unit"] == "piece")]
    assert ablation["accuracy_top1"][0] == pytest.approx(own["value"].item())
    assert ablation["p_holm"].notna().tolist() == [False, True, True]
    # at such a margin no loss counts: there is an answer, and its network is written
    assert report.facts["answer_network"] is not None
    student = open_artefact(tmp_path / "out" / "student", "network")
    assert student.manifest["inputs"][0]["id"] == report.facts["answer_network"]
    assert student.facts["level"] == 2
    assert resolution_distillation(config) == page  # nothing is done twice


class Heard:
    """Keeps what is warned of."""

    def __init__(self):
        self.warnings = []

    def __getattr__(self, name):
        return getattr(SILENT, name)

    def warn(self, text):
        self.warnings.append(text)


def test_too_few_pieces_are_told_before_they_are_learned_from(tmp_path):
    write_pieces(tmp_path / "set", 32)  # 8 of them for testing
    config = Rescale(tmp_path / "set", out=tmp_path / "1", scale="relative", workers=1)
    pieces = rescale(config).path
    networks = tuple(tmp_path / str(i) for i in range(8))  # 2 seeds of a teacher and 3 others
    heard = Heard()
    report = Ladder(networks=networks, patches=(pieces,), out=tmp_path / "r", margin=0.5)
    tell_of_few_pieces(report, 2, heard)  # 0.5 ** 7 is below 0.025 / 3
    assert heard.warnings == []
    tell_of_few_pieces(replace(report, margin=0.4), 2, heard)  # 0.6 ** 8 is not, 0.6 ** 10 is
    assert "8 test pieces cannot show that less than 40 points are lost" in heard.warnings[0]
    assert "10 independent ones are needed for 3 comparisons" in heard.warnings[0]


def check_counts(folder):
    """Tables 2 to 4 of the paper, against the tables that were given."""
    given, more = (pd.read_csv(folder / name / "samples.csv") for name in ("set", "more"))
    made = (folder / "out" / "networks").glob("**/manifest.json")
    networks = [open_artefact(m.parent) for m in made]
    rungs = find_rungs([n for n in networks if n.path.name not in ("kd-bicubic", "kd-max-pool")])
    pieces, unlabelled = (
        open_artefact(folder / "out" / name / "2") for name in ("pieces", "unlabelled-1")
    )
    shown = counts_as_printed(rungs, [pieces], [unlabelled]).set_index("class").astype(int)
    assert list(shown.columns) == [
        "training", "validation", "testing", "unlabelled, 4", "unlabelled, 8"
    ]  # fmt: skip
    for column, split in (("training", "train"), ("validation", "val"), ("testing", "test")):
        rows = given[given["split"] == split]
        expected = [*rows["label"].value_counts()[["a", "b"]], len(rows), rows["group"].nunique()]
        assert shown[column].tolist() == expected
    whole = [*more["label"].value_counts()[["a", "b"]], 8, 4]
    assert shown["unlabelled, 8"].tolist() == whole
    assert shown.loc[["all", "groups"], "unlabelled, 4"].tolist() == [4, 2]


def test_an_answer_needs_the_extra_only_where_onnx_is_asked_for(tmp_path, monkeypatch):
    from histograft.recipes import resolution_distillation as recipe

    monkeypatch.setattr(recipe, "missing_packages", lambda: ["onnxruntime"])
    write_pieces(tmp_path / "set", 8)
    config = ResolutionDistillation(
        tmp_path / "set", out=tmp_path / "o", scale="relative", export="onnx"
    )
    with pytest.raises(InputError, match="not installed: onnxruntime"):
        resolution_distillation(config)
    assert not (tmp_path / "o").exists()


def test_ladders_that_cannot_be(tmp_path):
    write_pieces(tmp_path / "set", 8)
    with pytest.raises(InputError, match="no image states its µm/px"):
        resolution_distillation(ResolutionDistillation(tmp_path / "set", out=tmp_path / "o"))
    config = ResolutionDistillation(
        tmp_path / "set", out=tmp_path / "o", teacher_mpp=4.0, ladder=(2.0, 8.0)
    )
    with pytest.raises(InputError, match="the ladder begins at 2, the teacher at 4"):
        resolution_distillation(config)
    with pytest.raises(InputError, match="--unlabelled-shares"):
        ResolutionDistillation(tmp_path, out=tmp_path, unlabelled_shares=(0.5, 0.5))
    with pytest.raises(InputError, match="--ladder"):
        ResolutionDistillation(tmp_path, out=tmp_path, ladder=(2.0, 2.0))


def test_the_paper_is_a_preset(tmp_path):
    config = ResolutionDistillation(tmp_path, out=tmp_path, **PRESETS["paper"])
    assert (config.teacher_mpp, config.ladder) == (1.0, (2.0, 4.0, 8.0, 16.0))
    assert (config.epochs, config.lr, config.batch_size) == (100, 1e-3, 32)
    assert (config.augment, config.norm, config.published) == ("jitter-flips", "teacher", True)
    # and every training is that of the verb's preset
    assert Distill(tmp_path, out=tmp_path, **training_options(config, 0)) == Distill(
        tmp_path, out=tmp_path, **distill.PRESETS["paper"]
    )
