"""Phantom slides: what their table says is drawn is there, and is counted."""

import csv

import numpy as np
import openslide
import pandas as pd
import pytest

from histograft.core.artefact import Identity, make_once
from histograft.core.reporter import SILENT
from histograft.recipes.phantom_check import right_tiles
from histograft.recipes.phantom_slides import write_slides


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_slides(tmp_path_factory.mktemp("phantoms"), 4, 0, 1, SILENT)


def rows_of(files):
    with files.fields.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fields_lie_on_the_grid_of_their_size_and_hold_the_drawn_tissue(files):
    rows = rows_of(files)
    assert len(rows) == 4 * 9
    darkness = {}
    for row in rows:
        with openslide.OpenSlide(files.slides.with_name(f"{row['slide_id']}.tif")) as slide:
            side = slide.dimensions[0] // 5
            x0, y0 = int(row["x0"]), int(row["y0"])
            assert (x0 % side, y0 % side) == (0, 0)
            region = slide.read_region((x0, y0), 0, (side, side)).convert("L")
            darkness.setdefault(row["tissue"], []).append(255 - np.asarray(region).mean())
            glass = slide.read_region((0, 0), 0, (side, side)).convert("L")
            assert np.asarray(glass).min() > 235
    # Lymphocytes lie close to each other, stroma is mostly pale fibers.
    assert min(darkness.get("lymphoid", [np.inf])) > max(darkness["stroma"])


def test_tiles_are_right_whose_class_was_drawn_there(files, tmp_path):
    """One wrong in four, and one off the fields."""
    rows = rows_of(files)[:4]

    def work(draft):
        (draft.path / "tiles").mkdir()
        table = pd.DataFrame(rows)[["x0", "y0", "tissue"]].astype({"x0": int, "y0": int})
        table = table.rename(columns={"tissue": "class"})
        table.loc[2, "class"] = "another"
        table.loc[4] = [0, 0, "stroma"]
        with draft.writing(f"tiles/{rows[0]['slide_id']}.parquet") as path:
            table.to_parquet(path)
        return draft.finish()

    tissue = make_once(tmp_path / "tissue", Identity("predictions", "classify", 1, {}), work)
    assert right_tiles(tissue.path, files.fields) == (3, 4)
