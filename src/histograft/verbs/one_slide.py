"""Features of one slide: tiles are read ahead, normalized, embedded and written block by block."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, Input, make_once
from histograft.core.errors import InputError
from histograft.verbs.slide_blocks import STAINED, STATUS, compute_blocks, read_blocks
from histograft.verbs.slide_files import SlideFacts, TileTable, write_slide_features
from histograft.verbs.slide_plan import SlidePlan, TileRules, plan_slide, text_of_annotations
from histograft.verbs.slides import SlideEntry, fingerprint
from histograft.verbs.tile_stream import Stain, TileStream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.imaging.stain import StainReference
    from histograft.verbs.extractors import NetworkExtractor

VERSION = 1
STAIN_SAMPLE = 512  # tiles, spread over the slide, in which its stains are found
OUTLINES = "tissue.geojson"
OVERVIEW = "overview.jpg"
STAINS = "stains.json"
# Settings that belong to one slide; all others are the same for a whole list.
OF_ONE_SLIDE = ("mpp", "annotations")
StainMode = Literal["none", "macenko-slide", "macenko-tile"]
StainConstants = Literal["torchstain", "paper"]


@dataclass(frozen=True)
class SlideRules:
    """How slides become features.

    Attributes
    ----------
    tiles : TileRules
        How they are tiled.
    stain : {"none", "macenko-slide", "macenko-tile"}
        Stain normalization.
    reference : StainReference
        What normalized tiles look like.
    of_pass : mapping
        Settings of the network's pass, such as its precision.
    threads : int
        Threads that read; results do not depend on it.
    execution : mapping
        How it runs, for the manifest.
    """

    tiles: TileRules
    stain: StainMode
    reference: StainReference
    of_pass: Mapping[str, Any]
    threads: int
    execution: Mapping[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """Return what results depend on, as JSON values."""
        return asdict(self.tiles) | {"stain": self.stain} | self._constants() | dict(self.of_pass)

    def _constants(self) -> dict[str, Any]:
        """Return all numbers of the normalization."""
        from histograft.imaging.stain_slide import ALPHA, BETA

        if self.stain == "none":
            return {}
        reference = json.loads(self.reference.to_json())
        return {"reference": reference, "stain_alpha": ALPHA, "stain_beta": BETA}


def embed_slide(
    entry: SlideEntry,
    rules: SlideRules,
    extractor: NetworkExtractor,
    folder: Path,
    tell: Callable[[int, int], None],
) -> Artefact:
    """Make the features artefact of one slide, or return it if it is there.

    Parameters
    ----------
    entry : SlideEntry
        The slide.
    rules : SlideRules
        How to go about it.
    extractor : NetworkExtractor
        The network.
    folder : pathlib.Path
        Folder of the artefact.
    tell : callable
        Called with the number of tiles that were embedded since the last call, and that of all
        tiles of the slide.

    Returns
    -------
    Artefact
        ``MODEL.h5`` for each model, the outline of its tissue, an overview, and its stains where
        they were normalized.

    Raises
    ------
    InputError
        The slide cannot be used.
    ArtefactError
        The folder is taken, or cannot be written.
    """

    def work(draft: Draft) -> Artefact:
        plan = _plan_or_leave_nothing(entry, rules, draft)
        with TileStream(
            entry.path, entry.mpp, plan.spec, upsample=rules.tiles.upsample, threads=rules.threads
        ) as stream:
            stain, found = _stain(rules, stream, plan, draft)
            n_tiles = len(plan.coords)
            compute_blocks(
                draft.work, stream, plan.coords, stain, extractor, lambda done: tell(done, n_tiles)
            )
        table = _tile_table(plan, draft)
        _write_models(entry, rules, extractor, plan, table, draft)
        _write_pictures(plan, draft)
        facts = _facts(entry, plan, table) | {"models": extractor.models} | found
        return draft.finish(facts, rules.execution)

    return make_once(folder, identity_of(entry, rules, extractor), work)


def identity_of(entry: SlideEntry, rules: SlideRules, extractor: NetworkExtractor) -> Identity:
    """Everything that decides what the features of a slide are.

    Raises
    ------
    InputError
        The slide or its annotations cannot be read.
    """
    try:
        content = fingerprint(entry.path)
    except OSError as error:
        raise InputError(
            f"{entry.path} cannot be read ({error.strerror or error})",
            "correct its path, or copy it there",
        ) from error
    settings = rules.settings() | {"models": extractor.models, "mpp": entry.mpp}
    if entry.annotations is not None:
        text = text_of_annotations(entry.annotations)
        settings["annotations"] = hashlib.sha256(text.encode()).hexdigest()
    inputs = (Input("slide", "slide", content, entry.slide_id), extractor.record)
    return Identity("features", "embed-slide", VERSION, settings | extractor.resolved, inputs)


def _plan_or_leave_nothing(entry: SlideEntry, rules: SlideRules, draft: Draft) -> SlidePlan:
    """Plan the slide; of one that cannot be used no folder stays, unless it holds earlier work."""
    try:
        return plan_slide(entry, rules.tiles)
    except InputError:
        if not any(draft.work.iterdir()):
            shutil.rmtree(draft.path)  # we hold its lock, so nobody else is at work in it
        raise


def _stain(
    rules: SlideRules, stream: TileStream, plan: SlidePlan, draft: Draft
) -> tuple[Stain | None, dict[str, Any]]:
    """Prepare the normalization, and facts about it; stains of a whole slide are found first."""
    from histograft.imaging.slide_tiles import TileStatus
    from histograft.imaging.stain import TissueSample, apply_stains, estimate_stains, macenko

    if rules.stain == "none" or not len(plan.coords):
        return None, {}
    if rules.stain == "macenko-tile":
        return partial(macenko, mode="tile", reference=rules.reference), {}
    sample = TissueSample(io=rules.reference.io)
    step = -(-len(plan.coords) // STAIN_SAMPLE)
    for part in stream.parts(plan.coords[::step]):
        sample.add(part.tiles[part.status == TileStatus.READ])
    found = estimate_stains(sample)
    stains = None if found.stains is None else json.loads(found.stains.to_json())
    reference = json.loads(rules.reference.to_json())
    draft.write_json(
        STAINS, {"status": found.status.label, "stains": stains, "reference": reference}
    )
    facts = {"stains": found.status.label, "stains_explained": found.status.explanation}
    return partial(apply_stains, slide=found, reference=rules.reference), facts


def _tile_table(plan: SlidePlan, draft: Draft) -> TileTable:
    import numpy as np

    from histograft.imaging.slide_tiles import TileStatus

    n_tiles = len(plan.coords)
    none = np.empty(0, np.uint8)
    status, stained = (
        np.concatenate([none, *read_blocks(draft.work, n_tiles, name)])
        for name in (STATUS, STAINED)
    )
    read = status == TileStatus.READ
    return TileTable(plan.coords[read], stained[read], plan.coords[~read], status[~read])


def _write_models(
    entry: SlideEntry,
    rules: SlideRules,
    extractor: NetworkExtractor,
    plan: SlidePlan,
    table: TileTable,
    draft: Draft,
) -> None:
    further = dict(extractor.attributes) | {"stain": rules.stain}
    if rules.stain != "none":
        further |= {"stain_reference": rules.reference.name, "stain_io": rules.reference.io}
    facts = SlideFacts(entry.slide_id, *plan.sizes[0], plan.mpp_source, plan.spec, further)
    for model in extractor.models:
        with draft.writing(f"{model}.h5") as path:
            blocks: Iterator[NDArray[np.float32]] = read_blocks(draft.work, len(plan.coords), model)
            write_slide_features(path, model, blocks, extractor.sizes[model], table, facts)


def _write_pictures(plan: SlidePlan, draft: Draft) -> None:
    from PIL import Image

    from histograft.imaging.geojson import Shape, to_geojson

    outline = [Shape(plan.outlines, "Tissue")] if plan.outlines else []
    draft.write_text(OUTLINES, to_geojson(outline) + "\n")
    with draft.writing(OVERVIEW) as path:
        Image.fromarray(plan.overview).save(path, format="jpeg", quality=85)


def _facts(entry: SlideEntry, plan: SlidePlan, table: TileTable) -> dict[str, Any]:
    from histograft.imaging.slide_tiles import TileStatus
    from histograft.imaging.stain import StainStatus

    lost = Counter(table.left_out_status.tolist())
    kept = Counter(table.status[table.status != StainStatus.NORMALIZED].tolist())
    return {
        "unit": "tile",
        "slide_id": entry.slide_id,
        "reader": plan.reader,
        "size": list(plan.sizes[0]),
        "mpp": plan.mpp0,
        "mpp_source": plan.mpp_source,
        "mpp_effective": plan.spec.effective_mpp,
        "upsampled": plan.spec.is_upsampling,
        "tissue_mm2": round(plan.tissue_mm2, 4),
        "n_tiles": len(table.coords),
        "n_unreadable": lost[TileStatus.UNREADABLE],
        "n_unscanned": lost[TileStatus.UNSCANNED],
        "colors_kept": {StainStatus(code).label: n for code, n in sorted(kept.items())},
        "notes": list(plan.notes),
    }
