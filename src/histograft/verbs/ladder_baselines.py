"""Students against the baseline of their scale: differences, intervals and p values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.core.seeds import generator
from histograft.verbs.ladder_tables import (
    BASELINE,
    HEADLINE,
    KEYS,
    TEACHER,
    Judged,
    Rung,
    stacked_scores,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Float = NDArray[np.float64]
    Index = NDArray[np.int64]

CROSSED = "crossed"
FLIPS = "sign flips"
FURTHER = ("macro_f1",)


def baseline_rows(judged: Judged, seed: int) -> list[dict[str, Any]]:
    """Compare each student with the baseline of its scale.

    Top-1 accuracy is tested: with two seeds or more by the crossed test, whose error holds for new
    patients and new seeds alike (its interval is given too); with one seed by flipping the signs of
    groups. Holm's method allows for all scales and conditions. Further metrics have intervals of
    the bootstrap, over patients for these seeds, and no test.

    Parameters
    ----------
    judged : Judged
        The ladder.
    seed : int
        Of the sign flips.

    Returns
    -------
    list of dict
        Rows of ``comparisons.csv``.
    """
    pairs = student_pairs(judged.rungs)
    tested = compared_accuracies(judged.rungs, pairs, seed, n_draws=judged.draws.draws.shape[-1])
    rows = []
    for (m, base), test in zip(pairs, tested, strict=True):
        fixed = dict(zip(KEYS, judged.rungs[m].key, strict=True)) | {"compared_with": BASELINE}
        low, high = judged.draws.difference_interval(m, base, HEADLINE)
        interval = {"ci_low": low, "ci_high": high}
        rows.append(fixed | {"metric": HEADLINE} | interval | test)
        for metric in FURTHER:
            low, high = judged.draws.difference_interval(m, base, metric)
            difference = judged.draws.value(m, metric) - judged.draws.value(base, metric)
            values = {"difference": difference, "ci_low": low, "ci_high": high}
            rows.append(fixed | {"metric": metric} | values)
    return rows


def student_pairs(rungs: list[Rung]) -> list[tuple[int, int]]:
    """Return positions of each student and of the baseline of its scale, where there is one."""
    bases = {rung.level: m for m, rung in enumerate(rungs) if rung.condition == BASELINE}
    return [
        (m, bases[rung.level])
        for m, rung in enumerate(rungs)
        if rung.condition not in (TEACHER, BASELINE) and rung.level in bases
    ]


def compared_accuracies(
    rungs: list[Rung],
    pairs: list[tuple[int, int]],
    seed: int,
    *,
    n_draws: int = 10_000,
    paired: bool = False,
) -> list[dict[str, Any]]:
    """Test differences of top-1 accuracy, and allow for their number by Holm's method.

    Parameters
    ----------
    rungs : list of Rung
        With the same seeds and test pieces.
    pairs : list of (int, int)
        Positions of what is compared: the first less the second.
    seed : int
        Of the sign flips.
    n_draws : int
        Sign flips, where there are more than 13 groups.
    paired : bool
        Whether networks of one seed belong together, as those of one teacher do.

    Returns
    -------
    list of dict
        ``difference``, ``test``, ``p``, ``p_holm``, and for the crossed test ``ci_low`` and
        ``ci_high``. p is NaN where no error can be estimated, as with a single group.
    """
    import numpy as np

    from histograft.stats.compare import holm

    if not pairs:
        return []
    truth, probabilities, names, _ = stacked_scores(rungs)
    right = (probabilities.argmax(-1) == truth).astype(np.float64)  # (M, R, N)
    groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
    found = []
    for a, b in pairs:
        if groups.max() < 1:
            one = {"difference": float(right[a].mean() - right[b].mean()), "p": float("nan")}
            found.append(one | {"test": ""})
        elif right.shape[1] > 1:
            found.append(_crossed(right[a], right[b], groups, paired=paired))
        else:
            found.append(_flips(right[a][0] - right[b][0], groups, seed, n_draws))
    adjusted = holm([one["p"] for one in found])
    return [one | {"p_holm": float(p)} for one, p in zip(found, adjusted, strict=True)]


def _crossed(a: Float, b: Float, groups: Index, *, paired: bool) -> dict[str, Any]:
    from histograft.stats.crossed import (
        crossed_difference,
        crossed_paired_difference,
        mean_metric,
    )

    compare = crossed_paired_difference if paired else crossed_difference
    test = compare(mean_metric(a, groups), mean_metric(b, groups))
    told = {"difference": test.value, "test": CROSSED, "p": test.p_value}
    return told | {"ci_low": test.low, "ci_high": test.high}


def _flips(differences: Float, groups: Index, seed: int, n_draws: int) -> dict[str, Any]:
    import numpy as np

    from histograft.stats.compare import group_sign_flip

    sums = np.bincount(groups, weights=differences)
    test = group_sign_flip(sums, n_draws=n_draws, rng=generator(seed, "ladder, sign flips"))
    return {"difference": float(differences.mean()), "test": FLIPS, "p": test.p_value}
