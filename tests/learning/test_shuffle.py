"""Shuffled weights: the same values in other places, tensor by tensor."""

import torch

from histograft.learning.opened import OpenedWeights
from histograft.learning.shuffle import shuffled


def order_of(before, after):
    """Where each value of `after` was before; values are all different."""
    return before.flatten().argsort()[after.flatten().argsort().argsort()]


def test_each_tensor_keeps_its_values_and_loses_its_places():
    torch.manual_seed(0)
    state = {name: torch.randn(8, 4, 3, 3) for name in ("a.weight", "b.weight")}
    state |= {"bn.running_var": torch.arange(1.0, 33.0), "bn.num_batches_tracked": torch.tensor(7)}
    before = {name: tensor.clone() for name, tensor in state.items()}
    weights = OpenedWeights(state, "resnet18", {}, (0.5,) * 3, (0.4,) * 3)
    first, again, other = (shuffled(weights, seed=seed).state for seed in (1, 1, 2))
    assert list(first) == list(state)
    for name, tensor in before.items():
        assert torch.equal(state[name], tensor)  # the source is left as it was
        assert torch.equal(first[name], again[name])
        assert first[name].shape == tensor.shape
        assert torch.equal(first[name].flatten().sort().values, tensor.flatten().sort().values)
        moved = float((first[name] != tensor).float().mean())
        assert moved == 0 if name.endswith("tracked") else moved > 0.8
    assert not torch.equal(first["a.weight"], other["a.weight"])
    orders = [order_of(before[name], first[name]) for name in ("a.weight", "b.weight")]
    assert not torch.equal(*orders)  # each tensor has an order of its own


def test_all_else_stays():
    weights = OpenedWeights({"x": torch.ones(2)}, "resnet18", {"a": 1}, (0.5,) * 3, (0.4,) * 3)
    found = shuffled(weights, seed=0)
    assert (found.architecture, found.mean, found.std) == ("resnet18", (0.5,) * 3, (0.4,) * 3)
