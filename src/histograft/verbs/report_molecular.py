"""The sections of a report on mutations and expression of patients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from histograft.figures.numerals import NOTHING, format_p, plain, signed
from histograft.verbs.comparison_told import records
from histograft.verbs.report_captions import (
    AREAS,
    AREAS_TESTED,
    CALIBRATION,
    CORRELATIONS,
    SLOPES,
    WATERFALL,
)
from histograft.verbs.report_material import Compared
from histograft.verbs.report_molecular_answer import (
    cohort,
    difference_range,
    molecular_blocks,
    of_block,
)
from histograft.verbs.report_tables import GROUP

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from histograft.figures.page import Picture, Section, Table

MOST_GENES = 20
MOST_CURVES = 9
# Mutated patients, and others, below which the slope of calibration says nothing.
LEAST_EVENTS = 10
FDR = 0.05
Sketcher = Callable[..., "Picture"]


def molecular_sections(compared: Compared, draw: Sketcher) -> Iterator[Section]:
    """Make the sections for which there are predictions.

    Parameters
    ----------
    compared : Compared
        Tables of `compare`.
    draw : callable
        Takes a figure, a file name without ending and a caption to a picture of the page.

    Yields
    ------
    Section
        On mutations, on expression, or both.
    """
    for block, number in molecular_blocks(compared):
        rows = of_block(compared.all_results, block)

        def numbered(figure: Figure, stem: str, *rest: Any, n: int = number) -> Picture:
            return draw(figure, stem if n == 0 else f"{stem}-{n}", *rest)

        if block["task"] == "mutation":
            rows = rows[rows["target"].isin(_genes_of(rows, "auc"))]
            yield _mutation(block, rows, compared, numbered)
        else:
            yield _expression(block, rows, compared, numbered)


def _genes_of(rows: pd.DataFrame, metric: str) -> list[str]:
    return list(dict.fromkeys(rows.loc[rows["metric"] == metric, "target"]))


def _mutation(
    block: dict[str, Any], rows: pd.DataFrame, compared: Compared, draw: Sketcher
) -> Section:
    from histograft.figures.gene_auc import gene_auc
    from histograft.figures.page import Section

    areas = rows[rows["metric"] == "auc"]
    # As the figure sorts genes: of equal ones the first of the table stands first.
    best = areas.groupby("target", sort=False)["value"].max()
    best = best.sort_values(ascending=False, kind="stable")
    shown = list(best.index[:MOST_GENES])
    share = rows[rows["metric"] == "average_precision_no_skill"].drop_duplicates("target")
    mutated = share[["dataset", "target"]].assign(
        n_mutated=(share["value"] * share["n_units"]).round().astype(int)
    )
    left_out = block.get("left_out", {})
    text = [_cohort_text(block)]
    if left_out:
        text.append(
            "Left out: " + "; ".join(f"{gene} ({why})" for gene, why in left_out.items()) + "."
        )
    if len(best) > len(shown):
        text.append(
            f"Shown are the {len(shown)} best of {len(best)} genes; all are in results.csv."
        )
    figure = gene_auc(areas, mutated, genes=shown)
    areas_caption = AREAS_TESTED if areas["p_adjusted"].notna().any() else AREAS
    slopes = _slopes(rows, mutated)
    return Section(
        f"Mutations of {block['n_units']:,} patients{cohort(compared, block)}",
        text=tuple(text),
        figures=(
            draw(figure, "mutations", areas_caption),
            *_curves(_of_bins(compared, block), slopes, shown, draw),
        ),
        tables=(_area_table(rows, shown, slopes),),
    )


def _slopes(rows: pd.DataFrame, mutated: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the calibration slope by gene and model, where enough patients tell of it."""
    counts = dict(zip(mutated["target"], mutated["n_mutated"], strict=True))
    return {
        (str(row["target"]), str(row["model"])): float(row["value"])
        for row in records(rows[rows["metric"] == "calibration_slope"])
        if min(counts[row["target"]], row["n_units"] - counts[row["target"]]) >= LEAST_EVENTS
    }


def _of_bins(compared: Compared, block: dict[str, Any]) -> pd.DataFrame | None:
    table = compared.calibration
    return None if table is None else of_block(table, block)


