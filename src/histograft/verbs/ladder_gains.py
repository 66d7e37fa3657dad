"""What more unlabelled pieces give, and what fine-tuning gives: students against students."""

from __future__ import annotations

from typing import Any

from histograft.verbs.ladder_baselines import compared_accuracies
from histograft.verbs.ladder_tables import HEADLINE, KEYS, STUDENT, STUDENT_AD, Judged, Rung

LABELLED = STUDENT
FEWER = "fewer unlabelled"
BEFORE = "before fine-tuning"


def gain_rows(judged: Judged, seed: int) -> list[dict[str, Any]]:
    """Compare students of unlabelled pieces with those of fewer, and fine-tuned ones with before.

    The paper claims that distilling on more unlabelled tissue helps, and tunes the head afterwards
    (sections 3.4 and 4.5). Top-1 accuracy is tested as against the baseline; students of one seed
    have one teacher, so that seeds are paired. Holm's method allows for all rows.

    Parameters
    ----------
    judged : Judged
        The ladder.
    seed : int
        Of the sign flips, where there is one seed a condition.

    Returns
    -------
    list of dict
        Rows of ``comparisons.csv``, ``compared_with`` being `LABELLED`, `FEWER` or `BEFORE`.
    """
    named = gained_pairs(judged.rungs)
    pairs = [(m, other) for m, other, _ in named]
    n_draws = judged.draws.draws.shape[-1]
    tested = compared_accuracies(judged.rungs, pairs, seed, n_draws=n_draws, paired=True)
    rows = []
    for (m, other, what), test in zip(named, tested, strict=True):
        fixed = dict(zip(KEYS, judged.rungs[m].key, strict=True))
        low, high = judged.draws.difference_interval(m, other, HEADLINE)
        interval = {"metric": HEADLINE, "ci_low": low, "ci_high": high}
        rows.append(fixed | {"compared_with": what} | interval | test)
    return rows


def gained_pairs(rungs: list[Rung]) -> list[tuple[int, int, str]]:
    """Return positions of a student and of that which has one thing less, and which thing."""
    at = {rung.key: m for m, rung in enumerate(rungs)}
    amounts = sorted({rung.n_unlabelled for rung in rungs if rung.condition == STUDENT_AD})
    found = []
    for m, rung in enumerate(rungs):
        if rung.condition not in (STUDENT, STUDENT_AD):
            continue
        before = at.get((rung.level, rung.condition, rung.n_unlabelled, False))
        if rung.fine_tuned and before is not None:
            found.append((m, before, BEFORE))
        fewer = [n for n in amounts if n < rung.n_unlabelled]
        key = (rung.level, STUDENT_AD, fewer[-1], rung.fine_tuned) if fewer else None
        if key is None and rung.condition == STUDENT_AD:
            key = (rung.level, STUDENT, 0, rung.fine_tuned)
        if key in at:
            found.append((m, at[key], FEWER if fewer else LABELLED))
    return found
