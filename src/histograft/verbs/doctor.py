"""A look at every slide before a run: can it be read, at which scale, and what will it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from histograft.core.configuration import require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter, counted
from histograft.verbs.slide_faults import named_faults
from histograft.verbs.slide_plan import SlidePlan, TileRules, plan_slide
from histograft.verbs.slides import SlideEntry, read_slides, refuse_absent, tell_without_patient
from histograft.verbs.tile_stream import reading_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.imaging.slide_reader import StatedScale

SAMPLE, RUNS = 64, 4  # tiles that are read to see how fast that is, and runs that they lie in
BYTES_A_NUMBER = 4  # float32
FEW_TILES = 20


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Open every slide before a run and say what will happen to it. Nothing is written.

    Attributes
    ----------
    slides : Path
        Table of slides (columns slide_id, file, and if known patient_id, mpp, annotations), or a
        folder of slides.
    target_mpp : float
        µm/px of the tiles.
    tile_px : int
        Side of a tile in pixels.
    overlap : float
        Share of the side that neighboring tiles have in common, 0 up to below 1.
    least_tissue : float
        Least share of a tile that must be tissue, 0-1.
    upsample : str
        Whether a slide with fewer pixels than the tiles may be enlarged.
    n_features : int
        Features of a tile, for the size on disk: 2048 for FTX, 1280 for mobilenetv2_100.
    tiles_per_second : float
        What your network does, for the time; `histograft embed` prints it.
    """

    slides: Path = field(kw_only=False)
    target_mpp: float = 0.5
    tile_px: int = 224
    overlap: float = 0.0
    least_tissue: float = 0.5
    upsample: Literal["error", "allow"] = "error"
    n_features: int = 2048
    tiles_per_second: float = 25.0

    def __post_init__(self) -> None:
        _tile_rules(self)
        require_at_least(self.n_features, 1, "n_features")
        if not 0 < self.tiles_per_second < math.inf:
            raise InputError(f"--tiles-per-second is {self.tiles_per_second}", "give more than 0")


