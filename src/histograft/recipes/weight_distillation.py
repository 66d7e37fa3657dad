"""HistoKT's weight distillation (Zhang 2022): fuse networks of several sets, tune the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.configuration import Role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import child_seed
from histograft.recipes.matrix_plan import (
    cell_label,
    network_folder,
    network_jobs,
    planned_patches,
    require_one_scale,
    tuning_options,
    write_report,
)
from histograft.recipes.side_by_side import Job, run_side_by_side, tell_plan
from histograft.recipes.steps import command_line
from histograft.verbs.fuse import Fuse, Mode
from histograft.verbs.matrix import Matrix
from histograft.verbs.networks import find_start
from histograft.verbs.transfer import Transfer

CONTROL_MODES = ("first-only", "random-subspace")


@dataclass(frozen=True, kw_only=True)
class WeightDistillation:
    """Fuse networks of several data sets into one without training, tune it, see if it helped.

    Trains a network on each source, fuses them in every mode that is asked for, measures BatchNorm
    anew on the target, tunes the result on the target, and compares it with the best single
    source, with the target alone, with ImageNet weights and with controls. Every way has the same
    learning rates to choose from. The report is OUT/report/index.html.

    Attributes
    ----------
    sources : tuple of Path
        Two or more data sets whose networks are fused; the order counts in the paper's mode.
    target : Path
        The data set to tune and test on.
    out : Path
        Folder for everything.
    modes : tuple of str
        Ways to fuse, see `histograft fuse`: paper, paper-normalized, average, aligned-average,
        basis; and the controls first-only and random-subspace.
    combine : tuple of str
        Which sources to fuse, names joined by "+", such as lung+oral; by default every pair and
        all together.
    init : tuple of str
        What sources begin with: random, imagenet.
    tune : tuple of str
        "deep" tunes all layers on the target, "fine" the classifier alone; both compare them.
    arch : str
        timm name of the network.
    weights : str
        ImageNet weights: "imagenet" fetches them through timm, a file, or "none" to go without the
        comparison with ImageNet.
    arch_kwargs : str
        Arguments of the architecture as JSON.
    epochs : int
        Epochs of tuning.
    trials : int
        Trainings of each way, with different seeds; each has sources of its own.
    learning_rates : tuple of float
        Learning rates of tuning, the same for every way; validation rows choose.
    optimizer : str
        Optimizer of tuning.
    schedule : str
        Schedule of tuning.
    source_epochs : int
        Epochs of training a source; as many as of tuning by default.
    source_optimizer : str
        Optimizer of sources.
    source_schedule : str
        Schedule of sources.
    source_lr : float
        Learning rate of sources.
    batch_size : int
        Patches per step.
    weight_decay : float
        Weight decay of both steps.
    augment : str
        Of training patches, where all layers learn.
    class_weights : bool
        Weigh the loss so that each class counts alike.
    multilabel_loss : str
        Of several labels a patch: "plain" or "one-vs-all".
    norm : str
        Mean and standard deviation of the input in tuning: of the "source", the "target" or
        "imagenet".
    target_mpp : float
        µm/px of all patches, or "keep" to leave all pixels as they are.
    patch_px : int
        Side of a patch in pixels.
    overlap : float
        Share of the side that neighboring patches share.
    upsample : str
        Whether an image coarser than the target may grow; each such set is named in the report.
    missing_mpp : str
        Where no µm/px is known: stop, or keep the pixels (each such set is named in the report).
    split_column : str
        Column to use as split, in those sets where it holds training and test rows.
    val_fraction : float
        Share of the groups for validation where splits are drawn.
    test_fraction : float
        Share of the groups for testing where splits are drawn.
    val_of_train : float
        Share of the training groups that validate where a stated split has no validation rows.
    per_class : tuple of str
        Most images of a class by split, such as train=100 val=50, drawn at random.
    strict_scale : bool
        Refuse sets that are not known to be at one scale; otherwise the report names them.
    precision : str
        Arithmetic of the trainings, as Lightning Fabric names it.
    print_commands : bool
        Print the commands of all steps, one a line and in order, and do nothing.
    title : str
        Heading of the report.
    seed : int
        Root seed of everything.
    keep_going : bool
        Leave out images that cannot be used and go on.
    workers : int
        Trainings side by side; on a CPU one for each core by default, on a GPU one.
    device : str
        auto, cpu or cuda.
    """

    sources: Annotated[tuple[Path, ...], Role.INPUT]
    target: Annotated[Path, Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    modes: tuple[Mode, ...] = ("paper", "aligned-average", "first-only", "random-subspace")
    combine: tuple[str, ...] = ()
    init: tuple[Literal["random", "imagenet"], ...] = ("random",)
    tune: tuple[Literal["fine", "deep"], ...] = ("deep",)
    arch: str = "resnet18"
    weights: Annotated[str, Role.INPUT] = "imagenet"
    arch_kwargs: str = ""
    epochs: int = 50
    trials: int = 3
    learning_rates: tuple[float, ...] = (1e-3, 5e-4, 2e-4, 1e-4, 5e-5)
    optimizer: Literal["adamp", "adam", "adamw", "sgd"] = "adamp"
    schedule: Literal["constant", "step", "step-20", "cosine"] = "step-20"
    source_epochs: int | None = None
    source_optimizer: Literal["rmsgd", "adamp", "adam", "adamw", "sgd"] = "adamp"
    source_schedule: Literal["constant", "step", "step-20", "cosine"] = "step-20"
    source_lr: float = 1e-3
    batch_size: int = 64
    weight_decay: float = 5e-4
    augment: Literal["none", "flips", "flips-turns", "histokt"] = "flips-turns"
    class_weights: bool = False
    multilabel_loss: Literal["plain", "one-vs-all"] = "plain"
    norm: Literal["source", "target", "imagenet"] = "target"
    target_mpp: float | Literal["keep"] = 1.0
    patch_px: int = 272
    overlap: float = 0.0
    upsample: Literal["allow", "error"] = "error"
    missing_mpp: Literal["error", "keep-pixels"] = "error"
    split_column: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.25
    val_of_train: float = 0.15
    per_class: tuple[str, ...] = ()
    strict_scale: bool = False
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    print_commands: Annotated[bool, Role.EXECUTION] = False
    title: str = "Does a network fused of several sources help?"
    seed: int = 0
    keep_going: Annotated[bool, Role.EXECUTION] = False
    workers: Annotated[int | None, Role.EXECUTION] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self.trials, 1, "trials")
        require_at_least(self.seed, 0, "seed")
        if len(self.sources) < 2:
            raise InputError(
                f"{len(self.sources)} source was given", "give two or more: --sources A B …"
            )
        for name in ("modes", "init", "tune"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"--{name} is {' '.join(values)}", "give each once")
        here = Path()
        Transfer(patches=here, out=here, init="random", **tuning_options(self))

    @property
    def sets(self) -> tuple[Path, ...]:
        """Sources and target, as the planning of a matrix reads them."""
        return (*self.sources, self.target)


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "init": ("random", "imagenet"),
        "modes": ("paper",),
        "epochs": 250,
        "source_optimizer": "rmsgd",
        "source_schedule": "constant",
        "source_lr": 0.03,
        "augment": "histokt",
        "multilabel_loss": "one-vs-all",
        "overlap": 0.25,
        "upsample": "allow",
        "combine": (
            "ADP+CRC", "ADP+BCSS", "ADP+CRC+OS", "ADP+CRC+BCSS", "ADP+CRC+OS+BCSS",
        ),
    },
    "recommended": {"class_weights": True},
}  # fmt: skip


def weight_distillation(config: WeightDistillation, reporter: Reporter = SILENT) -> Path | str:
    """Run the recipe.

    Parameters
    ----------
    config : WeightDistillation
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    pathlib.Path or str
        The report's page; with ``print_commands`` the commands, one a line, and nothing was done.

    Raises
    ------
    HistograftError
        A step cannot be done; the message says which and why. Other steps are finished first.
    """
    patches, data = planned_patches(config)
    *sources, target = patches
    combined = _combinations(config, sources)
    stages = (
        data,
        network_jobs(config, patches, [*sources, target]),
        list(_fusions(config, combined, patches[target])),
        list(_transfers(config, combined, sources, target, patches[target])),
    )
    report = Matrix(
        cells=tuple(job.config.out for job in stages[-1]),
        out=config.out / "report",
        patches=tuple(patches.values()),
        title=config.title,
    )
    if config.print_commands:
        steps = [(job.verb, job.config) for stage in stages for job in stage]
        return "\n".join(command_line(*step, None) for step in [*steps, ("matrix", report)])
    first = "random" if config.weights == "none" else config.weights
    find_start(first, config.arch, config.arch_kwargs)  # refused before any work
    titles = ("data sets", "networks of single sets", "fusions", "transfers and controls")
    tell_plan(stages, titles, reporter)
    for stage, title in zip(stages, titles, strict=True):
        run_side_by_side(stage, title, config.workers, config.device, reporter)
        if config.strict_scale and title == titles[0]:
            require_one_scale(patches)
    commands = (
        command_line("run weight-distillation", config, config.out),
        "# --print-commands prints the command of each step",
    )
    return write_report(replace(report, commands=commands), reporter)


def _combinations(config: WeightDistillation, sources: list[str]) -> list[tuple[str, ...]]:
    if not config.combine:
        pairs = [] if len(sources) == 2 else list(combinations(sources, 2))
        return [*pairs, tuple(sources)]
    wanted = [tuple(text.split("+")) for text in config.combine]
    for names in wanted:
        unknown = [name for name in names if name not in sources]
        if unknown or len(set(names)) < 2:
            raise InputError(
                f"--combine {'+'.join(names)} is not two or more of the sources",
                f"the sources are {', '.join(sources)}",
            )
    return wanted


def _fused_folder(
    config: WeightDistillation, names: tuple[str, ...], mode: str, start: str, trial: int
) -> Path:
    return config.out / "fused" / f"{'+'.join(names)}-{mode}-{start}-{trial}"


def _fusions(
    config: WeightDistillation, combined: list[tuple[str, ...]], patches: Path
) -> Iterator[Job]:
    for names in combined:
        for mode in config.modes:
            for start in config.init:
                for trial in range(config.trials):
                    fuse = Fuse(
                        networks=tuple(network_folder(config, n, start, trial) for n in names),
                        out=_fused_folder(config, names, mode, start, trial),
                        mode=mode,
                        recalibrate=patches,
                        norm=config.norm,
                        strict_scale=config.strict_scale,
                        seed=child_seed(config.seed, "fuse", trial),
                        device=config.device,
                    )
                    yield Job("fuse", fuse, f"{'+'.join(names)}, {mode}")


def _transfers(
    config: WeightDistillation,
    combined: list[tuple[str, ...]],
    sources: list[str],
    target: str,
    patches: Path,
) -> Iterator[Job]:
    """Give every way to the target: alone, from single sources, from fused ones, from ImageNet."""

    def way(init: str | Path, folder: str, trial: int, **fields: Any) -> Job:
        end = f"-fine-{trial}" if fields["tune"] == "fine" else f"-{trial}"
        cell = Transfer(
            patches=patches,
            out=config.out / "cells" / f"{folder}{end}",
            init=str(init),
            trial=trial,
            **tuning_options(config) | fields,
        )
        return Job("transfer", cell, cell_label(cell))

    for trial in range(config.trials):
        for start in config.init:
            own = network_folder(config, target, start, trial)
            alone: dict[str, Any] = {"source": target, "start": start, "tune": "none"}
            yield way(own, f"{start}-alone", trial, **alone)
        for tune in config.tune:
            for start in config.init:
                common: dict[str, Any] = {"start": start, "tune": tune}
                own = network_folder(config, target, start, trial)
                yield way(own, f"{start}-self", trial, source=target, control="self", **common)
                for name in sources:
                    init = network_folder(config, name, start, trial)
                    yield way(init, f"{start}-{name}", trial, source=name, **common)
                for names, mode in product(combined, config.modes):
                    init = _fused_folder(config, names, mode, start, trial)
                    label = f"{'+'.join(names)} ({mode})"
                    control = mode if mode in CONTROL_MODES else ""
                    folder = f"{start}-{'+'.join(names)}-{mode}"
                    yield way(init, folder, trial, source=label, control=control, **common)
            if config.weights != "none":
                blank = {"arch": config.arch, "arch_kwargs": config.arch_kwargs}
                direct = blank | {"source": target, "start": "imagenet", "tune": tune}
                yield way(config.weights, "direct", trial, control="direct", **direct)
