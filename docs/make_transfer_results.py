"""Write docs/transfer-results.md: HistoKT's transfer matrix and weight distillation on real tissue.

Runs the recipes (or resumes them, or finds them finished) and writes the page from their tables::

    python docs/make_transfer_results.py --data ../shared --run runs/transfer

Under two hours on two idle CPU cores; it can be interrupted and run again. Paper: HistoKT, Zhang
et al. 2022 (published numbers in its Tables 2 to 4 and Fig. 4).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

from histograft.figures.numerals import format_p, percent, percent_range, points, points_range

HERE = Path(__file__).parent
SOURCES = ("colon-polito", "lung-lc25000", "oral-oscc")
TARGETS = (*SOURCES, "nct-crc-111")
WEIGHTS = "weights/mobilenetv2_100_imagenet.safetensors"
SMALL = (
    "--target-mpp", "keep", "--missing-mpp", "keep-pixels", "--patch-px", "128",
    "--split-column", "source_split", "--test-fraction", "0.4",
    "--per-class", "train=24", "val=16", "test=60",
    "--epochs", "8", "--batch-size", "16", "--learning-rates", "1e-3", "2e-4", "--trials", "3",
)  # fmt: skip
# MobileNetV2's depthwise convolutions gain nothing from bfloat16, ResNet18's gain 1.7x.
RESNET = ("--arch", "resnet18", "--precision", "bf16-mixed")


def commands(data: Path, run: Path) -> dict[str, list[str]]:
    """Return the recipes' commands by the name of their folder."""
    sets = [str(data / "data" / name) for name in TARGETS]
    matrix = [
        "histograft", "run", "transfer-matrix", "--sets", *sets, "--sources", *SOURCES,
        "--tune", "fine", "deep", *SMALL,
    ]  # fmt: skip
    return {
        "random": [*matrix, "--init", "random", *RESNET, "--out", str(run / "random")],
        "imagenet": [
            *matrix, "--init", "imagenet", "--arch", "mobilenetv2_100",
            "--weights", str(data / WEIGHTS), "--out", str(run / "imagenet"),
        ],
        "fused": [
            "histograft", "run", "weight-distillation", "--sources", *sets[1:],
            "--target", sets[0], *SMALL, *RESNET, "--weights", "none",
            "--out", str(run / "fused"),
        ],
    }  # fmt: skip


