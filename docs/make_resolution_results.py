"""Write docs/resolution-results.md: how far the resolution can be lowered, on three real sets.

Draws the sets, runs the recipe on each (or resumes it, or finds it finished) and writes the page
from the tables::

    python docs/make_resolution_results.py --data ../shared --run runs/resolution

Took 53 minutes on two CPU cores that did other work too; it can be interrupted and run again.
``--smoke`` tries all of it on a few images and writes its page into the run. Paper: DiPalma et al.
2021, doi:10.1016/j.artmed.2021.102136.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from histograft.figures.numerals import format_p, percent, percent_range, points, points_range

HERE = Path(__file__).parent
PAGE = "resolution-results.md"


@dataclass(frozen=True)
class Set:
    """A data set, and what is taken of it.

    Attributes
    ----------
    labelled, unlabelled, test : int
        Most images of a class with labels, without, and for testing.
    options : tuple of str
        Of the recipe.
    test_groups : tuple of str
        Groups to be tested on; else the set states its own split.
    """

    labelled: int
    unlabelled: int
    test: int
    options: tuple[str, ...]
    test_groups: tuple[str, ...] = ()


# Small batches: a few dozen images in batches of 32 would be one or two steps an epoch.
RELATIVE = (
    "--scale", "relative", "--ladder", "2", "4", "--epochs", "25", "--batch-size", "8",
)  # fmt: skip
SETS = {
    "colon-polito": Set(24, 48, 60, RELATIVE),
    "oral-oscc": Set(60, 120, 100, RELATIVE),
    "osteosarcoma60": Set(
        5,
        5,
        20,
        (
            "--teacher-mpp", "1", "--ladder", "2", "4", "8", "16", "--epochs", "60",
            "--batch-size", "2",
        ),
        ("case-4", "P9"),
    ),
}  # fmt: skip
# The paper's loss, network, optimizer and weight decay are the defaults. The last epoch is kept:
# with so few labels none are left for choosing.
COMMON = (
    "--unlabelled-shares", "0.5", "1", "--augment", "flips", "--select", "last",
    "--val-of-train", "0", "--seeds", "3", "--margin", "0.05", "--published",
)  # fmt: skip
SMOKE = ("--epochs", "1", "--seeds", "1", "--draws", "200")
GAINS = {
    "kd": "of KD on labelled images",
    "fewer unlabelled": "of half as many unlabelled",
    "before fine-tuning": "before fine-tuning",
}
CONDITIONS = {"teacher": "teacher", "baseline": "baseline", "kd": "KD", "kd-ad": "KD (AD)"}


def draw_set(data: Path, out: Path, name: str, *, smoke: bool) -> None:
    """Copy the images of a set that are taken, with a samples.csv for each role; once."""
    if (out / "drawn").exists():
        return
    wanted, table = SETS[name], pd.read_csv(data / name / "samples.csv")
    for column in ("near_duplicate", "label_conflict"):  # of oral-oscc
        if column in table:
            table = table[table[column].isna() | (table[column] == 0)]
    table = table.sample(frac=1, random_state=np.random.default_rng(0)).reset_index(drop=True)
    tested = table["source_split"] == "test"
    if wanted.test_groups:
        tested = table["group"].isin(wanted.test_groups)
    by_case = ["label", "group"] if wanted.test_groups else ["label"]
    rank = table.groupby(["label", tested]).cumcount()
    of_case = table.groupby([*by_case, tested]).cumcount()
    share = 20 if smoke else 1
    n_labelled, n_test = (max(2, n // share) for n in (wanted.labelled, wanted.test))
    n_unlabelled = max(2, wanted.unlabelled // share)
    labelled = ~tested & (of_case < n_labelled)
    roles = {
        "labelled": labelled | (tested & (rank < n_test)),
        "unlabelled": ~tested & ~labelled & (of_case < n_labelled + n_unlabelled),
    }
    for role, rows in roles.items():
        chosen = table[rows].assign(split=np.where(tested[rows], "test", "train"))
        for file in chosen["file"]:
            target = out / role / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data / name / file, target)
        columns = [c for c in ("file", "label", "group", "split", "mpp") if chosen[c].notna().any()]
        chosen[columns].to_csv(out / role / "samples.csv", index=False)
    (out / "drawn").touch()


def command(run: Path, name: str, *, smoke: bool) -> list[str]:
    """Return the recipe's command for a set."""
    drawn = run / "sets" / name
    return [
        "histograft", "run", "resolution-distillation", str(drawn / "labelled"),
        "--unlabelled", str(drawn / "unlabelled"), *SETS[name].options, *COMMON,
        *(SMOKE if smoke else ()), "--out", str(run / name),
    ]  # fmt: skip


