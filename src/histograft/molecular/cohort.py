"""Join slides and molecular tables into a row for each patient; count who is left out, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.core.tables import COHORT
from histograft.molecular.barcodes import PRIMARY_TUMOR, parse_barcode, patient_of
from histograft.molecular.drops import DropList

_SPREAD = 3  # examples in a message


@dataclass(frozen=True)
class CohortRules:
    """Which slides and patients are used.

    Rules of barcodes (sample type, kind of slide) act on slides whose names are TCGA barcodes; all
    others pass.

    Attributes
    ----------
    sample_types : collection of str
        TCGA sample types that are kept.
    slide_kind : {"any", "frozen", "diagnostic"}
        Kind of slide that is kept.
    least_tissue_mm2 : float
        Least tissue of a slide, mm²; 0: any.
    needs : {"any", "all"}
        Whether a patient needs one molecular table or all of them.
    """

    sample_types: Collection[str] = (PRIMARY_TUMOR,)
    slide_kind: Literal["any", "frozen", "diagnostic"] = "any"
    least_tissue_mm2: float = 0.0
    needs: Literal["any", "all"] = "any"

    def __post_init__(self) -> None:
        if self.slide_kind not in ("any", "frozen", "diagnostic"):
            raise InputError(f"{self.slide_kind!r} is no kind of slide", "any, frozen, diagnostic")
        if self.needs not in ("any", "all"):
            raise InputError(f"needs is {self.needs!r}", "take any or all")
        if not self.least_tissue_mm2 >= 0:
            raise InputError(
                f"least_tissue_mm2 is {self.least_tissue_mm2!r}", "state an area of 0 mm² or more"
            )


@dataclass(frozen=True)
class Cohort:
    """Patients that are used.

    Attributes
    ----------
    patients : pandas.DataFrame
        Columns of `histograft.core.tables.COHORT`, sorted by patient.
    slides : pandas.DataFrame
        Slides that are used: ``slide_id``, ``patient_id``, in the order of the table.
    drops : pandas.DataFrame
        Slides and patients that are not, with the columns of `histograft.core.tables.DROPS`. Each
        slide of the table is in `slides` or here once; each patient of any table likewise is in
        `patients` or here.
    notes : tuple of str
        What a reader of the results should know.
    """

    patients: pd.DataFrame = field(repr=False)
    slides: pd.DataFrame = field(repr=False)
    drops: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]


def build_cohort(
    slides: pd.DataFrame,
    molecular: Mapping[str, pd.DataFrame],
    rules: CohortRules = CohortRules(),
    *,
    name: str = "slides",
) -> Cohort:
    """Join slides with molecular tables by patient.

    Parameters
    ----------
    slides : pandas.DataFrame
        ``slide_id``; ``patient_id`` where names are no TCGA barcodes (it beats the barcode);
        optional ``site`` and ``tissue_mm2``.
    molecular : mapping of str to pandas.DataFrame
        ``values`` of a `histograft.molecular.patient_table.PatientTable`, by what they are:
        ``mutations``, ``expression``.
    rules : CohortRules
        Who is used.
    name : str
        Name of the table of slides, for messages.

    Returns
    -------
    Cohort
        ``patients`` has a column ``has_NAME`` for each molecular table. Its rows of a table are
        ``table.reindex(cohort.patients["patient_id"])``, NaN where nothing is known.

    Raises
    ------
    InputError
        A slide belongs to two patients, the table says another patient than the barcode, tissue is
        asked for but not stated, or nobody is left.

    Examples
    --------
    >>> slides = pd.DataFrame({"slide_id": ["a", "b", "c"], "patient_id": ["P1", "P1", "P2"]})
    >>> known = pd.DataFrame({"TP53": [1.0, 0.0]}, index=["P1", "P3"])
    >>> cohort = build_cohort(slides, {"mutations": known})
    >>> cohort.patients[["patient_id", "n_slides", "has_mutations"]].values.tolist()
    [['P1', 2, True]]
    >>> (cohort.drops["name"] + " " + cohort.drops["reason"]).tolist()
    ['P2 no-molecular-data', 'P3 no-slide', 'c patient-dropped']
    """
    drops = DropList(name)
    listed = _with_patients(slides, name, drops)
    kept = _kept_slides(listed, rules, name, drops)
    known = {what: set(table.index[table.notna().any(axis=1)]) for what, table in molecular.items()}
    people = _kept_patients(listed, kept, known, rules, drops)
    if not people:
        raise _nobody(name, listed, kept, known, molecular)
    used = kept[kept["patient_id"].isin(people)]
    for slide in kept.loc[~kept["patient_id"].isin(people), "slide_id"]:
        drops.add("slide", slide, "patient-dropped")
    patients = _one_row_each(used, known, stated_tissue="tissue_mm2" in slides)
    return Cohort(
        COHORT.check(patients, "cohort"),
        used[["slide_id", "patient_id"]].reset_index(drop=True),
        drops.table(),
        _notes_on(used, name),
    )


def _with_patients(slides: pd.DataFrame, name: str, drops: DropList) -> pd.DataFrame:
    """Return slides with the columns that are needed here, each slide once."""
    require_columns(slides, ["slide_id"], name)
    if slides.empty:
        raise InputError(f"{name} names no slide", "add a row for each slide")
    table = pd.DataFrame({"slide_id": slides["slide_id"].astype(str).str.strip()})
    barcodes = [parse_barcode(slide) for slide in table["slide_id"]]
    stated = _texts(slides, "patient_id")
    table["patient_id"] = [
        patient_of(says) if says else ("" if code is None else code.patient_id)
        for says, code in zip(stated, barcodes, strict=True)
    ]
    table["sample_type"] = ["" if c is None else c.sample_type or "" for c in barcodes]
    table["kind"] = ["unknown" if c is None else c.slide_kind or "unknown" for c in barcodes]
    people = [parse_barcode(patient) for patient in table["patient_id"]]
    table["site"] = [
        says or ("" if code is None else code.site)
        for says, code in zip(_texts(slides, "site"), people, strict=True)
    ]
    area = slides["tissue_mm2"] if "tissue_mm2" in slides else float("nan")
    table["tissue_mm2"] = pd.Series(area, index=slides.index).astype(float).to_numpy()
    for slide, person, code in zip(table["slide_id"], people, barcodes, strict=True):
        # Own names of patients are the user's choice; two different barcodes are a mistake.
        if code is not None and person is not None and person.patient_id != code.patient_id:
            raise InputError(
                f"{name}: {slide} is listed under the patient {person.patient_id}",
                f"its barcode says {code.patient_id}: correct one of them",
            )
    return _each_once(table, name, drops)


def _texts(table: pd.DataFrame, column: str) -> list[str]:
    if column not in table:
        return [""] * len(table)
    return table[column].astype("string").fillna("").str.strip().tolist()


def _each_once(table: pd.DataFrame, name: str, drops: DropList) -> pd.DataFrame:
    pairs = table.drop_duplicates(["slide_id", "patient_id"])
    two = pairs[pairs["slide_id"].duplicated(keep=False)]
    if len(two):
        slide = two["slide_id"].iloc[0]
        owners = ", ".join(two.loc[two["slide_id"] == slide, "patient_id"])
        raise InputError(
            f"{name}: the slide {slide} belongs to several patients ({owners})", "correct its rows"
        )
    for slide in table.loc[table["slide_id"].duplicated(), "slide_id"]:
        drops.add("slide", slide, "listed-twice", "its first row is used")
    return table.drop_duplicates("slide_id").reset_index(drop=True)


def _kept_slides(
    table: pd.DataFrame, rules: CohortRules, name: str, drops: DropList
) -> pd.DataFrame:
    if rules.least_tissue_mm2 > 0 and table["tissue_mm2"].isna().all():
        raise InputError(
            f"{name} does not state how much tissue slides have",
            "add the column tissue_mm2, or ask for no least area",
        )
    kept = []
    for row in table.to_dict("records"):
        reason, detail = _why_not(row, rules)
        kept.append(not reason)
        if reason:
            drops.add("slide", row["slide_id"], reason, detail)
    return table[kept]


def _why_not(row: Mapping[Any, Any], rules: CohortRules) -> tuple[str, str]:
    """Return the first reason for which a slide is not used, or two empty texts."""
    area = row["tissue_mm2"]
    if not row["patient_id"]:
        return "patient-unknown", "no patient_id, and no TCGA barcode"
    if row["sample_type"] and row["sample_type"] not in rules.sample_types:
        return "sample-type", f"type {row['sample_type']}"
    if rules.slide_kind != "any" and row["kind"] not in (rules.slide_kind, "unknown"):
        return "slide-kind", str(row["kind"])
    if rules.least_tissue_mm2 > 0 and not area >= rules.least_tissue_mm2:
        return "tissue", f"{area:.3g} mm² of {rules.least_tissue_mm2:g}"
    return "", ""


def _kept_patients(
    listed: pd.DataFrame,
    kept: pd.DataFrame,
    known: Mapping[str, set[str]],
    rules: CohortRules,
    drops: DropList,
) -> set[str]:
    """Return who is used; everybody else of any table is written down once."""
    with_slides = set(kept["patient_id"])
    in_table = {patient for patient in listed["patient_id"] if patient}
    measured = set().union(*known.values())
    people = set()
    for patient in sorted(in_table):
        lacks = [what for what, who in known.items() if patient not in who]
        if patient not in with_slides:
            drops.add("patient", patient, "no-slide-kept", "all slides were left out")
        elif known and len(lacks) == len(known):
            drops.add("patient", patient, "no-molecular-data", "in no molecular table")
        elif lacks and rules.needs == "all":
            drops.add("patient", patient, f"no-{lacks[0]}", f"not in: {', '.join(lacks)}")
        else:
            people.add(patient)
    for patient in sorted(measured - in_table):
        drops.add("patient", patient, "no-slide", "in a molecular table only")
    return people


def _one_row_each(
    used: pd.DataFrame, known: Mapping[str, set[str]], *, stated_tissue: bool
) -> pd.DataFrame:
    grouped = used.groupby("patient_id", sort=True)
    patients = pd.DataFrame(
        {
            "n_slides": grouped["slide_id"].size(),
            "slide_ids": grouped["slide_id"].agg("|".join),
            "site": grouped["site"].agg(_joined),
            "slide_kinds": grouped["kind"].agg(_joined),
        }
    )
    if stated_tissue:
        patients["tissue_mm2"] = grouped["tissue_mm2"].sum(min_count=1)
    for what, who in known.items():
        patients[f"has_{what}"] = patients.index.isin(list(who))
    return patients.reset_index()


def _joined(values: pd.Series) -> str:
    return "|".join(sorted({value for value in values if value}))


def _nobody(
    name: str,
    listed: pd.DataFrame,
    kept: pd.DataFrame,
    known: Mapping[str, set[str]],
    molecular: Mapping[str, pd.DataFrame],
) -> InputError:
    if kept.empty:
        return InputError(
            f"{name}: none of {len(listed)} slides is kept", "loosen the rules for slides"
        )
    theirs = {what: ", ".join(sorted(who)[:_SPREAD]) or "nobody" for what, who in known.items()}
    ours = ", ".join(sorted(set(kept["patient_id"]))[:_SPREAD])
    tables = "; ".join(f"{what}: {theirs[what]} …" for what in molecular)
    return InputError(
        f"no patient has both slides and the molecular data asked for ({name}: {ours} …; {tables})",
        "name patients alike in all tables, or give a sample sheet with sample_id and patient_id",
    )


def _notes_on(used: pd.DataFrame, name: str) -> tuple[str, ...]:
    kinds = used[used["kind"] != "unknown"].groupby("patient_id")["kind"].nunique()
    both = int((kinds > 1).sum())
    sites = used.groupby("patient_id")["site"].agg(_joined)
    notes = []
    if both:
        notes.append(
            f"{name}: {both} patients have frozen and diagnostic slides, which are pooled; "
            "choose a kind of slide to keep them apart"
        )
    if sites.str.contains("|", regex=False).any():
        notes.append(f"{name}: some patients have slides of several sites")
    return tuple(notes)