@dataclass(frozen=True)
class Look:
    """What a file says of itself before anything is decoded: empty where it cannot be opened.

    Attributes
    ----------
    reader : str
        Library that opens it, and its format.
    sizes : tuple of (int, int)
        Width and height of each level.
    mpp : str
        µm/px of level 0.
    mpp_source : str
        Where that is from.
    """

    reader: str = ""
    sizes: tuple[tuple[int, int], ...] = ()
    mpp: str = ""
    mpp_source: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What was found of one slide.

    Attributes
    ----------
    slide_id : str
        Name of the slide.
    plan : SlidePlan or None
        What there is to tile; None where the slide cannot be used.
    look : Look
        What the file is, as far as it can be opened.
    read_seconds : float
        Time to read all its tiles in as many threads as `histograft embed` has, from a sample.
    problems : tuple of str
        Why it cannot be used.
    remarks : tuple of str
        What a person should look at.
    """

    slide_id: str
    plan: SlidePlan | None
    look: Look
    read_seconds: float
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def state(self) -> str:
        """Say in a word how it is: good, look, no tissue or problem."""
        if self.problems:
            return "problem"
        if not self.n_tiles:
            return "no tissue"
        return "look" if self.remarks else "good"

    @property
    def n_tiles(self) -> int:
        """Tiles to come."""
        return 0 if self.plan is None else len(self.plan.coords)

    def seconds(self, tiles_per_second: float) -> float:
        """Time that the slide will take: of reading or of the network, whichever is longer."""
        return max(self.read_seconds, self.n_tiles / tiles_per_second)

    def disk_bytes(self, n_features: int) -> int:
        """Size of its features."""
        return self.n_tiles * n_features * BYTES_A_NUMBER


def doctor(config: Doctor, reporter: Reporter = SILENT) -> list[Diagnosis]:
    """Open every slide, find its tissue, count its tiles and read some of them.

    Parameters
    ----------
    config : Doctor
        Which slides, and how they will be tiled.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    list of Diagnosis
        One for each slide, in order; a slide that cannot be used has problems.

    Raises
    ------
    InputError
        The table of slides cannot be used.
    """
    entries = read_slides(config.slides)
    tell_without_patient(entries, reporter)
    rules = _tile_rules(config)
    found = []
    with reporter.task("slides", len(entries)) as task:
        for entry in entries:
            found.append(_examine(entry, config.slides, rules))
            task.advance(1, entry.slide_id)
    return found


def _tile_rules(config: Doctor) -> TileRules:
    return TileRules(
        config.target_mpp, config.tile_px, config.overlap, config.least_tissue, config.upsample
    )


def _examine(entry: SlideEntry, table: Path, rules: TileRules) -> Diagnosis:
    try:
        refuse_absent(entry, table)
        plan = plan_slide(entry, rules)
        seconds, unreadable = _sample(entry, plan, rules)
    except InputError as error:
        return Diagnosis(entry.slide_id, None, _look(entry), 0.0, (str(error),), ())
    reader = f"{plan.reader} ({plan.vendor})"
    look = Look(reader, plan.sizes, f"{plan.mpp0:.4g}", plan.mpp_source)
    return Diagnosis(entry.slide_id, plan, look, seconds, (), _remarks(plan, unreadable))


def _look(entry: SlideEntry) -> Look:
    """Open a slide that cannot be used, to say at least what it is."""
    from histograft.imaging.slide import open_reader

    try:
        with named_faults(entry.path.name):
            opened = open_reader(entry.path)
            mpp, source = _scale(entry, opened.scale)
            look = Look(f"{opened.name} ({opened.vendor})", opened.pyramid.sizes, mpp, source)
            opened.close()
    except InputError:
        return Look()
    return look


def _scale(entry: SlideEntry, stated: StatedScale | None) -> tuple[str, str]:
    """µm/px that a slide is said to have, possible or not, and by whom."""
    if entry.mpp is not None:
        return f"{entry.mpp:.4g}", "table"
    if stated is None:
        return "unknown", ""
    across, down = f"{stated.mpp_x:.4g}", f"{stated.mpp_y:.4g}"
    return across if across == down else f"{across}, {down}", stated.source


def _sample(entry: SlideEntry, plan: SlidePlan, rules: TileRules) -> tuple[float, float]:
    """Seconds to read all tiles, and the share that cannot be read, from runs of neighbors."""
    from histograft.imaging.slide import open_slide
    from histograft.imaging.slide_tiles import TileStatus, read_tiles

    if not len(plan.coords):
        return 0.0, 0.0
    chosen = _runs(plan.coords)
    with named_faults(entry.path.name), open_slide(entry.path, mpp=entry.mpp) as slide:
        start = perf_counter()
        _, status = read_tiles(slide, chosen, plan.spec, upsample=rules.upsample)
        seconds = perf_counter() - start
    unreadable = float((status == TileStatus.UNREADABLE).mean())
    return seconds * len(plan.coords) / len(chosen) / reading_threads(None), unreadable


def _runs(coords: NDArray[np.int64]) -> NDArray[np.int64]:
    """`SAMPLE` tiles in `RUNS` runs of neighbors, spread over the slide from begin to end."""
    import numpy as np

    length = SAMPLE // RUNS
    if len(coords) <= SAMPLE:
        return coords
    firsts = [run * (len(coords) - length) // (RUNS - 1) for run in range(RUNS)]
    return np.concatenate([coords[first : first + length] for first in firsts])


def _remarks(plan: SlidePlan, unreadable: float) -> tuple[str, ...]:
    remarks = list(plan.notes)
    if unreadable:
        n_tried = min(SAMPLE, len(plan.coords))
        remarks.append(f"{unreadable:.0%} of {n_tried} tiles that were tried cannot be read")
    if plan.spec.is_upsampling:
        remarks.append(f"enlarged: it has {plan.mpp0:g} µm/px")
    if 0 < len(plan.coords) < FEW_TILES:
        remarks.append(f"only {counted(len(plan.coords), 'tile')}")
    if _far_from(plan):
        remarks.append(f"the objective is {plan.objective:g}x, but {plan.mpp0:g} µm/px is not")
    return tuple(remarks)


def _far_from(plan: SlidePlan) -> bool:
    """Whether µm/px and objective contradict each other by more than half."""
    if plan.objective is None or plan.objective <= 0:
        return False
    ratio = plan.mpp0 * plan.objective / 10
    return not 1 / 1.5 <= ratio <= 1.5
