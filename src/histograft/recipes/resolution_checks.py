"""What would end a training of a ladder, looked for before the first one begins."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from histograft.core.artefact import Artefact, open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter, listed
from histograft.verbs.distill import Distill
from histograft.verbs.ladder import Ladder
from histograft.verbs.patch_images import load_patches
from histograft.verbs.piece_overlap import check_unlabelled
from histograft.verbs.piece_pairs import Pieces, Sets, check_pairs, unlabelled_rows


def check_trainings(trainings: Sequence[Distill]) -> None:
    """Refuse pieces that some training, or the report, could not use.

    Parameters
    ----------
    trainings : sequence of Distill
        Of all conditions, with pieces that are made.

    Raises
    ------
    InputError
        Splits lack pieces; scales do not fit each other; unlabelled pieces overlap the test;
        pieces are smaller than the network's stride; two unlabelled sets are equally large.
    """
    opened = lru_cache(maxsize=None)(lambda path: open_artefact(path, "patches"))
    first = opened(trainings[0].patches)
    splits = set(load_patches(first)["split"])
    check_splits(splits, str(first.facts["dataset"]), trainings[0].select)
    folders: dict[Path, None] = {}
    sizes: dict[tuple[Path, int], str] = {}
    seen = set()
    for one in trainings:
        given = one.patches, one.fine, one.unlabelled, one.unlabelled_fine
        folders |= dict.fromkeys(path for path in given if path is not None)
        if (*given, one.unlabelled_share) in seen:  # with another seed, or to be fine-tuned
            continue
        seen.add((*given, one.unlabelled_share))
        sets = Sets(opened(one.patches), *(p if p is None else opened(p) for p in given[1:]))
        check_pairs(sets)
        check_unlabelled(sets)
        if one.unlabelled is None or sets.unlabelled is None:
            continue
        n, name = len(unlabelled_rows(sets, one.unlabelled_share)), one.unlabelled.parent.name
        name = f"{name} (share {one.unlabelled_share:g})"
        other = sizes.setdefault((one.patches, n), name)
        if other != name:
            raise InputError(
                f"{other} and {name} are both {n} pieces, which a ladder cannot tell apart",
                "shares go by whole groups: give shares that are further apart, or one of the two",
            )
    stride = network_stride(trainings[0].arch, trainings[0].norm_groups)
    for artefact in map(opened, folders):
        pieces = {float(artefact.facts["level"]): _sized(artefact)}
        refuse_small(artefact.facts["dataset"], pieces, stride, float(first.facts["level"]))


def tell_of_few_pieces(report: Ladder, n_seeds: int, reporter: Reporter) -> None:
    """Warn where the test pieces are too few to show anything, before hours of training.

    Parameters
    ----------
    report : Ladder
        With pieces that are made, and networks that are not yet.
    n_seeds : int
        Networks of each condition.
    reporter : Reporter
        Whom to tell.
    """
    from histograft.stats.noninferiority import least_units

    table = load_patches(open_artefact(report.patches[0], "patches"))
    n_pieces = int((table["split"] == "test").sum())
    n_tests = len(report.networks) // n_seeds - 1  # all but the teacher are compared with it
    needed = least_units(report.margin, n_tests)
    if n_pieces < needed:
        lost = f"less than {100 * report.margin:g} points are lost, even if none is"
        reporter.warn(
            f"{n_pieces} test pieces cannot show that {lost}: {needed} independent ones are needed "
            f"for {n_tests} comparisons. "
            "Test on more pieces, take fewer levels, or state a larger --margin"
        )


def check_splits(splits: Collection[str], name: str, select: str) -> None:
    """Refuse a set without rows to learn from, to be tested on, or to choose an epoch by.

    Parameters
    ----------
    splits : collection of str
        Splits that have rows.
    name : str
        What the set is called, for messages.
    select : {"last", "best"}
        Which epoch's weights are kept.
    """
    for split, use in (("train", "to learn from"), ("test", "to be tested on")):
        if split not in splits:
            raise InputError(
                f"{name} has no pieces {use}",
                f"write {split} into the column split of some groups, or leave the column out",
            )
    if select == "best" and "val" not in splits:
        raise InputError(
            f"--select best chooses an epoch by validation pieces, and {name} has none",
            "write val (or dev) into the column split of some groups; or give --val-of-train 0.15 "
            "to take them from the training groups; or --select last, as the paper did where it "
            "had none",
        )


def network_stride(arch: str, norm_groups: int) -> int:
    """Return how many pixels a place of the network's last map is wide.

    Raises
    ------
    InputError
        There is no such architecture, or it does not take so many groups.
    """
    from histograft.learning.network import NetworkSpec
    from histograft.learning.shapes import shape_only

    spec = NetworkSpec(arch, ("a", "b"), kwargs={"norm_groups": norm_groups}, hidden=())
    try:
        return shape_only(spec).stride
    except InputError as error:
        if "norm_groups" not in error.problem:
            raise
        fix = "give another --norm-groups, such as 32, 16 or 8, or another --arch"
        raise InputError(f"--norm-groups {norm_groups}: {error.problem}", fix) from error


def refuse_small(
    name: object,
    pieces: Mapping[float, Sequence[tuple[str, tuple[int, int]]]],
    stride: int,
    finest: float,
) -> None:
    """Refuse pieces that the network would shrink to nothing.

    Parameters
    ----------
    name : object
        What the set is called, for messages.
    pieces : mapping
        By level: file and (width, height) of each piece.
    stride : int
        Of `network_stride`.
    finest : float
        The teacher's level, which cannot be left out.
    """
    small = {
        level: [(file, size) for file, size in given if min(size) < stride]
        for level, given in pieces.items()
    }
    levels = sorted(level for level, found in small.items() if found)
    if not levels:
        return
    found = small[levels[0]]
    shown = [f"{file}: {width} × {height} px" for file, (width, height) in found]
    fix = f"leave {', '.join(f'{level:g}' for level in levels)} out of --ladder, or such pieces"
    if finest in levels:
        fix = "leave such pieces"
    raise InputError(
        f"{len(found)} of {len(pieces[levels[0]])} pieces of {name} at level {levels[0]:g} are "
        f"smaller than the network's stride of {stride} px ({listed(shown)})",
        f"{fix} out of the table",
    )


def _sized(artefact: Artefact) -> list[tuple[str, tuple[int, int]]]:
    """File and (width, height) of each piece of an artefact."""
    table = load_patches(artefact)
    pieces = Pieces(artefact, table)
    return [(str(file), pieces.shape(i)[::-1]) for i, file in enumerate(table["source_file"])]
