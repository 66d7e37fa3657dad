"""Draw figures and one report page from any finished artefacts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from histograft.core.artefact import Artefact, Draft, Identity, claim, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import child_seed, generator
from histograft.verbs.comparison import (
    COMPARISONS_TABLE,
    CONFUSION_TABLE,
    REPEATS_TABLE,
    RESULTS_TABLE,
    SHORTCUT_PREFIX,
)
from histograft.verbs.feature_files import load_features, load_index, models_of
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.report_text import ReportText
from histograft.verbs.train import HISTORY, STEP_1

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from histograft.figures.page import Picture, Section

VERSION = 1
PAGE = "index.html"
FIGURES = "figures"
# t-SNE of more points takes minutes and shows no more.
MOST_POINTS = 2000
PATCHES_PER_CLASS = 6


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Draw figures and a report page from finished artefacts.

    Attributes
    ----------
    inputs : tuple of Path
        Artefacts of any kind: tables of `compare`, features, patches, networks. What is given
        is drawn.
    out : Path
        Folder of the report artefact; new or empty.
    title : str
        Heading of the page.
    models : tuple of str
        Models in the per-class figure, the confusion matrices and the maps of features.
    notices : tuple of str
        What a reader must know before believing a number; set on top of the page.
    commands : tuple of str
        Commands that made the results, to be printed on the page.
    seed : int
        Seed of the maps and of the choice of sample patches.
    """

    inputs: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    title: str = "Do tuned features beat the ones they came from?"
    models: tuple[str, ...] = ("imgnet-gap", "ftx-dense")
    notices: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(self.seed, 0, "seed")


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "recommended": {}}