def main() -> None:
    """Draw the sets, run the recipe and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--run", type=Path, default=Path("runs/resolution"), help="of the run")
    parser.add_argument("--smoke", action="store_true", help="a few images, one epoch, one seed")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    given = parser.parse_args()
    for name in given.sets:
        draw_set(given.data / "data", given.run / "sets" / name, name, smoke=given.smoke)
        words = command(given.run, name, smoke=given.smoke)
        if given.smoke:  # an option counts once
            words = _last_of_each(words)
        done = subprocess.run([sys.executable, "-m", "histograft", *words[1:]], check=False)
        if done.returncode:
            sys.exit(done.returncode)
    out = (given.run if given.smoke else HERE) / PAGE
    out.write_text(page(given.run, given.sets), encoding="utf-8")


def _last_of_each(words: list[str]) -> list[str]:
    """Keep an option's last occurrence."""
    kept = list(words)
    for flag in SMOKE[::2]:
        while kept.count(flag) > 1:
            at = kept.index(flag)
            del kept[at : at + 2]
    return kept


def page(run: Path, names: list[str]) -> str:
    """Write the page from the tables of finished runs."""
    shown = [" ".join(command(Path("runs/resolution"), name, smoke=False)) for name in names]
    blocks = [INTRODUCTION.format(commands="\n".join(shown))]
    absent = [name for name in SETS if name not in names]
    if absent:
        blocks.append(f"**Not on this page yet:** {', '.join(absent)}.\n")
    for name in names:
        report = run / name / "report"
        ladder = pd.read_csv(report / "ladder.csv")
        comparisons = pd.read_csv(report / "comparisons.csv")
        sizes, costs = (pd.read_csv(report / f"{table}.csv") for table in ("sizes", "costs"))
        blocks += [
            f"\n## {name}\n",
            _counts(sizes.iloc[0], costs.iloc[0], ladder),
            _conditions(ladder),
            _sentence(comparisons),
            _means(ladder),
            _against_baseline(comparisons),
            _gains(comparisons),
            _against_teacher(comparisons),
            _costs(costs),
        ]
    return "\n".join(blocks) + "\n"


def _counts(sizes: pd.Series, costs: pd.Series, ladder: pd.DataFrame) -> str:
    n_train = sum(int(n) for column, n in sizes.items() if str(column).startswith("train:"))
    unlabelled = sorted(set(ladder["n_unlabelled"]) - {0})
    return (
        f"{n_train} labelled training images, {' or '.join(map(str, unlabelled))} unlabelled ones, "
        f"{int(costs['n_pieces'])} test images of {int(costs['n_groups'])} groups (an image "
        "counts as its own where none is known).\n"
    )


def _name(row: pd.Series) -> str:
    name = CONDITIONS[row["condition"]]
    if row["n_unlabelled"]:
        name += f", {int(row['n_unlabelled'])}"
    return f"{name}, fine-tuned" if row["fine_tuned"] else name


