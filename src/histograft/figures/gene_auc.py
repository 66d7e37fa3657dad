"""How well mutations of genes are told: ROC area of each model (Li 2022, Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from histograft.core.columns import require_columns
from histograft.figures.gene_panels import GenePanel, draw_gene_panels, select_genes
from histograft.figures.gene_rows import GeneRow, Line, sort_rows
from histograft.figures.gene_tables import (
    VALUES,
    gene_values,
    match_place,
    n_patients,
    numbers_of,
    require_protocol,
)
from histograft.figures.numerals import format_p
from histograft.figures.palette import order_models
from histograft.figures.style import styled

MUTATED_TABLE = "the table of mutated patients"
TESTED = ["compared_with", "test", "p_adjusted"]


@styled
def gene_auc(
    results: pd.DataFrame,
    mutated: pd.DataFrame | None = None,
    *,
    genes: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
) -> Figure:
    """Draw a panel for each data set: a row for each gene, a line in it for each model.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns of the results table with the metric ``auc``, a row for each gene (``target``) and
        model.
    mutated : pandas.DataFrame, optional
        Columns dataset, target, n_mutated and, where data sets have several, protocol; printed
        beneath the gene with ``n_units`` of the results, the patients in all.
    genes : sequence of str, optional
        Genes to draw; without, all there are.
    models : sequence of str, optional
        Fixed names of the models to draw; without, all.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, the gene that any model tells best on top, with a line at 0.5; two panels
        side by side at most. The adjusted p of a paired test stands beside the model that was
        compared, and the legend says with which.

    Raises
    ------
    InputError
        A column is missing, a gene that is asked for is in no row, nothing is left to draw, it
        is more than 60 genes, or `mutated` lacks the protocol where results have several.

    References
    ----------
    Li X, Cen M, Xu J, Zhang H, Xu XS. Improving feature extraction from histopathological
    images through a fine-tuning ImageNet model. J Pathol Inform 2022, Fig. 6;
    doi:10.1016/j.jpi.2022.100115.
    """
    require_columns(results, [*VALUES, *TESTED], "the results table")
    rows = select_genes(results, "auc", genes, models)
    if mutated is not None:
        require_columns(mutated, ["dataset", "target", "n_mutated"], MUTATED_TABLE)
        require_protocol(mutated, rows, MUTATED_TABLE)
    panels = []
    for key, here in rows.groupby(["dataset", "protocol"], sort=False):
        counts = {} if mutated is None else _counts(match_place(mutated, here.iloc[0]))
        drawn = [_row(str(gene), part, counts) for gene, part in here.groupby("target", sort=False)]
        label = f"area under the ROC curve{n_patients(here)}"
        panels.append(GenePanel(key, sort_rows(drawn), label))
    labels = dict(zip(results["model"], results["label"], strict=True))
    heads = ("AUC [95 %]", "adjusted p")
    return draw_gene_panels(panels, heads, 0.5, labels, _test_note(rows, labels))


def _counts(mutated: pd.DataFrame) -> dict[str, int]:
    known = mutated.dropna(subset=["n_mutated"])
    return dict(zip(known["target"].astype(str), known["n_mutated"].astype(int), strict=True))


def _row(gene: str, rows: pd.DataFrame, counts: dict[str, int]) -> GeneRow:
    values = gene_values(rows)
    tested = rows[rows["compared_with"].notna()].drop_duplicates("model")
    p = dict(zip(tested["model"], numbers_of(tested, ["p_adjusted"])[:, 0], strict=True))
    known = rows["n_units"].dropna()
    note = ""
    if gene in counts:
        note = f"{counts[gene]:,} mutated"
        if len(known):
            note = f"{counts[gene]:,} of {int(known.iloc[0]):,} mutated"
    return GeneRow(
        gene,
        note,
        tuple(
            Line(model, values[model], format_p(p[model]) if model in p else "")
            for model in order_models(values)
        ),
    )


def _test_note(rows: pd.DataFrame, labels: dict[str, str]) -> str:
    tested = rows[rows["compared_with"].notna() & rows["p_adjusted"].notna()]
    if tested.empty:
        return ""
    tests = " or ".join(tested["test"].dropna().astype(str).unique()) or "paired test"
    others = " or ".join(
        str(labels.get(other, other)) for other in tested["compared_with"].unique()
    )
    return f"adjusted p: {tests}, against {others}"
