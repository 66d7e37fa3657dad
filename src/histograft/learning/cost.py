"""What a network costs: multiplications counted from shapes, time and memory measured."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from histograft.core.errors import InputError
from histograft.learning.memory import kept_memory
from histograft.learning.network import Network, NetworkSpec
from histograft.learning.regime import make_fabric
from histograft.learning.shapes import shape_only


def count_macs(spec: NetworkSpec, height: int, width: int) -> int:
    r"""Count the multiplications with addition (MAC) of one forward pass of one image.

    Convolutions take :math:`h_{out} w_{out} c_{out} k_h k_w c_{in} / groups`, dense layers
    :math:`n_{in} n_{out}`. Normalization, activation and pooling do not count, as is usual: they
    take about a hundredth. One MAC is two floating point operations (FLOP).

    Parameters
    ----------
    spec : NetworkSpec
        The network; weights are not needed.
    height, width : int
        Of the image, pixels.

    Returns
    -------
    int
        For `dipalma_resnet10` 5,016 a pixel, where both sides are multiples of 32.

    Raises
    ------
    InputError
        The network multiplies in a layer that is not counted, such as attention, or the image is
        too small.

    Examples
    --------
    >>> spec = NetworkSpec("dipalma_resnet10", ("a", "b", "c"), hidden=())
    >>> (count_macs(spec, 1024, 1024) - 256 * 3) / 1024**2
    5016.0
    """
    return _Counter(spec).count(height, width)


def mean_macs(spec: NetworkSpec, shapes: Sequence[tuple[int, int]]) -> float:
    """Return the mean MAC over pieces of these (height, width), see `count_macs`."""
    if not shapes:
        raise InputError("there is no piece to count", "give at least one")
    counter = _Counter(spec)
    counted = {shape: counter.count(*shape) for shape in set(shapes)}
    return sum(counted[shape] for shape in shapes) / len(shapes)


class _Counter:
    """A network that computes shapes, and counts what its layers would multiply."""

    def __init__(self, spec: NetworkSpec) -> None:
        self._network, self._name, self._counts = shape_only(spec), spec.architecture, [0]
        for layer in self._network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.register_forward_hook(self._note)
            elif isinstance(layer, nn.MultiheadAttention) or type(layer).__name__ == "Attention":
                raise InputError(
                    f"{self._name} multiplies in attention, which is not counted",
                    "count the cost of convolutional networks",
                )

    def _note(self, layer: nn.Module, _: Any, out: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            self._counts.append(out.numel() * layer.in_features)
        elif isinstance(layer, nn.Conv2d):
            of_one = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
            self._counts.append(out.numel() * of_one)

    def count(self, height: int, width: int) -> int:
        """Return the MAC of one image."""
        self._counts.clear()
        try:
            with torch.no_grad():
                self._network(torch.empty(1, 3, height, width, device="meta"))
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{self._name} cannot see an image of {width} × {height} px: {error}",
                "give a larger image",
            ) from error
        return sum(self._counts)


@dataclass(frozen=True)
class Measured:
    """Time and memory of a forward pass.

    Attributes
    ----------
    ms : float
        Median wall time of a pass, milliseconds.
    peak_bytes : int
        Most bytes that weights, image and intermediate tensors take at once. On a CPU buffers
        inside of a layer are not seen; on a GPU it is what PyTorch allocated.
    """

    ms: float
    peak_bytes: int


def measure(
    network: Network, shape: tuple[int, int], *, repeats: int = 5, device: str = "auto"
) -> Measured:
    """Measure a forward pass of one image, in inference mode, with memory kept as in a run.

    Parameters
    ----------
    network : Network
        Ends on the CPU, in inference mode.
    shape : (int, int)
        Height and width of the image, pixels.
    repeats : int
        Timed passes; one more goes before them.
    device : str
        "auto", "cpu" or "cuda".

    Returns
    -------
    Measured

    Raises
    ------
    InputError
        The device is absent, or nothing is to be repeated.

    Examples
    --------
    >>> spec = NetworkSpec("dipalma_resnet10", ("a", "b"), hidden=())
    >>> found = measure(Network(spec), (64, 64), repeats=1, device="cpu")
    >>> found.ms > 0, found.peak_bytes > 4 * 1_230_000
    (True, True)
    """
    if repeats < 1:
        raise InputError(f"repeats = {repeats}", "use 1 or above")
    where = make_fabric(device, "32-true").device
    network.eval().to(where)
    x = torch.zeros(1, 3, *shape, device=where)
    try:
        with torch.inference_mode(), kept_memory(where.type):
            peak = _peak_bytes(network, x)
            times = [_timed(network, x) for _ in range(repeats)]
    finally:
        network.cpu()
    return Measured(1000 * float(np.median(times)), peak)


def _timed(network: Network, x: Tensor) -> float:
    _wait(x)
    begun = time.perf_counter()
    network(x)
    _wait(x)
    return time.perf_counter() - begun


def _wait(x: Tensor) -> None:
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)


def _peak_bytes(network: Network, x: Tensor) -> int:
    if x.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(x.device)
        network(x)
        return int(torch.cuda.max_memory_allocated(x.device))
    held = sum(t.nbytes for t in (*network.parameters(), *network.buffers(), x))
    with _Living() as living:
        network(x)
    return held + int(living.peak)


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the tensors that operations made and that still live, and the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._living: dict[int, tuple[Any, int]] = {}
        self.peak: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {
            t.untyped_storage()._cdata
            for t in tree_leaves((args, kwargs or {}))
            if isinstance(t, Tensor)
        }
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in given:
                    reference: Any = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                    self._living[storage._cdata] = reference, storage.nbytes()
        self._living = {k: v for k, v in self._living.items() if not v[0].expired()}
        self.peak = max(self.peak, sum(n for _, n in self._living.values()))
        return out
