"""Features of a list of slides: one bad slide never spoils the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, is_artefact, open_artefact
from histograft.core.claims import refusal
from histograft.core.errors import ArtefactError, InputError, InUseError
from histograft.core.files import write_bytes
from histograft.core.layout import UNFINISHED
from histograft.core.reporter import Reporter, Task, counted
from histograft.verbs.one_slide import OF_ONE_SLIDE, SlideRules, embed_slide, identity_of
from histograft.verbs.slide_blocks import try_network
from histograft.verbs.slide_list import INDEX as INDEX
from histograft.verbs.slide_list import INDEX_FOLDER as INDEX_FOLDER
from histograft.verbs.slide_list import Outcome, write_list
from histograft.verbs.slides import SlideEntry

if TYPE_CHECKING:
    from histograft.verbs.extractors import NetworkExtractor

SLIDES_FOLDER = "slides"
STAIN_REFERENCE = "stain_reference.json"
POLL_S = 1.0  # between looks at slides that other processes are at


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
    other is at. A process that finds no more such slides waits for the others, and takes over
    where one of them is ended before its slide is done.

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
        ``OUT/outcomes.csv`` names them either way.

    Returns
    -------
    Artefact
        The list, at ``OUT/index``.

    Raises
    ------
    InputError
        The network does not take such tiles, or slides failed and `keep_going` is off.
    ArtefactError
        The folder holds something else, or cannot be written.
    """
    _refuse_foreign_folder(out)
    _refuse_other_settings(entries, rules, extractor, out)
    if not all(is_artefact(slide_folder(out, entry.slide_id)) for entry in entries):
        try_network(extractor, rules.tiles.tile_px)
    if rules.stain != "none":
        write_bytes(out / STAIN_REFERENCE, rules.reference.to_json().encode())
    outcomes = _try_all(entries, rules, extractor, out, reporter)
    _tell(outcomes, reporter)
    slides = [open_artefact(slide_folder(out, o.slide_id)) for o in outcomes if o.facts]
    return write_list(outcomes, slides, extractor.record, out, reporter, keep_going=keep_going)


def slide_folder(out: Path, slide_id: str) -> Path:
    """Folder of the artefact of one slide."""
    return out / SLIDES_FOLDER / slide_id


def _refuse_foreign_folder(out: Path) -> None:
    if is_artefact(out) or (out / UNFINISHED).exists():
        raise ArtefactError(f"{out} holds another artefact", "choose another --out")


def _refuse_other_settings(
    entries: Sequence[SlideEntry], rules: SlideRules, extractor: NetworkExtractor, out: Path
) -> None:
    """Refuse, before any work, a folder in which slides were embedded in another way."""
    done = next((e for e in entries if is_artefact(slide_folder(out, e.slide_id))), None)
    if done is None:
        return
    folder = slide_folder(out, done.slide_id)
    theirs = open_artefact(folder).manifest
    try:
        ours = identity_of(done, rules, extractor)
    except InputError:  # the slide's row in the outcome table will say so
        return
    config = {name: value for name, value in theirs["config"].items() if name not in OF_ONE_SLIDE}
    wanted = {name: value for name, value in ours.config.items() if name not in OF_ONE_SLIDE}
    network = next((i["id"] for i in theirs["inputs"] if i["role"] != "slide"), None)
    same_verb = (theirs["verb"], theirs["verb_version"]) == (ours.verb, ours.verb_version)
    if not same_verb or config != wanted or network != extractor.record.id:
        config |= {name: ours.config[name] for name in OF_ONE_SLIDE if name in ours.config}
        raise refusal(f"{folder} was embedded in another way", theirs | {"config": config}, ours)


def _try_all(
    entries: Sequence[SlideEntry],
    rules: SlideRules,
    extractor: NetworkExtractor,
    out: Path,
    reporter: Reporter,
) -> list[Outcome]:
    """Try every slide until each has an outcome, in the order of the list."""
    outcomes: dict[str, Outcome] = {}
    with reporter.task("slides", len(entries)) as task:
        while waiting := [entry for entry in entries if entry.slide_id not in outcomes]:
            n_before = len(outcomes)
            for entry in waiting:
                outcome = _try(entry, rules, extractor, slide_folder(out, entry.slide_id), task)
                if outcome is not None:
                    outcomes[entry.slide_id] = outcome
                    task.advance(1)
            if len(outcomes) == n_before:
                task.advance(
                    0, f"waiting for {counted(len(waiting), 'slide')} with other processes"
                )
                sleep(POLL_S)
    return [outcomes[entry.slide_id] for entry in entries]


def _try(
    entry: SlideEntry, rules: SlideRules, extractor: NetworkExtractor, folder: Path, task: Task
) -> Outcome | None:
    """Embed a slide and say what became of it; None where another process is at it."""
    begun = monotonic()
    n_done = 0

    def tell(n_more: int, n_tiles: int) -> None:
        nonlocal n_done
        n_done += n_more
        rate = n_done / max(monotonic() - begun, 1e-9)
        task.advance(0, f"{entry.slide_id}: {n_done:,} of {n_tiles:,} tiles, {rate:.0f}/s")

    try:
        facts = embed_slide(entry, rules, extractor, folder, tell).facts
    except InUseError:
        return None
    except ArtefactError as error:
        if isinstance(error.__cause__, OSError):  # a disk that is full, is full for all slides
            raise
        return _failed(entry, error)
    except InputError as error:
        return _failed(entry, error)
    status = "done" if facts["n_tiles"] else "no tissue"
    return Outcome(entry.slide_id, entry.patient_id, status, "; ".join(_remarks(facts)), facts)


def _failed(entry: SlideEntry, error: InputError | ArtefactError) -> Outcome:
    return Outcome(entry.slide_id, entry.patient_id, "failed", error.problem, {}, error.fix)


def _remarks(facts: dict[str, Any]) -> list[str]:
    """Say what a person should look at."""
    remarks = list(facts["notes"])
    if facts["n_unreadable"]:
        remarks.append(
            f"{counted(facts['n_unreadable'], 'tile')} cannot be read: no features there"
        )
    if facts["n_unscanned"]:
        n_tiles = counted(facts["n_unscanned"], "tile")
        remarks.append(f"{n_tiles} not scanned and without features")
    if facts["upsampled"]:
        remarks.append("enlarged: the slide is coarser than the tiles")
    if facts.get("stains", "normalized") != "normalized":
        remarks.append(
            f"no stain was normalized, all tiles keep their colors: {facts['stains_explained']}"
        )
    elif facts["colors_kept"]:
        kept = ", ".join(f"{n} {label}" for label, n in facts["colors_kept"].items())
        remarks.append(f"tiles that keep their colors: {kept}")
    return remarks


def _tell(outcomes: list[Outcome], reporter: Reporter) -> None:
    rows = [
        [
            o.slide_id,
            o.status,
            f"{o.facts['mpp']:.4g}" if o.facts else "",
            f"{o.facts['tissue_mm2']:.1f}" if o.facts else "",
            f"{o.facts['n_tiles']:,}" if o.facts else "",
        ]
        for o in outcomes
    ]
    reporter.table("slides", ["slide", "status", "µm/px", "tissue mm²", "tiles"], rows)
    for outcome in outcomes:  # a reason is too long for a column of a terminal
        if outcome.reason:
            reporter.note(f"{outcome.slide_id}: {outcome.told}")
