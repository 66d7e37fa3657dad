"""The feature file of one slide: HDF5 in TRIDENT's schema, with our attributes beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import ArtefactError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.core.units import TileSpec

ROWS_PER_CHUNK = 256


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


def write_slide_features(
    path: Path, encoder: str, blocks: Iterable[NDArray[np.float32]], size: int, table: TileTable,
    facts: SlideFacts,
) -> None:  # fmt: skip
    """Write the features of one slide, block by block.

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
        features.attrs.update(_of_features(encoder, facts))
        coords = file.create_dataset(
            "coords", data=table.coords, chunks=(ROWS_PER_CHUNK, 2), maxshape=(None, 2)
        )
        coords.attrs.update(_of_coords(facts))
        file.create_dataset("status", data=table.status)
        file.create_dataset("left_out", data=table.left_out)
        file.create_dataset("left_out_status", data=table.left_out_status)


def _of_features(encoder: str, facts: SlideFacts) -> dict[str, Any]:
    """Attributes of the dataset ``features``."""
    ours = {
        "mpp_level0": facts.spec.mpp0,
        "mpp_target": facts.spec.target_mpp,
        "mpp_effective": facts.spec.effective_mpp,
        "mpp_source": facts.mpp_source,
    } | facts.further
    plain = {
        f"histo_{name}": value if isinstance(value, (str, int, float)) else json.dumps(value)
        for name, value in ours.items()
    }
    return {"name": facts.slide_id, "savetodir": "", "encoder": encoder} | plain


def _of_coords(facts: SlideFacts) -> dict[str, Any]:
    """Attributes of the dataset ``coords``, by which TRIDENT would cut the tiles again."""
    spec = facts.spec
    return {
        "name": facts.slide_id,
        "savetodir": "",
        "patch_size": spec.tile_px,
        "patch_size_level0": spec.side0,
        "level0_magnification": 10 / spec.mpp0,
        "target_magnification": 10 / spec.target_mpp,
        "overlap": round(spec.overlap_px),
        "level0_width": facts.width0,
        "level0_height": facts.height0,
    }
