"""eva's folders: a tensor for each slide and ``manifest.csv``.

The layout is that of eva's embeddings writers and of ``MultiEmbeddingsDataset`` in
https://github.com/kaiko-ai/eva. It has no coordinates; ours go into ``coordinates`` beside it, as
files of TRIDENT's schema.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from histograft.core.artefact import Draft
from histograft.core.errors import InputError
from histograft.verbs.feature_formats.contract import Found, Written, check_name
from histograft.verbs.feature_formats.coordinates import places_beside
from histograft.verbs.feature_formats.feature_file import write_coordinates_file
from histograft.verbs.feature_formats.tensors import read_tensor_with_places, write_tensor_file
from histograft.verbs.feature_formats.tiles import SlideTiles
from histograft.verbs.text_tables import read_text_table

MANIFEST = "manifest.csv"
COORDINATES = "coordinates"
COLUMNS = ("origin", "embeddings", "target", "split", "wsi_id")


def recognize(source: Path) -> bool:
    """Whether a folder has eva's manifest."""
    return (source / MANIFEST).is_file()


def find(source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
    """List the slides: rows that share ``wsi_id``, else each row by itself.

    Raises
    ------
    InputError
        The manifest cannot be read, or leads out of its folder.
    """
    path = source / MANIFEST
    table = read_text_table(path, ["embeddings"])
    groups: dict[str, list[Path]] = {}
    rows: list[dict[Any, Any]] = table.astype(object).to_dict("records")
    for row in rows:
        file = source / str(row["embeddings"])
        if not file.resolve().is_relative_to(source.resolve()):
            raise InputError(
                f"{path}: {row['embeddings']!r} leads out of its folder",
                "write paths below the folder of the manifest",
            )
        name = str(row.get("wsi_id") or "") or file.stem
        groups.setdefault(check_name(name, "slide"), []).append(file)
    found = []
    for slide_id, files in groups.items():
        places = places_beside(coordinates or source / COORDINATES, slide_id)
        beside = () if places is None else (places,)
        load = partial(_load, tuple(files), slide_id, model, places)
        found.append(Found(slide_id, (*files, *beside), load))
    return found


def write(draft: Draft, tiles: SlideTiles) -> tuple[str, tuple[str, ...]]:
    """Write one slide as a tensor, and its coordinates."""
    with draft.writing(f"{COORDINATES}/{tiles.slide_id}_patches.h5") as path:
        write_coordinates_file(path, tiles)
    name = f"{tiles.slide_id}.pt"
    write_tensor_file(draft, name, tiles)
    return name, ()


def write_lists(draft: Draft, slides: Sequence[Written]) -> tuple[str, ...]:
    """Write the manifest."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for slide in slides:
        note = slide.note
        rows.writerow((slide.slide_id, slide.file, note.target, note.split, slide.slide_id))
    draft.write_text(MANIFEST, text.getvalue())
    without = sum(not (slide.note.target and slide.note.split) for slide in slides)
    if not without:
        return ()
    return (
        f"{without} of {len(slides)} slides have no target or no split in {MANIFEST}, which eva "
        "needs; give a table with the columns target and split (--slides)",
    )


def _load(
    files: tuple[Path, ...],
    slide_id: str,
    model: str | None,
    places: Path | None,
    mpp: float | None,
) -> SlideTiles:
    del mpp  # coordinates are pixels already
    return read_tensor_with_places(files, (slide_id, model), places)
