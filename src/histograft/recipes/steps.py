"""Steps of a recipe: a verb with its configuration, runnable and printable as a command."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histograft.core.artefact import Artefact, is_artefact, open_artefact
from histograft.core.reporter import Reporter


class Recipe:
    """Runs verbs one after another and keeps their commands.

    Parameters
    ----------
    reporter : Reporter
        Whom to tell.

    Attributes
    ----------
    commands : list of str
        The command of each step, in order; each can be run by itself.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.commands: list[str] = []

    def run(self, work: Callable[[Any, Reporter], Artefact], config: Any) -> Artefact:
        """Run a verb; one whose artefact is finished returns at once."""
        self.commands.append(command_line(work.__name__, config))
        return work(config, self.reporter)


def command_line(verb: str, config: Any) -> str:
    """Write a verb's configuration as a command, without fields at their defaults.

    Examples
    --------
    >>> from histograft.verbs.compare import Compare
    >>> command_line("compare", Compare(predictions=(Path("a"), Path("b")), out=Path("c")))
    'histograft compare --predictions a b --out c'
    """
    words = ["histograft", verb]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, tuple):
            words += [flag, *map(str, value)]
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def finished(path: Path) -> Artefact | None:
    """Return the artefact in a folder, None where there is none."""
    return open_artefact(path) if is_artefact(path) else None
