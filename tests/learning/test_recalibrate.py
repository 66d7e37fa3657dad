"""Measured BatchNorm statistics against NumPy's mean and variance of what reaches the layer."""

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from histograft.core.errors import InputError
from histograft.learning.batches import batch_bounds, epoch_order, normalize
from histograft.learning.network import Network, NetworkSpec, state_to_save
from histograft.learning.recalibrate import recalibrate_batchnorm


def inputs_by_numpy(network, images, order, bounds):
    """What reaches each BatchNorm layer where each normalizes by its batch."""
    layers = [m for m in network.part_a.modules() if isinstance(m, _BatchNorm)]
    caught = [[] for _ in layers]
    hooks = [
        layer.register_forward_hook(lambda m, x, y, into=into: into.append(x[0].numpy().copy()))
        for layer, into in zip(layers, caught, strict=True)
    ]
    network.part_a.train()
    with torch.no_grad():
        for start, stop in bounds:
            raw = torch.from_numpy(images[order[start:stop]]).permute(0, 3, 1, 2)
            network.forward_a(normalize(raw, network.spec.mean, network.spec.std))
    network.eval()
    for hook in hooks:
        hook.remove()
    return layers, [np.concatenate(x).astype(np.float64) for x in caught]


def test_statistics_are_those_of_the_layers_inputs(spec, make_images):
    torch.manual_seed(0)
    network, twin = Network(spec), Network(spec)
    twin.load_state_dict(network.state_dict())
    images, _ = make_images(23)
    weights = {n: t.clone() for n, t in state_to_save(network).items() if "running" not in n}
    n_layers = recalibrate_batchnorm(network, images, seed=4, batch_size=8, device="cpu")
    order, bounds = epoch_order(23, 4, 0), batch_bounds(23, 8)
    layers, inputs = inputs_by_numpy(twin, images.array, order, bounds)
    measured = [m for m in network.part_a.modules() if isinstance(m, _BatchNorm)]
    assert n_layers == len(layers) == len(measured)
    for layer, x in zip(measured, inputs, strict=True):
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3), ddof=1)
        np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-4, atol=1e-6)
        assert layer.num_batches_tracked.item() == 3
        assert layer.momentum == 0.1  # a later training goes on as usual
    after = state_to_save(network)
    assert all(torch.equal(after[n], t) for n, t in weights.items() if "tracked" not in n)
    assert not network.training


def test_one_batch_is_what_torch_measures(spec, make_images):
    torch.manual_seed(0)
    network, twin = Network(spec), Network(spec)
    twin.load_state_dict(network.state_dict())
    images, _ = make_images(6)
    recalibrate_batchnorm(network, images, batch_size=8, device="cpu")
    for layer in twin.modules():
        if isinstance(layer, _BatchNorm):
            layer.reset_running_stats()
            layer.momentum = None
    twin.train()
    raw = torch.from_numpy(images.array).permute(0, 3, 1, 2)
    with torch.no_grad():
        twin.forward_a(normalize(raw, spec.mean, spec.std))
    found, expected = state_to_save(network), state_to_save(twin)
    for name in (n for n in found if "running" in n):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_a_cut_into_sorted_classes_does_not_matter(spec, make_images):
    """Classes come sorted on disk; the order mixes them, so batches are alike."""
    torch.manual_seed(0)
    network = Network(spec)
    images, labels = make_images(64)
    images.array = images.array[np.argsort(labels, kind="stable")]
    steps = []
    results = []
    for size in (64, 16):
        recalibrate_batchnorm(
            network, images, batch_size=size, device="cpu", on_batch=lambda *x: steps.append(x)
        )
        results.append(state_to_save(network)["layer1.0.bn1.running_var"])
    assert steps == [(1, 1), (1, 4), (2, 4), (3, 4), (4, 4)]
    torch.testing.assert_close(*results, rtol=0.05, atol=1e-4)


def test_what_cannot_be_measured_is_refused(spec, make_images):
    images, _ = make_images(1)
    with pytest.raises(InputError, match=r"1 image\(s\) in batches"):
        recalibrate_batchnorm(Network(spec), images, device="cpu")
    plain = NetworkSpec("convnext_atto", ("a", "b"), hidden=(4,))
    with pytest.raises(InputError, match="convnext_atto has no BatchNorm"):
        recalibrate_batchnorm(Network(plain), make_images(4)[0], device="cpu")
    network = Network(spec)
    with torch.no_grad():
        network.part_a.layer1[0].conv1.weight.fill_(torch.inf)
    with pytest.raises(InputError, match="activations are not finite"):
        recalibrate_batchnorm(network, make_images(4)[0], device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_measures_the_same(spec, make_images):
    torch.manual_seed(0)
    network = Network(spec)
    images, _ = make_images(24)
    states = []
    for device in ("cpu", "cuda"):
        recalibrate_batchnorm(network, images, batch_size=8, device=device)
        states.append(state_to_save(network))
    for name in (n for n in states[0] if "running" in n):
        torch.testing.assert_close(states[1][name], states[0][name], rtol=1e-2, atol=1e-3)
