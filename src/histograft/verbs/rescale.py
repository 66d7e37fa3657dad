"""Bring whole pieces of tissue to one level of a ladder of scales, from the native image."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, Input, make_once
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.executor import available_cores, map_in_order, open_executor
from histograft.core.files import written_atomically
from histograft.core.reporter import SILENT, Reporter
from histograft.core.units import check_mpp
from histograft.verbs.annotating import with_splits
from histograft.verbs.audit import leakage_report
from histograft.verbs.patch_images import METADATA
from histograft.verbs.patch_tables import REJECT_LOG, patch_facts, patch_tables
from histograft.verbs.patching import ImageOutcome
from histograft.verbs.piece_jobs import piece_jobs, rescale_piece
from histograft.verbs.piece_samples import Samples, read_images
from histograft.verbs.slide_pieces import (
    find_jobs,
    find_pieces,
    pieces_table,
    rescale_slide_piece,
    slide_facts,
    slide_piece_jobs,
    tell_left_out,
)
from histograft.verbs.slide_samples import (
    read_slide_samples,
    slide_table,
    slides_id,
    tell_of_slides,
)
from histograft.verbs.sources import Source
from histograft.verbs.standardize import Standardize
from histograft.verbs.unused_options import refuse_unused

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
CHUNK = 64  # images per line of the journal that a resumed run reads
FOR_SLIDES = "for slides (an image is a piece as it is)"
OF_SLIDES = ("least_tissue_mm2", "margin_um")
OF_IMAGES = ("scale", "catalogue")


@dataclass(frozen=True, kw_only=True)
class Rescale:
    """Bring whole pieces of tissue of any size to one level of a ladder of scales.

    Each level is made from the native image by Lanczos, none from another level. Run it once for
    each level with the same samples and seed: splits and names of pieces are then the same. Of a
    slide each connected piece of tissue is one, or each box that the table states.

    Attributes
    ----------
    samples : Path
        A samples.csv (columns file, label, and if known group, slide, split, mpp), a folder with
        one, or a folder of class folders; or a slides.csv (columns slide_id, file, label, and if
        known patient_id, split, mpp, and for annotated boxes x0, y0, width0, height0). A set that
        serves unlabelled needs no labels: the column or some of its cells may be left out, and a
        folder may hold images alone.
    out : Path
        Folder of the patches artefact; new, empty, or of the same unfinished run.
    level : float
        µm/px of the pieces, or with --scale relative native pixels per pixel.
    scale : str
        Whether level is in µm/px ("mpp") or a factor ("relative"), for sets of unknown scale.
    name : str
        Name of the data set in tables and figures; the folder's name by default.
    catalogue : str
        Catalogue entry of the set, for its µm/px and groups; see `histograft catalogue`.
    mpp : float
        µm/px of those images for which the table (of slides: nor the file) states none.
    least_tissue_mm2 : float
        Slides: least area of a piece of tissue in mm²; smaller ones are left out.
    margin_um : float
        Slides: how much is left around a piece, in µm.
    max_pixels : int
        Cut larger pieces to their central field before any level is made; counted at
        --max-pixels-level. The same for all levels of a ladder.
    max_pixels_level : float
        Level at which max_pixels counts: that of the teacher; by default level itself.
    split_column : str
        Column of the samples table to use as split, if it holds training and test rows.
    val_fraction : float
        Share of the groups for validation where splits are drawn.
    test_fraction : float
        Share of the groups for testing where splits are drawn.
    val_of_train : float
        Share of the training groups that validate where the stated split has no validation rows.
    max_image_px : int
        Refuse images with more pixels (decompression bombs); of slides, pieces at the level.
    seed : int
        Seed of the drawn split.
    workers : int
        Processes; all cores by default.
    """

    samples: Annotated[Path, Role.INPUT] = field(kw_only=False)
    out: Annotated[Path, Role.OUTPUT]
    level: float = 1.0
    scale: Literal["mpp", "relative"] = "mpp"
    name: str | None = None
    catalogue: str | None = None
    mpp: float | None = None
    least_tissue_mm2: float = 0.25
    margin_um: float = 50.0
    max_pixels: int | None = None
    max_pixels_level: float | None = None
    split_column: str | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    val_of_train: float = 0.0
    max_image_px: int = 500_000_000
    seed: int = 0
    workers: Annotated[int | None, Role.EXECUTION] = None

    def __post_init__(self) -> None:
        if not self.level > 0 or not (self.max_pixels_level or 1) > 0:
            raise InputError(f"--level is {self.level}", "give levels above 0")
        if self.max_pixels is not None:
            require_at_least(self.max_pixels, 1, "max_pixels")
        if self.mpp is not None:
            check_mpp(self.mpp, "--mpp")
        for name in ("least_tissue_mm2", "margin_um"):
            if not 0 <= getattr(self, name) < math.inf:
                flag = "--" + name.replace("_", "-")
                raise InputError(f"{flag} is {getattr(self, name)}", "give 0 or more")
        require_at_least(self.max_image_px, 1, "max_image_px")
        require_at_least(self.seed, 0, "seed")
        require_at_least(self.workers or 0, 0, "workers")
        _ = self.splitting  # refuses shares that cannot be

    @property
    def splitting(self) -> Standardize:
        """What `standardize` would do about groups, scales and splits of these images."""
        return Standardize(
            self.samples,
            out=self.out,
            target_mpp="keep",
            mpp=self.mpp,
            split_column=self.split_column,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            val_of_train=self.val_of_train,
            seed=self.seed,
        )


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"val_fraction": 0.15, "test_fraction": 0.15},
    "recommended": {},
}


def rescale(config: Rescale, reporter: Reporter = SILENT) -> Artefact:
    """Make a patches artefact of whole pieces at one level.

    Parameters
    ----------
    config : Rescale
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``patches``; its facts hold ``level``, ``scale``, ``n_cut`` (pieces that were
        larger than allowed), and mean and std of the training pieces' channels.

    Raises
    ------
    InputError
        The samples cannot be used, or the level is finer than an image.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    samples = read_samples(config, reporter)
    return (_of_slides if samples.of_slides else _of_images)(samples, config, reporter)


