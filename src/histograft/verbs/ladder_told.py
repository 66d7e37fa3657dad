"""What a ladder of scales says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from histograft.core.reporter import counted
from histograft.figures.numerals import percent, percent_range, points, points_range
from histograft.verbs.ladder_tables import HEADLINE, Judged, Rung, stacked_scores

if TYPE_CHECKING:
    from histograft.stats.noninferiority import NonInferiority

CONDITIONS = {
    "teacher": "teacher",
    "baseline": "baseline",
    "kd": "KD",
    "kd-ad": "KD on unlabelled pieces",
}


def condition_name(rung: Rung) -> str:
    """Name a condition for people."""
    name = CONDITIONS[rung.condition]
    if rung.n_unlabelled:
        name = f"KD on {rung.n_unlabelled} unlabelled"
    return f"{name}, fine-tuned" if rung.fine_tuned else name


def scale_name(rung: Rung) -> str:
    """Name a scale for people.

    A set of unknown scale has factors only.
    """
    relative = rung.networks[0].facts["scale"] == "relative"
    if relative:
        return "native scale" if rung.level == 1 else f"1/{rung.level:g}"
    return f"{rung.level:g} µm/px"


def _in_full(rung: Rung) -> str:
    """Name a scale in a sentence that stands alone."""
    name = scale_name(rung)
    return f"{name} of the native scale" if name.startswith("1/") else name


def coarsest(judged: Judged) -> tuple[Rung, NonInferiority] | None:
    """Return the rung with the coarsest scale down to which its condition is non-inferior."""
    from histograft.stats.noninferiority import coarsest_scale

    best: tuple[Rung, NonInferiority] | None = None
    conditions = {r.key[1:]: r for r in judged.rungs[1:]}
    for condition in conditions:
        own = {
            rung.level: (rung, judged.tests[m])
            for m, rung in enumerate(judged.rungs)
            if m and rung.key[1:] == condition
        }
        level = coarsest_scale(list(own), [test for _, test in own.values()])
        if level is None:
            continue
        found = own[level]
        ahead = best is None or level > best[0].level
        tie = best is not None and level == best[0].level
        if ahead or (tie and best is not None and found[1].difference > best[1].difference):
            best = found
    return best


def answer(judged: Judged, costs: Mapping[float, Mapping[str, float]]) -> str:
    """Say in one sentence how low the scale may be, and what it costs."""
    from histograft.stats.noninferiority import least_units

    teacher = judged.rungs[0]
    margin = next(iter(judged.tests.values())).margin
    lost = f"less than {100 * margin:g} points of top-1 accuracy"
    found = coarsest(judged)
    doubt = of_weak_teacher(judged)
    if found is None:
        needed, there = least_units(margin, len(judged.tests)), judged.n_independent
        few = f", which tell as much as {there:.0f} independent ones; {needed} or more are needed"
        few = few if there < needed else ""
        return (
            f"At no scale coarser than the teacher's ({scale_name(teacher)}) is it shown that "
            f"{lost} are lost ({pieces_tested(judged)} tested{few}).{doubt}"
        )
    rung, test = found
    share = costs[teacher.level]["gmacs"] / costs[rung.level]["gmacs"]
    return (
        f"Down to {_in_full(rung)} {lost} are lost against the teacher at {scale_name(teacher)}: "
        f"{condition_name(rung)}, {points(test.difference)} points, 95 % interval "
        f"{points_range(test.ci_low, test.ci_high)}, at 1/{share:.0f} of the multiplications "
        f"({costs[rung.level]['gmacs']:.3g} GMAC a piece).{_of_new_seeds(judged, rung)}{doubt}"
    )


def _of_new_seeds(judged: Judged, rung: Rung) -> str:
    """Say whether the claim holds for trainings from other seeds too."""
    if len(rung.networks) < 2:
        return " One seed does not tell whether a new training would do as well."
    anew = judged.anew.get(judged.rungs.index(rung))
    if anew is None:
        return ""
    shown = "This is shown" if anew.holds else "It is not shown"
    interval = points_range(anew.ci_low, anew.ci_high)
    return f" {shown} for networks trained anew from other seeds too ({interval})."


def pieces_tested(judged: Judged, noun: str = "piece") -> str:
    """Say how many pieces were tested, and of how many patients where they are known."""
    pieces = counted(judged.draws.n_units, noun)
    known = judged.kind != "piece"
    return f"{pieces} of {counted(judged.n_groups, judged.kind)}" if known else pieces


def never_named(judged: Judged) -> list[str]:
    """Return classes of test pieces that the teacher never answers, with any seed."""
    truth, probabilities, _, _ = stacked_scores(judged.rungs[:1])
    answered = set(probabilities.argmax(-1).ravel().tolist())
    classes = judged.rungs[0].networks[0].facts["classes"]
    return [classes[k] for k in sorted(set(truth.tolist()) - answered)]


def of_weak_teacher(judged: Judged) -> str:
    """Say where a teacher is not shown to be better than naming one class always."""
    import numpy as np

    truth = stacked_scores(judged.rungs[:1])[0]
    share = float(np.bincount(truth).max() / len(truth))
    low, high = judged.draws.interval(0, HEADLINE)
    if low > share:
        return ""
    return (
        f" But this says little: the teacher (top-1 {percent(judged.draws.value(0, HEADLINE))} %, "
        f"95 % interval {percent_range(low, high)}) is not shown to do better than naming the most "
        f"frequent class always ({percent(share)} %). It needs more labels or epochs first."
    )


def caveats(judged: Judged) -> tuple[str, ...]:
    """Say what a reader must know before believing a number."""
    lines = []
    if judged.rungs[0].networks[0].facts["scale"] == "relative":
        lines.append("The µm/px of the images is unknown: scales are factors of their own.")
    if unnamed := never_named(judged):
        lines.append(
            f"The teacher names {', '.join(unnamed)} for no test piece, though there are such "
            "pieces: it has not learned to tell all classes apart."
        )
    if judged.kind == "piece":
        lines.append(
            "No patients or slides are known: pieces are taken for independent, so intervals are "
            "too short where several come from one patient."
        )
    if judged.draws.warning:
        lines.append(judged.draws.warning[0].upper() + judged.draws.warning[1:] + ".")
    lines += [
        f"{counted(n, unit)} with pieces of several classes: left out where a {unit} is decided "
        "as a whole."
        for unit, n in judged.mixed.items()
        if n
    ]
    n_seeds = len(judged.rungs[0].networks)
    if n_seeds < 3:
        lines.append(
            f"{counted(n_seeds, 'seed')} a condition; three or more tell how seeds scatter."
        )
    if HEADLINE not in judged.draws.metrics:
        raise AssertionError("the headline is always computed")
    return tuple(lines)
