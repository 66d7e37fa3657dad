"""Maps of the feature spaces of several networks, each with what its full space says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from histograft.core.reporter import Task
from histograft.core.seeds import generator

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.learning.network import Network
    from histograft.stats.projection import TsneSettings
    from histograft.verbs.patch_images import PatchImages

Tsne = Literal["recommended", "paper", "none"]
MOST_POINTS = 2000  # t-SNE of more takes minutes and shows no more
FEWEST_POINTS = 4


@dataclass(frozen=True)
class Space:
    """What is mapped, and how: the same for all networks.

    Attributes
    ----------
    table : pandas.DataFrame
        The patches.
    images : PatchImages
        Their images.
    dataset : str
        What to call them.
    multilabel : bool
        Whether a patch has several labels: it is drawn once for each, and no neighbors vote.
    settings : TsneSettings
        Settings of every panel.
    seed : int
        Seed of every panel.
    """

    table: pd.DataFrame
    images: PatchImages
    dataset: str
    multilabel: bool
    settings: TsneSettings
    seed: int


def tsne_settings(name: Tsne) -> TsneSettings:
    """Return settings by their name."""
    from histograft.stats.projection import PAPER, RECOMMENDED

    return PAPER if name == "paper" else RECOMMENDED


def some_rows(n: int, seed: int) -> NDArray[np.int64]:
    """Positions of at most 2,000 of `n` rows, in order."""
    import numpy as np

    if n <= MOST_POINTS:
        return np.arange(n)
    return np.sort(generator(seed, "points").choice(n, MOST_POINTS, replace=False))


def map_space(
    space: Space, network: Network, name: str, device: tuple[str, int], task: Task
) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    """Map the pooled features of one network.

    Parameters
    ----------
    space : Space
        What is mapped, and how.
    network : Network
        The network; its pooled features are read.
    name : str
        What to call it.
    device : (str, int)
        Device and batch size.
    task : Task
        Is told of each patch.

    Returns
    -------
    points : pandas.DataFrame
        Columns patch_id, x, y, class, dataset, model, label.
    scores : dict
        dataset, model, knn_accuracy and silhouette in the full space; NaN for several labels.
    settings : dict
        Of the map, as they were used.
    """
    import numpy as np
    import pandas as pd

    from histograft.learning.embed import embed
    from histograft.stats.projection import tsne

    parts = []
    pixels = (space.images.image(i) for i in range(len(space.table)))
    for part in embed(network, pixels, ("gap",), device=device[0], batch_size=device[1]):
        parts.append(part["gap"])
        task.advance(len(part["gap"]))
    features = np.concatenate(parts)
    projection = tsne(features, seed=space.seed, settings=space.settings)
    labels = space.table["label"].astype(str)
    points = pd.DataFrame(
        {
            "patch_id": space.table["patch_id"].to_numpy(),
            "x": projection.coordinates[:, 0],
            "y": projection.coordinates[:, 1],
            "class": labels.str.split("|").to_numpy(),
        }
    ).explode("class", ignore_index=True)
    points = points.assign(dataset=space.dataset, model=name, label=name)
    scores = {"dataset": space.dataset, "model": name} | full_space_scores(
        features, labels.to_numpy(str), space.table["group"].to_numpy(str)
    )
    if space.multilabel:
        scores |= dict.fromkeys(("knn_accuracy", "silhouette"), float("nan"))
    return points, scores, projection.settings


def full_space_scores(
    features: NDArray[np.float32], labels: NDArray[np.str_], groups: NDArray[np.str_]
) -> dict[str, float]:
    """Score the neighborhoods of the full space.

    Neighbors of other groups vote; within one group, or on one class, there is nothing to vote on
    and the accuracy is NaN, not 0.

    Parameters
    ----------
    features : float array, shape (N, P)
        Features.
    labels, groups : array of str, shape (N,)
        Class and group of each row.

    Returns
    -------
    dict
        knn_accuracy (0 … 1) and silhouette (-1 … 1), or NaN.
    """
    from histograft.stats.projection import knn_accuracy, silhouette

    votes = len(set(labels)) > 1 and len(set(groups)) > 1
    return {
        "knn_accuracy": knn_accuracy(features, labels, groups=groups) if votes else float("nan"),
        "silhouette": silhouette(features, labels),
    }
