"""fuse: one network artefact of several, and what it says of itself."""

import json
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from histograft.core.artefact import Identity, claim, open_artefact
from histograft.learning.network import Network, NetworkSpec
from histograft.verbs.networks import load_network, tuned_on, write_network_files

THIN = {"channels": [64, 16, 16, 16]}


def write_network(folder, seed, *, images=(), architecture="resnet10t", **facts):
    """Write a network artefact as `train` does, with random weights."""
    facts = {"classes": ("a", "b"), "kwargs": THIN, "mpp": 0.5, "hidden": (6,)} | facts
    torch.manual_seed(seed)
    network = Network(NetworkSpec(architecture, patch_px=32, **facts)).eval()
    with claim(folder, Identity("network", "train", 1, {"seed": seed})) as draft:
        with draft.writing("tuned_on.parquet") as path:
            rows = [("image", name) for name in images]
            pd.DataFrame(rows, columns=["kind", "key"]).to_parquet(path)
        write_network_files(draft, network, {})
        draft.finish({"tuned_on": f"set-{seed}"})
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """Networks that fit each other or do not, and patches."""
    folder = tmp_path_factory.mktemp("fuse")
    write_network(folder / "one", 1, images=("x", "y"))
    write_network(folder / "two", 2, images=("y", "z"))
    write_network(folder / "three", 3, classes=("a", "c", "d"), mean=(0.7, 0.5, 0.5))
    write_network(folder / "coarse", 4, mpp=1.0)
    write_network(folder / "unknown", 5, mpp=None)
    write_network(folder / "wide", 6, kwargs={"channels": [64, 24, 16, 16]})
    write_network(folder / "other", 7, architecture="resnet14t")
    write_network(folder / "dense", 8, hidden=(9,))
    write_network(folder / "flat", 9, hidden=())
    write_network(folder / "flatter", 10, hidden=(), classes=("c", "d", "e"))
    source = tools.write_set(folder / "set", groups=8, mpp=0.5)
    tools.ok(
        "standardize", "--samples", source, "--out", folder / "patches", "--target-mpp", 0.5,
        "--patch-px", 32, "--workers", 1,
    )  # fmt: skip
    return folder


def weights(folder):
    return load_file(folder / "network.safetensors")


def facts(folder):
    return open_artefact(folder, "network").facts


def test_the_papers_mode_on_disk(made, tmp_path, tools):
    out = tmp_path / "fused"
    outcome = tools.ok("fuse", made / "one", made / "two", "--mode", "paper", "--out", out)
    assert "--recalibrate PATCHES measures them" in outcome.err
    assert str(out) in outcome.out
    name = "layer4.0.conv2.weight"
    first, second = (weights(made / n)[name].reshape(16, -1) for n in ("one", "two"))
    v = np.linalg.svd(np.concatenate([first, second]).astype(float))[2][:16].T
    np.testing.assert_allclose(weights(out)[name].reshape(16, -1), first @ v @ v.T, atol=1e-6)
    assert tuned_on(open_artefact(out)) == {("image", name) for name in "xyz"}
    assert facts(out)["tuned_on"] == "set-1 + set-2"
    assert facts(out)["classes"] == ["a", "b"]
    card = (out / "README.md").read_text()
    assert "| two | set-2 | 0.5 |" in card
    assert "the statistics are averages that fit no network" in card
    assert not facts(out)["new_output"]
    layers = pd.read_csv(out / "layers.csv")
    n_matrices = sum(tensor.ndim > 1 for tensor in weights(out).values())
    assert len(layers) == 2 * n_matrices
    assert list(layers["network"][:2]) == ["one", "two"]
    assert (out / "layers.png").read_bytes()[:4] == b"\x89PNG"
    assert tools.run("verify", out).code == 0
    again = tools.ok("fuse", made / "one", made / "two", "--out", out)
    assert "is there already" in again.err
    swapped = tools.ok("fuse", made / "two", made / "one", "--out", tmp_path / "swapped")
    assert swapped.code == 0
    assert open_artefact(tmp_path / "swapped").id != open_artefact(out).id


