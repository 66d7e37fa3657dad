"""What pieces that teach share with pieces that judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.verbs.networks import TUNED_ON, group_key, seen_in, tuned_on
from histograft.verbs.patch_images import load_patches
from histograft.verbs.piece_pairs import Sets

if TYPE_CHECKING:
    import pandas as pd


def check_unlabelled(sets: Sets) -> None:
    """Refuse unlabelled pieces that are, or whose slides or patients are, among those to be tested.

    Raises
    ------
    InputError
        With what both hold.
    """
    if sets.unlabelled is None:
        return
    found = _shared(sets, "test")
    if any(found.values()):
        raise InputError(
            f"{sets.unlabelled.path} holds {_counted(found)} of the test pieces of "
            f"{sets.coarse.path}{_example(found)}",
            "take them out of the unlabelled set; groups and slides of both sets must have names "
            "of their own",
        )


def tell_of_validation(sets: Sets, reporter: Reporter) -> None:
    """Warn where an epoch is chosen by pieces that the student learned from."""
    if sets.unlabelled is None:
        return
    found = _shared(sets, "val")
    if any(found.values()):
        reporter.warn(
            f"{sets.unlabelled.path} holds {_counted(found)} of the validation pieces: the epoch "
            "is chosen by pieces that were learned from"
        )


def _shared(sets: Sets, split: str) -> dict[str, set[str]]:
    """Images, groups and slides that unlabelled pieces and those of a split have in common."""
    assert sets.unlabelled is not None
    known, more = load_patches(sets.coarse), load_patches(sets.unlabelled)
    held_out = known[known["split"] == split]
    named = [rows[rows["group_source"] != "image"] for rows in (held_out, more)]
    found = {
        "image": set(held_out["source_sha256"]) & set(more["source_sha256"]),
        "group": set(named[0]["group"]) & set(named[1]["group"]),
    }
    if "slide_id" in held_out and "slide_id" in more:
        found["slide"] = set(held_out["slide_id"].dropna()) & set(more["slide_id"].dropna())
    return found


def _counted(found: dict[str, set[str]]) -> str:
    return ", ".join(f"{len(names)} {kind}(s)" for kind, names in found.items())


def _example(found: dict[str, set[str]]) -> str:
    named = found["group"] or found.get("slide")
    return f" (such as {min(named)})" if named else ""


def rows_seen(rows: pd.DataFrame, seen: set[tuple[str, str]]) -> list[bool]:
    """Return for each piece whether weights have seen it or its group.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of a patches table.
    seen : set of (str, str)
        Of `histograft.verbs.networks.tuned_on`.
    """
    names = zip(
        rows["source_sha256"], rows["dataset"], rows["group"], rows["group_source"], strict=True
    )
    return [
        ("image", image) in seen
        or (source != "image" and ("group", group_key(dataset, group)) in seen)
        for image, dataset, group, source in names
    ]


def refuse_seen(pieces: Artefact, networks: dict[str, Artefact | None]) -> None:
    """Refuse networks that learned from test pieces because they knew another split.

    What the split itself lets training and test pieces share was told when pieces were made, and
    is not held against a network.

    Parameters
    ----------
    pieces : Artefact
        Labelled pieces with their splits.
    networks : dict of str to Artefact or None
        By the option that names each.

    Raises
    ------
    InputError
        With the number of such pieces.
    """
    table = load_patches(pieces)
    test, own = table[table["split"] == "test"], seen_in(table[table["split"] != "test"])
    for option, network in networks.items():
        if network is None or TUNED_ON not in network.files:
            continue
        n = sum(rows_seen(test, tuned_on(network) - own))
        if n:
            raise InputError(
                f"--{option} {network.path} learned from {n} of the {len(test)} test pieces of "
                f"{pieces.path}, or from their groups",
                "train it on the same split: make all levels from one table, with the same --seed",
            )
