"""Steps of the FTX recipe on slides: experiments 2 and 3, expression and mutations of patients."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.recipes.molecular_check import embed_config, prediction_configs
from histograft.recipes.steps import Recipe
from histograft.recipes.tissue_type import further_extractors, source_of
from histograft.verbs.classify import QUPATH_FOLDER, Classify, classify
from histograft.verbs.embed import embed
from histograft.verbs.pool import Pool, pool
from histograft.verbs.predict import predict

if TYPE_CHECKING:
    from histograft.recipes.ftx import Ftx

TUNED = "ftx"


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
        listed = recipe.run(embed, embed_config(config, name, source))
        folder = listed.path.parent  # the list lies beside the slides
        out = config.out / "patients" / name
        of_patients = Pool(
            features=folder, out=out, slides=config.slides, sample_types=config.sample_types
        )
        pooled.append(recipe.run(pool, of_patients))
        if name == TUNED:
            pictures = [listed, _tissue(config, network, folder, recipe)]
    features = tuple(artefact.path for artefact in pooled)
    targets = prediction_configs(config, features, config.out / "predictions")
    predictions = [recipe.run(predict, target) for target in targets]
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
