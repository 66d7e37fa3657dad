"""Where a network looks: class activation maps of its CAM layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histograft.core.errors import InputError
from histograft.learning.batches import normalize
from histograft.learning.cam_methods import METHODS, Method, cam_class
from histograft.learning.network import Network
from histograft.learning.regime import make_fabric


@dataclass(frozen=True)
class CamSettings:
    """How maps are made.

    Attributes
    ----------
    method : str
        One of `histograft.learning.cam_methods.METHODS`; each is the class of that name in
        ``pytorch_grad_cam``, but for Grad-CAM++, see `class_maps`.
    aug_smooth : bool
        Mean of six maps: the image and its mirror image, each with its normalized values times
        0.9, 1 and 1.1.
    eigen_smooth : bool
        First principal component of the weighted channels over the places, instead of their sum.
        A component has no sign of its own: it is given the one that agrees with the sum.
    layer : str or None
        Module of Part A to look at; None for the network's declared CAM layer.

    Raises
    ------
    InputError
        There is no such method, or HiResCAM is to be smoothed by its first component.
    """

    method: Method = "grad-cam++"
    aug_smooth: bool = False
    eigen_smooth: bool = False
    layer: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"there is no map {self.method!r}", f"use one of {', '.join(METHODS)}")
        if self.method == "hires-cam" and self.eigen_smooth:
            raise InputError(
                "HiResCAM says exactly what raised a score, which a first component does not",
                "leave out eigen smoothing, or use grad-cam",
            )


def class_maps(
    network: Network,
    images: NDArray[np.uint8],
    classes: Sequence[int] | NDArray[np.int64],
    settings: CamSettings | None = None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Return for each image a map of what speaks for one class.

    Parameters
    ----------
    network : Network
        Moved to the device. Its modes, its parameters' gradients and whether they need any are
        afterwards as before, and no hook stays, also after an error.
    images : uint8 array, shape (N, H, W, 3)
        As the network was made for; they are normalized here.
    classes : sequence of int, length N
        Number of the class to look for in each image. For several labels of an image, see
        `label_maps`.
    settings : CamSettings, optional
        Grad-CAM++ without smoothing by default.
    device : str
        "auto", "cpu" or "cuda".
    batch_size : int
        Images of a pass; maps do not depend on it but for rounding.

    Returns
    -------
    float32 array, shape (N, H, W)
        0 … 1. Each map runs from 0 to 1 (the mean of several, under `aug_smooth`, within), so
        that maps of two images cannot be compared in height. A map without any positive value,
        or one that is the same everywhere, is 0.

    Raises
    ------
    InputError
        The images or classes do not fit the network, the layer gives no maps, or an output is
        not finite.

    Notes
    -----
    With A the activations of the layer (channel k, place ij), g = ∂S/∂A of the class's logit S,
    and r = max(r, 0): Grad-CAM is r(Σ_k A_k mean_ij g_k) (Selvaraju et al. 2017,
    doi:10.1109/ICCV.2017.74). Grad-CAM++ takes as the weight of a channel Σ_ij α r(g) with
    α = 1 / (2 + g Σ_ab A_ab), which is equation 19 of Chattopadhay et al. 2018
    (doi:10.1109/WACV.2018.00097) after g² is cancelled. The package adds 1e-6 to a denominator of
    the size of g² (4e-6 in a tuned MobileNetV2, less in wider layers); here nothing is added. The
    equation takes A ≥ 0: a negative sum of A counts as 0.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(16,)))
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    >>> maps = class_maps(network, images, [0, 1], device="cpu")
    >>> maps.shape, maps.dtype, bool(maps.min() >= 0), bool(maps.max() <= 1)
    ((2, 64, 64), dtype('float32'), True, True)
    """
    chosen = settings or CamSettings()
    wanted = np.asarray(classes, dtype=np.int64)
    _check(network, images, wanted, batch_size)
    layer = _layer(network, chosen.layer)
    network.to(make_fabric(device, "32-true").device)
    maps = np.empty(images.shape[:3], np.float32)
    with _left_as_it_was(network), torch.inference_mode(mode=False), torch.enable_grad():
        machine = cam_class(chosen.method)(network, [layer], _as_maps(network.part_a))
        machine.compute_input_gradient = True  # so that parameters need no gradient
        try:
            for start in range(0, len(images), batch_size):
                rows = slice(start, start + batch_size)
                maps[rows] = _passed(machine, network, images[rows], wanted[rows], chosen)
        finally:
            # Its own context manager would print an IndexError and swallow it.
            machine.activations_and_grads.release()
    return maps


