"""The feature file of one slide: HDF5 in TRIDENT's schema, with our attributes beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import ArtefactError
from histograft.verbs.feature_formats.hdf5 import ROWS_PER_CHUNK, write_rows
from histograft.verbs.feature_formats.tiles import TileScale

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

    from histograft.core.units import TileSpec


@dataclass(frozen=True)
class TileTable:
    """Where the tiles of a slide lie and what became of them.

    Attributes
    ----------
    coords : array of int64, shape (N, 2)
        x and y of the upper left corners in level-0 pixels, row i of the features.
    status : array of uint8, shape (N,)
        `histograft.imaging.stain.StainStatus`, zeros where no stain was normalized.
    left_out : array of int64, shape (M, 2)
        Corners of tiles that could not be read; they have no features.
    left_out_status : array of uint8, shape (M,)
        `histograft.imaging.slide_tiles.TileStatus` of these.
    """

    coords: NDArray[np.int64]
    status: NDArray[np.uint8]
    left_out: NDArray[np.int64]
    left_out_status: NDArray[np.uint8]


@dataclass(frozen=True)
class SlideFacts:
    """What a feature file says of its slide and its tiles.

    Attributes
    ----------
    slide_id : str
        Name of the slide.
    width0, height0 : int
        Its size in level-0 pixels.
    mpp_source : str
        Where its µm/px is from.
    spec : TileSpec
        Size and scale of the tiles.
    further : dict
        What else the file states, JSON values; names get the prefix ``histo_``.
    """

    slide_id: str
    width0: int
    height0: int
    mpp_source: str
    spec: TileSpec
    further: dict[str, Any]


@dataclass(frozen=True)
class FileHead:
    """What a feature file of any origin states of its slide.

    Attributes
    ----------
    slide_id, encoder : str
        Names of the slide and of the model.
    scale : TileScale
        Size and scale of the tiles; what is not known is written as TRIDENT's text ``None``.
    further : dict
        What else is stated, plain values; names get the prefix ``histo_``.
    """

    slide_id: str
    encoder: str
    scale: TileScale
    further: dict[str, Any]


def write_slide_features(
    path: Path, encoder: str, blocks: Iterable[NDArray[np.float32]], size: int, table: TileTable,
    facts: SlideFacts,
) -> None:  # fmt: skip
    """Write the features of one slide that was tiled here, block by block.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    encoder : str
        Name of the model.
    blocks : iterable of float32 arrays, shape (n, D)
        Features in the order of ``table.coords``; only one block is in memory at a time.
    size : int
        Number of features D.
    table : TileTable
        The tiles.
    facts : SlideFacts
        The slide.
    """
    spec = facts.spec
    scale = TileScale(
        tile_px=spec.tile_px,
        side0=spec.side0,
        overlap_px=round(spec.overlap_px),
        mpp0=spec.mpp0,
        mpp_source=facts.mpp_source,
        target_mpp=spec.target_mpp,
        width0=facts.width0,
        height0=facts.height0,
    )
    plain = {
        name: value if isinstance(value, (str, int, float)) else json.dumps(value)
        for name, value in facts.further.items()
    }
    write_rows_of_slide(path, FileHead(facts.slide_id, encoder, scale, plain), blocks, size, table)


def write_rows_of_slide(
    path: Path,
    head: FileHead,
    blocks: Iterable[NDArray[np.float32]],
    size: int,
    table: TileTable,
) -> None:
    """Write a feature file in TRIDENT's schema, with our attributes and datasets beside it.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    head : FileHead
        What it states.
    blocks : iterable of float32 arrays, shape (n, D)
        Features in the order of ``table.coords``; only one block is in memory at a time.
    size : int
        Number of features D.
    table : TileTable
        The tiles.

    Raises
    ------
    ArtefactError
        Features and places differ in number.
    """
    import h5py
    import numpy as np

    with h5py.File(path, "w") as file:
        n_tiles = len(table.coords)
        features = file.create_dataset(
            "features",
            (n_tiles, size),
            np.float32,
            chunks=(ROWS_PER_CHUNK, size),
            maxshape=(None, size),
        )
        row = 0
        for block in blocks:
            features[row : row + len(block)] = block
            row += len(block)
        if row != n_tiles:
            raise ArtefactError(
                f"{path.name}: features of {row} tiles for {n_tiles} places",
                "delete the folder of the slide and run again",
            )
        features.attrs.update(_of_features(head))
        write_places(file, head, table.coords)
        file.create_dataset("status", data=table.status)
        file.create_dataset("left_out", data=table.left_out)
        file.create_dataset("left_out_status", data=table.left_out_status)


def write_places(file: h5py.File, head: FileHead, places: NDArray[np.int64]) -> h5py.Dataset:
    """Write the dataset ``coords`` with the attributes by which TRIDENT would cut the tiles again.

    Parameters
    ----------
    file : h5py.File
        The open file.
    head : FileHead
        What it states.
    places : array of int64, shape (N, 2)
        Upper left corners in level-0 pixels.
    """
    coords = write_rows(file, "coords", places)
    scale = head.scale
    level0, target = magnifications(scale)
    stated = {
        "name": head.slide_id,
        "savetodir": "",
        "patch_size": scale.tile_px,
        "patch_size_level0": scale.side0,
        "level0_magnification": level0,
        "target_magnification": target,
        "overlap": scale.overlap_px,
        "level0_width": scale.width0,
        "level0_height": scale.height0,
    }
    coords.attrs.update({name: _stated(value) for name, value in stated.items()})
    return coords


def magnifications(scale: TileScale) -> tuple[float | None, float | None]:
    """Labels of level 0 and of the tiles: those stated, else 10 / (µm/px), else None.

    Examples
    --------
    >>> magnifications(TileScale(mpp0=0.25, target_mpp=0.5))
    (40.0, 20.0)
    """
    tile_mpp = scale.target_mpp or scale.effective_mpp
    level0 = scale.level0_magnification or (10 / scale.mpp0 if scale.mpp0 else None)
    return level0, scale.target_magnification or (10 / tile_mpp if tile_mpp else None)


def _of_features(head: FileHead) -> dict[str, Any]:
    """Attributes of the dataset ``features``."""
    scale = head.scale
    ours = {
        "mpp_level0": scale.mpp0,
        "mpp_target": scale.target_mpp,
        "mpp_effective": scale.effective_mpp,
        "mpp_source": scale.mpp_source,
    } | head.further
    named = {f"histo_{name}": _stated(value) for name, value in ours.items()}
    return {"name": head.slide_id, "savetodir": "", "encoder": head.encoder} | named


def _stated(value: Any) -> Any:
    return "None" if value is None else value
