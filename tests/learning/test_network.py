"""Networks: points, names of tensors, specifications, first weights."""

import json

import numpy as np
import pytest
import timm
import torch
from scipy import stats

from histograft.core.errors import InputError
from histograft.learning.architectures import create_part_a
from histograft.learning.network import (
    Network,
    NetworkSpec,
    first_mismatch,
    load_state,
    state_to_save,
)
from histograft.learning.weights import build_network


@pytest.fixture
def x():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_points_are_gap_and_the_last_hidden_layer(x):
    spec = NetworkSpec("resnet10t", ("a", "b", "c"), hidden=(24, 16))
    network = build_network(spec, "random", seed=0).eval()
    with torch.inference_mode():
        gap = network.part_a(x)
        first, last = network.part_b.hidden
        before = torch.relu(gap @ first.weight.T + first.bias) @ last.weight.T + last.bias
        output = network.part_b.output
        logits = before.clamp(min=0) @ output.weight.T + output.bias
        expected = {"gap": gap, "dense-pre": before, "dense": before.clamp(min=0)}
        for point, values in expected.items():
            found = network.features(x, point)
            torch.testing.assert_close(found, values)
            assert found.shape[1] == network.feature_size(point)
        torch.testing.assert_close(network(x), logits)
    assert (before < 0).any()  # else dense and dense-pre could not differ


def test_without_hidden_layers_classes_follow_the_pooled_features(x):
    network = build_network(NetworkSpec("resnet10t", ("a", "b"), hidden=()), "random", seed=0)
    network.eval()
    output = network.part_b.output
    with torch.inference_mode():
        expected = network.part_a(x) @ output.weight.T + output.bias
        torch.testing.assert_close(network(x), expected)
        torch.testing.assert_close(
            network.forward_b(network.pooled_map(network.forward_map(x))), expected
        )
    assert network.points == ("gap",)
    with pytest.raises(InputError, match="no feature point 'dense'"):
        network.features(x, "dense")
    assert NetworkSpec.from_json(network.spec.to_json()) == network.spec


def test_a_transformer_has_no_feature_map():
    network = Network(NetworkSpec("vit_tiny_patch16_224", ("a", "b")))
    with pytest.raises(InputError, match="no feature map"):
        network.forward_map(torch.zeros(1, 3, 224, 224))


def test_gap_is_the_mean_over_places(x):
    network = Network(NetworkSpec("mobilenetv2_100", ("a", "b"))).eval()
    with torch.inference_mode():
        maps = network.part_a.forward_features(x)
        torch.testing.assert_close(network.forward_a(x), maps.mean((2, 3)))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_declared_size_and_layer_are_real(name):
    network = Network(NetworkSpec(name, ("a", "b"), hidden=(8,))).eval()
    x = torch.zeros(1, 3, 224, 224)
    with torch.inference_mode():
        assert network.forward_a(x).shape == (1, network.feature_size("gap"))
    assert network.cam_layer in dict(network.part_a.named_modules())
    assert set(network.stages) <= set(dict(network.part_a.named_modules()))


def test_an_unknown_point_is_refused(spec):
    with pytest.raises(InputError, match="gap, dense, dense-pre"):
        Network(spec).feature_size("logits")


def test_part_a_of_a_saved_state_opens_in_timm(spec, x):
    network = build_network(spec, "random", seed=3).eval()
    plain = timm.create_model(spec.architecture, num_classes=0, **spec.kwargs).eval()
    result = plain.load_state_dict(state_to_save(network), strict=False)
    assert result.missing_keys == []
    assert all(name.startswith("part_b.") for name in result.unexpected_keys)
    with torch.inference_mode():
        assert torch.equal(plain(x), network.forward_a(x))


def test_state_round_trip_and_its_first_mismatch(spec):
    one, two = (build_network(spec, "random", seed=s) for s in (0, 1))
    state = state_to_save(one)
    load_state(two, state)
    assert all(
        torch.equal(a, b) for a, b in zip(state.values(), state_to_save(two).values(), strict=True)
    )
    state["part_b.output.weight"] = torch.zeros(3, 16)
    with pytest.raises(InputError, match=r"part_b\.output\.weight has shape \(3, 16\)"):
        load_state(two, state)
    with pytest.raises(InputError, match=r"conv1\.0\.weight is missing"):
        load_state(two, {k: v for k, v in state.items() if k != "conv1.0.weight"})
    assert first_mismatch({}, {"new": torch.zeros(1)}) == "new has no place in it"


