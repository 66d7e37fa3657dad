"""Print the catalogue of public data sets, and import sets that are no image files."""

from __future__ import annotations

from pathlib import Path

from histograft.catalogue.entry import Entry
from histograft.catalogue.histokt import describe_use
from histograft.catalogue.registry import ENTRIES, find_entry
from histograft.cli.terminal import STDOUT, TerminalReporter, print_table


def print_catalogue() -> None:
    """Print one line for each data set."""
    rows = [
        [
            entry.name,
            entry.organ,
            str(len(entry.classes)),
            "unknown" if entry.expected_total is None else f"{entry.expected_total:,}",
            _scale(entry),
            "known" if entry.group_known else "unknown",
        ]
        for entry in ENTRIES.values()
    ]
    columns = ["name", "organ", "classes", "images", "µm/px", "groups"]
    print_table("Public data sets (histograft catalogue NAME prints one)", columns, rows)


def print_entry(name: str) -> None:
    """Print everything that is known of one data set."""
    entry = find_entry(name)
    parts = (entry.describe(), describe_use(entry.name))
    STDOUT.print("\n\n".join(part for part in parts if part), markup=False)


def run_import(
    name: str, folder: Path, out: Path, *, per_class: tuple[str, ...], seed: int
) -> None:
    """Import a data set and print where its samples.csv is."""
    from histograft.verbs.annotating import parse_limits
    from histograft.verbs.import_arrays import import_arrays

    limits = parse_limits(per_class)
    samples = import_arrays(
        find_entry(name), folder, out, per_class=limits, seed=seed, reporter=TerminalReporter()
    )
    STDOUT.print(str(samples), markup=False)


def _scale(entry: Entry) -> str:
    if entry.mpp is not None:
        return f"{entry.mpp:g}"
    return "varies" if entry.mpp_by_magnification else "unknown"
