"""Keras's Xception without top, converted to timm's ``legacy_xception``.

The weights that the FTX paper starts from. The two networks have the same layers under other
names; Keras pads like TensorFlow and has ε 1e-3 in BatchNorm, so the converted weights carry the
keyword arguments ``tf_same`` and ``bn_eps`` of `histograft.learning.architectures.create_part_a`.

Chollet 2017, doi:10.1109/CVPR.2017.195.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histograft.core.errors import InputError
from histograft.learning.architectures import create_part_a

KERAS_FACTS: Mapping[str, Any] = {
    "architecture": "legacy_xception",
    "kwargs": {"tf_same": True, "bn_eps": 1e-3},
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
_BN = ("weight", "bias", "running_mean", "running_var")  # Keras: gamma, beta, mean, variance


def keras_layer_names() -> dict[str, str]:
    """Return timm's module name for each layer of Keras's Xception, in Keras's order.

    The residual convolutions and their BatchNorm have automatic names in Keras (``conv2d_1``,
    ``batch_normalization_1`` …), which depend on what was built before; here they are
    ``residual1`` … ``residual4`` and ``residual1_bn`` …

    Examples
    --------
    >>> names = keras_layer_names()
    >>> names["block2_sepconv1"], names["block14_sepconv2_bn"], names["residual4"], len(names)
    ('block1.rep.0', 'bn4', 'block12.skip', 80)
    """
    names = {}
    for i in (1, 2):
        names[f"block1_conv{i}"], names[f"block1_conv{i}_bn"] = f"conv{i}", f"bn{i}"
    residual = 0
    for block in range(2, 14):
        theirs = f"block{block - 1}"
        if block in (2, 3, 4, 13):
            residual += 1
            names[f"residual{residual}"] = f"{theirs}.skip"
            names[f"residual{residual}_bn"] = f"{theirs}.skipbn"
        first = 0 if block == 2 else 1  # block 2 does not start with a ReLU
        for i in range(2 if block in (2, 3, 4, 13) else 3):
            names[f"block{block}_sepconv{i + 1}"] = f"{theirs}.rep.{first + 3 * i}"
            names[f"block{block}_sepconv{i + 1}_bn"] = f"{theirs}.rep.{first + 3 * i + 1}"
    for i in (1, 2):
        names[f"block14_sepconv{i}"], names[f"block14_sepconv{i}_bn"] = f"conv{i + 2}", f"bn{i + 2}"
    return names


def convert_keras_xception(layers: Mapping[str, Sequence[NDArray[Any]]]) -> dict[str, Tensor]:
    """Convert the layers of Keras's Xception to a timm state dict.

    Parameters
    ----------
    layers : mapping of str to sequence of arrays
        For each layer with weights, by the names of `keras_layer_names` (or Keras's automatic
        names), its arrays in Keras's order: a convolution (kernel,), a separable one (depthwise
        kernel, pointwise kernel), BatchNorm (gamma, beta, moving mean, moving variance). Kernels
        are (height, width, in, out), depthwise kernels (height, width, in, 1).

    Returns
    -------
    dict of str to Tensor
        float32, for ``legacy_xception`` without classifier. Every tensor of both sides is used
        exactly once, apart from PyTorch's batch counters, which are zero.

    Raises
    ------
    InputError
        A layer is missing or unknown, or an array has another shape.
    """
    named = _named(layers)
    targets = keras_layer_names()
    missing = [name for name in targets if name not in named]
    unknown = [name for name in named if name not in targets]
    if missing or unknown:
        raise InputError(
            f"these are not the {len(targets)} layers of Keras's Xception without top: "
            f"missing {missing[:3] or 'none'}, unknown {unknown[:3] or 'none'}",
            "give xception_weights_tf_dim_ordering_tf_kernels_notop.h5 or a copy of its layout",
        )
    expected = create_part_a("legacy_xception").state_dict()
    state = {n: torch.zeros_like(t) for n, t in expected.items() if n.endswith("_tracked")}
    for name, module in targets.items():
        for key, array in _arrays_of(name, module, named[name]):
            wanted = tuple(expected[key].shape) if key in expected else None
            if wanted != array.shape or key in state:
                raise InputError(
                    f"layer {name} of the Keras file has shape {array.shape} where timm's {key} "
                    f"has {wanted}",
                    "give the weights of Keras's Xception",
                )
            state[key] = torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
    return {key: state[key] for key in expected}


def _arrays_of(
    name: str, module: str, arrays: Sequence[NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    if name.endswith("_bn"):
        keys = [f"{module}.{part}" for part in _BN]
        axes: list[tuple[int, ...]] = [(0,)] * 4
    elif "sepconv" in name:
        # depthwise (h, w, in, 1) -> (in, 1, h, w); pointwise (1, 1, in, out) -> (out, in, 1, 1)
        keys = [f"{module}.conv1.weight", f"{module}.pointwise.weight"]
        axes = [(2, 3, 0, 1), (3, 2, 0, 1)]
    else:
        keys, axes = [f"{module}.weight"], [(3, 2, 0, 1)]
    shapes = [np.shape(array) for array in arrays]
    if len(arrays) != len(keys) or any(len(s) != len(a) for s, a in zip(shapes, axes, strict=True)):
        raise InputError(
            f"layer {name} of the Keras file has arrays of shape {shapes}, not {len(keys)} arrays "
            f"of {len(axes[0])} axes",
            "give the weights of Keras's Xception",
        )
    for key, array, order in zip(keys, arrays, axes, strict=True):
        yield key, np.transpose(array, order)


def _named(layers: Mapping[str, Sequence[NDArray[Any]]]) -> dict[str, Sequence[NDArray[Any]]]:
    """Give the residual layers their names: they are the only ones with automatic names."""
    named = {name: arrays for name, arrays in layers.items() if _is_ours(name)}
    automatic = [name for name in layers if not _is_ours(name)]
    for kind, suffix in (("conv", ""), ("batch", "_bn")):
        of_kind = sorted((n for n in automatic if n.startswith(kind)), key=_counter)
        for i, name in enumerate(of_kind, start=1):
            named[f"residual{i}{suffix}"] = layers[name]
        automatic = [name for name in automatic if name not in of_kind]
    return named | {name: layers[name] for name in automatic}


def _is_ours(name: str) -> bool:
    return name.startswith(("block", "residual"))


def _counter(name: str) -> int:
    number = re.search(r"_(\d+)$", name)
    return int(number.group(1)) if number else 0


def read_keras_xception(path: Path) -> dict[str, Tensor]:
    """Read a Keras ``.h5`` of Xception without top into a timm state dict.

    Parameters
    ----------
    path : pathlib.Path
        A file in the HDF5 layout of Keras 1 and 2 (attributes ``layer_names`` and
        ``weight_names``, at the root or under ``model_weights``) or in that of Keras 3
        (``.weights.h5``).

    Raises
    ------
    InputError
        The file is not HDF5 or truncated, or does not hold these layers.
    """
    try:
        with h5py.File(path, "r") as file:
            layers = _read_layers(file)
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{path} is not a whole HDF5 file of Keras weights: {error}",
            "copy or download it again, and compare its size with the source",
        ) from error
    try:
        return convert_keras_xception(layers)
    except InputError as error:
        raise InputError(f"{path}: {error.problem}", error.fix) from error


def _read_layers(file: h5py.File) -> dict[str, list[NDArray[Any]]]:
    root = file.get("model_weights", file)
    if "layer_names" not in root.attrs:
        return _read_keras3_layers(file)
    layers = {}
    for name in map(_text, root.attrs["layer_names"]):
        group = root[name]
        arrays = [np.asarray(group[_text(weight)]) for weight in group.attrs["weight_names"]]
        if arrays:
            layers[name] = arrays
    return layers


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_keras3_layers(file: h5py.File) -> dict[str, list[NDArray[Any]]]:
    """Keras 3 names groups by class and counter, and keeps the layer's name as an attribute."""
    layers = {}
    for group in file["layers"].values():
        arrays = group["vars"]
        if len(arrays):
            name = _text(arrays.attrs["name"])
            layers[name] = [np.asarray(arrays[key]) for key in sorted(arrays, key=int)]
    return layers
