"""Files of weights: what is stated, what is assumed, and what is refused."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from histograft.core.errors import InputError
from histograft.learning.network import NetworkSpec
from histograft.learning.opened import rebuilt_bn_eps
from histograft.learning.weights import build_network, imagenet_weights, open_weights

ROOT = Path(__file__).parents[2]
SHARED = next(
    (
        p
        for p in (Path(os.environ.get("HISTOGRAFT_DATA", "-")), ROOT.parent / "shared")
        if (p / "weights").is_dir()
    ),
    None,
)


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=7).state_dict()


def test_metadata_beat_json_and_arguments_beat_both(state, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(state, path, {"architecture": "resnet10t", "mean": "[0.1, 0.2, 0.3]", "kwargs": "{}"})
    path.with_suffix(".json").write_text(
        json.dumps({"mean": [0.7, 0.7, 0.7], "std": [0.2, 0.2, 0.2], "architecture": "resnet18"})
    )
    opened = open_weights(path)
    assert opened.architecture == "resnet10t"
    assert opened.mean == (0.1, 0.2, 0.3)
    assert opened.std == (0.2, 0.2, 0.2)
    assert opened.assumed == ()
    assert open_weights(path, mean=(0.9, 0.9, 0.9)).mean == (0.9, 0.9, 0.9)


def test_what_nobody_states_is_listed_with_its_value(state, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    with pytest.raises(InputError, match="architecture"):
        open_weights(path)
    opened = open_weights(path, architecture="resnet10t")
    text = " | ".join(opened.assumed)
    assert len(opened.assumed) == 3
    for fact in ("kwargs = {}", "mean = (0.485, 0.456, 0.406)", "std = (0.229, 0.224, 0.225)"):
        assert fact in text


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model", "module"])
def test_torch_files_in_their_usual_wrappers(state, tmp_path, suffix, wrap):
    path = tmp_path / f"w{suffix}"
    content = {f"module.{k}": v for k, v in state.items()} if wrap == "module" else state
    torch.save({wrap: content, "epoch": 3} if wrap in ("state_dict", "model") else content, path)
    opened = open_weights(path, architecture="resnet10t")
    assert all(torch.equal(tensor, state[name]) for name, tensor in opened.state.items())
    assert not any(name.startswith("fc.") for name in opened.state)  # the classifier is dropped


def test_old_torch_format_opens(state, tmp_path):
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert open_weights(tmp_path / "w.pth", architecture="resnet10t").state


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil-was-here",)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_of_code_is_refused_and_not_run(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if how == "torch":
        torch.save({"state_dict": Evil()}, path)
    else:
        path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match=r"evil\.pth is a pickle that holds more than tensors"):
        open_weights(path, architecture="resnet10t")
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.999])
def test_truncated_files_are_refused(state, tmp_path, suffix, kept):
    path = tmp_path / f"w{suffix}"
    (torch.save if suffix == ".pth" else save_file)(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    with pytest.raises(InputError, match=r"(truncated|not a whole)"):
        open_weights(path, architecture="resnet10t")


@pytest.mark.parametrize(
    ("content", "message"),
    [([1, 2], "no state dict"), ({"a": 1}, "'a'"), ({}, "no state dict")],
)
def test_files_without_a_state_dict_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=message):
        open_weights(tmp_path / "w.pt", architecture="resnet10t")


def test_wrong_architecture_names_the_first_difference(state, tmp_path):
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=r"w\.safetensors as resnet18 .* is missing"):
        open_weights(tmp_path / "w.safetensors", architecture="resnet18")
    changed = state | {"layer1.0.conv1.weight": torch.zeros(1)}
    save_file(changed, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=r"layer1\.0\.conv1\.weight has shape \(1,\)"):
        open_weights(tmp_path / "x.safetensors", architecture="resnet10t")
    save_file(state | {"extra.weight": torch.zeros(1)}, tmp_path / "y.safetensors")
    with pytest.raises(InputError, match=r"extra\.weight has no place"):
        open_weights(tmp_path / "y.safetensors", architecture="resnet10t")


@pytest.mark.parametrize(
    ("key", "value"), [("kwargs", "[1]"), ("mean", "[0.5]"), ("std", "0.5,0.5,x"), ("kwargs", "{")]
)
def test_broken_metadata_is_refused(state, tmp_path, key, value):
    save_file(state, tmp_path / "w.safetensors", {"architecture": "resnet10t", key: value})
    with pytest.raises(InputError, match=rf"w\.safetensors.*{key}"):
        open_weights(tmp_path / "w.safetensors")


def test_absent_and_unknown_files(tmp_path):
    with pytest.raises(InputError, match="there is no weights file"):
        open_weights(tmp_path / "none.pth")
    (tmp_path / "w.txt").write_text("x")
    with pytest.raises(InputError, match=r"\.safetensors"):
        open_weights(tmp_path / "w.txt")


def folded(eps, n=64):
    rng = np.random.default_rng(0)
    variance = torch.from_numpy(rng.uniform(0, 2, n).astype(np.float32))
    return {"bn.weight": (variance + eps).sqrt(), "bn.running_var": variance}


@pytest.mark.parametrize("eps", [1e-3, 1e-5, 2e-5])
def test_rebuilt_batchnorm_tells_its_epsilon(eps):
    found = rebuilt_bn_eps(folded(eps))
    assert found == pytest.approx(eps, rel=0.06)


def test_a_trained_batchnorm_tells_nothing():
    rng = np.random.default_rng(1)
    ordinary = {
        "bn.weight": torch.from_numpy(rng.normal(1, 0.2, 64).astype(np.float32)),
        "bn.running_var": torch.from_numpy(rng.uniform(0, 2, 64).astype(np.float32)),
    }
    assert rebuilt_bn_eps(ordinary) is None
    assert rebuilt_bn_eps({}) is None
    new = timm.create_model("resnet10t").state_dict()  # weight 1, variance 1: no ε in it
    assert rebuilt_bn_eps(new) is None


def test_no_network_is_explained(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(InputError, match=r"resnet18.*--weights FILE"):
        imagenet_weights("resnet18")


@pytest.mark.real
@pytest.mark.skipif(SHARED is None, reason="needs the real weights (HISTOGRAFT_DATA or ../shared)")
def test_the_real_mobilenet_states_its_facts_and_knows_its_epsilon(tmp_path):
    path = SHARED / "weights" / "mobilenetv2_100_imagenet.safetensors"
    opened = open_weights(path)
    assert opened.kwargs == {"pad_type": "same", "bn_eps": 1e-3}
    assert opened.mean == opened.std == (0.5, 0.5, 0.5)
    assert opened.assumed == ()
    bare = tmp_path / "bare.safetensors"
    save_file(opened.state, bare)
    guessed = open_weights(bare, architecture="mobilenetv2_100")
    assert guessed.kwargs == {"bn_eps": 1e-3}
    assert "pad_type" in guessed.assumed[0]
    wrong = open_weights(path, kwargs={"pad_type": "same"})
    assert "outputs will be off" in wrong.assumed[0]
    spec = NetworkSpec("mobilenetv2_100", ("a", "b"), kwargs=opened.kwargs)
    network = build_network(spec, opened, seed=0)
    assert torch.equal(network.part_a.conv_stem.weight, opened.state["conv_stem.weight"])
