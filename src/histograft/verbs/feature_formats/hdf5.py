"""HDF5 as the layouts use it: errors that name the file, attributes as plain values, our extras."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.verbs.feature_formats.tiles import Extras, SlideTiles, TileScale

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

OURS = "histo_"
# All of `TileScale` in one attribute, where a layout has no room for its parts.
SCALE = "histo_tiles"
ENCODER = "histo_encoder"
ROWS_PER_CHUNK = 256


@contextmanager
def reading(path: Path) -> Iterator[h5py.File]:
    """Open a file to read; damage becomes an error that names it."""
    import h5py

    if not path.is_file():
        raise InputError(f"{path} is not there", "see that all files of the slide were copied")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:  # h5py's words for damage
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            f"{path} is truncated or no HDF5 file: {reason}",
            "copy it again and compare its size with the source, or compute it again",
        ) from error


def dataset(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    """Read a whole dataset.

    Raises
    ------
    InputError
        The file has none of that name; the message lists those that it has.
    """
    import h5py
    import numpy as np

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise InputError(
            f"{path} has no dataset {name!r} (it has: {', '.join(file) or 'none'})",
            "give a file with features and coordinates of tiles, or compute it again",
        )
    return np.asarray(found[()])


def plain_attributes(holder: Any) -> dict[str, Any]:
    """Attributes of a file or dataset as Python values; TRIDENT's text None is None."""
    return {name: _plain(value) for name, value in holder.attrs.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        value = value.tolist()
    return None if isinstance(value, str) and value == "None" else value


def number(attributes: dict[str, Any], name: str, path: Path) -> float | None:
    """Return a number of the attributes, None where it is not stated.

    Raises
    ------
    InputError
        It is no number.
    """
    value = attributes.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise InputError(
            f"{path}: the attribute {name} is {value!r}, not a number", "mend the file"
        )
    return value


def whole_number(attributes: dict[str, Any], name: str, path: Path) -> int | None:
    """Return a whole number of the attributes, None where it is not stated.

    Raises
    ------
    InputError
        It is no whole number.
    """
    value = number(attributes, name, path)
    if value is not None and value != int(value):
        raise InputError(f"{path}: the attribute {name} is {value!r}, not whole", "mend the file")
    return None if value is None else int(value)


def write_rows(holder: h5py.File, name: str, rows: NDArray[np.generic]) -> h5py.Dataset:
    """Write an array (N, D) that can grow, in chunks of rows; N may be 0."""
    return holder.create_dataset(
        name,
        data=rows,
        chunks=(ROWS_PER_CHUNK, rows.shape[1]),
        maxshape=(None, rows.shape[1]),
    )


def write_extras(file: h5py.File, holder: Any, tiles: SlideTiles, *, with_scale: bool) -> None:
    """Write what other programs have no room for: datasets into `file`, attributes of `holder`.

    Parameters
    ----------
    file : h5py.File
        The open file.
    holder : h5py.File or h5py.Dataset
        What gets the attributes.
    tiles : SlideTiles
        The slide.
    with_scale : bool
        Also the model and all of its `TileScale`, where the layout states only parts of it.
    """
    extras = tiles.extras
    for name, value in extras.attributes.items():
        holder.attrs[f"{OURS}{name}"] = "None" if value is None else value
    if with_scale:
        holder.attrs[SCALE] = json.dumps(tiles.scale.as_json())
        holder.attrs[ENCODER] = str(tiles.model)
    file.create_dataset("status", data=extras.status)
    file.create_dataset("left_out", data=extras.left_out)
    file.create_dataset("left_out_status", data=extras.left_out_status)


def read_extras(file: h5py.File, holder: Any) -> Extras:
    """Read back what `write_extras` wrote; what is not there stays None."""
    attributes = {
        name.removeprefix(OURS): value
        for name, value in plain_attributes(holder).items()
        if name.startswith(OURS) and name not in (SCALE, ENCODER)
    }
    arrays = {name: file.get(name) for name in ("status", "left_out", "left_out_status")}
    return Extras(
        **{k: None if v is None else v[()] for k, v in arrays.items()}, attributes=attributes
    )


def read_scale(holder: Any, path: Path) -> TileScale | None:
    """Read back the scale that `write_extras` wrote, None in files of others."""
    text = holder.attrs.get(SCALE)
    if text is None:
        return None
    try:
        return TileScale.from_json(json.loads(text), path)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: its attribute {SCALE} is no JSON", "mend the file") from error
