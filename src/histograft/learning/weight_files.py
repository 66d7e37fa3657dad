"""Reading a file of weights into named tensors, without ever running a pickle."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from histograft.core.errors import InputError
from histograft.learning.keras_xception import KERAS_FACTS, read_keras_xception

METADATA_KEYS = ("architecture", "kwargs", "mean", "std")
_WRAPPERS = ("state_dict", "model", "state_dict_ema", "teacher")


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights holds.

    Attributes
    ----------
    state : dict of str to Tensor
        Tensors on the CPU under the names of the file, without ``module.``.
    metadata : dict
        Those of ``architecture``, ``kwargs``, ``mean``, ``std`` that the file, or else the JSON
        beside it, states.
    sha256 : str
        Of the file.
    """

    state: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""


def read_weight_file(path: Path) -> WeightFile:
    """Read a safetensors file, a PyTorch file of plain tensors or a Keras Xception file.

    Parameters
    ----------
    path : pathlib.Path
        ``.safetensors``; ``.pth``, ``.pt`` or ``.bin`` (opened with ``weights_only=True``, also
        with the tensors under ``state_dict`` or ``model``, names with or without ``module.``);
        ``.h5`` or ``.hdf5`` of Keras Xception without top.

    Raises
    ------
    InputError
        The file is absent, truncated, of an unknown kind, or a pickle with more than tensors.
    """
    if not path.is_file():
        raise InputError(f"there is no weights file {path}", "give the path of a file of weights")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        state, stated = _read_safetensors(path)
    elif suffix in (".pth", ".pt", ".bin"):
        state, stated = _read_torch(path), {}
    elif suffix in (".h5", ".hdf5"):
        state, stated = read_keras_xception(path), dict(KERAS_FACTS)
    else:
        raise InputError(
            f"{path} does not end like a file of weights",
            "give .safetensors, .pth, .pt, .bin, or a Keras Xception .h5",
        )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    beside = _read_json_beside(path.with_suffix(".json"))
    return WeightFile(state, {**beside, **stated}, sha256)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise InputError(
            f"{path} is not a whole safetensors file: {error}",
            "copy or download it again, and compare its size with the source",
        ) from error
    known = {key: metadata[key] for key in METADATA_KEYS if key in metadata}
    for key in set(known) - {"architecture"}:
        text = known[key]
        bare_list = key != "kwargs" and not text.lstrip().startswith("[")  # "0.5,0.5,0.5"
        try:
            known[key] = json.loads(f"[{text}]" if bare_list else text)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}: its metadata {key} = {known[key]!r} is not JSON",
                f"write it as JSON, or state {key} with a flag and remove it from the file",
            ) from error
    return state, _check_metadata(known, path)


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an old pickle protocol: what counts comes below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _looks_whole(path):
            raise _truncated(path, error) from error
        raise InputError(
            f"{path} is a pickle that holds more than tensors, so opening it could run code",
            "in a sandbox that you trust, open it and save the state dict alone with safetensors",
        ) from error
    except Exception as error:  # a damaged file can fail at any step of reading it
        raise _truncated(path, error) from error
    return _unwrapped(content, path)


def _looks_whole(path: Path) -> bool:
    if zipfile.is_zipfile(path):
        return True
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(-1, 2)
        return start[:1] == b"\x80" and file.read(1) == b"."  # a pickle's first and last opcode


def _truncated(path: Path, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(
        f"{path} is truncated or no PyTorch file: {reason[:200]}",
        "copy or download it again, and compare its size with the source",
    )


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"{path} holds no state dict but a {type(content).__name__}",
            "save model.state_dict() alone, best with safetensors",
        )
    other = next((k for k, v in content.items() if not isinstance(v, Tensor)), None)
    if other is not None:
        raise InputError(
            f"{path}: the entry {other!r} of its state dict is no tensor",
            "save model.state_dict() alone, best with safetensors",
        )
    state = {str(name): tensor for name, tensor in content.items()}
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def _read_json_beside(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} (beside the weights) is not JSON: {error}", "mend it, or move it away"
        ) from error
    if not isinstance(values, dict):
        raise InputError(f"{path} (beside the weights) is no JSON object", "mend it")
    return _check_metadata({key: values[key] for key in METADATA_KEYS if key in values}, path)


def _check_metadata(values: dict[str, Any], path: Path) -> dict[str, Any]:
    if isinstance(values.get("kwargs"), dict):
        # the size of a classifier that is dropped, and where the weights once came from
        dropped = ("num_classes", "pretrained")
        values["kwargs"] = {k: v for k, v in values["kwargs"].items() if k not in dropped}
    for key, value in values.items():
        if key == "architecture":
            good = isinstance(value, str)
        elif key == "kwargs":
            good = isinstance(value, dict)
        else:
            good = (
                isinstance(value, list)
                and len(value) == 3
                and all(isinstance(v, int | float) for v in value)
            )
        if not good:
            raise InputError(
                f"{path}: {key} = {value!r} is not "
                + {"architecture": "a name", "kwargs": "an object"}.get(key, "three numbers"),
                "mend it there, or state it with a flag and remove it there",
            )
    return values
