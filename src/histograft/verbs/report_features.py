"""Maps of features for a report, with what the full feature space says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.core.seeds import child_seed, generator
from histograft.verbs.feature_files import load_features, load_index, models_of

if TYPE_CHECKING:
    import pandas as pd

# t-SNE of more points takes minutes and shows no more.
MOST_POINTS = 2000


def feature_maps(
    features: dict[str, list[Artefact]], models: tuple[str, ...], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Map the features of some models on every data set.

    Parameters
    ----------
    features : dict of str to list of Artefact
        Features artefacts by data set.
    models : tuple of str
        Which models to map.
    seed : int
        Root seed of maps and samples.

    Returns
    -------
    tuple of pandas.DataFrame or None
        Points (columns x, y, class, dataset, model) and scores (dataset, model, knn_accuracy,
        silhouette); None where no such model is given.
    """
    import pandas as pd

    maps, scores = [], []
    for dataset, artefacts in features.items():
        shown = [(a, model) for a in artefacts for model in models_of(a) if model in models]
        # What one network has seen is left out of all maps of the set, which else would not be
        # of the same rows.
        seen = any(load_index(artefact)["seen"].any() for artefact, _ in shown)
        for artefact, model in shown:
            points, score = _project(artefact, model, seed, test_only=seen)
            maps.append(points.assign(dataset=dataset, model=model))
            scores.append({"dataset": dataset, "model": model, **score})
    if not maps:
        return None
    return pd.concat(maps, ignore_index=True), pd.DataFrame(scores)


def _project(
    artefact: Artefact, model: str, seed: int, *, test_only: bool
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Map the features of one model, of all rows or of those that no network has seen."""
    import numpy as np
    import pandas as pd

    from histograft.stats.projection import knn_accuracy, silhouette, tsne

    index = load_index(artefact)
    rows = np.arange(len(index))
    if test_only:
        rows = rows[(index["split"] == "test").to_numpy(bool)]
    if len(rows) > MOST_POINTS:
        chosen = generator(seed, "points", artefact.facts["dataset"])
        rows = np.sort(chosen.choice(rows, MOST_POINTS, replace=False))
    features, part = load_features(artefact, model)[rows], index.iloc[rows]
    labels = part["label"].to_numpy(str)
    xy = tsne(features, seed=child_seed(seed, "t-SNE")).coordinates
    points = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": labels})
    groups = part["group"].to_numpy(str)
    return points, {
        "knn_accuracy": knn_accuracy(features, labels, groups=groups),
        "silhouette": silhouette(features, labels),
    }
