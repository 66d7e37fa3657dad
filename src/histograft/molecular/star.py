"""Read expression as the GDC gives it: one STAR file for each aliquot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.molecular.delimited import (
    NUMBER,
    named_columns,
    open_delimited,
    read_columns,
)
from histograft.molecular.expression_files import ExpressionMatrix

StarColumn = Literal[
    "tpm_unstranded",
    "fpkm_unstranded",
    "fpkm_uq_unstranded",
    "unstranded",
    "stranded_first",
    "stranded_second",
]
_FIX = "give files of the GDC's workflow STAR - Counts (augmented_star_gene_counts.tsv)"
# Copies of genes on the Y chromosome that the GDC counts on X.
_Y_COPY = "_PAR_Y"
_VERSIONED = r"^(ENSG\d+)\.\d+$"


@dataclass(frozen=True)
class StarFile:
    """Expression of one aliquot.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    gene_ids, symbols : tuple of str
        Ensembl ids without version, and symbols, of G genes.
    values : ndarray of float64, shape (G,)
        Linear, 0 or above.
    gene_model : str
        What the file says of its gene model.
    """

    name: str
    gene_ids: tuple[str, ...] = field(repr=False)
    symbols: tuple[str, ...] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    gene_model: str


def parse_star(stream: BinaryIO, name: str, column: StarColumn = "tpm_unstranded") -> StarFile:
    r"""Read one ``augmented_star_gene_counts.tsv``.

    Rows whose gene begins with ``N_`` count reads, not genes, and are passed over, and so are the
    second copies of genes of the pseudoautosomal region (``_PAR_Y``).

    Parameters
    ----------
    stream : binary file
        The file; plain, gzip or zip.
    name : str
        Its name, for messages.
    column : str
        Which values: TPM, FPKM, FPKM-UQ or counts of reads.

    Returns
    -------
    StarFile

    Raises
    ------
    InputError
        A column is missing, a value is missing or negative.

    References
    ----------
    https://docs.gdc.cancer.gov/Data/Bioinformatics_Pipelines/Expression_mRNA_Pipeline/

    Examples
    --------
    >>> import io
    >>> text = "# gene-model: GENCODE v36\ngene_id\tgene_name\ttpm_unstranded\n"
    >>> text += "N_unmapped\t\t\nENSG00000141510.18\tTP53\t12.5\n"
    >>> star = parse_star(io.BytesIO(text.encode()), "a.tsv")
    >>> star.symbols, star.values.tolist(), star.gene_model
    (('TP53',), [12.5], 'gene-model: GENCODE v36')
    """
    table = open_delimited(stream, name)
    places = named_columns(table, ["gene_id", "gene_name", column], _FIX)
    cells = read_columns(table, dict(zip(places, (pa.string(), pa.string(), NUMBER), strict=True)))
    ids, symbols, numbers = _genes_only(*(cells[place] for place in places))
    if not len(ids):
        raise InputError(f"{name} has no genes", "copy it again from its source")
    values = np.asarray(numbers.to_numpy(), np.float64)
    bad = ~(values >= 0) | np.isinf(values)
    if bad.any():
        gene = ids[int(bad.argmax())]
        raise InputError(f"{name}: {column} of {gene} is missing, negative or infinite", _FIX)
    return StarFile(
        name,
        tuple(ids.to_pylist()),
        tuple(symbols.to_pylist()),
        values,
        next((c.lstrip("# ") for c in table.comments if "gene-model" in c), "not stated"),
    )


def _genes_only(ids: pa.Array, *others: pa.Array) -> list[pa.Array]:
    """Return rows of genes, Ensembl ids without version; 500 files are read, so by Arrow."""
    ids = pc.utf8_trim_whitespace(ids)
    sums, copies = pc.starts_with(ids, "N_"), pc.ends_with(ids, _Y_COPY)
    kept = pc.invert(pc.or_(sums, copies))
    plain = pc.replace_substring_regex(ids, _VERSIONED, r"\1")
    return [column.filter(kept) for column in (plain, *others)]


def combine_star(
    files: Iterable[tuple[str, StarFile]],
    name: str,
    *,
    gene_names: Literal["symbol", "id"] = "symbol",
) -> ExpressionMatrix:
    """Put files of aliquots beside each other.

    Parameters
    ----------
    files : iterable of (str, StarFile)
        Sample or aliquot, and its file. Files are read one after another: a generator will do.
    name : str
        What to call them together, for messages.
    gene_names : {"symbol", "id"}
        Whether genes are called by symbol or Ensembl id.

    Returns
    -------
    ExpressionMatrix
        Linear.

    Raises
    ------
    InputError
        There is no file, or two have other genes.

    Examples
    --------
    >>> star = StarFile("a.tsv", ("ENSG1",), ("TP53",), np.array([12.5]), "GENCODE v36")
    >>> matrix = combine_star([("P1", star), ("P2", star)], "folder")
    >>> matrix.genes, matrix.values.tolist(), matrix.scale
    (('TP53',), [[12.5], [12.5]], 'linear')
    """
    first: StarFile | None = None
    samples: list[str] = []
    rows: list[NDArray[np.float64]] = []
    for sample, star in files:
        first = first or star
        if star.gene_ids != first.gene_ids:
            raise InputError(
                f"{star.name} and {first.name} have other genes "
                f"({star.gene_model}; {first.gene_model})",
                "download all files from one release of the GDC",
            )
        samples.append(sample)
        rows.append(star.values)
    if first is None:
        raise InputError(f"{name} holds no STAR file", _FIX)
    genes = first.symbols if gene_names == "symbol" else first.gene_ids
    note = f"{name}: {len(samples)} STAR files, {len(genes)} genes, {first.gene_model}"
    return ExpressionMatrix(name, np.stack(rows), tuple(samples), genes, "linear", (note,))
