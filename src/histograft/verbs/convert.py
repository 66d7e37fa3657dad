"""Convert features of slides between the layouts of several programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from histograft.core.artefact import Artefact, Draft, Identity, Input, claim
from histograft.core.columns import Column, TableSpec
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.files import hash_file
from histograft.core.reporter import SILENT, Reporter
from histograft.core.units import SCANNER_TOLERANCE, check_mpp
from histograft.verbs.feature_formats.contract import Found, SlideNote, Written, check_name
from histograft.verbs.feature_formats.layouts import (
    OWN,
    Layout,
    find_slides,
    format_of,
    recognize,
)
from histograft.verbs.feature_formats.own import make_index, make_slide
from histograft.verbs.feature_formats.tiles import SlideTiles
from histograft.verbs.slide_list import Outcome
from histograft.verbs.text_tables import read_text_table

VERSION = 1
OUTCOMES = "conversion.csv"
NOTES_TABLE = TableSpec(
    "slides",
    (
        Column("slide_id", "text", "name of the slide"),
        Column("patient_id", "text", "its patient", required=False, nullable=True),
        Column("mpp", "number", "µm/px of level 0", required=False, nullable=True),
        Column("target", "text", "what eva is to predict", required=False, nullable=True),
        Column("split", "text", "train, val or test, for eva", required=False, nullable=True),
    ),
    key=("slide_id",),
)


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Convert features of slides into another program's layout, or from one into histograft's.

    Reads and writes TRIDENT, CLAM (HDF5 and pt), STAMP, slide2vec and eva, whose layout is found
    by what lies in SOURCE. Features and coordinates are carried over as they are; what a layout
    must round, and what is not known, is said. What µm/px a slide has does not follow from a
    magnification: state it where the files do not.

    Attributes
    ----------
    source : Path
        Folder of features: of `histograft embed SLIDES`, or of one of the other programs.
    out : Path
        Folder of the converted features; new, empty, or of the same unfinished run.
    to : str
        Layout to write: histograft, trident, clam, stamp, slide2vec or eva.
    model : str
        Which features to take where there are several; what to call them where no file says it.
    mpp : float
        µm/px of level 0 of the slides whose files do not state it.
    slides : Path
        Table with slide_id and, if known, patient_id, mpp, target and split (both for eva).
    coordinates : Path
        Folder of TRIDENT's or CLAM's patches, where it is not beside the features.
    keep_going : bool
        Finish without the slides that failed; without it they are an error at the end.
    """

    source: Annotated[Path, Role.INPUT] = field(kw_only=False)
    out: Annotated[Path, Role.OUTPUT]
    to: Layout = "histograft"
    model: str | None = None
    mpp: float | None = None
    slides: Annotated[Path | None, Role.INPUT] = None
    coordinates: Annotated[Path | None, Role.INPUT] = None
    keep_going: Annotated[bool, Role.EXECUTION] = False

    def __post_init__(self) -> None:
        if self.mpp is not None:
            check_mpp(self.mpp, "--mpp")
        if self.model is not None:
            check_name(self.model, "model")


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "recommended": {}}


