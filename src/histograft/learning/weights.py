"""Where a network's first weights come from: chance, ImageNet through timm, or a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from histograft.core.errors import InputError
from histograft.core.seeds import child_seed
from histograft.learning.architectures import create_part_a
from histograft.learning.initialize import RandomStart, initialize_glorot, initialize_he
from histograft.learning.network import Network, NetworkSpec
from histograft.learning.opened import OpenedWeights, fitted_state, rebuilt_bn_eps
from histograft.learning.pretrained import imagenet_weights, resolved_name
from histograft.learning.weight_files import WeightFile, read_weight_file

__all__ = ["OpenedWeights", "build_network", "imagenet_weights", "open_weights"]


@dataclass
class _Facts:
    """Facts of a file of weights: explicit ones beat those of the file, which beat defaults."""

    explicit: dict[str, Any]
    stated: dict[str, Any]
    assumed: list[str] = field(default_factory=list)

    def find(self, name: str) -> Any:
        value = self.explicit.get(name)
        return self.stated.get(name) if value is None else value

    def assume(self, name: str, value: Any, why: str) -> None:
        self.assumed.append(f"{name} = {value} ({why})")


def open_weights(
    path: Path | str,
    *,
    architecture: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> OpenedWeights:
    """Open a file of weights and check that they fit their architecture.

    What is given here beats the safetensors metadata (``architecture``; ``kwargs``, ``mean`` and
    ``std`` as JSON), which beat a JSON file of the same stem beside it. What nobody states is
    listed in `assumed`. A classifier in the file is dropped.

    Parameters
    ----------
    path : path
        As for `read_weight_file`.
    architecture : str, optional
        timm name; must be given where the file does not state it.
    kwargs : mapping, optional
        Keyword arguments of `create_part_a`, such as ``{"pad_type": "same", "bn_eps": 1e-3}``.
    mean, std : sequence of three floats, optional
        Normalization on the scale 0 … 1.

    Raises
    ------
    InputError
        The file cannot be read, or does not fit; the message names the file, the first tensor
        that differs and what to do.

    Notes
    -----
    Weights do not show how their network pads, so a forgotten ``pad_type`` cannot be found here.
    One fact can be read off: where BatchNorm was folded into the convolutions and rebuilt with
    ``weight = sqrt(variance + ε)``, ε is ``weight² - variance`` in every channel. If nobody
    states keyword arguments, that ε is used, and `assumed` says so. See `rebuilt_bn_eps`.
    """
    path = Path(path)
    file = read_weight_file(path)
    given = {"architecture": architecture, "kwargs": kwargs, "mean": mean, "std": std}
    facts = _Facts({k: v for k, v in given.items() if v is not None}, file.metadata)
    name = facts.find("architecture")
    if name is None:
        raise InputError(
            f"neither {path} nor a JSON file beside it states the architecture",
            "name it, as timm does (--arch NAME)",
        )
    name, hub_kwargs = resolved_name(name)
    used_kwargs = {**hub_kwargs, **_find_kwargs(facts, file)}
    stated = file.metadata.get("architecture", name)
    try:
        model = create_part_a(name, used_kwargs)
        state = fitted_state(model, file.state, f"{path} as {name} with kwargs {used_kwargs}:")
    except InputError as error:
        if stated.split(".")[0] == name:
            raise
        raise InputError(
            f"{path} states that it holds {stated}, and does not fit {name}: {error.problem}",
            f"use --arch {stated}, or another file",
        ) from error
    default: dict[str, Any] = getattr(model, "pretrained_cfg", {})
    normalization = {}
    for key, fallback in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
        value = facts.find(key)
        if value is None:
            value = tuple(default.get(key, fallback))
            facts.assume(key, value, f"timm's for {name}")
        normalization[key] = tuple(float(v) for v in value)
    return OpenedWeights(
        state, name, used_kwargs, **normalization, assumed=tuple(facts.assumed), sha256=file.sha256
    )


def _find_kwargs(facts: _Facts, file: WeightFile) -> dict[str, Any]:
    stated = facts.find("kwargs")
    eps = rebuilt_bn_eps(file.state)
    if stated is not None:
        used = float(stated.get("bn_eps", 1e-5))
        if eps is not None and abs(used - eps) > 0.01 * eps:
            facts.assumed.append(
                f"bn_eps = {used:g} is what the keyword arguments give, but the BatchNorm layers "
                f"of the file were rebuilt with ε = {eps:g}: outputs will be off"
            )
        return dict(stated)
    if eps is None:
        facts.assume("kwargs", {}, "timm's defaults; nothing states any")
        return {}
    padding = (
        "; padding cannot be read off weights: where the network comes from TensorFlow it "
        "needs pad_type='same' or tf_same=true as well, and gives wrong features without"
    )
    why = f"read off the BatchNorm layers, weight² - variance = {eps:g} in each channel{padding}"
    facts.assume("kwargs", {"bn_eps": eps}, why)
    return {"bn_eps": eps}


def build_network(
    spec: NetworkSpec,
    start: Literal["random", "imagenet"] | OpenedWeights,
    *,
    seed: int,
    random_start: RandomStart = "he-fan-in",
) -> Network:
    """Build a network with its first weights.

    Part A comes from `start`. Part B is always new: weights Glorot uniform (Glorot and Bengio
    2010, the default of a Keras Dense layer, which the FTX paper used), biases zero. A random
    Part A has He normal convolutions (He et al. 2015, doi:10.1109/ICCV.2015.123); its other
    layers keep timm's initialization.

    Parameters
    ----------
    spec : NetworkSpec
        What to build; its architecture and kwargs must be those of opened weights.
    start : "random", "imagenet" or OpenedWeights
        Where Part A comes from.
    seed : int
        Root seed; equal seeds give equal weights. The caller's torch generator is not touched.
    random_start : {"he-fan-in", "he-fan-out"}
        Of a random Part A, see `initialize_he`.

    Raises
    ------
    InputError
        Pretrained weights cannot be had, or do not fit.

    Examples
    --------
    >>> spec = NetworkSpec("resnet10t", ("a", "b"), hidden=(16,))
    >>> first, second = (build_network(spec, "random", seed=1) for _ in range(2))
    >>> bool((first.part_b.output.weight == second.part_b.output.weight).all())
    True
    """
    if isinstance(start, str) and start not in ("random", "imagenet"):
        raise InputError(
            f"a network cannot start from {start!r}", "use random, imagenet or a weights file"
        )
    opened = imagenet_weights(spec.architecture, spec.kwargs) if start == "imagenet" else start
    with torch.random.fork_rng():
        torch.manual_seed(child_seed(seed, "network", "part_a"))
        network = Network(spec)
        if opened == "random":
            initialize_he(network.part_a, random_start)
        torch.manual_seed(child_seed(seed, "network", "part_b"))
        initialize_glorot(network.part_b)
    if isinstance(opened, OpenedWeights):
        what = f"{opened.architecture} weights for {spec.architecture} {spec.kwargs}:"
        network.part_a.load_state_dict(fitted_state(network.part_a, opened.state, what))
    return network