def _curves(
    table: pd.DataFrame | None,
    slopes: dict[tuple[str, str], float],
    shown: list[str],
    draw: Sketcher,
) -> Iterator[Picture]:
    """Draw reliability curves of the genes that are told best."""
    import pandas as pd

    from histograft.figures.calibration import calibration_curves

    if table is None:
        return
    genes = [gene for gene in shown if (table["target"] == gene).any()][:MOST_CURVES]
    if not genes:
        return
    parts = [table[table["target"] == gene] for gene in genes]
    panels = [calibration_curves(part, slopes) for part in parts]
    whole = calibration_curves(pd.concat(parts), slopes)
    caption, alt = CALIBRATION
    if any(gene in genes for gene, _ in slopes):
        caption += f" {SLOPES}"
    if len(genes) < len(shown):
        caption += f" The {len(genes)} genes that are told best."
    yield draw(whole, "calibration", (caption, alt), panels)


def _cohort_text(block: dict[str, Any]) -> str:
    machine = (
        "lasso with the penalty chosen inside each training fold"
        if block["task"] == "mutation"
        else "support vector regression as R's e1071"
    )
    drops = "; ".join(f"{n:,} {what}" for what, n in block.get("drops", {}).items())
    how = str(block.get("how", "cross-validation of patients"))
    kinds = {"jackknife": "jackknife", "bootstrap": "percentile bootstrap"}
    kind = "DeLong's" if block["task"] == "mutation" else kinds.get(block.get("intervals", ""), "")
    numbers = (
        f"95 % intervals ({kind}) are over patients" if kind else "intervals are over patients"
    )
    if block["protocol"] != "external":
        numbers = (
            f"numbers are of predictions averaged over repeats; {numbers}, and allow for "
            "predictions that depend on each other"
        )
    warning = block.get("warning", "")
    return (
        f"{how[:1].upper()}{how[1:]}, alike for all models; {machine}; {numbers}.{_permuted(block)}"
        + (f" Mind that {warning}." if warning else "")
        + (f" Not used: {drops} (drops.csv)." if drops else "")
    )


def _permuted(block: dict[str, Any]) -> str:
    """Say whom permutations exchange, where that is not everybody."""
    if block.get("permuted_within") != "site":
        return ""
    alone = block["n_alone_at_site"]
    stay = f"; {alone:,} alone at theirs stay{'s' if alone == 1 else ''} in place" if alone else ""
    return (
        f" Whether a gene is predicted is tested by permuting patients within their site of "
        f"{block['n_sites']:,}{stay}, so a difference between sites does not count."
    )


def _area_table(
    rows: pd.DataFrame, genes: list[str], slopes: dict[tuple[str, str], float]
) -> Table:
    """Tabulate genes in the order of the figure."""
    import pandas as pd

    from histograft.figures.page import Table

    values = rows.set_index(["target", "model", "metric"])["value"]
    frame = pd.DataFrame(
        {
            GROUP: row["target"],
            "model": row["label"],
            "AUC": _plain(row["value"], 3),
            "95 % interval": _range(row["ci_low"], row["ci_high"]),
            "SD": NOTHING if pd.isna(row["repeat_sd"]) else _plain(row["repeat_sd"], 3),
            "average precision": plain(values[row["target"], row["model"], "average_precision"]),
            "slope": plain(slopes.get((row["target"], row["model"]), math.nan)),
            "Brier": _plain(values[row["target"], row["model"], "brier"], 3),
            "empty fits, %": f"{100 * values[row['target'], row['model'], 'null_model_share']:.0f}",
        }
        for gene in genes
        for row in records(rows[(rows["metric"] == "auc") & (rows["target"] == gene)])
    )
    return Table(
        frame,
        "Mutation status by gene.",
        group=GROUP,
        help={
            "SD": "standard deviation over repeats: noise of the folds, not an interval",
            "average precision": "mean precision over recall (area under that curve); without "
            "skill it is the share mutated",
            "slope": "of the calibration line: 1 is right, below it probabilities are too extreme; "
            f"– where it cannot be fitted, or fewer than {LEAST_EVENTS} patients are mutated or "
            "are not",
            "Brier": "mean squared error of the probabilities; lower is better",
            "empty fits, %": "fits in which the lasso chose no feature: everybody gets one value",
        },
    )


