"""The tables of a transfer matrix: for a program, for R, and for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histograft.core.tables import RESULTS
from histograft.verbs.comparison_told import records
from histograft.verbs.transfer_cells import Cell, cell_rows, comparison_rows, rate_rows

if TYPE_CHECKING:
    import pandas as pd

MATRIX_FILE = "matrix.csv"
COMPARISONS_FILE = "comparisons.csv"
RATES_FILE = "learning_rates.csv"
RESULTS_FILE = "results.csv"
LATEX_FILE = "matrix.tex"
# What a cell is judged by; the other of several labels is reported beside it.
HEADLINES = ("accuracy", "macro_ap")
LEVEL = 0.05
TEST = "t over groups and trials"

KEY = ["source", "target", "init", "tune", "control"]
MATRIX_COLUMNS = [
    *KEY, "metric", "value", "value_sd", "n_trials", "ci_low", "ci_high",
    "compared_with", "difference", "p_adjusted",
]  # fmt: skip
COMPARISON_COLUMNS = [
    *KEY, "metric", "compared_with", "difference", "difference_low", "difference_high",
    "p_value", "p_adjusted", "headline",
]  # fmt: skip
RATE_COLUMNS = [
    *KEY, "trial", "learning_rate", "val_metric", "best_epoch", "status", "chosen",
]  # fmt: skip


@dataclass(frozen=True)
class MatrixTables:
    """Tables of a matrix.

    Attributes
    ----------
    matrix : pandas.DataFrame
        A row for each cell and metric, with its headline comparison.
    comparisons : pandas.DataFrame
        A row for each transfer, control and metric.
    rates : pandas.DataFrame
        A row for each trial and learning rate.
    """

    matrix: pd.DataFrame
    comparisons: pd.DataFrame
    rates: pd.DataFrame


def matrix_tables(cells: Sequence[Cell]) -> MatrixTables:
    """Compute all tables; false discoveries are limited over all cells of a metric and control."""
    import pandas as pd

    comparisons = pd.DataFrame(
        list(comparison_rows(cells)),
        columns=[c for c in COMPARISON_COLUMNS if c != "p_adjusted"],
    )
    comparisons["p_adjusted"] = _adjusted(comparisons)
    comparisons = comparisons[COMPARISON_COLUMNS]
    rates = pd.DataFrame(list(rate_rows(cells)), columns=RATE_COLUMNS)
    plain = [c for c in MATRIX_COLUMNS if c not in ("compared_with", "difference", "p_adjusted")]
    rows = pd.DataFrame(list(cell_rows(cells)), columns=plain)
    headline = comparisons[comparisons["headline"].astype(bool)]
    joined = rows.merge(
        headline[[*KEY, "metric", "compared_with", "difference", "p_adjusted"]],
        how="left",
        on=[*KEY, "metric"],
    )
    order = [*KEY, "metric"]
    return MatrixTables(
        joined.sort_values(order, kind="stable", ignore_index=True)[MATRIX_COLUMNS],
        comparisons.sort_values([*order, "compared_with"], kind="stable", ignore_index=True),
        rates.sort_values([*KEY, "trial"], kind="stable", ignore_index=True),
    )


def _adjusted(comparisons: pd.DataFrame) -> pd.Series[float]:
    """Benjamini and Hochberg's correction: the headline comparisons are one family of a metric."""
    from histograft.stats.compare import benjamini_hochberg

    if comparisons.empty:
        return comparisons["p_value"].astype(float)
    family = comparisons["compared_with"].where(~comparisons["headline"].astype(bool), "headline")
    return (
        comparisons["p_value"]
        .astype(float)
        .groupby([family, comparisons["metric"]])
        .transform(lambda p: benjamini_hochberg(p.to_numpy()))
    )


def results_table(tables: MatrixTables, cells: Sequence[Cell]) -> pd.DataFrame:
    """Write the same in the columns that all reports of histograft share."""
    import pandas as pd

    sizes = {cell.key.target: cell.trials[0].facts for cell in cells}
    keys = [*KEY, "metric", "compared_with"]
    found = tables.comparisons.set_index(keys)
    rows = []
    for row in records(tables.matrix):
        facts = sizes[row["target"]]
        compared = row["compared_with"] if isinstance(row["compared_with"], str) else None
        test: Any = found.loc[tuple(row[k] for k in keys)] if compared else {}
        rows.append(
            {
                "dataset": row["target"],
                "protocol": "held-out",
                "target": facts["target"],
                "model": model_name(row),
                "label": model_label(row),
                "metric": row["metric"],
                "value": row["value"],
                "ci_low": row["ci_low"],
                "ci_high": row["ci_high"],
                "ci_unit": _unit(facts),
                "n_units": facts["n_units"],
                "n_groups": facts["n_groups"],
                "repeat_sd": row["value_sd"],
                "compared_with": compared,
                "difference": row["difference"],
                "difference_low": test["difference_low"] if compared else None,
                "difference_high": test["difference_high"] if compared else None,
                "test": TEST if compared else None,
                "p_value": test["p_value"] if compared else None,
                "p_adjusted": row["p_adjusted"],
            }
        )
    table = pd.DataFrame(rows, columns=RESULTS.column_names())
    return RESULTS.check(table, RESULTS_FILE)


def _unit(facts: dict[str, Any]) -> str:
    """Say what intervals take for independent."""
    if facts["n_groups"] == 1:
        return "patch"
    known = facts["groups_known"]
    return "group" if known == 1 else "image" if known == 0 else "mixed"


def model_name(row: dict[str, Any]) -> str:
    """Name a cell for programs.

    Examples
    --------
    >>> model_name({"source": "lung", "init": "random", "tune": "deep", "control": ""})
    'lung-random-deep'
    """
    parts = [row["source"], row["init"], row["tune"], row["control"]]
    return "-".join(part for part in parts if part)


