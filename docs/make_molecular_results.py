"""Write docs/molecular-results.md: the molecular half on real numbers, without slides.

No slide features of the TCGA-LUAD patients are at hand, so their RNA takes the place of features::

    python docs/make_molecular_results.py --data ../shared --run runs/molecular

* mutation status of nine genes from the expression of 1,555 genes (lasso, 5 x 50),
* expression of 100 genes, drawn at random, from that of the 1,455 others (SVR, 5 x 50).

Each is done with the values as they are and with values beyond −5 and 5 cut off, since a few
z-scores reach 7,378. Half an hour on two CPU cores; it can be interrupted and run again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

from histograft.figures.numerals import NOTHING, format_p, signed
from histograft.molecular.genes import LUAD_NINE, draw_genes

HERE = Path(__file__).parent
CUT = 5.0
N_GENES = 100


def main() -> None:
    """Run the commands and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument(
        "--run", type=Path, default=Path("runs/molecular"), help="folder of the run"
    )
    arguments = parser.parse_args()
    tables = arguments.data / "data" / "molecular"
    write_features(tables, arguments.run)
    for words in commands(tables, arguments.run):
        done = subprocess.run([sys.executable, "-m", "histograft", *words], check=False)
        if done.returncode:
            sys.exit(done.returncode)
    (HERE / "molecular-results.md").write_text(page(arguments.run), encoding="utf-8")


def write_features(tables: Path, run: Path) -> None:
    """Write the tables that stand for features, and the list of genes that are predicted."""
    run.mkdir(parents=True, exist_ok=True)
    values = pd.read_csv(tables / "luad_expression.tsv", sep="\t", index_col=0).T
    values.index = pd.Index([name[:12] for name in values.index], name="patient_id")
    drawn = list(draw_genes(values.columns, N_GENES, seed=0).genes)
    (run / "genes.txt").write_text("\n".join(drawn) + "\n", encoding="utf-8")
    for name, table in (("rna", values), ("others", values.drop(columns=drawn))):
        table.to_csv(run / f"{name}.csv")
        table.clip(-CUT, CUT).to_csv(run / f"{name}-cut.csv")


def commands(tables: Path, run: Path) -> list[list[str]]:
    """Return the commands, without the name of the program."""
    return [
        ["predict", "--features", str(run / "rna.csv"), str(run / "rna-cut.csv"),
         "--mutations", str(tables / "luad_mutations.maf"),
         "--sequenced", str(tables / "luad_sequenced.txt"), "--genes", "LUAD_NINE",
         "--out", str(run / "mutation")],
        ["predict", "--features", str(run / "others.csv"), str(run / "others-cut.csv"),
         "--expression", str(tables / "luad_expression.tsv"), "--genes", str(run / "genes.txt"),
         "--out", str(run / "expression")],
        ["compare", "--predictions", str(run / "mutation"), "--baseline", "rna", "--plain-t",
         "--out", str(run / "mutation-tables")],
        ["compare", "--predictions", str(run / "expression"), "--baseline", "others", "--plain-t",
         "--out", str(run / "expression-tables")],
    ]  # fmt: skip


def page(run: Path) -> str:
    """Write the page from the tables of a finished run."""
    mutation = pd.read_csv(run / "mutation-tables" / "results.csv")
    expression = pd.read_csv(run / "expression-tables" / "results.csv")
    differences = pd.concat(
        [
            pd.read_csv(run / f"{name}-tables" / "comparisons.csv")
            for name in ("mutation", "expression")
        ]
    )
    lines = [
        f"histograft {' '.join(words)}"
        for words in commands(Path("../shared/data/molecular"), Path("runs/molecular"))
    ]
    return "\n".join(
        [
            INTRODUCTION.format(commands="\n".join(lines)),
            _areas(mutation),
            "\n## Expression of 100 genes from the others\n",
            _correlations(expression),
            "\n## Differences between the two ways to treat outliers\n",
            _differences(differences),
            NOTES,
        ]
    )


