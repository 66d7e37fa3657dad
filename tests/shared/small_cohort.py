"""A cohort of made-up patients in which it is known what features say of expression and mutations.

Sixty patients of four sites. In expression LINEAR is a sum of features, NOISE has nothing to do
with them, HOLED is LINEAR with values missing, RARE is 0 in all but one patient, and FLAT is 1 in
all. Of mutations SIGNAL is a threshold of the first feature and CHANCE has nothing to do with them;
everybody has EVERYBODY, two have FEW, and QUIET is silent only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

N, P = 60, 12
SITES = ("05", "44", "50", "55")
HOLES = slice(3, 60, 10)
RARE = 7


@dataclass
class Cohort:
    """Tables of the cohort, indexed by patient, and where they were written."""

    folder: Path
    one: pd.DataFrame
    two: pd.DataFrame
    expression: pd.DataFrame
    status: pd.DataFrame
    paths: dict[str, Path] = field(default_factory=dict)

    @property
    def features(self) -> tuple[object, ...]:
        """Words of the command line for both tables."""
        return ("--features", self.paths["one"], self.paths["two"])

    @property
    def mutations(self) -> tuple[object, ...]:
        """Words of the command line for mutations."""
        return ("--mutations", self.paths["maf"], "--sequenced", self.paths["sequenced"])


def patient(number: int) -> str:
    """Return the barcode of a patient."""
    return f"TCGA-{SITES[number % 4]}-{number:04d}"


def make_cohort(folder: Path) -> Cohort:
    """Write the tables of a cohort."""
    rng = np.random.default_rng(0)
    names = pd.Index([patient(i) for i in range(N)], name="patient_id")
    columns = [f"f{i}" for i in range(P)]
    one = pd.DataFrame(rng.normal(size=(N, P)), names, columns)
    two = pd.DataFrame(rng.normal(size=(N, P)), names, columns)
    linear = one["f0"] - one["f1"]
    expression = pd.DataFrame(
        {"LINEAR": linear, "NOISE": rng.normal(size=N), "HOLED": linear, "RARE": 0.0, "FLAT": 1.0}
    )
    expression.iloc[HOLES, 2] = np.nan
    expression.iloc[RARE, 3] = 1.0
    status = pd.DataFrame(
        {"SIGNAL": one["f0"] > 0.3, "CHANCE": rng.random(N) < 0.4, "EVERYBODY": True, "FEW": False}
    )
    status.iloc[[4, 9], 3] = True
    cohort = Cohort(folder, one, two, expression, status)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("one", one), ("two", two)):
        cohort.paths[name] = folder / f"{name}.csv"
        table.to_csv(cohort.paths[name])
    cohort.paths["expression"] = folder / "expression.tsv"
    samples = expression.set_axis(expression.index + "-01", axis=0)
    samples.T.rename_axis("sample").to_csv(cohort.paths["expression"], sep="\t", na_rep="NA")
    cohort.paths["maf"] = folder / "mutations.maf"
    cohort.paths["maf"].write_text(maf_text(status), encoding="utf-8")
    cohort.paths["sequenced"] = folder / "sequenced.txt"
    cohort.paths["sequenced"].write_text("".join(f"{name}-01\n" for name in names))
    return cohort


def maf_text(status: pd.DataFrame) -> str:
    """Return a MAF; each patient has a silent variant too, which counts as none."""
    lines = ["#version 2.4", "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode"]
    for name, genes in status.iterrows():
        lines += [f"{g}\tMissense_Mutation\t{name}-01A" for g in genes.index[genes]]
        lines.append(f"QUIET\tSilent\t{name}-01A")
    return "\n".join(lines) + "\n"


def read_values(out: Path) -> pd.DataFrame:
    """Read predictions of numbers without histograft."""
    table = pd.read_parquet(out / "values.parquet")
    return table.astype(dict.fromkeys(("model", "protocol", "unit", "target"), str))


def read_status(out: Path) -> pd.DataFrame:
    """Read predictions of classes without histograft."""
    table = pd.read_parquet(out / "predictions.parquet")
    return table.astype({c: str for c in table.columns if c not in ("repeat", "fold", "score")})


def read_drops(out: Path) -> dict[tuple[str, str, str], int]:
    """Read what was left out: kind, reason, name to count."""
    table = pd.read_csv(out / "drops.csv", keep_default_na=False)
    keys = table[["kind", "reason", "name"]].itertuples(index=False, name=None)
    return dict(zip(keys, table["count"], strict=True))
