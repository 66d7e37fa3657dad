"""Features of all patches of a patches artefact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft, Identity, make_once
from histograft.core.errors import InputError
from histograft.core.files import written_atomically
from histograft.core.reporter import Reporter
from histograft.core.tables import FEATURE_INDEX
from histograft.verbs.extractors import Extractor
from histograft.verbs.feature_files import INDEX, write_features
from histograft.verbs.networks import group_key
from histograft.verbs.patch_images import images_of, load_patches

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

BLOCK = 1024  # patches after which a killed run resumes


def embed_patches(
    patches: Artefact,
    extractor: Extractor,
    out: Path,
    identity: Identity,
    execution: Mapping[str, Any],
    reporter: Reporter,
) -> Artefact:
    """Make the features artefact of a patches artefact.

    Parameters
    ----------
    patches : Artefact
        The patches.
    extractor : Extractor
        What turns them into features.
    out : pathlib.Path
        Folder of the features artefact.
    identity : Identity
        What it is.
    execution : mapping
        How it runs, for the manifest.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        One ``MODEL.h5`` for each model, and ``index.parquet``.
    """

    def work(draft: Draft) -> Artefact:
        table = load_patches(patches)
        _compute_blocks(extractor, patches, table, draft, reporter)
        sizes = _write_models(extractor, patches, table, draft)
        index = _index(table, extractor.seen)
        with draft.writing(INDEX) as path:
            index.to_parquet(path, index=False)
        facts = {name: patches.facts[name] for name in ("dataset", "classes", "task")}
        facts |= {"unit": "patch", "models": extractor.models, "sizes": sizes}
        facts |= {"n_patches": len(table), "n_seen": int(index["seen"].sum())}
        return draft.finish(facts, execution)

    return make_once(out, identity, work, reporter)


def _compute_blocks(
    extractor: Extractor, patches: Artefact, table: pd.DataFrame, draft: Draft, reporter: Reporter
) -> None:
    """Write the features of each block of patches into the work folder, where they are not yet."""
    import numpy as np

    title = f"{patches.facts['dataset']}: features {', '.join(extractor.models)}"
    with reporter.task(title, len(table)) as task:
        for start in range(0, len(table), BLOCK):
            block = _block(draft, start)
            rows = table.iloc[start : start + BLOCK]
            if block.is_file():
                task.advance(len(rows))
                continue
            parts: dict[str, list[Any]] = {model: [] for model in extractor.models}
            for part in extractor.features(images_of(patches, rows), rows):
                for model, values in part.items():
                    parts[model].append(values)
                task.advance(len(next(iter(part.values()))))
            with written_atomically(block) as path:
                arrays: Any = {model: np.concatenate(v) for model, v in parts.items()}
                np.savez(path, **arrays)


def _write_models(
    extractor: Extractor, patches: Artefact, table: pd.DataFrame, draft: Draft
) -> dict[str, int]:
    """Write one feature file for each model; return the length of its features."""
    side = int(images_of(patches, table.head(1)).image(0).shape[0])
    attributes = dict(extractor.attributes) | {
        "name": patches.facts["dataset"],
        "patch_size": side,
        "overlap_px": round(side * patches.manifest["config"]["overlap"]),
        "patches": patches.id,
    }
    sizes = {}
    for model in extractor.models:
        features = _joined(draft, model, len(table))
        _refuse_not_finite(features, model)
        sizes[model] = int(features.shape[1])
        with draft.writing(f"{model}.h5") as path:
            write_features(path, features, table, attributes | {"encoder": model})
    return sizes


def _block(draft: Draft, start: int) -> Path:
    return draft.work / f"block-{start:09d}.npz"


def _joined(draft: Draft, model: str, n_rows: int) -> NDArray[np.float32]:
    import numpy as np

    parts = []
    for start in range(0, n_rows, BLOCK):
        with np.load(_block(draft, start)) as block:
            parts.append(block[model].astype(np.float32))
    return np.concatenate(parts)


def _refuse_not_finite(features: NDArray[np.float32], model: str) -> None:
    import numpy as np

    broken = ~np.isfinite(features).all(axis=1)
    if broken.any():
        raise InputError(
            f"{model}: {int(broken.sum())} of {len(features)} patches give NaN or infinity "
            f"(first: row {int(broken.argmax())})",
            "check the weights, or use --precision 32-true",
        )


def _index(table: pd.DataFrame, seen: set[tuple[str, str]]) -> pd.DataFrame:
    """Say which patch each row is, and whether the network was tuned on it or on its group."""
    index = table[[c.name for c in FEATURE_INDEX.columns if c.name != "seen"]].copy()
    image = [("image", value) in seen for value in table["source_sha256"]]
    group = [
        source != "image" and ("group", group_key(dataset, name)) in seen
        for dataset, name, source in zip(
            table["dataset"], table["group"], table["group_source"], strict=True
        )
    ]
    index["seen"] = [a or b for a, b in zip(image, group, strict=True)]
    return index
