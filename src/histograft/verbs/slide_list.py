"""The list of embedded slides, written once all of them have an outcome."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from histograft.core.artefact import (
    Artefact,
    Draft,
    Identity,
    Input,
    claim,
    is_artefact,
    make_once,
    open_artefact,
)
from histograft.core.claims import has_failed, in_use
from histograft.core.errors import ArtefactError, InputError, InUseError
from histograft.core.files import explained_disk_errors, written_atomically
from histograft.core.layout import MANIFEST, UNFINISHED, list_files
from histograft.core.reporter import Reporter
from histograft.core.tables import SLIDE_INDEX, SLIDE_OUTCOMES

if TYPE_CHECKING:
    import pandas as pd

INDEX_FOLDER = "index"
INDEX = "slides.csv"
OUTCOMES = "outcomes.csv"
INDEX_VERSION = 1
ATTEMPTS, PAUSE_S = 50, 0.2  # to write the list, while other processes do the same


@dataclass(frozen=True)
class Outcome:
    """What became of one slide; a row of the outcome table.

    Attributes
    ----------
    slide_id : str
        Name of the slide.
    patient_id : str or None
        Its patient.
    status : {"done", "no tissue", "failed"}
        What became of it.
    reason : str
        Why it failed, or what a person should look at.
    facts : dict
        Facts of its artefact, empty without one.
    remedy : str
        What to do where it failed, if that is known.
    """

    slide_id: str
    patient_id: str | None
    status: str
    reason: str
    facts: dict[str, Any]
    remedy: str = ""

    @property
    def told(self) -> str:
        """Reason and remedy as people read them."""
        return str(InputError(self.reason, self.remedy)) if self.remedy else self.reason


def write_list(
    outcomes: list[Outcome],
    slides: list[Artefact],
    network: Input,
    out: Path,
    reporter: Reporter,
    *,
    keep_going: bool,
) -> Artefact:
    """Write the table of outcomes and the list of slides, or say that some failed.

    Parameters
    ----------
    outcomes : list of Outcome
        Of all slides.
    slides : list of Artefact
        Features of those that did not fail, in their order.
    network : Input
        What computed them.
    out : pathlib.Path
        Folder of all.
    reporter : Reporter
        Whom to tell.
    keep_going : bool
        Whether to go on without the slides that failed.

    Returns
    -------
    Artefact
        The list; an older one of fewer slides is replaced.

    Raises
    ------
    InputError
        Slides failed and `keep_going` is off, or none could be used. ``OUT/outcomes.csv`` is
        written before and says it of each slide.
    ArtefactError
        The folder holds something else, or cannot be written.
    """
    _write_outcomes(outcomes, out)
    failed = [o for o in outcomes if o.status == "failed"]
    if failed and (not keep_going or not slides):
        more = "the others are done" if slides else "no slide could be used"
        raise InputError(
            f"{len(failed)} of {len(outcomes)} slides failed, such as {failed[0].slide_id}: "
            f"{failed[0].told.rstrip('.')}; {more}; all outcomes are in {out / OUTCOMES}",
            "mend them or take them out and run the same command: finished slides are kept"
            + ("; or give --keep-going to go on without them" if slides else ""),
        )
    settings = {
        "failed": sorted(o.slide_id for o in failed),
        "patients": {o.slide_id: o.patient_id for o in outcomes},
    }
    inputs = (*(slide.as_input("slide") for slide in slides), network)
    identity = Identity("features", "embed", INDEX_VERSION, settings, inputs)
    _forget_failed(slides[0].path.parent)
    return publish_list(outcomes, slides, identity, out, reporter)


def publish_list(
    outcomes: Sequence[Outcome],
    slides: Sequence[Artefact],
    identity: Identity,
    out: Path,
    reporter: Reporter,
) -> Artefact:
    """Write the list of slides, whoever made them; an older one of fewer slides is replaced.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all slides.
    slides : sequence of Artefact
        Features of those that did not fail, at least one.
    identity : Identity
        What decides what is in the list.
    out : pathlib.Path
        Folder of all.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        The list, at ``OUT/index``.

    Raises
    ------
    ArtefactError
        The folder holds something else, or cannot be written.
    """

    def work(draft: Draft) -> Artefact:
        with draft.writing(INDEX) as path:
            _index_table(outcomes).to_csv(path, index=False)
        return draft.finish(_facts(outcomes, slides))

    folder = out / INDEX_FOLDER
    for _ in range(ATTEMPTS):
        try:
            _remove_older_list(folder, identity)
            return make_once(folder, identity, work, reporter)
        except (InUseError, FileNotFoundError):  # another process writes it, or removes an older
            sleep(PAUSE_S)
    raise in_use(folder)


def open_list(path: Path) -> Artefact:
    """Open the list of slides, given the folder of `embed` or the list itself.

    Raises
    ------
    InputError
        There is none.
    """
    if is_artefact(path / INDEX_FOLDER):
        return open_artefact(path / INDEX_FOLDER, "features")
    if is_artefact(path):
        listed = open_artefact(path, "features")
        if listed.facts.get("unit") == "tile" and INDEX in listed.files:
            return listed
        raise InputError(
            f"{path} holds features of a {listed.facts.get('unit', 'patch')}, not of slides",
            "give the folder that `histograft embed SLIDES.csv` wrote",
        )
    raise InputError(
        f"{path} holds no list of slides ({INDEX_FOLDER}/{INDEX})",
        "give the folder of a finished `histograft embed SLIDES.csv`",
    )


def read_list(listed: Artefact) -> pd.DataFrame:
    """Read the list of slides with the columns of `SLIDE_INDEX`."""
    import pandas as pd

    # Names stay as they are written: 001 is no 1, and NA may be a name.
    names = {"slide_id": str, "patient_id": str}
    table = pd.read_csv(listed.file(INDEX), dtype=names, keep_default_na=False, na_values=[""])
    return SLIDE_INDEX.check(table, f"{listed.path.name}/{INDEX}")


def open_listed(listed: Artefact, slide_id: str) -> Artefact:
    """Open the features of a slide of the list.

    Raises
    ------
    ArtefactError
        They are not there, or others than the list was written for.
    """
    from histograft.verbs.slide_embedding import slide_folder

    artefact = open_artefact(slide_folder(listed.path.parent, slide_id), "features")
    ids = {i["name"]: i["id"] for i in listed.manifest["inputs"] if i["role"] == "slide"}
    if ids.get(slide_id, artefact.id) != artefact.id:
        raise ArtefactError(
            f"{artefact.path} is not what the list of slides was written for",
            "run `histograft embed` again, which writes the list anew",
        )
    return artefact


def _forget_failed(folder: Path) -> None:
    """Remove what is left of slides that failed midway: the list says that they have no folder.

    Until the list is written it stays, for the slide may only have been out of reach.
    """
    for left in sorted(folder.glob(f"*/{UNFINISHED}")):
        # Another process is at it or was first, or the note is of another program.
        with suppress(ArtefactError, OSError, ValueError, LookupError, TypeError):
            note = json.loads(left.read_text(encoding="utf-8"))
            strange = set(list_files(left.parent)) - set(note.get("failed", ()))
            if has_failed(left.parent) and not strange:
                draft = claim(left.parent, Identity.from_json(note))
                if isinstance(draft, Draft):
                    with draft:
                        shutil.rmtree(left.parent)


def _write_outcomes(outcomes: Sequence[Outcome], out: Path) -> None:
    """Write what became of every slide, whole or not at all, whether or not a list follows."""
    import pandas as pd

    rows = [
        {
            "slide_id": o.slide_id,
            "status": o.status,
            "reason": o.reason or None,
            "remedy": o.remedy or None,
        }
        for o in outcomes
    ]
    table = SLIDE_OUTCOMES.check(pd.DataFrame(rows, dtype=object), OUTCOMES)
    path = out / OUTCOMES
    with explained_disk_errors(path):
        out.mkdir(parents=True, exist_ok=True)
        with written_atomically(path) as partial:
            table.to_csv(partial, index=False)


def _index_table(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "slide_id": o.slide_id,
            "patient_id": o.patient_id,
            "status": o.status,
            "reason": o.told or None,
            "n_tiles": o.facts.get("n_tiles", 0),
            "n_unreadable": o.facts.get("n_unreadable", 0),
            "tissue_mm2": o.facts.get("tissue_mm2"),
            "mpp": o.facts.get("mpp"),
            "mpp_source": o.facts.get("mpp_source"),
            "mpp_effective": o.facts.get("mpp_effective"),
        }
        for o in outcomes
    ]
    return SLIDE_INDEX.check(pd.DataFrame(rows, dtype=object), INDEX)


def _facts(outcomes: Sequence[Outcome], slides: Sequence[Artefact]) -> dict[str, Any]:
    used = [o for o in outcomes if o.facts]
    return {
        "unit": "tile",
        "models": slides[0].facts["models"],
        "n_slides": len(slides),
        "n_failed": len(outcomes) - len(used),
        "n_patients": len({o.patient_id for o in used if o.patient_id}),
        "n_tiles": sum(o.facts["n_tiles"] for o in used),
    }


def _remove_older_list(folder: Path, identity: Identity) -> None:
    """Make room for a new list where slides were added: it holds nothing that is not elsewhere."""
    note = next((n for n in (folder / MANIFEST, folder / UNFINISHED) if n.is_file()), None)
    if note is None:
        return
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        return  # the claim says what is wrong with it
    if (found.get("kind"), found.get("verb")) != (identity.kind, identity.verb):
        raise ArtefactError(f"{folder} holds another artefact", "choose another --out")
    if found.get("id") != identity.id:
        # Renamed first, so that no process sees half a list.
        older = folder.with_name(f".{INDEX_FOLDER}-{uuid4().hex}")
        with suppress(FileNotFoundError):  # another process was first
            folder.rename(older)
            shutil.rmtree(older)
