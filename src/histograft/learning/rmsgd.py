"""RMSGD: heavy-ball descent whose rate in each layer follows the knowledge that it gains."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from histograft.core.errors import InputError
from histograft.learning.evbmf import evbmf


@dataclass(frozen=True)
class RateRule:
    """How the rate of a layer follows its knowledge gain.

    Attributes
    ----------
    variant : {"coded", "released"}
        "coded": as in HistoKT's code. "released": as in the optimizer's own release.
    beta : float
        Share of a layer's rate that stays from one epoch to the next, 0 to below 1.
    gamma : float
        Factor on what new knowledge gain adds, every `step` epochs; above 0.
    step : int or None
        Epochs between these factors; None: never.
    """

    variant: Literal["coded", "released"] = "coded"
    beta: float = 0.98
    gamma: float = 0.5
    step: int | None = 25

    def __post_init__(self) -> None:
        if self.variant not in ("coded", "released"):
            raise InputError(f"RMSGD has no variant {self.variant!r}", "use coded or released")
        fits = 0 <= self.beta < 1 and self.gamma > 0 and (self.step is None or self.step >= 1)
        if not fits:
            raise InputError(
                f"beta {self.beta}, gamma {self.gamma} or step {self.step} is out of range",
                "beta is 0 to below 1, gamma above 0, step 1 or above or None",
            )

    @property
    def floor(self) -> float:
        """Least rate of a layer."""
        return 1e-10 if self.variant == "coded" else 0.0

    def measures(self, parameter: nn.Parameter) -> bool:
        """Whether a parameter has a rate of its own: kernels; "coded" leaves out 1 × n and n × 1.

        "released" leaves out frozen kernels instead.
        """
        if parameter.ndim != 4:
            return False
        if self.variant == "coded":
            return min(parameter.shape[2:]) > 1
        return parameter.requires_grad


CODED = RateRule()
RELEASED = RateRule("released", beta=0.8, gamma=1.0, step=None)


class RMSGD(torch.optim.Optimizer):
    """Stochastic gradient descent with momentum and a learned rate for each convolution.

    A step is ``b ← μ b + (∇ + λ w)`` (first step ``b = ∇ + λ w``), ``w ← w - η b``. Rates change
    in `epoch_end` alone. With the knowledge gain G of a kernel (see `knowledge_gain`), the end of
    epoch t = 0, 1, … sets ::

        Δ = η₀                  at t = 0
        Δ = G(t) - G(t-1)       later
        Δ = η₀ - β v            later, while every gain so far was 0 (released: divided by ζ)
        ζ ← γ ζ                 then, where t > 0 is a multiple of `step` (released: v ← γ v too)
        v ← max(β v + ζ Δ, ε),  η = v

    coded: v begins at 0, so the first rate is η₀, and ε = 1e-10. released: v begins at η₀, so the
    second epoch has the rate (1 + β) η₀, and ε = 0. All other parameters take the rate of the
    parameter before them in their group; those before the first kernel keep η₀.

    Parameters
    ----------
    params : iterable
        Parameters in the order of the network, or groups of them; a group may have its own "lr",
        "momentum" and "weight_decay".
    lr : float
        η₀, above 0.
    momentum : float
        μ, 0 to below 1.
    weight_decay : float
        λ, 0 or above.
    rule : RateRule
        β, γ, step and the variant.

    Raises
    ------
    InputError
        A number is out of range, or no parameter is a kernel.

    Notes
    -----
    Hosseini and Plataniotis, arXiv:2006.06587; Hosseini, Tuli and Plataniotis, "Exploiting
    explainable metrics for augmented SGD" (CVPR 2022, arXiv:2203.16723); constants and variants as
    published with HistoKT (Zhang et al. 2022). Everything is in `state_dict`, so a run that is
    resumed goes on with the same bits.

    Examples
    --------
    >>> layer = nn.Conv2d(3, 8, 3)
    >>> optimizer = RMSGD(layer.parameters(), lr=0.03)
    >>> optimizer.epoch_end()
    >>> optimizer.rates()
    [[0.03, 0.03]]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        rule: RateRule = CODED,
    ) -> None:
        self.rule = rule
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"epochs": 0, "zeta": 1.0})
        for group in self.param_groups:
            if not (group["lr"] > 0 and 0 <= group["momentum"] < 1 and group["weight_decay"] >= 0):
                raise InputError(
                    f"lr {group['lr']}, momentum {group['momentum']} or weight decay "
                    f"{group['weight_decay']} is out of range",
                    "lr is above 0, momentum 0 to below 1, weight decay 0 or above",
                )
        if not any(rule.measures(p) for group in self.param_groups for p in group["params"]):
            raise InputError(
                "rmsgd sets rates of convolutions, and none is among what is trained",
                "tune all layers or Part A, or use sgd",
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the weights by their gradients, at the rates of this epoch."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                change = parameter.grad
                if group["weight_decay"]:
                    change = change.add(parameter, alpha=group["weight_decay"])
                if "momentum_buffer" in state:
                    change = state["momentum_buffer"].mul_(group["momentum"]).add_(change)
                else:
                    state["momentum_buffer"] = change.clone()
                parameter.add_(change, alpha=-state.get("rate", group["lr"]))
        return loss

    def epoch_end(self) -> None:
        """Set the rates of the next epoch; to be called once after each epoch.

        Raises
        ------
        ValueError
            A weight is not finite.
        """
        for group in self.param_groups:
            epoch = group["epochs"]
            decays = epoch and self.rule.step and epoch % self.rule.step == 0
            decay = self.rule.gamma if decays else 1.0
            rate = group["lr"]
            for parameter in group["params"]:
                if self.rule.measures(parameter):
                    rate = self._next_rate(parameter, group, decay)
                self.state[parameter]["rate"] = rate
            group["epochs"] = epoch + 1
            group["zeta"] *= decay

    def _next_rate(self, kernel: nn.Parameter, group: dict[str, Any], decay: float) -> float:
        state, lr, beta = self.state[kernel], group["lr"], self.rule.beta
        released = self.rule.variant == "released"
        zeta = group["zeta"]
        velocity = state.get("velocity", lr if released else 0.0)
        gain = knowledge_gain(kernel.detach())
        ready = state.get("ready", False) or gain > 0
        if group["epochs"] == 0:
            change = lr
        elif ready:
            change = gain - state["gain"]
        else:
            change = (lr - beta * velocity) / (zeta if released else 1.0)
        if released:
            velocity *= decay
        velocity = float(max(beta * velocity + zeta * decay * change, self.rule.floor))
        state |= {"velocity": velocity, "gain": gain, "ready": ready}
        return velocity

    def rates(self) -> list[list[float]]:
        """Return the rate of each parameter now, group by group."""
        return [
            [float(self.state[p].get("rate", group["lr"])) for p in group["params"]]
            for group in self.param_groups
        ]

    def kernels(self) -> list[tuple[nn.Parameter, float, float]]:
        """Return the parameters with rates of their own: each with its knowledge gain and rate.

        The gain is that of the last `epoch_end`, NaN before the first.
        """
        return [
            (parameter, float(self.state[parameter].get("gain", math.nan)), rate)
            for group, rates in zip(self.param_groups, self.rates(), strict=True)
            for parameter, rate in zip(group["params"], rates, strict=True)
            if self.rule.measures(parameter)
        ]

    def mean_rate(self) -> float:
        """Return the mean rate of the parameters that have one of their own."""
        return fmean(rate for _, _, rate in self.kernels())


def knowledge_gain(kernel: Tensor) -> float:
    """Return how much structure a convolution kernel holds, 0 to 1.

    The kernel is unfolded along its output and along its input channels. Of each matrix with N
    rows the gain is ``(1/N) Σ d_i / d_1`` over the strengths d of its factorization (see `evbmf`),
    0 where nothing rises above noise; the kernel's is the mean of both.

    Parameters
    ----------
    kernel : Tensor, shape (output, input, height, width)
        Finite weights.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> knowledge_gain(torch.randn(16, 8, 3, 3))
    0.0
    >>> row = torch.ones(4, 8, 3, 3)
    >>> knowledge_gain(row) == (1 / 4 + 1 / 8) / 2
    True
    """
    output, inputs = kernel.flatten(1), kernel.transpose(0, 1).flatten(1)
    return (_gain(output) + _gain(inputs)) / 2


def _gain(matrix: Tensor) -> float:
    rows, columns = matrix.shape
    wide = (matrix if rows <= columns else matrix.T).double()
    # Squares of singular values through the small Gram matrix: the same to 1e-8 of the largest.
    squares = cast(Tensor, torch.linalg.eigvalsh(wide @ wide.T)).clamp(min=0)
    strengths = evbmf(squares.sqrt().cpu().numpy(), (rows, columns)).strengths
    return float((strengths / strengths[0]).sum()) / rows if len(strengths) else 0.0
