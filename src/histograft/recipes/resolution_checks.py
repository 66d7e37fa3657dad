"""What would end a training of a ladder, looked for before the first one begins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from histograft.core.artefact import Artefact, open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.stats.noninferiority import least_units
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
    _check_splits(opened(trainings[0].patches), trainings[0])
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
    _check_stride([opened(path) for path in folders], trainings[0])


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


def _check_splits(pieces: Artefact, training: Distill) -> None:
    splits = set(load_patches(pieces)["split"])
    for split, use in (("train", "to learn from"), ("test", "to be tested on")):
        if split not in splits:
            raise InputError(
                f"{pieces.facts['dataset']} has no pieces {use}",
                f"write {split} into the column split of some groups, or leave the column out",
            )
    if training.select == "best" and "val" not in splits:
        raise InputError(
            f"--select best chooses an epoch by validation pieces, and {pieces.facts['dataset']} "
            "has none",
            "write val (or dev) into the column split of some groups; or give --val-of-train 0.15 "
            "to take them from the training groups; or --select last, as the paper did where it "
            "had none",
        )


def _check_stride(artefacts: Sequence[Artefact], training: Distill) -> None:
    from histograft.learning.network import NetworkSpec
    from histograft.learning.shapes import shape_only

    kwargs = {"norm_groups": training.norm_groups}
    spec = NetworkSpec(training.arch, ("a", "b"), kwargs=kwargs, hidden=())
    stride = shape_only(spec).stride
    for artefact in artefacts:
        table = load_patches(artefact)
        pieces = Pieces(artefact, table)
        shapes = [pieces.shape(i) for i in range(len(pieces))]
        small = [i for i, shape in enumerate(shapes) if min(shape) < stride]
        if small:
            height, width = shapes[small[0]]
            raise InputError(
                f"{len(small)} of {len(shapes)} pieces of {artefact.facts['dataset']} at level "
                f"{artefact.facts['level']:g} are smaller than the network's stride of {stride} px "
                f"(such as {table['source_file'].iloc[small[0]]}: {width} × {height} px)",
                "leave this level out of --ladder, or these pieces out of the table",
            )
