"""Resolution distillation (DiPalma 2021) on your own slides' pieces or images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.artefact import Artefact, open_artefact
from histograft.core.configuration import Role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.recipes.ladder_given import check_given
from histograft.recipes.ladder_plan import (
    levels_of,
    plan_ladder,
    report_of,
    rescaling,
    training_options,
)
from histograft.recipes.piece_slides import check_labelled, check_predicted, native_scales
from histograft.recipes.piece_trainings import train_all
from histograft.recipes.resolution_checks import check_trainings, tell_of_few_pieces
from histograft.recipes.steps import Recipe, command_line
from histograft.verbs.classify import Classify, classify
from histograft.verbs.distill import Distill
from histograft.verbs.export import Export, export, missing_packages
from histograft.verbs.ladder import ladder
from histograft.verbs.rescale import rescale
from histograft.verbs.unused_options import refuse_unused


@dataclass(frozen=True, kw_only=True)
class ResolutionDistillation:
    """Find how far the resolution can be lowered before it costs accuracy, and what that saves.

    Makes whole pieces at every level from the native images, trains a teacher at the finest one
    and, at each lower one, a baseline from labels and students that learn from the teacher (also
    on unlabelled pieces, and then fine-tuned on labels), once for each seed. The report is
    OUT/report/index.html, its numbers OUT/report/ladder.csv.

    Attributes
    ----------
    samples : Path
        A samples.csv (columns file, label, and if known group, slide, split, mpp), a folder with
        one, or a folder of class folders. Images may have any sizes. Of the split, val or dev
        chooses epochs, and is neither learned from nor tested on. Or a slides.csv (columns
        slide_id, file, label), of whose slides each piece of tissue is one image; see
        `histograft rescale`.
    out : Path
        Folder for everything.
    unlabelled : tuple of Path
        Sets of further images whose labels are not read and may be absent, such as a small one and
        a larger one that holds it; each is tried by itself. None may hold test images or test
        groups. Those whose split is stated to be dev (or val) are not learned from: they choose the
        epoch of the students of the others.
    unlabelled_shares : tuple of float
        Shares of each unlabelled set to learn from, such as 0.5 1.0; by whole groups, a smaller
        share lies in a larger one.
    predict_slides : Path
        A slides.csv (without labels), or pieces in any form that SAMPLES may have: OUT/predicted
        holds what the student that the answer names says of them at its level.
    least_tissue_mm2 : float
        Slides: least area of a piece of tissue in mm²; smaller ones are left out.
    teacher_mpp : float
        µm/px of the teacher, or "native" where all images have one scale.
    ladder : tuple of float
        Lower levels: µm/px, or with --scale relative factors.
    scale : str
        "mpp", or "relative" for images of unknown scale.
    mpp : float
        µm/px of those images for which the table states none.
    epochs : int
        Most epochs of each training.
    seeds : int
        Trainings of each condition.
    margin : float
        Loss of top-1 accuracy that still counts as none.
    arch : str
        dipalma_resnet10, or a timm ResNet.
    norm_groups : int
        Groups of GroupNorm.
    norm : str
        Mean and standard deviation of the pixels: of each scale's "own" training pieces, or the
        "teacher"'s for all.
    lr : float
        Learning rate of the optimizer.
    batch_size : int
        Pieces of a step.
    augment : str
        Of training pieces, see `histograft distill`.
    select : str
        Keep the weights of the "last" epoch, or the "best" on the validation pieces.
    judge : str
        What is best: the lowest "loss", or the highest "macro-f1".
    temperature : float
        Of the softmax of teacher and student.
    resize : str
        How the teacher's map is shrunk: both ways of the paper, max-pool, bicubic, or authors.
    ablate : bool
        Also distill with each single way of shrinking the teacher's map, beside both (Appendix A of
        the paper), without unlabelled pieces; one table of the report compares them.
    fine_tune : str
        Fine-tune students of unlabelled sets on labels: "yes", as the paper, or "no".
    max_pixels : int
        Cut pieces with more pixels at the teacher's level to their central field.
    checkpointing : bool
        Compute stages again in the backward pass, for large pieces.
    precision : str
        Arithmetic of the trainings.
    split_column : str
        Column of the samples table to use as split, if it holds training and test rows.
    val_fraction : float
        Share of the groups for validation where splits are drawn.
    test_fraction : float
        Share of the groups for testing where splits are drawn.
    val_of_train : float
        Share of the training groups that validate where the stated split has no validation rows.
    draws : int
        Bootstrap draws.
    published : bool
        Also compute what the paper's tables call accuracy.
    export : str
        Write the student that the answer names to OUT/student, as "onnx" beside its safetensors;
        "auto": where the extra `export` is installed; or "none". Of its seeds the first is taken:
        none is chosen by its test.
    print_commands : bool
        Print the commands of all steps, one a line and in order, and do nothing.
    title : str
        Heading of the report.
    seed : int
        Root seed of splits and first of the seeds.
    workers : int
        Processes that make pieces, and that train side by side on a CPU; one for each core by
        default, fewer where memory is short. 1: one training after another, on all cores.
    device : str
        auto, cpu or cuda.
    """

    samples: Annotated[Path, Role.INPUT] = field(kw_only=False)
    out: Annotated[Path, Role.OUTPUT]
    unlabelled: Annotated[tuple[Path, ...], Role.INPUT] = ()
    unlabelled_shares: tuple[float, ...] = (1.0,)
    predict_slides: Annotated[Path | None, Role.INPUT] = None
    least_tissue_mm2: float = 0.25
    teacher_mpp: float | Literal["native"] = "native"
    ladder: tuple[float, ...] = (2.0, 4.0, 8.0)
    scale: Literal["mpp", "relative"] = "mpp"
    mpp: float | None = None
    epochs: int = 100
    seeds: int = 3
    margin: float = 0.02
    arch: str = "dipalma_resnet10"
    norm_groups: int = 32
    norm: Literal["own", "teacher"] = "own"
    lr: float = 1e-3
    batch_size: int = 32
    augment: Literal["none", "flips", "jitter-flips", "jitter-flips-turns"] = "jitter-flips"
    select: Literal["last", "best"] = "best"
    judge: Literal["loss", "macro-f1"] = "loss"
    temperature: float = 1.0
    resize: Literal["both", "max-pool", "bicubic", "authors"] = "both"
    ablate: bool = False
    fine_tune: Literal["yes", "no"] = "yes"
    max_pixels: int | None = None
    checkpointing: bool = False
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    split_column: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    val_of_train: float = 0.15
    draws: int = 10_000
    published: bool = False
    export: Literal["auto", "onnx", "none"] = "auto"
    print_commands: Annotated[bool, Role.EXECUTION] = False
    title: str = "How far can the resolution be lowered?"
    seed: int = 0
    workers: Annotated[int | None, Role.EXECUTION] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self.seeds, 1, "seeds")
        sound = all(0 < level < math.inf for level in self.ladder)
        if not self.ladder or len(set(self.ladder)) < len(self.ladder) or not sound:
            shown = " ".join(f"{level:g}" for level in self.ladder)
            raise InputError(f"--ladder is {shown or 'empty'}", "give levels above 0, each once")
        shares = self.unlabelled_shares
        if not shares or len(set(shares)) < len(shares) or not 0 < min(shares) <= max(shares) <= 1:
            raise InputError(
                f"--unlabelled-shares is {shares}", "give shares above 0 and at most 1, each once"
            )
        here = Path()
        rescaling(self, here, here, 1.0)
        Distill(here, out=here, **training_options(self, self.seed))
        report_of(self, [], [], ())


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "teacher_mpp": 1.0,
        "ladder": (2.0, 4.0, 8.0, 16.0),
        "norm": "teacher",
        "judge": "macro-f1",
        "val_of_train": 0.0,
        "published": True,
    },
    "recommended": {"augment": "jitter-flips-turns"},
}


def resolution_distillation(
    config: ResolutionDistillation, reporter: Reporter = SILENT
) -> Path | str:
    """Run the recipe.

    Parameters
    ----------
    config : ResolutionDistillation
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
        A step cannot be done; the message says which and why.
    """
    if config.export == "onnx" and missing_packages():
        raise InputError(
            f"not installed: {', '.join(missing_packages())}",
            "pip install 'histograft[export]', or --export none",
        )
    finest = _teacher_level(config)
    if min(config.ladder) <= finest:
        raise InputError(
            f"the ladder begins at {min(config.ladder):g}, the teacher at {finest:g}",
            "give levels that are coarser than the teacher's",
        )
    if not config.unlabelled:
        why = "for --unlabelled, which is not given"
        refuse_unused(config, ("unlabelled_shares",), PRESETS, why)
    check_labelled(config.samples)
    check_predicted(config.predict_slides, config.scale, config.mpp)
    steps = plan_ladder(config, finest)
    if config.print_commands:
        return "\n".join(command_line(verb, step, None) for verb, step in steps)
    check_given(config, steps[-1][1], finest, reporter)
    recipe = Recipe(config.out, reporter)
    for verb, step in steps:
        if verb == "rescale":
            recipe.run(rescale, step)
    trainings = [step for verb, step in steps if verb == "distill"]
    check_trainings(trainings)
    tell_of_few_pieces(steps[-1][1], config.seeds, reporter)
    fine = [step.fine or step.patches for step in trainings]
    fine += [step.unlabelled_fine for step in trainings if step.unlabelled_fine]
    root = config.out / "networks"
    train_all(trainings, root, list(dict.fromkeys(fine)), config.workers, reporter)
    recipe.commands += [command_line("distill", step, recipe.folder) for step in trainings]
    whole = command_line("run resolution-distillation", config, config.out)
    report = report_of(config, steps, levels_of(config, finest), (whole, *recipe.commands))
    made = ladder(report, reporter)
    _use_answer(config, made, steps, finest, reporter)
    return made.path / "index.html"


def _use_answer(
    config: ResolutionDistillation,
    made: Artefact,
    steps: list[tuple[str, Any]],
    finest: float,
    reporter: Reporter,
) -> None:
    """Export the network that the answer names, and let it predict."""
    wanted = made.facts["answer_network"]
    if wanted is None:
        reporter.note("no student is shown to be good enough, so none is exported or predicts")
        return
    [chosen] = [s.out for v, s in steps if v == "distill" and open_artefact(s.out).id == wanted]
    if config.export != "none":
        _export(config, chosen, reporter)
    if config.predict_slides is not None:
        _predict(config, config.predict_slides, chosen, finest, reporter)


def _predict(
    config: ResolutionDistillation, slides: Path, chosen: Path, finest: float, reporter: Reporter
) -> None:
    """Let the network that the answer names classify slides at its level."""
    level, out = float(open_artefact(chosen).facts["level"]), config.out / "predicted"
    pieces = rescale(rescaling(config, slides, out / "pieces", level, finest), reporter)
    classify(
        Classify(pieces.path, network=chosen, out=out / "classes", device=config.device), reporter
    )


def _export(config: ResolutionDistillation, chosen: Path, reporter: Reporter) -> None:
    """Export the network that the answer names."""
    if missing_packages() and config.export == "auto":
        reporter.note(
            f"the student is not written as ONNX: {', '.join(missing_packages())} not installed "
            "(pip install 'histograft[export]')"
        )
        return
    export(Export(chosen, out=config.out / "student", seed=config.seed), reporter)


def _teacher_level(config: ResolutionDistillation) -> float:
    if config.teacher_mpp != "native":
        return float(config.teacher_mpp)
    if config.scale == "relative":
        return 1.0
    found = native_scales(config.samples, config.mpp)
    if not found and config.mpp is not None:
        found = [config.mpp]
    if len(found) != 1:
        shown = ", ".join(f"{mpp:g}" for mpp in found[:5])
        raise InputError(
            f"the images have {len(found)} scales ({shown} µm/px), so none is the native one"
            if found
            else "no image states its µm/px, so --teacher-mpp native is unknown",
            "give --teacher-mpp in µm/px; state --mpp; or, where it cannot be known, give factors "
            "of the images' own scale: --scale relative",
        )
    return found[0]
