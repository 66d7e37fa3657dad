"""Students by how the teacher's map was shrunk: Appendix A of the paper on the user's data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.verbs.ladder_baselines import compared_accuracies
from histograft.verbs.ladder_tables import STUDENT, Rung, stacked_scores

if TYPE_CHECKING:
    import pandas as pd


def ablation_table(rungs: Sequence[Rung], ablation: Sequence[Artefact], seed: int) -> pd.DataFrame:
    """Compare students that differ in the resize of the loss on maps.

    Parameters
    ----------
    rungs : sequence of Rung
        Of the ladder; its students without unlabelled pieces are what others are compared with.
    ablation : sequence of Artefact
        Networks with another resize, with the same seeds.
    seed : int
        Of sign flips, where there is one seed.

    Returns
    -------
    pandas.DataFrame
        Columns mpp, resize, accuracy_top1, macro_f1 (means over seeds), compared_with,
        difference, ci_low, ci_high, test, p, p_holm; empty of the latter in the ladder's own row.

    Raises
    ------
    InputError
        A network has no counterpart, or other seeds.
    """
    import pandas as pd

    own = [rung for rung in rungs if rung.condition == STUDENT]
    entries = [(rung, _resize(rung.networks[0])) for rung in own]
    groups: dict[tuple[float, str], list[Artefact]] = {}
    for network in ablation:
        groups.setdefault((float(network.facts["level"]), _resize(network)), []).append(network)
    for (level, way), networks in groups.items():
        ordered = tuple(sorted(networks, key=_seed))
        rung = Rung(level, STUDENT, 0, fine_tuned=False, networks=ordered)
        _check(rung, way, own)
        entries.append((rung, way))
    entries.sort(key=lambda entry: (entry[0].level, entry[0] not in own, entry[1]))
    all_rungs = [rung for rung, _ in entries]
    bases = {rung.level: all_rungs.index(rung) for rung in own}
    pairs = [(m, bases[rung.level]) for m, rung in enumerate(all_rungs) if rung not in own]
    tests = dict(zip(pairs, compared_accuracies(all_rungs, pairs, seed), strict=True))
    values = _values(all_rungs)
    rows = []
    for m, (rung, way) in enumerate(entries):
        base = bases[rung.level]
        row: dict[str, Any] = {"mpp": rung.level, "resize": way} | values[m]
        row["compared_with"] = "" if m == base else entries[base][1]
        rows.append(row | tests.get((m, base), {}))
    names = ["mpp", "resize", "accuracy_top1", "macro_f1", "compared_with", "difference"]
    names += ["ci_low", "ci_high", "test", "p", "p_holm"]
    return pd.DataFrame(rows).reindex(columns=names)


def _values(rungs: Sequence[Rung]) -> list[dict[str, float]]:
    import numpy as np

    from histograft.stats.metrics import confusion
    from histograft.stats.rd_metrics import RD_METRICS

    truth, probabilities, _, _ = stacked_scores(rungs)
    return [
        {
            name: float(
                np.mean(
                    [RD_METRICS[name](confusion(truth, p.argmax(1), p.shape[1])) for p in of_seeds]
                )
            )
            for name in ("accuracy_top1", "macro_f1")
        }
        for of_seeds in probabilities
    ]


def _check(rung: Rung, way: str, own: Sequence[Rung]) -> None:
    base = next((r for r in own if r.level == rung.level), None)
    if base is None or _resize(base.networks[0]) == way:
        raise InputError(
            f"there is no other student at {rung.level:g} to compare the resize {way} with",
            "give the ladder's students by --networks, and those of other ways by --ablation",
        )
    if rung.seeds != base.seeds:
        raise InputError(
            f"students with the resize {way} at {rung.level:g} have the seeds {rung.seeds}, "
            f"the ladder's {base.seeds}",
            "train every condition with the same seeds, once each",
        )


def _resize(network: Artefact) -> str:
    way = network.manifest["config"].get("resize")
    if way is None:
        raise InputError(f"{network.path} has no teacher", "give distilled students")
    return str(way)


def _seed(network: Artefact) -> int:
    return int(network.manifest["seed"])
