"""Molecular targets: mutation status or expression of genes, by patient, from the user's tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
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
    """

    mutations: Path | None
    sequenced: Path | None
    expression: Path | None
    genes: str
    n_genes: int | None
    transform: Transform
    seed: int

    @property
    def kind(self) -> Kind:
        """What is predicted."""
        return "mutation" if self.mutations is not None else "expression"

    def inputs(self) -> list[Input]:
        """Return what goes into the identity of the predictions."""
        given = {"mutations": self.mutations, "sequenced": self.sequenced}
        given |= {"expression": self.expression, "genes": self._gene_file()}
        return [
            Input(role, "table", hash_tables(path), path.name)
            for role, path in given.items()
            if path is not None
        ]

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


def read_targets(tables: MolecularTables, patients: Sequence[str]) -> Targets:
    """Read the targets of some patients.

    Parameters
    ----------
    tables : MolecularTables
        The user's files.
    patients : sequence of str
        Patients with features.

    Returns
    -------
    Targets
        Rows are patients in the order of `patients`, those without any value left out.

    Raises
    ------
    InputError
        A table cannot be used, no gene of the list is there, or no patient is in both.
    """
    from histograft.molecular.drops import DropList, join_drops
    from histograft.molecular.genes import draw_genes, hash_genes

    drops = DropList("features and targets")
    read = _mutations if tables.mutations else _expression
    table = read(tables, patients, drops)
    values = table.values
    genes = list(values.columns)
    if tables.n_genes is not None:
        genes = list(draw_genes(genes, tables.n_genes, tables.seed).genes)
        values = values[genes]
    known = set(values.index)
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
    joined = join_drops([table.drops, drops.table()])
    return Targets(tables.kind, values.loc[both], joined, tuple(table.notes), hash_genes(genes))


def _mutations(tables: MolecularTables, patients: Collection[str], drops: DropList) -> PatientTable:
    from histograft.molecular.maf import parse_maf
    from histograft.molecular.mutations import mutation_table
    from histograft.molecular.name_lists import parse_sequenced

    del patients, drops
    path = _there(tables.mutations)
    maf = read_maf_folder(path) if path.is_dir() else _parsed(path, parse_maf)
    sequenced = _parsed(tables.sequenced, parse_sequenced) if tables.sequenced else None
    return mutation_table(maf, sequenced=sequenced, genes=tables.wanted_genes())


def _expression(
    tables: MolecularTables, patients: Collection[str], drops: DropList
) -> PatientTable:
    from histograft.molecular.expression import expression_table
    from histograft.molecular.expression_files import parse_expression

    path, patient_of = _there(tables.expression), None
    if path.is_dir():
        matrix, patient_of = read_star_folder(path, drops)
    else:
        with path.open("rb") as stream:
            matrix = parse_expression(stream, path.name, known=patients)
    return expression_table(
        matrix, genes=tables.wanted_genes(), transform=tables.transform, patients=patient_of
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
