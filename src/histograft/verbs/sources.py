"""Find labeled images: a samples table, class folders, an imagefolder or a catalogue layout."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from histograft.core.artefact import hash_json
from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.core.files import hash_file
from histograft.core.tables import SAMPLES, SPLITS
from histograft.verbs.text_tables import read_text_table

if TYPE_CHECKING:
    import pandas as pd

    from histograft.catalogue.entry import Entry

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif"})
SPLIT_WORDS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
ABSENT = "absent"
UNLABELED = "unlabelled"  # the label of what nobody labeled


@dataclass(frozen=True)
class Source:
    """Labeled images as they lie on disk.

    Attributes
    ----------
    name : str
        Name of the data set.
    root : pathlib.Path
        Folder that the paths of `table` start from.
    table : pandas.DataFrame
        Columns of `SAMPLES` (all present) and the user's further columns.
    origin : str
        How the table came about, such as ``"samples.csv"``.
    entry : Entry or None
        The catalogue's entry.
    remarks : tuple of str
        What people should know about it.
    """

    name: str
    root: Path
    table: pd.DataFrame
    origin: str
    entry: Entry | None = None
    remarks: tuple[str, ...] = field(default=())


def read_source(
    path: Path,
    *,
    name: str | None = None,
    catalogue: str | None = None,
    need_labels: bool = True,
) -> Source:
    """Read which images a data set has.

    Parameters
    ----------
    path : pathlib.Path
        A ``samples.csv``, or a folder: with a ``samples.csv``, with a Hugging Face
        ``metadata.csv|parquet|jsonl``, laid out as the catalogue says, or with one folder per
        class (also below ``train``, ``val`` and ``test``).
    name : str, optional
        Name of the data set; the folder's name by default.
    catalogue : str, optional
        Name of the catalogue entry; by default the one that bears the folder's name.
    need_labels : bool, default True
        Whether images without a label are refused; else their label is `UNLABELED`, and a folder
        may hold images that lie in no class folder.

    Returns
    -------
    Source
        With a checked table.

    Raises
    ------
    InputError
        Nothing usable is there; the message says what is wrong and what to do.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist", "give a samples.csv or a folder of images")
    root = path if path.is_dir() else path.parent
    entry = _find_entry(root, catalogue)
    also = ["label"] if need_labels else []
    if path.is_file():
        table, origin = read_text_table(path, ["file", *also]), path.name
    elif (path / "samples.csv").is_file():
        table, origin = read_text_table(path / "samples.csv", ["file", *also]), "samples.csv"
    elif metadata := [p for p in _metadata_files(path) if p.is_file()]:
        table, origin = _read_imagefolder(metadata[0], ["file_name", *also]), metadata[0].name
    elif entry is not None:
        table, origin = _read_catalogue_layout(path, entry), f"catalogue layout {entry.name}"
    else:
        table, origin = _read_class_folders(path, need_labels=need_labels), "class folders"
    if not need_labels:
        table = _with_unlabeled(table)
    table = SAMPLES.check(table, f"{root.resolve().name}/{origin}")
    for column in SAMPLES.columns:
        if column.name not in table:
            table[column.name] = float("nan") if column.kind == "number" else None
    _check_paths(table, root, origin)
    remarks = () if entry is None else tuple(_entry_remarks(entry, table, origin, root))
    return Source(name or root.resolve().name, root, table, origin, entry, remarks)


def refuse_out_among_images(out: Path, source: Source) -> None:
    """Refuse to write below folders that are searched for images: the next run would find them."""
    searched = source.origin == "class folders" or source.origin.startswith("catalogue")
    if searched and out.resolve().is_relative_to(source.root.resolve()):
        raise InputError(
            f"--out {out} lies in {source.root}, all of which is searched for images",
            "choose an --out beside that folder",
        )


def content_hashes(source: Source, column: str = "file") -> list[str]:
    """SHA-256 of the files of a column, ``"absent"`` where there is none to read."""

    def one(file: object) -> str:
        if not isinstance(file, str):
            return ABSENT
        path = source.root / file
        try:
            return hash_file(path).sha256 if path.is_file() else ABSENT
        except OSError:  # such as a name that is too long; cutting the image says what it is
            return ABSENT

    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(one, source.table[column]))


