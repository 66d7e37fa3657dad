"""The leakage report on the page: what rows share that are fitted on and tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histograft.figures.numerals import NOTHING, percent
from histograft.verbs.comparison_told import place

if TYPE_CHECKING:
    from histograft.figures.page import Table


@dataclass(frozen=True)
class Leak:
    """What two sides of one division share.

    Attributes
    ----------
    where : str
        Data set, and what divides its rows.
    groups_known : float
        Share of the patches whose patient, slide or source is known.
    groups : int or None
        Groups on both sides; None where they are kept whole.
    exact, near : int
        Copies and near duplicates that can be on both sides.
    overlap : float or None
        Share of test patches that share pixels with a training patch.
    """

    where: str
    groups_known: float
    groups: int | None
    exact: int
    near: int
    overlap: float | None

    @property
    def found(self) -> str:
        """Name what was found; empty where all is clean."""
        counts = {
            "group name(s)": self.groups or 0,
            "exact copies": self.exact,
            "near duplicate(s)": self.near,
        }
        parts = [f"{n} {what}" for what, n in counts.items() if n]
        if self.overlap:
            parts.append(f"{percent(self.overlap)} % of test patches overlap training ones")
        return ", ".join(parts)


def find_leaks(
    patches: Sequence[dict[str, Any]], blocks: Sequence[dict[str, Any]], tuned: set[str]
) -> list[Leak]:
    """Collect the divisions that numbers of the report rest on.

    Parameters
    ----------
    patches : sequence of dict
        Facts of the patches artefacts.
    blocks : sequence of dict
        Facts of the predictions of tissue types; without any, all splits are told.
    tuned : set of str
        Data sets that a network was tuned on. The splits of others mean nothing: all their rows
        are cross-validated.

    Returns
    -------
    list of Leak
    """
    leaks = [
        Leak(
            f"{f['dataset']}: training, validation and test rows",
            f["leakage"]["groups_known"],
            len(f["leakage"]["groups_in_two_splits"]),
            f["leakage"]["exact_duplicates_across_splits"],
            f["leakage"]["near_duplicates_across_splits"],
            f["leakage"].get("overlapping_test_share"),
        )
        for f in patches
        if f["dataset"] in tuned or not blocks
    ]
    for block in blocks:
        if "shared" not in block:
            continue
        leaks.append(_of_predictions(block))
    return leaks


def _of_predictions(block: dict[str, Any]) -> Leak:
    """Say what folds share, or rows fitted on and tested.

    Copies in several groups and groups themselves are kept in one fold, unless groups were
    switched off; between two sets copies are refused, and groups of one name may be one.
    """
    shared = block["shared"]
    if block["protocol"] != "cv":
        where, groups, exact = f"fitted on {block['fit_on']}", shared.get("names", 0), 0
    elif block.get("no_groups"):
        where, exact = "folds that part groups (--no-groups)", shared["exact"]
        groups = block["n_groups"] if block["groups_known"] else 0
    else:
        where, groups, exact = "folds", None, 0
    known, near = block["groups_known"], shared["near"]
    return Leak(f"{place(block)}: {where}", known, groups, exact, near, None)


def leakage_table(leaks: Sequence[Leak]) -> Table:
    """Tabulate what the sides of each division share."""
    import pandas as pd

    from histograft.figures.page import Table

    frame = pd.DataFrame(
        {
            "rows": leak.where,
            "groups known, %": f"{100 * leak.groups_known:.0f}",
            "groups": NOTHING if leak.groups is None else str(leak.groups),
            "exact copies": str(leak.exact),
            "near duplicates": str(leak.near),
            "overlapping, %": NOTHING if leak.overlap is None else percent(leak.overlap),
        }
        for leak in leaks
    )
    return Table(
        frame,
        "What rows share that are fitted on and tested.",
        help={
            "groups known, %": "share of the images whose patient, slide or source is known",
            "groups": "names on both sides; – where groups are kept whole",
            "near duplicates": "pairs of patches in different groups that look alike to a "
            "perceptual hash, turned or flipped",
            "overlapping, %": "test patches that share pixels with a training patch",
        },
    )


def leakage_sentences(leaks: Sequence[Leak]) -> tuple[str, ...]:
    """Say what the table means: what is clean, what is not, what cannot be known."""
    clean = [leak.where for leak in leaks if not leak.found]
    lines = [
        f"{leak.where}: {leak.found}; these rows are not independent."
        for leak in leaks
        if leak.found
    ]
    if clean:
        lines.insert(0, f"No copy, near copy or shared group was found in {'; '.join(clean)}.")
    names = [leak.where.split(":")[0].split(",")[0] for leak in leaks if leak.groups_known < 1]
    if unknown := list(dict.fromkeys(names)):
        lines.append(
            f"Not all patients are known in {', '.join(unknown)}: that one is on both sides "
            "can be neither seen nor ruled out there."
        )
    return tuple(lines)
