"""A command line that is called in this process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from histograft.cli import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def command() -> Callable[..., Outcome]:
    """Return a function that runs a command in this process."""

    def run(*words: object) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        code: object = None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([str(word) for word in words])
            except SystemExit as leaving:
                code = leaving.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, out.getvalue(), err.getvalue())

    return run
