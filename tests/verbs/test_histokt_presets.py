"""Every value of HistoKT's training and tuning (Zhang et al. 2022, its code and its logs)."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from histograft.core.configuration import from_mapping, preset_values
from histograft.core.errors import InputError
from histograft.learning.optimizers import make_schedule
from histograft.verbs.train import HISTOKT_RATES, PRESETS, Train, train
from histograft.verbs.training import _regime

BOTH = {
    "tune": "all",
    "epochs": 250,
    "batch_size": 64,
    "weight_decay": 5e-4,
    "augment": "histokt",
    "augment_val": True,
    "class_weights": False,
    "multilabel_loss": "one-vs-all",
    "select": "best",
    "select_by": "accuracy",
    "patience": None,
    "precision": "32-true",
}
STAGE_1 = BOTH | {"optimizer": "rmsgd", "lr": 0.03, "schedule": "constant"}
TUNE = BOTH | {"optimizer": "adamp", "schedule": "step-20"}


def made(preset, **changes):
    values = preset_values(PRESETS, f"histokt-{preset}") | {"patches": "p", "out": "o"}
    return from_mapping(Train, values | changes, preset)


@pytest.mark.parametrize(("preset", "values"), [("stage1", STAGE_1), ("tune", TUNE)])
def test_values_that_reach_the_loop(preset, values):
    regime = _regime(made(preset), "all")
    assert {name: getattr(regime, name) for name in values} == values


def test_the_first_network_of_stage_1():
    config = made("stage1")
    assert (config.arch, config.init, config.random_start) == ("resnet18", "random", "he-fan-out")
    assert config.hidden == (0,)  # Linear(512, K) on the pooled features
    assert config.norm is None  # of its own training images; of ImageNet where that is the start
    assert made("stage1", init="imagenet").norm is None


def test_tuning_takes_the_normalization_of_the_source_and_a_rate_of_the_grid():
    config = made("tune")
    assert (config.norm, config.hidden) == ("source", (0,))
    assert HISTOKT_RATES == (1e-3, 5e-4, 2e-4, 1e-4, 5e-5)
    assert config.lr_all in HISTOKT_RATES
    assert [make_schedule(config.schedule, 250)(e) for e in (0, 19, 20, 40)] == [1, 1, 0.5, 0.25]


def test_fine_tuning_is_the_same_with_a_frozen_part_a_whose_statistics_move():
    config = made("tune", tune="head")
    fine, deep = _regime(config, "head"), _regime(made("tune"), "all")
    assert fine.bn_update
    assert not deep.bn_update  # statistics are learned anyway
    for name in set(TUNE) - {"tune"} | {"lr"}:
        assert getattr(fine, name) == getattr(deep, name)


def test_house_defaults_leave_validation_and_statistics_alone():
    config = Train(patches="p", out="o")
    assert not config.augment_val
    assert not config.bn_update
    assert config.multilabel_loss == "plain"


@pytest.mark.parametrize("change", [{"tune": "head"}, {"tune": "two-step"}, {"schedule": "cosine"}])
def test_rmsgd_is_refused_where_something_else_sets_rates(change):
    with pytest.raises(InputError, match="rmsgd"):
        train(made("stage1", **change))


def test_two_stages_and_several_labels_through_the_command_line(tmp_path, tools):
    """Stage 1 on one set; deep and fine tuning on a set whose patches show several tissues."""
    tools.write_set(tmp_path / "source")
    rows = []
    for number in range(18):
        label = ("gland", "fat", "gland|fat")[number % 3]
        tools.save(tmp_path / "target" / f"{number}.png", tools.texture(number))
        rows.append({"file": f"{number}.png", "label": label, "group": f"p{number}", "mpp": 1})
    rows[0]["label"] = "gland|muscle"
    rows[0]["split"] = "val"  # so that no training patch shows muscle
    for number, row in enumerate(rows[1:]):
        row["split"] = ("train", "train", "val", "test")[number % 4]
    tools.write_table(tmp_path / "target" / "samples.csv", rows)
    for name in ("source", "target"):
        tools.ok(
            "standardize", "--samples", tmp_path / name, "--out", tmp_path / f"{name}-patches",
            "--target-mpp", 1, "--patch-px", 32, "--workers", 1,
        )  # fmt: skip
    short = ("--epochs-all", 2, "--epochs-head", 2, "--device", "cpu")
    first = tmp_path / "first"
    tools.ok(
        "train", "--preset", "histokt-stage1", "--patches", tmp_path / "source-patches",
        "--out", first, "--arch", "resnet10t", *short,
    )  # fmt: skip
    assert spec_of(first)["hidden"] == []
    assert pd.read_csv(first / "history.csv")["lr"].iloc[0] == pytest.approx(0.03)
    tune = (
        "train", "--preset", "histokt-tune", "--patches", tmp_path / "target-patches",
        "--init", first, *short,
    )  # fmt: skip
    deep = tools.ok(*tune, "--out", tmp_path / "deep")
    assert "no training patch shows muscle" in deep.err
    tools.ok(*tune, "--out", tmp_path / "fine", "--tune", "head")
    before, fine = (load_file(f / "network.safetensors") for f in (first, tmp_path / "fine"))
    for name, tensor in before.items():
        if not name.startswith("part_b."):
            moved = "running" in name or name.endswith("tracked")
            assert torch.equal(tensor, fine[name]) != moved, name
    for folder in (tmp_path / "deep", tmp_path / "fine"):
        spec = spec_of(folder)
        assert (spec["mean"], spec["std"]) == (spec_of(first)["mean"], spec_of(first)["std"])
        assert spec["task"] == "multilabel"
        table = pd.read_csv(folder / "classes.csv").set_index("class")
        assert table.loc["muscle", "n_train"] == 0


def spec_of(folder):
    return json.loads((folder / "network.json").read_text())["network"]