def read_samples(config: Rescale, reporter: Reporter = SILENT) -> Samples:
    """Read what pieces are to be made of, as `rescale` does, and refuse what it would refuse.

    Parameters
    ----------
    config : Rescale
        What to do.
    reporter : Reporter
        Whom to tell what a table of slides leaves open.

    Raises
    ------
    InputError
        The samples cannot be used, or the level is finer than an image.
    """
    slides = slide_table(config.samples)
    if slides is None:
        refuse_unused(config, OF_SLIDES, PRESETS, FOR_SLIDES)
        return read_images(config)
    refuse_unused(config, OF_IMAGES, PRESETS, "for images (slides state their µm/px)")
    source = read_slide_samples(slides, name=config.name, mpp=config.mpp)
    tell_of_slides(source, reporter)
    identity = slides_id(source.table, config.split_column)
    return Samples(source, source.table, identity, of_slides=True)


def _of_images(samples: Samples, config: Rescale, reporter: Reporter) -> Artefact:
    source, raw = samples.source, Input("samples", "samples", samples.id, samples.source.name)

    def work(draft: Draft) -> Artefact:
        images = with_splits(samples.table, config.splitting, source, reporter)
        jobs = piece_jobs(images, config, source, draft.path)
        chunks = [jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK)]
        outcomes = _all(rescale_piece, chunks, "pieces", config, draft, reporter)
        return _finish(draft, _named(images, source), outcomes, config, reporter)

    return make_once(config.out, _identity(config, source, raw, OF_SLIDES), work, reporter)


def _of_slides(samples: Samples, config: Rescale, reporter: Reporter) -> Artefact:
    source, raw = samples.source, Input("samples", "samples", samples.id, samples.source.name)

    def work(draft: Draft) -> Artefact:
        wanted = [[job] for job in find_jobs(source.table, config)]
        found = _all(find_pieces, wanted, "tissue", config, draft, reporter)
        table, rejects = pieces_table(source.table, found)
        table = with_splits(table, config.splitting, source, reporter)
        jobs = slide_piece_jobs(table, config, source, draft.path)
        chunks = [list(group) for _, group in groupby(jobs, lambda job: job.path)]
        outcomes = _all(rescale_slide_piece, chunks, "pieces", config, draft, reporter)
        table = _named(table, source)
        return _finish(draft, table, outcomes, config, reporter, (source.table, rejects))

    return make_once(config.out, _identity(config, source, raw, ("catalogue",)), work, reporter)


def _identity(config: Rescale, source: Source, raw: Input, unused: Sequence[str]) -> Identity:
    settings = fields_with_role(config, Role.SETTING) | {"name": source.name}
    for name in ("seed", *unused):
        settings.pop(name)
    return Identity("patches", "rescale", VERSION, settings, (raw,), config.seed)


def _named(table: pd.DataFrame, source: Source) -> pd.DataFrame:
    table.attrs.update(name=source.name, origin=source.origin, mask_codes={})
    return table


