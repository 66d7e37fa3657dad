"""FTX-2048 (Li 2022, doi:10.1016/j.jpi.2022.100115), experiment 1, on your own patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.artefact import Artefact, is_artefact, open_artefact
from histograft.core.configuration import Role
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.recipes.steps import Recipe, command_line
from histograft.verbs.audit import shared_between, shared_sentences
from histograft.verbs.compare import Compare, compare
from histograft.verbs.draw import Draw, draw
from histograft.verbs.embed import Embed, embed
from histograft.verbs.networks import WEIGHT_ENDINGS
from histograft.verbs.patch_images import load_patches
from histograft.verbs.predict import Predict, predict
from histograft.verbs.standardize import Standardize, standardize
from histograft.verbs.train import Train, train

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
    report to OUT/report/index.html. Run it again to resume; what is finished is not done twice.

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
    target_mpp : float
        µm/px of the patches, or "keep" to leave all pixels as they are.
    patch_px : int
        Side of a patch in pixels.
    upsample : str
        Whether an image coarser than the target may grow; each such set is named in the report.
    missing_mpp : str
        Where no µm/px is known: stop, or keep the pixels (each such set is named in the report).
    split_column : str
        Column to use as split, in those sets where it holds training and test rows.
    hidden : tuple of int
        Sizes of the dense layers of Part B before the classes.
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
        Leave out images that cannot be used and go on.
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
    target_mpp: float | Literal["keep"] = 0.5
    patch_px: int = 224
    upsample: Literal["allow", "error"] = "allow"
    missing_mpp: Literal["error", "keep-pixels"] = "error"
    split_column: str | None = None
    hidden: tuple[int, ...] = (2048,)
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
        _train_config(self, here)
        Predict(features=(here,), out=here, **_predict_options(self))
        Compare(predictions=(), out=here, labels=self.labels, draws=self.draws, seed=self.seed)
        for other in self.also:
            _also_config(other, here, {"patches": here})


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"arch": "legacy_xception", "weights": "imagenet", "plain_t": True},
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
    names = _names([config.finetune, *config.evaluate])
    recipe = Recipe(config.out, reporter)
    recipe.commands.append(made_by or command_line("run ftx", config, config.out))
    patches = {name: _patches(path, name, config, recipe) for path, name in names.items()}
    tuned_name = names[_whole(config.finetune)]
    evaluated = [names[_whole(path)] for path in config.evaluate]
    notices = _notices(patches, tuned_name, evaluated, reporter)
    if config.weights == "random":
        reporter.warn(NO_IMAGENET)
        notices.insert(0, NO_IMAGENET)
    network = recipe.run(train, _train_config(config, patches[tuned_name].path))
    features = {
        name: _features(patches[name], name, network, config, recipe)
        for name in dict.fromkeys([*evaluated, tuned_name])
    }
    predictions = [
        prediction
        for name in evaluated
        for prediction in _predictions(name, tuned_name, patches, features, config, recipe)
    ]
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
    inputs = [tables, *patches.values(), network]
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
    return report.path / "index.html"


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name each set by its folder; the same path given twice is one set."""
    names: dict[Path, str] = {}
    for path in paths:
        whole = _whole(path)
        if is_artefact(path):
            name = str(open_artefact(path, "patches").facts["dataset"])
        else:
            name = (whole if whole.is_dir() else whole.parent).name
        if whole not in names and name in names.values():
            raise InputError(
                f"two sets are called {name}", "rename a folder, so that tables can tell them apart"
            )
        names[whole] = name
    return names


def _whole(path: Path) -> Path:
    """Write the path of a set in one way: a folder and the samples.csv in it are one set."""
    whole = path.resolve()
    return whole.parent if whole.name == "samples.csv" and whole.is_file() else whole


def _patches(path: Path, name: str, config: Ftx, recipe: Recipe) -> Artefact:
    if is_artefact(path):
        return open_artefact(path, "patches")
    # The recipe selects nothing on validation rows, so where splits are drawn it draws none; a
    # set that is only tuned on needs no test rows either.
    only_tuned = path == _whole(config.finetune) and path not in map(_whole, config.evaluate)
    shares: dict[str, Any] = {"val_fraction": 0.0} | ({"test_fraction": 0.0} if only_tuned else {})
    return recipe.run(
        standardize,
        Standardize(
            samples=path,
            out=config.out / "patches" / name,
            name=name,
            target_mpp=config.target_mpp,
            patch_px=config.patch_px,
            missing_mpp=config.missing_mpp,
            upsample=config.upsample,
            split_column=config.split_column,
            seed=config.seed,
            keep_going=config.keep_going,
            workers=config.workers,
            **shares,
        ),
    )


