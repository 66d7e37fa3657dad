"""The page, figures and tables of `explain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Draft
from histograft.verbs import evidence_page as words
from histograft.verbs.evidence import Seen
from histograft.verbs.report_sections import Sketch
from histograft.verbs.report_tables import feature_table

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.figures.page import Section
    from histograft.verbs.explain import Explain

SEEN_TABLE = "explained.csv"
POINTING_TABLE = "pointing.csv"
PROJECTION_TABLE = "projection.csv"
SCORES_TABLE = "projection_scores.csv"
FLOATS = "%.6g"


@dataclass(frozen=True)
class Shown:
    """Everything that the page is made of.

    Attributes
    ----------
    config : Explain
        What was asked for.
    names, layers : sequence of str
        Networks, and the layer of each that was looked at.
    seen : list of list of Seen
        For each network the maps to be shown.
    images : dict of int to uint8 array
        Patches to be shown, by their row.
    rows : pandas.DataFrame
        A row for each map that was made.
    projection : tuple or None
        Points, scores and settings of the maps of features.
    notices : tuple of str
        What a reader must know first.
    """

    config: Explain
    names: list[str]
    layers: tuple[str, ...]
    seen: list[list[Seen]]
    images: dict[int, NDArray[Any]]
    rows: pd.DataFrame
    projection: tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]] | None
    notices: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """Rows of the patches that are shown."""
        patches = {one.cells["patch_id"] for one in self.seen[0]}
        part: pd.DataFrame = self.rows[self.rows["patch_id"].isin(patches)]
        return part


def write_report(draft: Draft, shown: Shown, ids: dict[str, str]) -> None:
    """Write tables, figures and the page.

    Parameters
    ----------
    draft : Draft
        Of kind ``report``.
    shown : Shown
        What to write.
    ids : dict of str to str
        Names and ids of what it was made from.
    """
    from histograft.figures.page import Page, render_page

    sketch = Sketch(draft, (), shown.config.seed)
    _csv(draft, SEEN_TABLE, shown.rows)
    scores = None
    if "hit" in shown.rows:
        scores = words.pointing_table(shown.rows, shown.config.seed)
        _csv(draft, POINTING_TABLE, scores)
    sections = [_maps(shown, sketch, scores)]
    if shown.projection is not None:
        sections.append(_spaces(shown.projection, draft, sketch))
    page = Page(
        "What the networks look at",
        _sentence(shown, scores),
        () if scores is None else words.pointing_sentences(scores),
        shown.notices,
        tuple(sections),
        _facts(shown),
        {name: full[:16] for name, full in ids.items()},
    )
    draft.write_text("index.html", render_page(page))


def _csv(draft: Draft, name: str, table: pd.DataFrame) -> None:
    with draft.writing(name) as path:
        table.to_csv(path, index=False, float_format=FLOATS)


def _sentence(shown: Shown, scores: pd.DataFrame | None) -> str:
    n, many = len(shown.names), "s" if len(shown.names) > 1 else ""
    if scores is None:
        patches = len(shown.images)
        return f"Maps of {n} network{many} on {patches} patches: to be looked at, no test is made."
    above = scores[(scores["class"] == "all") & (scores["ci_low"] > scores["hits_by_chance"])]
    if above.empty:
        return "No network's maps point into the masks of their classes more often than chance."
    named = ", ".join(above["network"])
    return f"Maps point into the masks of their classes more often than chance: {named}."


def _maps(shown: Shown, sketch: Sketch, scores: pd.DataFrame | None) -> Section:
    from histograft.figures.page import Section

    caption, alt = words.MAPS_CAPTION
    text: tuple[str, ...] = (words.MAPS_TEXT,)
    tables = [words.seen_table(shown.table)]
    if scores is not None:
        caption += words.OUTLINE_CAPTION
        unit = "groups" if shown.rows["group"].nunique() > 1 else "nothing: there is one group"
        text += (words.POINTING_TEXT.format(tolerance=shown.config.tolerance_px, unit=unit),)
        tables.insert(0, words.pointing_page_table(scores))
    figure = words.map_figure(shown.names, shown.seen, shown.images)
    picture = sketch.picture(figure, "cam", (caption, alt))
    return Section("Class activation maps", text=text, figures=(picture,), tables=tuple(tables))


def _spaces(
    projection: tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]], draft: Draft, sketch: Sketch
) -> Section:
    from histograft.figures.page import Section
    from histograft.figures.projection import projection_panels

    points, scores, used = projection
    _csv(draft, PROJECTION_TABLE, points)
    _csv(draft, SCORES_TABLE, scores)
    panels = [projection_panels(part, scores) for _, part in points.groupby("model", sort=False)]
    spelled = ", ".join(f"{name.replace('_', ' ')} {_told(v)}" for name, v in used.items())
    picture = sketch.picture(
        projection_panels(points, scores),
        "features",
        (
            "t-SNE maps of the pooled features, one for each network, with the same settings and "
            "seed. Above each: accuracy of the 10 nearest neighbors of other groups, and "
            f"silhouette, both in the full feature space. Settings: {spelled}.",
            "Scatter plots of two-dimensional maps of the features, colored by class.",
        ),
        panels,
    )
    text = (
        "Each map is made for itself: places, distances and sizes of two maps cannot be compared. "
        "The numbers can."
    )
    return Section(
        "Feature spaces",
        text=(text, *words.few_neighbors(points)),
        figures=(picture,),
        tables=(feature_table(scores, {}),),
    )


def _told(value: object) -> str:
    """Say a setting of a map in words."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _facts(shown: Shown) -> dict[str, str]:
    config = shown.config
    smooth = [n for n in ("aug_smooth", "eigen_smooth") if getattr(config, n)]
    return {
        "method": config.method + (f" with {' and '.join(smooth)}" if smooth else ""),
        "layer": ", ".join(
            f"{name}: {config.layer or layer}"
            for name, layer in zip(shown.names, shown.layers, strict=True)
        ),
        "class of the maps": "the truth" if config.shown == "true" or config.masks else "predicted",
        "patches": f"{config.split}, chosen at random, of all classes in turn",
        "seed": str(config.seed),
    }
