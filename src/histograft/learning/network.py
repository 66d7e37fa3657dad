"""A network: Part A (a timm model that ends in pooled features) and Part B (dense layers)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from histograft.core.errors import InputError
from histograft.learning.architectures import create_part_a

Task = Literal["multiclass", "multilabel"]
Point = Literal["gap", "dense", "dense-pre"]
POINTS: tuple[Point, ...] = get_args(Point)
PART_B = "part_b."


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that rebuilds a network, apart from its weights.

    Attributes
    ----------
    architecture : str
        timm name of Part A.
    classes : tuple of str
        Names of the outputs, in their order.
    kwargs : dict
        Keyword arguments of `create_part_a`.
    hidden : tuple of int
        Sizes of the hidden dense layers of Part B; empty where classes follow the pooled features.
    task : {"multiclass", "multilabel"}
        Whether an image has exactly one class or any number of them.
    patch_px : int
        Side of the square images that the network was made for, pixels.
    mpp : float or None
        Their scale, µm/px; None where it is not known.
    mean, std : tuple of float
        Per channel (R, G, B), on the scale 0 … 1: input = (value / 255 - mean) / std.

    Examples
    --------
    >>> spec = NetworkSpec("mobilenetv2_100", ("STR", "TUM"), kwargs={"bn_eps": 1e-3})
    >>> NetworkSpec.from_json(spec.to_json()) == spec
    True
    """

    architecture: str
    classes: tuple[str, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[int, ...] = (2048,)
    task: Task = "multiclass"
    patch_px: int = 224
    mpp: float | None = None
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for name in ("classes", "hidden", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "kwargs", dict(self.kwargs))
        self._check()

    def _check(self) -> None:
        if self.task not in get_args(Task):
            raise InputError(f"unknown task {self.task!r}", f"use one of {get_args(Task)}")
        if self.hidden and min(self.hidden) < 1:
            raise InputError(
                f"Part B needs hidden layers of positive size, not {self.hidden}",
                "give one or more sizes, such as 2048, or none",
            )
        if len(self.classes) < (2 if self.task == "multiclass" else 1):
            raise InputError(
                f"a {self.task} network cannot have only the classes ({', '.join(self.classes)})",
                "give labels with at least two classes",
            )
        if len(set(self.classes)) < len(self.classes):
            raise InputError(f"class names occur twice in {self.classes}", "name each class once")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError(
                f"mean {self.mean} and std {self.std} are not three numbers each, std above 0",
                "give one number for each of red, green and blue",
            )

    def to_json(self) -> str:
        """Return the specification as JSON text with sorted keys."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> NetworkSpec:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            The text is not a JSON object, or has an unknown or lacks a required key.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"the network specification is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise InputError("the network specification is not a JSON object")
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        missing = sorted({"architecture", "classes"} - set(values))
        if unknown or missing:
            raise InputError(
                f"the network specification has unknown keys {unknown} and lacks {missing}",
                "use a version of histograft that knows it",
            )
        return cls(**values)


class PartB(nn.Module):
    """Hidden dense layers with ReLU, then one output for each class.

    Parameters
    ----------
    gap_size : int
        Length of the pooled features of Part A.
    hidden : tuple of int
        Sizes of the hidden layers; empty for none.
    n_outputs : int
        Number of classes.

    Examples
    --------
    >>> PartB(1280, (2048,), 9)(torch.zeros(2, 1280)).shape
    torch.Size([2, 9])
    """

    def __init__(self, gap_size: int, hidden: tuple[int, ...], n_outputs: int) -> None:
        super().__init__()
        sizes = (gap_size, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], n_outputs)

    def before_relu(self, gap: Tensor) -> Tensor:
        """Return the last hidden layer before its ReLU, (N, hidden[-1]); there must be one."""
        *first, last = self.hidden
        for layer in first:
            gap = torch.relu(layer(gap))
        before: Tensor = last(gap)
        return before

    def forward(self, gap: Tensor) -> Tensor:
        """Return logits (N, K) of pooled features (N, D)."""
        dense = torch.relu(self.before_relu(gap)) if self.hidden else gap
        logits: Tensor = self.output(dense)
        return logits


class Network(nn.Module):
    """Part A and Part B.

    Parameters
    ----------
    spec : NetworkSpec
        What to build. Weights are drawn from torch's global generator; `build_network` of
        `histograft.learning.weights` gives seeded and pretrained ones.

    Attributes
    ----------
    part_a : torch.nn.Module
        The timm model, images (N, 3, H, W) to pooled features (N, D).
    part_b : PartB
        Pooled features to logits (N, K).
    gap_size : int
        D.

    Examples
    --------
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,)))
    >>> network(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 2])
    >>> network.feature_size("gap"), network.feature_size("dense"), network.cam_layer
    (512, 16, 'layer4')
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.part_a = create_part_a(spec.architecture, spec.kwargs)
        self.gap_size = _gap_size(self.part_a)
        self.part_b = PartB(self.gap_size, spec.hidden, len(spec.classes))

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the modules of Part A after which a feature stage ends, as timm declares."""
        info: Any = getattr(self.part_a, "feature_info", [])
        return tuple(str(stage["module"]) for stage in info)

    @property
    def cam_layer(self) -> str | None:
        """Name of the last feature stage, where class activation maps are taken."""
        return self.stages[-1] if self.stages else None

    @property
    def points(self) -> tuple[Point, ...]:
        """Feature points that the network has: without hidden layers only ``"gap"``."""
        return POINTS if self.spec.hidden else ("gap",)

    def forward_map(self, x: Tensor) -> Tensor:
        """Return the last feature map (N, C, h, w) of normalized images (N, 3, H, W)."""
        part_a: Any = self.part_a
        found: Tensor = part_a.forward_features(x)
        if found.ndim != 4:
            raise InputError(
                f"{self.spec.architecture} has no feature map: its features are {found.ndim}-D",
                "use a convolutional network",
            )
        return found

    def pooled_map(self, feature_map: Tensor) -> Tensor:
        """Return pooled features (N, D) of `forward_map`: both in turn are `forward_a`."""
        part_a: Any = self.part_a
        gap: Tensor = part_a.forward_head(feature_map)
        return gap

    @property
    def stride(self) -> int:
        """Pixels of an image for each place of the last map; 1 where Part A does not say."""
        info = getattr(self.part_a, "feature_info", None)
        return int(info[-1]["reduction"]) if info else 1

    def forward_a(self, x: Tensor) -> Tensor:
        """Return pooled features (N, D) of normalized images (N, 3, H, W)."""
        gap: Tensor = self.part_a(x)
        return gap

    def forward_b(self, gap: Tensor) -> Tensor:
        """Return logits (N, K) of pooled features (N, D)."""
        logits: Tensor = self.part_b(gap)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, K) of normalized images (N, 3, H, W)."""
        return self.forward_b(self.forward_a(x))

    def feature_size(self, point: Point) -> int:
        """Return the number of features at a point."""
        return self.gap_size if self._checked(point) == "gap" else self.spec.hidden[-1]

    def features_from_gap(self, gap: Tensor, point: Point) -> Tensor:
        """Return the features at a point from pooled features (N, D).

        Parameters
        ----------
        gap : Tensor, shape (N, D)
            Output of `forward_a`.
        point : {"gap", "dense", "dense-pre"}
            Pooled features of Part A; the last hidden layer of Part B after its ReLU (for a tuned
            network with ``hidden=(2048,)`` these are the FTX-2048); the same before the ReLU.

        Raises
        ------
        InputError
            There is no such point, or the network has no hidden layer.
        """
        if self._checked(point) == "gap":
            return gap
        before = self.part_b.before_relu(gap)
        return torch.relu(before) if point == "dense" else before

    def features(self, x: Tensor, point: Point) -> Tensor:
        """Return the features at a point of normalized images (N, 3, H, W)."""
        return self.features_from_gap(self.forward_a(x), point)

    def _checked(self, point: str) -> str:
        if point not in POINTS:
            raise InputError(
                f"there is no feature point {point!r}", f"use one of {', '.join(POINTS)}"
            )
        if point not in self.points:
            raise InputError(
                f"a network without hidden layers has no feature point {point!r}", "use gap"
            )
        return point


