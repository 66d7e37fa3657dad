"""What a transfer matrix consists of: its data sets, its networks, its cells and controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import is_artefact, open_artefact
from histograft.core.errors import ArtefactError, InputError
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed
from histograft.recipes.side_by_side import Job
from histograft.recipes.tissue_type import names_of_sets
from histograft.verbs.first_network import NO_HIDDEN
from histograft.verbs.fuse_parents import SAME_SCALE, scale_of
from histograft.verbs.matrix import Matrix, matrix
from histograft.verbs.patch_images import load_patches
from histograft.verbs.standardize import Standardize
from histograft.verbs.train import Train
from histograft.verbs.transfer import Transfer

if TYPE_CHECKING:
    from histograft.recipes.transfer_matrix import TransferMatrix
    from histograft.recipes.weight_distillation import WeightDistillation


@dataclass(frozen=True)
class Plan:
    """All steps before they are taken.

    Attributes
    ----------
    patches : dict of str to pathlib.Path
        Folder of each set's patches.
    stages : tuple of tuple of Job
        Data sets, networks, cells: what stands in one stage can be done side by side.
    """

    patches: dict[str, Path]
    stages: tuple[tuple[Job, ...], tuple[Job, ...], tuple[Job, ...]]


def plan_matrix(config: TransferMatrix) -> Plan:
    """Plan every step; nothing is read but the names of the sets.

    Trial t of a transfer tunes the source of trial t, so that the spread over trials has the
    chance of both trainings in it, and no source is chosen by a result.
    """
    known = list(_names(config).values())
    sources = _chosen(config.sources, known, "--sources")
    targets = _chosen(config.targets, known, "--targets")
    if not any(source != target for source in sources for target in targets):
        raise InputError(
            f"{sources[0]} is the only source and the only target", "give two sets or more"
        )
    used = [name for name in known if name in (*sources, *targets)]
    patches, data = planned_patches(config, used)
    cells = [
        Job("transfer", cell, cell_label(cell))
        for target in targets
        for trial in range(config.trials)
        for cell in _cells(config, patches[target], target, sources, trial)
    ]
    return Plan(patches, (tuple(data), tuple(network_jobs(config, patches, used)), tuple(cells)))


def planned_patches(
    config: TransferMatrix | WeightDistillation, used: list[str] | None = None
) -> tuple[dict[str, Path], list[Job]]:
    """Give the folder of each set's patches, and the jobs that make those that are not there."""
    patches, data = {}, []
    for path, name in _names(config).items():
        if used is not None and name not in used:
            continue
        if is_artefact(path):
            patches[name] = path
            continue
        patches[name] = config.out / "patches" / name
        data.append(Job("standardize", _standardize(config, path, name)))
    return patches, data


def _names(config: TransferMatrix | WeightDistillation) -> dict[Path, str]:
    names = names_of_sets(list(config.sets))
    if len(names) < len(config.sets):
        raise InputError(
            f"one of the sets {', '.join(map(str, config.sets))} is given twice",
            "give each set once; a set is no source of itself",
        )
    return names


def require_one_scale(patches: dict[str, Path]) -> None:
    """Refuse sets that are not known to be at one scale, before networks are trained on them."""
    scales = {
        name: scale_of(load_patches(open_artefact(p, "patches"))) for name, p in patches.items()
    }
    known = [scale for scale in scales.values() if scale is not None]
    if len(known) == len(scales) and max(known) / min(known) - 1 <= SAME_SCALE:
        return
    shown = ", ".join(
        f"{name}: {'unknown' if scale is None else f'{scale:g} µm/px'}"
        for name, scale in scales.items()
    )
    raise InputError(
        f"the sets are not known to be at one scale ({shown})",
        "standardize all to one --target-mpp, or leave out --strict-scale",
    )


def write_report(config: Matrix, reporter: Reporter) -> Path:
    """Write the report of a run; of one that was made larger, say what to do with the old one."""
    try:
        return matrix(config, reporter).path / "index.html"
    except ArtefactError as error:
        if not is_artefact(config.out):
            raise
        raise ArtefactError(
            error.problem,
            f"all cells are done and kept; move or delete {config.out}, the report of other "
            "cells, and run the same command again",
        ) from error


def network_jobs(
    config: TransferMatrix | WeightDistillation, patches: dict[str, Path], used: list[str]
) -> list[Job]:
    """Give the training of a network on each set alone, for each start and trial."""
    return [
        Job("train", _train(config, patches[name], name, start, trial), f"{name}, {start} start")
        for name in used
        for start in config.init
        for trial in range(config.trials)
    ]


