"""Features of one slide: tiles are read ahead, normalized, embedded and written block by block."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, Input, make_once
from histograft.core.errors import InputError
from histograft.core.files import written_atomically
from histograft.verbs.slide_files import SlideFacts, TileTable, write_slide_features
from histograft.verbs.slide_plan import SlidePlan, TileRules, plan_slide
from histograft.verbs.slides import SlideEntry, fingerprint
from histograft.verbs.tile_stream import PART, Stain, TileStream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.imaging.stain import StainReference
    from histograft.verbs.extractors import NetworkExtractor

VERSION = 1
BLOCK = 4 * PART  # tiles after which a killed run resumes
STAIN_SAMPLE = 2 * PART  # tiles, spread over the slide, in which its stains are found
OUTLINES = "tissue.geojson"
OVERVIEW = "overview.jpg"
STAINS = "stains.json"
StainMode = Literal["none", "macenko-slide", "macenko-tile"]


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
    """

    tiles: TileRules
    stain: StainMode
    reference: StainReference
    of_pass: Mapping[str, Any]
    threads: int

    def settings(self) -> dict[str, Any]:
        """Return what results depend on, as JSON values."""
        stain = {} if self.stain == "none" else {"reference": json.loads(self.reference.to_json())}
        return asdict(self.tiles) | {"stain": self.stain} | stain | dict(self.of_pass)


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
        Called with tiles done and all tiles of the slide.

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
    try:
        print_of_file = fingerprint(entry.path)
    except OSError as error:
        raise InputError(
            f"{entry.path} cannot be read ({error.strerror or error})", "see that it is there"
        ) from error
    settings = rules.settings() | {"models": extractor.models, "mpp": entry.mpp}
    if entry.annotations is not None:
        settings["annotations"] = _text_of(entry.annotations)
    slide = Input("slide", "slide", print_of_file, entry.slide_id)
    settings |= extractor.resolved
    identity = Identity("features", "embed-slide", VERSION, settings, (slide, extractor.record))

    def work(draft: Draft) -> Artefact:
        plan = plan_slide(entry, rules.tiles)
        stream = TileStream(
            entry.path, entry.mpp, plan.spec, upsample=rules.tiles.upsample, threads=rules.threads
        )
        with stream:
            stain = _stain(rules, stream, plan, draft)
            _compute_blocks(stream, plan, stain, extractor, draft, tell)
        return _finish(entry, rules, extractor, plan, draft)

    return make_once(folder, identity, work)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error})", "export it again as GeoJSON"
        ) from error


