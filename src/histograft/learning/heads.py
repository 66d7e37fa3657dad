"""Part B on stored features: classes of images whose pixels are no longer at hand."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histograft.core.errors import InputError
from histograft.learning.network import Network, Point


def class_probabilities(
    network: Network, features: NDArray[np.float32], point: Point
) -> NDArray[np.float32]:
    r"""Apply what is left of a network after one of its feature points.

    Parameters
    ----------
    network : Network
        The network that made the features.
    features : array of float32, shape (N, D)
        Its features at `point`, as `histograft.learning.embed.embed` gives them.
    point : {"gap", "dense", "dense-pre"}
        Where they were taken.

    Returns
    -------
    array of float32, shape (N, K)
        :math:`p_k = e^{z_k} / \sum_j e^{z_j}` of the logits z for a network of one class an image,
        :math:`1 / (1 + e^{-z_k})` for one of several; columns in the order of ``spec.classes``.

    Raises
    ------
    InputError
        The network has no such point, or features of another size there.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,)))
    >>> p = class_probabilities(network, np.ones((3, 16), np.float32), "dense")
    >>> p.shape, bool(np.allclose(p.sum(axis=1), 1))
    ((3, 2), True)
    """
    size = network.feature_size(point)
    if features.ndim != 2 or features.shape[1] != size:
        raise InputError(
            f"features of shape {features.shape} at {point!r}, where the network has {size}",
            "give features that this network made",
        )
    head = network.part_b.to("cpu").eval()
    with torch.inference_mode():
        given = torch.from_numpy(np.ascontiguousarray(features, np.float32))
        logits: Tensor = head(given) if point == "gap" else head.output(torch.relu(given))
        one_each = network.spec.task == "multiclass"
        found = torch.softmax(logits, dim=1) if one_each else torch.sigmoid(logits)
    probabilities: NDArray[np.float32] = found.numpy()
    return probabilities
