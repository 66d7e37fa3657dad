"""Which slides of which patients are used; who is left out is counted, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.molecular.barcodes import PRIMARY_TUMOR, parse_barcode, patient_of
from histograft.molecular.drops import DropList


@dataclass(frozen=True)
class CohortRules:
    """Which slides are used.

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
    """

    sample_types: Collection[str] = (PRIMARY_TUMOR,)
    slide_kind: Literal["any", "frozen", "diagnostic"] = "any"
    least_tissue_mm2: float = 0.0

    def __post_init__(self) -> None:
        if self.slide_kind not in ("any", "frozen", "diagnostic"):
            raise InputError(f"{self.slide_kind!r} is no kind of slide", "any, frozen, diagnostic")
        if not self.least_tissue_mm2 >= 0:
            raise InputError(
                f"least_tissue_mm2 is {self.least_tissue_mm2!r}", "state an area of 0 mm² or more"
            )


@dataclass(frozen=True)
class Cohort:
    """Slides that are used, each with its patient.

    Attributes
    ----------
    slides : pandas.DataFrame
        Slides that are used: ``slide_id``, ``patient_id``, in the order of the table.
    drops : pandas.DataFrame
        Slides and patients that are not, with the columns of `histograft.core.tables.DROPS`. Each
        slide of the table is in `slides` or here once; each patient has a slide or is here.
    notes : tuple of str
        What a reader of the results should know.
    """

    slides: pd.DataFrame = field(repr=False)
    drops: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]


def build_cohort(
    slides: pd.DataFrame, rules: CohortRules = CohortRules(), *, name: str = "slides"
) -> Cohort:
    """Find the patient of each slide and which slides are used.

    Parameters
    ----------
    slides : pandas.DataFrame
        ``slide_id``; ``patient_id`` where names are no TCGA barcodes (it beats the barcode);
        optional ``tissue_mm2``.
    rules : CohortRules
        Which are used.
    name : str
        Name of the table of slides, for messages.

    Returns
    -------
    Cohort

    Raises
    ------
    InputError
        A slide belongs to two patients, the table says another patient than the barcode, tissue is
        asked for but not stated, or no slide is left.

    Examples
    --------
    >>> slides = pd.DataFrame({"slide_id": ["a", "b", "c"], "patient_id": ["P1", "P1", ""]})
    >>> cohort = build_cohort(slides)
    >>> cohort.slides.values.tolist()
    [['a', 'P1'], ['b', 'P1']]
    >>> (cohort.drops["name"] + " " + cohort.drops["reason"]).tolist()
    ['c patient-unknown']
    """
    drops = DropList(name)
    listed = _with_patients(slides, name, drops)
    kept = _kept_slides(listed, rules, name, drops)
    if kept.empty:
        raise InputError(
            f"{name}: none of {len(listed)} slides is kept", "loosen the rules for slides"
        )
    with_slides = set(kept["patient_id"])
    for patient in sorted({p for p in listed["patient_id"] if p} - with_slides):
        drops.add("patient", patient, "no-slide-kept", "all slides were left out")
    used = kept[["slide_id", "patient_id"]].reset_index(drop=True)
    return Cohort(used, drops.table(), _notes_on(kept, name))


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


def _notes_on(used: pd.DataFrame, name: str) -> tuple[str, ...]:
    kinds = used[used["kind"] != "unknown"].groupby("patient_id")["kind"].nunique()
    if both := int((kinds > 1).sum()):
        return (
            f"{name}: {both} patients have frozen and diagnostic slides, which are pooled; "
            "choose a kind of slide to keep them apart",
        )
    return ()
