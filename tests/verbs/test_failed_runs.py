"""A verb that failed does not block its folder: after a change the command just works."""

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from histograft.core.artefact import open_artefact

SMALL = (
    "--init", "random", "--arch", "resnet10t", "--hidden", 8, "--batch-size", 16,
    "--epochs-head", 2, "--epochs-all", 2, "--device", "cpu",
)  # fmt: skip


@pytest.fixture
def patches(tools, standardized, tmp_path):
    return standardized(tools.write_set(tmp_path / "set"))


def test_training_that_diverged_in_step_2_keeps_step_1(patches, tmp_path, tools):
    out = tmp_path / "net"
    words = ("train", "--patches", patches, "--out", out, *SMALL)
    outcome = tools.run(*words, "--lr-all", 1e30)
    assert outcome.code == 1
    assert "training diverged" in outcome.err
    assert "mend what it named" in tools.run("verify", out).err
    first = {p: p.stat().st_mtime_ns for p in (out / "step1").iterdir()}
    tools.ok(*words, "--lr-all", 1e-3)
    assert {p: p.stat().st_mtime_ns for p in (out / "step1").iterdir()} == first
    assert open_artefact(out).manifest["config"]["lr_all"] == 1e-3
    tools.ok(*words[:4], tmp_path / "fresh", *SMALL, "--lr-all", 1e-3)
    assert tools.content(out) == tools.content(tmp_path / "fresh")


def test_after_a_failure_in_step_2_options_of_step_1_may_change_too(patches, tmp_path, tools):
    out = tmp_path / "net"
    words = ("train", "--patches", patches, "--out", out, *SMALL)
    assert tools.run(*words, "--lr-all", 1e30).code == 1
    changed = ("--lr-all", 1e-3, "--lr-head", 2e-4)
    tools.ok(*words, *changed)
    assert open_artefact(out / "step1").manifest["config"]["lr_head"] == 2e-4
    assert tools.run("verify", out).code == 0
    tools.ok(*words[:4], tmp_path / "fresh", *SMALL, *changed)
    assert tools.content(out) == tools.content(tmp_path / "fresh")


def test_a_file_of_others_in_step_1_is_never_removed(patches, tmp_path, tools):
    out = tmp_path / "net"
    words = ("train", "--patches", patches, "--out", out, *SMALL)
    assert tools.run(*words, "--lr-all", 1e30).code == 1
    (out / "step1/mine.txt").write_text("keep me")
    refused = tools.run(*words, "--lr-all", 1e-3, "--lr-head", 2e-4)
    assert refused.code == 1
    assert "step1 holds another artefact" in refused.err
    assert (out / "step1/mine.txt").read_text() == "keep me"
    assert open_artefact(out / "step1").manifest["config"]["lr_head"] == 4e-4  # still finished


@pytest.fixture
def broken(patches, tmp_path, tools):
    """A network artefact, and its weights with NaN in the first layer as a file."""
    tools.ok("train", "--patches", patches, "--out", tmp_path / "good", *SMALL, "--tune", "head")
    weights = load_file(tmp_path / "good/network.safetensors")
    weights["conv1.0.weight"] = np.full_like(weights["conv1.0.weight"], np.nan)
    facts = {"architecture": "resnet10t", "kwargs": "{}", "mean": "[0, 0, 0]", "std": "[1, 1, 1]"}
    save_file(weights, tmp_path / "broken.safetensors", facts)
    return tmp_path / "broken.safetensors"


def test_training_that_diverged_in_step_1(patches, broken, tmp_path, tools):
    words = ("train", "--patches", patches, "--out", tmp_path / "net", *SMALL[2:])
    assert "training diverged" in tools.run(*words, "--init", broken).err
    assert (tmp_path / "net/step1/unfinished.json").is_file()
    tools.ok(*words, "--init", "random")
    assert tools.run("verify", tmp_path / "net").code == 0


def test_features_that_are_not_finite(patches, broken, tmp_path, tools):
    words = ("embed", "--patches", patches, "--out", tmp_path / "features", "--name", "x")
    assert "NaN" in tools.run(*words, "--weights", broken).err
    tools.ok(*words, "--network", tmp_path / "good", "--points", "gap")
    with h5py.File(tmp_path / "features/x-gap.h5") as file:
        assert np.isfinite(file["features"][:]).all()