def test_saved_state_is_a_copy(spec):
    network = Network(spec)
    state = state_to_save(network)
    network.part_b.output.bias.data.fill_(7)
    assert not (state["part_b.output.bias"] == 7).any()


@pytest.mark.parametrize(
    "change",
    [
        {"task": "ordinal"},
        {"hidden": (0,)},
        {"classes": ("a",)},
        {"classes": ("a", "a")},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (0.5,)},
        {"invented": 1},
    ],
)
def test_specifications_that_cannot_be_are_refused(spec, change):
    values = json.loads(spec.to_json()) | change
    with pytest.raises(InputError):
        NetworkSpec.from_json(json.dumps(values))


def test_specification_round_trip():
    spec = NetworkSpec(
        "mobilenetv2_100", ("TUM", "µ"), {"pad_type": "same"}, (64, 32), "multilabel", 96, 0.5
    )
    assert NetworkSpec.from_json(spec.to_json()) == spec
    with pytest.raises(InputError, match="JSON"):
        NetworkSpec.from_json("{")


def test_unknown_architecture_suggests_names():
    with pytest.raises(InputError, match="mobilenetv2_100"):
        create_part_a("mobilenet_v2_100")
    with pytest.raises(InputError, match="pad_typ"):
        create_part_a("mobilenetv2_100", {"pad_typ": "same"})
    with pytest.raises(InputError, match="num_classes"):
        create_part_a("resnet18", {"num_classes": 3})


def test_tf_same_is_timms_same_padding(x):
    """An independent implementation: timm's own pad_type="same"."""
    theirs = timm.create_model("mobilenetv2_100", num_classes=0, pad_type="same", bn_eps=1e-3)
    ours = create_part_a("mobilenetv2_100", {"tf_same": True, "bn_eps": 1e-3})
    ours.load_state_dict(theirs.state_dict())
    plain = create_part_a("mobilenetv2_100", {"bn_eps": 1e-3})
    plain.load_state_dict(theirs.state_dict())
    with torch.inference_mode():
        expected = theirs.eval()(x)
        torch.testing.assert_close(ours.eval()(x), expected)
        assert not torch.allclose(plain.eval()(x), expected, rtol=1e-2)


def test_first_weights_depend_on_the_seed_alone(spec):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = state_to_save(build_network(spec, "random", seed=0))
    assert torch.equal(torch.get_rng_state(), state)  # the caller's generator is untouched
    torch.manual_seed(6)
    same = state_to_save(build_network(spec, "random", seed=0))
    other = state_to_save(build_network(spec, "random", seed=1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["conv1.0.weight"], other["conv1.0.weight"])


def test_part_b_is_the_same_whatever_part_a_starts_from(spec):
    """So that two starts differ in Part A alone."""
    random = build_network(spec, "random", seed=0)
    from histograft.learning.opened import OpenedWeights

    opened = OpenedWeights(
        {k: v + 1 for k, v in random.part_a.state_dict().items()},
        "resnet10t",
        {},
        (0.5,) * 3,
        (0.5,) * 3,
    )
    loaded = build_network(spec, opened, seed=0)
    assert torch.equal(loaded.part_b.output.weight, random.part_b.output.weight)
    assert torch.equal(loaded.part_a.conv1[0].weight, random.part_a.conv1[0].weight + 1)


def test_glorot_and_he_are_the_published_distributions():
    network = build_network(NetworkSpec("resnet18", ("a", "b"), hidden=(256,)), "random", seed=0)
    dense = network.part_b.hidden[0].weight.detach().numpy().ravel()
    limit = np.sqrt(6 / (512 + 256))
    assert stats.kstest(dense, stats.uniform(-limit, 2 * limit).cdf).pvalue > 0.001
    conv = network.part_a.layer3[0].conv2.weight.detach().numpy()
    he = stats.norm(0, np.sqrt(2 / (9 * conv.shape[1])))
    assert stats.kstest(conv.ravel()[::7], he.cdf).pvalue > 0.001
    assert not network.part_b.output.bias.any()
