"""`histograft doctor`: one table of what a run over slides will meet."""

from __future__ import annotations

from histograft.cli.terminal import STDERR, TerminalReporter, print_table
from histograft.verbs.doctor import Diagnosis, Doctor, disk_bytes, doctor


def print_diagnoses(config: Doctor) -> int:
    """Print the table, what is wrong or strange, and what a run will cost; return the exit code."""
    found = doctor(config, TerminalReporter())
    print_table("slides", COLUMNS, [_row(d) for d in found])
    for diagnosis in found:
        for text in diagnosis.problems:
            STDERR.print(f"[bold red]{diagnosis.slide_id}[/bold red]: {text}")
        for text in diagnosis.remarks:
            STDERR.print(f"[yellow]{diagnosis.slide_id}[/yellow]: {text}")
    bad = sum(bool(d.problems) for d in found)
    n_tiles = sum(d.n_tiles for d in found)
    rate = config.tiles_per_second
    seconds = sum(max(d.read_seconds, d.n_tiles / rate) for d in found)
    STDERR.print(
        f"{len(found) - bad} of {len(found)} slides can be used: {n_tiles:,} tiles, about "
        f"{_duration(seconds)} at {rate:g} tiles/s, "
        f"{disk_bytes(found, config.n_features) / 1e9:.2g} GB of features"
    )
    return 1 if bad else 0


COLUMNS = [
    "slide", "reader", "size (px)", "levels", "µm/px", "from", "tissue mm²", "tiles", "read",
    "state",
]  # fmt: skip


def _row(diagnosis: Diagnosis) -> list[str]:
    plan = diagnosis.plan
    if plan is None:
        return [diagnosis.slide_id, *[""] * (len(COLUMNS) - 2), "problem"]
    width, height = plan.sizes[0]
    return [
        diagnosis.slide_id,
        f"{plan.reader} ({plan.vendor})",
        f"{width:,} x {height:,}",
        str(len(plan.sizes)),
        f"{plan.mpp0:.4g}",
        plan.mpp_source,
        f"{plan.tissue_mm2:.1f}",
        f"{diagnosis.n_tiles:,}",
        _duration(diagnosis.read_seconds),
        "look" if diagnosis.remarks else "good",
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
