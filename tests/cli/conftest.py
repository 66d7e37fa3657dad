"""A command line that is called in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from command_line import Outcome, run_command


@pytest.fixture
def command() -> Callable[..., Outcome]:
    """Return a function that runs a command in this process."""
    return run_command
