"""Draw figures and one report page from any finished artefacts."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from histograft.core.artefact import Artefact, Identity, claim, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.executor import open_threads
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.report_answer import counted, default_title, verdict
from histograft.verbs.report_material import Material
from histograft.verbs.report_protocol import protocol, words
from histograft.verbs.report_sections import Sketch, sections
from histograft.verbs.report_words import all_words

if TYPE_CHECKING:
    from histograft.figures.page import Section

VERSION = 3
PAGE = "index.html"
# Longer commands are broken into lines before a flag.
LINE = 76
COMMANDS = (
    "The first line does it all, the others its steps one by one. They work in the folder where "
    "this was run; of what lay elsewhere only the name is given, so that no report tells where "
    "somebody keeps what."
)


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Draw figures and a report page from finished artefacts.

    Attributes
    ----------
    inputs : tuple of Path
        Artefacts of any kind: tables of `compare`, features, patches, networks. What is given
        is drawn.
    out : Path
        Folder of the report artefact; new or empty.
    title : str
        Heading of the page; by default the question that what is given answers.
    models : tuple of str
        Models in the per-class figure, the confusion matrices and the maps of features.
    notices : tuple of str
        What a reader must know before believing a number; set on top of the page.
    commands : tuple of str
        Commands that made the results, to be printed on the page; the same work has the same
        report wherever it was run.
    seed : int
        Seed of the maps and of the choice of sample patches.
    """

    inputs: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    title: str = ""
    models: tuple[str, ...] = ("imgnet-gap", "ftx-dense")
    notices: tuple[str, ...] = ()
    commands: Annotated[tuple[str, ...], Role.EXECUTION] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(self.seed, 0, "seed")


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "recommended": {}}


def draw(config: Draw, reporter: Reporter = SILENT) -> Artefact:
    """Make a report artefact with figures and a page.

    Parameters
    ----------
    config : Draw
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``report``, with ``index.html``, ``figures/`` (PNG and SVG) and, where tables of
        a comparison are given, their CSV files.

    Raises
    ------
    InputError
        Nothing that is given can be drawn.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    material = Material.of([open_artefact(path) for path in config.inputs])
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    inputs = tuple(artefact.as_input(artefact.kind) for artefact in material.all)
    draft = claim(config.out, Identity("report", "draw", VERSION, settings, inputs, config.seed))
    if isinstance(draft, Artefact):
        reporter.note(f"the report is there already ({draft.path.name}/{PAGE})")
        return draft
    with draft:
        with open_threads(1):  # maps of features are small, too
            sketch = Sketch(draft, config.models, config.seed)
            made = sections(material, sketch, reporter)
        if not made:
            raise InputError(
                "nothing that is given can be drawn",
                "give the tables of `histograft compare`, features, patches or networks",
            )
        page, sentence = _page(config, material, made)
        draft.write_text(PAGE, page)
        if material.compared is not None:
            reporter.note(f"{sentence} The whole answer with its figures: {draft.path.name}/{PAGE}")
        title = config.title or default_title(material)
        return draft.finish({"title": title}, fields_with_role(config, Role.EXECUTION))


def _page(config: Draw, material: Material, made: list[Section]) -> tuple[str, str]:
    """Return the page, and its answer in a sentence."""
    from histograft.figures.page import Page, Section, render_page

    sentence = counted(material)
    answers: tuple[str, ...] = ()
    facts: dict[str, str] = {}
    if material.compared is not None:
        sentence, answers = verdict(material.compared)
        facts = protocol(material.compared)
        said = " ".join([sentence, *answers, *facts, *facts.values(), all_words(made)])
        if terms := words(material.compared, said):
            made = [*made, Section("Words", terms=terms)]
    if config.commands:
        commands = "\n".join(broken(command) for command in config.commands)
        made = [*made, Section("Commands", text=(COMMANDS,), code=(commands,))]
    page = render_page(
        Page(
            config.title or default_title(material),
            sentence,
            answers,
            (*config.notices, *_notices([a.facts for a in material.patches])),
            tuple(made),
            facts,
            _ids(material.all),
        )
    )
    return page, sentence


def broken(command: str) -> str:
    r"""Break a command into lines that a shell still takes for one.

    Parameters
    ----------
    command : str
        A command as a shell reads it.

    Returns
    -------
    str
        Lines that end in a backslash before flags, where it is longer than 76 letters.

    Examples
    --------
    >>> print(broken("histograft train --patches " + 30 * "p" + " --out " + 30 * "o"))
    histograft train --patches pppppppppppppppppppppppppppppp \
        --out oooooooooooooooooooooooooooooo
    """
    if len(command) <= LINE:
        return command
    lines: list[str] = []
    for piece in _flags_with_values(command):
        if not lines:
            lines.append(piece)
        elif len(lines[-1].rpartition("\n")[2]) + len(piece.partition("\n")[0]) + 3 <= LINE:
            lines[-1] += f" {piece}"
        else:
            lines.append(f"    {piece}")
    return " \\\n".join(lines)


def _flags_with_values(command: str) -> list[str]:
    """Split before all flags but the first; more values than a line holds go on in the next."""
    pieces = [""]
    for word in shlex.split(command):
        quoted = shlex.quote(word)
        if word.startswith("--") and " --" in pieces[0]:
            pieces.append(quoted)
        elif not pieces[-1]:
            pieces[-1] = quoted
        elif len(pieces[-1].rpartition("\n")[2]) + len(quoted) + 8 > LINE:
            pieces[-1] += f" \\\n        {quoted}"
        else:
            pieces[-1] += f" {quoted}"
    return pieces


def _notices(facts: list[dict[str, Any]]) -> tuple[str, ...]:
    """Say what a reader must know about the scale of the images."""
    unknown = [f["dataset"] for f in facts if f["n_mpp_unknown"]]
    enlarged = [f["dataset"] for f in facts if f["n_upsampled"]]
    lines = []
    if unknown:
        lines.append(
            f"No µm/px is known for {', '.join(unknown)}: their pixels were kept as they are, "
            "so these sets are not at the common scale."
        )
    if enlarged:
        lines.append(
            f"Images of {', '.join(enlarged)} are coarser than the target scale and were enlarged."
        )
    return tuple(lines)


def _ids(artefacts: list[Artefact]) -> dict[str, str]:
    """Name each artefact, features by their data set too, and give the head of its id."""
    ids = {}
    for artefact in artefacts:
        name = artefact.path.resolve().name
        dataset = artefact.facts.get("dataset", name)
        called = artefact.kind if name == artefact.kind else f"{artefact.kind} {name}"
        ids[called + (f" of {dataset}" if dataset != name else "")] = artefact.id
    return {name: full[:16] for name, full in ids.items()}
