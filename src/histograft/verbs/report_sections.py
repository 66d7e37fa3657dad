"""The sections of a report: each turns what is given into words, pictures and tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, Draft
from histograft.core.reporter import Reporter
from histograft.core.seeds import generator
from histograft.verbs import report_captions as captions
from histograft.verbs.comparison import (
    COMPARISONS_TABLE,
    CONFUSION_TABLE,
    REPEATS_TABLE,
    RESULTS_TABLE,
    SHORTCUT_PREFIX,
)
from histograft.verbs.comparison_told import place, records
from histograft.verbs.fuse import LAYERS
from histograft.verbs.mutation_comparison import CALIBRATION_TABLE
from histograft.verbs.networks import STEP_1
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.report_answer import TUNED, caveats
from histograft.verbs.report_features import MOST_POINTS, feature_maps
from histograft.verbs.report_leakage import find_leaks, leakage_sentences, leakage_table
from histograft.verbs.report_material import Compared, Material
from histograft.verbs.report_molecular import molecular_sections
from histograft.verbs.report_protocol import network_name, training
from histograft.verbs.report_slides import further_sections, slide_section
from histograft.verbs.report_tables import (
    accuracy_table,
    comparison_table,
    feature_table,
    metric_table,
    patch_table,
    recall_table,
)
from histograft.verbs.training import HISTORY

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from histograft.figures.page import Picture, Section

FIGURES = "figures"
PATCHES_PER_CLASS = 6
# A patch is blank where fewer pixels than this share are so many of 255 levels off its median.
BLANK_SHARE, BLANK_LEVELS = 0.02, 12


@dataclass(frozen=True)
class Sketch:
    """What every section needs.

    Attributes
    ----------
    draft : Draft
        Where figures and tables are written.
    models : tuple of str
        Models to look at closely.
    seed : int
        Root seed.
    """

    draft: Draft
    models: tuple[str, ...]
    seed: int

    def picture(
        self,
        figure: Figure,
        stem: str,
        caption: captions.Caption,
        panels: Iterable[Figure] = (),
        legend: Figure | None = None,
    ) -> Picture:
        """Write a figure as PNG and SVG; make a picture of it, or of its panels, for the page."""
        from histograft.figures.page import Picture
        from histograft.figures.style import figure_bytes, save_figure

        folder = self.draft.path / FIGURES
        folder.mkdir(exist_ok=True)
        save_figure(figure, folder, stem)
        shown = tuple(figure_bytes(f, "svg").decode() for f in list(panels) or [figure])
        above = "" if legend is None else figure_bytes(legend, "svg").decode()
        return Picture(shown, *caption, legend=above)


def sections(material: Material, sketch: Sketch, reporter: Reporter) -> list[Section]:
    """Make the sections for which something is given.

    Parameters
    ----------
    material : Material
        What is given.
    sketch : Sketch
        Where to write, and what to look at closely.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    list of Section
        In the order of the page.
    """
    makers: list[Callable[[], Iterable[Section]]] = []
    given, compared = material.compared, material.compared
    if given is not None:
        _copy_tables(given, sketch)
    if compared is not None and compared.results.empty:
        compared = None
    if compared is not None:
        makers.append(lambda: [_accuracy(compared, sketch)])
    if given is not None and given.has_molecules:
        makers.append(lambda: molecular_sections(given, sketch.picture))
    if material.slides:  # one network tiles like the other
        makers.append(lambda: [slide_section(material.slides[0], sketch.picture)])
    makers.append(lambda: further_sections(material.all, _labels(material), sketch.picture))
    if material.patches:
        makers.append(lambda: [_leakage(material)])
    if compared is not None:
        makers.append(lambda: _classes(compared, sketch))
    if material.features:
        makers.append(lambda: _features(material, sketch))
    if material.patches:
        makers.append(lambda: [_images(material.patches, sketch)])
    if material.networks:
        makers.append(lambda: [_training(material.networks, sketch)])
    made: list[Section] = []
    with reporter.task("figures", len(makers)) as task:
        for make in makers:
            made += make()
            task.advance()
    return made


def _labels(material: Material) -> dict[str, str]:
    """Return what to call models, where a comparison says it."""
    return {} if material.compared is None else material.compared.labels


def _copy_tables(compared: Compared, sketch: Sketch) -> None:
    names = (RESULTS_TABLE, COMPARISONS_TABLE, REPEATS_TABLE, CONFUSION_TABLE, CALIBRATION_TABLE)
    for name in names:
        if name in compared.artefact.files:  # there is no confusion of molecules
            with sketch.draft.writing(name) as path:
                shutil.copyfile(compared.artefact.file(name), path)


def _accuracy(compared: Compared, sketch: Sketch) -> Section:
    from histograft.figures.page import Section

    tables = (accuracy_table(compared), comparison_table(compared))
    return Section(
        "Accuracy",
        text=caveats(compared),
        figures=(*_forests(compared, sketch), *_boxes(compared, sketch)),
        tables=tuple(table for table in tables if table is not None),
    )


def _forests(compared: Compared, sketch: Sketch) -> Iterator[Picture]:
    """Draw what tuning changed, then all models, a panel for each data set and protocol."""
    from histograft.figures.differences import difference_forest, forest_reach

    results = compared.results
    tested = results[
        (results["metric"] == "accuracy")
        & results["difference"].notna()
        & ~results["model"].str.startswith(SHORTCUT_PREFIX)
    ]
    pair = tested[tested["model"] == TUNED]
    # The names of all models: what stands on the other side of a difference has no row of its own.
    names = dict(zip(results["model"], results["label"], strict=True))
    if len(pair):
        yield sketch.picture(
            difference_forest(pair, names=names), "differences-pair", captions.PAIR_FOREST
        )
    if tested["model"].nunique() > 1:
        reach = forest_reach(tested)
        panels = [difference_forest(p, names=names, reach=reach) for p in _by_place(tested)]
        whole = difference_forest(tested, names=names)
        yield sketch.picture(whole, "differences", captions.FOREST, panels)


def _boxes(compared: Compared, sketch: Sketch) -> Iterator[Picture]:
    from histograft.figures.accuracy import accuracy_boxes

    results, repeats = compared.results, compared.repeats
    chance: dict[str, float] = {}
    for block in compared.blocks:
        chance.setdefault(block["dataset"], float(block["largest_class"]))
    shown = _shown(compared, sketch)
    kinds: list[tuple[list[str] | None, str, captions.Caption]] = []
    if shown:
        kinds.append((shown, "accuracy-pair", captions.PAIR))
    kinds.append((None, "accuracy", captions.ACCURACY))
    for models, stem, caption in kinds:
        panels = [
            accuracy_boxes(_at(repeats, part), part, models=models, chance=chance, legend=False)
            for part in _by_place(results)
            if models is None or part["model"].isin(models).any()
        ]
        whole = accuracy_boxes(repeats, results, models=models, chance=chance)
        yield sketch.picture(whole, stem, caption, panels)


def _shown(compared: Compared, sketch: Sketch) -> list[str]:
    there = set(compared.results["model"])
    return [model for model in sketch.models if model in there]


def _by_place(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for _, part in table.groupby(["dataset", "protocol"], sort=False):
        yield part


def _at(table: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of a table that are of the data set and protocol of a part of another."""
    first = part.iloc[0]
    chosen = (table["dataset"] == first["dataset"]) & (table["protocol"] == first["protocol"])
    rows: pd.DataFrame = table[chosen]
    return rows


