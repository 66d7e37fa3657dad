"""HistoKT's transfer matrix (Zhang 2022) on your own data sets, with the controls it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.configuration import Role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.recipes.matrix_plan import (
    Plan,
    plan_matrix,
    require_one_scale,
    write_report,
)
from histograft.recipes.side_by_side import run_side_by_side, tell_plan
from histograft.recipes.steps import command_line
from histograft.verbs.matrix import Matrix
from histograft.verbs.networks import find_start
from histograft.verbs.transfer import Transfer

Start = Literal["random", "imagenet"]


@dataclass(frozen=True, kw_only=True)
class TransferMatrix:
    """Train on each data set, tune on each other, and see which transfers help.

    Brings all sets to one scale, trains a network on each source, tunes it on each target at the
    same learning rates, and compares every cell with a control that saw the target alone: trained
    on the target twice, tuned from ImageNet weights directly, trained from scratch for as many
    epochs, tuned from shuffled weights. Cells run side by side, and a run that is interrupted
    goes on from the cell (and in it from the epoch) where it was. Each pair of sets or
    control, start, tuning, trial and learning rate is a training: --print-commands shows them
    all. The report is OUT/report/index.html, the matrix OUT/report/matrix.csv.

    Attributes
    ----------
    sets : tuple of Path
        The data sets: samples.csv files, folders of images, or patches artefacts.
    out : Path
        Folder for everything.
    sources : tuple of str
        Names of the sets to transfer from; all by default. A set is called like its folder.
    targets : tuple of str
        Names of the sets to transfer to; all by default.
    init : tuple of str
        What sources begin with: "random", and "imagenet" for a transfer in two stages.
    tune : tuple of str
        "fine" tunes the classifier alone, "deep" all layers.
    controls : tuple of str
        Controls to run, none of which saw another data set's tissue: "self" (the target's own
        network, tuned on the target again), "direct" (ImageNet weights, tuned on the target),
        "scratch" (the target alone for as many epochs as both steps), "shuffled" (a source whose
        weights were permuted).
    arch : str
        timm name of the network.
    weights : str
        ImageNet weights of the network: "imagenet" fetches them through timm, or a file.
    arch_kwargs : str
        Arguments of the architecture as JSON.
    epochs : int
        Epochs of tuning.
    trials : int
        Trainings of each cell, with different seeds; each has a source of its own.
    learning_rates : tuple of float
        Learning rates of tuning, the same for every cell; validation rows choose.
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
    augment_fine : str
        The same where only the classifier is tuned; "none" lets the other layers run once.
    bn_update : bool
        Let BatchNorm statistics follow the patches in fine-tuning, as HistoKT's code does.
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
        Refuse transfers between sets that are not known to be at one scale; otherwise the report
        names them.
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

    sets: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    init: tuple[Start, ...] = ("random",)
    tune: tuple[Literal["fine", "deep"], ...] = ("deep",)
    controls: tuple[Literal["self", "direct", "scratch", "shuffled"], ...] = (
        "self", "direct", "scratch", "shuffled",
    )  # fmt: skip
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
    augment_fine: Literal["none", "flips", "flips-turns", "histokt"] = "none"
    bn_update: bool = False
    class_weights: bool = False
    multilabel_loss: Literal["plain", "one-vs-all"] = "plain"
    norm: Literal["source", "target", "imagenet"] = "source"
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
    title: str = "Which data set helps which?"
    seed: int = 0
    keep_going: Annotated[bool, Role.EXECUTION] = False
    workers: Annotated[int | None, Role.EXECUTION] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self.trials, 1, "trials")
        require_at_least(self.seed, 0, "seed")
        if len(self.sets) < 2:
            raise InputError(
                f"{len(self.sets)} data set was given", "give two or more: --sets A B …"
            )
        for name in ("init", "tune"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"--{name} is {' '.join(values)}", "give each once")
        here = Path()
        Transfer(
            patches=here,
            out=here,
            init="random",
            learning_rates=self.learning_rates,
            epochs=self.epochs,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
        )


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "init": ("random", "imagenet"),
        "tune": ("fine", "deep"),
        "epochs": 250,
        "source_optimizer": "rmsgd",
        "source_schedule": "constant",
        "source_lr": 0.03,
        "augment": "histokt",
        "augment_fine": "histokt",
        "bn_update": True,
        "multilabel_loss": "one-vs-all",
        "overlap": 0.25,
        "upsample": "allow",
    },
    "recommended": {"class_weights": True},
}


def transfer_matrix(config: TransferMatrix, reporter: Reporter = SILENT) -> Path | str:
    """Run the recipe.

    Parameters
    ----------
    config : TransferMatrix
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
        A step cannot be done; the message says which and why. Other cells are finished first.
    """
    plan = plan_matrix(config)
    if config.print_commands:
        steps = [(job.verb, job.config) for stage in plan.stages for job in stage]
        steps.append(("matrix", _report(config, plan, ())))
        return "\n".join(command_line(verb, step, None) for verb, step in steps)
    first = config.weights if "imagenet" in config.init else "random"
    find_start(first, config.arch, config.arch_kwargs)  # refused before any work
    titles = ("data sets", "networks of single sets", "transfers and controls")
    tell_plan(plan.stages, titles, reporter)
    for stage, title in zip(plan.stages, titles, strict=True):
        run_side_by_side(stage, title, config.workers, config.device, reporter)
        if config.strict_scale and title == titles[0]:
            require_one_scale(plan.patches)
    commands = (
        command_line("run transfer-matrix", config, config.out),
        "# --print-commands prints the command of each step",
    )
    return write_report(_report(config, plan, commands), reporter)


def _report(config: TransferMatrix, plan: Plan, commands: tuple[str, ...]) -> Matrix:
    return Matrix(
        cells=tuple(job.config.out for job in plan.stages[-1]),
        out=config.out / "report",
        patches=tuple(plan.patches.values()),
        title=config.title,
        commands=commands,
    )