def source_id(table: pd.DataFrame, split_column: str | None) -> str:
    """Hash what a source holds, row by row in the table's order.

    Parameters
    ----------
    table : pandas.DataFrame
        A samples table with the column ``source_sha256`` and the scale of each image.
    split_column : str or None
        A further column that decides on splits.

    Returns
    -------
    str
        SHA-256 over the columns that a result can depend on and the content of the files.
    """
    columns = [c.name for c in SAMPLES.columns] + ["source_sha256"]
    if split_column in table.columns and split_column not in columns:
        columns.append(str(split_column))
    if "mask_sha256" in table.columns:
        columns.append("mask_sha256")
    rows = table[columns].astype(object).where(table[columns].notna(), None)
    return hash_json([columns, rows.to_numpy().tolist()])


def read_split(
    table: pd.DataFrame, column: str, where: str, *, may_be_one: bool = False
) -> pd.Series | None:
    """Read a split column, or None where it does not hold both training and test rows.

    Parameters
    ----------
    table : pandas.DataFrame
        A samples table.
    column : str
        Name of the column.
    where : str
        Name of the data set, for messages.
    may_be_one : bool
        Read a column without training or without test rows too.

    Returns
    -------
    pandas.Series or None
        ``train``, ``val`` or ``test`` for each row.

    Raises
    ------
    InputError
        The column is to be read, and some rows name no split.
    """
    words = table[column].astype("string").str.strip().str.lower()
    split = words.map(SPLIT_WORDS)
    if not may_be_one and not {"train", "test"} <= set(split.dropna()):
        return None
    odd = split.isna()
    if odd.any():
        examples = ", ".join(repr(v) for v in table.loc[odd, column].drop_duplicates()[:3])
        raise InputError(
            f"{where}: {int(odd.sum())} row(s) of column {column!r} name no split ({examples})",
            f"write one of {', '.join(SPLITS)} into each row, or take the column out",
        )
    return split


def _find_entry(root: Path, catalogue: str | None) -> Entry | None:
    from histograft.catalogue.registry import ENTRIES, find_entry

    if catalogue is not None:
        return find_entry(catalogue)
    name = root.resolve().name.lower()
    return next((e for key, e in ENTRIES.items() if key.lower() == name), None)


def _metadata_files(folder: Path) -> list[Path]:
    return [folder / f"metadata.{ending}" for ending in ("csv", "parquet", "jsonl")]


def _with_unlabeled(table: pd.DataFrame) -> pd.DataFrame:
    """Name what has no label."""
    if "label" not in table:
        return table.assign(label=UNLABELED)
    blank = table["label"].isna() | (table["label"].astype(str).str.strip() == "")
    return table.assign(label=table["label"].astype(object).where(~blank, UNLABELED))


def _read_imagefolder(path: Path, needed: list[str]) -> pd.DataFrame:
    import pandas as pd

    if path.suffix == ".csv":
        table = read_text_table(path, needed)
    else:
        try:
            if path.suffix == ".parquet":
                table = pd.read_parquet(path)
            else:  # texts stay as they are written: the label "01" is no number
                table = pd.read_json(path, lines=True, dtype=False)
        except (ValueError, OSError) as error:
            raise InputError(f"{path} cannot be read: {error}", "write it again") from error
    require_columns(table, needed, str(path))
    return table.rename(columns={"file_name": "file"})


def _images_below(folder: Path) -> list[PurePosixPath]:
    return sorted(
        PurePosixPath(p.relative_to(folder).as_posix())
        for p in folder.rglob("*")
        if p.is_file() and p.suffix.lower() in IMAGE_ENDINGS and not p.name.startswith(".")
    )


