"""How far a student at a coarse scale is from its teacher at a fine one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from histograft.core.errors import InputError

Resize = Literal["both", "max-pool", "bicubic", "authors"]
Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class DistillationLoss:
    r"""Soft loss of the logits and pixel loss of the last feature maps, for each piece.

    With logits z, softmax σ, temperature T, last feature maps F and the resizing functions
    g₁ (adaptive max-pool) and g₂ (bicubic) to the size of the student's map

    .. math:: L = λ_{soft} T^2 \, KL(σ(z_t / T) \,‖\, σ(z_s / T))
        + λ_{pixel} \frac{1}{2} \sum_{k=1}^{2} ‖g_k(F_t) - F_s‖^2.

    Attributes
    ----------
    temperature : float
        T, above 0.
    soft_weight, pixel_weight : float
        λ of the two losses, 0 or above.
    resize : {"both", "max-pool", "bicubic", "authors"}
        The two functions g, or one of them alone (its norm then counts whole). ``"authors"`` is
        what the authors' published code computes: half the norm of the max-pooled map, the bicubic
        one never.
    reduction : {"mean", "sum"}
        Squares of a map are averaged over channels and places, as in the authors' code, so that
        the loss does not depend on the size of a piece; or added up, as the paper writes.
    antialias : bool
        Whether g₂ averages over all of the teacher's places. Without it, as in the authors' code,
        it looks at 4 × 4 places, which at 16 times is close to picking single points.

    References
    ----------
    DiPalma et al. 2021, doi:10.1016/j.artmed.2021.102136, equations 1 to 3; Hinton et al. 2015,
    arXiv:1503.02531, on temperature.

    Examples
    --------
    >>> loss = DistillationLoss()
    >>> teacher, student = torch.ones(1, 2, 8, 8), torch.zeros(1, 2, 4, 4)
    >>> logits = torch.zeros(1, 3)
    >>> loss(loss.targets(teacher, (4, 4)), logits, student, logits).tolist()
    [1.0]
    """

    temperature: float = 1.0
    soft_weight: float = 1.0
    pixel_weight: float = 1.0
    resize: Resize = "both"
    reduction: Reduction = "mean"
    antialias: bool = False

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("resize", self.resize, Resize),
            ("reduction", self.reduction, Reduction),
        ):
            if value not in get_args(allowed):
                raise InputError(f"{name} = {value!r}", f"use {', '.join(get_args(allowed))}")
        weights = (self.soft_weight, self.pixel_weight)
        if not self.temperature > 0 or not min(weights) >= 0 or sum(weights) == 0:
            raise InputError(
                f"temperature {self.temperature}, weights {weights} of soft and pixel loss",
                "give a temperature above 0, and weights of 0 or above, not both 0",
            )

    @property
    def n_targets(self) -> int:
        """Number of resized teacher maps, see `targets`."""
        if self.pixel_weight == 0:
            return 0
        return 2 if self.resize == "both" else 1

    def targets(self, teacher_map: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """Resize the teacher's map to the size of the student's.

        Parameters
        ----------
        teacher_map : Tensor (N, C, H, W)
            Of the finer scale.
        size : (int, int)
            Height and width of the student's map.

        Returns
        -------
        list of Tensor (N, C, h, w)
            For each g that the loss uses.

        Raises
        ------
        InputError
            The student's map is larger than the teacher's.
        """
        if size[0] > teacher_map.shape[2] or size[1] > teacher_map.shape[3]:
            raise InputError(
                f"the student's map of {size[1]} × {size[0]} places is larger than the teacher's "
                f"of {teacher_map.shape[3]} × {teacher_map.shape[2]}",
                "give the student the coarser scale",
            )
        found = []
        if self.n_targets and self.resize != "bicubic":
            found.append(functional.adaptive_max_pool2d(teacher_map, size))
        if self.n_targets and self.resize in ("both", "bicubic"):
            found.append(
                functional.interpolate(teacher_map, size, mode="bicubic", antialias=self.antialias)
            )
        return found

    def __call__(
        self,
        targets: Sequence[Tensor],
        teacher_logits: Tensor,
        student_map: Tensor,
        student_logits: Tensor,
    ) -> Tensor:
        """Return the loss of each piece.

        Parameters
        ----------
        targets : sequence of Tensor (N, C, h, w)
            Of `targets`.
        teacher_logits, student_logits : Tensor (N, K)
            Before softmax.
        student_map : Tensor (N, C, h, w)
            The student's last feature map.

        Returns
        -------
        Tensor (N,)
            0 or above; the mean over pieces is the loss of a batch.

        Raises
        ------
        InputError
            Maps differ in their channels or places.
        """
        soft = self.soft_weight * self._soft(teacher_logits, student_logits)
        if not targets:
            return soft
        return soft + self.pixel_weight * self._pixel(targets, student_map)

    def _soft(self, teacher: Tensor, student: Tensor) -> Tensor:
        t = self.temperature
        known = torch.log_softmax(teacher / t, 1)
        said = torch.log_softmax(student / t, 1)
        return t * t * (known.exp() * (known - said)).sum(1)

    def _pixel(self, targets: Sequence[Tensor], student: Tensor) -> Tensor:
        if targets[0].shape != student.shape:
            raise InputError(
                f"the teacher's map has shape {tuple(targets[0].shape[1:])}, the student's "
                f"{tuple(student.shape[1:])}",
                "use one architecture for both, or a pixel weight of 0",
            )
        squares = [(target - student).square().flatten(1) for target in targets]
        reduced = [s.mean(1) if self.reduction == "mean" else s.sum(1) for s in squares]
        share = 2 if self.resize == "authors" else len(reduced)
        return torch.stack(reduced).sum(0) / share
