"""The card of a network: its lines run, and say of images what the package says."""

import re
import shutil

import pytest
import torch
import yaml

from histograft.core.artefact import open_artefact
from histograft.core.identity import Identity, Input
from histograft.learning.network import Network, NetworkSpec
from histograft.learning.network_files import write_network
from histograft.verbs.model_card import model_card
from histograft.verbs.networks import load_network

SPECS = {
    "plain": NetworkSpec("resnet10t", ("a", "b"), hidden=(12, 7), mpp=0.5, patch_px=64),
    "arguments": NetworkSpec(
        "resnet10t", ("a", "b"), hidden=(5,), kwargs={"bn_eps": 0.01, "tf_same": True}
    ),
    "several": NetworkSpec(
        "resnet10t", ("a", "b", "c"), hidden=(), task="multilabel", kwargs={"output_stride": 16}
    ),
}
START = Input("start", "weights", "ab" * 32, "imagenet")


def identity(start=START, **config):
    patches = Input("patches", "patches", "cd" * 32, "colon")
    return Identity("network", "train", 1, config, (patches, start), 3)


def run_lines(card, folder, monkeypatch, x):
    """Run the Python blocks of a card in a folder, with images x."""
    monkeypatch.chdir(folder)
    names = {"x": x}
    blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(blocks) == 2
    assert len(blocks[0].strip().splitlines()) == 5
    with torch.no_grad():
        for block in blocks:
            exec(block, names)
        names["gap"] = names["model"](x)
    return names


@pytest.mark.parametrize("name", SPECS)
def test_its_lines_load_the_network(name, tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = Network(SPECS[name]).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    write_network(tmp_path / "network.safetensors", network)
    x = torch.randn(2, 3, 64, 64)
    found = run_lines(model_card(network, identity(), "colon"), tmp_path, monkeypatch, x)
    with torch.no_grad():
        gap, logits = network.forward_a(x), network(x)
    torch.testing.assert_close(found["gap"], gap)
    several = network.spec.task == "multilabel"
    expected = torch.sigmoid(logits) if several else torch.softmax(logits, dim=1)
    torch.testing.assert_close(found["probabilities"], expected)
    if network.spec.hidden:
        torch.testing.assert_close(found["dense"], network.features_from_gap(gap, "dense"))


def test_train_writes_it_and_it_loads_from_a_copy(tools, standardized, tmp_path, monkeypatch):
    patches = standardized(tools.write_set(tmp_path / "colon", groups=4))
    out = tmp_path / "net"
    tools.ok(
        "train", "--patches", patches, "--out", out, "--init", "random", "--arch", "resnet10t",
        "--hidden", 6, "--epochs-head", 1, "--epochs-all", 1, "--device", "cpu",
    )  # fmt: skip
    for folder in (out, out / "step1"):
        assert "README.md" in open_artefact(folder).files
    copy = tmp_path / "elsewhere"
    shutil.copytree(out, copy)
    card = (copy / "README.md").read_text()
    x = torch.randn(1, 3, 32, 32)
    found = run_lines(card, copy, monkeypatch, x)
    with torch.no_grad():
        expected = load_network(open_artefact(copy)).features(x, "dense")
    torch.testing.assert_close(found["dense"], expected)
    assert "1. gland" in card
    assert "at 1 µm/px" in card
    assert "10.1016/j.jpi.2022.100115" in card
    assert str(tmp_path) not in card
    assert tools.run("verify", out).code == 0


def test_its_header_is_yaml_that_names_library_and_data():
    header = yaml.safe_load(
        model_card(Network(SPECS["plain"]), identity(), "colon").split("---")[1]
    )
    assert header["library_name"] == "timm"
    assert header["datasets"] == ["colon"]
    assert "histology" in header["tags"]
    for odd in ("no: name", "a\nb", "{{x}}"):
        card = model_card(Network(SPECS["plain"]), identity(), odd)
        assert "datasets" not in yaml.safe_load(card.split("---")[1])


def test_it_says_where_the_first_weights_are_from_and_what_is_known_of_their_license():
    network = Network(SPECS["plain"])
    network.part_a.pretrained_cfg = {"license": "apache-2.0"}
    imagenet = model_card(network, identity(), "colon")
    assert "ImageNet weights of timm (SHA-256 abababababababab…)" in imagenet
    assert "license apache-2.0" in imagenet
    own = Input("start", "weights", "0" * 64, "mine.pth")
    assert "not known here" in model_card(network, identity(own), "colon")
    other = Input("start", "network", "1" * 64, "lung")
    assert "the network `lung`" in model_card(network, identity(other), "colon")
    assert "random weights" in model_card(
        network, identity(Input("start", "random", "random")), "colon"
    )


def test_a_network_of_pieces_states_no_single_size():
    spec = NetworkSpec("dipalma_resnet10", ("a", "b"), hidden=(), patch_px=97)
    teacher = Input("teacher", "network", "ef" * 32, "fine")
    patches = Input("patches", "patches", "cd" * 32, "4")
    config = {"lr": 0.001, "temperature": 2.0}
    taught = Identity("network", "distill", 1, config, (patches, teacher), 3)
    card = model_card(Network(spec), taught, "colon", "1/4 of the native scale")
    assert "RGB images of any size, both sides 32 px or more, at 1/4 of the native scale" in card
    assert "97" not in card.split("## Input")[1].split("## Classes")[0]
    assert "as the network `fine` (id efefefefefefefef…)" in card
    assert "| temperature | 2.0 |" in card
    assert "timm names them" not in card
    assert "`histograft rescale` and `classify`" in card
