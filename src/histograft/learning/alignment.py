"""Match the channels of one ResNet with those of another, so that their weights can be averaged.

Channels of a hidden layer may come in any order: permuting them, in the layer that makes them and
in all layers that read them, changes no output. Two trainings end in different orders, and the
mean of unrelated channels is none of them. Weight matching (Ainsworth, Hayase and Srinivasa 2023,
*Git Re-Basin*, section 3.2, doi:10.48550/arXiv.2209.04836) seeks the orders that bring the weights
of one network closest to the other's, which is a linear assignment for one group of channels where
the others are held; the groups are visited in turn until none changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from histograft.core.errors import InputError
from histograft.learning.network import PART_B

State = Mapping[str, Tensor]
# Which group of channels each dimension of a tensor runs over; None where it is fixed.
Axes = dict[str, tuple[str | None, ...]]
Permutations = dict[str, NDArray[np.intp]]

MOST_SWEEPS = 100
_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.")
_STATISTICS = ("running_mean", "running_var")


def resnet_axes(state: State) -> Axes:
    """Name the groups of channels that the tensors of a ResNet run over.

    All blocks of a stage add to the same channels, and a stage without a downsample convolution
    adds to those of the stage before it: those are one group. Each convolution inside a block has
    a group of its own.

    Parameters
    ----------
    state : mapping of str to Tensor
        Names of timm or torchvision: BasicBlock or Bottleneck, any stem, with or without ``fc`` or
        our Part B.

    Returns
    -------
    dict of str to tuple
        For each tensor and dimension the group, or None (colors, classes, kernels).

    Raises
    ------
    InputError
        It is another architecture, or has layers whose place is not known; the message names one.

    Examples
    --------
    >>> import timm
    >>> axes = resnet_axes(timm.create_model("resnet18").state_dict())
    >>> axes["layer1.1.conv2.weight"][:2], axes["layer2.0.conv1.weight"][:2]
    (('stem', 'layer1.1.conv1'), ('layer2.0.conv1', 'stem'))
    """
    if "layer1.0.conv1.weight" not in state:
        raise InputError(
            "the channels of this architecture cannot be matched: it has no layer1.0.conv1.weight",
            "use a ResNet with the names of timm or torchvision, or the mode average",
        )
    axes: Axes = {}
    current = _add_stem(axes, state)
    blocks = {tuple(map(int, found.groups())) for name in state if (found := _BLOCK.match(name))}
    for stage, number in sorted(blocks):
        current = _add_block(axes, state, f"layer{stage}.{number}", current)
    _add_ends(axes, state, current)
    _check(axes, state)
    return axes


def align_to(reference: State, other: State) -> tuple[dict[str, Tensor], Permutations]:
    """Bring the channels of a ResNet into the order of another's.

    Parameters
    ----------
    reference, other : mapping of str to Tensor
        State dicts with the same names and shapes.

    Returns
    -------
    state : dict of str to Tensor
        `other` with its channels in another order: the same function of its input, but that the
        pooled features, where they are the output, come in the reference's order.
    permutations : dict of str to int array
        For each group, channel i of the result is channel ``permutation[i]`` of `other`.

    Raises
    ------
    InputError
        As `resnet_axes`.

    Notes
    -----
    The sum of ⟨W_reference, permuted W_other⟩ over all weights is climbed from two starts, and the
    higher end is taken: from the order as it is, which suits networks with common first weights,
    and from a pass through the layers that matches each group by those before it alone, which
    finds a mere permutation exactly. BatchNorm's running statistics follow, and have no say.

    Examples
    --------
    >>> import timm
    >>> state = timm.create_model("resnet10t").state_dict()
    >>> _, permutations = align_to(state, state)
    >>> channels_moved(permutations)
    0.0
    """
    axes = resnet_axes(reference)
    ends = []
    for stepwise in (False, True):
        search = _Search(reference, other, axes)
        if stepwise:
            search.begin_stepwise()
        search.climb()
        ends.append((search.likeness(), search.permutations))
    _, permutations = max(ends, key=lambda end: end[0])  # the first of equals
    return permuted(other, axes, permutations), permutations


def permuted(state: State, axes: Axes, permutations: Permutations) -> dict[str, Tensor]:
    """Return a state dict with its groups of channels in another order.

    Parameters
    ----------
    state : mapping of str to Tensor
        A state dict.
    axes : dict
        See `resnet_axes`.
    permutations : dict of str to int array
        For each group, which channel comes to each place; groups that are absent stay.
    """
    result = {}
    for name, tensor in state.items():
        for axis, group in enumerate(axes.get(name, ())):
            if group in permutations:
                tensor = tensor.index_select(axis, torch.from_numpy(permutations[group]))
        result[name] = tensor
    return result


def channels_moved(permutations: Permutations) -> float:
    """Return the share of channels that a permutation puts elsewhere, 0 to 1."""
    moved = sum(int((order != np.arange(len(order))).sum()) for order in permutations.values())
    return moved / max(1, sum(map(len, permutations.values())))


def _add_layer(axes: Axes, layer: str, norm: str, groups: tuple[str, str | None]) -> None:
    """Name the channels of a convolution and of the BatchNorm behind it."""
    made, read = groups
    axes[f"{layer}.weight"] = (made, read)
    axes[f"{layer}.bias"] = (made,)
    for part in ("weight", "bias", *_STATISTICS):
        axes[f"{norm}.{part}"] = (made,)


def _add_stem(axes: Axes, state: State) -> str:
    read: str | None = None
    # A deep stem is a sequence of convolutions (0, 3, 6) with BatchNorm after the first two.
    deep = sorted(
        (name.removesuffix(".weight") for name in state if re.match(r"conv1\.\d+\.weight", name)),
        key=lambda layer: int(layer.split(".")[1]),
    )
    convolutions = [layer for layer in deep if state[f"{layer}.weight"].ndim == 4]
    for layer in convolutions[:-1]:
        norm = f"conv1.{int(layer.split('.')[1]) + 1}"
        _add_layer(axes, layer, norm, (layer, read))
        read = layer
    last = convolutions[-1] if convolutions else "conv1"
    _add_layer(axes, last, "bn1", ("stem", read))
    return "stem"


def _add_block(axes: Axes, state: State, block: str, current: str) -> str:
    """Name the channels inside a block; return those that it adds to."""
    short = [name for name in state if name.startswith(f"{block}.downsample.")]
    made = f"{block}.downsample" if short else current
    number, read = 1, current
    while f"{block}.conv{number}.weight" in state:
        last = f"{block}.conv{number + 1}.weight" not in state
        group = made if last else f"{block}.conv{number}"
        _add_layer(axes, f"{block}.conv{number}", f"{block}.bn{number}", (group, read))
        number, read = number + 1, group
    for name in short:  # behind the others: the search visits groups in this order
        if state[name].ndim > 0:
            axes[name] = (made, current) if state[name].ndim == 4 else (made,)
    return made


def _add_ends(axes: Axes, state: State, current: str) -> None:
    axes["fc.weight"], axes["fc.bias"] = (None, current), (None,)
    number, read = 0, current
    while f"{PART_B}hidden.{number}.weight" in state:
        layer = f"{PART_B}hidden.{number}"
        axes[f"{layer}.weight"], axes[f"{layer}.bias"] = (layer, read), (layer,)
        number, read = number + 1, layer
    axes[f"{PART_B}output.weight"], axes[f"{PART_B}output.bias"] = (None, read), (None,)


def _check(axes: Axes, state: State) -> None:
    """Refuse what would be permuted wrongly, or not at all; forget names that are not there."""
    sizes: dict[str, int] = {}
    for name, tensor in state.items():
        if tensor.ndim == 0:
            continue
        groups = axes.get(name)
        if groups is None or len(groups) > tensor.ndim:
            raise InputError(
                f"the channels of this ResNet cannot be matched: the place of {name} is not known",
                "use a plain ResNet (no attention, no anti-aliasing), or the mode average",
            )
        for size, group in zip(tensor.shape, groups, strict=False):
            if group is not None and sizes.setdefault(group, size) != size:
                raise InputError(
                    f"the channels of this ResNet cannot be matched: {name} has shape "
                    f"{tuple(tensor.shape)}, which is no convolution over all {sizes[group]} "
                    "channels before it",
                    "use a ResNet without grouped convolutions, or the mode average",
                )
    for name in [name for name in axes if name not in state]:
        del axes[name]


@dataclass(frozen=True)
class _Place:
    """A weight that a group of channels runs over."""

    name: str
    axis: int
    others: tuple[tuple[int, str], ...]


class _Search:
    """Coordinate ascent over the orders of all groups of channels."""

    def __init__(self, reference: State, other: State, axes: Axes) -> None:
        weights = [n for n in axes if n.rpartition(".")[2] not in _STATISTICS]
        self._reference = {n: reference[n].float().numpy() for n in weights}
        self._other = {n: other[n].float().numpy() for n in weights}
        self._axes = {n: axes[n] for n in weights}
        self._places: dict[str, list[_Place]] = {}
        for name in weights:
            for axis, group in enumerate(axes[name]):
                if group is not None:
                    others = tuple((a, g) for a, g in enumerate(axes[name]) if g and a != axis)
                    self._places.setdefault(group, []).append(_Place(name, axis, others))
        self.permutations: Permutations = {
            group: np.arange(self._other[places[0].name].shape[places[0].axis])
            for group, places in self._places.items()
        }

    def begin_stepwise(self) -> None:
        """Match each group by what only reads groups that were matched before."""
        known: set[str] = set()
        for group, order in self.permutations.items():
            places = [p for p in self._places[group] if all(g in known for _, g in p.others)]
            if places:
                order[:] = self._best(self._gains(places))
            known.add(group)

    def climb(self) -> None:
        """Match group after group until none changes."""
        waiting = dict.fromkeys(self.permutations)
        for _ in range(MOST_SWEEPS):
            for group in [g for g in self.permutations if g in waiting]:
                del waiting[group]
                gains = self._gains(self._places[group])
                order = self.permutations[group]
                best = self._best(gains)
                rows = np.arange(len(order))
                before, after = gains[rows, order].sum(), gains[rows, best].sum()
                # Channels that are alike may change places for ever without a gain.
                if after - before > 1e-6 * np.abs(gains).max():
                    order[:] = best
                    near = {g for place in self._places[group] for _, g in place.others}
                    waiting |= dict.fromkeys(near)
            if not waiting:
                break

    def likeness(self) -> float:
        """Sum of the products of all weights with those that they are matched with."""
        total = 0.0
        for name, groups in self._axes.items():
            other = self._other[name]
            for axis, group in enumerate(groups):
                if group is not None:
                    other = other.take(self.permutations[group], axis)
            total += float(np.vdot(self._reference[name], other))
        return total

    def _gains(self, places: list[_Place]) -> NDArray[np.float64]:
        """Products of each channel with each of the other network's, the other groups held."""
        total: NDArray[np.float64] | None = None
        for place in places:
            other = self._other[place.name]
            for axis, group in place.others:
                other = other.take(self.permutations[group], axis)
            ours, theirs = (
                np.moveaxis(array, place.axis, 0).reshape(array.shape[place.axis], -1)
                for array in (self._reference[place.name], other)
            )
            product = (ours @ theirs.T).astype(np.float64)
            total = product if total is None else total + product
        if total is None:
            raise ValueError("a group of channels without a weight")
        return total

    @staticmethod
    def _best(gains: NDArray[np.float64]) -> NDArray[np.intp]:
        _, columns = linear_sum_assignment(gains, maximize=True)
        order: NDArray[np.intp] = columns
        return order