def _all(
    work: Callable[[Any], ImageOutcome],
    chunks: Sequence[Sequence[Any]],
    stem: Literal["tissue", "pieces"],
    config: Rescale,
    draft: Draft,
    reporter: Reporter,
) -> list[ImageOutcome]:
    """Do all jobs, in order; chunks that an earlier run finished are read again."""
    titles = {"tissue": "where pieces are on slides", "pieces": f"pieces at {_level_text(config)}"}
    starts = accumulate((len(chunk) for chunk in chunks), initial=0)
    journals = [draft.work / f"{stem}-{start:08d}.json" for start in starts][: len(chunks)]
    known = [journal.is_file() for journal in journals]
    n_jobs = sum(map(len, chunks))
    all_outcomes: list[ImageOutcome] = []
    with reporter.task(titles[stem], n_jobs) as task, open_executor(config.workers) as executor:
        to_do = (
            job for chunk, done in zip(chunks, known, strict=True) if not done for job in chunk
        )
        # One at a time in this process, so that what is finished is in the journal at once.
        processes = available_cores() if config.workers is None else config.workers
        coming = map_in_order(executor, work, to_do, 1 if processes <= 1 else 4 * processes)
        for chunk, journal, done in zip(chunks, journals, known, strict=True):
            if done:
                values = json.loads(journal.read_text(encoding="utf-8"))
                outcomes = [ImageOutcome.from_json(value) for value in values]
                task.advance(len(outcomes))
            else:
                outcomes = []
                for outcome in islice(coming, len(chunk)):
                    outcomes.append(outcome)
                    task.advance()
                with written_atomically(journal) as partial:
                    text = json.dumps([outcome.to_json() for outcome in outcomes])
                    partial.write_text(text, encoding="utf-8")
            all_outcomes += outcomes
    return all_outcomes


def _level_text(config: Rescale) -> str:
    return f"{config.level:g} µm/px" if config.scale == "mpp" else f"1/{config.level:g}"


def _finish(
    draft: Draft,
    table: pd.DataFrame,
    outcomes: list[ImageOutcome],
    config: Rescale,
    reporter: Reporter,
    of_slides: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Artefact:
    name = table.attrs["name"]
    target = config.level if config.scale == "mpp" else None
    for outcome in outcomes:
        for file, record in outcome.files.items():
            draft.record(file, record)
    pieces, rejects = patch_tables(table, outcomes, target)
    if config.scale == "relative":
        pieces["mpp"] = pieces["mpp_native"] * config.level
    if len(rejects):
        shown = "\n  ".join(rejects["detail"].head(5))
        raise InputError(
            f"{len(rejects)} of {len(table)} images cannot be used:\n  {shown}",
            "mend them or take them out of the table, and run the same command again",
        )
    if of_slides is not None:
        rejects = of_slides[1]
    elif "slide" in table:
        slides = dict(zip(table["file"], table["slide"], strict=True))
        pieces["slide_id"] = pieces["source_file"].map(slides)
    with draft.writing(REJECT_LOG) as path:
        rejects.to_csv(path, index=False)
    with draft.writing(METADATA) as path:
        pieces.to_parquet(path, index=False)
    facts = patch_facts(pieces, rejects, table, leakage_report(pieces, 1))
    facts |= {"level": config.level, "scale": config.scale}
    facts["n_cut"] = sum("cut" in outcome.notes for outcome in outcomes)
    facts["mean"], facts["std"] = _statistics(table, outcomes)
    if of_slides is not None:
        facts |= slide_facts(pieces, *of_slides)
        tell_left_out(name, facts, reporter)
    if facts["n_cut"]:
        reporter.warn(
            f"{name}: {facts['n_cut']} of {len(pieces)} pieces are larger than "
            f"{config.max_pixels:,} pixels and were cut to their central field"
        )
    reporter.note(f"{name}: {len(pieces)} pieces at {_level_text(config)}")
    return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


def _statistics(table: pd.DataFrame, outcomes: list[ImageOutcome]) -> tuple[list[float], ...]:
    """Mean and standard deviation of the training pieces' channels, 0-1."""
    from histograft.imaging.channel_sums import ChannelSums

    sums = ChannelSums()
    for split, outcome in zip(table["split"], outcomes, strict=True):
        if split == "train":
            n, first, second = json.loads(next(n for n in outcome.notes if n.startswith("[")))
            sums += ChannelSums(n, tuple(first), tuple(second))
    return ([], []) if sums.n == 0 else (list(sums.mean), list(sums.std))
