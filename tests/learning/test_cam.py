"""Class activation maps: a network whose maps are known, signs, batches, labels, hooks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from histograft.core.errors import InputError
from histograft.learning.apply import class_scores
from histograft.learning.cam import CamSettings, class_maps, label_maps
from histograft.learning.cam_methods import METHODS
from histograft.learning.network import Network, NetworkSpec, PartB

RNG = np.random.default_rng(0)
# Channel 0 of the layer is red, channel 1 is green; blue is not seen.
CHANNELS = np.eye(2, 3)
# What each class draws from the means of the two channels.
HEAD = np.array([[1.0, 0.0], [-0.5, 2.0], [-1.0, -1.0]])


class Copying(nn.Sequential):
    """A 1 x 1 convolution that copies two channels, then their means."""

    def __init__(self):
        super().__init__()
        self.add_module("maps", nn.Conv2d(3, 2, 1, bias=False))
        self.add_module("pool", nn.AdaptiveAvgPool2d(1))
        self.add_module("flat", nn.Flatten())
        self.feature_info = [{"module": "maps"}]
        self.maps.weight.data = torch.tensor(CHANNELS[:, :, None, None], dtype=torch.float32)


class Known(Network):
    """Logits = HEAD @ channel means; pixels 0 … 255 come in as 0 … 1."""

    def __init__(self, task="multiclass"):
        nn.Module.__init__(self)
        self.spec = NetworkSpec(
            "known", ("a", "b", "c"), hidden=(2,), task=task, mean=(0, 0, 0), std=(1, 1, 1)
        )
        self.part_a, self.part_b, self.gap_size = Copying(), PartB(2, (2,), 3), 2
        self.part_b.hidden[0].weight.data = torch.eye(2)
        self.part_b.output.weight.data = torch.tensor(HEAD, dtype=torch.float32)
        for layer in (self.part_b.hidden[0], self.part_b.output):
            layer.bias.data.zero_()


def pictures(n=3, side=8):
    return RNG.integers(0, 256, (n, side, side, 3)).astype(np.uint8)


def activations(images):
    return np.einsum("kc,nijc->nkij", CHANNELS, images / 255.0)


def scaled(maps):
    """ReLU, then each map from 0 to 1."""
    maps = np.maximum(maps, 0)
    maps = maps - maps.min(axis=(1, 2), keepdims=True)
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-30)


def hooks(network):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


def small(task="multiclass"):
    torch.manual_seed(0)
    return Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,), patch_px=64, task=task))


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("aug_smooth", [False, True])  # changes nothing in a linear network
def test_grad_cam_is_the_weighted_channels(label, aug_smooth):
    images = pictures()
    expected = scaled(np.einsum("k,nkij->nij", HEAD[label] / 64, activations(images)))
    settings = CamSettings("grad-cam", aug_smooth=aug_smooth)
    found = class_maps(Known(), images, [label] * 3, settings, device="cpu")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (expected.max() > 0) == (label < 2)  # nothing in the image speaks for class 2


@pytest.mark.parametrize("label", [0, 1])
def test_grad_cam_plus_plus_is_equation_19(label):
    """Both channels speak for the class, unequally, so that their weights decide on the map."""
    images, network = pictures(), Known()
    head = np.array([[8.0, 1.0], [2.0, 40.0], [0.0, 0.0]])
    network.part_b.output.weight.data = torch.tensor(head, dtype=torch.float32)
    A = activations(images)
    g = head[label][None, :, None, None] / 64 * np.ones_like(A)
    alpha = g**2 / (2 * g**2 + A.sum((2, 3), keepdims=True) * g**3)
    weights = (alpha * np.maximum(g, 0)).sum((2, 3))
    expected = scaled(np.einsum("nk,nkij->nij", weights, A))
    found = class_maps(network, images, [label] * 3, CamSettings("grad-cam++"), device="cpu")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_small_gradients_are_not_drowned():
    """Both channels count alike in Grad-CAM++ however small the gradient is."""
    network = Known()
    network.part_b.output.weight.data = 1e-4 * torch.tensor([[1.0, 0.5], [0, 0], [0, 0]])
    images = pictures()
    # g is so small that α is 1/2 everywhere: the weights are as the gradients, 2 to 1.
    expected = scaled(np.einsum("k,nkij->nij", np.array([1.0, 0.5]), activations(images)))
    found = class_maps(network, images, [0] * 3, CamSettings("grad-cam++"), device="cpu")
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "hires-cam"])
@pytest.mark.parametrize("turned", [1, -1])
def test_a_component_gets_the_sign_of_the_sum(monkeypatch, method, turned):
    """Whatever sign the decomposition gives, the map is the same and agrees with the sum."""
    from importlib import import_module

    plain = import_module("pytorch_grad_cam.utils.svd_on_activations").get_2d_projection
    for name in ("base_cam", "layer_cam", "grad_cam_elementwise", "eigen_cam", "eigen_grad_cam"):
        monkeypatch.setattr(
            f"pytorch_grad_cam.{name}.get_2d_projection", lambda values: turned * plain(values)
        )
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0, :3, :3, 0] = 250  # a bright corner is what speaks for class a
    images[1, 5:, 5:, 0] = 250
    settings = CamSettings(method, eigen_smooth=True)
    found = class_maps(Known(), images, [0, 0], settings, device="cpu")
    np.testing.assert_allclose(found, (images[..., 0] > 0).astype(float), atol=1e-5)


def test_components_agree_with_sums_in_a_real_network():
    network, images = small(), pictures(6, 64)
    labels = [0, 1] * 3
    plain = class_maps(network, images, labels, CamSettings("grad-cam"), device="cpu")
    smooth = class_maps(
        network, images, labels, CamSettings("grad-cam", eigen_smooth=True), device="cpu"
    )
    pairs = [(p.ravel(), s.ravel()) for p, s in zip(plain, smooth, strict=True) if p.any()]
    assert len(pairs) >= 3
    assert all(np.corrcoef(p, s)[0, 1] > 0 for p, s in pairs)


@pytest.mark.parametrize("method", METHODS)
def test_batches_change_nothing_and_numbers_are_shares(method):
    network, images = small(), pictures(5, 64)
    settings = CamSettings(method, aug_smooth=method == "grad-cam++")
    labels = [0, 1, 0, 1, 1]
    whole = class_maps(network, images, labels, settings, device="cpu")
    parts = class_maps(network, images, labels, settings, device="cpu", batch_size=2)
    np.testing.assert_allclose(parts, whole, atol=2e-4)
    one = class_maps(network, images[3:4], labels[3:4], settings, device="cpu")
    np.testing.assert_allclose(one, whole[3:4], atol=2e-4)
    assert whole.dtype == np.float32
    assert whole.shape == (5, 64, 64)
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_several_labels_have_a_map_each():
    network, images = Known("multilabel"), pictures()
    found = label_maps(network, images, [[0, 1], [], [1]], device="cpu")
    assert [len(maps) for maps in found] == [2, 0, 1]
    for row, label, made in [(0, 0, found[0][0]), (0, 1, found[0][1]), (2, 1, found[2][0])]:
        alone = class_maps(network, images[[row]], [label], device="cpu")[0]
        np.testing.assert_allclose(made, alone, atol=1e-6)
    assert [m.shape for m in label_maps(network, images, [[], [], []], device="cpu")] == [
        (0, 8, 8)
    ] * 3


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_scores_are_softmax_or_sigmoids(task):
    images = pictures()
    logits = activations(images).mean((2, 3)) @ HEAD.T
    odds = np.exp(logits)
    expected = odds / odds.sum(1, keepdims=True) if task == "multiclass" else odds / (1 + odds)
    found = class_scores(Known(task), images, device="cpu", batch_size=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_network_is_left_as_it_was():
    network, images = small().train(), pictures(2, 64)
    network.part_a.conv1.requires_grad_(False)
    kept = torch.ones_like(network.part_b.output.bias)
    network.part_b.output.bias.grad = kept
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    class_maps(network, images, [0, 1], CamSettings(aug_smooth=True), device="cpu")
    assert hooks(network) == 0
    assert all(module.training for module in network.modules())
    assert network.part_b.output.bias.grad is kept
    assert [p.requires_grad for p in network.part_a.conv1.parameters()].count(True) == 0
    assert network.part_b.output.weight.requires_grad
    assert all(torch.equal(state[name], t) for name, t in network.state_dict().items())


@pytest.mark.parametrize("fault", [RuntimeError, IndexError, KeyboardInterrupt])
def test_hooks_are_released_after_an_error(monkeypatch, fault):
    network = small()

    def broken(gap):
        raise fault("in the middle of a pass")

    monkeypatch.setattr(network.part_b, "forward", broken)
    with pytest.raises(fault, match="in the middle") as caught:
        class_maps(network, pictures(2, 64), [0, 1], device="cpu")
    assert hooks(network) == 0
    assert caught.tb is not None  # it keeps what took part alive: nobody else releases the hooks
    assert network.part_a.training


def test_inside_inference_mode():
    network, images = small(), pictures(2, 64)
    expected = class_maps(network, images, [0, 1], device="cpu")
    with torch.inference_mode():
        np.testing.assert_array_equal(class_maps(network, images, [0, 1], device="cpu"), expected)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("mobilenetv2_100", {}),
        ("densenet121", {}),
        ("convnext_atto", {}),
        ("vit_tiny_patch16_224", {"img_size": 64, "depth": 2}),  # tokens
        ("swin_tiny_patch4_window7_224", {"img_size": 64, "depths": (1, 1), "num_heads": (3, 6)}),
    ],
)
def test_other_networks(name, kwargs):
    torch.manual_seed(0)
    spec = NetworkSpec(name, ("a", "b"), kwargs=kwargs, hidden=(16,), patch_px=64)
    maps = class_maps(Network(spec), pictures(2, 64), [0, 1], device="cpu")
    assert maps.shape == (2, 64, 64)
    assert maps.max() > 0.99


def test_refuses():
    network, images = Known(), pictures()
    with pytest.raises(InputError, match="no map 'gradcam'"):
        CamSettings("gradcam")
    with pytest.raises(InputError, match="first component"):
        CamSettings("hires-cam", eigen_smooth=True)
    with pytest.raises(InputError, match="the network has 3"):
        class_maps(network, images, [0, 1, 3], device="cpu")
    with pytest.raises(InputError, match=r"shape \(2,\) for 3 images"):
        class_maps(network, images, [0, 1], device="cpu")
    with pytest.raises(InputError, match="not uint8"):
        class_maps(network, images.astype(float), [0, 1, 1], device="cpu")
    with pytest.raises(InputError, match="no module 'layer9'"):
        class_maps(network, images, [0, 1, 1], CamSettings(layer="layer9"), device="cpu")
    with pytest.raises(InputError, match="not maps"):
        class_maps(network, images, [0, 1, 1], CamSettings(layer="flat"), device="cpu")
    assert hooks(network) == 0
    network.part_b.output.weight.data.fill_(float("nan"))
    with pytest.raises(InputError, match="NaN or infinity"):
        class_maps(network, images, [0, 1, 1], device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_devices_agree():
    network, images = small(), pictures(3, 64)
    on_cpu = class_maps(network, images, [0, 1, 0], device="cpu")
    on_gpu = class_maps(network, images, [0, 1, 0], device="cuda")
    np.testing.assert_allclose(on_gpu, on_cpu, atol=2e-2)
