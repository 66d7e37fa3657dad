"""Read patches back: the table of a patches artefact and its images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.core.tables import PATCHES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

METADATA = "metadata.parquet"


class PatchImages:
    """Patches by position, decoded when asked for.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the artefact.
    file_names : list of str
        Paths below it.
    """

    def __init__(self, folder: Path, file_names: list[str]) -> None:
        self._folder = folder
        self._file_names = file_names

    def __len__(self) -> int:
        return len(self._file_names)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Pixels of one patch, uint8 (H, W, 3)."""
        from histograft.imaging.read import decode_image

        path = self._folder / self._file_names[index]
        pixels: NDArray[np.uint8] = decode_image(path.read_bytes(), path.name).pixels
        return pixels


def load_patches(artefact: Artefact) -> pd.DataFrame:
    """Load the table of a patches artefact."""
    import pandas as pd

    table = pd.read_parquet(artefact.file(METADATA))
    return PATCHES.check(table, f"{artefact.path.name}/{METADATA}")


def images_of(artefact: Artefact, table: pd.DataFrame) -> PatchImages:
    """Give access to the images of some rows of the artefact's table."""
    return PatchImages(artefact.path, list(table["file_name"]))
