"""Features of a list of slides: one bad slide never spoils the rest."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import (
    Artefact,
    Draft,
    Identity,
    is_artefact,
    make_once,
    open_artefact,
)
from histograft.core.claims import has_failed
from histograft.core.errors import ArtefactError, InputError, InUseError
from histograft.core.layout import list_files
from histograft.core.reporter import Reporter, Task
from histograft.core.tables import SLIDE_INDEX
from histograft.verbs.one_slide import SlideRules, embed_slide
from histograft.verbs.slides import SlideEntry

if TYPE_CHECKING:
    from histograft.verbs.extractors import NetworkExtractor

SLIDES_FOLDER = "slides"
INDEX_FOLDER = "index"
INDEX = "slides.csv"
INDEX_VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """What became of one slide; a row of the outcome table.

    Attributes
    ----------
    slide_id : str
        Name of the slide.
    patient_id : str or None
        Its patient.
    status : {"done", "no tissue", "failed", "elsewhere"}
        "elsewhere": another process is at it.
    reason : str
        Why it failed, or what a person should look at.
    facts : dict
        Facts of its artefact, empty without one.
    """

    slide_id: str
    patient_id: str | None
    status: str
    reason: str
    facts: dict[str, Any]


def embed_slides(
    entries: Sequence[SlideEntry],
    rules: SlideRules,
    extractor: NetworkExtractor,
    out: Path,
    reporter: Reporter,
    *,
    keep_going: bool,
) -> Artefact:
    """Embed every slide, each as an artefact of its own below ``OUT/slides``, and list them.

    Several processes or machines may work on one list and one folder: each takes slides that no
    other is at, and the last one to end writes the list.

    Parameters
    ----------
    entries : sequence of SlideEntry
        The slides.
    rules : SlideRules
        How to go about them.
    extractor : NetworkExtractor
        The network.
    out : pathlib.Path
        Folder of all.
    reporter : Reporter
        Whom to tell.
    keep_going : bool
        Finish the list without the slides that failed; without it they are an error at the end.

    Returns
    -------
    Artefact
        The list, at ``OUT/index``.

    Raises
    ------
    InputError
        Slides failed and `keep_going` is off, or others are still at work on some.
    ArtefactError
        A folder holds something else, or cannot be written.
    """
    outcomes = []
    with reporter.task("slides", len(entries)) as task:
        for number, entry in enumerate(entries, start=1):
            title = f"{number}/{len(entries)} {entry.slide_id}"
            outcomes.append(_try(entry, rules, extractor, out, task, title))
            task.advance(1)
    outcomes = [
        _try(entry, rules, extractor, out, task, entry.slide_id)
        if outcome.status == "elsewhere"
        else outcome
        for entry, outcome in zip(entries, outcomes, strict=True)
    ]
    _tell(outcomes, reporter)
    return _finish(outcomes, extractor, out, reporter, keep_going=keep_going)


def _try(
    entry: SlideEntry,
    rules: SlideRules,
    extractor: NetworkExtractor,
    out: Path,
    task: Task,
    title: str,
) -> Outcome:
    start = monotonic()

    def tell(done: int, total: int) -> None:
        rate = done / max(monotonic() - start, 1e-9)
        task.advance(0, f"{title}: {done:,} of {total:,} tiles, {rate:.0f}/s")

    try:
        artefact = embed_slide(entry, rules, extractor, slide_folder(out, entry.slide_id), tell)
    except InUseError:
        return Outcome(entry.slide_id, entry.patient_id, "elsewhere", "", {})
    except InputError as error:
        _remove_empty(slide_folder(out, entry.slide_id))
        return Outcome(entry.slide_id, entry.patient_id, "failed", str(error), {})
    facts = artefact.facts
    status = "done" if facts["n_tiles"] else "no tissue"
    notes = list(facts["notes"])
    if facts["n_unreadable"]:
        notes.append(f"{facts['n_unreadable']} tiles could not be read")
    if facts["upsampled"]:
        notes.append("enlarged: the slide is coarser than the tiles")
    notes += [
        f"{n} tiles {label}" for label, n in facts["stain_status"].items() if label != "normalised"
    ]
    return Outcome(entry.slide_id, entry.patient_id, status, "; ".join(notes), facts)


def _remove_empty(folder: Path) -> None:
    """Remove the folder of a slide that failed before anything was written into it."""
    if has_failed(folder) and not list_files(folder):
        shutil.rmtree(folder, ignore_errors=True)


def slide_folder(out: Path, slide_id: str) -> Path:
    """Folder of the artefact of one slide."""
    return out / SLIDES_FOLDER / slide_id


def _tell(outcomes: list[Outcome], reporter: Reporter) -> None:
    rows = [
        [
            o.slide_id,
            o.status,
            f"{o.facts.get('mpp', float('nan')):.4g}" if o.facts else "",
            f"{o.facts['tissue_mm2']:.1f}" if o.facts else "",
            f"{o.facts['n_tiles']:,}" if o.facts else "",
            o.reason,
        ]
        for o in outcomes
    ]
    reporter.table("slides", ["slide", "status", "µm/px", "tissue mm²", "tiles", "remark"], rows)


def _finish(
    outcomes: list[Outcome],
    extractor: NetworkExtractor,
    out: Path,
    reporter: Reporter,
    *,
    keep_going: bool,
) -> Artefact:
    failed = [o for o in outcomes if o.status == "failed"]
    if elsewhere := [o for o in outcomes if o.status == "elsewhere"]:
        raise InputError(
            f"another process is at work on {len(elsewhere)} of {len(outcomes)} slides in {out}, "
            f"such as {elsewhere[0].slide_id}; all others are done",
            "run the same command when it has ended: it only writes the list then",
        )
    if failed and not keep_going:
        raise InputError(
            f"{len(failed)} of {len(outcomes)} slides failed, such as {failed[0].slide_id} "
            f"({failed[0].reason}); the others are done",
            "mend them and run the same command, or give --keep-going to go on without them",
        )
    whole = [o for o in outcomes if o.facts]
    if not whole:
        raise InputError("no slide could be used", "see the table above")
    slides = [open_artefact(slide_folder(out, o.slide_id)) for o in whole]
    inputs = (*(slide.as_input("slide") for slide in slides), extractor.record)
    settings = {"failed": sorted(o.slide_id for o in failed), "patients": _patients(outcomes)}
    identity = Identity("features", "embed", INDEX_VERSION, settings, inputs)

    def work(draft: Draft) -> Artefact:
        with draft.writing(INDEX) as path:
            _index_table(outcomes).to_csv(path, index=False)
        return draft.finish(_facts(outcomes, slides))

    folder = out / INDEX_FOLDER
    _remove_older_list(folder, identity)
    return make_once(folder, identity, work, reporter)


def _patients(outcomes: list[Outcome]) -> dict[str, str | None]:
    return {o.slide_id: o.patient_id for o in outcomes}


def _index_table(outcomes: list[Outcome]) -> Any:
    import pandas as pd

    rows = [
        {
            "slide_id": o.slide_id,
            "patient_id": o.patient_id,
            "status": o.status,
            "reason": o.reason,
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


def _facts(outcomes: list[Outcome], slides: list[Artefact]) -> dict[str, Any]:
    first = slides[0].facts
    return {
        "unit": "tile",
        "models": first["models"],
        "n_slides": len(slides),
        "n_failed": sum(o.status == "failed" for o in outcomes),
        "n_patients": len({o.patient_id for o in outcomes if o.facts and o.patient_id}),
        "n_tiles": sum(o.facts["n_tiles"] for o in outcomes if o.facts),
    }


def _remove_older_list(folder: Path, identity: Identity) -> None:
    """Make room for a new list where slides were added: it holds nothing that is not elsewhere."""
    if not is_artefact(folder):
        return
    found = open_artefact(folder)
    if (found.kind, found.manifest["verb"]) != (identity.kind, identity.verb):
        raise ArtefactError(f"{folder} holds another artefact", "choose another --out")
    if found.id != identity.id:
        shutil.rmtree(folder)