@dataclass(frozen=True)
class _Work:
    """What the configuration leads to: the slides, and how each is read."""

    config: Convert
    layout: str
    found: list[Found]
    table: dict[str, SlideNote]

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on beside the files."""
        return fields_with_role(self.config, Role.SETTING) | {
            "layout": self.layout,
            "model": self.config.model or self.found[0].model,
            "slides": {slide.slide_id: asdict(self.note(slide)) for slide in self.found},
        }

    def stated_mpp(self, slide: Found) -> tuple[float | None, str]:
        """Return the µm/px that the user states of a slide, and where; the table comes first."""
        of_table = self.note(slide).mpp
        return (self.config.mpp, "option") if of_table is None else (of_table, "table")

    def note(self, slide: Found) -> SlideNote:
        """Say what is known of a slide from the table, else from the source."""
        note = self.table.get(slide.slide_id, SlideNote())
        return replace(note, patient_id=note.patient_id or slide.patient_id)

    def read(self, slide: Found) -> SlideTiles:
        """Read a slide, and fill in what the user states of it."""
        stated, source = self.stated_mpp(slide)
        tiles = slide.load(stated)
        if tiles.model is None:
            raise InputError(
                f"{slide.files[0]} does not say which model its features are of",
                "give --model NAME",
            )
        check_name(tiles.model, "model")
        notes = tiles.notes
        known = tiles.scale.mpp0
        if stated is not None and known is not None:
            if abs(stated / known - 1) > SCANNER_TOLERANCE:
                notes = (*notes, f"its file says {known:g} µm/px, which is kept, not {stated:g}")
            if tiles.scale.mpp_source == "option":
                tiles = replace(tiles, scale=replace(tiles.scale, mpp_source=source))
        return replace(tiles, scale=tiles.scale.with_mpp(stated, source), notes=notes)


def convert(config: Convert, reporter: Reporter = SILENT) -> Artefact:
    """Convert a folder of features.

    Parameters
    ----------
    config : Convert
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``features``. Into histograft's layout: the list of slides at ``OUT/index``, with
        features at ``OUT/slides``, as `embed` makes them. Into another: ``OUT`` itself, which holds
        that program's files and folders, and ``conversion.csv``.

    Raises
    ------
    InputError
        The source is not known or has no such model, or slides failed and `keep_going` is off.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    layout = recognize(config.source)
    if layout == config.to:
        raise InputError(
            f"{config.source} has the layout of {layout} already", "choose another --to"
        )
    found = find_slides(config.source, config.model, config.coordinates)
    table = _read_notes(config.slides)
    if unused := sorted(set(table) - {slide.slide_id for slide in found}):
        reporter.note(
            f"{len(unused)} slides of the table have no features in {config.source.name}, such as "
            f"{unused[0]}"
        )
    work = _Work(config, layout, found, table)
    return _into_own(work, reporter) if config.to == OWN else _into_other(work, reporter)


def _read_notes(path: Path | None) -> dict[str, SlideNote]:
    if path is None:
        return {}
    if not path.is_file():
        raise InputError(f"{path} does not exist", "give a table with a column slide_id")
    table = NOTES_TABLE.check(read_text_table(path, ["slide_id"]), str(path))
    names = [c for c in NOTES_TABLE.column_names() if c in table.columns]
    rows: list[dict[Any, Any]] = (
        table[names].astype(object).where(table[names].notna(), None).to_dict("records")
    )
    notes = {str(row.pop("slide_id")): SlideNote(**row) for row in rows}
    for slide_id, note in notes.items():
        if note.mpp is not None:
            check_mpp(note.mpp, f"{path}: {slide_id}")
    return notes


def _into_own(work: _Work, reporter: Reporter) -> Artefact:
    out = work.config.out
    expected = _Expected(work.config.model)

    def one(slide: Found) -> tuple[dict[str, Any], tuple[str, ...]]:
        mpp, mpp_source = work.stated_mpp(slide)
        settings = {
            "layout": work.layout,
            "model": work.config.model or slide.model,
            "mpp": mpp,
            "mpp_source": mpp_source,
            "slide_id": slide.slide_id,
        }
        identity = Identity("features", "convert-slide", VERSION, settings, _inputs(slide))

        def read() -> SlideTiles:
            tiles = work.read(slide)
            expected.check(slide, str(tiles.model), tiles.features.shape[1])
            return tiles

        facts = make_slide(out, slide.slide_id, identity, read).facts
        expected.check(slide, facts["models"][0], facts["n_features"])
        return facts, tuple(facts["notes"])

    outcomes = _each(work, one, reporter)
    settings = work.settings | {"failed": sorted(o.slide_id for o in outcomes if not o.facts)}
    return make_index(out, outcomes, settings, VERSION, reporter)


def _into_other(work: _Work, reporter: Reporter) -> Artefact:
    config = work.config
    target = format_of(config.to)
    inputs = tuple(record for slide in work.found for record in _inputs_if_readable(slide))
    draft = claim(config.out, Identity("features", "convert", VERSION, work.settings, inputs))
    if isinstance(draft, Artefact):
        reporter.note(f"the conversion is there already ({draft.path.name})")
        return draft
    expected, written = _Expected(config.model), list[Written]()

    def one(slide: Found) -> tuple[dict[str, Any], tuple[str, ...]]:
        tiles = work.read(slide)
        n_tiles, n_features = tiles.features.shape
        expected.check(slide, str(tiles.model), n_features)
        name, rounded = target.write(draft, tiles)
        notes = (*tiles.notes, *rounded)
        note = work.note(slide)
        written.append(Written(slide.slide_id, name, n_tiles, note, tiles.scale, notes))
        return {"n_tiles": n_tiles, "n_features": n_features, "file": name}, notes

    with draft:
        outcomes = _each(work, one, reporter)
        warnings = target.write_lists(draft, written)
        for warning in warnings:
            reporter.warn(warning)
        _write_outcomes(draft, outcomes)
        facts = {
            "unit": "tile",
            "layout": config.to,
            "models": [expected.model],
            "n_features": expected.size,
            "n_slides": len(written),
            "n_failed": len(outcomes) - len(written),
            "n_tiles": sum(slide.n_tiles for slide in written),
            "notes": sorted({*warnings, *(note for slide in written for note in slide.notes)}),
        }
        return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


