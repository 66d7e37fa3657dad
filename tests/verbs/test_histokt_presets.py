"""Every value of HistoKT's training and tuning (Zhang et al. 2022, its code and its logs)."""

import pytest

from histograft.core.configuration import from_mapping, preset_values
from histograft.core.errors import InputError
from histograft.learning.optimizers import make_schedule
from histograft.verbs.train import HISTOKT_RATES, PRESETS, Train
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
        made("stage1", **change)
