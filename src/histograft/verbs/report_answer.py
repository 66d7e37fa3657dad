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
# A shortcut within so much of a network, or within its interval, is as good for what is asked.
NEARLY = 0.02
NO_P = p_phrase(None)
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
    n_tests = int(compared.comparisons["p_adjusted"].notna().sum())
    in_all = f" of {len(rows)} tests" if len(rows) > 1 else " test"
    counts: list[str] = []
    for reading in ("more accurate", "less accurate", "no difference shown"):
        if n := found.count(reading):
            counts.append(f"{reading} in {n}{'' if counts else in_all}")
    lines = tuple(
        " ".join([_line(row, n_tests), *_beaten(row, compared), *_carries(row, rows, compared)])
        for row in rows
    )
    unknown = _unknown_patients(compared.blocks)
    sentence = f"{tuned} against {compared.baseline}: {', '.join(counts)}."
    return sentence, (*lines, *unknown, *molecules)


def _tuned_rows(compared: Compared) -> list[dict[str, Any]]:
    results = compared.results
    return records(
        results[
            (results["model"] == TUNED)
            & (results["metric"] == "accuracy")
            & results["difference"].notna()
        ]
    )


def _is_clear(row: dict[str, Any]) -> bool:
    return bool(row["difference_low"] * row["difference_high"] > 0)


def _reading(row: dict[str, Any]) -> str:
    if not (_is_clear(row) and row["p_adjusted"] < SIGNIFICANT):
        return "no difference shown"
    return "more accurate" if row["difference"] > 0 else "less accurate"


def _line(row: dict[str, Any], n_tests: int) -> str:
    p = p_phrase(row["p_adjusted"])
    if p != NO_P:
        p += f" after Holm's correction over {n_tests} tests" if n_tests > 1 else ""
    told = (
        f"{place(row)}: {_reading(row)}. {percent(row['value'])} % against "
        f"{percent(row['value'] - row['difference'])} %, {points(row['difference'])} points "
        f"(95 % interval {points_range(row['difference_low'], row['difference_high'])}; {p})."
    )
    if _is_clear(row) and _reading(row) == "no difference shown":
        told += " The interval leaves out 0, but is not corrected for several tests; p is."
    return told


def _beaten(row: dict[str, Any], compared: Compared) -> list[str]:
    """Where a baseline without any network is as good as the tuned one, or nearly."""
    best = compared.best_shortcut(row["dataset"], row["protocol"])
    if best is None or best["value"] < min(row["ci_low"], row["value"] - NEARLY):
        return []
    how = "reaches" if best["value"] >= row["value"] else "comes near with"
    return [
        f"But the {best['label']} alone {how} {percent(best['value'])} %, without any network: "
        "this set does not show that anything of histology was carried over."
    ]


def _carries(row: dict[str, Any], rows: list[dict[str, Any]], compared: Compared) -> list[str]:
    """Where cross-validation is far above rows held out or another set, and what that means."""
    if row["protocol"] != "cv":
        return []
    blocks = {(block["dataset"], block["protocol"]): block for block in compared.blocks}
    told = []
    for other in rows:
        here = other["dataset"] == row["dataset"] and other["protocol"] != "cv"
        if not here or row["ci_low"] <= other["ci_high"]:
            continue
        if other["protocol"] == "external":
            fit_on = blocks[other["dataset"], "external"]["fit_on"]
            told.append(
                f"Fitted on {fit_on} instead, {percent(other['value'])} % are reached: not all of "
                "it carries over from there."
            )
            continue
        grouped = blocks[row["dataset"], "cv"]["grouped"]
        why = "" if grouped else ": its folds probably share patients, so trust those rows"
        told.append(f"It is far above the held-out rows ({percent(other['value'])} %){why}.")
    return told


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
    lines = []
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
    def unknown(*protocols: str) -> Callable[[dict[str, Any]], bool]:
        return lambda block: (
            block["protocol"] in protocols and block["groups_known"] < 1 and not block["no_groups"]
        )

    lines = []
    if names := _places(blocks, unknown("cv")):
        lines.append(
            f"Not all patients are known in {names}: patches of one can be in several folds, "
            "so accuracies are optimistic, intervals too short and p values too small."
        )
    if names := _places(blocks, unknown("external", "held-out")):
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
