"""How a network is tuned (`Regime`) and how that run is carried out (`RunOptions`)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lightning_fabric import Fabric

from histograft.core.errors import InputError
from histograft.learning.augmentation import AugmentRule
from histograft.learning.losses import MultilabelLoss
from histograft.learning.optimizers import OptimizerName, ScheduleName

Tune = Literal["head", "body", "all"]
Select = Literal["last", "best"]
SelectBy = Literal["loss", "accuracy"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed"]


@dataclass(frozen=True)
class Regime:
    """How a network is tuned; equal regimes, seeds and data give equal weights on a CPU.

    Attributes
    ----------
    tune : {"head", "body", "all"}
        head: Part B learns, Part A is frozen with BatchNorm in inference mode (step 1 of the FTX
        recipe). body: Part A learns with BatchNorm in training mode, Part B is frozen (step 2).
        all: everything learns.
    optimizer, lr, weight_decay, schedule
        See `make_optimizer` and `make_schedule`.
    epochs : int
        Most passes over the training images.
    batch_size : int
        Images of a step; a last batch of one image joins the one before it.
    augment : {"none", "flips-turns", "flips", "histokt"}
        Of training images, see `augment`.
    augment_val : bool
        Whether validation images are augmented too, anew in each epoch, as HistoKT's code does.
        Leave it off: it makes the choice of an epoch a matter of chance.
    class_weights : bool
        Whether the loss gives each class the same weight, see `balanced_weights`.
    multilabel_loss : {"plain", "one-vs-all"}
        Of several labels an image, see `task_loss`. With "one-vs-all" a class may be absent.
    patience : int or None
        Stop after so many epochs that are not better on the validation split.
    select : {"last", "best"}
        Whether the network ends with the weights of its last epoch or with those of the best one
        on the validation split (the first of equals), which "best" needs.
    select_by : {"loss", "accuracy"}
        Better is a lower validation loss, or a higher validation accuracy (of several labels: the
        share of right decisions).
    bn_update : bool
        Whether BatchNorm statistics of a frozen Part A follow the images, as in HistoKT's code.
    precision : {"32-true", "16-mixed", "bf16-mixed"}
        Of the arithmetic; weights are float32 in each.
    seed : int
        Root seed of order, augmentation and dropout.
    """

    tune: Tune
    optimizer: OptimizerName = "adam"
    lr: float = 4e-4
    weight_decay: float = 0.0
    schedule: ScheduleName = "constant"
    epochs: int = 20
    batch_size: int = 128
    augment: AugmentRule = "none"
    augment_val: bool = False
    class_weights: bool = False
    multilabel_loss: MultilabelLoss = "plain"
    patience: int | None = None
    select: Select = "last"
    select_by: SelectBy = "loss"
    bn_update: bool = False
    precision: Precision = "32-true"
    seed: int = 0

    def __post_init__(self) -> None:
        named = (
            ("tune", self.tune, Tune),
            ("optimizer", self.optimizer, OptimizerName),
            ("schedule", self.schedule, ScheduleName),
            ("augment", self.augment, AugmentRule),
            ("multilabel_loss", self.multilabel_loss, MultilabelLoss),
            ("select", self.select, Select),
            ("select_by", self.select_by, SelectBy),
            ("precision", self.precision, Precision),
        )
        for name, value, allowed in named:
            if value not in get_args(allowed):
                raise InputError(f"{name} = {value!r}", f"use {', '.join(get_args(allowed))}")
        smallest = min(self.epochs, self.batch_size, 1 if self.patience is None else self.patience)
        if smallest < 1 or self.seed < 0:
            raise InputError(
                f"epochs {self.epochs}, batch_size {self.batch_size}, patience {self.patience} or "
                f"seed {self.seed} is out of range",
                "epochs, batch size and patience are 1 or above, the seed 0 or above",
            )
        if self.optimizer == "rmsgd" and (self.tune == "head" or self.schedule != "constant"):
            raise InputError(
                f"rmsgd sets the rates of convolutions itself, so that neither tune={self.tune!r} "
                f"nor schedule={self.schedule!r} may keep it from that",
                "use tune 'all' or 'body' and schedule 'constant', or another optimizer",
            )
        if self.learns_statistics and self.batch_size == 1:
            raise InputError(
                f"tune={self.tune!r} learns BatchNorm, which needs more than one image a step",
                "use a batch size of 2 or above",
            )

    @property
    def learns_statistics(self) -> bool:
        """Whether BatchNorm of Part A is in training mode."""
        return self.tune != "head" or self.bn_update


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; on a CPU none of it changes the weights.

    Attributes
    ----------
    device : str
        "auto", "cpu" or "cuda".
    checkpoint_dir : pathlib.Path or None
        Folder of this run alone, for its checkpoint and its pooled features; a later call with
        the same arguments goes on from there. None: nothing is written.
    on_step : callable or None
        Called after each step with (epoch, step, number of steps, loss, images per second), epoch
        and step from 1. Epoch 0 is the computation of the pooled features of a frozen Part A; its
        loss is NaN.
    cache_bytes : int
        Images that fit into so many bytes are decoded once.
    checkpoint_every_s : float
        Seconds between checkpoints inside an epoch. They are also written at the end of an epoch,
        unless that would take more than about a tenth of the time.
    threads : int
        Threads that decode images.
    compile : bool
        Whether torch compiles the network: minutes at first, faster steps after.
    """

    device: str = "auto"
    checkpoint_dir: Path | None = None
    on_step: Callable[[int, int, int, float, float], None] | None = None
    cache_bytes: int = 2 * 1024**3
    checkpoint_every_s: float = 300.0
    threads: int = 2
    compile: bool = False


def make_fabric(device: str, precision: Precision) -> Fabric:
    """Open one device through Lightning Fabric.

    Raises
    ------
    InputError
        The device is absent, or cannot compute with this precision.
    """
    # It announces every mixed precision that it is told to use, in the midst of progress.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    options: dict[str, Any] = {"accelerator": device, "devices": 1, "precision": precision}
    try:
        return Fabric(**options)
    except (ValueError, RuntimeError) as error:  # Fabric's own exceptions derive from these
        raise InputError(
            f"cannot compute on {device!r} with precision {precision!r}: {error}",
            "use --device cpu with precision 32-true",
        ) from error
