"""Features of images at the named points of a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from histograft.core.errors import InputError
from histograft.core.seeds import child_seed
from histograft.learning.batches import normalize
from histograft.learning.initialize import initialize_glorot
from histograft.learning.memory import kept_memory
from histograft.learning.network import Network, Point
from histograft.learning.regime import Precision, make_fabric


def embed(
    network: Network,
    images: Iterable[NDArray[np.uint8]],
    points: tuple[Point, ...],
    *,
    device: str = "auto",
    batch_size: int = 64,
    precision: Precision = "32-true",
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Pass images through a network once and yield their features at several points.

    Parameters
    ----------
    network : Network
        Left on the device, in inference mode.
    images : iterable of uint8 (H, W, 3)
        All of one size; read one batch at a time, so a stream may be longer than memory.
    points : tuple of {"gap", "dense", "dense-pre"}
        See `Network.features_from_gap`.
    device : str
        "auto", "cpu" or "cuda".
    batch_size : int
        Images of a pass. Results agree between batch sizes to 1e-5 of the largest feature
        (float32; sums are taken in another order), and are equal for the same one.
    precision : {"32-true", "16-mixed", "bf16-mixed"}
        Of the arithmetic.

    Yields
    ------
    dict of str to float32 array (B, D)
        For each point, the features of the next B images, B = `batch_size` but for the last.

    Raises
    ------
    InputError
        There is no such point, or an image is not uint8 (H, W, 3) or of another size.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,)))
    >>> images = [np.zeros((64, 64, 3), np.uint8)] * 3
    >>> for batch in embed(network, images, ("gap", "dense"), device="cpu", batch_size=2):
    ...     print(batch["gap"].shape, batch["dense"].shape)
    (2, 512) (2, 16)
    (1, 512) (1, 16)
    """
    for point in points:
        network.feature_size(point)  # refuses an unknown point before any work
    if batch_size < 1:
        raise InputError(f"batch_size = {batch_size}", "use 1 or above")
    fabric = make_fabric(device, precision)
    return _passes(network, images, points, batch_size, fabric)


def _passes(
    network: Network,
    images: Iterable[NDArray[np.uint8]],
    points: tuple[Point, ...],
    batch_size: int,
    fabric: Fabric,
) -> Iterator[dict[str, NDArray[np.float32]]]:
    network.to(memory_format=torch.channels_last).to(fabric.device).eval()
    waiting = iter(images)
    first = 0
    with kept_memory(fabric.device.type):
        while batch := list(islice(waiting, batch_size)):
            raw = torch.from_numpy(_stacked(batch, first)).permute(0, 3, 1, 2)
            first += len(batch)
            with torch.inference_mode(), fabric.autocast():
                gap = network.forward_a(
                    normalize(raw.to(fabric.device), network.spec.mean, network.spec.std)
                )
                found = {point: network.features_from_gap(gap, point) for point in points}
            yield {point: tensor.float().cpu().numpy() for point, tensor in found.items()}


def _stacked(batch: list[NDArray[np.uint8]], first: int) -> NDArray[np.uint8]:
    for i, image in enumerate(batch):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(
                f"image {first + i} is {image.dtype} {image.shape}, not uint8 (H, W, 3)",
                "give color images of 8 bits",
            )
        if image.shape != batch[0].shape:
            raise InputError(
                f"image {first + i} has shape {image.shape}, image {first} has {batch[0].shape}",
                "bring all images to one size first (histograft standardize)",
            )
    return np.stack(batch)


def random_projection_head(gap_size: int, size: int, seed: int) -> nn.Sequential:
    """Return an untrained dense layer with ReLU, the control ``imgnet-random``.

    One reading of the FTX paper's IMGNET-2048 is a new Dense(2048) + ReLU on the pretrained
    network whose features were taken without training it: a random projection.

    Parameters
    ----------
    gap_size : int
        Length of the pooled features.
    size : int
        Number of outputs.
    seed : int
        Root seed of the Glorot uniform weights; biases are zero.

    Returns
    -------
    torch.nn.Sequential
        (N, gap_size) to (N, size), in inference mode, without gradients.

    Examples
    --------
    >>> head = random_projection_head(4, 3, seed=0)
    >>> tuple(head(torch.ones(2, 4)).shape), bool((head(torch.ones(2, 4)) >= 0).all())
    ((2, 3), True)
    """
    with torch.random.fork_rng():
        torch.manual_seed(child_seed(seed, "random-projection"))
        head = nn.Sequential(nn.Linear(gap_size, size), nn.ReLU())
        initialize_glorot(head)
    return head.eval().requires_grad_(requires_grad=False)


def project(head: nn.Module, gap: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a head to pooled features (N, D) on the CPU.

    Examples
    --------
    >>> project(random_projection_head(4, 3, seed=0), np.ones((2, 4), np.float32)).shape
    (2, 3)
    """
    with torch.inference_mode():
        result: Tensor = head(torch.from_numpy(gap))
    return result.numpy()
