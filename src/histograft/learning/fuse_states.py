"""Which tensors of several networks belong together, and which are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from histograft.core.errors import InputError
from histograft.learning.network import PART_B

State = Mapping[str, Tensor]
# Modules that end in classes: of timm, torchvision and our Part B.
HEADS = ("fc", "classifier", "head", "head.fc", "heads.head", "last_linear", "part_b.output")


def matched_names(states: Sequence[State]) -> tuple[list[str], dict[str, str]]:
    """Find the tensors that all networks share, and the heads that they do not.

    A head is the layer that gives the classes: one of `HEADS`, or the last matrix of a network,
    with its bias. Heads of another number of classes, or that some network lacks, are dropped.
    Where hidden layers of our Part B differ, the whole of Part B is.

    Parameters
    ----------
    states : sequence of mapping of str to Tensor
        At least one.

    Returns
    -------
    names : list of str
        Tensors to fuse, in the order of the first network.
    dropped : dict of str to str
        What is left out, with the reason.

    Raises
    ------
    InputError
        There is no network, or one has other tensors or shapes; the message names the first
        tensor that differs, and both shapes. Or a tensor is not finite.

    Examples
    --------
    >>> body, head = torch.zeros(2, 2, 1, 1), torch.zeros(3, 2)
    >>> matched_names([{"conv.weight": body, "fc.weight": head},
    ...                {"conv.weight": body, "fc.weight": head[:2]}])
    (['conv.weight'], {'fc.weight': 'has shape (3, 2) in network 1 and (2, 2) in network 2'})
    """
    if not states:
        raise InputError("there is no network to fuse", "give the state dicts of some networks")
    dropped: dict[str, str] = {}
    names = list(dict.fromkeys(name for state in states for name in state))
    heads = {head for state in states for head in _heads(state)}
    for name in names:
        problem = _difference(name, states)
        if problem is None:
            continue
        if name.startswith(PART_B) and name.rpartition(".")[0] not in heads:
            reason = "belongs to dense layers that differ"
            dropped |= {other: reason for other in names if other.startswith(PART_B)}
        elif name.rpartition(".")[0] in heads and _only_rows_differ(name, states):
            dropped[name] = problem
        elif name not in dropped:
            raise InputError(
                f"the networks are not of one architecture: {name} {problem}",
                "fuse networks of one architecture, built with the same arguments",
            )
    partial = {name.rpartition(".")[0] for name in dropped}  # a weight without its bias
    for name in names:
        if name.rpartition(".")[0] in partial:
            dropped.setdefault(name, "belongs to a head that differs")
    kept = [name for name in states[0] if name not in dropped]
    if not kept:
        raise InputError("the networks share no tensor", "give networks of one architecture")
    _require_finite(kept, states)
    return kept, {name: dropped[name] for name in names if name in dropped}


def _heads(state: State) -> set[str]:
    matrices = [name for name, tensor in state.items() if tensor.ndim == 2]
    last = {matrices[-1].rpartition(".")[0]} if matrices else set()
    return last | {head for head in HEADS if f"{head}.weight" in state}


def _difference(name: str, states: Sequence[State]) -> str | None:
    """Say how the first network that differs does so."""
    described = [_described(state.get(name)) for state in states]
    for number, text in enumerate(described[1:], start=2):
        if text != described[0]:
            there = text.removeprefix("has shape ")
            return f"{described[0]} in network 1 and {there} in network {number}"
    return None


def _described(tensor: Tensor | None) -> str:
    if tensor is None:
        return "is missing"
    kind = "" if tensor.is_floating_point() else f" of {str(tensor.dtype).removeprefix('torch.')}"
    return f"has shape {tuple(tensor.shape)}{kind}"


def _only_rows_differ(name: str, states: Sequence[State]) -> bool:
    return len({tuple(state[name].shape[1:]) for state in states if name in state}) == 1


def _require_finite(names: Sequence[str], states: Sequence[State]) -> None:
    for number, state in enumerate(states, start=1):
        for name in names:
            if not bool(torch.isfinite(state[name]).all()):
                raise InputError(
                    f"{name} of network {number} holds values that are not finite",
                    "leave this network out: its training diverged, or its file is damaged",
                )