def _gap_size(part_a: nn.Module) -> int:
    # num_features is before, head_hidden_size after a head such as MobileNetV3's conv_head
    size: Any = getattr(part_a, "head_hidden_size", None) or part_a.num_features
    return int(size)


def state_to_save(network: Network) -> dict[str, Tensor]:
    """Return the weights under the names of a network file.

    Part A keeps timm's plain names, so that ``timm.create_model(architecture, num_classes=0,
    **kwargs).load_state_dict(state, strict=False)`` works; Part B is under ``part_b.``.

    Returns
    -------
    dict of str to Tensor
        Contiguous copies on the CPU.

    Examples
    --------
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,)))
    >>> list(state_to_save(network))[-2:]
    ['part_b.output.weight', 'part_b.output.bias']
    """
    state = {**network.part_a.state_dict(), **network.part_b.state_dict(prefix=PART_B)}
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }


def load_state(network: Network, state: Mapping[str, Tensor]) -> None:
    """Load weights that `state_to_save` returned, in place.

    Raises
    ------
    InputError
        A tensor is missing, unknown or of another shape; the message names the first one.
    """
    expected = {**network.part_a.state_dict(), **network.part_b.state_dict(prefix=PART_B)}
    problem = first_mismatch(expected, state)
    if problem:
        raise InputError(
            f"the weights do not fit a {network.spec.architecture} network: {problem}",
            "load them with the network.json that they were saved with",
        )
    part_a = {name: tensor for name, tensor in state.items() if not name.startswith(PART_B)}
    part_b = {n.removeprefix(PART_B): t for n, t in state.items() if n.startswith(PART_B)}
    network.part_a.load_state_dict(part_a)
    network.part_b.load_state_dict(part_b)


def first_mismatch(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """Return the first difference between the tensors a network has and those of a file.

    Examples
    --------
    >>> first_mismatch({"w": torch.zeros(2)}, {"w": torch.zeros(3)})
    'w has shape (3,) instead of (2,)'
    """
    for name, tensor in expected.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].shape != tensor.shape:
            shapes = tuple(found[name].shape), tuple(tensor.shape)
            return f"{name} has shape {shapes[0]} instead of {shapes[1]}"
    unknown = next((name for name in found if name not in expected), None)
    return f"{unknown} has no place in it" if unknown else None
