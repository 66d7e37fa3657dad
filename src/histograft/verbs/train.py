"""Tune a network on the training patches of a patches artefact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter, Task
from histograft.core.seeds import child_seed
from histograft.verbs.first_network import first_network, hidden_sizes
from histograft.verbs.networks import STEP_1 as STEP_1
from histograft.verbs.networks import (
    TUNED_ON,
    Start,
    find_start,
    group_key,
    tuned_on,
    write_network_files,
)
from histograft.verbs.patch_images import images_of, load_patches

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.loop import FitResult
    from histograft.learning.network import Network
    from histograft.learning.regime import Regime

VERSION = 1
HISTORY = "history.csv"
Step = Literal["head", "body", "all"]
TITLES = {
    "head": "tuning Part B, Part A frozen",
    "body": "tuning Part A, Part B frozen",
    "all": "tuning all layers",
}


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
        artefact that init names, else 2048.
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
        adam, adamw, sgd or adamp.
    weight_decay : float
        Weight decay of the optimizer.
    schedule : str
        Learning rate over the epochs.
    augment : str
        Flips and quarter turns, or none, where Part A is tuned.
    augment_head : str
        The same where only Part B is tuned; "none" lets Part A run once instead of every epoch.
    class_weights : bool
        Weigh the loss so that each class counts alike.
    select : str
        Keep the weights of the "last" epoch, or the "best" on the validation rows.
    patience : int
        Stop after so many epochs without a better validation loss.
    precision : str
        Arithmetic of the training, as Lightning Fabric names it.
    seed : int
        Seed of first weights, order and augmentation.
    device : str
        auto, cpu or cuda.
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
    epochs_head: int = 20
    lr_head: float = 4e-4
    epochs_all: int = 10
    lr_all: float = 5e-5
    batch_size: int = 128
    optimizer: Literal["adam", "adamw", "sgd", "adamp"] = "adam"
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "cosine"] = "constant"
    augment: Literal["none", "flips-turns"] = "none"
    augment_head: Literal["none", "flips-turns"] = "none"
    class_weights: bool = False
    select: Literal["last", "best"] = "last"
    patience: int | None = None
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    seed: int = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

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
        if self.hidden is not None and (not self.hidden or min(self.hidden) < 1):
            raise InputError(f"--hidden is {self.hidden}", "give one or more sizes above 0")


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "recommended": {"augment": "flips-turns", "class_weights": True},
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
        Patches, weights and options do not fit each other, or training diverged.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    patches = open_artefact(config.patches, "patches")
    start = find_start(config.init, config.arch, config.arch_kwargs, config.mean, config.std)
    for fact in start.assumed:
        reporter.warn(f"assumed of the weights file: {fact}")
    config = replace(config, hidden=hidden_sizes(config, start, patches))
    settings = _settings(config, start)
    inputs = (patches.as_input("patches"), start.record)
    identity = Identity("network", "train", VERSION, settings, inputs, config.seed)

    def work(draft: Draft) -> Artefact:
        nonlocal start
        if config.tune == "two-step":
            first = train(replace(config, tune="head", out=draft.path / STEP_1), reporter)
            start = find_start(str(first.path), None)
        table = load_patches(patches)
        network = first_network(config, start, patches, table, reporter)
        return _fit(config, network, patches, table, draft, reporter)

    return make_once(config.out, identity, work, reporter)


def _settings(config: Train, start: Start) -> dict[str, Any]:
    """Resolve what is hashed: the architecture as it was found, not as it was written."""
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    settings |= {"arch": start.architecture, "arch_kwargs": start.kwargs}
    if start.opened is not None:
        settings |= {"mean": list(start.opened.mean), "std": list(start.opened.std)}
    unused = {
        "head": ("epochs_all", "lr_all", "augment"),
        "body": ("epochs_head", "lr_head", "augment_head"),
        "all": ("epochs_head", "lr_head", "augment_head"),
        "two-step": (),
    }
    for name in unused[config.tune]:
        settings.pop(name)
    return settings


def _fit(
    config: Train,
    network: Network,
    patches: Artefact,
    table: pd.DataFrame,
    draft: Draft,
    reporter: Reporter,
) -> Artefact:
    import pandas as pd

    rows = {split: table[table["split"] == split] for split in ("train", "val")}
    if rows["train"].empty:
        raise InputError(f"{patches.path} has no training rows", "standardize it with splits")
    step: Step = "body" if config.tune == "two-step" else config.tune
    result = _tune(config, step, network, patches, rows, draft, reporter)
    history = pd.DataFrame(result.history)
    history.insert(0, "step", step)
    with draft.writing(HISTORY) as path:
        history.to_csv(path, index=False)
    _write_tuned_on(draft, table[table["split"].isin(list(rows))], config)
    trained = {
        "tune": config.tune,
        "on": patches.as_input("patches").name,
        "best_epoch": result.best_epoch,
    }
    write_network_files(draft, network, trained)
    reporter.note(f"{TITLES[step]}: {_last_line(result)}")
    facts = _facts(result, network, patches, rows)
    return draft.finish(facts, fields_with_role(config, Role.EXECUTION))


def _tune(
    config: Train,
    step: Step,
    network: Network,
    patches: Artefact,
    rows: dict[str, pd.DataFrame],
    draft: Draft,
    reporter: Reporter,
) -> FitResult:
    """Run one step of tuning with checkpoints in the draft, and show how far it is."""
    from histograft.learning.batches import batch_bounds
    from histograft.learning.loop import fit
    from histograft.learning.regime import RunOptions

    train_part, val_part = (
        (images_of(patches, part), label_array(part, network.spec)) for part in rows.values()
    )
    regime = _regime(config, step)
    n_steps = len(batch_bounds(len(rows["train"]), regime.batch_size))
    with reporter.task(TITLES[step], regime.epochs * n_steps) as task:
        return fit(
            network,
            *train_part,
            *(val_part if len(rows["val"]) else (None, None)),
            regime=regime,
            run=RunOptions(
                device=config.device,
                checkpoint_dir=draft.work,
                on_step=StepTeller(task, regime.epochs),
            ),
        )


class StepTeller:
    """Tells a task how far the loop has come, from wherever it began."""

    def __init__(self, task: Task, n_epochs: int) -> None:
        self._task, self._n_epochs, self._done = task, n_epochs, 0

    def __call__(self, epoch: int, step: int, n_steps: int, loss: float, rate: float) -> None:
        """Take what `RunOptions.on_step` is called with."""
        if epoch == 0:  # Part A is frozen: its outputs are computed once
            self._task.advance(0, f"pooled features {step}/{n_steps}, {rate:.0f} patches/s")
            return
        now = (epoch - 1) * n_steps + step
        note = f"epoch {epoch}/{self._n_epochs}, loss {loss:.3f}, {rate:.0f} patches/s"
        self._task.advance(now - self._done, note)
        self._done = now


def _regime(config: Train, step: Step) -> Regime:
    from histograft.learning.regime import Regime

    head = step == "head"
    return Regime(
        tune=step,
        optimizer=config.optimizer,
        lr=config.lr_head if head else config.lr_all,
        weight_decay=config.weight_decay,
        schedule=config.schedule,
        epochs=config.epochs_head if head else config.epochs_all,
        batch_size=config.batch_size,
        augment=config.augment_head if head else config.augment,
        class_weights=config.class_weights,
        patience=config.patience,
        select=config.select,
        precision=config.precision,
        seed=child_seed(config.seed, "train", step),
    )


def label_array(rows: pd.DataFrame, spec: Any) -> Any:
    """Class indices (N,), or zeros and ones (N, K) for several labels a patch."""
    import numpy as np

    position = {name: index for index, name in enumerate(spec.classes)}
    if spec.task == "multiclass":
        return np.array([position[label] for label in rows["label"]], dtype=np.int64)
    array = np.zeros((len(rows), len(position)), dtype=np.float32)
    for row, labels in enumerate(rows["label"].str.split("|")):
        array[row, [position[label] for label in labels]] = 1
    return array


def _write_tuned_on(draft: Draft, rows: pd.DataFrame, config: Train) -> None:
    """Write which images and groups the weights have seen, now or before."""
    import pandas as pd

    seen = {("image", value) for value in rows["source_sha256"]}
    known = rows[rows["group_source"] != "image"]
    seen |= {
        ("group", group_key(dataset, group))
        for dataset, group in set(zip(known["dataset"], known["group"], strict=True))
    }
    start = Path(config.init)
    if (start / TUNED_ON).is_file():
        seen |= tuned_on(open_artefact(start, "network"))
    with draft.writing(TUNED_ON) as path:
        pd.DataFrame(sorted(seen), columns=["kind", "key"]).to_parquet(path, index=False)


def _facts(
    result: FitResult, network: Network, patches: Artefact, rows: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    return {
        "architecture": network.spec.architecture,
        "classes": list(network.spec.classes),
        "mean": list(network.spec.mean),
        "std": list(network.spec.std),
        "tuned_on": patches.facts["dataset"],
        "n_train": len(rows["train"]),
        "n_val": len(rows["val"]),
        "best_epoch": result.best_epoch,
        # Without its time: the same work has the same facts.
        "last": {k: v for k, v in result.history[-1].items() if v is not None and k != "seconds"},
    }


def _last_line(result: FitResult) -> str:
    last = result.history[-1]
    text = f"training loss {last['train_loss']:.3f}, accuracy {last['train_accuracy']:.3f}"
    if last.get("val_accuracy") is not None:
        text += f"; validation loss {last['val_loss']:.3f}, accuracy {last['val_accuracy']:.3f}"
    return text
