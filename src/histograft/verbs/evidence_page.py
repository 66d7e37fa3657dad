"""Pictures, tables and words on what networks look at, for the report of `explain`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.seeds import generator
from histograft.verbs.comparison_told import records
from histograft.verbs.evidence import Seen

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from histograft.figures.page import Table

MAPS_CAPTION = (
    "Light: what speaks most for the class named beneath; dark: what speaks least. Beneath each "
    "map its class with its probability, and in orange what is wrong with the prediction. Each map "
    "runs from its own least to its own most: compare where maps are light, not how light.",
    "Patches in rows; for each network the patch in grey under a map of colors.",
)
OUTLINE_CAPTION = " Blue line: the mask of the class."
MAPS_TEXT = (
    "A map is as coarse as the network's last stage (7 × 7 places for a patch of 224 px) and was "
    "stretched to the patch. It shows where the network found evidence, not why this tissue has "
    "its class, and not that the network would err without it."
)
POINTING_TEXT = (
    "Pointing game: a hit is a map whose highest place lies within {tolerance:g} px of the class's "
    "mask (Zhang et al. 2018, https://doi.org/10.1007/s11263-017-1059-x); the score is the mean "
    "over classes of their share of hits. Energy: share of the map that lies in the mask (Wang et "
    "al. 2020, https://doi.org/10.1109/CVPRW50498.2020.00020). By chance: the same of a place "
    "drawn at random, and of an even map. Intervals (95 %) are from resampling {unit}."
)


def pointing_table(seen: pd.DataFrame, seed: int, n_draws: int = 10_000) -> pd.DataFrame:
    """Score the pointing game of each network, over all classes and for each.

    Parameters
    ----------
    seen : pandas.DataFrame
        Columns network, shown, group, hit, hit_by_chance, energy, energy_by_chance.
    seed : int
        Root seed of the resampling.
    n_draws : int
        Draws of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        Columns network, class ("all" for the mean over classes), hits, ci_low, ci_high,
        hits_by_chance, energy, energy_by_chance, n_maps.
    """
    import pandas as pd

    from histograft.stats.pointing import pointing_game, pointing_interval

    rows = []
    for network, own in seen.groupby("network", sort=False):
        parts = [("all", own), *own.groupby("shown", sort=True)]
        for name, part in parts:
            game = pointing_game(part["hit"], part["hit_by_chance"], part["shown"])
            low, high = pointing_interval(
                part["hit"],
                part["shown"],
                part["group"],
                n_draws=n_draws,
                rng=generator(seed, "pointing"),  # the same draws for all networks
            )
            means = part.groupby("shown")[["energy", "energy_by_chance"]].mean().mean()
            rows.append(
                {"network": network, "class": name, "hits": game.accuracy}
                | {"ci_low": low, "ci_high": high, "hits_by_chance": game.by_chance}
                | means.to_dict()
                | {"n_maps": len(part)}
            )
    return pd.DataFrame(rows)


def map_figure(
    names: Sequence[str], seen: Sequence[Sequence[Seen]], images: dict[int, NDArray[Any]]
) -> Figure:
    """Draw the maps of all networks: one row for each look.

    Parameters
    ----------
    names : sequence of str
        Networks.
    seen : sequence of sequence of Seen
        For each network what it makes of the same looks.
    images : dict of int to uint8 array
        Patches by their row in the table.
    """
    from histograft.figures.cam import CamCell, CamRow, cam_overlays

    rows = []
    for column in zip(*seen, strict=True):
        cells = [
            CamCell(one.found, one.cells["shown"], one.cells["probability"], one.remark)
            for one in column
        ]
        look, truth = column[0].look, column[0].cells["truth"].replace("|", ", ")
        rows.append(CamRow(images[look.row], truth, cells, look.mask))
    return cam_overlays(rows, names)


def few_neighbors(points: pd.DataFrame) -> tuple[str, ...]:
    """Say where a class has too few patches for half of ten neighbors to be of it.

    Examples
    --------
    >>> import pandas as pd
    >>> few_neighbors(pd.DataFrame({"model": "a", "class": ["fat"] * 3 + ["gland"] * 11}))[0][:43]
    'The smallest class here, fat, has 3 patches'
    """
    from histograft.stats.projection import NEIGHBORS

    first = points[points["model"] == points["model"].iloc[0]]
    counts = first["class"].value_counts()
    own = int(counts.min()) - 1
    if 2 * own >= NEIGHBORS:
        return ()
    return (
        f"The smallest class here, {counts.idxmin()}, has {own + 1} patches: at most {own} of the "
        f"{NEIGHBORS} neighbors that vote on each can be of its class, whatever the network does. "
        "With more patches the accuracy of neighbors would be higher.",
    )


def seen_table(table: pd.DataFrame) -> Table:
    """Tabulate predictions of the patches that are shown."""
    from histograft.figures.numerals import percent
    from histograft.figures.page import Table

    frame = table.drop(columns=["group", "hit_by_chance", "energy_by_chance"], errors="ignore")
    frame = frame.rename(columns={"probability": "probability, %"})
    frame["probability, %"] = [percent(value) for value in frame["probability, %"]]
    return Table(
        frame.assign(right=frame["right"].astype("boolean")),
        "What each network makes of the patches that are shown.",
        help={
            "shown": "class that the map is of",
            "probability, %": "of that class",
            "right": "whether the prediction is the truth; – where the network lacks the class",
        },
        group="network",
    )


def pointing_page_table(scores: pd.DataFrame) -> Table:
    """Tabulate the pointing game in percent."""
    import pandas as pd

    from histograft.figures.page import Table

    frame = pd.DataFrame(
        {
            "network": scores["network"],
            "class": scores["class"],
            "hits, %": [
                f"{100 * hit:.1f} ({100 * low:.1f} to {100 * high:.1f})"
                for hit, low, high in scores[["hits", "ci_low", "ci_high"]].to_numpy()
            ],
            "by chance, %": (100 * scores["hits_by_chance"]).round(1),
            "energy, %": (100 * scores["energy"]).round(1),
            "even map, %": (100 * scores["energy_by_chance"]).round(1),
            "maps": scores["n_maps"],
        }
    )
    return Table(frame, "Where maps lie against masks.", group="network")


def pointing_sentences(scores: pd.DataFrame) -> tuple[str, ...]:
    """Say each network's score in a line."""
    whole = records(scores[scores["class"] == "all"])
    return tuple(
        f"{row['network']}: {100 * row['hits']:.1f} % hits ({100 * row['ci_low']:.1f} to "
        f"{100 * row['ci_high']:.1f}), {100 * row['hits_by_chance']:.1f} % by chance, in "
        f"{row['n_maps']} maps"
        for row in whole
    )
