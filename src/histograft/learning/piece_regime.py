"""How a network learns from pieces of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from histograft.core.errors import InputError
from histograft.learning.optimizers import OptimizerName, ScheduleName
from histograft.learning.piece_changes import PieceRule
from histograft.learning.regime import Precision, Select, Tune

Judge = Literal["loss", "macro-f1"]


@dataclass(frozen=True)
class PieceRegime:
    """How a network learns; defaults are those of the paper and its published code.

    Attributes
    ----------
    tune : {"head", "body", "all"}
        head: the dense layers, as in the paper's fine-tuning; all: everything.
    optimizer, lr, weight_decay, schedule
        See `make_optimizer` and `make_schedule`.
    epochs : int
        Most passes over the training pieces.
    batch_size : int
        Pieces of a step. Their gradients add up, whatever their sizes; the last step of an epoch
        is the mean over the pieces that are left.
    augment : str
        Of training pieces, see `draw_change`; validation pieces are never changed.
    class_weights : bool
        Whether cross-entropy gives each class the same weight.
    patience : int or None
        Stop after so many epochs without a better validation.
    select : {"last", "best"}
        Whether the network ends with the weights of its last epoch or of its best validation.
    judge : {"loss", "macro-f1"}
        What is best: the lowest validation loss, or the highest mean F1 over classes.
    precision : {"32-true", "16-mixed", "bf16-mixed"}
        Of the arithmetic; weights are float32 in each.
    checkpointing : bool
        Compute each stage again in the backward pass: less memory, a third more time.
    pass_pixels : int or None
        Pieces of one step and one size pass the network together, up to so many pixels; None: each
        alone, as in the paper. Both are the same but for rounding.
    seed : int
        Root seed of order, augmentation and dropout.
    """

    tune: Tune = "all"
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    schedule: ScheduleName = "constant"
    epochs: int = 100
    batch_size: int = 32
    augment: PieceRule = "jitter-flips"
    class_weights: bool = False
    patience: int | None = None
    select: Select = "last"
    judge: Judge = "loss"
    precision: Precision = "32-true"
    checkpointing: bool = False
    pass_pixels: int | None = 2**22
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("tune", self.tune, Tune),
            ("optimizer", self.optimizer, OptimizerName),
            ("schedule", self.schedule, ScheduleName),
            ("augment", self.augment, PieceRule),
            ("select", self.select, Select),
            ("judge", self.judge, Judge),
            ("precision", self.precision, Precision),
        ):
            if value not in get_args(allowed):
                raise InputError(f"{name} = {value!r}", f"use {', '.join(get_args(allowed))}")
        whole = (self.epochs, self.batch_size, self.patience or 1, self.pass_pixels or 1)
        if min(whole) < 1 or self.patience == 0 or self.pass_pixels == 0 or self.seed < 0:
            raise InputError(
                f"epochs {self.epochs}, batch_size {self.batch_size}, patience {self.patience}, "
                f"pass_pixels {self.pass_pixels} or seed {self.seed} is out of range",
                "the seed is 0 or above, the others 1 or above",
            )
