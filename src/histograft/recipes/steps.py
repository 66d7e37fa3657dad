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
        The command of each step, in order, to be run where the recipe was run.
    """

    def __init__(self, folder: Path, reporter: Reporter) -> None:
        self.folder = folder.resolve()
        self.reporter = reporter
        self.commands: list[str] = []

    def run(self, work: Callable[[Any, Reporter], Artefact], config: Any) -> Artefact:
        """Run a verb; one whose artefact is finished returns at once."""
        self.commands.append(command_line(work.__name__, config, self.folder))
        return work(config, self.reporter)


def command_line(verb: str, config: Any, folder: Path | None) -> str:
    """Write a verb's configuration as a command, without fields at their defaults.

    Commands work where the recipe was run: paths below the present folder are written relative
    to it, others as the user wrote them if that was relative. Reports travel and must not tell
    where a user keeps what, so of other absolute paths only the last part is written, and of those
    in the run's folder what follows its name.

    Parameters
    ----------
    verb : str
        Name of the verb, or of the recipe (``run ftx``).
    config : dataclass
        Its configuration.
    folder : pathlib.Path or None
        Folder of the run; None writes all paths as they are, for a shell on this machine.

    Examples
    --------
    >>> from histograft.verbs.compare import Compare
    >>> compare = Compare(predictions=(Path("run/a"), Path("elsewhere/b")), out=Path("run/c"))
    >>> command_line("compare", compare, Path("run"))
    'histograft compare --predictions run/a elsewhere/b --out run/c'
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


def _shown(value: Any, folder: Path | None) -> str:
    if isinstance(value, str) and "/" in value and Path(value).exists():
        value = Path(value)
    if folder is None or not isinstance(value, Path):
        return str(value)
    whole, base = value.resolve(), folder.resolve()
    if whole.is_relative_to(Path.cwd()):
        return str(whole.relative_to(Path.cwd()))
    if not value.is_absolute():
        return str(value)
    return str(whole.relative_to(base.parent)) if whole.is_relative_to(base) else whole.name
