"""Told to end by the system: a scheduler at its time limit, or a shutdown."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """SIGTERM has come. Like an interrupt it is no error, and unfinished work stays to resume."""


@contextmanager
def heard_sigterm() -> Iterator[None]:
    """Raise `Terminated` in the block where SIGTERM comes.

    Without it the process ends at once and in silence: locks are given back by the system, but
    half-written files stay for the next run to remove, and nobody is told that it can resume.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not in the main thread, which alone hears signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
