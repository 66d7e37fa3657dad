"""From matrices of expression to patients x genes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.molecular.barcodes import PRIMARY_TUMOR
from histograft.molecular.drops import DropList
from histograft.molecular.expression_files import ExpressionMatrix
from histograft.molecular.genes import match_genes
from histograft.molecular.patient_table import PatientTable, count_values
from histograft.molecular.samples import kept_samples, resolve_samples
from histograft.molecular.scale import (
    ScaleFinding,
    Transform,
    detect_scale,
    resolve_transform,
)

_WORDS = {
    "linear": "linear",
    "log": "in logarithms",
    "centered": "z-scores or log ratios",
    "unknown": "of an unknown scale",
}


def expression_table(
    matrix: ExpressionMatrix,
    *,
    genes: Sequence[str] | None = None,
    transform: Transform = "auto",
    sample_types: Collection[str] = (PRIMARY_TUMOR,),
    patients: Mapping[str, str] | None = None,
) -> PatientTable:
    """Give each patient one value of each gene.

    1. The scale is detected in all genes of the file (see `detect_scale`), and y = log₂(x + 1) is
       taken of linear values only.
    2. Of several rows of one gene the first counts, as in UCSC Xena.
    3. Several samples of a patient become their mean, after the logarithm.

    Genes of no variance stay and are reported: what to do about them belongs into training folds.

    Parameters
    ----------
    matrix : ExpressionMatrix
        From `parse_expression` or `combine_star`.
    genes : sequence of str, optional
        Genes wanted; None: all.
    transform : {"auto", "none", "log2p1"}
        ``auto`` takes logarithms of linear values.
    sample_types : collection of str
        TCGA sample types that are kept.
    patients : mapping of str to str, optional
        Patient of each sample that has no TCGA barcode.

    Returns
    -------
    PatientTable
        ``genes`` has ``mean`` and ``sd`` (n - 1) too, for information.

    Raises
    ------
    InputError
        No sample is kept, no gene is there, logarithms would be taken twice, or the scale cannot
        be told.

    Examples
    --------
    >>> values = np.array([[3.0, 1023.0], [7.0, 255.0]])
    >>> matrix = ExpressionMatrix("a.tsv", values, ("P1", "P2"), ("TP53", "KRAS"), None, ())
    >>> expression_table(matrix).values.values.tolist()
    [[2.0, 10.0], [3.0, 8.0]]
    """
    drops = DropList(matrix.name)
    if matrix.scale is None:
        finding = detect_scale(matrix.values)
    else:
        finding = ScaleFinding(matrix.scale, "by its layout")
    applied = resolve_transform(finding, transform, matrix.name)
    places = _genes_wanted(matrix, genes, drops)
    resolved = resolve_samples(matrix.samples, sample_types=sample_types, patients=patients)
    samples = kept_samples(resolved, drops, matrix.name)
    kept = np.flatnonzero(resolved["reason"] == "")
    chosen = matrix.values[np.ix_(kept, np.array([*places.values()], np.intp))]
    if applied == "log2p1":
        chosen = _logged(chosen, matrix.name)
    index = pd.Index(samples["patient_id"], name="patient_id", dtype="str")
    columns = pd.Index(list(places), dtype="str")
    values = pd.DataFrame(chosen, index=index, columns=columns, copy=False)
    if index.has_duplicates:
        values = values.groupby(level=0).mean()
    values = values.sort_index()
    values = _without_empty(values, drops)
    report = count_values(values)
    report["mean"] = values.mean().to_numpy()
    report["sd"] = values.std(ddof=1).to_numpy()
    notes = (*matrix.notes, *_notes_on(matrix, finding, applied, samples, report))
    return PatientTable(values, samples, report, drops.table(), notes)


def _genes_wanted(
    matrix: ExpressionMatrix, genes: Sequence[str] | None, drops: DropList
) -> dict[str, int]:
    """Return gene to place in the matrix, of the first row of each gene."""
    first: dict[str, int] = {}
    copies: dict[str, int] = {}
    for place, gene in enumerate(matrix.genes):
        if gene in first:
            copies[gene] = copies.get(gene, 0) + 1
        elif gene:
            first[gene] = place
    nameless = sum(not gene for gene in matrix.genes)
    drops.add("gene", "", "no-name", "rows without a gene", nameless)
    if genes is None:
        wanted = list(first)
    else:
        wanted, absent = match_genes(genes, first, matrix.name)
        for gene, hint in absent.items():
            drops.add("gene", gene, "absent", hint)
    for gene in wanted:
        drops.add("gene", gene, "duplicate", "the first row counts", copies.get(gene, 0))
    return {gene: first[gene] for gene in wanted}


def _logged(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return log2(x + 1), in place: these tables are large."""
    if (values < 0).any():
        raise InputError(
            f"{name} has negative values, of which there is no log2(x + 1)",
            "take --transform none, or the table before its background was subtracted",
        )
    values += 1.0
    return np.log2(values, out=values)


def _without_empty(values: pd.DataFrame, drops: DropList) -> pd.DataFrame:
    missing = values.isna()
    genes, patients = missing.all(axis=0), missing.all(axis=1)
    for empty, kind in ((genes, "gene"), (patients, "patient")):
        for name in empty.index[empty]:
            drops.add(kind, str(name), "no-value", "missing in all that is kept")
    return values.loc[~patients, ~genes] if genes.any() or patients.any() else values


def _notes_on(
    matrix: ExpressionMatrix,
    finding: ScaleFinding,
    applied: Transform,
    samples: pd.DataFrame,
    report: pd.DataFrame,
) -> list[str]:
    done = "log2(x + 1) was taken" if applied == "log2p1" else "no logarithm was taken"
    notes = [f"{matrix.name}: values are {_WORDS[finding.scale]} ({finding.because}); {done}"]
    if finding.scale == "linear" and bool(np.all(np.mod(matrix.values[:1], 1) == 0)):
        notes.append(
            f"{matrix.name}: values are whole numbers: counts depend on how deep a sample was "
            "sequenced; TPM do not"
        )
    several = samples["patient_id"].value_counts()
    several = several[several > 1]
    if len(several):
        notes.append(
            f"{matrix.name}: {len(several)} patients have several samples ({several.index[0]} …); "
            "their mean counts"
        )
    constant = report.loc[report["constant"], "gene"].tolist()
    if constant:
        notes.append(
            f"{matrix.name}: {len(constant)} genes have no variance ({', '.join(constant[:5])} …)"
        )
    if report["n_missing"].any():
        notes.append(f"{matrix.name}: {int(report['n_missing'].sum())} values are missing")
    return notes
