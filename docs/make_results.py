"""Write docs/results.md: what the FTX paper claims, and what came out on real tissue.

Runs the recipe (or resumes it, or finds it finished) and writes the page from its tables::

    python docs/make_results.py --data ../shared --run runs/ftx

About an hour on two CPU cores, most of it for tuning; it can be interrupted and run again.
Published numbers: Li et al. 2022, J Pathol Inform 13:100115, doi:10.1016/j.jpi.2022.100115.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import pandas as pd

from histograft.figures.numerals import format_p, points, points_range

HERE = Path(__file__).parent
SETS = ("colon-polito", "nct-crc-111", "lung-lc25000", "oral-oscc")
TUNED = "colon-polito"
UNITS = {"patch": "patches", "group": "groups", "image": "source images"}
WEIGHTS = "weights/mobilenetv2_100_imagenet.safetensors"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and where to look for it in our tables."""

    text: str
    published: str
    dataset: str
    protocol: str = "cv"
    metric: str = "accuracy"


CLAIMS = (
    Claim(
        "Tuned features classify tissue of the organ tuned on better than ImageNet features",
        "98.4 % against 96.4 %, P = 2.2e-6 (CRC-VAL-HE-7K, 5-fold x 50)",
        "colon-polito",
    ),
    Claim("… the same, tested once on rows held out from tuning", "not reported",
          "colon-polito", "held-out"),
    Claim(
        "… the same, on another collection of the same organ",
        "98.4 % against 96.4 %, P = 2.2e-6 (CRC-VAL-HE-7K, 5-fold x 50)",
        "nct-crc-111",
    ),
    Claim(
        "Tuned features carry over to another cancer (here: tissue type; in the paper: expression "
        "and mutations of lung adenocarcinoma)",
        "139 of 171 genes better; 5 of 9 mutations better, P = 0.50",
        "lung-lc25000",
    ),
    Claim("… and to a further organ", "not reported", "oral-oscc"),
    *(
        Claim(f"{name} are recognized better", published, "nct-crc-111", "cv", f"recall:{label}")
        for label, name, published in (
            ("STR", "Stroma patches", "94 % against 87 %"),
            ("MUS", "Muscle patches", "98 % against 94 %"),
            ("TUM", "Tumor patches", "99 % against 97 %"),
            ("NORM", "Normal mucosa patches", "99 % against 97 %"),
            ("MUC", "Mucus patches", "evident improvement"),
            ("LYM", "Lymphocyte patches", "evident improvement"),
        )
    ),
)  # fmt: skip


def command(data: Path, run: Path) -> list[str]:
    """Return the recipe's command."""
    return [
        "histograft", "run", "ftx",
        "--finetune", str(data / "data" / TUNED),
        "--evaluate", *(str(data / "data" / name) for name in SETS),
        "--split-column", "source_split",
        "--missing-mpp", "keep-pixels",
        "--arch", "mobilenetv2_100",
        "--weights", str(data / WEIGHTS),
        "--plain-t",
        "--out", str(run),
    ]  # fmt: skip


