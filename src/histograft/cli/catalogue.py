"""Print the catalogue of public data sets."""

from __future__ import annotations

from histograft.catalogue.entry import Entry
from histograft.catalogue.registry import ENTRIES, find_entry
from histograft.cli.terminal import STDOUT, print_table


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
    STDOUT.print(find_entry(name).describe(), markup=False)


def _scale(entry: Entry) -> str:
    if entry.mpp is not None:
        return f"{entry.mpp:g}"
    return "varies" if entry.mpp_by_magnification else "unknown"
