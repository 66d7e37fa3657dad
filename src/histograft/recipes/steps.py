"""Steps of a recipe: a verb with its configuration, runnable and printable as a command."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histograft.core.artefact import Artefact
from histograft.core.reporter import Reporter


class Recipe:
    """Runs verbs one after another and keeps their commands.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the run.
    reporter : Reporter
        Whom to tell.

    Attributes
    ----------
    commands : list of str
        The command of each step, in order, to be run in the folder of the run.
    """

    def __init__(self, folder: Path, reporter: Reporter) -> None:
        self.folder = folder.resolve()
        self.reporter = reporter
        self.commands: list[str] = []

    def run(self, work: Callable[[Any, Reporter], Artefact], config: Any) -> Artefact:
        """Run a verb; one whose artefact is finished returns at once."""
        self.commands.append(command_line(work.__name__, config, self.folder))
        return work(config, self.reporter)


def command_line(verb: str, config: Any, folder: Path) -> str:
    """Write a verb's configuration as a command, without fields at their defaults.

    Paths inside the run's folder are written relative to it; of others only the last part is
    written, because reports travel and must not tell where a user keeps what.

    Parameters
    ----------
    verb : str
        Name of the verb, or of the recipe (``run ftx``).
    config : dataclass
        Its configuration.
    folder : pathlib.Path
        Folder of the run.

    Examples
    --------
    >>> from histograft.verbs.compare import Compare
    >>> compare = Compare(predictions=(Path("run/a"), Path("elsewhere/b")), out=Path("run/c"))
    >>> command_line("compare", compare, Path("run"))
    'histograft compare --predictions a b --out c'
    """
    words = ["histograft", *verb.split()]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            values = value if isinstance(value, tuple) else (value,)
            words += [flag, *(_shown(v, folder) for v in values)]
    return shlex.join(words)


def _shown(value: Any, folder: Path) -> str:
    if isinstance(value, str) and "/" in value and Path(value).exists():
        value = Path(value)
    if not isinstance(value, Path):
        return str(value)
    whole, base = value.resolve(), folder.resolve()
    return str(whole.relative_to(base)) if whole.is_relative_to(base) else whole.name