def main() -> None:
    """Run the recipe and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="data and weights")
    parser.add_argument("--run", type=Path, default=Path("runs/ftx"), help="folder of the run")
    arguments = parser.parse_args()
    words = command(arguments.data, arguments.run)
    done = subprocess.run([sys.executable, "-m", "histograft", *words[1:]], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    (HERE / "results.md").write_text(page(arguments.run), encoding="utf-8")


def page(run: Path) -> str:
    """Write the page from the tables of a finished run."""
    results, comparisons = (
        pd.read_csv(run / "report" / name).sort_values(
            "dataset", key=lambda names: names.map(SETS.index), kind="stable"
        )
        for name in ("results.csv", "comparisons.csv")
    )
    history = pd.concat(
        [pd.read_csv(run / "network" / "step1" / "history.csv"),
         pd.read_csv(run / "network" / "history.csv")]
    )  # fmt: skip
    parts = [
        INTRODUCTION.format(command=" ".join(command(Path("../shared"), Path("runs/ftx")))),
        _claims(results),
        "\n## Accuracy of every model\n",
        _accuracies(results),
        "\n## What each part of the recipe does\n",
        _pairs(comparisons),
        "\n## Recall by class\n",
        _recalls(results),
        "\n## Training\n",
        _training(history),
        NOTES.format(
            histogram=fill(_histogram(results), 100, subsequent_indent="  "),
            others=fill(_others(results), 100, subsequent_indent="  "),
        ),
    ]
    return "\n".join(parts)


def _histogram(results: pd.DataFrame) -> str:
    """Say what a color histogram reaches on the set tuned on, in folds and on held-out rows."""
    rows = results[(results["dataset"] == TUNED) & (results["metric"] == "accuracy")]
    value = rows.set_index(["model", "protocol"])["value"]
    folds, held_out = value.xs("cv", level="protocol"), value.xs("held-out", level="protocol")
    best = folds[~folds.index.str.startswith("shortcut")].max()
    color = folds["shortcut-histogram"]
    told = (
        f"On {TUNED}'s test rows a color histogram reaches {_percent(color)} % in "
        f"cross-validation, where the best network has {_percent(best)} %, and "
        f"{_percent(held_out['shortcut-histogram'])} % when it is fitted on the training rows."
    )
    if color < best:
        return f"- {told}"
    return (
        f"- **{told}** The test rows look alike among themselves: patches of one slide are "
        "probably on both sides of the folds, and no group is known that would keep them "
        f"together. So {_percent(folds['imgnet-gap'])} against {_percent(folds['ftx-dense'])} % "
        f"says little; {_percent(held_out['imgnet-gap'])} against "
        f"{_percent(held_out['ftx-dense'])} % on rows held out from everything is the number to "
        "trust, and step 1 (the tuned dense layer on unchanged ImageNet features) alone reaches "
        f"{_percent(held_out['imgnet-dense'])} %."
    )


def _others(results: pd.DataFrame) -> str:
    """Say on which other sets a difference is shown."""
    rows = results[
        (results["dataset"] != TUNED)
        & (results["metric"] == "accuracy")
        & (results["model"] == "ftx-dense")
    ]
    shown: dict[str, list[str]] = {}
    for _, row in rows.iterrows():
        place = row["dataset"] + ("" if row["protocol"] == "cv" else f" ({row['protocol']})")
        shown.setdefault(_holds(row), []).append(place)
    words = {
        "not shown": "no difference is shown",
        "yes": "tuned features are better",
        "no, the reverse": "tuned features are worse",
    }
    parts = [f"on {', '.join(shown[key])} {said}" for key, said in words.items() if key in shown]
    return f"- Of the other sets, {'; '.join(parts)}."


def _claims(results: pd.DataFrame) -> str:
    rows = []
    for claim in CLAIMS:
        row = _row(results, claim, "ftx-dense")
        other = _row(results, claim, "imgnet-gap")
        interval = points_range(row["difference_low"], row["difference_high"])
        rows.append(
            {
                "claim": claim.text,
                "published": claim.published,
                "set": f"{claim.dataset} ({claim.protocol})",
                "ours": f"{_percent(row['value'])} against {_percent(other['value'])}: "
                f"{points(row['difference'])} points",
                "95 % interval": f"{interval} (over {UNITS.get(row['ci_unit'], row['ci_unit'])})",
                "p (Holm)": format_p(row["p_adjusted"]),
                "holds?": _holds(row),
            }
        )
    return _markdown(pd.DataFrame(rows))


def _holds(row: pd.Series) -> str:
    clear = row["difference_low"] * row["difference_high"] > 0
    tested = pd.notna(row["p_adjusted"])
    if not clear or (tested and row["p_adjusted"] >= 0.05):
        return "not shown"
    return "yes" if row["difference"] > 0 else "no, the reverse"


def _accuracies(results: pd.DataFrame) -> str:
    rows = results[results["metric"] == "accuracy"]
    cells = rows.assign(
        cell=[
            f"{_percent(r.value)} ({_percent(r.ci_low)}–{_percent(r.ci_high)})"
            for r in rows.itertuples()
        ],
        set=rows["dataset"] + " " + rows["protocol"],
    )
    table = cells.pivot_table(
        index="model", columns="set", values="cell", aggfunc="first", sort=False
    )
    return _markdown(table.reset_index())


def _pairs(comparisons: pd.DataFrame) -> str:
    rows = comparisons[comparisons["compared_with"].notna()]
    return _markdown(
        pd.DataFrame(
            {
                "set": rows["dataset"] + " (" + rows["protocol"] + ")",
                "model": rows["model"],
                "compared with": rows["compared_with"],
                "points": [points(d) for d in rows["difference"]],
                "95 % interval": [
                    points_range(a, b)
                    for a, b in zip(rows["difference_low"], rows["difference_high"], strict=True)
                ],
                "test": rows["test"],
                "p": [format_p(p) for p in rows["p_value"]],
                "p (Holm)": [format_p(p) for p in rows["p_adjusted"]],
            }
        )
    )


def _recalls(results: pd.DataFrame) -> str:
    rows = results[
        results["metric"].str.startswith("recall:")
        & results["model"].isin(["imgnet-gap", "ftx-dense"])
        & (results["protocol"] == "cv")
    ]
    table = rows.assign(
        metric=rows["metric"].str.removeprefix("recall:"),
        cell=[
            f"{_percent(r.value)} ({_percent(r.ci_low)}–{_percent(r.ci_high)})"
            for r in rows.itertuples()
        ],
    ).pivot_table(
        index=["dataset", "metric"], columns="model", values="cell", aggfunc="first", sort=False
    )
    return _markdown(table.reset_index().rename(columns={"metric": "class"}))


def _training(history: pd.DataFrame) -> str:
    last = history.groupby("step", sort=False).agg(
        epochs=("epoch", "max"),
        first_loss=("train_loss", "first"),
        last_loss=("train_loss", "last"),
        last_accuracy=("train_accuracy", "last"),
        minutes=("seconds", lambda s: s.sum() / 60),
    )
    return _markdown(last.round(3).reset_index())


def _row(results: pd.DataFrame, claim: Claim, model: str) -> pd.Series:
    rows = results[
        (results["dataset"] == claim.dataset)
        & (results["protocol"] == claim.protocol)
        & (results["model"] == model)
        & (results["metric"] == claim.metric)
    ]
    return rows.iloc[0]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    for row in table.astype(object).where(table.notna(), "–").itertuples(index=False):
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


INTRODUCTION = """# Results on real tissue

