"""Random first weights against the variances that they are named for."""

import math

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from histograft.core.errors import InputError
from histograft.learning.initialize import initialize_he
from histograft.learning.network import NetworkSpec
from histograft.learning.weights import build_network

SPEC = NetworkSpec("resnet18", ("a", "b"), hidden=())


def kernels(model):
    return [m.weight.detach() for m in model.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize(("rule", "fan"), [("he-fan-in", 1), ("he-fan-out", 0)])
def test_variance_of_every_convolution(rule, fan):
    for weight in kernels(build_network(SPEC, "random", seed=0, random_start=rule).part_a):
        expected = math.sqrt(2 / (weight.shape[fan] * weight[0, 0].numel()))
        error = 5 / math.sqrt(2 * weight.numel())  # five standard errors
        assert float(weight.std()) == pytest.approx(expected, rel=error)
        assert abs(float(weight.mean())) < 5 * expected / math.sqrt(weight.numel())


def test_fan_out_is_how_torchvision_draws_a_resnet():
    torch.manual_seed(0)
    theirs = resnet18()
    ours = build_network(SPEC, "random", seed=0, random_start="he-fan-out").part_a
    for one, other in zip(kernels(ours), kernels(theirs), strict=True):
        assert one.shape == other.shape
        assert float(one.std()) == pytest.approx(float(other.std()), rel=0.05)
    for layer in ours.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert bool((layer.weight == 1).all())
            assert bool((layer.bias == 0).all())


def test_the_default_start_is_as_it_was():
    """timm lets residual branches begin at zero, and fan-in leaves that so."""
    one, other = (
        build_network(SPEC, "random", seed=3, **kw) for kw in ({}, {"random_start": "he-fan-in"})
    )
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not bool(one.part_a.layer1[0].bn2.weight.any())


def test_an_unknown_rule_is_refused():
    with pytest.raises(InputError, match="he-fan-out"):
        initialize_he(nn.Conv2d(1, 1, 1), "orthogonal")