def _chosen(wanted: tuple[str, ...], known: list[str], option: str) -> list[str]:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(
            f"{option} names {', '.join(unknown)}, which no set of --sets is called",
            f"the sets are {', '.join(known)}",
        )
    return list(wanted) or known


def _standardize(config: TransferMatrix | WeightDistillation, path: Path, name: str) -> Standardize:
    return Standardize(
        samples=path,
        out=config.out / "patches" / name,
        name=name,
        target_mpp=config.target_mpp,
        patch_px=config.patch_px,
        overlap=config.overlap,
        upsample=config.upsample,
        missing_mpp=config.missing_mpp,
        split_column=config.split_column,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        val_of_train=config.val_of_train,
        per_class=config.per_class,
        seed=config.seed,
        keep_going=config.keep_going,
        workers=1,
    )


def network_folder(
    config: TransferMatrix | WeightDistillation, name: str, start: str, trial: int
) -> Path:
    """Folder of the network that was trained on one set alone."""
    return config.out / "networks" / f"{name}-{start}-{trial}"


def _train(
    config: TransferMatrix | WeightDistillation, patches: Path, name: str, start: str, trial: int
) -> Train:
    return Train(
        patches=patches,
        out=network_folder(config, name, start, trial),
        init="random" if start == "random" else config.weights,
        arch=config.arch,
        arch_kwargs=config.arch_kwargs,
        tune="all",
        hidden=NO_HIDDEN,
        random_start="he-fan-out",
        epochs_all=config.source_epochs or config.epochs,
        lr_all=config.source_lr,
        optimizer=config.source_optimizer,
        schedule=config.source_schedule,
        weight_decay=config.weight_decay,
        batch_size=config.batch_size,
        augment=config.augment,
        class_weights=config.class_weights,
        multilabel_loss=config.multilabel_loss,
        select="best",
        select_by="accuracy",
        precision=config.precision,
        seed=child_seed(config.seed, "source", name, start, trial),
        device=config.device,
    )


def _cells(
    config: TransferMatrix, patches: Path, target: str, sources: list[str], trial: int
) -> Iterator[Transfer]:
    """Give every cell and control of one target and trial."""
    others = [name for name in sources if name != target]

    def cell(init: str | Path, folder: str, **fields: Any) -> Transfer:
        return Transfer(
            patches=patches,
            out=config.out / "cells" / target / f"{folder}-{trial}",
            init=str(init),
            trial=trial,
            **tuning_options(config) | fields,
        )

    for start in config.init:
        own = network_folder(config, target, start, trial)
        common: dict[str, Any] = {"start": start}
        yield cell(own, f"{start}-alone", source=target, tune="none", **common)
        first = config.weights if start == "imagenet" else "random"
        blank: dict[str, Any] = {"arch": config.arch, "arch_kwargs": config.arch_kwargs}
        for tune in config.tune:
            way = common | {"tune": tune}
            for source in others:
                init = network_folder(config, source, start, trial)
                yield cell(init, f"{start}-{source}-{tune}", source=source, **way)
            if "self" in config.controls:
                yield cell(own, f"{start}-self-{tune}", source=target, control="self", **way)
            if "direct" in config.controls and start == "imagenet":
                way_direct = way | blank | {"source": target, "control": "direct"}
                yield cell(first, f"{start}-direct-{tune}", **way_direct)
            if "shuffled" in config.controls and others:
                # A source as good as another: nothing of what it learned is left.
                init = network_folder(config, others[0], start, trial)
                way_shuffled = way | {"source": others[0], "control": "shuffled", "shuffle": True}
                yield cell(init, f"{start}-shuffled-{tune}", **way_shuffled)
        if "scratch" in config.controls and start == "random":
            both = (config.source_epochs or config.epochs) + config.epochs
            scratch = common | blank | {"source": target, "control": "scratch", "tune": "deep"}
            yield cell(first, f"{start}-scratch-deep", **scratch | {"epochs": both})


def tuning_options(config: TransferMatrix | WeightDistillation) -> dict[str, Any]:
    """Options that every transfer shares: no cell has a larger budget than another."""
    names = (
        "learning_rates", "epochs", "batch_size", "optimizer", "schedule", "weight_decay",
        "augment", "class_weights", "multilabel_loss", "norm", "strict_scale", "precision",
        "seed", "device",
    )  # fmt: skip
    further = ("augment_fine", "bn_update")  # where a recipe tunes the classifier alone
    chosen = [*names, *(name for name in further if hasattr(config, name))]
    return {name: getattr(config, name) for name in chosen}


def cell_label(cell: Transfer) -> str:
    """Say what a cell is, for progress."""
    way = cell.control or (f"from {cell.source}" if cell.tune != "none" else "alone")
    return f"{Path(cell.patches).name}: {way}, {cell.start}, {cell.tune}, trial {cell.trial}"