def main() -> None:
    """Run the recipes and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="data and weights")
    parser.add_argument("--run", type=Path, default=Path("runs/transfer"), help="folder of the run")
    arguments = parser.parse_args()
    for words in commands(arguments.data, arguments.run).values():
        done = subprocess.run([sys.executable, "-m", "histograft", *words[1:]], check=False)
        if done.returncode:
            sys.exit(done.returncode)
    (HERE / "transfer-results.md").write_text(page(arguments.run), encoding="utf-8")


def page(run: Path) -> str:
    """Write the page from the tables of finished runs."""
    shown = commands(Path("../shared"), Path("runs/transfer"))
    blocks = [INTRODUCTION.format(commands="\n".join(" ".join(words) for words in shown.values()))]
    blocks += ["## Claims\n", _claims(run)]
    for name, title in (
        ("random", "From a random start: ResNet18"),
        ("imagenet", "In two stages from ImageNet: MobileNetV2"),
    ):
        matrix, comparisons = _tables(run / name)
        blocks += [
            f"\n## {title}\n",
            _sentence(comparisons),
            _matrix(matrix),
            _by_control(comparisons),
            _against(comparisons),
        ]
    matrix, comparisons = _tables(run / "fused")
    blocks += ["\n## Weight distillation\n", _ways(matrix), _fused(comparisons)]
    return "\n".join(blocks) + "\n"


def _claims(run: Path) -> str:
    lines = [
        "| claim | published | ours, as the paper counts | ours, against the control |",
        "|---|---|---|---|",
    ]
    for name, published, claim in (
        (
            "random",
            "25 of 72 cells",
            "All layers tuned from another set: better than the set alone",
        ),
        ("imagenet", "26 of 72 cells", "The same in two stages from ImageNet"),
    ):
        matrix, comparisons = _tables(run / name)
        moved, alone = _deep(matrix), matrix[matrix["tune"] == "none"].set_index("target")["value"]
        above = sum(row.value > alone[row.target] for row in moved.itertuples())
        rows = comparisons[comparisons["headline"] & (comparisons["tune"] == "deep")]
        lines.append(
            f"| {claim} | {published} | {above} of {len(moved)} cells | {_counted(rows)} |"
        )
    lines.append(_deep_claim(run))
    comparisons = _tables(run / "fused")[1]
    fused = comparisons[comparisons["source"].str.contains("+", regex=False)]
    best = fused[fused["headline"] & (fused["control"].fillna("") == "")]
    above = int((best["difference"] > 0).sum())
    lines.append(
        "| Fused networks: at least as good as the best of their sources | "
        f"all combinations but one (Fig. 4) | {above} of {len(best)} above it | {_counted(best)} |"
    )
    return "\n".join(lines) + "\n"


def _deep_claim(run: Path) -> str:
    """All layers against the classifier alone, over both starts."""
    better, gains = 0, []
    for name in ("random", "imagenet"):
        matrix = _tables(run / name)[0]
        fine = matrix[(matrix["tune"] == "fine") & (matrix["control"].fillna("") == "")]
        fine = fine.set_index(["source", "target"])["value"]
        for row in _deep(matrix).itertuples():
            gains.append(row.value - fine[(row.source, row.target)])
            better += gains[-1] > 0
    mean = points(sum(gains) / len(gains))
    return (
        "| All layers tuned: better than the classifier alone | 7 of 8 cells (Table 4) | "
        f"{better} of {len(gains)} cells, on average {mean} points | no test: see the matrices |"
    )


def _deep(matrix: pd.DataFrame) -> pd.DataFrame:
    return matrix[(matrix["tune"] == "deep") & (matrix["control"].fillna("") == "")]


def _counted(rows: pd.DataFrame) -> str:
    sure = rows[rows["p_adjusted"] < 0.05]
    better, worse = (sure["difference"] > 0).sum(), (sure["difference"] < 0).sum()
    return (
        f"{better} better, {worse} worse, {len(rows) - len(sure)} undecided; on average "
        f"{points(float(rows['difference'].mean()))} points"
    )


def _tables(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Matrix and comparisons of a recipe's report."""
    report = run / "report"
    matrix = pd.read_csv(report / "matrix.csv", keep_default_na=False, na_values=[""])
    return matrix, pd.read_csv(report / "comparisons.csv")


def _sentence(comparisons: pd.DataFrame) -> str:
    headline = comparisons[comparisons["headline"]]
    sure = headline[headline["p_adjusted"] < 0.05]
    better, worse = (sure["difference"] > 0).sum(), (sure["difference"] < 0).sum()
    mean = points(float(headline["difference"].mean()))
    return (
        f"Of {len(headline)} transfers {better} did better and {worse} worse than their control at "
        f"a false discovery rate of 5 %; the mean difference is {mean} points.\n"
    )