def model_label(row: dict[str, Any]) -> str:
    """Name a cell for people.

    Examples
    --------
    >>> model_label({"source": "lung", "target": "colon", "init": "imagenet", "tune": "deep",
    ...              "control": ""})
    'imagenet → lung → colon (deep)'
    """
    control = f", {row['control']}" if row["control"] else ""
    way = [row["init"], row["source"], row["target"]]
    shown = [name for i, name in enumerate(way) if i == 0 or name != way[i - 1]]
    return f"{' → '.join(shown)} ({row['tune']}{control})"


def panels(matrix: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Give start, tuning and cells of each matrix, with the target alone on its diagonal."""
    headline = matrix[matrix["metric"].isin(HEADLINES) & (matrix["control"] == "")]
    for start in sorted(headline["init"].unique(), reverse=True):  # random before imagenet
        of_start = headline[headline["init"] == start]
        own = of_start[(of_start["tune"] == "none") & (of_start["source"] == of_start["target"])]
        for tune in ("deep", "fine"):
            moved = of_start[
                (of_start["tune"] == tune) & (of_start["source"] != of_start["target"])
            ]
            if not moved.empty:
                yield start, tune, _stacked(own[own["target"].isin(moved["target"])], moved)


def fused_ways(cells: Sequence[Cell], tables: MatrixTables) -> tuple[pd.DataFrame, str]:
    """Give every way to one target in the order of a picture, and the metric."""
    import pandas as pd

    rows = {
        tuple(row[k] for k in KEY): row
        for row in records(tables.matrix)
        if row["metric"] in HEADLINES
    }
    ways = []
    for cell in cells:
        key = cell.key
        row = rows[(key.source, key.target, key.start, key.tune, key.control)]
        if cell.metrics:
            names: dict[str, Any] = {"label": _way(cell), "kind": _kind(cell), "start": key.start}
            names["fine"] = key.tune == "fine"
            trials = cell.metrics[row["metric"]].values.tolist()
            ends = {name: row[name] for name in ("value", "ci_low", "ci_high")}
            ways.append(names | ends | {"trials": trials, "metric": row["metric"]})
    order = ["target", "single", "fused", "control", "imagenet"]
    table = pd.DataFrame(ways)
    rank = table["kind"].map(order.index)
    order_by = ["start", "fine", "rank"]
    table = table.assign(rank=rank).sort_values(order_by, kind="stable", ignore_index=True)
    return table, str(table["metric"].iloc[0])


def _way(cell: Cell) -> str:
    """Name a way where the target is known."""
    key = cell.key
    start = "" if key.start == "random" else "ImageNet → "
    end = ", fine" if key.tune == "fine" else ""
    if key.control == "direct":
        return f"ImageNet, directly{end}"
    if key.tune == "none":
        return f"{start}{key.target} alone"
    if key.control == "self":
        return f"{start}{key.target}, twice{end}"
    return start + key.source + end


def _kind(cell: Cell) -> str:
    if cell.fused:
        return "control" if cell.key.control else "fused"
    if cell.key.control == "direct":
        return "imagenet"
    return "single" if cell.is_transfer else "target"


def _stacked(own: pd.DataFrame, moved: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = records(own) + records(moved)
    table = pd.DataFrame.from_records(rows, columns=moved.columns)
    return table.sort_values(["source", "target"], kind="stable", ignore_index=True)


def latex_matrix(matrix: pd.DataFrame) -> str:
    r"""Write each matrix as a LaTeX table; cells are colored only where they are significant.

    Needs ``\usepackage[table]{xcolor}`` and ``\usepackage{booktabs}``.
    """
    blocks = [
        _latex_block(start, tune, cells, list(dict.fromkeys(cells["target"])))
        for start, tune, cells in panels(matrix)
    ]
    return "% \\usepackage[table]{xcolor} \\usepackage{booktabs}\n" + "\n".join(blocks)


def _latex_block(start: str, tune: str, cells: pd.DataFrame, targets: list[str]) -> str:
    rows = {(r["source"], r["target"]): r for r in records(cells)}
    lines = [
        f"% start {start}, {tune}-tuning; mean and SD over trials, in percent",
        "% blue: better than the control, orange: worse (FDR 5 %); bold: the target alone",
        f"\\begin{{tabular}}{{l{'c' * len(targets)}}}",
        "\\toprule",
        "source & " + " & ".join(_escaped(t) for t in targets) + " \\\\",
        "\\midrule",
    ]
    for source in dict.fromkeys(cells["source"]):
        shown = [_latex_cell(rows.get((source, t)), own=source == t) for t in targets]
        lines.append(f"{_escaped(source)} & " + " & ".join(shown) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _latex_cell(row: dict[str, Any] | None, *, own: bool) -> str:
    import pandas as pd

    if row is None:
        return ""
    if pd.isna(row["value"]):
        return "diverged"
    spread = "" if pd.isna(row["value_sd"]) else f"_{{\\pm {100 * row['value_sd']:.1f}}}"
    number = f"{100 * row['value']:.1f}"
    text = f"$\\mathbf{{{number}}}{spread}$" if own else f"${number}{spread}$"
    if not pd.isna(row["p_adjusted"]) and row["p_adjusted"] < LEVEL:
        color = "blue" if row["difference"] > 0 else "orange"
        return f"\\cellcolor{{{color}!25}}{text}"
    return text


def _escaped(text: str) -> str:
    for letter in "\\{}":  # names of folders: rarely, but then they would break the table
        text = text.replace(letter, "/")
    for letter in "&%$#_":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("~", "\\textasciitilde{}").replace("^", "\\textasciicircum{}")
