"""What would end a ladder, looked for in what the user gave before the first piece is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.artefact import is_artefact, open_artefact
from histograft.core.claims import differing_settings
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import ArtefactError, InputError
from histograft.core.reporter import Reporter, counted, listed
from histograft.recipes.ladder_inputs import Given, read_given
from histograft.recipes.ladder_plan import rescaling
from histograft.recipes.resolution_checks import check_splits, network_stride, refuse_small
from histograft.verbs.ladder import VERSION, Ladder
from histograft.verbs.piece_overlap import in_common, overlapping

if TYPE_CHECKING:
    from histograft.recipes.resolution_distillation import ResolutionDistillation


def check_given(
    config: ResolutionDistillation, report: Ladder, finest: float, reporter: Reporter
) -> None:
    """Refuse a ladder that could not be finished, and warn of what makes it say less.

    Parameters
    ----------
    config : ResolutionDistillation
        What to do.
    report : Ladder
        The report that it is to end with.
    finest : float
        Level of the teacher.
    reporter : Reporter
        Whom to tell.

    Raises
    ------
    InputError
        Tables, images, splits, levels, the network or the device do not fit; an unlabelled set
        overlaps the test, or is given twice.
    ArtefactError
        The folder holds a report of other options.
    """
    from histograft.learning.hardware import gpu_is_there

    _refuse_other_report(report)
    _refuse_same_folders(config)
    if config.device == "cuda" and not gpu_is_there():
        raise InputError("--device is cuda, and PyTorch finds no GPU", "give --device cpu or auto")
    stride = network_stride(config.arch, config.norm_groups)
    levels = [finest, *sorted(config.ladder)]

    def read(path: Path, level: float) -> Given:
        return read_given(path, rescaling(config, path, config.out, level, finest))

    labelled = read(config.samples, finest)
    _tell_of_missing_groups(labelled, reporter)
    _tell_of_divided_groups(labelled, reporter)
    _check_labels(labelled, config.select, reporter)
    refuse_small(labelled.path, _pieces_at(labelled, levels), stride, finest)
    known: dict[str, Path] = {}
    for path in config.unlabelled:
        more = read(path, finest)
        if (same := known.setdefault(more.id, path)) != path:
            raise InputError(f"--unlabelled {same} and {path} are the same", "give one of them")
        _tell_of_missing_groups(more, reporter)
        _check_overlap(labelled, more)
        refuse_small(more.path, _pieces_at(more, levels), stride, finest)
    if config.predict_slides is not None:  # at the level of the answer, which is one of the ladder
        given = read(config.predict_slides, levels[-1])
        native = 0.0 if config.scale == "relative" else float(given.table["mpp"].max())
        at = next((level for level in levels[1:] if level >= native), levels[-1])
        refuse_small(given.path, _pieces_at(given, [at]), stride, finest)


def _refuse_other_report(report: Ladder) -> None:
    """Refuse a folder whose report says something else, before hours of work for another."""
    if not is_artefact(report.out):
        return
    theirs = open_artefact(report.out).manifest
    if theirs["verb"] != "ladder":
        raise ArtefactError(
            f"{report.out} holds a report of `histograft {theirs['verb']}`", "choose another --out"
        )
    ours = fields_with_role(report, Role.SETTING)
    differing = differing_settings(theirs, ours | {"seed": report.seed})
    said = [
        f"--{name.replace('_', '-')}: there {there}, here {here}"
        for name, there, here in differing
        if name in ours or name == "seed"
    ]
    of_then = [name for name, _, _ in differing if name not in ours and name != "seed"]
    if of_then or theirs["verb_version"] != VERSION:
        said.append("it is of another version of histograft")
    n_there = sum(given["role"] == "networks" for given in theirs["inputs"])
    if n_there != len(report.networks):
        said.append(f"networks: there {n_there}, here {len(report.networks)}")
    if said:
        raise ArtefactError(
            f"{report.out} holds a report of other options ({'; '.join(said)})",
            f"choose another --out, or delete {report.out}: pieces and networks are kept and "
            "used again",
        )


def _refuse_same_folders(config: ResolutionDistillation) -> None:
    """Refuse a set that is given twice, and to write among images."""
    seen: dict[Path, str] = {config.samples.resolve(): "the samples"}
    for path in config.unlabelled:
        if (before := seen.get(path.resolve())) is not None:
            raise InputError(f"--unlabelled {path} is {before}", "give each set once")
        seen[path.resolve()] = "given twice"
    out = config.out.resolve()
    for path in (config.samples, *config.unlabelled):
        folder = path.resolve() if path.is_dir() else path.resolve().parent
        if out == folder or (path.is_dir() and out.is_relative_to(folder)):
            raise InputError(
                f"--out {config.out} lies in {path}, among the images",
                "choose an --out beside that folder",
            )


def _check_labels(labelled: Given, select: str, reporter: Reporter) -> None:
    """Refuse labels and splits from which nothing could be learned or tested."""
    table, path = labelled.table, labelled.path
    classes = sorted(set(table["label"]))
    if len(classes) < 2:
        raise InputError(
            f"{path} has one class only ({classes[0]})", "give labels of two classes or more"
        )
    if "split" not in table:  # of slides: it is drawn over pieces, which are not found yet
        return
    drawn = {"val"} if labelled.sizes is None and labelled.rescaling.val_of_train else set()
    check_splits(drawn | set(table["split"]), str(path), select)
    lacking = sorted(set(classes) - set(table.loc[table["split"] == "train", "label"]))
    if lacking:
        raise InputError(
            f"{path}: no training row shows {listed(lacking)}",
            "write train into the column split of some of its groups; where splits are drawn, "
            "give more groups of it, or leave this class out",
        )
    untested = sorted(set(classes) - set(table.loc[table["split"] == "test", "label"]))
    if untested:
        reporter.warn(f"{path}: no test row shows {listed(untested)}, so nothing is said of it")


def _check_overlap(labelled: Given, more: Given) -> None:
    """Refuse an unlabelled set that shares something with the test, and with which rows."""
    table = labelled.table
    if "split" not in table:
        return
    if found := in_common(table[table["split"] == "test"], more.table):
        raise overlapping(f"--unlabelled {more.path}", f"test rows of {labelled.path}", found)


def _pieces_at(
    given: Given, levels: Sequence[float]
) -> dict[float, list[tuple[str, tuple[int, int]]]]:
    """Names and sizes of the pieces at each level."""
    files = list(given.table["file"])
    return {level: list(zip(files, given.sizes_at(level), strict=False)) for level in levels}


def _tell_of_missing_groups(given: Given, reporter: Reporter) -> None:
    """Warn of images without a group beside others that have one."""
    table, path = given.table, given.path
    alone = table["group_source"] == "image"
    if 0 < alone.sum() < len(table):
        reporter.warn(
            f"{path}: no group is stated for {alone.sum()} of {len(table)} images "
            f"({listed(given.names(alone))}): each stands for itself, and its patient may be on "
            "both sides of the split; write its group into the table"
        )


def _tell_of_divided_groups(given: Given, reporter: Reporter) -> None:
    """Warn of groups that the table puts into two splits: a stated split is obeyed all the same."""
    from histograft.stats.leakage import groups_across_splits

    table, path = given.table, given.path
    if "split" not in table:
        return
    alone = table["group_source"] == "image"
    divided = groups_across_splits(table["group"].to_numpy(str), table["split"].to_numpy(str))
    names = [name for name, _ in divided]
    known = sorted(set(names) & set(table.loc[~alone, "group"]))
    copies = given.names(alone & table["group"].isin(names))
    parts = [f"{counted(len(known), 'group')} ({listed(known)})"] if known else []
    parts += [f"{counted(len(copies), 'equal image')} ({listed(copies)})"] if copies else []
    if parts:
        reporter.warn(
            f"{path}: {' and '.join(parts)} in two splits, as the table states them: what is "
            "learned of them is tested on them, so results are too good. Mend the column split, or "
            "leave it out to have it drawn over groups"
        )
