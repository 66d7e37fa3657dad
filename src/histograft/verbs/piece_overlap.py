"""What pieces that teach share with pieces that judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter, counted, listed
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
    table = load_patches(sets.coarse)
    found = in_common(table[table["split"] == "test"], load_patches(sets.unlabelled))
    if found:
        raise overlapping(
            str(sets.unlabelled.path), f"the test pieces of {sets.coarse.path}", found
        )


def tell_of_validation(sets: Sets, reporter: Reporter) -> None:
    """Warn where an epoch is chosen by pieces that the student learned from."""
    if sets.unlabelled is None:
        return
    table = load_patches(sets.coarse)
    found = in_common(table[table["split"] == "val"], load_patches(sets.unlabelled))
    if found:
        reporter.warn(
            f"{sets.unlabelled.path} shares {_counted(found)} with the validation pieces: the "
            "epoch is chosen by pieces that were learned from"
        )


def in_common(held_out: pd.DataFrame, more: pd.DataFrame) -> dict[str, list[str]]:
    """Find images, groups and slides that are in two tables.

    Parameters
    ----------
    held_out, more : pandas.DataFrame
        Patches tables, or tables of `histograft.verbs.piece_samples.Samples`.

    Returns
    -------
    dict of str to list of str
        Sorted names, by what they are names of; images as `more` calls their files. Empty where
        nothing is shared.
    """
    file = "source_file" if "source_file" in more else "file"
    copies = more.loc[more["source_sha256"].isin(set(held_out["source_sha256"])), file]
    found = {"image": set(copies)}
    named = [set(t.loc[t["group_source"] != "image", "group"]) for t in (held_out, more)]
    found["group"] = named[0] & named[1]
    slides = [_slides_of(table) for table in (held_out, more)]
    found["slide"] = slides[0] & slides[1]
    return {kind: sorted(map(str, names)) for kind, names in found.items() if names}


def _slides_of(table: pd.DataFrame) -> set[str]:
    column = next((name for name in ("slide_id", "slide") if name in table), None)
    return set() if column is None else set(table[column].dropna())


def overlapping(more: str, held_out: str, found: dict[str, list[str]]) -> InputError:
    """Say what unlabelled pieces share with those to be tested."""
    return InputError(
        f"{more} shares {_counted(found)} with {held_out}",
        "take them out of the unlabelled set; groups and slides of both sets must have names "
        "of their own",
    )


def _counted(found: dict[str, list[str]]) -> str:
    parts = [f"{counted(len(names), kind)} ({listed(names)})" for kind, names in found.items()]
    return " and ".join(parts)


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