def test_the_control_is_the_first_network(made, tmp_path, tools):
    outcome = tools.ok(
        "fuse", made / "one", made / "two", "--mode", "first-only", "--out", tmp_path / "f"
    )
    assert "BatchNorm" not in outcome.err
    found, first = weights(tmp_path / "f"), weights(made / "one")
    assert found.keys() == first.keys()
    assert all((found[name] == first[name]).all() for name in first)


def test_statistics_are_measured_behind_the_normalization_of_the_tuning(made, tmp_path, tools):
    words = ("fuse", made / "one", made / "two", "--norm", "target", "--device", "cpu")
    assert "--recalibrate" in tools.run(*words, "--out", tmp_path / "no").err
    tools.ok(*words, "--recalibrate", made / "patches", "--out", tmp_path / "f")
    table = tools.read_patches(made / "patches")
    train = table[table["split"] == "train"]
    pixels = np.stack([_pixels(made / "patches" / name) for name in train["file_name"]]) / 255.0
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    network = load_network(open_artefact(tmp_path / "f"))
    np.testing.assert_allclose(network.spec.mean, mean, atol=1e-6)
    np.testing.assert_allclose(network.spec.std, std, atol=1e-6)
    x = torch.from_numpy((pixels - mean) / std).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        y = network.part_a.conv1[0](x).numpy()
    found = weights(tmp_path / "f")["conv1.1.running_mean"]
    np.testing.assert_allclose(found, y.mean((0, 2, 3)), atol=1e-4)


def test_statistics_are_measured_on_training_rows(made, tmp_path, tools):
    out = tmp_path / "fused"
    words = ("fuse", made / "one", made / "two", "--mode", "average", "--device", "cpu")
    outcome = tools.ok(*words, "--recalibrate", made / "patches", "--out", out)
    assert "averages over the networks" not in outcome.err
    table = tools.read_patches(made / "patches")
    train = table[table["split"] == "train"]
    assert facts(out)["n_recalibrated"] == len(train)
    assert facts(out)["n_layers_recalibrated"] == sum("running_mean" in n for n in weights(out))
    # The first layer sees the images through the first convolution: measured here by itself.
    network = load_network(open_artefact(out))
    images = np.stack([_pixels(made / "patches" / name) for name in train["file_name"]])
    x = torch.from_numpy(images / 255.0).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        y = network.part_a.conv1[0]((x - 0.5) / 0.5).numpy()
    found = weights(out)
    np.testing.assert_allclose(found["conv1.1.running_mean"], y.mean((0, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(
        found["conv1.1.running_var"], y.var((0, 2, 3), ddof=1), rtol=1e-3, atol=1e-6
    )
    seen = tuned_on(open_artefact(out))
    assert {("image", value) for value in train["source_sha256"]} < seen
    test = table[table["split"] == "test"]
    assert not seen & {("image", value) for value in test["source_sha256"]}
    assert {kind for kind, _ in seen} == {"image", "group"}


def _pixels(path):
    from PIL import Image

    return np.asarray(Image.open(path))


def test_other_classes_and_means_are_told_and_the_network_can_be_tuned(made, tmp_path, tools):
    out = tmp_path / "fused"
    outcome = tools.ok("fuse", made / "one", made / "three", "--mode", "average", "--out", out)
    assert "different classes apart: the output layer is new" in outcome.err
    assert "different mean and std" in outcome.err
    spec = json.loads((out / "network.json").read_text())["network"]
    assert spec["classes"] == ["untrained-1", "untrained-2"]
    assert spec["mean"] == [0.6, 0.5, 0.5]
    assert facts(out)["new_output"]
    assert [network["classes"] for network in facts(out)["networks"]] == [
        ["a", "b"],
        ["a", "c", "d"],
    ]
    first, second = weights(made / "one"), weights(made / "three")
    name = "part_b.hidden.0.weight"
    np.testing.assert_allclose(weights(out)[name], (first[name] + second[name]) / 2, atol=1e-7)
    tools.ok("fuse", made / "three", made / "one", "--out", tmp_path / "paper")
    spec = json.loads((tmp_path / "paper" / "network.json").read_text())["network"]
    assert spec["mean"] == [0.7, 0.5, 0.5]  # its filters are those of the first
    tuned = tools.ok(
        "train", "--init", out, "--patches", made / "patches", "--out", tmp_path / "tuned",
        "--tune", "head", "--epochs-head", 1, "--device", "cpu",
    )  # fmt: skip
    assert "Part B is new" in tuned.err


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (("one", "coarse"), "one: 0.5 µm/px, coarse: 1 µm/px"),
        (("one", "unknown"), "one: 0.5 µm/px, unknown: unknown"),
    ],
)
def test_another_scale_is_warned_of_or_refused(made, tmp_path, tools, networks, message):
    paths = [made / name for name in networks]
    outcome = tools.ok("fuse", *paths, "--mode", "average", "--out", tmp_path / "out")
    assert message in " ".join(outcome.err.split())
    assert json.loads((tmp_path / "out" / "network.json").read_text())["network"]["mpp"] is None
    refused = tools.run("fuse", *paths, "--out", tmp_path / "strict", "--strict-scale")
    assert refused.code == 1
    assert "one --target-mpp" in refused.err
    assert not (tmp_path / "strict").exists()


def test_patches_of_another_scale_are_warned_of(made, tmp_path, tools):
    outcome = tools.run(
        "fuse", made / "coarse", made / "coarse", "--recalibrate", made / "patches",
        "--strict-scale", "--out", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 1
    text = "coarse (1): 1 µm/px, coarse (2): 1 µm/px, patches: 0.5 µm/px"
    assert text in " ".join(outcome.err.split())


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (("one", "other"), "the architecture resnet10t and resnet14t differ"),
        (("one", "wide"), "architecture arguments {'channels': [64, 16, 16, 16]} and {'ch"),
        (("one",), "1 network cannot be fused"),
    ],
)
def test_what_cannot_be_fused_is_refused(made, tmp_path, tools, networks, message):
    outcome = tools.run("fuse", *(made / name for name in networks), "--out", tmp_path / "out")
    assert outcome.code == 1
    assert message in " ".join(outcome.err.split())
    assert not (tmp_path / "out").exists()


