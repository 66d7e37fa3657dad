"""Read mutation annotation format (MAF): which variant of which gene in which sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa

from histograft.core.errors import InputError
from histograft.molecular.delimited import TEXT, named_columns, open_delimited, read_columns
from histograft.molecular.variants import KNOWN_CLASSES

GENE, CLASS, SAMPLE = "Hugo_Symbol", "Variant_Classification", "Tumor_Sample_Barcode"
STATUS = "Mutation_Status"


@dataclass(frozen=True)
class Maf:
    """Rows of one or more MAF files.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    rows : pandas.DataFrame of categories
        ``gene``, ``variant_class``, ``sample_id`` and ``status`` (empty where the file has none),
        a row for each variant.
    """

    name: str
    rows: pd.DataFrame = field(repr=False)


def parse_maf(stream: BinaryIO, name: str) -> Maf:
    r"""Read a MAF of GDC or cBioPortal.

    Parameters
    ----------
    stream : binary file
        The table: tab-separated, ``#`` lines first, Windows or Unix line ends; plain, gzip or zip.
    name : str
        Its name, for messages.

    Returns
    -------
    Maf
        A file with a header and no rows is valid: one without mutations.

    Raises
    ------
    InputError
        It has no header or lacks a column, or cannot be read.

    References
    ----------
    https://docs.gdc.cancer.gov/Data/File_Formats/MAF_Format/ and
    https://docs.cbioportal.org/file-formats/#mutation-data

    Examples
    --------
    >>> import io
    >>> text = "#version 2.4\nHugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\n"
    >>> text += "TP53\tMissense_Mutation\tTCGA-05-4249-01A\n"
    >>> parse_maf(io.BytesIO(text.encode()), "a.maf").rows["gene"].tolist()
    ['TP53']
    """
    table = open_delimited(stream, name)
    if KNOWN_CLASSES & set(table.header):
        raise InputError(
            f"{name} has no header: its first line is already a variant",
            f"write the line of names before it, with {GENE}, {CLASS} and {SAMPLE}",
        )
    fix = "give a MAF of GDC or cBioPortal (https://docs.gdc.cancer.gov/Data/File_Formats)"
    places = named_columns(table, [GENE, CLASS, SAMPLE], fix)
    status = table.find(STATUS)
    wanted = dict(zip(("gene", "variant_class", "sample_id"), places, strict=True))
    if status is not None:
        wanted["status"] = status
    cells = read_columns(table, dict.fromkeys(wanted.values(), TEXT))
    rows = pd.DataFrame(
        {column: _categories(cells[place].unify_dictionaries()) for column, place in wanted.items()}
    )
    if status is None:
        rows["status"] = pd.Categorical([""] * len(rows), categories=[""])
    # Files that were put one after another have their header several times.
    rows = rows[rows["sample_id"] != SAMPLE].reset_index(drop=True)
    rows["sample_id"] = rows["sample_id"].cat.remove_unused_categories()
    return Maf(name, rows)


def join_mafs(mafs: Sequence[Maf], name: str) -> Maf:
    """Put MAF files under each other, such as the GDC's one file for each aliquot.

    Examples
    --------
    >>> empty = pd.DataFrame({"gene": [], "variant_class": [], "sample_id": [], "status": []})
    >>> len(join_mafs([Maf("a", empty.astype("category"))] * 2, "both").rows)
    0
    """
    if not mafs:
        raise InputError(f"{name} holds no MAF", "give a MAF, or a folder of them")
    columns = {
        column: pd.api.types.union_categoricals([_plain(maf.rows[column]) for maf in mafs])
        for column in mafs[0].rows
    }
    return Maf(name, pd.DataFrame(columns))


def _plain(values: pd.Series) -> pd.Categorical:
    """Hold categories as objects: pandas 3 has several types of text, which it does not join."""
    names: Any = values.cat.categories.astype(object)
    plain: pd.Categorical = values.cat.rename_categories(names).array
    return plain


def _categories(values: pa.ChunkedArray) -> pd.Series:
    cells: pd.Series = values.to_pandas()
    spaced = [text for text in cells.cat.categories if text != text.strip()]
    return cells.astype(object).str.strip().astype("category") if spaced else cells
