"""Whose sample it is: from a TCGA barcode, else from a table of samples, else the name itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import BinaryIO

import pandas as pd

from histograft.core.errors import InputError
from histograft.molecular.barcodes import PRIMARY_TUMOR, parse_barcode
from histograft.molecular.delimited import TEXT, open_delimited, read_columns, text_column
from histograft.molecular.drops import DropList

_SAMPLE_NAMES = ("sample_id", "sample id", "sample")
_PATIENT_NAMES = ("patient_id", "case id", "case_id", "patient")
_FILE_NAMES = ("file name", "file_name", "file")


def resolve_samples(
    names: Iterable[str],
    *,
    sample_types: Collection[str] = (PRIMARY_TUMOR,),
    patients: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Find the patient of each sample, and which samples are kept.

    Parameters
    ----------
    names : iterable of str
        Samples as a table names them.
    sample_types : collection of str
        TCGA sample types that are kept, such as ``("01",)``. Barcodes that state none are kept.
    patients : mapping of str to str, optional
        Patient of each sample that has no TCGA barcode. None: such names are patients' own.

    Returns
    -------
    pandas.DataFrame
        In the order of `names`: ``sample_id`` (as written), ``patient_id``, ``reason`` (empty for
        samples that are kept).

    Examples
    --------
    >>> resolve_samples(["tcga-05-4249-01a", "TCGA-05-4249-11A", "P7"]).values.tolist()
    [['tcga-05-4249-01a', 'TCGA-05-4249', ''], ['TCGA-05-4249-11A', 'TCGA-05-4249', 'sample-type'], ['P7', 'P7', '']]
    """  # noqa: E501
    own = set() if patients is None else set(patients.values())
    rows = []
    for name in names:
        barcode = parse_barcode(name)
        stripped = name.strip()
        if barcode is not None:
            kept = barcode.sample_type is None or barcode.sample_type in sample_types
            rows.append((name, barcode.patient_id, "" if kept else "sample-type"))
        elif patients is None or stripped in own:
            rows.append((name, stripped, "" if stripped else "no-name"))
        else:
            patient = patients.get(stripped, "")
            rows.append((name, patient, "" if patient else "not-in-sample-sheet"))
    return pd.DataFrame(rows, columns=["sample_id", "patient_id", "reason"], dtype="str")


def kept_samples(resolved: pd.DataFrame, drops: DropList, source: str) -> pd.DataFrame:
    """Return the samples that are kept, and write down the others.

    Raises
    ------
    InputError
        None is kept.
    """
    kept = resolved[resolved["reason"] == ""]
    dropped = resolved[resolved["reason"] != ""]
    for name, reason in zip(dropped["sample_id"], dropped["reason"], strict=True):
        drops.add("sample", name, reason, _detail(name))
    if kept.empty and len(resolved):
        first = dropped.iloc[0]
        raise InputError(
            f"{source}: no sample is kept, such as {first['sample_id']!r} ({first['reason']})",
            "state which to keep (--sample-types), or whose they are (--sample-sheet, a table with "
            "sample_id and patient_id)",
        )
    return kept[["sample_id", "patient_id"]].reset_index(drop=True)


def _detail(name: str) -> str:
    barcode = parse_barcode(name)
    return "" if barcode is None or barcode.sample_type is None else f"type {barcode.sample_type}"


def parse_sample_sheet(stream: BinaryIO, name: str) -> pd.DataFrame:
    r"""Read which patient each sample, or each file, belongs to.

    Read are sample sheets of GDC (``File Name``, ``Case ID``, ``Sample ID``),
    ``data_clinical_sample.txt`` of cBioPortal (``PATIENT_ID``, ``SAMPLE_ID``), and own tables with
    ``sample_id`` and ``patient_id``, separated by tabs or commas.

    Parameters
    ----------
    stream : binary file
        The sheet.
    name : str
        Its name, for messages.

    Returns
    -------
    pandas.DataFrame
        ``sample_id``, ``patient_id``, and ``file_name`` where it is there.

    Raises
    ------
    InputError
        A column is missing, a cell is empty, a file is named twice, or a sample has two patients.

    Examples
    --------
    >>> import io
    >>> text = b"#Patient\tSample\nPATIENT_ID\tSAMPLE_ID\nP1\tP1-T\n"
    >>> parse_sample_sheet(io.BytesIO(text), "samples.txt").values.tolist()
    [['P1-T', 'P1']]
    """
    table = open_delimited(stream, name, "\t,")
    places = {
        "sample_id": table.find(*_SAMPLE_NAMES),
        "patient_id": table.find(*_PATIENT_NAMES),
        "file_name": table.find(*_FILE_NAMES),
    }
    if places["sample_id"] is None or places["patient_id"] is None:
        raise InputError(
            f"{name} has no column of samples and patients ({', '.join(table.header[:8])})",
            "name them sample_id and patient_id",
        )
    wanted = {column: place for column, place in places.items() if place is not None}
    cells = read_columns(table, dict.fromkeys(wanted.values(), TEXT))
    sheet = pd.DataFrame(
        {column: text_column(cells[place]) for column, place in wanted.items()}, dtype="str"
    )
    _check_sheet(sheet, name)
    return sheet


def _check_sheet(sheet: pd.DataFrame, name: str) -> None:
    empty = (sheet == "").any(axis=1)
    if empty.any():
        raise InputError(f"{name}: data row {int(empty.argmax()) + 1} has an empty cell", "fill it")
    if "file_name" in sheet and sheet["file_name"].duplicated().any():
        twice = sheet.loc[sheet["file_name"].duplicated(), "file_name"].iloc[0]
        raise InputError(f"{name} names the file {twice} twice", "keep one row for each file")
    patients = sheet.drop_duplicates(["sample_id", "patient_id"])
    if patients["sample_id"].duplicated().any():
        twice = patients.loc[patients["sample_id"].duplicated(), "sample_id"].iloc[0]
        raise InputError(f"{name}: the sample {twice} has two patients", "correct its rows")
