"""FTX-2048 (Li 2022, doi:10.1016/j.jpi.2022.100115) on your own patches and slides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.configuration import Role
from histograft.core.reporter import SILENT, Reporter
from histograft.recipes.molecular import molecular_predictions
from histograft.recipes.molecular_check import check_molecular
from histograft.recipes.steps import Recipe, command_line
from histograft.recipes.tissue_type import (
    also_config,
    check_folds,
    check_weights,
    further_extractors,
    make_features,
    make_patches,
    make_predictions,
    names_of_sets,
    predict_options,
    shared_notices,
    train_config,
    whole_path,
)
from histograft.verbs.compare import Compare, compare
from histograft.verbs.draw import Draw, draw
from histograft.verbs.model_card import CARD
from histograft.verbs.molecular_targets import Orientation, Transform
from histograft.verbs.one_slide import StainConstants, StainMode
from histograft.verbs.predict import Predict
from histograft.verbs.train import train

NO_IMAGENET = (
    "No ImageNet weights are in this run: the network starts from random weights, so the models "
    "called imgnet-* in results.csv are features of an untrained network."
)
RANDOM_LABELS = (
    "imgnet-gap=START: random weights (pooled features)",
    "imgnet-dense=START + tuned dense layer (step 1)",
    "imgnet-random=START + untrained dense layer",
    "ftx-dense=TUNED (dense features)",
    "ftx-gap=TUNED (pooled features)",
)


@dataclass(frozen=True, kw_only=True)
class Ftx:
    """Tune a network in two steps on one set of patches and see whether its features got better.

    Standardizes all sets to one scale, tunes the network on the training rows of the first,
    embeds every set with the network as it was and as it became, predicts tissue types by
    repeated cross-validation on the same folds, compares with honest statistics, and writes a
    report to OUT/report/index.html. Given slides and molecular tables, it also predicts mutations
    and expression of patients from the same networks (experiments 2 and 3), and maps the tissue of
    the slides. Run it again to resume; what is finished is not done twice.

    Attributes
    ----------
    finetune : Path
        Set to tune on: a samples.csv, a folder of images, or a patches artefact.
    evaluate : tuple of Path
        Sets to evaluate on, likewise. The set tuned on may be one: its test rows are used.
    out : Path
        Folder for everything.
    arch : str
        timm name of the network, such as legacy_xception, resnet18, mobilenetv2_100.
    weights : str
        First weights: "imagenet" (through timm), "random", or a file.
    arch_kwargs : str
        Arguments of the architecture as JSON, such as '{"pad_type": "same", "bn_eps": 0.001}'.
    mean : tuple of float
        Mean of the input channels (0-1), where a weights file does not state it.
    std : tuple of float
        Standard deviation of the input channels, likewise.
    also : tuple of str
        Further extractors in the same tables: network artefacts, weights files that state their
        architecture, or timm names such as resnet50 or hf-hub:NAME.
    slides : Path
        Table of slides (columns slide_id, file, patient_id, and if needed mpp), to predict
        molecules of their patients.
    mutations : Path
        MAF of these patients: predict mutation status.
    sequenced : Path
        Who was sequenced: a patient on it without a mutation is wild type, anybody else unknown.
    expression : Path
        Expression of these patients: predict it.
    variant_classes : tuple of str
        Variants that count as a mutation: non-silent, truncating, any, or classes as a MAF writes
        them, such as Missense_Mutation.
    sample_types : tuple of str
        TCGA sample types that are kept, of slides and of molecular tables, where names are
        barcodes: "01" is the primary tumor.
    sample_sheet : Path
        Table with the columns sample_id and patient_id, where names of samples in molecular tables
        do not say whose they are.
    orientation : str
        Which way round the matrix of expression lies: genes-in-rows, samples-in-rows, or seen from
        its names (auto).
    genes : str
        A file with one gene a line, a list such as LUAD_NINE, or "all"; by default the paper's
        nine genes for mutations and all for expression. With --mutations, --expression and
        --n-genes it is for mutations, and genes of expression are drawn from all.
    expression_genes : str
        Genes of expression, likewise, where they are not those of --genes.
    n_genes : int
        Draw so many genes for expression; the paper took 907.
    transform : str
        Of expression: "auto" takes log2(x + 1) of linear values, "none" takes values as they are,
        "log2p1" says that a table is linear where that cannot be told.
    slide_mpp : float
        µm/px of the tiles of slides; that of --target-mpp by default. Networks know tissue at the
        scale that they were tuned at: 0.25 in the paper beside patches at 0.5 is a mismatch.
    stain : str
        Stain normalization of slides: none, macenko-slide or macenko-tile. Patches are taken as
        they are, so this fits patches that were normalized likewise, as those of NCT-CRC-HE-100K
        are; with others "none" is better, and the map of tissue is doubtful without it.
    stain_constants : str
        Published constants of the normalization: torchstain (Io 240) or paper (Io 255).
    stain_reference : Path
        Normalize slides to these stains instead of the published: an image or slide of your own
        laboratory, or the stain_reference.json of another run.
    lasso_rule : str
        Penalty of the lasso for mutations: min or 1se.
    constant_columns : str
        Constant features in the regression of expression: "drop", or "r" as R does it.
    upsample_slides : str
        Whether slides with fewer pixels than the tiles may be enlarged.
    target_mpp : float
        µm/px of patches and tiles, or "keep" to leave all pixels of patches as they are.
    patch_px : int
        Side of a patch in pixels.
    upsample : str
        Whether an image coarser than the target may grow; each such set is named in the report.
    missing_mpp : str
        Where no µm/px is known: stop, or keep the pixels (each such set is named in the report).
    split_column : str
        Column to use as split, in those sets where it holds training and test rows.
    hidden : tuple of int
        Sizes of the dense layers of Part B before the classes: 2048 by default, or those of
        a network artefact that is given as weights.
    epochs_head : int
        Epochs of step 1 (Part B).
    lr_head : float
        Learning rate of step 1.
    epochs_all : int
        Epochs of step 2 (Part A).
    lr_all : float
        Learning rate of step 2.
    batch_size : int
        Patches per training step.
    augment : str
        Flips and quarter turns in step 2, or none.
    class_weights : bool
        Weigh the loss so that each class counts alike.
    probe : str
        Classifier on the features: svc (linear), logistic or knn.
    folds : int
        Folds of the cross-validation.
    repeats : int
        Repeats of the cross-validation.
    groups : bool
        Keep groups together in folds where they are known.
    plain_t : bool
        Also print the plain paired t test of the paper, which is misleading.
    draws : int
        Draws of the cluster bootstrap.
    title : str
        Heading of the report.
    notices : tuple of str
        Sentences to set on top of the report.
    labels : tuple of str
        What to call a model before people, written model=label.
    seed : int
        Root seed of everything.
    keep_going : bool
        Leave out images and slides that cannot be used and go on (exit code 0); slides that were
        left out are named in OUT/slides/*/outcomes.csv.
    workers : int
        Processes for images and threads for predictions; all cores by default.
    device : str
        auto, cpu or cuda.
    """

    finetune: Annotated[Path, Role.INPUT]
    evaluate: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    arch: str = "legacy_xception"
    weights: Annotated[str, Role.INPUT] = "imagenet"
    arch_kwargs: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    also: Annotated[tuple[str, ...], Role.INPUT] = ()
    slides: Annotated[Path | None, Role.INPUT] = None
    mutations: Annotated[Path | None, Role.INPUT] = None
    sequenced: Annotated[Path | None, Role.INPUT] = None
    expression: Annotated[Path | None, Role.INPUT] = None
    variant_classes: tuple[str, ...] = ("non-silent",)
    sample_types: tuple[str, ...] = ("01",)
    sample_sheet: Annotated[Path | None, Role.INPUT] = None
    orientation: Orientation = "auto"
    genes: Annotated[str | None, Role.INPUT] = None
    expression_genes: Annotated[str | None, Role.INPUT] = None
    n_genes: int | None = None
    transform: Transform = "auto"
    slide_mpp: float | None = None
    stain: StainMode = "macenko-slide"
    stain_constants: StainConstants = "torchstain"
    stain_reference: Annotated[Path | None, Role.INPUT] = None
    lasso_rule: Literal["min", "1se"] = "min"
    constant_columns: Literal["drop", "r"] = "drop"
    upsample_slides: Literal["allow", "error"] = "error"
    target_mpp: float | Literal["keep"] = 0.5
    patch_px: int = 224
    upsample: Literal["allow", "error"] = "allow"
    missing_mpp: Literal["error", "keep-pixels"] = "error"
    split_column: str | None = None
    hidden: tuple[int, ...] | None = None
    epochs_head: int = 20
    lr_head: float = 4e-4
    epochs_all: int = 10
    lr_all: float = 5e-5
    batch_size: int = 128
    augment: Literal["none", "flips-turns"] = "none"
    class_weights: bool = False
    probe: Literal["svc", "logistic", "knn"] = "svc"
    folds: int = 5
    repeats: int = 50
    groups: bool = True
    plain_t: bool = False
    draws: int = 10_000
    title: str = "Do tuned features beat the ones they came from?"
    notices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    seed: int = 0
    keep_going: Annotated[bool, Role.EXECUTION] = False
    workers: Annotated[int | None, Role.EXECUTION] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        # Every step's options are checked before the first step begins to work.
        here = Path()
        train_config(self, here)
        Predict(features=(here,), out=here, **predict_options(self))
        Compare(predictions=(), out=here, labels=self.labels, draws=self.draws, seed=self.seed)
        for other, name in further_extractors(self):
            also_config(other, name, here, {"patches": here})


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "arch": "legacy_xception",
        "weights": "imagenet",
        "plain_t": True,
        "slide_mpp": 0.25,
        "stain": "macenko-tile",
        "stain_constants": "paper",
        "lasso_rule": "1se",
        "constant_columns": "r",
    },
    "recommended": {"augment": "flips-turns", "class_weights": True},
}


def ftx(config: Ftx, reporter: Reporter = SILENT, *, made_by: str | None = None) -> Path:
    """Run the recipe.

    Parameters
    ----------
    config : Ftx
        What to do.
    reporter : Reporter
        Whom to tell.
    made_by : str, optional
        The command to print first in the report, where another recipe calls this one.

    Returns
    -------
    pathlib.Path
        The report's page.

    Raises
    ------
    HistograftError
        A step cannot be done; the message says which and why.
    """
    names = names_of_sets([config.finetune, *config.evaluate])
    check_weights(config)
    check_molecular(config, reporter)
    recipe = Recipe(config.out, reporter)
    recipe.commands.append(made_by or command_line("run ftx", config, config.out))
    patches = {name: make_patches(path, name, config, recipe) for path, name in names.items()}
    tuned_name = names[whole_path(config.finetune)]
    evaluated = [names[whole_path(path)] for path in config.evaluate]
    notices = shared_notices(patches, tuned_name, evaluated, reporter)
    check_folds(patches, tuned_name, evaluated, config)
    if config.weights == "random":
        reporter.warn(NO_IMAGENET)
        notices.insert(0, NO_IMAGENET)
    network = recipe.run(train, train_config(config, patches[tuned_name].path))
    features = {
        name: make_features(patches[name], name, network, config, recipe)
        for name in dict.fromkeys([*evaluated, tuned_name])
    }
    predictions = [
        prediction
        for name in evaluated
        for prediction in make_predictions(name, tuned_name, patches, features, config, recipe)
    ]
    slides = molecular_predictions(config, network, recipe)
    predictions += slides.predictions
    tables = recipe.run(
        compare,
        Compare(
            predictions=tuple(a.path for a in predictions),
            out=config.out / "tables",
            labels=(*(RANDOM_LABELS if config.weights == "random" else ()), *config.labels),
            draws=config.draws,
            plain_t=config.plain_t,
            seed=config.seed,
        ),
    )
    inputs = [tables, *patches.values(), network, *slides.pictures]
    inputs += [
        a for name in evaluated for a in features[name] if a.facts["models"][0][:8] != "shortcut"
    ]
    report = recipe.run(
        draw,
        Draw(
            inputs=tuple(a.path for a in inputs),
            out=config.out / "report",
            title=config.title,
            notices=(*config.notices, *notices),
            commands=tuple(recipe.commands),
            seed=config.seed,
        ),
    )
    reporter.note(f"the tuned extractor, with its model card: {network.path / CARD}")
    return report.path / "index.html"