def label_maps(
    network: Network,
    images: NDArray[np.uint8],
    labels: Sequence[Sequence[int]],
    settings: CamSettings | None = None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> list[NDArray[np.float32]]:
    """Return a map for each label of each image, for networks with several labels an image.

    Parameters
    ----------
    network, images, settings, device, batch_size
        As for `class_maps`.
    labels : sequence of sequence of int, length N
        Numbers of the classes to look for in each image; none, one or several.

    Returns
    -------
    list of float32 array, length N
        For image i shape (len(labels[i]), H, W), in the order of its labels.

    Raises
    ------
    InputError
        As for `class_maps`.

    Examples
    --------
    >>> from histograft.learning.network import NetworkSpec
    >>> spec = NetworkSpec("resnet10t", ("a", "b"), hidden=(16,), task="multilabel")
    >>> images = np.zeros((2, 64, 64, 3), np.uint8)
    >>> maps = label_maps(Network(spec), images, [[0, 1], []], device="cpu")
    >>> [one.shape for one in maps]
    [(2, 64, 64), (0, 64, 64)]
    """
    if len(labels) != len(images):
        raise InputError(f"{len(labels)} lists of labels for {len(images)} images")
    pairs = [(row, label) for row, own in enumerate(labels) for label in own]
    height, width = images.shape[1:3]
    if not pairs:
        return [np.zeros((0, height, width), np.float32) for _ in labels]
    rows, classes = np.array(pairs).T
    flat = class_maps(
        network, images[rows], classes, settings, device=device, batch_size=batch_size
    )
    return np.split(flat, np.cumsum([len(own) for own in labels])[:-1])


def _passed(
    machine: Any,
    network: Network,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    settings: CamSettings,
) -> NDArray[np.float32]:
    """Return the maps of one batch."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    made = machine(
        _input(network, images),
        [ClassifierOutputTarget(int(label)) for label in classes],
        aug_smooth=settings.aug_smooth,
        eigen_smooth=settings.eigen_smooth,
    )
    if not bool(torch.isfinite(machine.outputs).all()):
        raise InputError(
            "the network gives NaN or infinity for some images", "check its weights and its input"
        )
    return np.clip(np.asarray(made, dtype=np.float32), 0, 1)


def _input(network: Network, images: NDArray[np.uint8]) -> Tensor:
    device = next(network.parameters()).device
    raw = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return normalize(raw.to(device), network.spec.mean, network.spec.std)


def _layer(network: Network, name: str | None) -> nn.Module:
    """Return the module of Part A to look at."""
    modules = dict(network.part_a.named_modules())
    if name is not None and name not in modules:
        raise InputError(
            f"{network.spec.architecture} has no module {name!r}",
            f"use one of its stages: {', '.join(network.stages)}",
        )
    chosen = name or network.cam_layer
    if chosen is None or chosen not in modules:
        raise InputError(
            f"{network.spec.architecture} declares no layer for class activation maps",
            "name one of its modules",
        )
    if name is None and hasattr(network.part_a, "cls_token") and f"{chosen}.norm1" in modules:
        # Behind the last attention only the class token matters: all maps would be empty.
        chosen = f"{chosen}.norm1"
    module: nn.Module = modules[chosen]
    return module


def _as_maps(part_a: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what brings activations into the form (N, C, h, w), as copies.

    Copies, because layers that work in place would change what a hook has noted.
    """
    channels_last = str(getattr(part_a, "output_fmt", "")).endswith("NHWC")
    prefix = int(getattr(part_a, "num_prefix_tokens", 0))

    def arranged(values: Tensor) -> Tensor:
        if values.ndim == 4:
            return (values.permute(0, 3, 1, 2) if channels_last else values).clone()
        side = isqrt(values.shape[1] - prefix) if values.ndim == 3 else 0
        if values.ndim == 3 and side * side == values.shape[1] - prefix:
            tokens = values[:, prefix:].reshape(len(values), side, side, -1)
            return tokens.permute(0, 3, 1, 2).clone()
        raise InputError(
            f"the layer gives {tuple(values.shape)}, not maps (N, C, h, w)",
            "name a convolutional layer, such as the last stage of the network",
        )

    return arranged


@contextmanager
def _left_as_it_was(network: Network) -> Iterator[None]:
    """Put modes and gradients back; inside, the network infers and its parameters need nothing."""
    modes = [(module, module.training) for module in network.modules()]
    before = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    try:
        network.eval().requires_grad_(requires_grad=False)
        for parameter, _, _ in before:
            parameter.grad = None
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, needed, gradient in before:
            parameter.requires_grad_(needed)
            parameter.grad = gradient


def _check(
    network: Network, images: NDArray[np.uint8], classes: NDArray[np.int64], batch_size: int
) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
        raise InputError(
            f"the images are {images.dtype} {images.shape}, not uint8 (N, H, W, 3)",
            "give one or more color images of 8 bits, all of one size",
        )
    if batch_size < 1:
        raise InputError(f"batch_size = {batch_size}", "use 1 or above")
    n_classes = len(network.spec.classes)
    if classes.shape != (len(images),):
        raise InputError(f"classes of shape {classes.shape} for {len(images)} images")
    if classes.min() < 0 or classes.max() >= n_classes:
        raise InputError(
            f"class numbers {classes.min()} … {classes.max()}, the network has {n_classes}",
            f"give numbers from 0 to {n_classes - 1}",
        )
