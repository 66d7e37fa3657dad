"""The answer of a report, and what a reader must know before believing a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from histograft.figures.numerals import p_phrase, percent, points, points_range
from histograft.verbs.comparison_told import place, records
from histograft.verbs.report_material import Compared
from histograft.verbs.report_molecular import molecular_answers

TUNED = "ftx-dense"
SIGNIFICANT = 0.05
NO_COMPARISON = "No models are compared here."
MOLECULES = "What the features tell of the patients' molecules:"


def verdict(compared: Compared) -> tuple[str, tuple[str, ...]]:
    """Answer in one sentence, and with one line for each data set and protocol.

    Parameters
    ----------
    compared : Compared
        The comparison.

    Returns
    -------
    sentence : str
        In how many tests the tuned features are more accurate than the baseline.
    lines : tuple of str
        Accuracies, difference, interval, p value and reservations, test by test.
    """
    rows = _tuned_rows(compared)
    molecules = molecular_answers(compared)
    if not rows:
        return (MOLECULES, molecules) if molecules else (NO_COMPARISON, ())
    tuned = compared.labels.get(TUNED, TUNED)
    found = [_reading(row) for row in rows]
    in_all = f" of {len(rows)} tests" if len(rows) > 1 else " test"
    counts: list[str] = []
    for reading in ("more accurate", "less accurate", "no difference shown"):
        if n := found.count(reading):
            counts.append(f"{reading} in {n}{'' if counts else in_all}")
    lines = tuple(
        " ".join([_line(row), *_beaten(row, compared), *_carries(row, rows, compared)])
        for row in rows
    )
    return f"{tuned} against {compared.baseline}: {', '.join(counts)}.", (*lines, *molecules)


def _tuned_rows(compared: Compared) -> list[dict[str, Any]]:
    results = compared.results
    return records(
        results[
            (results["model"] == TUNED)
            & (results["metric"] == "accuracy")
            & results["difference"].notna()
        ]
    )


def _reading(row: dict[str, Any]) -> str:
    clear = row["difference_low"] * row["difference_high"] > 0
    if not (clear and row["p_adjusted"] < SIGNIFICANT):
        return "no difference shown"
    return "more accurate" if row["difference"] > 0 else "less accurate"


def _line(row: dict[str, Any]) -> str:
    return (
        f"{place(row)}: {_reading(row)}. {percent(row['value'])} % against "
        f"{percent(row['value'] - row['difference'])} %, {points(row['difference'])} points "
        f"(95 % interval {points_range(row['difference_low'], row['difference_high'])}; adjusted "
        f"{p_phrase(row['p_adjusted'])})."
    )


def _beaten(row: dict[str, Any], compared: Compared) -> list[str]:
    """Where a baseline without any network is as good as the tuned one."""
    best = compared.best_shortcut(row["dataset"], row["protocol"])
    if best is None or best["value"] < row["value"]:
        return []
    return [
        f"But the {best['label']} alone reaches {percent(best['value'])} %, without any network: "
        "accuracy here says little of histology."
    ]


def _carries(row: dict[str, Any], rows: list[dict[str, Any]], compared: Compared) -> list[str]:
    """Where cross-validation within a set is far above the external test, and what that means."""
    blocks = {(block["dataset"], block["protocol"]): block for block in compared.blocks}
    for other in rows:
        pair = (other["dataset"], other["protocol"], row["protocol"])
        if pair != (row["dataset"], "external", "cv") or row["ci_low"] <= other["ci_high"]:
            continue
        fit_on = blocks[other["dataset"], "external"]["fit_on"]
        if fit_on != row["dataset"]:
            return [
                f"Fitted on {fit_on} instead, {percent(other['value'])} % are reached: not all of "
                "it carries over from there."
            ]
        grouped = blocks[row["dataset"], "cv"]["grouped"]
        why = "" if grouped else ": its folds probably share patients, so trust the external test"
        return [f"It is far above the external test ({percent(other['value'])} %){why}."]
    return []


def caveats(compared: Compared) -> tuple[str, ...]:
    """Say what makes the numbers of a comparison better than they are, or hard to trust.

    Parameters
    ----------
    compared : Compared
        The comparison.

    Returns
    -------
    tuple of str
        A paragraph for each reason, with all data sets that it holds for.
    """
    blocks = compared.blocks
    lines = _unknown_patients(blocks)
    free = _places(blocks, lambda block: bool(block["no_groups"]))
    if free:
        lines.append(
            f"Groups were switched off (--no-groups) in {free}: patches of one group are on both "
            "sides of folds."
        )
    for warning in dict.fromkeys(block["warning"] for block in blocks if block["warning"]):
        where = _places(blocks, lambda block, said=warning: block["warning"] == said)  # type: ignore[misc]
        lines.append(f"In {where} {warning}.")
    for block in blocks:
        lines += [
            f"{block['dataset']}: class {name} is left out of the cross-validation ({reason})."
            for name, reason in block.get("left_out", {}).items()
        ]
    return (*lines, *_shortcuts(compared))


def _unknown_patients(blocks: list[dict[str, Any]]) -> list[str]:
    def unknown(protocol: str) -> Callable[[dict[str, Any]], bool]:
        return lambda block: (
            block["protocol"] == protocol and block["groups_known"] < 1 and not block["no_groups"]
        )

    lines = []
    if names := _places(blocks, unknown("cv")):
        lines.append(
            f"Not all patients are known in {names}: patches of one can be in several folds, "
            "so accuracies are optimistic, intervals too short and p values too small."
        )
    if names := _places(blocks, unknown("external")):
        lines.append(
            f"Not all patients are known in {names}: patches are taken for independent, so "
            "intervals are too short and p values too small, and one may be on both sides of the "
            "split."
        )
    return lines


def _shortcuts(compared: Compared) -> list[str]:
    parts = []
    for block in compared.blocks:
        best = compared.best_shortcut(block["dataset"], block["protocol"])
        if best is not None:
            parts.append(f"{place(block)} {percent(best['value'])} % ({best['label']})")
    if not parts:
        return []
    return [f"What can be reached without any network: {'; '.join(parts)}."]


def _places(blocks: list[dict[str, Any]], chosen: Callable[[dict[str, Any]], bool]) -> str:
    found = [place(block) for block in blocks if chosen(block)]
    return "all tests" if 1 < len(found) == len(blocks) else "; ".join(found)
