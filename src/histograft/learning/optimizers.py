"""Optimizers and learning rate schedules, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import torch
from timm.optim.adamp import AdamP
from torch import nn

from histograft.core.errors import InputError
from histograft.learning.rmsgd import RMSGD

OptimizerName = Literal["adam", "adamw", "sgd", "adamp", "rmsgd"]
ScheduleName = Literal["constant", "step", "cosine", "step-20"]


def make_optimizer(
    name: OptimizerName, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Build an optimizer.

    Parameters
    ----------
    name : {"adam", "adamw", "sgd", "adamp", "rmsgd"}
        Adam (Kingma and Ba 2015, arXiv:1412.6980), AdamW (Loshchilov and Hutter 2019,
        arXiv:1711.05101), stochastic gradient descent with Nesterov momentum 0.9, AdamP (Heo et
        al. 2021, arXiv:2006.08217; timm's), `RMSGD` with momentum 0.9 as coded in HistoKT, whose
        `epoch_end` must be called after each epoch.
    parameters : iterable of Parameter
        What it trains.
    lr : float
        Learning rate, above 0.
    weight_decay : float
        0 or above; added to the gradient by adam, sgd and rmsgd, decoupled in adamw and adamp.

    Raises
    ------
    InputError
        There is no such optimizer, a number is out of range, or rmsgd gets no convolution.

    Examples
    --------
    >>> make_optimizer("sgd", nn.Linear(2, 2).parameters(), 0.1, 0.0).defaults["nesterov"]
    True
    """
    if not lr > 0 or not weight_decay >= 0:
        raise InputError(
            f"learning rate {lr} and weight decay {weight_decay} are out of range",
            "give a learning rate above 0 and a weight decay of 0 or above",
        )
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    if name == "sgd":
        return torch.optim.SGD(
            parameters, lr=lr, weight_decay=weight_decay, momentum=0.9, nesterov=True
        )
    if name == "adamp":
        adamp: Any = AdamP  # timm does not annotate it
        optimizer: torch.optim.Optimizer = adamp(parameters, lr=lr, weight_decay=weight_decay)
        return optimizer
    if name == "rmsgd":
        return RMSGD(parameters, lr, momentum=0.9, weight_decay=weight_decay)
    raise InputError(
        f"unknown optimizer {name!r}", f"use one of {', '.join(get_args(OptimizerName))}"
    )


def make_schedule(name: ScheduleName, epochs: int) -> Callable[[int], float]:
    """Return the factor on the learning rate as a function of the epoch.

    Parameters
    ----------
    name : {"constant", "step", "cosine", "step-20"}
        1; a tenth after half and a hundredth after three quarters of the epochs;
        ``(1 + cos(π e / E)) / 2`` (Loshchilov and Hutter 2017, arXiv:1608.03983, one cycle);
        half after every 20 epochs, ``0.5^⌊e / 20⌋`` (HistoKT).
    epochs : int
        E, their number.

    Returns
    -------
    callable
        From epoch e (0 … E - 1) to a factor in (0, 1].

    Raises
    ------
    InputError
        There is no such schedule.

    Examples
    --------
    >>> [round(make_schedule("cosine", 4)(e), 3) for e in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    >>> [make_schedule("step", 4)(e) for e in range(4)]
    [1.0, 1.0, 0.1, 0.01]
    """
    if name == "constant":
        return lambda _: 1.0
    if name == "step":
        return lambda epoch: (1.0, 0.1, 0.01)[(2 * epoch >= epochs) + (4 * epoch >= 3 * epochs)]
    if name == "cosine":
        return lambda epoch: (1.0 + math.cos(math.pi * epoch / epochs)) / 2.0
    if name == "step-20":
        return lambda epoch: 0.5 ** (epoch // 20)
    raise InputError(
        f"unknown schedule {name!r}", f"use one of {', '.join(get_args(ScheduleName))}"
    )