def _classes(compared: Compared, sketch: Sketch) -> Iterator[Section]:
    from histograft.figures.confusion import confusion_matrices
    from histograft.figures.page import Section
    from histograft.figures.per_class import class_boxes, class_legend

    shown = _shown(compared, sketch)
    if not shown:
        return
    repeats, results = compared.repeats, compared.results
    picture = sketch.picture(
        class_boxes(repeats, shown, results=results),
        "classes",
        captions.CLASSES,
        [
            class_boxes(_at(repeats, part), shown, results=part, legend=False)
            for part in _by_place(results[results["model"].isin(shown)])
        ],
        class_legend(results, shown),
    )
    yield Section(
        "Class by class",
        text=(captions.CLASS_TEXT,),
        figures=(picture,),
        tables=(recall_table(compared, shown), metric_table(compared, shown)),
    )
    matrices = []
    confusion = compared.confusion[compared.confusion["model"].isin(shown)]
    for i, part in enumerate(_by_place(confusion)):
        panels = [
            confusion_matrices(part[part["model"] == model]) for model in part["model"].unique()
        ]
        where = place(records(part)[0])
        how_to_read, alt = captions.CONFUSION
        caption = (f"{where}. {how_to_read}" if i == 0 else f"{where}.", f"{alt[:-1]}, {where}.")
        matrices.append(sketch.picture(confusion_matrices(part), f"confusion-{i}", caption, panels))
    yield Section("What is taken for what", figures=tuple(matrices))


