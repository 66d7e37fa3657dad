"""The command line, called in this process."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from histograft.cli import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def run_command(*words: object) -> Outcome:
    """Run a command."""
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as leaving:
            code = leaving.code
    assert code is None or isinstance(code, int)
    return Outcome(code or 0, out.getvalue(), err.getvalue())


def run_successfully(*words: object) -> Outcome:
    """Run a command that must succeed."""
    outcome = run_command(*words)
    assert outcome.code == 0, outcome.err
    return outcome
