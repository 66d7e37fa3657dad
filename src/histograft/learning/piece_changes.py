"""Augmentation of pieces: one draw of parameters, applied to a piece at every scale alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import functional

from histograft.core.errors import InputError
from histograft.core.seeds import generator

PieceRule = Literal["none", "flips", "jitter-flips", "jitter-flips-turns"]

# Widths of torchvision's ColorJitter in the published code: brightness, contrast, saturation, hue.
_JITTER = (0.5, 0.5, 0.5, 0.2)


@dataclass(frozen=True)
class Change:
    """What happens to one piece.

    Attributes
    ----------
    factors : tuple of float
        Of brightness, contrast and saturation (1: none), and the shift of the hue in turns.
    order : tuple of int
        In which order these four are applied.
    mirrored, flipped : bool
        Left with right, and top with bottom.
    turns : int
        Quarter turns, 0 … 3.
    """

    factors: tuple[float, ...] = (1.0, 1.0, 1.0, 0.0)
    order: tuple[int, ...] = ()
    mirrored: bool = False
    flipped: bool = False
    turns: int = 0

    def shape(self, before: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) of a piece after its turn."""
        return before[::-1] if self.turns % 2 else before


def all_changes(rule: PieceRule) -> tuple[Change, ...] | None:
    """Return every change that a rule can draw, or None where they are without number.

    Examples
    --------
    >>> len(all_changes("flips")), all_changes("jitter-flips")
    (4, None)
    """
    if rule == "none":
        return (Change(),)
    if rule == "flips":
        both = (False, True)
        return tuple(Change(mirrored=m, flipped=f) for m in both for f in both)
    return None


def draw_change(rule: PieceRule, *, seed: int, epoch: int, index: int) -> Change:
    """Draw what happens to a piece in an epoch.

    Parameters
    ----------
    rule : {"none", "flips", "jitter-flips", "jitter-flips-turns"}
        Nothing; each flip with probability ½; before that brightness, contrast and saturation
        times a number from 0.5 … 1.5 and hue shifted by up to 0.2 turns, in a random order, as in
        the authors' code; and in the end 0 to 3 quarter turns.
    seed, epoch, index : int
        All that the draw depends on.

    Raises
    ------
    InputError
        There is no such rule.

    Examples
    --------
    >>> draw_change("none", seed=0, epoch=0, index=3) == Change()
    True
    >>> sorted(draw_change("jitter-flips", seed=0, epoch=0, index=3).order)
    [0, 1, 2, 3]
    """
    if rule not in get_args(PieceRule):
        raise InputError(
            f"unknown augmentation {rule!r}", f"use one of {', '.join(get_args(PieceRule))}"
        )
    if rule == "none":
        return Change()
    rng = generator(seed, "pieces", epoch, index)
    mirrored, flipped = (bool(v) for v in rng.integers(0, 2, 2))
    if rule == "flips":
        return Change(mirrored=mirrored, flipped=flipped)
    widths = np.array(_JITTER)
    drawn = rng.uniform(-widths, widths) + np.array((1, 1, 1, 0))
    order = tuple(int(i) for i in rng.permutation(4))
    turns = int(rng.integers(0, 4)) if rule == "jitter-flips-turns" else 0
    return Change(tuple(float(v) for v in drawn), order, mirrored, flipped, turns)


def changed(image: NDArray[np.uint8], change: Change) -> Tensor:
    """Apply a change to a piece.

    Parameters
    ----------
    image : array of uint8, shape (H, W, 3)
        The piece, at any scale.
    change : Change
        What happens; the same one for each scale of a piece.

    Returns
    -------
    Tensor, float32 (3, H', W')
        Values 0 … 255, not rounded to whole numbers. H' and W' are swapped by odd turns.

    Examples
    --------
    >>> changed(np.array([[[0] * 3, [9] * 3]], np.uint8), Change(mirrored=True))[0].tolist()
    [[9.0, 0.0]]
    """
    # images from Pillow cannot be written to, and torch wants to be able to
    x = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)
    x = x.flip([axis for axis, wanted in ((2, change.mirrored), (1, change.flipped)) if wanted])
    x = torch.rot90(x, change.turns, (1, 2)).float()
    if not change.order:
        return x
    x = x / 255
    adjust = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    for which in change.order:
        x = adjust[which](x, change.factors[which])
    return x * 255
