"""Read the table with the labels that a release keeps beside its images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.catalogue.label_tables import ImageFacts, facts_of_images
from histograft.core.errors import InputError
from histograft.verbs.text_tables import read_text_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from histograft.catalogue.entry import Entry


def read_label_table(folder: Path, entry: Entry) -> dict[str, ImageFacts]:
    """Read what the table of a release says of its images.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the data set; the table lies in it or further below.
    entry : Entry
        The data set.

    Returns
    -------
    dict of str to ImageFacts
        By `histograft.catalogue.label_tables.image_key`; empty for a set without a table.

    Raises
    ------
    InputError
        The table or an array of its splits is not there, is there twice, or cannot be read.
    """
    table = entry.table
    if table is None:
        return {}
    path = _find(folder, table.file, entry)
    # Grade.csv of GlaS has a blank before each name.
    frame = read_text_table(path, [table.image]).rename(columns=str.strip)
    rows = [
        dict(zip(frame.columns, cells, strict=True))
        for cells in frame.itertuples(index=False, name=None)
    ]
    splits = {
        split: _positions(_find(path.parent, name, entry)) for split, name in table.split_arrays
    }
    return facts_of_images(table, rows, splits)


def _find(folder: Path, name: str, entry: Entry) -> Path:
    found = sorted(p for p in folder.rglob(name) if p.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"{folder} lacks {name}, which says what the images of {entry.name} show",
            f"run `histograft catalogue {entry.name}` to see how to get it, or add a samples.csv",
        )
    raise InputError(
        f"{folder} holds {name} {len(found)} times, such as {found[0]} and {found[1]}",
        "keep one of them",
    )


def _positions(path: Path) -> NDArray[Any]:
    import numpy as np

    try:
        positions: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(
            f"{path} is no NumPy array that can be read ({error})", "copy it again"
        ) from error
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        raise InputError(
            f"{path} holds {positions.dtype} of shape {positions.shape}, not row numbers",
            "use the file as it was released",
        )
    return positions
