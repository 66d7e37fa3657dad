"""Weights without what they learned: a control for transfer."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from histograft.core.seeds import child_seed
from histograft.learning.opened import OpenedWeights


def shuffled(weights: OpenedWeights, *, seed: int) -> OpenedWeights:
    """Permute the values of each tensor within itself.

    Every layer keeps the mean, spread and all other moments of its weights, so what tuning gains
    from a source but not from its shuffled weights comes from what the source learned, and not
    from their scale (Maennel et al. 2020, arXiv:2006.10455; the control that the HistoKT paper
    lacks).

    Parameters
    ----------
    weights : OpenedWeights
        Of Part A.
    seed : int
        Root seed of the permutations; each tensor has its own.

    Returns
    -------
    OpenedWeights
        With new tensors; counters stay.

    Examples
    --------
    >>> state = {"conv.weight": torch.arange(6.0).reshape(2, 3)}
    >>> weights = OpenedWeights(state, "resnet18", {}, (0.5,) * 3, (0.5,) * 3)
    >>> found = shuffled(weights, seed=0).state["conv.weight"]
    >>> found.shape, sorted(found.flatten().tolist())
    (torch.Size([2, 3]), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    """
    state = {
        name: _permuted(tensor, child_seed(seed, "shuffle", name))
        if _has_values(tensor)
        else tensor
        for name, tensor in weights.state.items()
    }
    return replace(weights, state=state)


def _has_values(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.numel() > 1


def _permuted(tensor: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(tensor.numel(), generator=generator)
    return tensor.flatten()[order].reshape(tensor.shape)