def _conditions(ladder: pd.DataFrame) -> str:
    rows = ladder[(ladder["unit"] == "piece") & (ladder["seed"].astype(str) == "all")]
    keys = ["mpp", "condition", "n_unlabelled", "fine_tuned"]
    lines = [
        "| scale | condition | top-1, % | 95 % interval | SD over seeds | macro F1, % | macro "
        "AUROC, % | the paper's “accuracy”, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for _, of_rung in rows.groupby(keys, sort=False):
        by = of_rung.set_index("metric")
        top = by.loc["accuracy_top1"]
        sd = "–" if pd.isna(top["seed_sd"]) else f"{100 * top['seed_sd']:.1f}"
        others = ("macro_f1", "macro_auroc", "accuracy_rd_published")
        cells = [f"{top['mpp']:g}", _name(top), percent(top["value"])]
        cells += [percent_range(top["ci_low"], top["ci_high"]), sd]
        cells += [percent(by.loc[metric, "value"]) for metric in others]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _sentence(comparisons: pd.DataFrame) -> str:
    rows = comparisons[comparisons["compared_with"] == "baseline"]
    rows = rows[rows["metric"] == "accuracy_top1"]
    sure = rows[rows["p_holm"] < 0.05]
    better, worse = (sure["difference"] > 0).sum(), (sure["difference"] < 0).sum()
    mean = points(float(rows["difference"].mean()))
    return (
        f"Of {len(rows)} students {better} did better and {worse} worse than the baseline of their "
        f"scale (Holm, 5 %); the mean difference is {mean} points.\n"
    )


def _means(ladder: pd.DataFrame) -> str:
    """Say what unlabelled images and fine-tuning did, over all lower scales."""
    rows = ladder[(ladder["unit"] == "piece") & (ladder["seed"].astype(str) == "all")]
    rows = rows[(rows["metric"] == "accuracy_top1") & (rows["condition"] != "teacher")]
    keys = ["condition", "n_unlabelled", "fine_tuned"]
    means = rows.groupby(keys, sort=False)["value"].mean().reset_index()
    said = [f"{_name(row)} {percent(row['value'])} %" for _, row in means.iterrows()]
    return f"Mean top-1 over the lower scales: {'; '.join(said)}.\n"


def _against_baseline(comparisons: pd.DataFrame) -> str:
    rows = comparisons[comparisons["compared_with"] == "baseline"]
    rows = rows[rows["metric"] == "accuracy_top1"]
    lines = [
        "| scale | student | less the baseline, points | 95 % interval | p | adjusted p |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['mpp']:g} | {_name(row)} | {points(row['difference'])} | "
        f"{points_range(row['ci_low'], row['ci_high'])} | {_p(row['p'])} | {_p(row['p_holm'])} |"
        for _, row in rows.iterrows()
    ]
    return "\n".join(lines) + "\n"


def _against_teacher(comparisons: pd.DataFrame) -> str:
    rows = comparisons[comparisons["compared_with"] == "teacher"]
    lines = [
        "| scale | condition | less the teacher, points | 95 % interval | adjusted p | "
        "non-inferior | interval, new seeds too | adjusted p | non-inferior |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['mpp']:g} | {_name(row)} | {points(row['difference'])} | "
        f"{points_range(row['ci_low'], row['ci_high'])} | {_p(row['p_holm'])} | "
        f"{_shown(row['non_inferior'])} | "
        f"{_of_new_seeds(row)}"
        for _, row in rows.iterrows()
    ]
    return "\n".join(lines) + "\n"


def _gains(comparisons: pd.DataFrame) -> str:
    rows = comparisons[comparisons["compared_with"].isin(GAINS)]
    lines = [
        "| scale | student | less that | points | 95 % interval | p | adjusted p |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['mpp']:g} | {_name(row)} | {GAINS[row['compared_with']]} | "
        f"{points(row['difference'])} | {points_range(row['ci_low'], row['ci_high'])} | "
        f"{_p(row['p'])} | {_p(row['p_holm'])} |"
        for _, row in rows.iterrows()
    ]
    return "\n".join(lines) + "\n"


def _of_new_seeds(row: pd.Series) -> str:
    """Cells on trainings from other seeds; one seed does not tell."""
    if "p_holm_new_seeds" not in row:
        return "– | – | – |"
    interval = points_range(row["ci_low_new_seeds"], row["ci_high_new_seeds"])
    return f"{interval} | {_p(row['p_holm_new_seeds'])} | {_shown(row['non_inferior_new_seeds'])} |"


def _shown(holds: object) -> str:
    return "yes" if holds in (True, "True") else "not shown"


def _p(value: float) -> str:
    return "–" if pd.isna(value) else format_p(value)


def _costs(costs: pd.DataFrame) -> str:
    lines = [
        "| scale | GMAC an image | GMAC of the set | MB read an image | ms an image | most memory, "
        "MB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.mpp:g} | {row.gmacs_per_piece:.3g} | {row.gmacs_of_set:.3g} | "
        f"{row.mb_per_piece:.3g} | {row.ms_per_piece:.3g} | {row.peak_mb:.3g} |"
        for row in costs.itertuples()
    ]
    return "\n".join(lines)


INTRODUCTION = """\
# How far the resolution can be lowered, on real tissue

Resolution distillation (DiPalma et al. 2021) on images that fit one workstation without a GPU.
Written by `python docs/make_resolution_results.py`, which draws the sets and runs

```bash
{commands}
```

**What is reduced.** 25 epochs (osteosarcoma60: 60) instead of 100; 5 to 60 labelled images a
class; batches of 8 (osteosarcoma60: 2) instead of 32, so that there are steps enough;
flips without color jitter; no validation images, so the last epoch is kept. Networks begin
at random, as in the paper, and so trained they are weak: this says whether distillation helps at
equal and small means, and not how good a network at that scale can become. The µm/px of
colon-polito and oral-oscc is unknown: their scales are factors of 224 px. osteosarcoma60 holds four
patients; the networks learn from two and are tested on two, so its intervals mean little, and no
claim about new patients can come from it. Groups of the other two sets are unknown: images are
taken for independent, so intervals are too short where several come from one patient.

**An earlier run** had students begin with the first weights of the teacher of their seed. On
colon-polito KD on labelled images then beat the baseline by 6.9 and 12.9 points at 1/2 and 1/4
where it now does by 0.7 and 9.3: a student that begins where its teacher began is led to the
teacher's features. Students are drawn apart since, as in the paper. In that run osteosarcoma60 had
20 epochs, and students of five unlabelled images (60 steps) named one class always; all its
networks have three times as many since. Test images had been seen by then; nothing else was
changed.

KD: learned from the teacher's answers to the labelled images, reading no label; KD (AD): from its
answers to the unlabelled ones, of which the smaller set lies in the larger one. Fine-tuned: then
the head from labels. Three seeds a condition. The margin of non-inferiority is 5 points of top-1
accuracy: once for these networks and new images (patients where they are known), once for new seeds
too. p of differences from the baseline is of the crossed test over seeds and images (patients),
and so are those of students against students, where networks of one seed are paired; each table is
adjusted by Holm's method. Milliseconds were measured beside other work, and scatter.

**What came out** (in words, of the runs of 2026-11-21; the tables are written from the runs).

- *Does a student beat the baseline of its scale?* On colon-polito yes: by 9 points on average, six
  of ten significantly, all five at 1/4. On oral-oscc the two fine-tuned ones at 1/2 do, by 8
  points; at 1/4 nothing is shown, as baselines scatter by 10 points from seed to seed. On
  osteosarcoma60 none does: students stand 14 points below their baselines on average, which are
  best at 8 and 16 µm/px, and nothing is significant.
- *How low may the scale be?* On colon-polito 1/4, for a fourteenth of the multiplications: four of
  five students are shown to lose less than 5 points against their teacher, the baseline is not. On
  oral-oscc 1/2, but its teacher is not shown to be better than naming one class always; nor is that
  of osteosarcoma60, where 23 images of two patients show nothing. All this holds for these
  networks; for new seeds too nothing is shown: three are too few.
- *Do more unlabelled images help?* On colon-polito twice as many gave between -0.2 and 2.3 points,
  on oral-oscc 0.7 to 2.0; no difference is significant. Against KD on 120 labelled images, 120
  unlabelled ones gave 3 to 5 points more on colon-polito and 2 fewer on oral-oscc.
- *Does fine-tuning help?* By 1 to 3 points on colon-polito, on oral-oscc between -1.8 and 1.6; no
  difference is significant. With 5 or 10 unlabelled images of osteosarcoma60 it decides whether a
  student names more than one class (+6 to +26 points, in three seeds and two patients).
"""


if __name__ == "__main__":
    main()
