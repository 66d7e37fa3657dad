"""Steps of the FTX recipe on slides: experiments 2 and 3, expression and mutations of patients."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.recipes.steps import Recipe
from histograft.recipes.tissue_type import further_extractors, source_of
from histograft.verbs.classify import QUPATH_FOLDER, Classify, classify
from histograft.verbs.embed import Embed, embed
from histograft.verbs.molecular_targets import ALL, MolecularTables
from histograft.verbs.pool import Pool, pool
from histograft.verbs.predict import Predict, predict
from histograft.verbs.slides import read_slides

if TYPE_CHECKING:
    from histograft.recipes.ftx import Ftx

TUNED = "ftx"
# The paper's nine genes, wherever --genes says nothing.
MUTATION_GENES = "LUAD_NINE"


def check_molecular(config: Ftx) -> None:
    """Read the table of slides and open the molecular tables before hours of work.

    Raises
    ------
    InputError
        Slides and tables are not there together, or cannot be used.
    """
    tables = [config.mutations, config.expression]
    if config.slides is None:
        if any(tables) or config.sequenced is not None:
            raise InputError(
                "--mutations and --expression need slides", "give --slides SLIDES.csv as well"
            )
        return
    if not any(tables):
        raise InputError(
            "--slides alone predict nothing", "give --mutations MAF, --expression TABLE, or both"
        )
    if config.target_mpp == "keep":
        raise InputError("--target-mpp keep is for patches", "state the µm/px of the slides' tiles")
    read_slides(config.slides)
    for target in _targets(config, Path()):
        options = {k: v for k, v in target.items() if k != "out"}
        _molecular_tables(options, config.seed).inputs()
        _molecular_tables(options, config.seed).wanted_genes()


@dataclass(frozen=True)
class MolecularWork:
    """What came of the slides.

    Attributes
    ----------
    predictions : list of Artefact
        Of mutations and of expression, as far as asked for; empty without slides.
    pictures : list of Artefact
        What the report shows of the slides: their list, what stands for each, and their tissue.
    """

    predictions: list[Artefact] = field(default_factory=list)
    pictures: list[Artefact] = field(default_factory=list)


def molecular_predictions(config: Ftx, network: Artefact, recipe: Recipe) -> MolecularWork:
    """Embed slides with the network before and after tuning, pool them to patients, and predict.

    The tuned network also says which tissue the tiles show.

    Parameters
    ----------
    config : Ftx
        Options of the recipe.
    network : Artefact
        The tuned network.
    recipe : Recipe
        Runs the steps.

    Returns
    -------
    MolecularWork
    """
    if config.slides is None:
        return MolecularWork()
    pooled, pictures = [], []
    for name, source in _extractors(config, network).items():
        features = recipe.run(embed, _embed_config(config, name, source))
        folder = features.path.parent  # the list lies beside the slides
        out = config.out / "patients" / name
        pooled.append(recipe.run(pool, Pool(features=folder, out=out, slides=config.slides)))
        if name == TUNED:
            pictures = [features, _tissue(config, network, folder, recipe)]
    common: dict[str, Any] = {
        "features": tuple(artefact.path for artefact in pooled),
        "folds": config.folds, "repeats": config.repeats, "seed": config.seed,
        "workers": config.workers, "lasso_rule": config.lasso_rule,
        "constant_columns": config.constant_columns,
    }  # fmt: skip
    predictions = [
        recipe.run(predict, Predict(**common, **target))
        for target in _targets(config, config.out / "predictions")
    ]
    return MolecularWork(predictions, [*pictures, *pooled])


def _tissue(config: Ftx, network: Artefact, features: Path, recipe: Recipe) -> Artefact:
    out = config.out / "tissue"
    tissue = recipe.run(classify, Classify(features=features, network=network.path, out=out))
    recipe.reporter.note(f"tissue of the slides, for QuPath: {tissue.path / QUPATH_FOLDER}")
    return tissue


def _extractors(config: Ftx, network: Artefact) -> dict[str, dict[str, Any]]:
    """Where each extractor's features come from, by its name."""
    found: dict[str, dict[str, Any]] = {
        "imgnet": {"network": network.path / "step1", "points": ("gap", "dense")},
        TUNED: {"network": network.path, "points": ("dense",)},
    }
    for other, name in further_extractors(config):
        found[name] = source_of(other) | {"points": ("gap",)}
    return found


def _embed_config(config: Ftx, name: str, source: dict[str, Any]) -> Embed:
    return Embed(
        config.slides,
        out=config.out / "slides" / name,
        name=name,
        target_mpp=float(config.target_mpp),
        tile_px=config.patch_px,
        stain=config.stain,
        upsample=config.upsample_slides,
        seed=config.seed,
        device=config.device,
        workers=config.workers,
        keep_going=config.keep_going,
        **source,
    )


def _targets(config: Ftx, folder: Path) -> list[dict[str, Any]]:
    targets: list[dict[str, Any]] = []
    if config.mutations is not None:
        targets.append(
            {
                "mutations": config.mutations,
                "sequenced": config.sequenced,
                "genes": config.genes or MUTATION_GENES,
                "out": folder / "mutation",
            }
        )
    if config.expression is not None:
        targets.append(
            {
                "expression": config.expression,
                "genes": config.genes or ALL,
                "n_genes": config.n_genes,
                "out": folder / "expression",
            }
        )
    return targets


def _molecular_tables(options: dict[str, Any], seed: int) -> MolecularTables:
    return MolecularTables(
        options.get("mutations"), options.get("sequenced"), options.get("expression"),
        options["genes"], options.get("n_genes"), "auto", seed,
    )  # fmt: skip