def _read_catalogue_layout(folder: Path, entry: Entry) -> pd.DataFrame:
    import pandas as pd

    from histograft.catalogue.registry import samples_from_files
    from histograft.verbs.label_tables import read_label_table

    if entry.arrays and any(folder.rglob(entry.arrays[0].images)):
        raise InputError(
            f"{folder} holds the images of {entry.name} in HDF5 files",
            f"run `histograft catalogue import {entry.name} {folder} --out DIR` to make images of "
            "them, and give DIR",
        )
    files = [str(p) for p in _images_below(folder)]
    rows = samples_from_files(entry, files, read_label_table(folder, entry))
    if not rows:
        raise InputError(
            f"{folder} holds no image in the layout of {entry.name}",
            f"run `histograft catalogue {entry.name}` to see the layout, or add a samples.csv",
        )
    return pd.DataFrame(rows)


def _read_class_folders(folder: Path, *, need_labels: bool) -> pd.DataFrame:
    import pandas as pd

    images = _images_below(folder)
    top = {p.parts[0].lower() for p in images if len(p.parts) > 1}
    has_splits = bool(top) and top <= set(SPLIT_WORDS)
    depth = 2 if has_splits else 1
    rows = [
        {
            "file": str(p),
            "label": p.parts[depth - 1],
            "split": SPLIT_WORDS[p.parts[0].lower()] if has_splits else None,
        }
        for p in images
        if len(p.parts) > depth
    ]
    if not rows and images and not need_labels:
        splits = [SPLIT_WORDS[p.parts[0].lower()] if has_splits else None for p in images]
        return pd.DataFrame({"file": list(map(str, images)), "label": None, "split": splits})
    if not rows:
        raise InputError(
            f"{folder} holds neither a samples.csv nor class folders with images",
            "put the images of each class into a folder with its name, or add a samples.csv with "
            "the columns file and label",
        )
    _refuse_empty_classes(folder, {str(row["label"]) for row in rows}, has_splits=has_splits)
    return pd.DataFrame(rows)


def _refuse_empty_classes(folder: Path, labels: set[str], *, has_splits: bool) -> None:
    parents = [p for p in folder.iterdir() if p.is_dir()] if has_splits else [folder]
    names = {
        p.name for parent in parents for p in parent.iterdir() if p.is_dir() and p.name[0] != "."
    }
    if empty := sorted(names - labels):
        raise InputError(
            f"{folder}: the class folder(s) {', '.join(empty)} hold no image",
            "add images or delete the folder",
        )


def _check_paths(table: pd.DataFrame, root: Path, origin: str) -> None:
    base = root.resolve()
    if table.empty:
        raise InputError(f"{base.name}/{origin} names no images", "add a row for each image")
    for column in ("file", "mask"):
        for file in table[column].dropna():
            if Path(file).is_absolute() or not (root / file).resolve().is_relative_to(base):
                raise InputError(
                    f"{base.name}/{origin}: the path {file!r} leads out of {base.name}",
                    "write paths relative to the folder of the table, below it",
                )
    spellings = table["file"].map(os.path.normpath)
    if (twice := spellings.duplicated(keep=False)).any():
        files = ", ".join(repr(file) for file in table.loc[twice, "file"].head(4))
        raise InputError(
            f"{base.name}/{origin}: {files} are the same file", "keep one row for each image"
        )


def _entry_remarks(entry: Entry, table: pd.DataFrame, origin: str, root: Path) -> list[str]:
    """Warn of what the catalogue knows of a set, and where the copy at hand differs from it."""
    from histograft.catalogue.registry import count_differences, matched_files, unmatched_files

    counts = Counter(part for label in table["label"] for part in label.split("|"))
    remarks = [*entry.warnings, *count_differences(entry, counts, len(table))]
    if origin.startswith("catalogue"):
        files = [str(p) for p in _images_below(root)]
        strange = unmatched_files(entry, files)
        if strange:
            remarks.append(
                f"{len(strange)} image(s) are not laid out as {entry.name} is, such as "
                f"{strange[0]}; they are left out"
            )
        read = set(table["file"])
        if nameless := [file for file in matched_files(entry, files) if file not in read]:
            remarks.append(
                f"{len(nameless)} image(s) of {entry.name} have no label in its table, such as "
                f"{nameless[0]}; they are left out"
            )
    return remarks


def short_hash(text: str) -> str:
    """First 8 hexadecimal digits of SHA-256 of a text, to keep names apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
