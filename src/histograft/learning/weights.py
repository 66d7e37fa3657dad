"""Where a network's first weights come from: chance, ImageNet through timm, or a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from histograft.core.errors import InputError
from histograft.core.seeds import child_seed
from histograft.learning.architectures import create_part_a
from histograft.learning.network import PART_B, Network, NetworkSpec, first_mismatch
from histograft.learning.weight_files import WeightFile, read_weight_file


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


@dataclass
class _Facts:
    """Facts of a file of weights: explicit ones beat those of the file, which beat defaults."""

    explicit: dict[str, Any]
    stated: dict[str, Any]
    assumed: list[str] = field(default_factory=list)

    def find(self, name: str) -> Any:
        value = self.explicit.get(name)
        return self.stated.get(name) if value is None else value

    def assume(self, name: str, value: Any, why: str) -> Any:
        self.assumed.append(f"{name} = {value} ({why})")
        return value


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
    name, hub_kwargs = _resolved(name)
    used_kwargs = {**hub_kwargs, **_find_kwargs(facts, file)}
    model = create_part_a(name, used_kwargs)
    default = model.pretrained_cfg if hasattr(model, "pretrained_cfg") else {}
    state = fitted_state(model, file.state, f"{path} as {name} with {used_kwargs or 'no kwargs'}")
    normalization = {}
    for key, fallback in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
        value = facts.find(key)
        if value is None:
            value = facts.assume(key, tuple(default.get(key, fallback)), f"timm's for {name}")
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
        return facts.assume("kwargs", {}, "timm's defaults; nothing states any")
    padding = (
        "; padding cannot be read off weights: where the network comes from TensorFlow it "
        "needs pad_type='same' or tf_same=true as well, and gives wrong features without"
    )
    why = f"read off the BatchNorm layers, weight² - variance = {eps:g} in each channel{padding}"
    return facts.assume("kwargs", {"bn_eps": eps}, why)


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
        f"{what} do not fit: {problem} ({common} of {len(expected)} tensors agree)", hint
    )


def _classifier_names(model: nn.Module) -> tuple[str, ...]:
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def imagenet_weights(architecture: str, kwargs: Mapping[str, Any] | None = None) -> OpenedWeights:
    """Return the pretrained weights that timm has for an architecture.

    Parameters
    ----------
    architecture : str
        A timm name (``legacy_xception``, ``resnet50``, also with a tag, as
        ``resnet50.a1_in1k``) or ``hf-hub:owner/name``. The architecture of the returned weights
        is the plain timm name, so that the network can be rebuilt without the hub.
    kwargs : mapping, optional
        Keyword arguments of `create_part_a`.

    Raises
    ------
    InputError
        The weights are neither in timm's cache nor can be downloaded.
    """
    name, hub_kwargs = _resolved(architecture)
    used_kwargs = {**hub_kwargs, **(kwargs or {})}
    plain = {k: v for k, v in used_kwargs.items() if k not in ("tf_same", "bn_eps")}
    with _downloading(architecture):
        source = timm.create_model(architecture, pretrained=True, **plain)
    model = create_part_a(name, used_kwargs)
    state = fitted_state(model, source.state_dict(), f"timm's weights for {architecture}")
    config = source.pretrained_cfg
    return OpenedWeights(
        state,
        name,
        used_kwargs,
        tuple(config["mean"]),
        tuple(config["std"]),
        sha256=_hash_of(state),
    )


class _downloading:  # noqa: N801 - reads as a with-statement
    """Turns any failure of a download into an error that says what to do without network."""

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception):
            return
        url = _source_of(self.architecture)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"timm could not get pretrained weights for {self.architecture!r}: {reason[:200]}",
            f"on a machine with network access download {url}, bring the file here and give it "
            f"with --weights FILE, or start from --weights random",
        ) from error


def _source_of(architecture: str) -> str:
    if architecture.startswith("hf-hub:"):
        return f"https://huggingface.co/{architecture.removeprefix('hf-hub:')}"
    config = timm.get_pretrained_cfg(architecture) if timm.is_model(architecture) else None
    if config is None:
        return "its weights"
    if config.hf_hub_id:
        hub = config.hf_hub_id
        tag = hub if "/" in hub and not hub.endswith("/") else f"{hub}{architecture}"
        return f"https://huggingface.co/{tag} (model.safetensors)"
    return config.url or "its weights (timm has none for this name)"


def _resolved(architecture: str) -> tuple[str, dict[str, Any]]:
    """Plain timm name and keyword arguments of a name that may point to the hub."""
    if not architecture.startswith("hf-hub:"):
        return architecture.split(".")[0], {}
    from timm.models._hub import load_model_config_from_hf

    with _downloading(architecture):
        _, name, kwargs = load_model_config_from_hf(architecture.removeprefix("hf-hub:"))
    return str(name).split(".")[0], dict(kwargs or {})


def _hash_of(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_network(
    spec: NetworkSpec, start: Literal["random", "imagenet"] | OpenedWeights, *, seed: int
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
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(child_seed(seed, "network", "part_a"))
        network = Network(spec)
        if opened == "random":
            initialize_he(network.part_a)
        torch.random.default_generator.manual_seed(child_seed(seed, "network", "part_b"))
        initialize_glorot(network.part_b)
    if isinstance(opened, OpenedWeights):
        what = f"the weights of {opened.architecture}, for {spec.architecture} {spec.kwargs},"
        network.part_a.load_state_dict(fitted_state(network.part_a, opened.state, what))
    return network


def initialize_he(module: nn.Module) -> None:
    """Draw every convolution from the He normal distribution, in place.

    Weights have variance 2 / fan_in, fan_in = kernel height × width × input channels of a group;
    biases are zero. He et al. 2015, doi:10.1109/ICCV.2015.123.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialize_glorot(module: nn.Module) -> None:
    """Draw every dense layer from the Glorot uniform distribution, in place.

    Weights are uniform in ±sqrt(6 / (fan_in + fan_out)); biases are zero.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