Experiment 1 of the FTX paper (Li et al. 2022, doi:10.1016/j.jpi.2022.100115) on images that fit
one workstation. Written by `python docs/make_results.py`, which runs

```bash
{command}
```

**What differs from the paper.** 1,500 training patches of colon-polito in five classes instead of
100,000 of NCT-CRC-HE-100K in nine; MobileNetV2 (1,280 pooled features) instead of Xception; the
recipe is otherwise the paper's (Part B 20 epochs at 4e-4, then Part A 10 epochs at 5e-5, Adam,
batch 128, no augmentation). Three of the four sets do not state their µm/px: their pixels were
kept. Nothing was tuned on what is reported, but the statistics of BatchNorm in the weights file
were rebuilt from unlabeled images, among them 78 of lung-lc25000 and 78 of oral-oscc; they do not
change its features, and enter step 2 only as a starting point. Accuracies are in percent, with 95 %
intervals.

**The other half** of the paper, expression and mutations, is on
[molecular-results.md](molecular-results.md). RNA takes the place of features there: STK11, KEAP1,
TP53 and EGFR are told with areas under the curve near 0.9, and most of 100 genes are predicted from
the others, on real patients but not from tissue.

**The other papers**: [transfer-results.md](transfer-results.md) has HistoKT's transfer matrix and
weight distillation on four sets, [resolution-results.md](resolution-results.md) how far the
resolution can be lowered.

## Claims
"""

NOTES = """
## How to read this

{histogram}
- Trained again on another number of threads, weights differ in the last bits, and accuracies of
  tuned features by up to a point: sums are taken in another order. On the same number they are
  equal bit by bit.
{others}
- Recall by class has an interval but no test; "yes" there means that the interval leaves out 0.
- Only lung-lc25000 has groups (original pictures, from which its images were made by turning and
  flipping); elsewhere patients are unknown and intervals over patches are too short.
- The shortcut baselines see no tissue: mean color, a color histogram, JPEG settings. Where they
  come near a network, the set is easy for the wrong reason. All images of oral-oscc have the same
  JPEG tables, so shortcut-jpeg always guesses the larger class there.
- nct-crc-111 has about 14 patches per class. Classes with fewer patches than folds (BACK) are left
  out.
- The p values of the plain paired t test over repeats, as in the paper, take 50 repeats over the
  same patches for 50 samples; they are printed to show how far they are off.
"""


if __name__ == "__main__":
    main()