def _features(material: Material, sketch: Sketch) -> Iterator[Section]:
    from histograft.figures.page import Section

    labels = _labels(material)
    found = feature_maps(material.features, sketch.models, sketch.seed)
    if found is None:
        return
    projection, scores = found
    projection["label"] = projection["model"].map(lambda model: labels.get(model, model))
    with sketch.draft.writing("projection.csv") as path:
        projection.to_csv(path, index=False, float_format="%.6g")
    yield Section(
        "Feature space",
        text=(captions.FEATURE_TEXT.format(most=MOST_POINTS),),
        figures=(_maps(projection, scores, sketch),),
        tables=(feature_table(scores, labels),),
    )


def _maps(projection: pd.DataFrame, scores: pd.DataFrame, sketch: Sketch) -> Picture:
    """Draw maps of features; where all sets have the same classes, with one legend for all."""
    from histograft.figures.projection import classes_of, projection_legend, projection_panels

    classes = classes_of(projection)
    parts = [part for _, part in projection.groupby("dataset", sort=False)]
    legend: Figure | None = None
    look: dict[str, Any] = {}
    if all(set(classes_of(part)) == set(classes) for part in parts):
        legend, look = projection_legend(classes), {"classes": classes, "legend": False}
    panels = [
        projection_panels(part[part["model"] == model], scores, **look)
        for part in parts
        for model in sketch.models
        if (part["model"] == model).any()
    ]
    whole = projection_panels(projection, scores)
    return sketch.picture(whole, "features", captions.FEATURES, panels, legend)


def _leakage(material: Material) -> Section:
    from histograft.figures.page import Section

    leaks = find_leaks(
        [artefact.facts for artefact in material.patches],
        [] if material.compared is None else material.compared.blocks,
        {str(network.facts["tuned_on"]) for network in material.networks},
    )
    return Section("Leakage report", text=leakage_sentences(leaks), tables=(leakage_table(leaks),))


def _images(patches: list[Artefact], sketch: Sketch) -> Section:
    from histograft.figures.page import Section
    from histograft.figures.patches import patch_sheet

    samples = {a.facts["dataset"]: _samples(a, sketch.seed) for a in patches}
    panels = [patch_sheet({name: classes}) for name, classes in samples.items()]
    picture = sketch.picture(patch_sheet(samples), "patches", captions.PATCHES, panels)
    return Section(
        "The images",
        text=(captions.PATCH_TEXT,),
        figures=(picture,),
        tables=(patch_table([artefact.facts for artefact in patches]),),
    )


def _samples(artefact: Artefact, seed: int) -> dict[str, list[Any]]:
    """Choose patches of each class at random."""
    table = load_patches(artefact)
    chosen: dict[str, list[Any]] = {}
    for label in artefact.facts["classes"]:
        rows = table[table["label"] == label]
        if rows.empty:
            continue
        rng = generator(seed, "samples", artefact.facts["dataset"], label)
        picks = rng.permutation(len(rows))[: 2 * PATCHES_PER_CLASS]
        images = images_of(artefact, rows.iloc[picks])
        drawn = [images.image(i) for i in range(len(images))]
        # A class of background is blank throughout: then blank patches stand for it.
        chosen[label] = sorted(drawn, key=_is_blank)[:PATCHES_PER_CLASS]
    return chosen


def _is_blank(image: NDArray[np.uint8]) -> bool:
    """Whether hardly any pixel differs from the middle one in brightness."""
    import numpy as np

    gray = image.reshape(*image.shape[:2], -1).mean(axis=2)
    return bool((np.abs(gray - np.median(gray)) > BLANK_LEVELS).mean() < BLANK_SHARE)


def _training(networks: list[Artefact], sketch: Sketch) -> Section:
    import pandas as pd

    from histograft.figures.fusion import fused_layers
    from histograft.figures.history import training_curves
    from histograft.figures.page import Section

    text: list[str] = []
    pictures = []
    for artefact in networks:
        name = artefact.path.resolve().name
        text += training(artefact)
        if LAYERS in artefact.files:
            table = pd.read_csv(artefact.file(LAYERS))
            caption = (f"What is left of the networks in {name}.", captions.FUSED)
            pictures.append(sketch.picture(fused_layers(table), f"fused-{name}", caption))
            continue
        files = [artefact.path / STEP_1 / HISTORY, artefact.path / HISTORY]
        history = pd.concat([pd.read_csv(file) for file in files if file.is_file()])
        caption = (f"Training of {network_name(artefact)}.", captions.TRAINING)
        pictures.append(sketch.picture(training_curves(history), f"training-{name}", caption))
    return Section("Training", text=tuple(text), figures=tuple(pictures))
