"""Errors that a user can act on."""

from __future__ import annotations


class HistograftError(Exception):
    """Something that the user can mend.

    Parameters
    ----------
    problem : str
        What is wrong, naming the file, column or option.
    fix : str, optional
        What to do next.

    Examples
    --------
    >>> str(HistograftError("a.csv has no column 'file'", "name the column of the paths 'file'"))
    "a.csv has no column 'file'. To fix it: name the column of the paths 'file'."
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = problem.rstrip(".")
        self.fix = fix.rstrip(".")
        super().__init__(self.problem, self.fix)

    def __str__(self) -> str:
        return f"{self.problem}. To fix it: {self.fix}." if self.fix else f"{self.problem}."


class InputError(HistograftError):
    """A table, image, option or weights file cannot be used as it is."""


class ImageError(InputError):
    """An image cannot be used; `reason` is a short machine-readable word.

    Parameters
    ----------
    reason : str
        One word for reject logs, such as ``"truncated"``.
    problem, fix : str
        As in `HistograftError`.
    """

    def __init__(self, reason: str, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.reason = reason
        self.args = (reason, self.problem, self.fix)


class DivergedError(HistograftError):
    """Training came to numbers that are not finite: a result, which a table can record.

    Parameters
    ----------
    lr : float
        Learning rate of the epoch.
    epoch : int
        The epoch, from 1.
    problem, fix : str
        As in `HistograftError`.
    """

    def __init__(self, lr: float, epoch: int, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.lr, self.epoch = lr, epoch
        self.args = (lr, epoch, self.problem, self.fix)


class ArtefactError(HistograftError):
    """A folder is not the artefact it should be, or not in the state it should be."""


class InUseError(ArtefactError):
    """Another process is at work in the folder."""
