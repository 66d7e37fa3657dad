"""A tree of slide features, as `embed` makes it, without slides or networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from foreign_features import HEIGHT, MPP, WIDTH, Slide

from histograft.core.artefact import Artefact, Identity, Input, claim
from histograft.core.reporter import SILENT
from histograft.core.units import TileSpec
from histograft.verbs.slide_embedding import slide_folder
from histograft.verbs.slide_files import SlideFacts, TileTable, write_slide_features
from histograft.verbs.slide_list import Outcome, write_list

SPEC = TileSpec(tile_px=224, target_mpp=0.5, mpp0=MPP, overlap=0.25)
MODELS = ("ftx-dense", "ftx-gap")


def write_tree(
    out: Path, slides: dict[str, Slide], models: tuple[str, ...] = MODELS[:1]
) -> Artefact:
    """Write slides with features of each model (those of the second are the negative)."""
    made, outcomes = [], []
    for number, (slide_id, one) in enumerate(slides.items()):
        n = len(one.coords)
        left_out = np.array([[7, 8]], np.int64)
        status = (np.arange(n) % 3).astype(np.uint8)
        table = TileTable(one.coords, status, left_out, np.array([1], np.uint8))
        further = {"stain": "macenko-tile", "network": "ab" * 32, "mean": [0.5, 0.25, 0.5]}
        facts = SlideFacts(slide_id, WIDTH, HEIGHT, "openslide", SPEC, further)
        config = {"models": list(models), "slide": slide_id}
        draft = claim(slide_folder(out, slide_id), Identity("features", "embed-slide", 1, config))
        with draft:
            for sign, model in zip((1, -1), models, strict=False):
                with draft.writing(f"{model}.h5") as path:
                    blocks = [sign * one.features]
                    write_slide_features(path, model, blocks, one.features.shape[1], table, facts)
            done = draft.finish(
                {"unit": "tile", "slide_id": slide_id, "models": list(models), "n_tiles": n,
                 "n_unreadable": 1, "mpp": MPP, "mpp_source": "openslide", "tissue_mm2": 2.0,
                 "mpp_effective": SPEC.effective_mpp}
            )  # fmt: skip
        made.append(done)
        kind = "done" if n else "no tissue"
        outcomes.append(Outcome(slide_id, f"p{number // 2}", kind, "", done.facts))
    network = Input("network", "random", "0" * 64)
    return write_list(outcomes, made, network, out, SILENT, keep_going=True)
