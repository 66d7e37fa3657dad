"""How well named genes are predicted: correlation of each model (Li 2022, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from histograft.core.columns import require_columns
from histograft.figures.gene_panels import GenePanel, draw_gene_panels, select_genes
from histograft.figures.gene_rows import GeneRow, Line, sort_rows
from histograft.figures.gene_tables import (
    CORRELATIONS,
    Q_TABLE,
    VALUES,
    gene_values,
    n_patients,
    q_lookup,
    require_protocol,
)
from histograft.figures.numerals import format_p
from histograft.figures.palette import order_models
from histograft.figures.style import styled


@styled
def gene_correlations(
    results: pd.DataFrame,
    q_values: pd.DataFrame | None = None,
    *,
    genes: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    metric: str = "pearson",
) -> Figure:
    """Draw a panel for each data set: a row for each gene, a line in it for each model.

    Parameters
    ----------
    results : pandas.DataFrame
        Columns of the results table with a row for each gene (``target``) and model.
    q_values : pandas.DataFrame, optional
        Columns dataset, target, model, q (0 to 1) and, where data sets have several, protocol;
        printed beside each line.
    genes : sequence of str, optional
        Genes to draw; without, all there are.
    models : sequence of str, optional
        Fixed names of the models to draw; without, all.
    metric : str
        ``"pearson"`` or ``"spearman"``.

    Returns
    -------
    matplotlib.figure.Figure
        The picture, the gene that any model predicts best on top; two panels side by side at
        most.

    Raises
    ------
    InputError
        A column is missing, a gene that is asked for is in no row, nothing is left to draw, it
        is more than 60 genes, or `q_values` lacks the protocol where results have several.

    References
    ----------
    Li X, Cen M, Xu J, Zhang H, Xu XS. Improving feature extraction from histopathological
    images through a fine-tuning ImageNet model. J Pathol Inform 2022, Fig. 5;
    doi:10.1016/j.jpi.2022.100115.
    """
    require_columns(results, VALUES, "the results table")
    rows = select_genes(results, metric, genes, models)
    if q_values is not None:
        require_protocol(q_values, rows, Q_TABLE)
    panels = []
    for key, here in rows.groupby(["dataset", "protocol"], sort=False):
        q = q_lookup(q_values, here.iloc[0])
        drawn = [_row(str(gene), part, q) for gene, part in here.groupby("target", sort=False)]
        label = f"{CORRELATIONS.get(metric, metric)}{n_patients(here)}"
        panels.append(GenePanel(key, sort_rows(drawn), label))
    letter = "ρ" if metric == "spearman" else "r"
    labels = dict(zip(rows["model"], rows["label"], strict=True))
    return draw_gene_panels(panels, (f"{letter} [95 %]", "q"), 0.0, labels)


def _row(gene: str, rows: pd.DataFrame, q: dict[tuple[str, str], float]) -> GeneRow:
    values = gene_values(rows)
    return GeneRow(
        gene,
        "",
        tuple(
            Line(model, values[model], format_p(q.get((gene, model))) if q else "")
            for model in order_models(values)
        ),
    )
