"""What goes into the training on pieces and what comes out: splits, objective, measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor

from histograft.learning.piece_changes import Change
from histograft.learning.piece_regime import PieceRegime
from histograft.learning.pieces import Decoded, Shape
from histograft.learning.regime import RunOptions


@dataclass
class Split:
    """One split while it is learned from or judged on.

    Attributes
    ----------
    name : str
        "train" or "validation".
    images : Decoded
        At the scale of the network that learns.
    labels : Tensor, int64 (N,), or None
        Classes, where they are known.
    fine : Decoded or None
        At the teacher's scale; None where nobody reads them.
    """

    name: str
    images: Decoded
    labels: Tensor | None
    fine: Decoded | None = None

    def shapes(self, index: int) -> tuple[Shape, ...]:
        """Return (height, width) of a piece at each scale that is read."""
        sources = (self.images, self.fine)
        return tuple(source.shape(index) for source in sources if source is not None)


@dataclass(frozen=True)
class Seen:
    """Pieces of one size that have passed the network.

    Attributes
    ----------
    indices : list of int
        Which pieces of their split.
    changes : list of Change
        How they were augmented.
    feature_map : Tensor, float32 (n, C, h, w)
        The network's last feature map.
    logits : Tensor, float32 (n, K)
        Its answers.
    fine : Tensor (n, 3, H, W) or None
        The same pieces at the teacher's scale, 0 … 255, where they are read.
    """

    indices: list[int]
    changes: list[Change]
    feature_map: Tensor
    logits: Tensor
    fine: Tensor | None


class Setting(Protocol):
    """What an objective may know of the run that it serves."""

    fabric: Fabric
    options: RunOptions
    regime: PieceRegime
    folder: Path | None
    key: str
    train: Split
    val: Split | None


class Objective(Protocol):
    """What is minimized."""

    def begin(self, run: Setting) -> None:
        """Prepare, once the device is known."""
        ...

    def weights(self, split: Split, indices: list[int]) -> Tensor:
        """Return how much each piece of a step counts, (n,), above 0."""
        ...

    def losses(self, split: Split, seen: Seen) -> Tensor:
        """Return the loss of each piece, (n,)."""
        ...


@dataclass(frozen=True)
class PieceResult:
    """What a run leaves beside the network.

    Attributes
    ----------
    history : list of dict
        One row for each epoch: ``epoch`` (from 1), ``lr``, ``train_loss``, ``train_accuracy``,
        ``val_loss``, ``val_accuracy``, ``val_balanced_accuracy``, ``val_macro_f1`` (None where
        there is no such split, or its labels are not known), ``seconds``, ``images``.
    best_epoch : int or None
        Epoch of the best validation; None without a validation split.
    resumed_from : tuple of (epoch, step) or None
        Finished epochs and steps of the checkpoint that the run went on from.
    """

    history: list[dict[str, Any]]
    best_epoch: int | None
    resumed_from: tuple[int, int] | None


def macro_f1(logits: Tensor, labels: Tensor) -> float:
    """Return the mean F1 of the classes that occur: 2 hits / (units + calls).

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    >>> round(macro_f1(logits, torch.tensor([0, 1, 1])), 4)
    0.6667
    """
    called = logits.argmax(1)
    scores = [
        2
        * int((called[labels == k] == k).sum())
        / (int((labels == k).sum()) + int((called == k).sum()))
        for k in torch.unique(labels)
    ]
    return sum(scores) / len(scores)
