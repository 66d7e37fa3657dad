"""`histograft doctor`: one table of what a run over slides will meet."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from histograft.cli.terminal import STDERR, STDOUT, TerminalReporter, print_table
from histograft.verbs.doctor import Diagnosis, Doctor, doctor

COLUMNS = [
    "slide", "reader", "size (px)", "levels", "µm/px", "from", "tissue mm²", "tiles", "time",
    "MB", "state",
]  # fmt: skip
# A row of the table fits into one line of a file, which has no width of its own.
FILE_WIDTH = 200


def print_diagnoses(config: Doctor) -> int:
    """Print the table, what is wrong or strange, and what a run will cost; return the exit code."""
    found = doctor(config, TerminalReporter())
    width = None if STDOUT.is_terminal else FILE_WIDTH
    console = Console(file=STDOUT.file, highlight=False, soft_wrap=True, width=width)
    print_table("slides", COLUMNS, [_row(d, config) for d in found], console)
    for diagnosis in found:
        name = escape(diagnosis.slide_id)
        for text in diagnosis.problems:
            STDERR.print(f"[bold red]{name}[/bold red]: {escape(text)}")
        for text in diagnosis.remarks:
            STDERR.print(f"[yellow]{name}[/yellow]: {escape(text)}")
    bad = sum(bool(d.problems) for d in found)
    rate = config.tiles_per_second
    STDERR.print(
        f"{len(found) - bad} of {len(found)} slides can be used: "
        f"{sum(d.n_tiles for d in found):,} tiles, about "
        f"{_duration(sum(d.seconds(rate) for d in found))} at {rate:g} tiles/s, "
        f"{sum(d.disk_bytes(config.n_features) for d in found) / 1e9:.2g} GB of features"
    )
    return 1 if bad else 0


def _row(diagnosis: Diagnosis, config: Doctor) -> list[str]:
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
        _duration(diagnosis.seconds(config.tiles_per_second)),
        f"{diagnosis.disk_bytes(config.n_features) / 1e6:.1f}",
        "look" if diagnosis.remarks else "good",
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