def _expression(
    block: dict[str, Any], rows: pd.DataFrame, compared: Compared, draw: Sketcher
) -> Section:
    import pandas as pd

    from histograft.figures.gene_correlations import gene_correlations
    from histograft.figures.gene_differences import gene_differences
    from histograft.figures.page import Section

    genes = rows[rows["metric"] == "pearson"]
    q_values = rows[rows["metric"] == "q_permutation"].rename(columns={"value": "q"})
    q_values = q_values[["dataset", "protocol", "target", "model", "q"]]
    pictures = []
    for model, part in genes[genes["difference"].notna()].groupby("model", sort=False):
        models = {str(model), str(part["compared_with"].iloc[0])}
        of_both = q_values[q_values["model"].isin(models)]
        # Rows without a comparison are not drawn, but say what the baseline is called.
        others = genes[genes["model"].isin(models) & genes["compared_with"].isna()]
        figure = gene_differences(pd.concat([part, others]), of_both, fdr=FDR)
        pictures.append(draw(figure, f"expression-differences-{model}", WATERFALL))
    best = genes.groupby("target")["value"].max().sort_values(ascending=False)
    named = _named_genes(list(best.index))
    figure = gene_correlations(genes, q_values, genes=named)
    pictures.append(draw(figure, "expression-genes", CORRELATIONS))
    return Section(
        f"Expression of {block['genes']:,} genes in {block['n_units']:,} patients"
        f"{cohort(compared, block)}",
        text=(_cohort_text(block),),
        figures=tuple(pictures),
        tables=(_summary_table(rows), *_tests_table(compared, block)),
    )


def _named_genes(by_correlation: list[str]) -> list[str]:
    """Genes of the paper's Fig. 5 where they are there, else the best."""
    from histograft.molecular.genes import LI2022_EXPRESSION

    named = [gene for gene in LI2022_EXPRESSION if gene in set(by_correlation)]
    return named if len(named) > 2 else by_correlation[:MOST_GENES]


def _summary_table(rows: pd.DataFrame) -> Table:
    import pandas as pd

    from histograft.figures.page import Table

    metrics = ["mean_pearson", "n_genes", "n_genes_predicted", "n_genes_nominal"]
    whole = rows[rows["metric"].isin([*metrics, "n_genes_nominal_by_chance"])]
    lines = []
    for label, part in whole.groupby("label", sort=False):
        value = dict(zip(part["metric"], part["value"], strict=True))
        mean = records(part[part["metric"] == "mean_pearson"])[0]
        lines.append(
            {
                "model": label,
                "mean correlation": _plain(mean["value"], 3),
                "95 % interval": _range(mean["ci_low"], mean["ci_high"]),
                "genes predicted": f"{value['n_genes_predicted']:.0f} of {value['n_genes']:.0f}",
                "P < 0.05": f"{value['n_genes_nominal']:.0f}",
                "P < 0.05 by chance": f"{value['n_genes_nominal_by_chance']:.1f}",
            }
        )
    return Table(
        pd.DataFrame(lines),
        "Expression over all genes.",
        help={
            "genes predicted": "correlation above that of permuted patients, false discovery "
            "rate 5 % over genes",
            "P < 0.05": "two-sided P of cor.test, which Li 2022 counts; not corrected for the "
            "number of genes",
            "P < 0.05 by chance": "how many genes would have such a P if features said nothing: "
            "mean over permuted patients, allowing for cross-validation. No part of the number "
            "beside it",
        },
    )


def _tests_table(compared: Compared, block: dict[str, Any]) -> Iterator[Table]:
    import pandas as pd

    from histograft.figures.page import Table

    table = of_block(compared.all_comparisons, block)
    chosen = table[table["metric"] == "mean_pearson"]
    if chosen.empty:
        return
    frame = pd.DataFrame(
        {
            GROUP: f"{row['target']} · {row['test']}",
            "models": f"{row['label']} − "
            f"{compared.labels.get(row['compared_with'], row['compared_with'])}",
            "difference": signed(row["difference"], 3),
            "95 % interval": difference_range(row),
            "p": format_p(row["p_value"]),
            "p (Holm)": format_p(row["p_adjusted"]),
        }
        for row in records(chosen)
    )
    frame = frame.sort_values(GROUP, kind="stable")
    kind = block.get("intervals", "")
    how = f"a {kind} over patients" if kind else "over patients"
    yield Table(
        frame,
        "Mean difference in correlation of two models.",
        group=GROUP,
        note=f"The interval is {how}, p is of swapping the models' predictions patient by patient. "
        "They are different methods, and can disagree near 0.",
    )


def _plain(number: float, decimals: int) -> str:
    return signed(number, decimals).removeprefix("+")


def _range(low: float, high: float) -> str:
    """Write the interval of a number that has no sign unless it is negative."""
    if not (low == low and high == high):
        return NOTHING
    return " to ".join(_plain(end, 3) for end in (low, high))
