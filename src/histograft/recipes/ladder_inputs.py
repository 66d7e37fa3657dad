"""What the sets of a ladder hold, as far as their tables and the headers of their files tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.errors import ImageError, InputError
from histograft.core.reporter import SILENT
from histograft.verbs.annotating import stated_split, with_splits
from histograft.verbs.patching import read_image_size
from histograft.verbs.piece_jobs import planned_size
from histograft.verbs.rescale import Rescale, read_samples

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Given:
    """A set as the user gave it, before pieces are made of it.

    Attributes
    ----------
    path : pathlib.Path
        As it was given.
    table : pandas.DataFrame
        As of `histograft.verbs.piece_samples.Samples`; with ``split``, where that is known before
        pieces are found on slides.
    sizes : list of (width, height), or None
        Native pixels of each image; None for slides.
    rescaling : Rescale
        How pieces are made of it, at the finest level.
    id : str
        Hash of what it holds.
    """

    path: Path
    table: pd.DataFrame
    sizes: list[tuple[int, int]] | None
    rescaling: Rescale
    id: str

    def names(self, rows: pd.Series) -> list[str]:
        """Return what the user calls the files of some rows, given as booleans."""
        return [str(name) for name in self.table.loc[rows, "file"]]

    def sizes_at(self, level: float) -> list[tuple[int, int]]:
        """Return (width, height) of the pieces at a level; empty for slides."""
        config = replace(self.rescaling, level=level)
        scales = self.table["mpp"].astype(object).where(self.table["mpp"].notna(), None)
        rows = zip(self.sizes, scales, strict=True) if self.sizes is not None else ()
        return [planned_size(*size, mpp, config) for size, mpp in rows]


def read_given(path: Path, rescaling: Rescale) -> Given:
    """Read a set, and refuse what cannot be made into pieces.

    The split is read or drawn as `rescale` does it.

    Parameters
    ----------
    path : pathlib.Path
        As it was given.
    rescaling : Rescale
        At the finest level that is wanted of it.

    Raises
    ------
    InputError
        The table or some images cannot be used; the level is finer than they are.
    """
    from histograft.imaging.scale_pair import level_factors

    samples = read_samples(rescaling)
    source, table = samples.source, samples.table.copy()
    if samples.of_slides:
        try:
            level_factors([rescaling.level], float(table["mpp"].max()))
        except InputError as error:
            raise InputError(f"{path}: {error.problem}", error.fix) from error
        stated = stated_split(table, rescaling.splitting, source, SILENT)
        if stated is not None:
            table["split"] = stated[0]
        return Given(path, table, None, rescaling, samples.id)
    sizes = _sizes(path, source.root, list(table["file"]), rescaling.max_image_px)
    table = with_splits(table, rescaling.splitting, source, SILENT)
    return Given(path, table, sizes, rescaling, samples.id)


def _sizes(path: Path, root: Path, files: list[str], max_pixels: int) -> list[tuple[int, int]]:
    """Sizes of all images, in order."""
    sizes, faults = [], []
    for file in files:
        try:
            sizes.append(read_image_size(root / file, file, max_pixels))
        except ImageError as error:
            faults.append(str(error))
    if faults:
        shown = "\n  ".join(faults[:3])
        more = f"\n  and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(
            f"{path}: {len(faults)} of {len(files)} images cannot be used:\n  {shown}{more}",
            "mend them or take them out of the table, and run the same command again",
        )
    return sizes
