"""Random first weights: He for convolutions, Glorot for dense layers."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from histograft.core.errors import InputError

RandomStart = Literal["he-fan-in", "he-fan-out"]


def initialize_he(module: nn.Module, rule: RandomStart = "he-fan-in") -> None:
    """Draw every convolution from the He normal distribution, in place.

    Parameters
    ----------
    module : torch.nn.Module
        Whose convolutions are drawn from torch's global generator; their biases become zero.
    rule : {"he-fan-in", "he-fan-out"}
        Weights have variance 2 / fan_in, fan_in = kernel height × width × input channels of a
        group. Or, as in torchvision's ResNets and in HistoKT, variance 2 / fan_out, from the
        output channels; and every normalization layer begins with γ = 1 and β = 0, also where the
        architecture lets residual branches begin at 0.

    Raises
    ------
    InputError
        There is no such rule.

    Notes
    -----
    He et al. 2015, doi:10.1109/ICCV.2015.123.

    Examples
    --------
    >>> layer = nn.Conv2d(4, 900, 3)
    >>> initialize_he(layer, "he-fan-out")
    >>> round(float(layer.weight.detach().std() / (2 / (900 * 9)) ** 0.5), 1)
    1.0
    """
    if rule not in get_args(RandomStart):
        raise InputError(f"no random start {rule!r}", f"use {' or '.join(get_args(RandomStart))}")
    mode: Literal["fan_in", "fan_out"] = "fan_in" if rule == "he-fan-in" else "fan_out"
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif mode == "fan_out" and isinstance(
            layer, nn.modules.batchnorm._BatchNorm | nn.GroupNorm
        ):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def initialize_glorot(module: nn.Module) -> None:
    """Draw every dense layer from the Glorot uniform distribution, in place.

    Weights are uniform in ±sqrt(6 / (fan_in + fan_out)); biases are zero.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
