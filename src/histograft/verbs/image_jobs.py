"""The work of `standardize` on all images: their jobs, in order, with a journal to resume from."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Draft
from histograft.core.executor import map_in_order, open_executor
from histograft.core.files import written_atomically
from histograft.core.reporter import Reporter
from histograft.verbs.patching import ImageJob, ImageOutcome, MaskRules, PatchRules, cut_image
from histograft.verbs.sources import Source, short_hash

if TYPE_CHECKING:
    import pandas as pd

    from histograft.verbs.standardize import Standardize

CHUNK = 64  # images per line of the journal that a resumed run reads


def cut_all(
    table: pd.DataFrame,
    config: Standardize,
    source: Source,
    draft: Draft,
    reporter: Reporter,
) -> Iterator[ImageOutcome]:
    """Cut every image, in order; finished chunks of an earlier run are read from the journal."""
    jobs = _jobs(table, config, source, draft.path)
    starts = range(0, len(jobs), CHUNK)
    with (
        reporter.task(f"{source.name}: images to patches", len(jobs)) as task,
        open_executor(config.workers) as executor,
    ):
        for start in starts:
            journal = draft.work / f"chunk-{start:08d}.json"
            outcomes = _read_journal(journal, draft.path)
            if outcomes is None:
                outcomes = []
                for outcome in map_in_order(executor, cut_image, jobs[start : start + CHUNK]):
                    outcomes.append(outcome)
                    task.advance()
                text = json.dumps([outcome.to_json() for outcome in outcomes])
                with written_atomically(journal) as partial:
                    partial.write_text(text, encoding="utf-8")
            else:
                task.advance(len(outcomes))
            yield from outcomes


def _read_journal(journal: Path, out: Path) -> list[ImageOutcome] | None:
    """Read a chunk that is done, or None where it is not, or one of its files is not whole."""
    if not journal.is_file():
        return None
    outcomes = [ImageOutcome.from_json(v) for v in json.loads(journal.read_text(encoding="utf-8"))]
    for outcome in outcomes:
        for name, record in outcome.files.items():
            path = out / name
            if not path.is_file() or path.stat().st_size != record.size:
                return None
    return outcomes


def _jobs(table: pd.DataFrame, config: Standardize, source: Source, out: Path) -> list[ImageJob]:
    rules = PatchRules(
        target_mpp=target_mpp(config),
        patch_px=config.patch_px,
        overlap=config.overlap,
        resampling=config.resampling,
        small=config.small,
        background=config.background,
        background_scope=config.background_scope,
        flush=config.flush,
        upsample=config.upsample,
        max_image_px=config.max_image_px,
        masks=_mask_rules(config, table),
    )
    folders = _class_folders(table["label"].unique())
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [
        ImageJob(
            path=source.root / row["file"],
            mask_path=None if row["mask"] is None else source.root / row["mask"],
            name=f"{source.name}/{row['file']}",
            stem=f"{plain_name(Path(row['file']).stem)}-{short_hash(row['file'])}",
            folder=f"images/{folders[row['label']]}",
            out=out,
            native_mpp=row["mpp"],
            rules=rules,
        )
        for row in rows
    ]


def _mask_rules(config: Standardize, table: pd.DataFrame) -> MaskRules | None:
    codes: dict[int, str] = table.attrs["mask_codes"]
    if not codes or config.min_fraction is None:
        return None
    return MaskRules(
        codes=tuple(codes),
        names=tuple(codes.values()),
        min_fraction=config.min_fraction,
        min_labelled=config.min_labelled,
    )


def target_mpp(config: Standardize) -> float | None:
    """µm/px of the patches, None where pixels are kept."""
    return None if config.target_mpp == "keep" else float(config.target_mpp)


def _class_folders(labels: Any) -> dict[str, str]:
    """Folder names for people, kept apart where two labels look alike in plain letters."""
    plain = {label: plain_name(label) for label in labels}
    counts = Counter(name.lower() for name in plain.values())
    return {
        label: name if counts[name.lower()] == 1 else f"{name}-{short_hash(label)}"
        for label, name in plain.items()
    }


def plain_name(name: str) -> str:
    """Reduce a name to 60 letters and digits that every disk and shell can carry."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_name)[:60].strip("._") or "image"