def _notices(
    patches: dict[str, Artefact], tuned_name: str, evaluated: list[str], reporter: Reporter
) -> list[str]:
    """Look for what is tuned on among what is evaluated, before hours of work; copies are refused.

    Near duplicates and groups of one name in two sets are warned of, in terminal and report.
    """
    table = load_patches(patches[tuned_name])
    tested = table["split"] == "test"
    tuned = table[~tested]
    lines = []
    for name in evaluated:
        other = table[tested] if name == tuned_name else load_patches(patches[name])
        shared = shared_between(tuned, other)
        where = f"the test rows of {name}" if name == tuned_name else name
        sentences = shared_sentences(tuned_name, where, shared)
        if shared["exact"] or (name == tuned_name and shared["names"]):
            raise InputError(sentences[0], "take those images out of one side")
        for sentence in sentences:
            reporter.warn(sentence)
            lines.append(sentence)
    return lines


def _train_config(config: Ftx, patches: Path) -> Train:
    return Train(
        patches=patches,
        out=config.out / "network",
        init=config.weights,
        arch=config.arch,
        arch_kwargs=config.arch_kwargs,
        mean=config.mean,
        std=config.std,
        tune="two-step",
        hidden=config.hidden,
        epochs_head=config.epochs_head,
        lr_head=config.lr_head,
        epochs_all=config.epochs_all,
        lr_all=config.lr_all,
        batch_size=config.batch_size,
        augment=config.augment,
        class_weights=config.class_weights,
        seed=config.seed,
        device=config.device,
    )


def _features(
    patches: Artefact, name: str, network: Artefact, config: Ftx, recipe: Recipe
) -> list[Artefact]:
    """Embed one set with the network before (step 1) and after tuning, and without any."""
    folder = config.out / "features" / name
    common: dict[str, Any] = {
        "patches": patches.path, "seed": config.seed, "device": config.device,
    }  # fmt: skip
    artefacts = [
        recipe.run(
            embed,
            Embed(
                network=network.path / "step1",
                out=folder / "imgnet",
                name="imgnet",
                points=("gap", "dense", "random"),
                **common,
            ),
        ),
        recipe.run(
            embed,
            Embed(
                network=network.path,
                out=folder / "ftx",
                name="ftx",
                points=("dense", "gap"),
                **common,
            ),
        ),
        recipe.run(embed, Embed(patches=patches.path, out=folder / "shortcut", shortcuts=True)),
    ]
    for other in config.also:
        artefacts.append(recipe.run(embed, _also_config(other, folder, common)))
    return artefacts


def _also_config(other: str, folder: Path, common: dict[str, Any]) -> Embed:
    path = Path(other)
    name = path.resolve().stem if path.exists() else other.removeprefix("hf-hub:").split("/")[-1]
    source: dict[str, Any] = {"arch": other, "weights": "imagenet"}
    if is_artefact(path):
        source = {"network": path}
    elif path.is_file():
        source = {"weights": other}
    elif path.suffix in WEIGHT_ENDINGS or path.exists():
        raise InputError(
            f"--also {other} is neither a file of weights nor a network artefact",
            "give one of these, or a timm name",
        )
    return Embed(**source, out=folder / f"also-{name}", name=name, points=("gap",), **common)


def _predictions(
    name: str,
    tuned_name: str,
    patches: dict[str, Artefact],
    features: dict[str, list[Artefact]],
    config: Ftx,
    recipe: Recipe,
) -> list[Artefact]:
    """Cross-validate; where the classes are those of the set tuned on, also test externally."""
    tested = tuple(a.path for a in features[name])
    common: dict[str, Any] = {"features": tested} | _predict_options(config)
    folder = config.out / "predictions"
    artefacts = [recipe.run(predict, Predict(out=folder / f"{name}-cv", **common))]
    known = set(patches[tuned_name].facts["classes"])
    if set(patches[name].facts["classes"]) <= known:
        fit_on = tuple(a.path for a in features[tuned_name])
        external = Predict(out=folder / f"{name}-external", fit_on=fit_on, **common)
        artefacts.append(recipe.run(predict, external))
    return artefacts


def _predict_options(config: Ftx) -> dict[str, Any]:
    names = ("probe", "folds", "repeats", "groups", "seed", "workers")
    return {name: getattr(config, name) for name in names}