def _areas(results: pd.DataFrame) -> str:
    values = results.set_index(["target", "model", "metric"])
    rows = []
    for gene in LUAD_NINE:
        if (gene, "rna", "auc") not in values.index:
            continue
        row: dict[str, object] = {"gene": gene}
        for model in ("rna", "rna-cut"):
            area = values.loc[(gene, model, "auc")]
            row[f"{model}: AUC"] = _with_interval(area)
            row[f"{model}: SD over repeats"] = f"{area['repeat_sd']:.3f}"
        precision = values.loc[(gene, "rna-cut", "average_precision"), "value"]
        chance = values.loc[(gene, "rna-cut", "average_precision_no_skill"), "value"]
        row["average precision (chance)"] = f"{precision:.2f} ({chance:.2f})"
        null = values.loc[(gene, "rna-cut", "null_model_share"), "value"]
        row["fits without a feature"] = f"{100 * null:.0f} %"
        rows.append(row)
    return _markdown(pd.DataFrame(rows))


def _correlations(results: pd.DataFrame) -> str:
    whole = results[results["target"] == "all genes"].set_index(["model", "metric"])
    rows = []
    for model in dict.fromkeys(whole.index.get_level_values(0)):
        mean = whole.loc[(model, "mean_pearson")]
        value = whole["value"]
        rows.append(
            {
                "model": model,
                "mean correlation": _with_interval(mean),
                "genes predicted (FDR 5 %)": f"{value[(model, 'n_genes_predicted')]:.0f} of "
                f"{value[(model, 'n_genes')]:.0f}",
                "genes with P < 0.05": f"{value[(model, 'n_genes_nominal')]:.0f}",
                "P < 0.05 by chance": f"{value[(model, 'n_genes_nominal_by_chance')]:.1f}",
            }
        )
    return _markdown(pd.DataFrame(rows))


def _differences(comparisons: pd.DataFrame) -> str:
    rows = [
        {
            "target": row["target"],
            "model": f"{row['model']} less {row['compared_with']}",
            "difference": signed(row["difference"], 3),
            "95 % interval": " to ".join(
                signed(row[end], 3) for end in ("difference_low", "difference_high")
            )
            if pd.notna(row["difference_low"])
            else NOTHING,
            "test": row["test"],
            "p": format_p(row["p_value"]),
            "p (Holm)": format_p(row["p_adjusted"]),
        }
        for row in comparisons.to_dict("records")
    ]
    return _markdown(pd.DataFrame(rows))


def _with_interval(row: pd.Series) -> str:
    return f"{row['value']:.3f} ({row['ci_low']:.3f}–{row['ci_high']:.3f})"


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    for row in table.itertuples(index=False):
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


INTRODUCTION = """# The molecular half on real numbers

Experiments 2 and 3 of the FTX paper (Li et al. 2022, doi:10.1016/j.jpi.2022.100115) predict
expression and mutations of TCGA-LUAD from slides. No slides of these patients are at hand here, so
their RNA takes the place of features: this page says that folds, machines and statistics work on
real patients, not what can be seen in tissue. STK11 and KEAP1 are known to leave a strong signature
in expression, TP53 a moderate one. Written by `python docs/make_molecular_results.py`, which runs

```bash
{commands}
```

453 patients, 1,555 genes as z-scores; "cut" means that values beyond −5 and 5 were cut off.
Intervals are over patients.

## Mutation status of nine genes from expression
"""

NOTES = """
## How to read this

- An area is that of probabilities averaged over 50 repeats; its interval is DeLong's over patients.
  The SD over repeats is the noise of dealing folds and says nothing about other patients.
- Intervals of correlations come from the jackknife over patients. Values have heavy tails here, and
  the percentile bootstrap lies beside the estimate (0.466 to 0.518 about 0.477): decision 10 has
  the coverage of both.
- A gene counts as predicted where its correlation is above that of permuted patients at a false
  discovery rate of 5 %.
- The tests called invalid are those of the paper: they take genes for independent.
- The mutation table has no kinds of variants (every row is called missense), so "mutated" is what
  its authors called so.
"""


if __name__ == "__main__":
    main()
