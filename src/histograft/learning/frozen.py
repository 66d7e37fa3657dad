"""Pooled features of a frozen Part A: computed once, then reread in every epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from histograft.core.files import written_atomically
from histograft.learning.batches import ImageBatches, normalize
from histograft.learning.network import Network


def pooled_features(
    network: Network,
    images: ImageBatches,
    *,
    bounds: Sequence[tuple[int, int]],
    fabric: Fabric,
    on_batch: Callable[[int, float], None] | None = None,
) -> NDArray[np.float32]:
    """Pass images through Part A once, in inference mode.

    Parameters
    ----------
    network : Network
        On the device of `fabric`; left with Part A in inference mode.
    images : ImageBatches
        The images.
    bounds : sequence of (start, stop)
        Batches that follow each other, as positions in the source.
    fabric : Fabric
        Device and precision.
    on_batch : callable, optional
        Called with (batch from 1, images per second).

    Returns
    -------
    float32 array (N, D)
        For the N images from the first start to the last stop, in the order of the source.
    """
    network.part_a.eval()
    mean, std = network.spec.mean, network.spec.std
    first, last = bounds[0][0], bounds[-1][1]
    result = np.empty((last - first, network.gap_size), np.float32)
    since, done = time.perf_counter(), 0
    for i, (indices, raw) in enumerate(images.stream(np.arange(len(images)), bounds), start=1):
        with torch.inference_mode(), fabric.autocast():
            gap = network.forward_a(normalize(raw.to(fabric.device), mean, std))
        result[indices - first] = gap.float().cpu().numpy()
        done += len(indices)
        if on_batch is not None:
            on_batch(i, done / (time.perf_counter() - since))
    return result


def stored_or_computed(
    path: Path | None, compute: Callable[[], NDArray[np.float32]], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return features from a file if a run before this one finished it, else compute and write.

    Parameters
    ----------
    path : pathlib.Path or None
        Where they are kept (``.npy``); its name must change with whatever changes the features.
    compute : callable
        Returns the features.
    shape : (N, D)
        What a whole file holds.
    """
    if path is not None and path.is_file():
        with suppress(ValueError, EOFError):  # not whole: compute again
            stored: NDArray[np.float32] = np.load(path, allow_pickle=False)
            if stored.shape == shape and stored.dtype == np.float32:
                return stored
    features = compute()
    if path is not None:
        with written_atomically(path) as partial:
            np.save(partial, features, allow_pickle=False)
    return features
