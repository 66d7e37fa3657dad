"""The section of a report on slides: what counts as tissue, and what became of the tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, open_artefact
from histograft.verbs.one_slide import OUTLINES, OVERVIEW
from histograft.verbs.report_captions import Caption
from histograft.verbs.slide_embedding import slide_folder
from histograft.verbs.slide_list import INDEX

if TYPE_CHECKING:
    import pandas as pd

    from histograft.figures.page import Picture, Section, Table
    from histograft.figures.slide_overview import SlidePicture

MOST_SLIDES = 6
SLIDES: Caption = (
    "Slides in small. Left: the outline of what counts as tissue, and a bar of its length. Right: "
    "the tiles by what became of them.",
    "Overviews of slides with tissue outlines and tiles.",
)
Sketcher = Callable[..., "Picture"]


def slide_section(listed: Artefact, draw: Sketcher) -> Section:
    """Make the section on one list of slides.

    Parameters
    ----------
    listed : Artefact
        The list that `embed` wrote, beside its slides.
    draw : callable
        Takes a figure, a file name without ending, a caption and panels to a picture of the page.

    Returns
    -------
    Section
    """
    import pandas as pd

    from histograft.figures.page import Section
    from histograft.figures.slide_overview import slide_overview

    index = pd.read_csv(listed.file(INDEX), dtype={"slide_id": str, "patient_id": str})
    tiled = index[index["n_tiles"] > 0]
    shown = _spread(tiled)
    panels = [slide_overview(_picture(listed, slide_id)) for slide_id in shown]
    text = [
        f"{len(index):,} slides, {int(tiled['n_tiles'].sum()):,} tiles in {len(tiled):,} of them; "
        f"shown are {len(shown)}. The others and their remarks are in slides.csv."
    ]
    figures = (draw(panels[0], "slides", SLIDES, panels),) if panels else ()
    return Section("Slides", text=tuple(text), figures=figures, tables=(_table(index),))


def _spread(tiled: pd.DataFrame) -> list[str]:
    """Choose slides from small to large, so that odd ones are seen."""
    import numpy as np

    ordered = tiled.sort_values(["n_tiles", "slide_id"])["slide_id"].tolist()
    places = np.linspace(0, len(ordered) - 1, min(MOST_SLIDES, len(ordered))).round().astype(int)
    return [ordered[i] for i in dict.fromkeys(places.tolist())]


def _picture(listed: Artefact, slide_id: str) -> SlidePicture:
    import h5py
    import numpy as np
    from PIL import Image

    from histograft.figures.slide_overview import SlidePicture
    from histograft.imaging.geojson import read_geojson
    from histograft.imaging.slide_tiles import TileStatus
    from histograft.imaging.stain import StainStatus

    artefact = open_artefact(slide_folder(listed.path.parent, slide_id), "features")
    facts = artefact.facts
    outlines = artefact.file(OUTLINES)
    shapes = read_geojson(outlines.read_text(encoding="utf-8"), outlines.name).shapes
    with Image.open(artefact.file(OVERVIEW)) as image:
        overview = np.asarray(image.convert("RGB"))
    with h5py.File(artefact.file(f"{facts['models'][0]}.h5"), "r") as file:
        stained = file["features"].attrs["histo_stain"] != "none"
        kept = [StainStatus(s).label if stained else "read" for s in file["status"][:]]
        left_out = [TileStatus(s).name.lower() for s in file["left_out_status"][:]]
        coords = np.concatenate([file["coords"][:], file["left_out"][:].reshape(-1, 2)])
        side0 = int(file["coords"].attrs["patch_size_level0"])
    return SlidePicture(
        name=slide_id,
        overview=overview,
        size0=(facts["size"][0], facts["size"][1]),
        mpp0=facts["mpp"],
        rings=[ring for shape in shapes for polygon in shape.polygons for ring in polygon.rings],
        coords=coords.astype(np.int64),
        side0=side0,
        status=[*kept, *left_out],
    )


def _table(index: pd.DataFrame) -> Table:
    import pandas as pd

    from histograft.figures.page import Table

    rows: list[dict[str, Any]] = []
    for status, part in index.groupby("status", sort=False):
        rows.append(
            {
                "status": status,
                "slides": f"{len(part):,}",
                "tiles": f"{int(part['n_tiles'].sum()):,}",
                "tissue, mm²": f"{part['tissue_mm2'].sum():,.1f}",
                "unreadable tiles": f"{int(part['n_unreadable'].sum()):,}",
            }
        )
    return Table(pd.DataFrame(rows), "What became of the slides.")
