"""Augmentation of training images: pure functions of (seed, epoch, index), in whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histograft.core.errors import InputError
from histograft.core.seeds import generator

AugmentRule = Literal["none", "flips-turns", "flips", "histokt"]
MAX_TURN_DEG = 45.0
MAX_SHIFT = 0.1


def augment(
    images: Tensor, rule: AugmentRule, *, seed: int, epoch: int, indices: Sequence[int]
) -> Tensor:
    """Change each image at random.

    Parameters
    ----------
    images : Tensor, uint8 (N, 3, H, W)
        On any device. With ``"flips-turns"`` H = W.
    rule : {"none", "flips-turns", "flips", "histokt"}
        Nothing; one of the eight flips and quarter turns of a square, each with probability 1/8;
        a flip of left and right and one of top and bottom, each with probability 1/2; these flips,
        then a turn by -45 … 45° and a shift by -0.1 … 0.1 of each side in whole pixels, drawn
        uniformly, nearest pixels, black outside (HistoKT).
    seed, epoch : int
        Root seed and number of the epoch.
    indices : sequence of int, length N
        Numbers of the images in their source.

    Returns
    -------
    Tensor, uint8 (N, 3, H, W)
        What happens to an image depends on (seed, epoch, its index) alone.

    Raises
    ------
    InputError
        There is no such rule, or the images are not square.

    Examples
    --------
    >>> image = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 2, 2)
    >>> turned = augment(image, "flips-turns", seed=0, epoch=0, indices=[7])
    >>> sorted(turned.flatten().tolist()) == list(range(12))
    True
    """
    if rule == "none":
        return images
    if rule not in get_args(AugmentRule):
        raise InputError(
            f"unknown augmentation {rule!r}", f"use one of {', '.join(get_args(AugmentRule))}"
        )
    draws = [generator(seed, "augment", epoch, int(i)) for i in indices]
    if rule == "flips-turns":
        return _flipped_and_turned(images, draws)
    if rule == "flips":
        return _flipped(images, np.array([draw.random(2) < 0.5 for draw in draws]))
    height, width = images.shape[2:]
    return move(images, [_movement(draw, width, height) for draw in draws])


def _flipped_and_turned(images: Tensor, draws: Sequence[np.random.Generator]) -> Tensor:
    if images.shape[2] != images.shape[3]:
        raise InputError(
            f"images of {images.shape[3]} × {images.shape[2]} px cannot be turned by a quarter",
            "use square images, or augment='flips' or 'none'",
        )
    elements = np.array([draw.integers(8) for draw in draws])
    result = torch.empty_like(images)
    for element in range(8):
        chosen = torch.from_numpy(np.flatnonzero(elements == element)).to(images.device)
        if len(chosen):
            some = torch.rot90(images[chosen], element % 4, (2, 3))
            result[chosen] = torch.flip(some, (3,)) if element >= 4 else some
    return result


def _flipped(images: Tensor, flips: NDArray[np.bool_]) -> Tensor:
    across, down = torch.from_numpy(flips.T).to(images.device)[:, :, None, None, None]
    images = torch.where(across, images.flip(3), images)
    return torch.where(down, images.flip(2), images)


@dataclass(frozen=True)
class Movement:
    """What happens to an image: flips, then a turn about its center, then a shift.

    Attributes
    ----------
    across, down : bool
        Whether left and right, top and bottom change places.
    turn_deg : float
        Degrees, clockwise as seen on the screen.
    shift_x_px, shift_y_px : int
        To the right and downwards.
    """

    across: bool = False
    down: bool = False
    turn_deg: float = 0.0
    shift_x_px: int = 0
    shift_y_px: int = 0


def _movement(draw: np.random.Generator, width: int, height: int) -> Movement:
    across, down = draw.random(2) < 0.5
    turn = draw.uniform(-MAX_TURN_DEG, MAX_TURN_DEG)
    x, y = (round(draw.uniform(-MAX_SHIFT * side, MAX_SHIFT * side)) for side in (width, height))
    return Movement(bool(across), bool(down), turn, x, y)


def move(images: Tensor, movements: Sequence[Movement]) -> Tensor:
    """Flip, turn and shift images: nearest pixels, black where there were none.

    The center of a new pixel, at (x, y) from the center of the image, is looked up at ::

        x' =  cos φ (x - Δx) + sin φ (y - Δy)
        y' = -sin φ (x - Δx) + cos φ (y - Δy)

    Parameters
    ----------
    images : Tensor, uint8 (N, 3, H, W)
        On any device.
    movements : sequence of Movement, length N
        One for each image.

    Returns
    -------
    Tensor, uint8 (N, 3, H, W)
        Channels last in memory.

    Examples
    --------
    >>> image = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    >>> move(image, [Movement(across=True, shift_x_px=1)])[0, 0].tolist()
    [[0, 1], [0, 3]]
    """
    n, channels, height, width = images.shape
    device = images.device

    def column(name: str, dtype: torch.dtype) -> Tensor:
        values = [getattr(movement, name) for movement in movements]
        return torch.tensor(values, dtype=torch.float64).to(dtype)[:, None, None].to(device)

    radians = torch.deg2rad(column("turn_deg", torch.float64))
    cos, sin = radians.cos().float(), radians.sin().float()
    x = torch.arange(width, device=device) + 0.5 - width / 2 - column("shift_x_px", torch.float32)
    y = torch.arange(height, device=device)[:, None] + 0.5 - height / 2
    y = y - column("shift_y_px", torch.float32)
    from_x = (cos * x + sin * y + width / 2).floor_().to(torch.int32)
    from_y = (cos * y - sin * x + height / 2).floor_().to(torch.int32)
    outside = (from_x < 0) | (from_x >= width) | (from_y < 0) | (from_y >= height)
    from_x = torch.where(column("across", torch.bool), width - 1 - from_x, from_x)
    from_y = torch.where(column("down", torch.bool), height - 1 - from_y, from_y)
    number = torch.arange(n, dtype=torch.int64, device=device)[:, None, None] * (height * width)
    place = (from_y * width + from_x + number).masked_fill_(outside, 0)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
    moved = pixels.index_select(0, place.reshape(-1)).reshape(n, height, width, channels)
    return moved.masked_fill_(outside[..., None], 0).permute(0, 3, 1, 2)
