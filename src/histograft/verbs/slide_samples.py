"""Slides whose pieces are samples: their table, their scales, and what their content is."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import hash_json
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.core.tables import SLIDE_SAMPLES
from histograft.verbs.slide_faults import named_faults
from histograft.verbs.slides import SlideEntry, fingerprint, slide_entries
from histograft.verbs.sources import UNLABELED, Source, source_id
from histograft.verbs.text_tables import read_text_table

if TYPE_CHECKING:
    import pandas as pd

TABLE = "slides.csv"
BOX = ("x0", "y0", "width0", "height0")
_OTHER_WORDS = {"x": "x0", "y": "y0", "width": "width0", "height": "height0"}
_OF_A_SLIDE = ("file", "patient_id", "split", "mpp")


def slide_table(samples: Path) -> Path | None:
    """Find the table of slides that samples are given as; None where they are images.

    Parameters
    ----------
    samples : pathlib.Path
        A table with a column ``slide_id``, or a folder with a ``slides.csv`` and no other table of
        samples.
    """
    if samples.is_dir():
        others = ("samples.csv", "metadata.csv", "metadata.parquet", "metadata.jsonl")
        if any((samples / name).is_file() for name in others):
            return None
        return samples / TABLE if (samples / TABLE).is_file() else None
    if not samples.is_file():
        return None
    with samples.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return samples if "slide_id" in next(csv.reader(file), []) else None


def read_slide_samples(path: Path, *, name: str | None, mpp: float | None) -> Source:
    """Read slides with their labels, or annotated boxes on slides, and open each slide once.

    Parameters
    ----------
    path : pathlib.Path
        Table of `histograft.core.tables.SLIDE_SAMPLES`: a row for each slide, or where it has boxes
        for each box.
    name : str or None
        Name of the data set; that of the folder by default.
    mpp : float or None
        µm/px of those slides of which neither the table nor the file states one.

    Returns
    -------
    Source
        Its table has a row for each row of the file: columns of `SAMPLES`, what `rescale` needs to
        know of images, and ``slide_id``, ``patient_id``, ``path``, and boxes, where there are any.

    Raises
    ------
    InputError
        The table contradicts itself, or slides cannot be opened or state no µm/px.
    """
    table = SLIDE_SAMPLES.check(read_text_table(path, ["slide_id", "file"]), str(path))
    _refuse_columns(table, path)
    for column in SLIDE_SAMPLES.columns:
        if column.name not in table:
            table[column.name] = UNLABELED if column.name == "label" else None
    _refuse_rows(table, path)
    slides = table.drop_duplicates("slide_id")
    facts = [_facts_of(entry, mpp) for entry in slide_entries(slides, path)]
    if bad := [str(fact) for fact in facts if isinstance(fact, InputError)]:
        shown = "\n  ".join(bad[:5])
        raise InputError(
            f"{len(bad)} of {len(facts)} slides cannot be used:\n  {shown}",
            "mend them or take them out of the table, and run the same command again",
        )
    known = dict(zip(slides["slide_id"], facts, strict=True))
    for fact in ("path", "source_sha256", "mpp", "mpp_source"):
        table[fact] = [known[name][fact] for name in table["slide_id"]]
    table["file"] = [_portable(*row) for row in zip(table["file"], table["slide_id"], strict=True)]
    table["mask"] = None
    _add_groups(table)
    root = path.parent
    return Source(name or root.resolve().name, root, table, path.name)


def slides_id(table: pd.DataFrame, split_column: str | None) -> str:
    """Hash what slides hold, as `source_id` does for images, with their boxes."""
    columns = ["slide_id", "patient_id", *BOX]
    rows = table[columns].astype(object).where(table[columns].notna(), None)
    return hash_json([source_id(table, split_column), columns, rows.to_numpy().tolist()])


def tell_of_slides(source: Source, reporter: Reporter) -> None:
    """Say what the table leaves open: labels, patients."""
    table = source.table
    if (table["label"] == UNLABELED).all():
        reporter.note(
            f"{source.name} states no label: its pieces can be unlabelled ones, or be classified"
        )
    slides = table.drop_duplicates("slide_id")
    if unknown := int((slides["group_source"] == "slide").sum()):
        reporter.warn(
            f"{source.name}: no patient is stated of {unknown} of {len(slides)} slides: slides of "
            "one patient may be on both sides of a split; add a column patient_id"
        )


def _refuse_columns(table: pd.DataFrame, path: Path) -> None:
    has = [name for name in BOX if name in table]
    if 0 < len(has) < len(BOX):
        missing = [name for name in BOX if name not in table]
        raise InputError(
            f"{path} has the columns {', '.join(has)} of boxes, and not {', '.join(missing)}",
            "give all four in level-0 pixels, or none to have tissue found",
        )
    if not has and set(_OTHER_WORDS) <= set(table):
        raise InputError(
            f"{path} has boxes in the columns x, y, width, height",
            "call them x0, y0, width0, height0: pixels of level 0",
        )
    if "annotations" in table and table["annotations"].notna().any() and not has:
        raise InputError(
            f"{path}: pieces are not read from the column annotations",
            "write a row for each box with x0, y0, width0, height0, or take the column out",
        )


def _refuse_rows(table: pd.DataFrame, path: Path) -> None:
    if table["label"].str.contains("|", regex=False).any():
        raise InputError(f"{path} has several labels a row", "give one class for each")
    filled = table[list(BOX)].notna().sum(axis=1)
    if filled.isin((1, 2, 3)).any():
        row = int(filled.isin((1, 2, 3)).to_numpy().argmax())
        raise InputError(f"{path}: data row {row + 1} has half a box", "fill all four, or none")
    keys = table[["slide_id", *BOX]]
    boxed = filled == len(BOX)
    twice = keys.duplicated(keep=False) | (~boxed & table["slide_id"].duplicated(keep=False))
    if twice.any():
        raise InputError(
            f"{path}: {table.loc[twice, 'slide_id'].iloc[0]} is there twice",
            "keep one row for each slide, or for each box on it",
        )
    for column in _OF_A_SLIDE:
        several = table.groupby("slide_id")[column].nunique(dropna=False)
        if (several > 1).any():
            raise InputError(
                f"{path}: {several[several > 1].index[0]} has several values of {column}",
                "write the same into all rows of a slide",
            )


def _facts_of(entry: SlideEntry, mpp: float | None) -> dict[str, Any] | InputError:
    """Content and scale of a slide, or why it cannot be used."""
    from histograft.imaging.slide import decide_scale, open_reader

    try:
        with named_faults(entry.path.name):
            opened = open_reader(entry.path)
            try:
                by_option = entry.mpp is None and opened.scale is None and mpp is not None
                stated = mpp if by_option else entry.mpp
                scale, source = decide_scale(
                    entry.path.name, stated, opened.scale, opened.objective
                )
            finally:
                opened.close()
            word = "option" if by_option else "samples" if source == "table" else source
            return {
                "path": entry.path,
                "source_sha256": fingerprint(entry.path),
                "mpp": (scale[0] + scale[1]) / 2,
                "mpp_source": word,
            }
    except InputError as error:
        return error


def _portable(file: str, slide_id: str) -> str:
    """Name a slide without telling where a user keeps it."""
    path = Path(file)
    return slide_id + path.suffix if path.is_absolute() else file


def _add_groups(table: pd.DataFrame) -> None:
    """Patients, as stated or as a TCGA barcode says; where neither is known the slide."""
    from histograft.molecular.barcodes import parse_barcode

    codes = [parse_barcode(name) for name in table["slide_id"]]
    read = [None if code is None else code.patient_id for code in codes]
    stated = table["patient_id"].astype(object).where(table["patient_id"].notna(), None)
    table["patient_id"] = [known or found for known, found in zip(stated, read, strict=True)]
    known = table["patient_id"].notna()
    table["group"] = table["patient_id"].where(known, "slide:" + table["slide_id"].astype(object))
    table["group_source"] = known.map({True: "samples", False: "slide"})
