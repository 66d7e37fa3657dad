"""From variants to patients x genes: mutated, wild type or unknown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from histograft.core.errors import InputError
from histograft.molecular.barcodes import PRIMARY_TUMOR
from histograft.molecular.drops import DropList, join_drops
from histograft.molecular.genes import match_genes
from histograft.molecular.maf import Maf
from histograft.molecular.patient_table import PatientTable, count_values
from histograft.molecular.samples import kept_samples, resolve_samples
from histograft.molecular.variants import KNOWN_CLASSES, NON_SILENT, NOT_SOMATIC


def mutation_table(
    maf: Maf,
    *,
    sequenced: Collection[str] | None = None,
    genes: Sequence[str] | None = None,
    classes: Collection[str] = NON_SILENT,
    sample_types: Collection[str] = (PRIMARY_TUMOR,),
    patients: Mapping[str, str] | None = None,
) -> PatientTable:
    """Say of each sequenced patient whether a gene is mutated.

    A patient is in the table only if somebody looked: with `sequenced`, those on the list; without
    it, those with any row in the MAF, so that who has no mutation at all is unknown. A patient of
    the table is 1 where a sample has a variant of `classes` in the gene, else 0. Reindexing the
    values to further patients gives NaN: unknown, not wild type.

    All samples are taken to have been sequenced for all genes. Samples of a panel of genes must
    not be joined with those of whole exomes.

    Parameters
    ----------
    maf : Maf
        From `parse_maf`.
    sequenced : collection of str, optional
        Patients, samples or aliquots that were sequenced: see `parse_sequenced`.
    genes : sequence of str, optional
        Genes wanted. One that is nowhere in the MAF, not even silent, is left out: it may not have
        been looked at, or be called otherwise. None: all that are mutated in some patient.
    classes : collection of str
        Values of Variant_Classification that count: see `histograft.molecular.variants`.
    sample_types : collection of str
        TCGA sample types that are kept.
    patients : mapping of str to str, optional
        Patient of each sample that has no TCGA barcode.

    Returns
    -------
    PatientTable
        Values 1 and 0. Several samples of a patient count together: one that is mutated is
        enough. ``genes`` has ``n_mutated`` too. Rows of the MAF are those that count and those in
        ``drops`` together.

    Raises
    ------
    InputError
        No sample is kept, no class or gene is in the MAF, or no sample is on the list.

    Examples
    --------
    >>> rows = {"gene": ["TP53", "TP53"], "variant_class": ["Missense_Mutation", "Silent"]}
    >>> rows |= {"sample_id": ["P1", "P2"], "status": ["", ""]}
    >>> maf = Maf("a.maf", pd.DataFrame(rows).astype("category"))
    >>> mutation_table(maf, sequenced=["P1", "P2", "P3"]).values["TP53"].to_dict()
    {'P1': 1.0, 'P2': 0.0, 'P3': 0.0}
    """
    drops = DropList(maf.name)
    resolved = resolve_samples(
        maf.rows["sample_id"].cat.categories, sample_types=sample_types, patients=patients
    )
    samples = kept_samples(resolved, drops, maf.name)
    listed, list_drops = None, DropList("list of who was sequenced")
    if sequenced is not None:
        looked_at = resolve_samples(sequenced, sample_types=sample_types, patients=patients)
        listed = kept_samples(looked_at, list_drops, "the list of who was sequenced")
    people, notes = _who_is_known(samples, listed, maf.name, drops)
    rows = _rows_that_count(maf, samples, set(people), classes, drops)
    wanted = _genes_wanted(maf, rows, genes, drops)
    values = _ones(rows, people, wanted)
    report = count_values(values)
    report.insert(1, "n_mutated", values.sum().to_numpy(dtype=np.int64))
    return PatientTable(
        values,
        samples[samples["patient_id"].isin(people)].reset_index(drop=True),
        report,
        join_drops([drops.table(), list_drops.table()]),
        (*notes, *_notes_on(maf, samples, report)),
    )


def _who_is_known(
    samples: pd.DataFrame, listed: pd.DataFrame | None, name: str, drops: DropList
) -> tuple[list[str], list[str]]:
    with_rows = set(samples["patient_id"])
    if listed is None:
        note = (
            f"{name}: no list of who was sequenced was given, so only the {len(with_rows)} "
            "patients with rows are known; patients without any are unknown, not wild type"
        )
        return sorted(with_rows), [note]
    people = set(listed["patient_id"])
    if with_rows and not with_rows & people:
        raise InputError(
            f"{name}: none of its {len(with_rows)} patients is on the list of who was sequenced "
            f"({min(with_rows)} …; on the list: {min(people)} …)",
            "give the list of this study, with the same kind of names",
        )
    for patient in sorted(with_rows - people):
        drops.add("patient", patient, "not-listed-as-sequenced", "has rows, but is not on the list")
    silent = len(people - with_rows)
    note = f"{name}: {silent} of {len(people)} sequenced patients have no row and are wild type"
    return sorted(people), [note]


def _rows_that_count(
    maf: Maf, samples: pd.DataFrame, people: set[str], classes: Collection[str], drops: DropList
) -> pd.DataFrame:
    """Return ``patient_id`` and ``gene`` of variants; write down all others by their cause."""
    if not set(classes):
        raise InputError("no variant class counts as a mutation", "state one or more classes")
    patient_of = dict(zip(samples["sample_id"], samples["patient_id"], strict=True))
    rows = maf.rows.assign(patient_id=maf.rows["sample_id"].astype(object).map(patient_of))
    of_sample = rows["patient_id"].notna()
    drops.add("row", "samples not kept", "sample", count=int((~of_sample).sum()))
    of_patient = of_sample & rows["patient_id"].isin(people)
    count = int((of_sample & ~of_patient).sum())
    drops.add("row", "patients not listed", "not-listed-as-sequenced", count=count)
    rows = rows[of_patient]
    status = rows["status"].astype(object).str.lower()
    for value, n in status[status.isin(NOT_SOMATIC)].value_counts().items():
        drops.add("row", str(value), "not-somatic", "Mutation_Status", count=n)
    rows = rows[~status.isin(NOT_SOMATIC)]
    _refuse_foreign_classes(rows["variant_class"], maf.name)
    for value, n in rows["variant_class"].value_counts().items():
        if value not in classes:
            reason = "class-not-counted" if value in KNOWN_CLASSES else "class-unknown"
            drops.add("row", str(value), reason, "Variant_Classification", count=n)
    counted = rows["variant_class"].isin(list(classes)) & (rows["gene"] != "")
    nameless = int((rows["variant_class"].isin(list(classes)) & (rows["gene"] == "")).sum())
    drops.add("row", "no gene", "no-name", count=nameless)
    return rows.loc[counted, ["patient_id", "gene"]]


def _refuse_foreign_classes(values: pd.Series, name: str) -> None:
    found = set(values.unique())
    if found and not found & KNOWN_CLASSES:
        raise InputError(
            f"{name}: Variant_Classification has none of the known classes ({sorted(found)[:3]} …)",
            "give a MAF with classes such as Missense_Mutation, and Silent",
        )


def _genes_wanted(
    maf: Maf, rows: pd.DataFrame, genes: Sequence[str] | None, drops: DropList
) -> list[str]:
    if genes is None:
        return sorted(set(rows["gene"].unique()))
    found, absent = match_genes(genes, set(maf.rows["gene"].unique()), maf.name)
    for gene, hint in absent.items():
        drops.add("gene", gene, "absent", hint)
    return found


def _ones(rows: pd.DataFrame, people: list[str], genes: list[str]) -> pd.DataFrame:
    line = pd.Index(people).get_indexer(pd.Index(rows["patient_id"]))
    place = pd.Index(genes).get_indexer(pd.Index(rows["gene"].astype(object)))
    values = np.zeros((len(people), len(genes)))
    values[line[place >= 0], place[place >= 0]] = 1.0
    index = pd.Index(people, name="patient_id", dtype="str")
    return pd.DataFrame(values, index=index, columns=pd.Index(genes, dtype="str"))


def _notes_on(maf: Maf, samples: pd.DataFrame, report: pd.DataFrame) -> list[str]:
    notes = []
    several = int((samples["patient_id"].value_counts() > 1).sum())
    if several:
        notes.append(f"{maf.name}: {several} patients have several samples, which count together")
    unmutated = report.loc[report["n_mutated"] == 0, "gene"].tolist()
    if unmutated:
        notes.append(f"{maf.name}: mutated in nobody: {', '.join(unmutated[:10])}")
    return notes
