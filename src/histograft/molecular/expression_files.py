"""Read matrices of expression: Xena, cBioPortal and own ones, whichever way round they lie."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.molecular.barcodes import parse_barcode, patient_of
from histograft.molecular.delimited import (
    NUMBER,
    TEXT,
    Delimited,
    open_delimited,
    read_columns,
    text_column,
)
from histograft.molecular.genes import plain_gene
from histograft.molecular.scale import Scale

Orientation = Literal["auto", "genes-in-rows", "samples-in-rows"]

# Columns that describe a gene or sample, in small letters; all others hold values. The first of
# _SYMBOLS that a table has names its genes.
_SYMBOLS = ("hugo_symbol", "gene_symbol", "symbol", "gene_name", "gene", "genes")
_GENE_IDS = ("entrez_gene_id", "gene_id", "ensembl_id", "composite.element.ref")
_ABOUT_GENES = ("gene_type", "cytoband", "description", "locus", "chromosome")
_PATIENTS = ("patient_id", "sample_id", "case_id", "submitter_id", "patient", "barcode")
# Genes of which nearly every table has some: a sign of where genes are.
_EVERYDAY_GENES = frozenset(
    {
        *("ACTB", "ALB", "BRAF", "BRCA1", "CD4", "CD8A", "CDH1", "CDKN2A", "EGFR", "EPCAM"),
        *("ERBB2", "ESR1", "FOXP3", "GAPDH", "IL6", "KRAS", "MKI67", "MYC", "NF1", "PIK3CA"),
        *("PTEN", "PTPRC", "RB1", "STK11", "TP53", "VEGFA", "VIM"),
    }
)


@dataclass(frozen=True)
class ExpressionMatrix:
    """Expression of samples and genes as a file has it.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    values : ndarray of float64, shape (S, G)
        NaN where missing, else finite.
    samples : tuple of str
        S names as written; a name may occur twice.
    genes : tuple of str
        G names, Ensembl ids without version; empty where the file has no name for a gene.
    scale : {"linear", "log", "centered"} or None
        Where the layout says so.
    notes : tuple of str
        What was recognized.
    """

    name: str
    values: NDArray[np.float64] = field(repr=False)
    samples: tuple[str, ...] = field(repr=False)
    genes: tuple[str, ...] = field(repr=False)
    scale: Scale | None
    notes: tuple[str, ...]


def parse_expression(
    stream: BinaryIO,
    name: str,
    *,
    orientation: Orientation = "auto",
    known: Collection[str] = (),
) -> ExpressionMatrix:
    r"""Read a matrix of expression.

    Read are matrices of UCSC Xena (``sample`` and names), cBioPortal
    (``Hugo_Symbol``, ``Entrez_Gene_Id`` and names), and own ones with names in the first line and
    the first column, separated by tabs or commas. Whether genes lie in rows or in columns is seen
    from TCGA barcodes, `known` names, titles, Ensembl ids and everyday genes, in this order.

    Parameters
    ----------
    stream : binary file
        The matrix; plain, gzip or zip.
    name : str
        Its name, for messages.
    orientation : {"auto", "genes-in-rows", "samples-in-rows"}
        Which way round it lies.
    known : collection of str
        Names of patients or samples, such as those of the slides.

    Returns
    -------
    ExpressionMatrix

    Raises
    ------
    InputError
        The way round cannot be told, or a cell is not a finite number.

    References
    ----------
    https://ucsc-xena.gitbook.io/project/local-xena-hub/data-format-specifications and
    https://docs.cbioportal.org/file-formats/#expression-data

    Examples
    --------
    >>> import io
    >>> text = b"sample\tTCGA-05-4249-01\tTCGA-05-4250-01\nTP53\t9.1\tNA\nKRAS\t7.5\t8.25\n"
    >>> matrix = parse_expression(io.BytesIO(text), "HiSeqV2")
    >>> matrix.samples, matrix.genes, matrix.values.tolist()
    (('TCGA-05-4249-01', 'TCGA-05-4250-01'), ('TP53', 'KRAS'), [[9.1, 7.5], [nan, 8.25]])
    """
    table = open_delimited(stream, name, "\t,")
    title, about = _describing_columns(table)
    places = [i for i in range(len(table.header)) if i not in about]
    if table.header[-1] == "" and len(places) > 1:
        places = places[:-1]
    if not places:
        raise InputError(f"{name} has no column of values", "give a matrix of genes and samples")
    cells = read_columns(table, {title: TEXT} | dict.fromkeys(places, NUMBER))
    in_rows = text_column(cells[title])
    if not in_rows:
        raise InputError(f"{name} has a header but no rows", "copy it again from its source")
    in_columns = [table.header[i] for i in places]
    stacked = _stack(cells, places, len(in_rows))
    if orientation == "auto":
        orientation = _way_round(table.header[title], in_columns, in_rows, known, name)
    genes_in_rows = orientation == "genes-in-rows"
    samples, genes = (in_columns, in_rows) if genes_in_rows else (in_rows, in_columns)
    values = stacked if genes_in_rows else stacked.T
    _refuse_infinite(values, samples, genes, name)
    note = f"{name}: {len(genes)} genes in {'rows' if genes_in_rows else 'columns'}, "
    note += f"{len(samples)} samples"
    plain = tuple("" if g in ("?", "NA") else plain_gene(g) for g in genes)
    return ExpressionMatrix(name, values, tuple(samples), plain, None, (note,))


def _describing_columns(table: Delimited) -> tuple[int, set[int]]:
    """Return the column that names rows, and all that hold no values."""
    lower = [cell.lower() for cell in table.header]
    words = {*_SYMBOLS, *_GENE_IDS, *_ABOUT_GENES}
    # Only the first columns can describe: further on, GENE may be the name of a gene or sample.
    n_about = next((i for i, word in enumerate(lower) if word not in words), len(lower))
    about = set(range(max(n_about, 1)))
    symbol = next((lower.index(word) for word in _SYMBOLS if word in lower[: len(about)]), 0)
    return symbol, about


def _stack(
    cells: dict[int, pa.ChunkedArray], places: Sequence[int], length: int
) -> NDArray[np.float64]:
    """Stack columns and take them out of `cells`, so that they are not held twice."""
    stacked = np.empty((len(places), length))
    for row, place in zip(stacked, places, strict=True):
        start = 0
        for chunk in cells.pop(place).chunks:
            row[start : start + len(chunk)] = chunk.to_numpy(zero_copy_only=False)
            start += len(chunk)
    return stacked


def _way_round(
    title: str,
    in_columns: Sequence[str],
    in_rows: Sequence[str],
    known: Collection[str],
    name: str,
) -> Orientation:
    people = {patient_of(person) for person in known} | set(known)
    sample_signs = (
        lambda cell: parse_barcode(cell) is not None,
        lambda cell: cell in people or patient_of(cell) in people,
    )
    for sign in sample_signs:
        across, down = (any(map(sign, cells)) for cells in (in_columns, in_rows))
        if across != down:
            return "genes-in-rows" if across else "samples-in-rows"
    if title.lower() in (*_SYMBOLS, *_GENE_IDS):
        return "genes-in-rows"
    if title.lower() in _PATIENTS:
        return "samples-in-rows"
    across, down = (any(map(_is_gene, cells)) for cells in (in_columns, in_rows))
    if across != down:
        return "samples-in-rows" if across else "genes-in-rows"
    raise InputError(
        f"{name}: it cannot be told whether rows are genes or samples "
        f"(rows: {', '.join(in_rows[:3])} …; columns: {', '.join(in_columns[:3])} …)",
        "state --orientation genes-in-rows or samples-in-rows, or name samples as patients are "
        "named elsewhere",
    )


def _is_gene(cell: str) -> bool:
    return cell in _EVERYDAY_GENES or cell.startswith("ENSG0")


def _refuse_infinite(
    values: NDArray[np.float64], samples: Sequence[str], genes: Sequence[str], name: str
) -> None:
    # A sum is finite only if all are; it takes no memory.
    if np.isfinite(np.nansum(values)):
        return
    sample, gene = (int(i) for i in np.argwhere(np.isinf(values))[0])
    raise InputError(
        f"{name}: {genes[gene]} of {samples[sample]} is infinite",
        "log of 0? Add an offset before logarithms, or write NA",
    )
