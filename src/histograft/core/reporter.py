"""How a verb speaks to people while it works, without knowing the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    Parameters
    ----------
    number : int
        How many.
    noun : str
        One of them; its plural takes an s.

    Returns
    -------
    str

    Examples
    --------
    >>> counted(1, "slide"), counted(0, "tile"), counted(1200, "patient")
    ('1 slide', '0 tiles', '1,200 patients')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(names: Iterable[str], most: int = 3) -> str:
    """Write the first of some names, and how many more there are.

    Parameters
    ----------
    names : iterable of str
        All of them, in the order to be shown.
    most : int
        How many are written.

    Returns
    -------
    str

    Examples
    --------
    >>> listed(["a", "b"]), listed("abcde")
    ('a, b', 'a, b, c and 2 more')
    """
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


class Task(Protocol):
    """A piece of long work with a known number of steps."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Say that `steps` more are done; `note` is a short current value, such as a loss."""


class Reporter(Protocol):
    """What a verb tells: steps of long work, remarks, and warnings that the report repeats."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        """Begin a piece of long work with `total` steps."""

    def note(self, text: str) -> None:
        """Say what was found or decided."""

    def warn(self, text: str) -> None:
        """Say what a careful user must know."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table of texts."""


class SilentReporter:
    """Says nothing; the default of the Python interface."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Do nothing."""

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[SilentReporter]:  # noqa: ARG002
        """Give a task that says nothing."""
        yield self

    def note(self, text: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Do nothing."""


SILENT = SilentReporter()
