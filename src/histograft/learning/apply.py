"""Class scores of images by a network's own classifier."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.learning.embed import embed
from histograft.learning.heads import class_probabilities
from histograft.learning.network import Network
from histograft.learning.regime import Precision


def class_scores(
    network: Network,
    images: Iterable[NDArray[np.uint8]],
    *,
    device: str = "auto",
    batch_size: int = 64,
    precision: Precision = "32-true",
) -> NDArray[np.float32]:
    """Return the probability of each class for each image.

    Parameters
    ----------
    network : Network
        Left in inference mode, its classifier on the CPU.
    images : iterable of uint8 (H, W, 3)
        All of one size; one or more.
    device, batch_size, precision
        As for `histograft.learning.embed.embed`.

    Returns
    -------
    ndarray of float32, shape (N, K)
        Softmax of the logits; for a multi-label network their sigmoid.

    Raises
    ------
    InputError
        There is no image, or one does not fit.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=()))
    >>> scores = class_scores(network, [np.zeros((64, 64, 3), np.uint8)] * 3, device="cpu")
    >>> scores.shape, bool(np.allclose(scores.sum(1), 1))
    ((3, 2), True)
    """
    passes = embed(
        network, images, ("gap",), device=device, batch_size=batch_size, precision=precision
    )
    pooled = [batch["gap"] for batch in passes]
    if not pooled:
        raise InputError("there is no image to classify", "give at least one")
    return class_probabilities(network, np.concatenate(pooled), "gap")
