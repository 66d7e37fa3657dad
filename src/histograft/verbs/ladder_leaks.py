"""What the splits of a ladder's pieces share, for its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.core.reporter import counted, listed
from histograft.verbs.annotating import OF_IMAGE
from histograft.verbs.report_leakage import find_leaks, leakage_sentences, leakage_table

if TYPE_CHECKING:
    from histograft.figures.page import Section


def leakage_section(patches: Sequence[Artefact]) -> Section | None:
    """Tell and tabulate what splits share, as the other reports do.

    Parameters
    ----------
    patches : sequence of Artefact
        Levels of one ladder, whose splits are the same; the finest first, where near duplicates
        are told apart best.
    """
    from histograft.figures.page import Section

    if not patches:
        return None
    leaks = find_leaks([patches[0].facts], [], set())
    return Section("Leakage report", text=leakage_sentences(leaks), tables=(leakage_table(leaks),))


def leakage_caveats(patches: Sequence[Artefact]) -> tuple[str, ...]:
    """Say which groups are learned from and tested, because a stated split is obeyed.

    Parameters
    ----------
    patches : sequence of Artefact
        As of `leakage_section`.
    """
    if not patches:
        return ()
    found = patches[0].facts["leakage"]
    known = [name for name in found["groups_in_two_splits"] if not name.startswith(OF_IMAGE)]
    parts = [f"{counted(len(known), 'group')} ({listed(known)})"] if known else []
    if copies := found["exact_duplicates_across_splits"]:
        parts.append(f"copies of {counted(copies, 'image')}")
    if not parts:
        return ()
    return (
        f"In two splits, as the table states them, lie {' and '.join(parts)}: what was learned of "
        "them is tested on them, so accuracies are too high.",
    )
