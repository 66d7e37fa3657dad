"""The network of resolution distillation, and GroupNorm in timm's ResNets."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from histograft.core.errors import InputError
from histograft.learning.architectures import create_part_a
from histograft.learning.dipalma_resnet import DiPalmaResNet, pooled
from histograft.learning.network import Network, NetworkSpec, state_to_save
from histograft.learning.network_files import read_network, write_network

NAME = "dipalma_resnet10"


def torchvision_twin():
    """torchvision's ResNet of one block a stage with half the widths; it shares no code."""
    twin = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=lambda c: nn.GroupNorm(32, c))
    twin.inplanes = 32
    twin.conv1, twin.bn1 = nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.GroupNorm(32, 32)
    for i, width in enumerate((32, 64, 128, 256)):
        setattr(twin, f"layer{i + 1}", twin._make_layer(BasicBlock, width, 1, 1 + (i > 0)))
    twin.fc = nn.Linear(256, 3)
    return twin


def test_parameters_and_outputs_are_those_of_torchvision_blocks():
    ours, twin = DiPalmaResNet(num_classes=3).eval(), torchvision_twin().eval()
    assert sum(p.numel() for p in ours.parameters()) == 1_231_011
    assert sum(p.numel() for p in twin.parameters()) == 1_231_011
    with torch.no_grad():
        for a, b in zip(ours.parameters(), twin.parameters(), strict=True):
            assert a.shape == b.shape
            a.copy_(torch.randn_like(a) * 0.1)
            b.copy_(a)
        x = torch.randn(2, 3, 97, 121)
        torch.testing.assert_close(ours(x), twin(x), rtol=1e-4, atol=1e-5)
        assert ours.forward_features(x).shape == (2, 256, 4, 4)
    # with gradients the maxima are taken by another way
    torch.testing.assert_close(ours(x), twin(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 2), (8, 7), (9, 12)])
def test_maxima_without_gradients_are_those_of_max_pooling(size):
    x = torch.randn(2, 3, *size)  # negative too: the border must not count as 0
    x[0, 0, 0, 0] = torch.nan
    expected = nn.MaxPool2d(3, 2, 1)(x)
    torch.testing.assert_close(pooled(x), expected, rtol=0, atol=0, equal_nan=True)


def test_the_first_stage_is_instance_normalization():
    x = torch.randn(2, 32, 9, 7)
    torch.testing.assert_close(
        DiPalmaResNet().layer1.norm1(x), nn.functional.instance_norm(x), rtol=1e-4, atol=1e-5
    )


def test_first_weights_are_he_normal_of_the_outputs():
    weights = DiPalmaResNet().layer4.conv1.weight.detach().numpy().ravel()  # of 128 channels
    assert np.std(weights) == pytest.approx(np.sqrt(2 / (256 * 9)), rel=0.01)
    assert np.mean(np.abs(weights) < np.std(weights)) == pytest.approx(0.6827, abs=0.005)


def test_images_of_a_batch_do_not_see_each_other():
    network = Network(NetworkSpec(NAME, ("a", "b"), hidden=()))
    x = torch.randn(3, 3, 64, 80)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-5, atol=1e-6)


def test_it_opens_saves_and_declares_like_any_network(tmp_path):
    spec = NetworkSpec(NAME, ("a", "b", "c"), kwargs={"norm_groups": 8}, hidden=(), mpp=8.0)
    network = Network(spec).eval()
    assert network.stages == ("layer1", "layer2", "layer3", "layer4")
    assert network.cam_layer == "layer4"
    assert network.feature_size("gap") == 256
    assert network.part_a.layer3.norm2.num_groups == 8
    write_network(tmp_path / "network.safetensors", network)
    again = read_network(tmp_path / "network.safetensors", spec)
    x = torch.randn(1, 3, 50, 40)
    assert torch.equal(again(x), network(x))
    assert sum(t.numel() for t in state_to_save(network).values()) == 1_231_011


@pytest.mark.parametrize("name", [NAME, "resnet18"])
def test_recomputed_stages_give_the_same_gradients(name):
    gradients = []
    model = create_part_a(name, {"norm_groups": 32}).train()
    x = torch.randn(2, 3, 64, 64)
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_groups_go_into_timm_resnets():
    model = create_part_a("resnet18", {"norm_groups": 16})
    kinds = {type(m).__name__ for m in model.modules() if "Norm" in type(m).__name__}
    assert kinds == {"GroupNorm"}
    assert model.layer1[0].bn1.num_groups == 16


@pytest.mark.parametrize(("name", "groups"), [(NAME, 24), ("resnet18", 24), ("legacy_xception", 8)])
def test_groups_that_cannot_be(name, groups):
    with pytest.raises(InputError, match=r"keyword arguments .*norm_groups"):
        create_part_a(name, {"norm_groups": groups})
