"""What a report answers on mutations and expression, and of which cohort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from histograft.figures.numerals import NOTHING, p_phrase, signed
from histograft.verbs.comparison_told import place, records
from histograft.verbs.report_material import TISSUE, Compared

if TYPE_CHECKING:
    import pandas as pd

SIGNIFICANT = 0.05
NO_SKILL = 0.5  # area under the curve of scores without any


def molecular_blocks(compared: Compared) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the facts of molecular predictions, and how many of the same kind came before."""
    seen: dict[str, int] = {}
    for block in compared.facts["blocks"]:
        task = block.get("task", TISSUE)
        if task != TISSUE:
            yield block, seen.get(task, 0)
            seen[task] = seen.get(task, 0) + 1


def of_block(table: pd.DataFrame, block: dict[str, Any]) -> pd.DataFrame:
    """Take the rows of a table that are of the cohort and protocol of a block."""
    here = (table["dataset"] == block["dataset"]) & (table["protocol"] == block["protocol"])
    rows: pd.DataFrame = table[here]
    return rows


def cohort(compared: Compared, block: dict[str, Any]) -> str:
    """Name cohort and protocol where there are several; else there is nothing to tell apart."""
    places = {(b["dataset"], b["protocol"]) for b, _ in molecular_blocks(compared)}
    return f" ({place(block)})" if len(places) > 1 else ""


def molecular_answers(compared: Compared) -> tuple[str, ...]:
    """Say in a line each how mutations and expression are predicted, and by which model better."""
    if not compared.has_molecules:
        return ()
    lines = []
    for block, _ in molecular_blocks(compared):
        rows = of_block(compared.all_results, block)
        tests = of_block(compared.all_comparisons, block)
        where = cohort(compared, block)
        if block["task"] == "mutation":
            lines.append(
                f"Mutations{where}{_mutation_answer(rows[rows['metric'] == 'auc'], tests)}"
            )
        else:
            lines.append(f"Expression{where}{_expression_answer(rows, tests, compared.labels)}")
    return tuple(lines)


def molecular_sentence(compared: Compared) -> str:
    """Say in one sentence how much of the molecules is predicted by the best of the models."""
    told, models = [], set()
    for block, _ in molecular_blocks(compared):
        rows = of_block(compared.all_results, block)
        models |= set(rows["model"])
        if block["task"] == "mutation":
            areas = rows[rows["metric"] == "auc"]
            better = areas[areas["ci_low"] > NO_SKILL].groupby("model")["target"].nunique()
            n, of, what = better.max(), areas["target"].nunique(), "mutations better than chance"
        else:
            n = rows.loc[rows["metric"] == "n_genes_predicted", "value"].max()
            of = rows.loc[rows["metric"] == "n_genes", "value"].max()
            what = "genes' expression"
        told.append(f"{0 if n != n else n:.0f} of {of:.0f} {what}{cohort(compared, block)}")
    who = f"The best of {len(models)} models predicts" if len(models) > 1 else "Predicted are"
    return f"{who} {' and '.join(told)}."


def _mutation_answer(areas: pd.DataFrame, tests: pd.DataFrame) -> str:
    shown = areas[areas["ci_low"] > NO_SKILL].groupby("label", sort=False)["target"].nunique()
    genes = areas["target"].nunique()
    counts = "; ".join(
        f"{label} {shown.get(label, 0)} of {genes} genes" for label in dict.fromkeys(areas["label"])
    )
    told = f", better than chance (95 % interval of the AUC above 0.5): {counts}."
    tested = tests[(tests["metric"] == "auc") & tests["p_adjusted"].notna()]
    if tested.empty:
        return told
    n = int((tested["p_adjusted"] < SIGNIFICANT).sum())
    return f"{told} A difference between models is shown in {n} of {len(tested)} tests."


def _expression_answer(rows: pd.DataFrame, tests: pd.DataFrame, labels: dict[str, str]) -> str:
    keys = zip(rows["metric"], rows["label"], strict=True)
    value = dict(zip(keys, rows["value"], strict=True))
    counts = "; ".join(
        f"{label} {value['n_genes_predicted', label]:.0f} of {value['n_genes', label]:.0f} genes"
        for label in dict.fromkeys(rows["label"])
    )
    told = f", predicted at a false discovery rate of 5 %: {counts}."
    tested = tests[(tests["metric"] == "mean_pearson") & tests["difference_low"].notna()]
    for row in records(tested):
        told += (
            f" {row['label']} against {labels.get(row['compared_with'], row['compared_with'])}: "
            f"mean correlation {signed(row['difference'], 3)} "
            f"({difference_range(row)}; adjusted {p_phrase(row['p_adjusted'])})."
        )
    return told


def difference_range(row: dict[str, Any]) -> str:
    """Write the interval of a difference; a dash where there is none."""
    low, high = row["difference_low"], row["difference_high"]
    return f"{signed(low, 3)} to {signed(high, 3)}" if low == low else NOTHING