def test_dense_layers_that_differ_are_new(made, tmp_path, tools):
    out = tmp_path / "out"
    outcome = tools.ok("fuse", made / "one", made / "dense", "--mode", "average", "--out", out)
    assert "have other dense layers: the output layer is new" in outcome.err
    assert json.loads((out / "network.json").read_text())["network"]["classes"][0] == "untrained-1"
    assert sorted(facts(out)["dropped"]) == sorted(n for n in weights(out) if "part_b" in n)
    assert "never trained" in (out / "README.md").read_text()


@pytest.mark.parametrize("mode", ["paper", "aligned-average"])
def test_networks_without_dense_layers_are_fused(made, tmp_path, tools, mode):
    out = tmp_path / "out"
    tools.ok("fuse", made / "flat", made / "flatter", "--mode", mode, "--out", out)
    spec = json.loads((out / "network.json").read_text())["network"]
    assert (spec["hidden"], spec["classes"]) == ([], ["untrained-1", "untrained-2"])
    assert weights(out)["part_b.output.weight"].shape == (2, 16)
    assert not {name for name in pd.read_csv(out / "layers.csv")["layer"] if "part_b" in name}


def test_the_modes_are_those_of_the_kernel():
    from histograft.learning.fuse import MODES
    from histograft.verbs.fuse import Mode

    assert get_args(Mode) == MODES


def test_matched_channels_are_counted(made, tmp_path, tools):
    words = ("fuse", made / "one", made / "two", "--preset", "recommended", "--out", tmp_path / "o")
    tools.ok(*words)
    first, second = facts(tmp_path / "o")["networks"]
    assert first["channels_moved"] == 0
    assert 0.5 < second["channels_moved"] <= 1
    assert pd.read_csv(tmp_path / "o" / "layers.csv")["order_sensitivity"].isna().all()


def test_a_fused_network_is_drawn(made, tools):
    tools.ok("fuse", made / "one", made / "two", "--out", made / "for-a-report")
    tools.ok("draw", "--inputs", made / "for-a-report", "--out", made / "drawn")
    assert (made / "drawn/figures/fused-for-a-report.svg").is_file()
    assert "was made by fuse" in (made / "drawn/index.html").read_text(encoding="utf-8")
