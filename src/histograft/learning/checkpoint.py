"""The state of an unfinished run on disk: written whole or not at all, and no pickle of code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from histograft.core.errors import ArtefactError
from histograft.core.files import written_atomically
from histograft.learning.batches import ImageBatches
from histograft.learning.network import Network, load_state, state_to_save
from histograft.learning.regime import Regime

_FILE = "checkpoint.pt"
_FORMAT = 2


@dataclass
class Progress:
    """How far a run has come, without the network and the optimizer.

    Attributes
    ----------
    epoch, step : int
        Finished epochs, and finished steps of the epoch after them.
    loss_sum, right_sum : float
        Of the steps of the unfinished epoch: loss × images, and right decisions.
    seconds : float
        Spent on the unfinished epoch.
    history : list of dict
        One row for each finished epoch.
    best_epoch, best_value
        The epoch (from 1) that was best on the validation split, and its loss or accuracy.
    best_state : dict of str to Tensor, or None
        Its weights, where the regime selects the best.
    kernels : list of dict
        Of rmsgd: one row for each finished epoch and kernel.
    val_logits : Tensor (N, K) or None
        Of the validation images, by the weights that are selected so far.
    stopped : bool
        Whether the run is over.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    right_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float | None = None
    best_state: dict[str, Tensor] | None = None
    val_logits: Tensor | None = None
    stopped: bool = False


def run_key(
    network: Network,
    splits: tuple[ImageBatches | None, ...],
    labels: tuple[Tensor | None, ...],
    regime: Regime | None,
) -> str:
    """Return a hash of all that decides the result of a run.

    Of the images only the number, the size and three of each split are read; the labels, the
    first weights, the specification and the regime enter whole.
    """
    digest = hashlib.sha256(network.spec.to_json().encode())
    if regime is not None:
        digest.update(json.dumps(dataclasses.asdict(regime), sort_keys=True).encode())
    for tensor in (*state_to_save(network).values(), *labels):
        digest.update(b"-" if tensor is None else tensor.numpy().tobytes())
    for split in splits:
        digest.update(f"{None if split is None else (len(split), split.shape)}".encode())
        if split is not None:
            for index in sorted({0, len(split) // 2, len(split) - 1}):
                digest.update(np.ascontiguousarray(split.get(index)).tobytes())
    return digest.hexdigest()


def save_checkpoint(folder: Path, key: str, progress: Progress, tensors: dict[str, Any]) -> None:
    """Write a checkpoint in place of the one before it.

    Parameters
    ----------
    folder : pathlib.Path
        Of this run alone.
    key : str
        From `run_key`.
    progress : Progress
        How far the run has come.
    tensors : dict
        State of network, optimizer, precision and random numbers: tensors, numbers and text in
        dictionaries and lists, nothing else.
    """
    content = {
        "format": _FORMAT,
        "key": key,
        "progress": {f.name: getattr(progress, f.name) for f in dataclasses.fields(progress)},
        "tensors": tensors,
    }
    with written_atomically(folder / _FILE) as partial:
        torch.save(content, partial)


def load_checkpoint(folder: Path, key: str) -> tuple[Progress, dict[str, Any]] | None:
    """Read the checkpoint of this run, or None where there is none.

    Raises
    ------
    ArtefactError
        The file cannot be read, or belongs to another run.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail at any step of reading it
        raise ArtefactError(
            f"the checkpoint {path} cannot be read: {error}", "remove it and start the run anew"
        ) from error
    if content.get("format") != _FORMAT or content.get("key") != key:
        raise ArtefactError(
            f"the checkpoint {path} belongs to a run with other images, labels, weights or options",
            "use another folder, or remove it and start the run anew",
        )
    return Progress(**content["progress"]), content["tensors"]


def training_state(
    network: Network, optimizer: torch.optim.Optimizer, fabric: Fabric
) -> dict[str, Any]:
    """Return what a training goes on from, for `save_checkpoint`: weights, optimizer, chance."""
    cuda = fabric.device.type == "cuda"
    return {
        "network": state_to_save(network),
        "optimizer": optimizer.state_dict(),
        "precision": fabric.strategy.precision.state_dict(),
        "rng": torch.get_rng_state(),
        "rng_cuda": torch.cuda.get_rng_state(fabric.device) if cuda else None,
    }


def restore_training(
    tensors: dict[str, Any], network: Network, optimizer: torch.optim.Optimizer, fabric: Fabric
) -> None:
    """Put back, in place, what `training_state` returned."""
    load_state(network, tensors["network"])
    optimizer.load_state_dict(tensors["optimizer"])
    fabric.strategy.precision.load_state_dict(tensors["precision"])
    torch.set_rng_state(tensors["rng"])
    if tensors["rng_cuda"] is not None and fabric.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["rng_cuda"], fabric.device)
