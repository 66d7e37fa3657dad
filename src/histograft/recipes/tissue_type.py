"""Steps of the FTX recipe on labeled patches: experiment 1, tissue type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact, is_artefact, open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.recipes.steps import Recipe
from histograft.verbs.audit import shared_between, shared_sentences
from histograft.verbs.embed import Embed, embed
from histograft.verbs.networks import WEIGHT_ENDINGS, extractor_names, find_start
from histograft.verbs.patch_images import load_patches
from histograft.verbs.predict import Predict, predict
from histograft.verbs.standardize import Standardize, standardize
from histograft.verbs.train import Train

if TYPE_CHECKING:
    from histograft.recipes.ftx import Ftx


def names_of_sets(paths: Sequence[Path]) -> dict[Path, str]:
    """Name each set by its folder; the same path given twice is one set."""
    names: dict[Path, str] = {}
    for path in paths:
        whole = whole_path(path)
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


def whole_path(path: Path) -> Path:
    """Write the path of a set in one way: a folder and the samples.csv in it are one set."""
    whole = path.resolve()
    return whole.parent if whole.name == "samples.csv" and whole.is_file() else whole


def make_patches(path: Path, name: str, config: Ftx, recipe: Recipe) -> Artefact:
    """Bring one set to the common scale; a patches artefact is taken as it is."""
    if is_artefact(path):
        return open_artefact(path, "patches")
    # The recipe selects nothing on validation rows, so where splits are drawn it draws none; a
    # set that is only tuned on needs no test rows either.
    only_tuned = path == whole_path(config.finetune) and path not in map(
        whole_path, config.evaluate
    )
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


def shared_notices(
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


def check_folds(
    patches: dict[str, Artefact], tuned_name: str, evaluated: list[str], config: Ftx
) -> None:
    """Plan the folds of every cross-validation before hours of work, and say which has none."""
    from histograft.stats.folds import plan_folds

    for name in evaluated:
        table = load_patches(patches[name])
        rows = table[table["split"] == "test"] if name == tuned_name else table
        grouped = config.groups and bool(rows["group"].duplicated().any())
        groups = rows["group"].to_numpy(str) if grouped else None
        where = f"the test rows of {name}" if name == tuned_name else name
        try:
            plan_folds(
                rows["label"].to_numpy(str), groups, n_folds=config.folds, n_repeats=1, seed=0
            )
        except InputError as error:
            raise InputError(f"{where}: {error.problem}", error.fix) from error


def train_config(config: Ftx, patches: Path) -> Train:
    """Options of the two steps of tuning."""
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


def make_features(
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
    for other, name in further_extractors(config):
        artefacts.append(recipe.run(embed, also_config(other, name, folder, common)))
    return artefacts


def also_config(other: str, name: str, folder: Path, common: dict[str, Any]) -> Embed:
    """Options of embedding with one further extractor."""
    out = folder / f"also-{name}"
    return Embed(**source_of(other), out=out, name=name, points=("gap",), **common)


def source_of(other: str) -> dict[str, Any]:
    """Say what a further extractor is: a network artefact, a file of weights, or a timm name."""
    path = Path(other)
    if is_artefact(path):
        return {"network": path}
    if path.is_file():
        return {"weights": other}
    if path.suffix in WEIGHT_ENDINGS or path.exists():
        raise InputError(
            f"--also {other} is neither a file of weights nor a network artefact",
            "give one of these, or a timm name",
        )
    return {"arch": other, "weights": "imagenet"}


def further_extractors(config: Ftx) -> list[tuple[str, str]]:
    """Further extractors and their names."""
    names = extractor_names(config.also, taken=("imgnet", "ftx", "shortcut"))
    return list(zip(config.also, names, strict=True))


def check_weights(config: Ftx) -> None:
    """Open every file of weights, and the device, before the first image is cut."""
    from histograft.learning.regime import make_fabric

    make_fabric(config.device, "32-true")
    find_start(config.weights, config.arch, config.arch_kwargs, config.mean, config.std)
    for other in config.also:
        if Path(other).is_file():
            find_start(other, None)


def make_predictions(
    name: str,
    tuned_name: str,
    patches: dict[str, Artefact],
    features: dict[str, list[Artefact]],
    config: Ftx,
    recipe: Recipe,
) -> list[Artefact]:
    """Cross-validate; where the classes are those of the set tuned on, also test externally."""
    tested = tuple(a.path for a in features[name])
    common: dict[str, Any] = {"features": tested} | predict_options(config)
    folder = config.out / "predictions"
    artefacts = [recipe.run(predict, Predict(out=folder / f"{name}-cv", **common))]
    known = set(patches[tuned_name].facts["classes"])
    if set(patches[name].facts["classes"]) <= known:
        fit_on = tuple(a.path for a in features[tuned_name])
        external = Predict(out=folder / f"{name}-external", fit_on=fit_on, **common)
        artefacts.append(recipe.run(predict, external))
    return artefacts


def predict_options(config: Ftx) -> dict[str, Any]:
    """Options that all predictions share."""
    names = ("probe", "folds", "repeats", "groups", "seed", "workers")
    return {name: getattr(config, name) for name in names}
