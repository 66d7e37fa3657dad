"""Opened weights, and the checks that they fit their architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from histograft.core.errors import InputError
from histograft.learning.network import PART_B, first_mismatch


@dataclass(frozen=True)
class OpenedWeights:
    """Weights of Part A, and what is needed to use them.

    Attributes
    ----------
    state : dict of str to Tensor
        Checked against the architecture: every tensor of Part A, and no other.
    architecture : str
        timm name.
    kwargs : dict
        Keyword arguments of `create_part_a`.
    mean, std : tuple of float
        input = (value / 255 - mean) / std, for red, green and blue.
    assumed : tuple of str
        One sentence for each fact that nobody stated, with the value that was taken. To be shown.
    sha256 : str
        Of the file (of the tensors where they came through timm).
    """

    state: dict[str, Tensor]
    architecture: str
    kwargs: dict[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    assumed: tuple[str, ...] = ()
    sha256: str = ""


def fitted_state(model: nn.Module, state: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Return the tensors of a state dict that Part A has, or say why they do not fit.

    Parameters
    ----------
    model : torch.nn.Module
        Part A.
    state : mapping of str to Tensor
        May also hold a classifier and Part B, which are dropped, and may lack the
        ``num_batches_tracked`` counters of BatchNorm.
    what : str
        For the message, such as the name of the file.

    Raises
    ------
    InputError
        A tensor is missing, unknown or of another shape.
    """
    expected = model.state_dict()
    heads = _classifier_names(model)
    found = {
        name: tensor
        for name, tensor in state.items()
        if name in expected
        or not (name.startswith(PART_B) or any(name.startswith(f"{h}.") for h in heads))
    }
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked") and name not in found:
            found[name] = torch.zeros_like(tensor)
    problem = first_mismatch(expected, found)
    if problem is None:
        return {name: found[name].detach().clone() for name in expected}
    common = sum(name in expected and found[name].shape == expected[name].shape for name in found)
    hint = (
        "check the keyword arguments of the architecture"
        if common > len(expected) // 2
        else "check the architecture; timm's names are expected"
    )
    raise InputError(
        f"{what} the weights do not fit: {problem} ({common} of {len(expected)} tensors agree)",
        hint,
    )


def _classifier_names(model: nn.Module) -> tuple[str, ...]:
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def rebuilt_bn_eps(state: Mapping[str, Tensor]) -> float | None:
    """Read ε off BatchNorm layers that were rebuilt from folded convolutions.

    A network whose BatchNorm was folded into its convolutions can be given BatchNorm layers again
    that change nothing: running mean µ, running variance v, weight sqrt(v + ε), bias µ + b. Then
    weight² - v = ε in every channel. In a trained BatchNorm layer weight and variance are
    unrelated, so the same number in every channel of every layer is no accident.

    Parameters
    ----------
    state : mapping of str to Tensor
        A state dict.

    Returns
    -------
    float or None
        ε to three digits; None where the layers are not of that kind, or there is none.

    Examples
    --------
    >>> v = torch.rand(64)
    >>> layer = {"bn.weight": (v + 1e-3).sqrt(), "bn.running_var": v}
    >>> rebuilt_bn_eps(layer), rebuilt_bn_eps({**layer, "bn.weight": v})
    (0.001, None)
    """
    differences, scales = [], []
    for name, variance in state.items():
        weight = state.get(name.removesuffix("running_var") + "weight")
        if not name.endswith("running_var") or weight is None:
            continue
        squared = weight.double() ** 2
        differences.append(squared - variance.double())
        scales.append(squared)
    if not differences:
        return None
    difference, scale = torch.cat(differences), torch.cat(scales)
    small = scale < 1.0  # above that, float32 rounding of weight² hides an ε of 1e-5
    if int(small.sum()) < 16:
        return None
    eps = float(f"{float(difference[small].median()):.3g}")
    rounding = 4e-7 * scale + 1e-9
    if eps <= 1e-7 or bool(((difference - eps).abs() > rounding).any()):
        return None
    return eps
