"""What comes out of a network, from shapes alone: nothing is computed, no memory is taken."""

from __future__ import annotations

import torch

from histograft.learning.network import Network, NetworkSpec


def shape_only(spec: NetworkSpec) -> Network:
    """Return a network without weights, in inference mode, which computes shapes and nothing else.

    Examples
    --------
    >>> spec = NetworkSpec("dipalma_resnet10", ("a", "b"), hidden=())
    >>> map_shape(shape_only(spec), 16832, 19304)
    (256, 526, 604)
    """
    with torch.device("meta"):
        return Network(spec).eval()


def map_shape(network: Network, height: int, width: int) -> tuple[int, int, int]:
    """Return channels, height and width of the last feature map of an image of some size.

    Parameters
    ----------
    network : Network
        From `shape_only`, or any other, which then computes.
    height, width : int
        Of the image, pixels.
    """
    device = next(network.parameters()).device
    with torch.no_grad():
        found = network.forward_map(torch.empty(1, 3, height, width, device=device))
    _, channels, rows, columns = found.shape
    return channels, rows, columns
