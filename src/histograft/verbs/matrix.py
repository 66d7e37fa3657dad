"""Compare transfers: the matrix of sources and targets, its tests, and a report page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from histograft.core.artefact import (
    Artefact,
    Draft,
    Identity,
    claim,
    is_artefact,
    open_artefact,
)
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.matrix_page import matrix_page
from histograft.verbs.matrix_tables import (
    COMPARISONS_FILE,
    LATEX_FILE,
    MATRIX_FILE,
    RATES_FILE,
    RESULTS_FILE,
    MatrixTables,
    latex_matrix,
    matrix_tables,
    results_table,
)
from histograft.verbs.matrix_told import answer, tell_matrix
from histograft.verbs.transfer_cells import collect_cells

if TYPE_CHECKING:
    from histograft.verbs.transfer_cells import Cell

VERSION = 1
PAGE = "index.html"


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Compare the transfers of a run with their controls, and write the report.

    Attributes
    ----------
    cells : tuple of Path
        Artefacts of `histograft transfer`, or folders that hold them.
    out : Path
        Folder of the report artefact; new or empty. Its page is index.html.
    patches : tuple of Path
        Patches artefacts of the sets, for the table of what they hold.
    title : str
        Heading of the report.
    notices : tuple of str
        Sentences to set on top of the report.
    commands : tuple of str
        Commands that made the results, to be printed on the page.
    """

    cells: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    patches: Annotated[tuple[Path, ...], Role.INPUT] = ()
    title: str = "Which data set helps which?"
    notices: tuple[str, ...] = ()
    commands: Annotated[tuple[str, ...], Role.EXECUTION] = ()


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "recommended": {}}


def matrix(config: Matrix, reporter: Reporter = SILENT) -> Artefact:
    """Make a report artefact.

    Parameters
    ----------
    config : Matrix
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``report``: ``index.html``, ``matrix.csv``, ``comparisons.csv``,
        ``learning_rates.csv``, ``results.csv``, ``matrix.tex`` and ``figures/``.

    Raises
    ------
    InputError
        What is given holds no transfers, or they are not of one run.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    artefacts = [open_artefact(path, "predictions") for path in _below(config.cells)]
    patches = [open_artefact(path, "patches") for path in config.patches]
    settings = fields_with_role(config, Role.SETTING)
    inputs = tuple(
        artefact.as_input(role)
        for role, given in (("cells", artefacts), ("patches", patches))
        for artefact in given
    )
    draft = claim(config.out, Identity("report", "matrix", VERSION, settings, inputs, None))
    if isinstance(draft, Artefact):
        reporter.note(f"the report is there already ({draft.path / PAGE})")
        return draft
    with draft:
        with reporter.task("intervals and tests", 1) as task:
            cells = collect_cells(artefacts)
            tables = matrix_tables(cells)
            task.advance()
        _write_tables(tables, cells, draft)
        tell_matrix(tables, reporter)
        draft.write_text(PAGE, matrix_page(config, tables, cells, patches, draft))
        reporter.note(answer(tables)[0])
        n_tests = int(tables.comparisons["p_adjusted"].notna().sum())
        facts = {"title": config.title, "n_cells": len(cells), "n_tests": n_tests}
        return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


def _below(paths: Sequence[Path]) -> list[Path]:
    """Artefacts that are given, or that lie in folders that are given, in the order of names."""
    found = []
    for path in paths:
        if is_artefact(path):
            found.append(path)
            continue
        inside = sorted(p.parent for p in path.rglob("manifest.json")) if path.is_dir() else []
        if not inside:
            raise InputError(
                f"{path} is no transfer and holds none", "give folders of `histograft transfer`"
            )
        found += inside
    return found


def _write_tables(tables: MatrixTables, cells: Sequence[Cell], draft: Draft) -> None:
    named = {
        MATRIX_FILE: tables.matrix,
        COMPARISONS_FILE: tables.comparisons,
        RATES_FILE: tables.rates,
        RESULTS_FILE: results_table(tables, cells),
    }
    for name, table in named.items():
        with draft.writing(name) as path:
            table.to_csv(path, index=False, float_format="%.10g")
    draft.write_text(LATEX_FILE, latex_matrix(tables.matrix))
