"""Weights files that are given to a verb: assumed facts are printed, pickles are refused."""

import pickle

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def patches(tmp_path_factory, tools):
    folder = tmp_path_factory.mktemp("weights")
    tools.ok(
        "standardize", "--samples", tools.write_set(folder / "set", groups=4), "--out",
        folder / "patches", "--target-mpp", 1, "--patch-px", 32, "--workers", 1,
    )  # fmt: skip
    return folder / "patches"


@pytest.fixture(scope="module")
def state():
    import timm

    return timm.create_model("resnet10t", pretrained=False).state_dict()


def embed(tools, patches, tmp_path, weights, *words):
    return tools.run(
        "embed", "--patches", patches, "--weights", weights, "--out", tmp_path / "out",
        "--points", "gap", "--device", "cpu", *words,
    )  # fmt: skip


def test_what_nobody_states_is_printed_as_assumed(tmp_path, tools, patches, state):
    save_file(state, tmp_path / "bare.safetensors")
    outcome = embed(tools, patches, tmp_path, tmp_path / "bare.safetensors", "--arch", "resnet10t")
    assert outcome.code == 0, outcome.err
    assert "assumed of the weights file" in outcome.err
    assert "mean" in outcome.err
    stated = tmp_path / "stated.safetensors"
    facts = {"architecture": "resnet10t", "kwargs": "{}", "mean": "[0.5, 0.5, 0.5]",
             "std": "[0.5, 0.5, 0.5]"}  # fmt: skip
    save_file(state, stated, facts)
    outcome = tools.run(
        "embed", "--patches", patches, "--weights", stated, "--out", tmp_path / "stated",
        "--points", "gap", "--device", "cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "assumed" not in outcome.err


def test_an_architecture_is_needed(tmp_path, tools, patches, state):
    save_file(state, tmp_path / "bare.safetensors")
    outcome = embed(tools, patches, tmp_path, tmp_path / "bare.safetensors")
    assert outcome.code == 1
    assert "--arch" in outcome.err
    assert not (tmp_path / "out").exists()


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a stranger ran')",))


@pytest.mark.parametrize("ending", ["pth", "pt", "bin", "safetensors"])
def test_a_pickle_is_refused_and_never_run(tmp_path, tools, patches, ending):
    for number, write in enumerate((pickle.dump, torch.save)):
        path = tmp_path / f"evil{number}.{ending}"
        with path.open("wb") as file:
            write({"weight": Harmful()}, file)
        outcome = embed(tools, patches, tmp_path, path, "--arch", "resnet10t")
        assert outcome.code == 1, outcome.err
        assert path.name in outcome.err
        assert "to fix it" in outcome.err
        assert "stranger" not in outcome.err


def test_damaged_and_foreign_files(tmp_path, tools, patches, state):
    save_file(state, tmp_path / "whole.safetensors")
    data = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.pth").write_text("hello")
    for name in ("cut.safetensors", "empty.safetensors", "text.pth"):
        outcome = embed(tools, patches, tmp_path, tmp_path / name, "--arch", "resnet10t")
        assert outcome.code == 1, outcome.err
        assert name in outcome.err
    outcome = embed(tools, patches, tmp_path, tmp_path / "whole.safetensors", "--arch", "resnet18")
    assert outcome.code == 1
    assert "whole.safetensors" in outcome.err
    outcome = embed(tools, patches, tmp_path, tmp_path / "none.safetensors", "--arch", "resnet18")
    assert outcome.code == 1
    assert "none.safetensors" in outcome.err
