"""Molecular targets: mutation status or expression of genes, by patient, from the user's tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeVar

from histograft.core.artefact import Input
from histograft.core.errors import InputError
from histograft.verbs.molecular_folders import hash_tables, read_maf_folder, read_star_folder

if TYPE_CHECKING:
    import pandas as pd

    from histograft.molecular.drops import DropList
    from histograft.molecular.patient_table import PatientTable

Kind = Literal["mutation", "expression"]
Transform = Literal["auto", "none", "log2p1"]
Orientation = Literal["auto", "genes-in-rows", "samples-in-rows"]
ALL = "all"
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class MolecularTables:
    """Files that a user gives.

    Attributes
    ----------
    mutations : pathlib.Path or None
        A MAF, or a folder of them.
    sequenced : pathlib.Path or None
        List of patients or samples that were sequenced.
    expression : pathlib.Path or None
        A matrix of expression, or a folder of the GDC's STAR files with their sample sheet.
    genes : str
        ``"all"``, the name of a list (``"LUAD_NINE"``), or a file with one gene a line.
    n_genes : int or None
        Draw so many of them.
    transform : {"auto", "none", "log2p1"}
        Of expression.
    seed : int
        Seed of the draw.
    variant_classes : tuple of str
        Which variants count, see `histograft.molecular.variants.resolve_classes`.
    sample_types : tuple of str
        TCGA sample types that are kept.
    orientation : {"auto", "genes-in-rows", "samples-in-rows"}
        Which way round the matrix of expression lies.
    sample_sheet : pathlib.Path or None
        Table of samples and their patients, where names of samples do not say it.
    fit_mutations, fit_sequenced, fit_expression : pathlib.Path or None
        Files of the cohort that is only fitted on, where it has its own.
    """

    mutations: Path | None
    sequenced: Path | None
    expression: Path | None
    genes: str
    n_genes: int | None
    transform: Transform
    seed: int
    variant_classes: tuple[str, ...] = ("non-silent",)
    sample_types: tuple[str, ...] = ("01",)
    orientation: Orientation = "auto"
    sample_sheet: Path | None = None
    fit_mutations: Path | None = None
    fit_sequenced: Path | None = None
    fit_expression: Path | None = None

    @property
    def kind(self) -> Kind:
        """What is predicted."""
        return "mutation" if self.mutations is not None else "expression"

    def inputs(self) -> list[Input]:
        """Return what goes into the identity of the predictions."""
        given = {"genes": self._gene_file()}
        given |= {
            role: getattr(self, role)
            for role in ("mutations", "sequenced", "expression", "sample_sheet",
                         "fit_mutations", "fit_sequenced", "fit_expression")
        }  # fmt: skip
        return [
            Input(role, "table", hash_tables(path), path.name)
            for role, path in given.items()
            if path is not None
        ]

    def of_fitted(self) -> MolecularTables | None:
        """Return the files of the cohort that is only fitted on, or None if it has no own.

        A list of who was sequenced belongs to its MAF: another MAF has another list, or none.
        """
        if not (self.fit_mutations or self.fit_sequenced or self.fit_expression):
            return None
        return replace(
            self,
            mutations=self.fit_mutations or self.mutations,
            sequenced=self.fit_sequenced,
            expression=self.fit_expression or self.expression,
            fit_mutations=None,
            fit_sequenced=None,
            fit_expression=None,
        )

    def gene_setting(self) -> str:
        """Return the name of the gene list; of a file its name, as its content is an input."""
        return "file" if self._gene_file() is not None else self.genes

    def wanted_genes(self) -> list[str] | None:
        """Return the genes asked for, or None for all."""
        from histograft.molecular.genes import GENE_LISTS
        from histograft.molecular.name_lists import parse_gene_list

        if self.genes == ALL:
            return None
        file = self._gene_file()
        if file is not None:
            return _parsed(file, parse_gene_list)
        if self.genes in GENE_LISTS:
            return list(GENE_LISTS[self.genes])
        raise InputError(
            f"--genes {self.genes} is no file and no known list",
            f"give a file with one gene a line, {', '.join(GENE_LISTS)}, or {ALL}",
        )

    def _gene_file(self) -> Path | None:
        path = Path(self.genes)
        return path if path.is_file() else None


@dataclass(frozen=True)
class Targets:
    """What is to be predicted.

    Attributes
    ----------
    kind : {"mutation", "expression"}
        Status 0 and 1, or numbers.
    values : pandas.DataFrame of float64, patients x genes
        NaN where nothing is known.
    drops : pandas.DataFrame
        What was left out and why, with the columns of `histograft.core.tables.DROPS`.
    notes : tuple of str
        What a reader of the results should know.
    gene_hash : str
        Hash of the set of genes, to be reported.
    """

    kind: Kind
    values: pd.DataFrame
    drops: pd.DataFrame
    notes: tuple[str, ...]
    gene_hash: str


def read_targets(
    tables: MolecularTables, patients: Sequence[str], fitted: Sequence[str] = ()
) -> Targets:
    """Read the targets of some patients.

    Parameters
    ----------
    tables : MolecularTables
        The user's files.
    patients : sequence of str
        Patients with features.
    fitted : sequence of str
        Patients with features of another cohort, who are only fitted on. Where it has files of its
        own, each cohort is read from its own, by its own scale, and genes must be in both.

    Returns
    -------
    Targets
        Rows are patients in the order of `patients` and `fitted`, those without any value left out.

    Raises
    ------
    InputError
        A table cannot be used, no gene of the list is there, or no patient is in both.
    """
    from histograft.molecular.drops import DropList, join_drops
    from histograft.molecular.genes import draw_genes, hash_genes

    drops = DropList("features and targets")
    own = tables.of_fitted()
    if own is None:
        read = [_read(tables, [*patients, *fitted], drops)]
    else:
        read = [_read(tables, patients, drops), _read(own, fitted, drops)]
    values = _under_each_other([table.values for table in read], drops)
    genes = list(values.columns)
    if tables.n_genes is not None:
        genes = list(draw_genes(genes, tables.n_genes, tables.seed).genes)
        values = values[genes]
    joined = join_drops([*(table.drops for table in read), drops.table()])
    notes = tuple(dict.fromkeys(note for table in read for note in table.notes))
    return Targets(tables.kind, values, joined, notes, hash_genes(genes))


def _read(tables: MolecularTables, patients: Sequence[str], drops: DropList) -> PatientTable:
    """Read a table and keep the patients with features, in their order."""
    read = _mutations if tables.mutations else _expression
    table = read(tables, patients, drops)
    known = set(table.values.index)
    for patient in patients:
        if patient not in known:
            drops.add("patient", patient, "no-molecular-data", "features, but no molecular value")
    for patient in sorted(known - set(patients)):
        drops.add("patient", patient, "no-features", "molecular values, but no features")
    both = [patient for patient in patients if patient in known]
    if not both:
        raise InputError(
            f"no patient has both features (such as {patients[0]}) and molecular values (such as "
            f"{min(known, default='none')})",
            "write names of patients alike in both tables",
        )
    return replace(table, values=table.values.loc[both])


def _under_each_other(parts: Sequence[pd.DataFrame], drops: DropList) -> pd.DataFrame:
    """Put the values of cohorts under each other; genes that one of them lacks are left out."""
    import pandas as pd

    if len(parts) == 1:
        return parts[0]
    genes = [gene for gene in parts[0] if all(gene in part for part in parts)]
    for gene in sorted({str(gene) for part in parts for gene in part} - set(genes)):
        drops.add("gene", gene, "not-in-both-cohorts")
    if not genes:
        raise InputError(
            f"no gene is in the tables of both cohorts (such as {parts[0].columns[0]} and "
            f"{parts[1].columns[0]})",
            "name genes alike in both tables",
        )
    return pd.concat([part[genes] for part in parts])


def _mutations(tables: MolecularTables, patients: Collection[str], drops: DropList) -> PatientTable:
    from histograft.molecular.maf import parse_maf
    from histograft.molecular.mutations import mutation_table
    from histograft.molecular.name_lists import parse_sequenced
    from histograft.molecular.variants import resolve_classes

    del patients, drops
    path = _there(tables.mutations)
    maf = read_maf_folder(path) if path.is_dir() else _parsed(path, parse_maf)
    sequenced = _parsed(tables.sequenced, parse_sequenced) if tables.sequenced else None
    return mutation_table(
        maf,
        sequenced=sequenced,
        genes=tables.wanted_genes(),
        classes=resolve_classes(tables.variant_classes),
        sample_types=tables.sample_types,
        patients=_patients_of_samples(tables),
    )


def _expression(
    tables: MolecularTables, patients: Collection[str], drops: DropList
) -> PatientTable:
    from histograft.molecular.expression import expression_table
    from histograft.molecular.expression_files import parse_expression

    path, patient_of = _there(tables.expression), _patients_of_samples(tables)
    if path.is_dir():
        _refuse_for_folders(tables, path)
        matrix, patient_of = read_star_folder(path, drops)
    else:
        with path.open("rb") as stream:
            known = [*patients, *(patient_of or ())]
            matrix = parse_expression(
                stream, path.name, orientation=tables.orientation, known=known
            )
    return expression_table(
        matrix,
        genes=tables.wanted_genes(),
        transform=tables.transform,
        sample_types=tables.sample_types,
        patients=patient_of,
    )


def _patients_of_samples(tables: MolecularTables) -> dict[str, str] | None:
    """Return the patient of each sample of the user's sheet, or None without one."""
    from histograft.molecular.samples import parse_sample_sheet

    if tables.sample_sheet is None:
        return None
    sheet = _parsed(tables.sample_sheet, parse_sample_sheet)
    return dict(zip(sheet["sample_id"], sheet["patient_id"], strict=True))


def _refuse_for_folders(tables: MolecularTables, folder: Path) -> None:
    if tables.sample_sheet is not None or tables.orientation != "auto":
        option = "--orientation" if tables.sample_sheet is None else "--sample-sheet"
        raise InputError(
            f"{option} is for one matrix, and {folder} is a folder of STAR files, which has its "
            "own sheet",
            "leave it out",
        )


def _parsed(path: Path, parse: Callable[[BinaryIO, str], Parsed]) -> Parsed:
    if not path.is_file():
        raise InputError(f"{path} is no file", "correct its path")
    with path.open("rb") as stream:
        return parse(stream, path.name)


def _there(path: Path | None) -> Path:
    if path is None or not path.exists():
        raise InputError(f"{path} does not exist", "correct its path")
    return path
