"""`histograft doctor`: one table of what a run over slides will meet."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from histograft.cli.terminal import STDERR, STDOUT, TerminalReporter
from histograft.core.reporter import counted
from histograft.verbs.doctor import Diagnosis, Doctor, doctor

# Two lines a slide, so that the table fits into a terminal of 80 columns.
COLUMNS = (
    "slide\n  reader", "size (px)\nlevels", "µm/px\nfrom", "tissue\ntiles", "time\ndisk", "state",
)  # fmt: skip
ABSENT = "–"
# A row of the table fits into the width of a file, which has none of its own.
FILE_WIDTH = 200


def print_diagnoses(config: Doctor) -> int:
    """Print the table, what is wrong or strange, and what a run will cost; return the exit code."""
    found = doctor(config, TerminalReporter())
    width = None if STDOUT.is_terminal else FILE_WIDTH
    console = Console(file=STDOUT.file, highlight=False, width=width)
    console.print(_table(found, config))
    for diagnosis in found:
        name = escape(diagnosis.slide_id)
        for text in diagnosis.problems:
            STDERR.print(f"[bold red]{name}[/bold red]: {escape(text)}")
        for text in diagnosis.remarks:
            STDERR.print(f"[yellow]{name}[/yellow]: {escape(text)}")
    STDERR.print(_sum(found, config))
    return 1 if any(d.problems for d in found) else 0


def _table(found: list[Diagnosis], config: Doctor) -> Table:
    table = Table(box=SIMPLE_HEAD, title="slides", title_justify="left", title_style="bold")
    for index, name in enumerate(COLUMNS):
        table.add_column(escape(name), no_wrap=index > 0, overflow="fold")
    for diagnosis in found:
        table.add_row(*map(escape, _row(diagnosis, config)))
    return table


def _row(diagnosis: Diagnosis, config: Doctor) -> list[str]:
    look, plan = diagnosis.look, diagnosis.plan
    row = [f"{diagnosis.slide_id}\n  {look.reader or ABSENT}"]
    width, height = look.sizes[0] if look.sizes else (0, 0)
    size = f"{width:,}×{height:,}\n{counted(len(look.sizes), 'level')}"
    row += [size if look.sizes else ABSENT, f"{look.mpp or ABSENT}\n{look.mpp_source}"]
    if plan is None:
        return [*row, ABSENT, ABSENT, diagnosis.state]
    seconds = diagnosis.seconds(config.tiles_per_second)
    return [
        *row,
        f"{plan.tissue_mm2:.1f} mm²\n{counted(diagnosis.n_tiles, 'tile')}",
        f"{_duration(seconds)}\n{_size(diagnosis.disk_bytes(config.n_features))}",
        diagnosis.state,
    ]


def _sum(found: list[Diagnosis], config: Doctor) -> str:
    """Say how many slides can be used, and what they will cost."""
    states = [d.state for d in found]
    usable = len(found) - states.count("problem") - states.count("no tissue")
    left_out = [
        f"{states.count(word)} {text}" for word, text in _LEFT_OUT.items() if word in states
    ]
    rate = config.tiles_per_second
    return (
        f"{usable} of {counted(len(found), 'slide')} can be used"
        + (f" ({', '.join(left_out)})" if left_out else "")
        + f": {counted(sum(d.n_tiles for d in found), 'tile')}, about "
        f"{_duration(sum(d.seconds(rate) for d in found))} at {rate:g} tiles/s, "
        f"{_size(sum(d.disk_bytes(config.n_features) for d in found))} of features"
    )


_LEFT_OUT = {"problem": "cannot", "no tissue": "without tissue"}


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
