"""Folders of molecular files as the GDC gives them: a MAF, or a STAR file, for each aliquot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.errors import InputError
from histograft.core.files import hash_file
from histograft.core.identity import hash_json

if TYPE_CHECKING:
    import pandas as pd

    from histograft.molecular.drops import DropList
    from histograft.molecular.expression_files import ExpressionMatrix
    from histograft.molecular.maf import Maf
    from histograft.molecular.star import StarFile

PACKED = ("", ".gz", ".zip")
MAF_ENDINGS = tuple(f".maf{end}" for end in PACKED)
STAR_ENDINGS = tuple(f".tsv{end}" for end in PACKED)
SHEETS = "*sample_sheet*"


def hash_tables(path: Path) -> str:
    """Return what identifies a table, or all tables of a folder and its sample sheet.

    Raises
    ------
    InputError
        There is nothing.
    """
    if path.is_file():
        return hash_file(path).sha256
    if not path.is_dir():
        raise InputError(f"{path} does not exist", "correct its path")
    files = [*_files(path, MAF_ENDINGS), *_files(path, STAR_ENDINGS), *_sheets(path)]
    # Folders are named at random by the GDC's program and mean nothing.
    return hash_json(sorted([file.name, hash_file(file).sha256] for file in set(files)))


def read_maf_folder(folder: Path) -> Maf:
    """Read all MAF files of a folder and of folders in it as one.

    Raises
    ------
    InputError
        There is none, or one cannot be read.
    """
    from histograft.molecular.maf import join_mafs, parse_maf

    files = _files(folder, MAF_ENDINGS)
    mafs = []
    for file in files:
        with file.open("rb") as stream:
            mafs.append(parse_maf(stream, file.name))
    return join_mafs(mafs, folder.name)


def read_star_folder(folder: Path, drops: DropList) -> tuple[ExpressionMatrix, dict[str, str]]:
    """Read all STAR files of a folder and of folders in it.

    Parameters
    ----------
    folder : pathlib.Path
        With files of the GDC (``*.tsv``, plain or packed), and in it or beside it the sample sheet
        (``gdc_sample_sheet….tsv``) that says whose they are.
    drops : DropList
        Takes files that the sheet does not name, and those of the sheet that are not there.

    Returns
    -------
    ExpressionMatrix
        A row for each file.
    dict of str to str
        Patient of each sample.

    Raises
    ------
    InputError
        There is no sheet or no file of it, or a file cannot be read.
    """
    from histograft.molecular.star import combine_star

    sheet = _sheet(folder)
    found: dict[str, Path] = {}
    for file in _files(folder, STAR_ENDINGS):
        if file.name in found:
            raise InputError(f"{folder} holds two files {file.name}", "delete one of them")
        found[file.name] = file
    named = set(sheet["file_name"])
    for name in sorted(found.keys() - named):
        drops.add("file", name, "not-in-sample-sheet")
    for name in sorted(named - found.keys()):
        drops.add("file", name, "no-file", "in the sample sheet only")
    rows = sheet[sheet["file_name"].isin(found)]
    patients = dict(zip(rows["sample_id"], rows["patient_id"], strict=True))
    return combine_star(_star_files(rows, found), folder.name), patients


def _star_files(rows: pd.DataFrame, found: dict[str, Path]) -> Iterator[tuple[str, StarFile]]:
    from histograft.molecular.star import parse_star

    for sample, name in zip(rows["sample_id"], rows["file_name"], strict=True):
        with found[name].open("rb") as stream:
            yield sample, parse_star(stream, name)


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return files by their endings, without hidden and unfinished ones and sample sheets."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(endings)
        and path.is_file()
        and not path.name.startswith(".")
        and not path.match(SHEETS)
    )


def _sheets(folder: Path) -> list[Path]:
    inside = sorted(folder.glob(SHEETS))
    return inside or sorted(folder.resolve().parent.glob(SHEETS))


def _sheet(folder: Path) -> pd.DataFrame:
    from histograft.molecular.samples import parse_sample_sheet

    sheets = _sheets(folder)
    if len(sheets) != 1:
        names = ", ".join(sheet.name for sheet in sheets) or "none"
        raise InputError(
            f"{folder} needs one sample sheet, which says whose each file is ({names} found)",
            "download it from the same cart of the GDC (gdc_sample_sheet….tsv) into the folder",
        )
    with sheets[0].open("rb") as stream:
        sheet = parse_sample_sheet(stream, sheets[0].name)
    if "file_name" not in sheet:
        raise InputError(f"{sheets[0].name} does not name files", "add a column file_name")
    return sheet
