"""Compare what a network says of the tiles of phantom slides with what was drawn there."""

from __future__ import annotations

import csv
from pathlib import Path

from histograft.core.artefact import open_artefact
from histograft.verbs.classify import TILES_FOLDER


def right_tiles(tissue: Path, truth: Path) -> tuple[int, int]:
    """Count the tiles that show one drawn field, and those of them that are named rightly.

    Parameters
    ----------
    tissue : pathlib.Path
        What `classify` made of the phantom slides.
    truth : pathlib.Path
        The table of drawn fields: slide_id, x0, y0 (level-0 pixels) and tissue.

    Returns
    -------
    n_right, n_tiles : int
        A tile counts whose corner is the corner of a field.
    """
    import pandas as pd

    artefact = open_artefact(tissue, "predictions")
    with truth.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    drawn = {(row["slide_id"], int(row["x0"]), int(row["y0"])): row["tissue"] for row in rows}
    n_right = n_tiles = 0
    for slide_id in dict.fromkeys(row["slide_id"] for row in rows):
        name = f"{TILES_FOLDER}/{slide_id}.parquet"
        if name not in artefact.files:  # no tissue was found
            continue
        table = pd.read_parquet(artefact.file(name))
        places = zip(table["x0"], table["y0"], table["class"], strict=True)
        found = [(drawn.get((slide_id, int(x0), int(y0))), label) for x0, y0, label in places]
        n_tiles += sum(known is not None for known, _ in found)
        n_right += sum(known == label for known, label in found)
    return n_right, n_tiles
