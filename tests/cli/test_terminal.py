"""What a terminal and a log show of long work."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from histograft.cli import terminal
from histograft.cli.terminal import TerminalReporter


@pytest.fixture
def shown(monkeypatch):
    """Make a console of a width; the text that it shows."""

    def make(width, *, is_terminal):
        text = io.StringIO()
        console = Console(file=text, width=width, force_terminal=is_terminal, color_system=None)
        monkeypatch.setattr(terminal, "STDERR", console)
        return text

    return make


@pytest.mark.parametrize("width", [60, 80, 120])
def test_count_and_time_left_are_never_cut(shown, width):
    text = shown(width, is_terminal=True)
    with TerminalReporter().task("tuning Part A, Part B frozen", 1200) as task:
        task.advance(1200, "epoch 12/60, loss 0.123, 45 patches/s")
    last = text.getvalue().split("\r")[-1]
    assert "1200/1200" in last
    assert "left 0:00:00" in last


def test_a_log_is_told_every_minute(shown, monkeypatch):
    text = shown(80, is_terminal=False)
    clock = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: clock[0])
    with TerminalReporter().task("tuning", 100) as task:
        for done in range(10):
            clock[0] = 30.0 * (done + 1)
            task.advance(10, f"epoch {done + 1}")
    lines = text.getvalue().splitlines()
    assert lines[0] == "tuning: 20 of 100, about 4 min left (epoch 2)"
    assert len(lines) == 6  # after each second step of ten, and the end
    assert lines[-1] == "tuning: 100 done in 300.0 s"