def draw(config: Draw, reporter: Reporter = SILENT) -> Artefact:
    """Make a report artefact with figures and a page.

    Parameters
    ----------
    config : Draw
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``report``, with ``index.html``, ``figures/`` (PNG and SVG) and, where tables of
        a comparison are given, their CSV files.

    Raises
    ------
    InputError
        Nothing that is given can be drawn.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    material = _Material.of([open_artefact(path) for path in config.inputs])
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    inputs = tuple(artefact.as_input(artefact.kind) for artefact in material.all)
    draft = claim(config.out, Identity("report", "draw", VERSION, settings, inputs, config.seed))
    if isinstance(draft, Artefact):
        reporter.note(f"the report is there already ({draft.path / PAGE})")
        return draft
    with draft:
        sections = _sections(config, material, draft, reporter)
        if not sections:
            raise InputError(
                "nothing that is given can be drawn",
                "give the tables of `histograft compare`, features, patches or networks",
            )
        _write_page(config, material, sections, draft)
        return draft.finish({"title": config.title})


@dataclass
class _Material:
    """The artefacts that a report draws from, by what they are."""

    all: list[Artefact]
    tables: Artefact | None = None
    patches: list[Artefact] = field(default_factory=list)
    networks: list[Artefact] = field(default_factory=list)
    features: dict[str, list[Artefact]] = field(default_factory=dict)  # by data set

    @classmethod
    def of(cls, artefacts: list[Artefact]) -> _Material:
        material = cls(artefacts)
        for artefact in artefacts:
            if artefact.kind == "report" and RESULTS_TABLE in artefact.files:
                material.tables = artefact
            elif artefact.kind == "patches":
                material.patches.append(artefact)
            elif artefact.kind == "network":
                material.networks.append(artefact)
            elif artefact.kind == "features":
                material.features.setdefault(artefact.facts["dataset"], []).append(artefact)
        return material

    def table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        assert self.tables is not None
        return pd.read_csv(self.tables.file(name))


def _sections(config: Draw, material: _Material, draft: Draft, reporter: Reporter) -> list[Section]:
    makers: list[tuple[bool, Callable[..., Iterator[Section]]]] = [
        (material.tables is not None, _comparison_sections),
        (bool(material.features), _feature_sections),
        (bool(material.patches), _patch_sections),
        (bool(material.networks), _training_sections),
    ]
    used = [maker for given, maker in makers if given]
    sections: list[Section] = []
    with reporter.task("figures", len(used)) as task:
        for maker in used:
            sections += maker(config, material, draft)
            task.advance()
    return sections


def _picture(draft: Draft, figure: Figure, stem: str, caption: str, alt: str) -> Picture:
    from histograft.figures.page import Picture
    from histograft.figures.style import save_figure

    folder = draft.path / FIGURES
    folder.mkdir(exist_ok=True)
    png, _ = save_figure(figure, folder, stem)
    return Picture(png, caption, alt)


def _comparison_sections(config: Draw, material: _Material, draft: Draft) -> Iterator[Section]:
    from histograft.figures.accuracy import accuracy_boxes
    from histograft.figures.confusion import confusion_matrices
    from histograft.figures.differences import difference_forest
    from histograft.figures.page import Section
    from histograft.figures.per_class import class_boxes

    assert material.tables is not None
    for name in (RESULTS_TABLE, COMPARISONS_TABLE, REPEATS_TABLE, CONFUSION_TABLE):
        with draft.writing(name) as path:
            shutil.copyfile(material.tables.file(name), path)
    results, repeats = material.table(RESULTS_TABLE), material.table(REPEATS_TABLE)
    confusion = material.table(CONFUSION_TABLE)
    text = ReportText(results, material.table(COMPARISONS_TABLE), material.tables.facts)
    pictures = []
    tested = results[~results["model"].str.startswith(SHORTCUT_PREFIX)]
    if tested["difference"].notna().any():
        pictures.append(
            _picture(draft, difference_forest(tested), "differences", *text.forest_caption)
        )
    shown = [model for model in config.models if model in set(results["model"])]
    for models, stem, caption in (
        (shown, "accuracy-pair", text.pair_caption),
        (None, "accuracy", text.accuracy_caption),
    ):
        if models == []:
            continue
        draw_boxes = partial(
            accuracy_boxes, repeats, results, models=models, chance=text.largest_class
        )
        narrow = _picture(draft, draw_boxes(n_columns=1), f"{stem}-narrow", *caption)
        wide = _picture(draft, draw_boxes(), stem, *caption)
        pictures.append(replace(wide, narrow=narrow.file))
    yield Section(
        "Accuracy", text=text.accuracy_text, figures=tuple(pictures), tables=text.accuracy_tables
    )
    if not shown:
        return
    cross_validated = repeats[repeats["protocol"] == "cv"]
    per_class = class_boxes(
        cross_validated if len(cross_validated) else repeats, shown, results=results
    )
    yield Section(
        "Class by class",
        text=text.class_text,
        figures=(_picture(draft, per_class, "classes", *text.class_caption),),
        tables=text.class_tables(shown),
    )
    matrices: list[Picture] = []
    for dataset, table in confusion[confusion["model"].isin(shown)].groupby("dataset", sort=False):
        how_to_read, alt = text.confusion_caption
        figure = confusion_matrices(table)
        stem = f"confusion-{len(matrices)}"
        matrices.append(_picture(draft, figure, stem, f"{dataset}. {how_to_read}", alt))
    yield Section("What is taken for what", figures=tuple(matrices))


def _feature_sections(config: Draw, material: _Material, draft: Draft) -> Iterator[Section]:
    import pandas as pd

    from histograft.figures.page import Section
    from histograft.figures.projection import projection_panels

    labels = {} if material.tables is None else material.tables.facts["labels"]
    maps, scores = [], []
    for dataset, artefacts in material.features.items():
        for artefact in artefacts:
            for model in models_of(artefact):
                if model in config.models:
                    points, score = _project(artefact, model, config)
                    maps.append(points.assign(dataset=dataset, model=model))
                    scores.append({"dataset": dataset, "model": model, **score})
    if not maps:
        return
    projection = pd.concat(maps, ignore_index=True)
    projection["label"] = projection["model"].map(lambda model: labels.get(model, model))
    table = pd.DataFrame(scores)
    with draft.writing("projection.csv") as path:
        projection.to_csv(path, index=False, float_format="%.6g")
    figure = projection_panels(projection, table)
    yield Section(
        "Feature space",
        text=ReportText.feature_text(MOST_POINTS),
        figures=(_picture(draft, figure, "features", *ReportText.feature_caption),),
        tables=ReportText.feature_tables(table, labels),
    )


def _project(artefact: Artefact, model: str, config: Draw) -> tuple[pd.DataFrame, dict[str, float]]:
    """Map the features of one model; a network that has seen the set is shown on test rows."""
    import numpy as np
    import pandas as pd

    from histograft.stats.projection import knn_accuracy, silhouette, tsne

    index = load_index(artefact)
    rows = np.arange(len(index))
    if index["seen"].any():
        rows = rows[(index["split"] == "test").to_numpy(bool)]
    if len(rows) > MOST_POINTS:
        chosen = generator(config.seed, "points", artefact.facts["dataset"])
        rows = np.sort(chosen.choice(rows, MOST_POINTS, replace=False))
    features, part = load_features(artefact, model)[rows], index.iloc[rows]
    labels = part["label"].to_numpy(str)
    xy = tsne(features, seed=child_seed(config.seed, "t-SNE")).coordinates
    points = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": labels})
    groups = part["group"].to_numpy(str)
    return points, {
        "knn_accuracy": knn_accuracy(features, labels, groups=groups),
        "silhouette": silhouette(features, labels),
    }


def _patch_sections(config: Draw, material: _Material, draft: Draft) -> Iterator[Section]:
    from histograft.figures.page import Section
    from histograft.figures.patches import patch_sheet

    samples = {}
    for artefact in material.patches:
        table = load_patches(artefact)
        chosen: dict[str, list[Any]] = {}
        for label in artefact.facts["classes"]:
            rows = table[table["label"] == label]
            if rows.empty:
                continue
            rng = generator(config.seed, "samples", artefact.facts["dataset"], label)
            picks = rng.permutation(len(rows))[:PATCHES_PER_CLASS]
            images = images_of(artefact, rows.iloc[sorted(picks)])
            chosen[label] = [images.image(i) for i in range(len(images))]
        samples[artefact.facts["dataset"]] = chosen
    facts = [artefact.facts for artefact in material.patches]
    yield Section(
        "The images",
        text=ReportText.patch_text,
        figures=(_picture(draft, patch_sheet(samples), "patches", *ReportText.patch_caption),),
        tables=(ReportText.patch_table(facts), ReportText.leakage_table(facts)),
    )


def _training_sections(config: Draw, material: _Material, draft: Draft) -> Iterator[Section]:
    import pandas as pd

    from histograft.figures.history import training_curves
    from histograft.figures.page import Section

    del config
    pictures = []
    for artefact in material.networks:
        files = [artefact.path / STEP_1 / HISTORY, artefact.path / HISTORY]
        history = pd.concat([pd.read_csv(file) for file in files if file.is_file()])
        stem = f"training-{artefact.path.resolve().name}"
        caption = ReportText.training_caption(artefact)
        pictures.append(_picture(draft, training_curves(history), stem, *caption))
    yield Section("Training", text=ReportText.training_text, figures=tuple(pictures))


def _write_page(config: Draw, material: _Material, sections: list[Section], draft: Draft) -> None:
    from histograft.figures.page import Page, Section, render_page

    verdict, facts = ReportText.no_comparison, {}
    if material.tables is not None:
        text = ReportText(
            material.table(RESULTS_TABLE),
            material.table(COMPARISONS_TABLE),
            material.tables.facts,
        )
        verdict, facts = text.verdict, text.protocol
    if config.commands:
        sections = [*sections, Section("Commands", code=("\n".join(config.commands),))]
    notices = (*config.notices, *ReportText.notices([a.facts for a in material.patches]))
    footer = {f"{a.kind} {a.path.resolve().name}": a.id[:16] for a in material.all}
    page = Page(config.title, verdict, notices, tuple(sections), facts, footer)
    draft.write_text(PAGE, render_page(page))
