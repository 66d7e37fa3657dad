"""Tune a network on the training patches of a patches artefact."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.claims import give_up
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.first_network import NO_HIDDEN, first_network, hidden_sizes, keeps_part_b
from histograft.verbs.networks import STEP_1 as STEP_1
from histograft.verbs.networks import Start, find_start
from histograft.verbs.patch_images import load_patches
from histograft.verbs.training import HISTORY as HISTORY
from histograft.verbs.training import StepTeller as StepTeller
from histograft.verbs.training import label_array as label_array
from histograft.verbs.training import tune_and_write

if TYPE_CHECKING:
    pass

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Train:
    """Tune a network on the training rows of a patches artefact.

    Part A is the network up to its pooled features (GAP), Part B the dense layers on top.

    Attributes
    ----------
    patches : Path
        A patches artefact, see `histograft standardize`.
    out : Path
        Folder of the network artefact; new, empty, or of the same unfinished run.
    init : str
        First weights: "random" (He), "imagenet" (through timm), a weights file (safetensors, a
        timm .pth, Keras Xception .h5), or the folder of a network artefact.
    arch : str
        timm name of Part A, such as legacy_xception, resnet18, mobilenetv2_100, or hf-hub:NAME.
        Not needed where init states it.
    arch_kwargs : str
        Arguments of the architecture as JSON, such as '{"pad_type": "same", "bn_eps": 0.001}'.
    mean : tuple of float
        Mean of the input channels (0-1), where a weights file does not state it.
    std : tuple of float
        Standard deviation of the input channels, likewise.
    tune : str
        "head" (Part B only), "body" (Part A only), "all", or "two-step": head, then body. The
        FTX recipe is two-step.
    hidden : tuple of int
        Sizes of the dense layers of Part B before the classes; by default those of the network
        artefact that init names, else 2048. 0: none, the classes follow the pooled features.
    random_start : str
        How "random" first weights are drawn: He by fan-in, or as torchvision draws ResNets, by
        fan-out with BatchNorm at 1 and 0.
    norm : str
        Mean and std of the input: of the "source" (what the first weights state), of the "target"
        (the training patches here) or of "imagenet". By default the source's where there is one,
        else the target's.
    epochs_head : int
        Epochs of tuning Part B.
    lr_head : float
        Learning rate of tuning Part B.
    epochs_all : int
        Epochs of tuning Part A or all layers.
    lr_all : float
        Learning rate of tuning Part A or all layers.
    batch_size : int
        Patches per step.
    optimizer : str
        adam, adamw, sgd, adamp or rmsgd (sets its own rates; for tune "all" and "body").
    weight_decay : float
        Weight decay of the optimizer.
    schedule : str
        Learning rate over the epochs; step-20 halves it every 20.
    augment : str
        Flips and quarter turns, flips, those of HistoKT (flips, ±45°, shifts of a tenth), or
        none, where Part A is tuned.
    augment_head : str
        The same where only Part B is tuned; "none" lets Part A run once instead of every epoch.
    augment_val : bool
        Augment validation rows as well, as HistoKT's code does. Leave it off.
    class_weights : bool
        Weigh the loss so that each class counts alike.
    multilabel_loss : str
        Of several labels a patch: "plain", or "one-vs-all", weighted by patches / patches of the
        class in place of class_weights (HistoKT).
    bn_update : bool
        Let BatchNorm statistics of a frozen Part A follow the patches, as HistoKT's code does.
    select : str
        Keep the weights of the "last" epoch, or the "best" on the validation rows.
    select_by : str
        What makes an epoch better: lower validation "loss" or higher validation "accuracy".
    patience : int
        Stop after so many epochs that are not better.
    precision : str
        Arithmetic of the training, as Lightning Fabric names it.
    seed : int
        Seed of first weights, order and augmentation.
    device : str
        auto, cpu or cuda.
    compile : bool
        Let torch compile the network: minutes at first, faster steps after.
    """

    patches: Annotated[Path, Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    init: Annotated[str, Role.INPUT] = "imagenet"
    arch: str | None = None
    arch_kwargs: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    tune: Literal["head", "body", "all", "two-step"] = "two-step"
    hidden: tuple[int, ...] | None = None
    random_start: Literal["he-fan-in", "he-fan-out"] = "he-fan-in"
    norm: Literal["source", "target", "imagenet"] | None = None
    epochs_head: int = 20
    lr_head: float = 4e-4
    epochs_all: int = 10
    lr_all: float = 5e-5
    batch_size: int = 128
    optimizer: Literal["adam", "adamw", "sgd", "adamp", "rmsgd"] = "adam"
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "cosine", "step-20"] = "constant"
    augment: Literal["none", "flips-turns", "flips", "histokt"] = "none"
    augment_head: Literal["none", "flips-turns", "flips", "histokt"] = "none"
    augment_val: bool = False
    class_weights: bool = False
    multilabel_loss: Literal["plain", "one-vs-all"] = "plain"
    bn_update: bool = False
    select: Literal["last", "best"] = "last"
    select_by: Literal["loss", "accuracy"] = "loss"
    patience: int | None = None
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    seed: int = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"
    compile: Annotated[bool, Role.EXECUTION] = False

    def __post_init__(self) -> None:
        for name in ("epochs_head", "epochs_all", "batch_size"):
            require_at_least(getattr(self, name), 1, name)
        require_at_least(self.seed, 0, "seed")
        for name in ("lr_head", "lr_all"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}", "give more than 0"
                )
        if self.weight_decay < 0:
            raise InputError(f"--weight-decay is {self.weight_decay}", "give 0 or more")
        if self.patience is not None:
            require_at_least(self.patience, 1, "patience")
        if self.hidden and self.hidden != NO_HIDDEN and min(self.hidden) < 1:
            raise InputError(f"--hidden is {self.hidden}", "give sizes above 0, or 0 for none")
        if self.norm in ("target", "imagenet") and (self.mean is not None or self.std is not None):
            raise InputError(
                f"--norm {self.norm} and --mean or --std contradict each other",
                "give one of them",
            )


# What HistoKT's training and tuning have in common (Zhang et al. 2022, its code and its logs).
_HISTOKT: dict[str, Any] = {
    "tune": "all",
    "hidden": NO_HIDDEN,
    "weight_decay": 5e-4,
    "batch_size": 64,
    "epochs_all": 250,
    "augment": "histokt",
    "augment_val": True,
    "multilabel_loss": "one-vs-all",
    "select": "best",
    "select_by": "accuracy",
}
HISTOKT_RATES = (1e-3, 5e-4, 2e-4, 1e-4, 5e-5)  # HistoKT's grid; tuning takes the best of it

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "recommended": {"augment": "flips-turns", "class_weights": True},
    "histokt-stage1": _HISTOKT
    | {
        "arch": "resnet18",
        "init": "random",
        "random_start": "he-fan-out",
        "optimizer": "rmsgd",
        "lr_all": 0.03,
        "schedule": "constant",
    },
    "histokt-tune": _HISTOKT
    | {
        "optimizer": "adamp",
        "schedule": "step-20",
        "norm": "source",
        "lr_all": HISTOKT_RATES[1],
        "lr_head": HISTOKT_RATES[1],
        "epochs_head": 250,
        "augment_head": "histokt",
        "bn_update": True,
    },
}


def train(config: Train, reporter: Reporter = SILENT) -> Artefact:
    """Make a network artefact.

    Parameters
    ----------
    config : Train
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``network``. With ``tune="two-step"`` its folder ``step1`` is the network artefact
        of the first step.

    Raises
    ------
    InputError
        Patches, weights and options do not fit each other.
    DivergedError
        Training came to numbers that are not finite.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    _check_rmsgd(config)
    patches = open_artefact(config.patches, "patches")
    start = find_start(config.init, config.arch, config.arch_kwargs, config.mean, config.std)
    for fact in start.assumed:
        reporter.warn(f"assumed of the weights file: {fact}")
    config = replace(config, hidden=hidden_sizes(config, start, patches))
    identity = _identity(config, start, patches)

    def work(draft: Draft) -> Artefact:
        nonlocal start
        if config.tune == "two-step":
            head = replace(config, tune="head", out=draft.path / STEP_1)
            give_up(head.out, _identity(head, start, patches))
            first = train(head, reporter)
            start = find_start(str(first.path), None)
        table = load_patches(patches)
        network = first_network(config, start, patches, table, reporter)
        return tune_and_write(config, network, patches, table, draft, reporter)

    return make_once(config.out, identity, work, reporter)


