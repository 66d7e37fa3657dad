"""What a person needs while a long recipe runs; everything else goes into a file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from histograft.core.reporter import Reporter, Task


class BriefReporter:
    r"""Passes progress and warnings on; remarks and tables are written into a file alone.

    Parameters
    ----------
    reporter : Reporter
        Whom to tell.
    log : pathlib.Path
        Text file that takes everything but progress; it is added to, and its folder is made.

    Examples
    --------
    >>> import tempfile
    >>> from histograft.core.reporter import SILENT
    >>> log = Path(tempfile.mkdtemp()) / "log.txt"
    >>> brief = BriefReporter(SILENT, log)
    >>> brief.note("2 slides")
    >>> brief.table("slides", ["slide", "tiles"], [["a", "9"], ["b", "4"]])
    >>> print(log.read_text().replace("\t", " "))
    2 slides
    slides
    slide tiles
    a 9
    b 4
    <BLANKLINE>
    """

    def __init__(self, reporter: Reporter, log: Path) -> None:
        self._reporter, self._log = reporter, log

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        """Begin a piece of long work with `total` steps."""
        return self._reporter.task(title, total)

    def note(self, text: str) -> None:
        """Write a remark down."""
        self._write(text)

    def warn(self, text: str) -> None:
        """Say what a careful user must know, and write it down."""
        self._write(f"warning: {text}")
        self._reporter.warn(text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a table down, with tabs between its columns."""
        self._write(title, *("\t".join(row) for row in (columns, *rows)))

    def _write(self, *lines: str) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