class _Expected:
    """Model and number of features that all slides of a conversion share."""

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.size: int | None = None

    def check(self, slide: Found, model: str, size: int) -> None:
        """Refuse a slide that differs from those before it."""
        if self.model is not None and model != self.model:
            raise InputError(
                f"{slide.files[0]} has features of {model}, the slides before it of {self.model}",
                "give a folder of one model, or --model to call them by one name",
            )
        if self.size is not None and size != self.size:
            raise InputError(
                f"{slide.files[0]} has {size} features a tile, the slides before it {self.size}",
                "give a folder of one model",
            )
        self.model, self.size = model, size


def _each(
    work: _Work, one: Callable[[Found], tuple[dict[str, Any], tuple[str, ...]]], reporter: Reporter
) -> list[Outcome]:
    """Convert slide by slide; what cannot be read is named, the others are finished."""
    outcomes = []
    with reporter.task("slides", len(work.found)) as task:
        for slide in work.found:
            outcomes.append(_try(work, slide, one))
            task.advance(1, slide.slide_id)
    _tell(outcomes, reporter)
    failed = [o for o in outcomes if o.status == "failed"]
    if failed and (not work.config.keep_going or len(failed) == len(outcomes)):
        raise InputError(
            f"{len(failed)} of {len(outcomes)} slides failed, such as {failed[0].slide_id}: "
            f"{failed[0].reason.rstrip('.')}",
            "mend them and run the same command"
            + ("" if len(failed) == len(outcomes) else ", or give --keep-going to go on without"),
        )
    return outcomes


def _try(
    work: _Work, slide: Found, one: Callable[[Found], tuple[dict[str, Any], tuple[str, ...]]]
) -> Outcome:
    patient = work.note(slide).patient_id
    try:
        facts, notes = one(slide)
    except InputError as error:
        reason = str(error)
        for folder in (work.config.source, work.config.coordinates):
            reason = reason.replace(f"{folder}/", "")  # artefacts name no place on a machine
        return Outcome(slide.slide_id, patient, "failed", reason, {})
    status = "done" if facts["n_tiles"] else "no tissue"
    return Outcome(slide.slide_id, patient, status, "; ".join(notes), facts)


def _inputs(slide: Found) -> tuple[Input, ...]:
    if slide.record is not None:
        return (slide.record,)
    try:
        return tuple(Input("features", "file", hash_file(p).sha256, p.name) for p in slide.files)
    except OSError as error:
        raise InputError(
            f"{slide.files[0]} cannot be read ({error.strerror or error})", "see that it is there"
        ) from error


def _inputs_if_readable(slide: Found) -> tuple[Input, ...]:
    try:
        return _inputs(slide)
    except InputError:  # it fails again, and is named, where the slide is read
        return ()


def _tell(outcomes: Sequence[Outcome], reporter: Reporter) -> None:
    rows = [
        [o.slide_id, o.status, f"{o.facts['n_tiles']:,}" if o.facts else "", o.reason]
        for o in outcomes
    ]
    reporter.table("slides", ["slide", "status", "tiles", "remark"], rows)
    remarks = Counter(part for o in outcomes if o.facts for part in o.reason.split("; ") if part)
    for remark, n_slides in remarks.items():
        reporter.note(f"{remark} ({n_slides} of {len(outcomes)} slides)")


def _write_outcomes(draft: Draft, outcomes: Sequence[Outcome]) -> None:
    import pandas as pd

    rows = [
        {
            "slide_id": o.slide_id,
            "patient_id": o.patient_id,
            "status": o.status,
            "remark": o.reason,
            "n_tiles": o.facts.get("n_tiles", 0),
            "file": o.facts.get("file"),
        }
        for o in outcomes
    ]
    with draft.writing(OUTCOMES) as path:
        pd.DataFrame(rows).to_csv(path, index=False)
