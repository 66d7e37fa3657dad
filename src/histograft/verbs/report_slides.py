"""The sections of a report on slides: tissue and tiles, what stands for a slide, what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.verbs.classify import SHARES, TILES_FOLDER
from histograft.verbs.nearest_tiles import NEAREST, tile_file
from histograft.verbs.one_slide import OUTLINES, OVERVIEW
from histograft.verbs.report_captions import Caption
from histograft.verbs.slide_list import INDEX, open_listed, read_list

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.figures.page import Picture, Section, Table
    from histograft.figures.slide_overview import SlidePicture

MOST_SLIDES = 6
MOST_MEANS = 4
BESIDE = 2  # tiles side by side on a narrow screen
MOST_ROWS = 20
TITLE = "Slides"
SLIDES: Caption = (
    "Slides in small, each twice: with the outline of what counts as tissue and a bar of its "
    "length, and with the tiles by what became of them.",
    "Overviews of slides with tissue outlines and tiles.",
)
MEANS: Caption = (
    "The tile nearest to the mean of the features of its slide, by slide and model (Fig. 7 of Li "
    "2022), as it was scanned.",
    "Tiles of slides, a row for each model.",
)
MAPS: Caption = (
    "Slides in small, each twice: with the outline of its tissue, and with its tiles by the most "
    "probable class and the share of each class.",
    "Overviews of slides with tiles in the colors of tissue classes.",
)
ONE_OF_ITS_CLASSES = (
    "The network knows the tissue types that it was tuned on and no other: each tile gets one of "
    "them, also where it shows something else. Nothing here was checked by a pathologist. The "
    "tables of all tiles are in `tiles/`, outlines for QuPath in `qupath/` of the artefact that "
    "`histograft classify` made."
)
OTHER_COLORS = (
    "The stain of these tiles was normalized ({stain}). A network that was tuned on images with "
    "their own colors sees others here, and its classes can be wrong for that alone."
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
    from histograft.figures.page import Section
    from histograft.figures.slide_overview import slide_overview, slide_panels

    index = read_list(listed)
    tiled = index[index["n_tiles"] > 0]
    shown = _with_overview(listed, tiled)
    pictures = [_picture(artefact) for artefact in shown]
    panels = [panel for picture in pictures for panel in slide_panels(picture)]
    text = [_counted(index, tiled, len(shown))]
    figures = (draw(slide_overview(pictures[0]), "slides", SLIDES, panels),) if panels else ()
    return Section(TITLE, text=tuple(text), figures=figures, tables=(_table(index),))


def further_sections(
    given: Sequence[Artefact], labels: Mapping[str, str], draw: Sketcher
) -> list[Section]:
    """Make the sections on what stands for slides and what tissue they show.

    Parameters
    ----------
    given : sequence of Artefact
        All that the report draws from; what `pool` and `classify` made is taken.
    labels : mapping of str to str
        What to call each model.
    draw : callable
        As in `slide_section`.

    Returns
    -------
    list of Section
        Empty where nothing of this kind is given.
    """
    pooled = [a for a in given if NEAREST in a.files]
    lists = [a for a in given if a.kind == "features" and INDEX in a.files]
    further = [_means(pooled, labels, draw)] if pooled else []
    further += [_tissue(a, lists, draw) for a in given if SHARES in a.files]
    return [section for section in further if section is not None]


# --- tissue and tiles ----------------------------------------------------------------------------


def _counted(index: pd.DataFrame, tiled: pd.DataFrame, n_shown: int) -> str:
    """Say how many slides there are, and how many of them are shown."""
    told = (
        f"{len(index):,} slide{'s' if len(index) != 1 else ''}, "
        f"{int(tiled['n_tiles'].sum()):,} tiles in {len(tiled):,} of them"
    )
    if n_shown == len(index):
        return f"{told}, all shown. Remarks on them are in slides.csv."
    return f"{told}; shown are {n_shown}. The others and their remarks are in slides.csv."


def _spread(tiled: pd.DataFrame, most: int) -> list[str]:
    """Choose slides from small to large, so that odd ones are seen."""
    import numpy as np

    ordered = tiled.sort_values(["n_tiles", "slide_id"])["slide_id"].tolist()
    places = np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int)
    return [ordered[i] for i in dict.fromkeys(places.tolist())]


def _with_overview(listed: Artefact, tiled: pd.DataFrame) -> list[Artefact]:
    """Open some slides that can be drawn; converted features have no pixels at all."""
    chosen = [open_listed(listed, slide_id) for slide_id in _spread(tiled, MOST_SLIDES)]
    return [artefact for artefact in chosen if OVERVIEW in artefact.files]


def _picture(artefact: Artefact) -> SlidePicture:
    import h5py
    import numpy as np
    from PIL import Image

    from histograft.figures.slide_overview import SlidePicture
    from histograft.imaging.geojson import read_geojson
    from histograft.imaging.slide_tiles import TileStatus
    from histograft.imaging.stain import StainStatus

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
        name=str(facts["slide_id"]),
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


# --- the tile that stands for a slide ------------------------------------------------------------


def _means(pooled: Sequence[Artefact], labels: Mapping[str, str], draw: Sketcher) -> Section | None:
    """Draw for some slides the tile that is nearest to their mean; None where no pixels are."""
    import numpy as np

    from histograft.figures.mean_tiles import mean_tiles
    from histograft.figures.page import Section

    tiles: dict[str, dict[str, NDArray[np.uint8] | None]] = {}
    for artefact in pooled:
        for slide_id, model, tile in _kept(artefact):
            tiles.setdefault(slide_id, {})[model] = tile
    if not tiles:
        return None
    names = sorted(tiles)
    places = np.linspace(0, len(names) - 1, min(MOST_MEANS, len(names))).round().astype(int)
    shown = {names[i]: tiles[names[i]] for i in places}
    tile_um = pooled[0].facts.get("tile_um")
    figure = mean_tiles(shown, labels, tile_um=tile_um)
    names_shown = list(shown)
    panels = [
        mean_tiles({name: shown[name] for name in names_shown[i : i + BESIDE]}, labels,
                   tile_um=tile_um)
        for i in range(0, len(names_shown), BESIDE)
    ]  # fmt: skip
    lost = {reason: n for a in pooled for reason, n in a.facts.get("tiles_not_kept", {}).items()}
    text = [
        "A slide becomes the mean of its tiles. The tile whose features are nearest to that mean, "
        "over features divided by their standard deviation in the slide, shows what a model takes "
        f"for typical of it; shown are "
        f"{'all' if len(shown) == len(names) else f'{len(shown)} of'} {len(names):,} slides."
    ]
    text += [f"Pixels of {n:,} more slides could not be read again: {r}." for r, n in lost.items()]
    return Section(
        "What stands for a slide",
        text=tuple(text),
        figures=(draw(figure, "mean-tiles", MEANS, panels),),
    )


def _kept(artefact: Artefact) -> list[tuple[str, str, NDArray[np.uint8]]]:
    """Slide, model and pixels of all nearest tiles whose pixels are there."""
    import numpy as np
    import pandas as pd
    from PIL import Image

    names = {"slide_id": str, "model": str}
    table = pd.read_csv(
        artefact.file(NEAREST), dtype=names, keep_default_na=False, na_values={"side0": [""]}
    )
    found = []
    for row in table.itertuples():
        name = tile_file(str(row.slide_id), row.x0, row.y0)  # type: ignore[arg-type]
        if name in artefact.files:
            with Image.open(artefact.file(name)) as image:
                found.append((str(row.slide_id), str(row.model), np.asarray(image.convert("RGB"))))
    return found


# --- tissue by the network -----------------------------------------------------------------------


def _tissue(classified: Artefact, lists: Sequence[Artefact], draw: Sketcher) -> Section:
    """Draw the map of some slides, and a table of the shares of the classes in them."""
    import pandas as pd

    from histograft.figures.page import Section
    from histograft.figures.slide_map import map_panels, slide_map

    facts = classified.facts
    ids = {i["id"] for i in classified.manifest["inputs"]}
    listed = next((a for a in lists if a.id in ids), None)
    shares = pd.read_csv(
        classified.file(SHARES), dtype={"slide_id": str, "patient_id": str, "class": str},
        keep_default_na=False, na_values={"share": [""]},
    )  # fmt: skip
    sizes = shares.groupby("slide_id", sort=False)["n_tiles"].sum().reset_index()
    text = [
        f"Tissue of {facts['n_tiles']:,} tiles of {facts['n_slides']:,} slides by the network that "
        f"was tuned on {facts['tuned_on']}, from its stored features `{facts['model']}`.",
        ONE_OF_ITS_CLASSES,
        *(OTHER_COLORS.format(stain=s) for s in facts["stains"] if s not in ("none", "unknown")),
        *(f"{note[0].upper()}{note[1:]}." for note in facts["notes"]),
    ]
    figures: tuple[Picture, ...] = ()
    if listed is None:
        text.append("Give `draw` the list of the slides as well to see them as maps.")
    else:
        shown = _with_overview(listed, sizes)
        maps = [_mapped(classified, a) for a in shown]
        panels = [panel for mapped in maps for panel in map_panels(mapped, facts["classes"])]
        whole = slide_map(maps[0], facts["classes"]) if maps else None
        figures = (draw(whole, "tissue", MAPS, panels),) if panels else ()
    tables = (_share_table(shares, _spread(sizes, MOST_ROWS)),)
    return Section("Tissue on the slides", text=tuple(text), figures=figures, tables=tables)


def _mapped(classified: Artefact, artefact: Artefact) -> SlidePicture:
    """Make the picture of a slide whose tiles have classes in place of statuses."""
    from dataclasses import replace

    import pandas as pd

    plain = _picture(artefact)
    table = pd.read_parquet(classified.file(f"{TILES_FOLDER}/{plain.name}.parquet"))
    coords = table[["x0", "y0"]].to_numpy()
    return replace(plain, coords=coords, status=table["class"].astype(str).tolist())


def _share_table(shares: pd.DataFrame, slides: Sequence[str]) -> Table:
    from histograft.figures.page import Table

    wide = shares.pivot_table(index="slide_id", columns="class", values="share", sort=False)
    chosen = sorted(slides)
    frame = wide.loc[chosen].map(lambda share: f"{share:.0%}").rename_axis(columns=None)
    n_tiles = shares.groupby("slide_id")["n_tiles"].sum()
    frame.insert(0, "tiles", [f"{n_tiles[name]:,}" for name in chosen])
    whole = len(chosen) == len(wide)
    which = "all slides" if whole else f"{len(chosen)} of {len(wide):,} slides, from small to large"
    return Table(
        frame.rename_axis("slide").reset_index(),
        f"Share of the tiles of each class; {which}. All are in {SHARES}.",
    )
