"""What a person sees in the terminal: progress with time left, remarks, warnings, errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from histograft.core.errors import HistograftError

STDOUT = Console(highlight=False, soft_wrap=True)
STDERR = Console(stderr=True, highlight=False, soft_wrap=True)


class _TerminalTask:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=steps, note=escape(note))


class TerminalReporter:
    """Tells a person at a terminal; progress goes to standard error."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[_TerminalTask]:
        """Show a progress bar with the time left; without a terminal, one line at the end."""
        progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=STDERR,
            disable=not STDERR.is_terminal,
        )
        with progress:
            task = progress.add_task(escape(title), total=total, note="")
            yield _TerminalTask(progress, task)
        if not STDERR.is_terminal:
            elapsed = progress.tasks[0].finished_time or progress.tasks[0].elapsed or 0.0
            STDERR.print(f"{escape(title)}: {total} done in {elapsed:.1f} s")

    def note(self, text: str) -> None:
        """Print a remark."""
        STDERR.print(escape(text))

    def warn(self, text: str) -> None:
        """Print a warning."""
        STDERR.print(f"[yellow]warning:[/yellow] {escape(text)}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; what can be piped on is only a command's last line, so not there."""
        print_table(title, columns, rows, STDERR)


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
