"""PyTorch files of one tensor, as programs of the field keep features in them."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histograft.core.errors import InputError


def read_tensor(path: Path) -> NDArray[Any]:
    """Read a tensor, or a list of equal tensors stacked, without ever running a pickle.

    Parameters
    ----------
    path : pathlib.Path
        A file of ``torch.save``.

    Returns
    -------
    array
        Of the tensor's own type; bfloat16, which NumPy lacks, becomes float32.

    Raises
    ------
    InputError
        The file is absent, truncated, or holds something else than a tensor.
    """
    if not path.is_file():
        raise InputError(f"{path} is not there", "see that all files of the slide were copied")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an old pickle protocol: what counts comes below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path):
            raise _truncated(path, error) from error
        raise InputError(
            f"{path} is a pickle of something else than a tensor (TRIDENT's saveas='pt' pickles a "
            "NumPy array), so opening it could run code",
            "extract the features again as HDF5, or, where you trust the file, open it and save "
            "torch.from_numpy(features)",
        ) from error
    except Exception as error:  # a damaged file can fail at any step of reading it
        raise _truncated(path, error) from error
    if isinstance(content, (list, tuple)) and content and _are_alike(content):
        content = torch.stack(list(content))
    if not isinstance(content, torch.Tensor):
        raise InputError(
            f"{path} holds a {type(content).__name__}, not a tensor", "save the tensor alone"
        )
    if content.dtype == torch.bfloat16:
        content = content.float()
    return np.asarray(content.detach().numpy())


def write_tensor(path: Path, values: NDArray[np.float32]) -> None:
    """Write an array as a tensor that opens with ``weights_only=True``; equal arrays, equal bytes.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    values : array of float32
        Of any shape.
    """
    buffer = io.BytesIO()  # torch writes a file's name into the file
    torch.save(torch.from_numpy(np.ascontiguousarray(values)), buffer)
    path.write_bytes(buffer.getbuffer())


def _are_alike(items: Any) -> bool:
    return all(isinstance(t, torch.Tensor) and t.shape == items[0].shape for t in items)


def _truncated(path: Path, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(
        f"{path} is truncated or no PyTorch file: {reason[:200]}",
        "copy it again and compare its size with the source, or compute it again",
    )
