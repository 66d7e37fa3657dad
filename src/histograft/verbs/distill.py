"""Train a network on pieces of any size: from labels, or from a teacher at a finer scale."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Identity, Input, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.distilling import distill_and_write
from histograft.verbs.networks import load_spec
from histograft.verbs.piece_overlap import check_unlabelled, refuse_seen, tell_of_validation
from histograft.verbs.piece_pairs import Sets, check_level, check_pairs
from histograft.verbs.sources import UNLABELED
from histograft.verbs.unused_options import refuse_unused

if TYPE_CHECKING:
    from histograft.core.artefact import Draft

VERSION = 2  # 1: students began with the first weights of the teacher of their seed


@dataclass(frozen=True, kw_only=True)
class Distill:
    """Train a network on pieces of any size: from labels, or from a teacher at a finer scale.

    Without a teacher it learns from labels: that makes the teacher itself, baselines, and with
    --init and --tune head the fine-tuning of a student. With one it learns to answer as the
    teacher does at a finer scale, and reads no label.

    Attributes
    ----------
    patches : Path
        Pieces at the scale of the network that learns, see `histograft rescale`.
    out : Path
        Folder of the network artefact; new, empty, or of the same unfinished run.
    teacher : Path
        Network artefact of a teacher, made by this command; without one, labels are learned.
    fine : Path
        The same pieces at the teacher's scale.
    unlabelled : Path
        More pieces at the scale of the network that learns. A student learns from them instead of
        the training pieces.
    unlabelled_fine : Path
        The unlabelled pieces at the teacher's scale.
    unlabelled_share : float
        Share of the unlabelled pieces to learn from, by whole groups; a smaller share lies in a
        larger one, whatever the seed of the training.
    with_labelled : bool
        Learn from the training pieces as well as from the unlabelled ones.
    init : str
        First weights: "random" (those of the architecture), or the folder of a network artefact.
    arch : str
        dipalma_resnet10, the network of the paper, or a timm ResNet, which gets GroupNorm.
    norm_groups : int
        Groups of GroupNorm.
    tune : str
        "all" layers, or the "head" alone: fine-tuning.
    norm : str
        Mean and standard deviation of the training pieces at the network's "own" scale, or those
        that the "teacher" has, as in the authors' code. A network given by --init keeps its own.
    temperature : float
        Of the softmax of teacher and student.
    soft_weight : float
        Weight of the loss on answers.
    pixel_weight : float
        Weight of the loss on feature maps.
    resize : str
        How the teacher's map is shrunk: "both" ways of the paper, one of them, or as in the
        "authors" code, which halves one and leaves out the other.
    reduction : str
        Whether squares of a map are averaged ("mean", as in the authors' code) or added ("sum").
    antialias : bool
        Average over all of the teacher's places in the bicubic way.
    optimizer : str
        adam, adamw, sgd or adamp.
    lr : float
        Learning rate of the optimizer.
    weight_decay : float
        Weight decay of the optimizer.
    epochs : int
        Most passes over the pieces.
    batch_size : int
        Pieces of a step; their gradients add up, whatever their sizes.
    augment : str
        none; flips; jitter-flips (also brightness, contrast, saturation and hue); or
        jitter-flips-turns (also quarter turns). Both scales of a piece are changed alike.
    class_weights : bool
        Weigh the loss on labels so that each class counts alike.
    select : str
        Keep the weights of the "last" epoch, or the "best" on the validation pieces.
    judge : str
        What is best: the lowest "loss", or the highest "macro-f1".
    patience : int
        Stop after so many epochs that are no better on the validation pieces.
    precision : str
        Arithmetic of the training, as Lightning Fabric names it.
    checkpointing : bool
        Compute stages again in the backward pass, for large pieces: less memory, more time.
    pass_pixels : int
        Pieces of one size pass together up to so many pixels; 0: each alone, as in the paper.
    seed : int
        Seed of first weights, order and augmentation.
    device : str
        auto, cpu or cuda.
    """

    patches: Annotated[Path, Role.INPUT] = field(kw_only=False)
    out: Annotated[Path, Role.OUTPUT]
    teacher: Annotated[Path | None, Role.INPUT] = None
    fine: Annotated[Path | None, Role.INPUT] = None
    unlabelled: Annotated[Path | None, Role.INPUT] = None
    unlabelled_fine: Annotated[Path | None, Role.INPUT] = None
    unlabelled_share: float = 1.0
    with_labelled: bool = False
    init: Annotated[str, Role.INPUT] = "random"
    arch: str = "dipalma_resnet10"
    norm_groups: int = 32
    tune: Literal["all", "head"] = "all"
    norm: Literal["own", "teacher"] = "own"
    temperature: float = 1.0
    soft_weight: float = 1.0
    pixel_weight: float = 1.0
    resize: Literal["both", "max-pool", "bicubic", "authors"] = "both"
    reduction: Literal["mean", "sum"] = "mean"
    antialias: bool = False
    optimizer: Literal["adam", "adamw", "sgd", "adamp"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    epochs: int = 100
    batch_size: int = 32
    augment: Literal["none", "flips", "jitter-flips", "jitter-flips-turns"] = "jitter-flips"
    class_weights: bool = False
    select: Literal["last", "best"] = "last"
    judge: Literal["loss", "macro-f1"] = "loss"
    patience: int | None = None
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    checkpointing: bool = False
    pass_pixels: int = 4_194_304
    seed: int = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "norm_groups"):
            require_at_least(getattr(self, name), 1, name)
        for name in ("seed", "pass_pixels"):
            require_at_least(getattr(self, name), 0, name)
        if self.patience is not None:
            require_at_least(self.patience, 1, "patience")
        for name in ("lr", "temperature"):
            if not getattr(self, name) > 0:
                raise InputError(f"--{name} is {getattr(self, name):g}", "give more than 0")
        if not 0 < self.unlabelled_share <= 1:
            raise InputError(
                f"--unlabelled-share is {self.unlabelled_share}", "give more than 0, at most 1"
            )
        if min(self.weight_decay, self.soft_weight, self.pixel_weight) < 0:
            raise InputError("a weight is below 0", "give 0 or more")
        if self.soft_weight == self.pixel_weight == 0:
            raise InputError(
                "--soft-weight and --pixel-weight are both 0", "give at least one above 0"
            )


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"norm": "teacher", "select": "best", "judge": "macro-f1"},
    "recommended": {"augment": "jitter-flips-turns", "select": "best"},
}


def distill(config: Distill, reporter: Reporter = SILENT) -> Artefact:
    """Make a network artefact.

    Parameters
    ----------
    config : Distill
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``network``, with ``history.csv`` and ``scores.parquet``: a row for each
        validation and test piece with its probabilities.

    Raises
    ------
    InputError
        Pieces, teacher and options do not fit each other; unlabelled pieces overlap the test, or a
        network learned from it.
    DivergedError
        Training came to numbers that are not finite.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    _check_together(config)
    labelled = open_artefact(config.patches, "patches")
    sets = Sets(
        labelled,
        None if config.fine is None else open_artefact(config.fine, "patches"),
        None if config.unlabelled is None else open_artefact(config.unlabelled, "patches"),
        None
        if config.unlabelled_fine is None
        else open_artefact(config.unlabelled_fine, "patches"),
    )
    check_pairs(sets)
    check_unlabelled(sets)
    if config.select == "best" or config.patience is not None:
        tell_of_validation(sets, reporter)
    teacher = None if config.teacher is None else open_artefact(config.teacher, "network")
    start = None if config.init == "random" else open_artefact(config.init, "network")
    _check_classes(teacher, start, labelled)
    if start is not None:
        _check_start(config, start)
    if teacher is not None and sets.fine is not None:
        check_level(teacher, sets.fine, "the teacher learned at", f"{sets.fine.path} is at")
    refuse_seen(labelled, {"teacher": teacher, "init": start})
    inputs = [
        artefact.as_input(role)
        for role, artefact in (*sets.by_role(), ("teacher", teacher), ("start", start))
        if artefact is not None
    ]
    if start is None:
        inputs.append(Input("start", "random", "random"))
    settings = _settings(config)
    identity = Identity("network", "distill", VERSION, settings, tuple(inputs), config.seed)

    def work(draft: Draft) -> Artefact:
        return distill_and_write(config, sets, (teacher, start), draft, reporter)

    return make_once(config.out, identity, work, reporter)


def _check_together(config: Distill) -> None:
    if (config.teacher is None) != (config.fine is None):
        raise InputError(
            "--teacher and --fine go together", "give the teacher and the pieces that it looks at"
        )
    if (config.unlabelled is None) != (config.unlabelled_fine is None):
        raise InputError(
            "--unlabelled and --unlabelled-fine go together", "give the pieces at both scales"
        )
    if config.unlabelled is not None and config.teacher is None:
        raise InputError("unlabelled pieces need a teacher", "give --teacher and --fine")
    if config.unlabelled is None:
        for_unlabelled = ("unlabelled_share", "with_labelled")
        refuse_unused(config, for_unlabelled, PRESETS, "for --unlabelled, which is not given")
    if config.tune == "head" and config.init == "random":
        raise InputError(
            "--tune head with random first weights leaves nothing learned below the head",
            "give the student's network by --init",
        )


def _check_classes(teacher: Artefact | None, start: Artefact | None, labelled: Artefact) -> None:
    classes = tuple(labelled.facts["classes"])
    if UNLABELED in classes:
        raise InputError(
            f"{labelled.path} holds pieces without a label",
            "label them, or give them by --unlabelled",
        )
    for word, artefact in (("teacher", teacher), ("init", start)):
        if artefact is None:
            continue
        known = load_spec(artefact).classes
        if known != classes:
            raise InputError(
                f"--{word} {artefact.path} knows the classes {', '.join(known)}; the pieces have "
                f"{', '.join(classes)}",
                "train it on the same classes, in the same order",
            )


def _check_start(config: Distill, start: Artefact) -> None:
    """Refuse options that would build another network than the one that is gone on from."""
    spec = load_spec(start)
    given = (("arch", spec.architecture), ("norm_groups", spec.kwargs.get("norm_groups")))
    for name, known in given:
        value = getattr(config, name)
        if value not in (known, getattr(Distill, name)):
            flag = "--" + name.replace("_", "-")
            raise InputError(
                f"{flag} is {value}, and the network of --init has {known}", f"leave out {flag}"
            )


def _settings(config: Distill) -> dict[str, Any]:
    """Resolve what is hashed; what takes no part in the work is not."""
    settings = fields_with_role(config, Role.SETTING)
    unused = {"seed"}
    if config.teacher is None:
        unused |= {"temperature", "soft_weight", "pixel_weight", "resize", "reduction"}
        unused |= {"antialias", "with_labelled"}
        if config.init == "random":
            unused.add("norm")
    else:
        unused.add("class_weights")
    if config.unlabelled is None or config.unlabelled_share == 1:
        unused.add("unlabelled_share")  # as if there were no such option
    if config.init != "random":
        unused |= {"arch", "norm_groups", "norm"}
    assert unused <= {f.name for f in fields(config)}
    return {name: value for name, value in settings.items() if name not in unused}
