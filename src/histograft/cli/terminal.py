"""What a person sees in the terminal: progress with time left, remarks, warnings, errors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from histograft.core.errors import HistograftError
from histograft.core.reporter import Task

STDOUT = Console(highlight=False, soft_wrap=True)
STDERR = Console(stderr=True, highlight=False, soft_wrap=True)


# Without a terminal (a log file, a scheduler) long work says where it is so often.
SECONDS_BETWEEN_LINES = 60.0
# Columns from which a line has room for a longer bar and for the time that has passed.
WIDE = 100


class _LoggedTask:
    """Tells a log every minute how far long work is, and how long the rest will take."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._begun = self._told = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN_LINES or not self._done:
            return
        self._told = now
        left = (now - self._begun) * (self._total - self._done) / self._done
        text = f"{self._title}: {self._done} of {self._total}, about {left / 60:.0f} min left"
        STDERR.print(escape(f"{text} ({note})" if note else text))

    def finish(self) -> None:
        seconds = time.monotonic() - self._begun
        STDERR.print(f"{escape(self._title)}: {self._total} done in {seconds:.1f} s")


class _TerminalTask:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=steps, note=escape(note))


class TerminalReporter:
    """Tells a person at a terminal; progress goes to standard error."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        """Show a progress bar with the time left; without a terminal, a line a minute."""
        if not STDERR.is_terminal:
            logged = _LoggedTask(title, total)
            yield logged
            logged.finish()
            return
        progress = Progress(*_columns(title, total), console=STDERR)
        with progress:
            task = progress.add_task(escape(title), total=total, note="")
            yield _TerminalTask(progress, task)

    def note(self, text: str) -> None:
        """Print a remark."""
        STDERR.print(escape(text))

    def warn(self, text: str) -> None:
        """Print a warning."""
        STDERR.print(f"[yellow]warning:[/yellow] {escape(text)}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; what can be piped on is only a command's last line, so not there."""
        print_table(title, columns, rows, STDERR)


def _columns(title: str, total: int) -> list[ProgressColumn]:
    """Share the width of the terminal: count and time left are never cut, words may be."""
    bar = 24 if STDERR.width >= WIDE else 10
    room = STDERR.width - bar - (2 * len(str(total)) + 1) - len("left 0:00:00") - 6
    elapsed: list[ProgressColumn] = []
    if STDERR.width >= WIDE:
        elapsed, room = [TimeElapsedColumn()], room - len("0:00:00 ")
    words = min(len(title), max(12, room // 2))
    cut: dict[str, Any] = {"no_wrap": True, "overflow": "ellipsis"}
    return [
        TextColumn("[bold]{task.description}", table_column=Column(max_width=words, **cut)),
        BarColumn(bar_width=bar),
        MofNCompleteColumn(),
        *elapsed,
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn(
            "[dim]{task.fields[note]}",
            table_column=Column(max_width=max(8, room - words), **cut),
        ),
    ]


def print_error(error: HistograftError) -> None:
    """Print what is wrong and what to do."""
    STDERR.print(f"[bold red]error:[/bold red] {escape(error.problem)}")
    if error.fix:
        STDERR.print(f"[bold]to fix it:[/bold] {escape(error.fix)}")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    console: Console = STDOUT,
) -> None:
    """Print a table of texts; columns of numbers are aligned right."""
    table = Table(title=escape(title), title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(row[index][:1] in "0123456789-–+−<" for row in rows)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
