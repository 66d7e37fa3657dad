"""What the table of a release says of its images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from histograft.catalogue.entry import LabelTable
from histograft.core.errors import InputError

_ENDING = re.compile(r"\.(?:png|jpe?g|tiff?|bmp)$")


@dataclass(frozen=True)
class ImageFacts:
    """What a table says of one image.

    Attributes
    ----------
    label : str
        Its class, or several joined by ``|``; empty where the table names none.
    group, split : str or None
        None where the table does not tell.
    """

    label: str
    group: str | None
    split: str | None


def image_key(name: str) -> str:
    """Reduce the name of an image to what a table and a folder have in common.

    Releases write one name in several ways (``Case 3 - A10 - 1`` in the table, and
    ``Case-3-A10-1.jpg`` on disk), so only letters and digits count, without the ending.

    Parameters
    ----------
    name : str
        Name of a file, or as a table has it.

    Returns
    -------
    str
        Its key.

    Examples
    --------
    >>> image_key("Case 3 - A10 - 1"), image_key("Case-3-A10-1.jpg")
    ('case-3-a10-1', 'case-3-a10-1')
    """
    plain = _ENDING.sub("", name.strip().lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def facts_of_images(
    table: LabelTable,
    rows: Sequence[Mapping[str, str]],
    splits: Mapping[str, Iterable[int]] | None = None,
) -> dict[str, ImageFacts]:
    """Read what a table says of each image.

    Parameters
    ----------
    table : LabelTable
        Which columns to read.
    rows : sequence of mapping of str to str
        The rows of the table, column to cell.
    splits : mapping of str to iterable of int, optional
        Split to the positions of its rows, from 0.

    Returns
    -------
    dict of str to ImageFacts
        By `image_key`.

    Raises
    ------
    InputError
        A column is missing, an image has two rows, a cell of a multi-label set is neither 0 nor
        1, or a position is not that of a row or is in two splits.

    Examples
    --------
    >>> table = LabelTable(file="t.csv", image="name", label="grade")
    >>> facts_of_images(table, [{"name": "a", "grade": " benign"}])["a"].label
    'benign'
    """
    needed = [table.image, table.label, table.group, table.split, *table.label_columns]
    missing = [c for c in needed if c is not None and rows and c not in rows[0]]
    if missing:
        raise InputError(
            f"{table.file} lacks the column(s) {', '.join(missing)}",
            "use the table as it was released",
        )
    split_of_row = _split_of_rows(table, splits or {}, len(rows))
    words, facts = dict(table.words), {}
    for number, row in enumerate(rows):
        key = image_key(row[table.image])
        if key in facts:
            raise InputError(
                f"{table.file} has two rows for {row[table.image]!r}", "keep the right one"
            )
        stated = row[table.split].strip() if table.split else None
        facts[key] = ImageFacts(
            label=_label(table, row, words),
            group=row[table.group].strip() if table.group else None,
            split=split_of_row.get(number, stated),
        )
    return facts


def _label(table: LabelTable, row: Mapping[str, str], words: Mapping[str, str]) -> str:
    if table.label is not None:
        stated = row[table.label].strip()
        return words.get(stated, stated)
    return "|".join(c for c in table.label_columns if _is_one(table, row, c))


def _is_one(table: LabelTable, row: Mapping[str, str], column: str) -> bool:
    cell = row[column].strip()
    if cell not in {"0", "1", "0.0", "1.0"}:
        raise InputError(
            f"{table.file}: {row[table.image]!r} has {cell!r} in column {column}, not 0 or 1",
            "use the table as it was released",
        )
    return cell.startswith("1")


def _split_of_rows(
    table: LabelTable, splits: Mapping[str, Iterable[int]], n_rows: int
) -> dict[int, str]:
    found: dict[int, str] = {}
    for split, positions in splits.items():
        for position in map(int, positions):
            if not 0 <= position < n_rows:
                raise InputError(
                    f"split {split} names row {position} of {table.file}, which has {n_rows}",
                    "use the splits that belong to this table",
                )
            if found.setdefault(position, split) != split:
                raise InputError(
                    f"row {position} of {table.file} is in {found[position]} and in {split}",
                    "use the splits as they were released",
                )
    return found
