"""Random first weights: He for convolutions, Glorot for dense layers."""

from __future__ import annotations

from torch import nn


def initialize_he(module: nn.Module) -> None:
    """Draw every convolution from the He normal distribution, in place.

    Weights have variance 2 / fan_in, fan_in = kernel height × width × input channels of a group;
    biases are zero. He et al. 2015, doi:10.1109/ICCV.2015.123.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialize_glorot(module: nn.Module) -> None:
    """Draw every dense layer from the Glorot uniform distribution, in place.

    Weights are uniform in ±sqrt(6 / (fan_in + fan_out)); biases are zero.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
