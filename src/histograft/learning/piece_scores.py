"""What a network says of pieces of any size."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from histograft.learning.batches import normalize
from histograft.learning.memory import kept_memory
from histograft.learning.network import Network
from histograft.learning.out_of_memory import memory_told
from histograft.learning.pieces import PieceSource, ahead, passes
from histograft.learning.regime import Precision, make_fabric


def piece_probabilities(
    network: Network,
    source: PieceSource,
    *,
    device: str = "auto",
    precision: Precision = "32-true",
    pass_pixels: int | None = 2**22,
) -> NDArray[np.float64]:
    """Return the probability of each class for each piece.

    Parameters
    ----------
    network : Network
        A multi-class one; ends on the CPU, in inference mode.
    source : PieceSource
        Pieces of any size, at the scale of the network.
    device : str
        "auto", "cpu" or "cuda".
    precision : {"32-true", "16-mixed", "bf16-mixed"}
        Of the arithmetic; the softmax is float64.
    pass_pixels : int or None
        Pieces of one size pass together, up to so many pixels; None: each alone.

    Returns
    -------
    ndarray of float64, shape (N, K)
        Rows sum to 1.

    Raises
    ------
    HistograftError
        Memory ran out.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> class Grey:
    ...     def __len__(self): return 2
    ...     def shape(self, index): return (32, 40 + 8 * index)
    ...     def image(self, index): return np.full((*self.shape(index), 3), 99, np.uint8)
    >>> network = Network(NetworkSpec("dipalma_resnet10", ("a", "b"), hidden=()))
    >>> piece_probabilities(network, Grey(), device="cpu").shape
    (2, 2)
    """
    fabric = make_fabric(device, precision)
    network.eval().to(fabric.device)
    found = np.empty((len(source), len(network.spec.classes)))
    groups = passes(range(len(source)), lambda i: [source.shape(i)], pass_pixels)

    def prepare(group: list[int]) -> torch.Tensor:
        with memory_told(len(group), source.shape(group[0])):
            stacked = np.stack([source.image(i) for i in group])
        return torch.from_numpy(stacked).permute(0, 3, 1, 2)

    with kept_memory(fabric.device.type), closing(ahead(groups, prepare)) as batches:
        for group, raw in batches:
            with memory_told(len(group), raw.shape[2:]), torch.inference_mode(), fabric.autocast():
                x = normalize(raw.to(fabric.device), network.spec.mean, network.spec.std)
                logits = network(x.contiguous())
            found[group] = torch.softmax(logits.double(), 1).cpu().numpy()
    network.cpu()
    return found
