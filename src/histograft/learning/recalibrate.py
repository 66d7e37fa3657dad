"""Measure BatchNorm statistics anew, for weights that were not trained with them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from histograft.core.errors import InputError
from histograft.learning.batches import (
    ImageBatches,
    ImageSource,
    batch_bounds,
    epoch_order,
    normalize,
)
from histograft.learning.memory import kept_memory
from histograft.learning.network import Network
from histograft.learning.regime import make_fabric


def recalibrate_batchnorm(
    network: Network,
    images: ImageSource,
    *,
    seed: int = 0,
    batch_size: int = 64,
    device: str = "auto",
    on_batch: Callable[[int, int], None] | None = None,
) -> int:
    r"""Replace BatchNorm's running statistics by those of some images, in place.

    Images pass once, in a shuffled order and without augmentation. BatchNorm layers normalize by
    the batch, as in training, and all other layers (dropout) are in inference mode. Running mean
    and variance become those of all that reached the layer, over all batches together:

    .. math:: \mu = \frac{1}{n} \sum x, \qquad \sigma^2 = \frac{1}{n - 1} \sum (x - \mu)^2

    with n values per channel (images × height × width). Unlike PyTorch's cumulative average of
    batch variances this counts each value alike and holds what differs between batches.

    Parameters
    ----------
    network : Network
        Ends on the CPU, in inference mode.
    images : ImageSource
        Training images, at least two.
    seed : int
        Of the order, which mixes the classes in each batch.
    batch_size : int
        Images of a pass, at least 2.
    device : str
        "auto", "cpu" or "cuda".
    on_batch : callable, optional
        Called with (batches done, batches) after each.

    Returns
    -------
    int
        Number of layers that were measured.

    Raises
    ------
    InputError
        The network has no BatchNorm with running statistics, there are fewer than two images, or
        the statistics are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from histograft.learning.network import NetworkSpec
    >>> class Two:
    ...     def __len__(self):
    ...         return 2
    ...     def image(self, index):
    ...         return np.full((32, 32, 3), 100 * index, np.uint8)
    >>> recalibrate_batchnorm(Network(NetworkSpec("resnet10t", ("a", "b"))), Two(), device="cpu")
    14
    """
    layers = [m for m in network.part_a.modules() if isinstance(m, _BatchNorm)]
    layers = [layer for layer in layers if layer.running_mean is not None]
    if not layers:
        raise InputError(
            f"{network.spec.architecture} has no BatchNorm statistics to measure",
            "leave out --recalibrate",
        )
    if len(images) < 2 or batch_size < 2:
        raise InputError(
            f"{len(images)} image(s) in batches of {batch_size} say nothing of a variance",
            "give at least two images",
        )
    moments = [_Moments() for _ in layers]
    hooks = [
        layer.register_forward_pre_hook(moment)
        for layer, moment in zip(layers, moments, strict=True)
    ]
    try:
        _pass(network, layers, images, seed, batch_size, device, on_batch)
    finally:
        for hook in hooks:
            hook.remove()
        network.to("cpu").eval()
    for layer, moment in zip(layers, moments, strict=True):
        moment.write(layer)
    return len(layers)


class _Moments:
    """Count, mean and sum of squared deviations of what reaches a layer, per channel.

    Batches are joined as in Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115.
    """

    def __init__(self) -> None:
        self.count = 0
        self.batches = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def __call__(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach()
        dims = [axis for axis in range(x.ndim) if axis != 1]
        # Single passes in double precision would be slow on a GPU; sums of one batch are short.
        variance, mean = torch.var_mean(x.float(), dims, correction=0)
        mean, n = mean.double().cpu(), x.numel() // x.shape[1]
        squares = n * variance.double().cpu()
        total = self.count + n
        shift = mean - self.mean
        self.squares = self.squares + squares + shift**2 * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.count = total
        self.batches += 1

    def write(self, layer: _BatchNorm) -> None:
        variance = self.squares / max(1, self.count - 1)
        if not bool(torch.isfinite(variance).all() and torch.isfinite(self.mean).all()):
            raise InputError(
                "the network's activations are not finite on these images",
                "look at its weights: its training may have diverged",
            )
        for statistic, value in ((layer.running_mean, self.mean), (layer.running_var, variance)):
            assert statistic is not None  # layers without are not asked for
            statistic.copy_(value)
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked.fill_(self.batches)


def _pass(
    network: Network,
    layers: list[_BatchNorm],
    images: ImageSource,
    seed: int,
    batch_size: int,
    device: str,
    on_batch: Callable[[int, int], None] | None,
) -> None:
    fabric = make_fabric(device, "32-true")
    network.to(memory_format=torch.channels_last).to(fabric.device).eval()
    for layer in layers:
        layer.train()
    bounds = batch_bounds(len(images), batch_size)
    order = epoch_order(len(images), seed, 0)
    source = ImageBatches(images, cache_bytes=0)
    with kept_memory(fabric.device.type), torch.no_grad():
        for done, (_, raw) in enumerate(source.stream(order, bounds), start=1):
            x = normalize(raw.to(fabric.device), network.spec.mean, network.spec.std)
            network.forward_a(x)
            if on_batch is not None:
                on_batch(done, len(bounds))