def _matrix(matrix: pd.DataFrame) -> str:
    lines = [
        "| tuning | source | " + " | ".join(TARGETS) + " |",
        "|---|---|" + "---|" * len(TARGETS),
    ]
    plain = matrix[matrix["control"].fillna("") == ""]
    for tune in ("none", "fine", "deep"):
        for source in TARGETS:
            rows = plain[(plain["tune"] == tune) & (plain["source"] == source)]
            rows = rows.set_index("target")
            if rows.empty:
                continue
            cells = [_cell(rows.loc[t]) if t in rows.index else "" for t in TARGETS]
            lines.append(f"| {tune} | {source} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: pd.Series) -> str:
    if pd.isna(row["value"]):
        return "diverged"
    text = f"{percent(row['value'])} ± {100 * row['value_sd']:.1f}"
    sure = not pd.isna(row["p_adjusted"]) and row["p_adjusted"] < 0.05
    return f"**{text}**" if sure else text


def _by_control(comparisons: pd.DataFrame) -> str:
    lines = [
        "| tuning | control | transfers | better | worse | mean difference, points |",
        "|---|---|---|---|---|---|",
    ]
    for (tune, control), rows in comparisons.groupby(["tune", "compared_with"]):
        sure = rows[rows["p_adjusted"] < 0.05]
        better, worse = (sure["difference"] > 0).sum(), (sure["difference"] < 0).sum()
        mean = points(float(rows["difference"].mean()))
        lines.append(f"| {tune} | {control} | {len(rows)} | {better} | {worse} | {mean} |")
    return "\n".join(lines) + "\n"


def _against(comparisons: pd.DataFrame) -> str:
    lines = [
        "| tuning | source | target | control | points | 95 % interval | adjusted p |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.tune} | {row.source} | {row.target} | {row.compared_with} | "
        f"{points(row.difference)} | {points_range(row.difference_low, row.difference_high)} | "
        f"{format_p(row.p_adjusted)} |"
        for row in comparisons[comparisons["tune"] == "deep"].itertuples()
    ]
    return "\n".join(lines) + "\n"


def _ways(matrix: pd.DataFrame) -> str:
    lines = ["| way | accuracy, % | 95 % interval | SD over trials |", "|---|---|---|---|"]
    lines += [
        f"| {row.source}, {row.tune}{_control(row.control)} | {percent(row.value)} | "
        f"{percent_range(row.ci_low, row.ci_high)} | {100 * row.value_sd:.1f} |"
        for row in matrix.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _control(control: object) -> str:
    return f" ({control})" if isinstance(control, str) and control else ""


def _fused(comparisons: pd.DataFrame) -> str:
    rows = comparisons[comparisons["source"].str.contains("+", regex=False)]
    lines = [
        "| fused | compared with | points | 95 % interval | adjusted p |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.source} | {row.compared_with} | {points(row.difference)} | "
        f"{points_range(row.difference_low, row.difference_high)} | {format_p(row.p_adjusted)} |"
        for row in rows.itertuples()
    ]
    return "\n".join(lines)


INTRODUCTION = """\
# Transfer between data sets on real tissue

The transfer matrix and weight distillation of HistoKT (Zhang et al. 2022) on images that fit one
workstation without a GPU. Written by `python docs/make_transfer_results.py`, which runs

```bash
{commands}
```

**What is reduced.** 24 training, 16 validation and up to 60 test images a class instead of
thousands; patches of 128 px at whatever scale the sets have (three of four do not state theirs)
instead of 272 px at 1 µm/px; 8 epochs instead of 250; AdamP for sources too; two learning rates
instead of five; ResNet18 trained in bfloat16 (mixed precision); three sources and four targets
instead of nine. Networks of 24 images a class are weak, so this says whether transfer helps where
labels are scarce, and nothing about long training.

**What came out** (in words, of the run of 2026-11-21; the tables are written from the run). None of
the gains is shown at this size. From a random start, tuning from another set does as well as
training twice on the target, and no better than from shuffled weights: more training counts, not
whose tissue it was. From ImageNet the detour over another set costs 4 points on average against
tuning on the target at once; shuffled weights are far worse there, so networks do carry knowledge,
but ImageNet's. Tuning all layers beats tuning the classifier alone nearly everywhere, as in the
paper. Seven of eight fused networks stand above the best of their sources, by 4 points on average;
that cannot be told from chance, and a projection on random directions does nearly as well.

Accuracies are means of three trials in percent, ± their standard deviation; intervals and tests
have test images (patients where they are known) and trials in their error
([decision 12](decisions/012-a-transfer-is-judged-against-its-control.md)). Bold: significantly
different from the control, at a false discovery rate of 5 %. Controls: `self`, the same two steps
on the target alone; `direct`, ImageNet weights tuned on the target; `scratch`, one training as long
as both steps; `shuffled`, source weights permuted within each tensor.
"""


if __name__ == "__main__":
    main()
