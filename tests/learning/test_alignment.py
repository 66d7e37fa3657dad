"""Channels that were shuffled are found again, through all that share them."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from timm.models.resnet import BasicBlock, Bottleneck, ResNet

from histograft.core.errors import InputError
from histograft.learning.alignment import align_to, channels_moved, permuted, resnet_axes
from histograft.learning.fuse import fuse_report, fuse_state_dicts
from histograft.learning.network import Network, NetworkSpec, load_state, state_to_save


def randomized(build, seed=0):
    """Give BatchNorm other numbers than 0 and 1, so that each channel is one of its own."""
    torch.manual_seed(seed)
    model = build()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return model.double().eval()


def shuffled(state, seed=0):
    axes = resnet_axes(state)
    sizes = {
        group: state[name].shape[axis]
        for name, groups in axes.items()
        for axis, group in enumerate(groups)
        if group is not None
    }
    rng = np.random.default_rng(seed)
    orders = {group: rng.permutation(size) for group, size in sizes.items()}
    return permuted(state, axes, orders), orders


def thin(block, widths, **options):
    return lambda: ResNet(block, (2, 1, 2, 1), num_classes=5, channels=widths, **options)


# As timm builds its own, but thin: a stage like the stem has no downsample convolution.
BUILDERS = {
    "BasicBlock": thin(BasicBlock, (64, 24, 32, 40)),
    "Bottleneck": thin(Bottleneck, (8, 12, 16, 20)),
    "Bottleneck as wide as the stem": thin(Bottleneck, (16, 12, 16, 20)),
    "deep stem": thin(BasicBlock, (64, 24, 32, 40), stem_type="deep", stem_width=32, avg_down=True),
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_a_shuffled_network_is_found_again(build):
    model = randomized(build)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other, orders = shuffled(state)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        expected = model(images)
        model.load_state_dict(other)
        # The witness of the groups: in another order the network is the same function.
        torch.testing.assert_close(model(images), expected, rtol=1e-9, atol=1e-9)
        fused = fuse_state_dicts([state, other], "aligned-average")
        model.load_state_dict(fused)
        torch.testing.assert_close(model(images), expected, rtol=1e-9, atol=1e-9)
    for name, tensor in state.items():
        torch.testing.assert_close(fused[name], tensor, rtol=0, atol=1e-5)
    _, found = align_to(state, other)
    assert all((orders[g][found[g]] == np.arange(len(found[g]))).all() for g in orders)
    plain = fuse_state_dicts([state, other], "average")["layer4.0.conv1.weight"]
    assert float((plain - state["layer4.0.conv1.weight"]).norm() / plain.norm()) > 0.5


def test_torchvision_and_timm_have_one_structure():
    ours = resnet_axes(timm.create_model("resnet18", num_classes=5).state_dict())
    theirs = resnet_axes(torchvision.models.resnet18(num_classes=5).state_dict())
    assert ours == theirs


def test_blocks_of_a_stage_share_their_channels():
    axes = resnet_axes(timm.create_model("resnet26", num_classes=0).state_dict())
    assert axes["layer1.0.conv1.weight"] == ("layer1.0.conv1", "stem")
    assert axes["layer1.0.downsample.0.weight"] == ("layer1.0.downsample", "stem")
    assert axes["layer1.0.conv3.weight"] == ("layer1.0.downsample", "layer1.0.conv2")
    assert axes["layer1.1.conv3.weight"] == ("layer1.0.downsample", "layer1.1.conv2")
    assert axes["layer1.1.bn3.running_var"] == ("layer1.0.downsample",)
    assert axes["layer2.0.conv1.weight"] == ("layer2.0.conv1", "layer1.0.downsample")


def test_dense_layers_are_matched_too():
    network = randomized(lambda: Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(12, 7))))
    state = state_to_save(network)
    other, orders = shuffled(state)
    assert {"part_b.hidden.0", "part_b.hidden.1"} <= set(orders)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        expected = network(images)
        load_state(network, fuse_state_dicts([state, other, state], "aligned-average"))
        torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)


def test_noise_does_not_hide_the_order():
    state = randomized(BUILDERS["deep stem"]).state_dict()
    other, orders = shuffled(state)
    torch.manual_seed(1)
    for name, tensor in other.items():
        if tensor.ndim > 1:
            other[name] = tensor + 0.3 * tensor.std() * torch.randn_like(tensor)
    _, found = align_to(state, other)
    assert all((orders[g][found[g]] == np.arange(len(found[g]))).all() for g in orders)
    assert channels_moved(found) > 0.9


def likeness(first, second):
    return sum(
        float((tensor * second[name]).sum())
        for name, tensor in first.items()
        if tensor.is_floating_point() and "running" not in name
    )


@pytest.mark.parametrize("seed", range(2))
def test_two_unrelated_networks_come_closer_and_keep_what_they_compute(seed):
    model = randomized(BUILDERS["deep stem"], seed)
    first = {n: t.clone() for n, t in randomized(BUILDERS["deep stem"], 50).state_dict().items()}
    second = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    aligned, orders = align_to(first, second)
    assert likeness(first, aligned) > likeness(first, second)
    assert all(sorted(order) == list(range(len(order))) for order in orders.values())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        expected = model(images)
        model.load_state_dict(aligned)
        torch.testing.assert_close(model(images), expected, rtol=1e-9, atol=1e-9)
    report = fuse_report([first, second], "aligned-average")
    assert report.channels_moved[0] == 0 < report.channels_moved[1]
    assert all(row["order_sensitivity"] is None for row in report.layers)


def test_inside_one_group_no_order_is_better():
    """For one block and three channels the best of all 6 x 6 orders can be listed."""
    from itertools import permutations

    rng = np.random.default_rng(0)
    wins = 0
    for _ in range(20):
        first, second = ({
            "conv1.weight": torch.from_numpy(rng.normal(size=(3, 3, 1, 1))),
            "bn1.weight": torch.from_numpy(rng.normal(size=3)),
            "layer1.0.conv1.weight": torch.from_numpy(0.3 * rng.normal(size=(3, 3, 1, 1))),
            "layer1.0.conv2.weight": torch.from_numpy(0.3 * rng.normal(size=(3, 3, 1, 1))),
        } for _ in range(2))  # fmt: skip
        axes = resnet_axes(first)
        orders = [np.array(order) for order in permutations(range(3))]
        every = [
            likeness(first, permuted(second, axes, {"stem": a, "layer1.0.conv1": b}))
            for a in orders
            for b in orders
        ]
        found = likeness(first, align_to(first, second)[0])
        assert found <= max(every) + 1e-9
        wins += found > max(every) - 1e-5
    assert wins >= 15  # the ascent may end on a lower top, but seldom here


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenetv2_100", r"no layer1\.0\.conv1\.weight"),
        ("seresnet18", r"the place of layer1\.0\.se\.fc1\.weight is not known"),
        ("resnext26ts", r"no layer1\.0\.conv1\.weight"),
        ("resnext50_32x4d", r"layer1\.0\.conv2\.weight has shape .* no convolution over all"),
    ],
)
def test_an_unknown_architecture_is_refused(name, message):
    state = timm.create_model(name, num_classes=0).state_dict()
    with pytest.raises(InputError, match=message):
        fuse_state_dicts([state, state], "aligned-average")
    assert list(fuse_state_dicts([state], "average")) == list(state)
