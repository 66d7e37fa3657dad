"""The answer of a report, and what a reader must know before believing a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from histograft.figures.numerals import p_phrase, percent, percent_range, points, points_range
from histograft.verbs.comparison import SHORTCUT_PREFIX
from histograft.verbs.comparison_told import place, records
from histograft.verbs.report_material import Compared, Material
from histograft.verbs.report_molecular_answer import molecular_answers, molecular_sentence

TUNED = "ftx-dense"
SIGNIFICANT = 0.05
# A shortcut within so much of a network, or within its interval, is as good for what is asked.
NEARLY = 0.02
NO_P = p_phrase(None)
NO_COMPARISON = "No models are compared here."
ONLY_LISTED = "No tuned features are compared with others here; these are the accuracies."
TUNED_TITLE = "Do tuned features beat the ones they came from?"


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
        listed = _accuracies(compared)
        if molecules and not listed:
            return molecular_sentence(compared), molecules
        unknown = _unknown_patients(compared.blocks)
        return (ONLY_LISTED if listed else NO_COMPARISON), (*listed, *unknown, *molecules)
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


def default_title(material: Material) -> str:
    """Ask the question that a page of this material answers.

    Parameters
    ----------
    material : Material
        What is given.

    Returns
    -------
    str
        Heading of the page where nobody says another; of tuning only where it is compared.
    """
    compared = material.compared
    if compared is not None:
        tests = compared.all_comparisons
        if ((tests["model"] == TUNED) | (tests["compared_with"] == TUNED)).any():
            return TUNED_TITLE
        if not compared.results.empty:
            return "How accurate are these features?"
        if compared.has_molecules:
            return "What do features tell of the patients' molecules?"
    if material.slides:
        return "What is on the slides?"
    if material.networks:
        return "How were the networks trained?"
    return "What is in the data?"


def counted(material: Material) -> str:
    """Say in a sentence what a page shows that compares nothing."""
    counts = {"data set": len(material.patches), "network": len(material.networks)}
    if material.slides:
        facts = material.slides[0].facts
        counts = {"slide": int(facts["n_slides"]), "tile": int(facts["n_tiles"])} | counts
    told = [f"{n:,} {word}{'' if n == 1 else 's'}" for word, n in counts.items() if n]
    return f"Shown here: {', '.join(told)}. {NO_COMPARISON}" if told else NO_COMPARISON


def _accuracies(compared: Compared) -> tuple[str, ...]:
    """Tell the accuracies of all models but shortcuts, in a line for each test."""
    results = compared.results
    rows = results[
        (results["metric"] == "accuracy") & ~results["model"].str.startswith(SHORTCUT_PREFIX)
    ].drop_duplicates(["dataset", "protocol", "model"])
    lines: dict[str, list[str]] = {}
    for row in records(rows):
        interval = percent_range(row["ci_low"], row["ci_high"])
        told = f"{row['label']} {percent(row['value'])} % (95 % interval {interval})"
        lines.setdefault(place(row), []).append(told)
    return tuple(f"{where}: {'; '.join(told)}." for where, told in lines.items())


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
    if not _is_clear(row) or _reading(row) != "no difference shown":
        return told
    if row["p_value"] < SIGNIFICANT:
        return f"{told} The interval leaves out 0, but is not corrected for several tests; p is."
    return (
        f"{told} The interval leaves out 0, p of the test ({row['test']}) is not small even "
        f"uncorrected ({p_phrase(row['p_value'])}): they come from different methods, which can "
        "disagree near 0."
    )


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
