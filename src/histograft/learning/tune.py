"""Which part of a network learns, and how the other part is held still."""

from __future__ import annotations

from torch import nn

from histograft.learning.network import Network
from histograft.learning.regime import Tune


def choose_parameters(network: Network, tune: Tune) -> list[nn.Parameter]:
    """Let the parameters of one part learn, freeze the others, and return those that learn.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,)))
    >>> len(choose_parameters(network, "head")), network.part_a.conv1[0].weight.requires_grad
    (4, False)
    """
    learns = {"part_a": tune in ("body", "all"), "part_b": tune in ("head", "all")}
    for name, flag in learns.items():
        for parameter in getattr(network, name).parameters():
            parameter.requires_grad_(flag)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def set_modes(network: Network, tune: Tune, *, bn_update: bool = False) -> None:
    """Put the learning part into training mode and the frozen part into inference mode.

    In inference mode BatchNorm uses its stored statistics and does not change them, so a frozen
    Part A is a fixed function of the image, as with ``trainable = False`` in Keras. With
    ``bn_update`` Part A is in training mode even so: its weights stay, its statistics do not.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,)))
    >>> set_modes(network, "head")
    >>> network.part_a.training, network.part_b.training
    (False, True)
    """
    network.part_a.train(bn_update or tune in ("body", "all"))
    network.part_b.train(tune in ("head", "all"))