def _identity(config: Train, start: Start, patches: Artefact) -> Identity:
    """Everything that decides what the network will be."""
    settings = _settings(config, start, patches)
    inputs = (patches.as_input("patches"), start.record)
    return Identity("network", "train", VERSION, settings, inputs, config.seed)


def _check_rmsgd(config: Train) -> None:
    fits = config.tune in ("all", "body") and config.schedule == "constant"
    if config.optimizer == "rmsgd" and not fits:
        raise InputError(
            "--optimizer rmsgd sets the rates of convolutions itself: it does not go with --tune "
            f"{config.tune} and --schedule {config.schedule}",
            "give --tune all --schedule constant, or another optimizer",
        )


# Fields that came later. They count only where they are not at their default, so that what was
# made before keeps its id.
_LATER = ("random_start", "norm", "augment_val", "multilabel_loss", "bn_update", "select_by")


def _settings(config: Train, start: Start, patches: Artefact) -> dict[str, Any]:
    """Resolve what is hashed: the architecture as it was found, not as it was written."""
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    defaults = {field.name: field.default for field in fields(Train)}
    for name in _LATER:
        if settings[name] == defaults[name]:
            settings.pop(name)
    if start.artefact is not None and not keeps_part_b(start, patches):
        # Such a Part A was drawn anew once, by mistake: those artefacts have other ids.
        settings["part_a"] = "of the first network"
    settings |= {"arch": start.architecture, "arch_kwargs": start.kwargs}
    if start.opened is not None:
        settings |= {"mean": list(start.opened.mean), "std": list(start.opened.std)}
    unused = {
        "head": ("epochs_all", "lr_all", "augment"),
        "body": ("epochs_head", "lr_head", "augment_head", "bn_update"),
        "all": ("epochs_head", "lr_head", "augment_head", "bn_update"),
        "two-step": (),
    }
    for name in (*unused[config.tune], *(() if start.kind == "random" else ("random_start",))):
        settings.pop(name, None)
    return settings