def _stain(rules: SlideRules, stream: TileStream, plan: SlidePlan, draft: Draft) -> Stain | None:
    """Prepare the normalization; for a slide as a whole its stains are found first."""
    from histograft.imaging.stain import TissueSample, apply_stains, estimate_stains, macenko

    if rules.stain == "none":
        return None
    if rules.stain == "macenko-tile":
        return partial(macenko, mode="tile", reference=rules.reference)
    sample = TissueSample(io=rules.reference.io)
    step = max(1, len(plan.coords) // STAIN_SAMPLE)
    for part in stream.parts(plan.coords[::step]):
        sample.add(part.tiles[part.status == 0])
    found = estimate_stains(sample)
    draft.write_json(
        STAINS,
        {
            "status": found.status.label,
            "stains": None if found.stains is None else json.loads(found.stains.to_json()),
            "reference": json.loads(rules.reference.to_json()),
        },
    )
    return partial(apply_stains, slide=found, reference=rules.reference)


def _compute_blocks(
    stream: TileStream,
    plan: SlidePlan,
    stain: Stain | None,
    extractor: NetworkExtractor,
    draft: Draft,
    tell: Callable[[int, int], None],
) -> None:
    """Write features and statuses of each block into the work folder, where they are not yet."""
    import numpy as np

    n_tiles = len(plan.coords)
    starts = list(range(0, n_tiles, BLOCK))
    n_done = next((i for i, start in enumerate(starts) if not _block(draft, start).is_file()), None)
    if n_done is None:
        return
    parts = stream.parts(plan.coords, stain, first=starts[n_done])
    for start in starts[n_done:]:
        n_parts = -(-min(BLOCK, n_tiles - start) // PART)
        statuses: list[NDArray[np.uint8]] = []
        stained: list[NDArray[np.uint8]] = []

        def pictures(
            n_parts: int = n_parts,
            statuses: list[NDArray[np.uint8]] = statuses,
            stained: list[NDArray[np.uint8]] = stained,
        ) -> Iterator[NDArray[np.uint8]]:
            for part in islice(parts, n_parts):
                statuses.append(part.status)
                stained.append(part.stain_status)
                yield from part.tiles[part.status == 0]

        found: dict[str, list[NDArray[np.float32]]] = {m: [] for m in extractor.models}
        done = start
        for batch in extractor.features_of(pictures()):
            for model, values in batch.items():
                found[model].append(values)
            done += len(next(iter(batch.values())))
            tell(done, n_tiles)
        arrays: dict[str, Any] = {
            model: np.concatenate([np.empty((0, extractor.sizes[model]), np.float32), *values])
            for model, values in found.items()
        }
        with written_atomically(_block(draft, start)) as path:
            np.savez(path, status=np.concatenate(statuses), stain=np.concatenate(stained), **arrays)


def _block(draft: Draft, start: int) -> Path:
    return draft.work / f"block-{start:09d}.npz"


def _finish(
    entry: SlideEntry,
    rules: SlideRules,
    extractor: NetworkExtractor,
    plan: SlidePlan,
    draft: Draft,
) -> Artefact:
    from histograft.imaging.geojson import Shape, to_geojson

    table = _tile_table(plan, draft)
    facts = SlideFacts(
        entry.slide_id,
        *plan.sizes[0],
        plan.mpp_source,
        plan.spec,
        dict(extractor.attributes) | {"stain": rules.stain},
    )
    for model in extractor.models:
        with draft.writing(f"{model}.h5") as path:
            blocks = _features(draft, plan, model)
            write_slide_features(path, model, blocks, extractor.sizes[model], table, facts)
    outline = [Shape(plan.outlines, "Tissue")] if plan.outlines else []
    draft.write_text(OUTLINES, to_geojson(outline) + "\n")
    _write_overview(plan, draft)
    return draft.finish(_facts(entry, plan, table, extractor, rules))


def _tile_table(plan: SlidePlan, draft: Draft) -> TileTable:
    import numpy as np

    status, stained = [np.empty(0, np.uint8)], [np.empty(0, np.uint8)]
    for start in range(0, len(plan.coords), BLOCK):
        with np.load(_block(draft, start)) as block:
            status.append(block["status"])
            stained.append(block["stain"])
    codes = np.concatenate(status)
    read = codes == 0
    return TileTable(
        plan.coords[read], np.concatenate(stained)[read], plan.coords[~read], codes[~read]
    )


def _features(draft: Draft, plan: SlidePlan, model: str) -> Iterator[NDArray[np.float32]]:
    """Yield the features of each block; a value that is not finite is an error."""
    import numpy as np

    for start in range(0, len(plan.coords), BLOCK):
        with np.load(_block(draft, start)) as block:
            features = block[model]
        if not np.isfinite(features).all():
            raise InputError(
                f"{model}: a tile of {draft.path.name} gives NaN or infinity",
                "check the weights, or use --precision 32-true",
            )
        yield features


def _write_overview(plan: SlidePlan, draft: Draft) -> None:
    from PIL import Image

    with draft.writing(OVERVIEW) as path:
        Image.fromarray(plan.overview).save(path, format="jpeg", quality=85)


def _facts(
    entry: SlideEntry,
    plan: SlidePlan,
    table: TileTable,
    extractor: NetworkExtractor,
    rules: SlideRules,
) -> dict[str, Any]:
    from histograft.imaging.stain import StainStatus

    stained = Counter(table.status.tolist()) if rules.stain != "none" else Counter()
    return {
        "unit": "tile",
        "slide_id": entry.slide_id,
        "models": extractor.models,
        "reader": plan.reader,
        "size": list(plan.sizes[0]),
        "mpp": plan.mpp0,
        "mpp_source": plan.mpp_source,
        "mpp_effective": plan.spec.effective_mpp,
        "upsampled": plan.spec.is_upsampling,
        "tissue_mm2": round(plan.tissue_mm2, 4),
        "n_tiles": len(table.coords),
        "n_unreadable": len(table.left_out),
        "stain_status": {StainStatus(code).label: n for code, n in sorted(stained.items())},
        "notes": list(plan.notes),
    }
