"""Print the catalogue of public data sets."""

from __future__ import annotations

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
            "unknown" if entry.mpp is None else f"{entry.mpp:g}",
            "known" if entry.group_known else "unknown",
            entry.license,
        ]
        for entry in ENTRIES.values()
    ]
    columns = ["name", "organ", "classes", "images", "µm/px", "patients", "license"]
    print_table("Public data sets (histograft catalogue NAME prints one)", columns, rows)


def print_entry(name: str) -> None:
    """Print everything that is known of one data set."""
    STDOUT.print(find_entry(name).describe())
