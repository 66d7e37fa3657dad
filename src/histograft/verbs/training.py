"""What a training does between its first network and its artefact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histograft.core.artefact import Artefact, Draft, open_artefact
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.reporter import Reporter, Task
from histograft.core.seeds import child_seed
from histograft.verbs.class_measures import class_measures
from histograft.verbs.networks import (
    TUNED_ON,
    seen_in,
    tuned_on,
    write_network_files,
    write_tuned_on,
)
from histograft.verbs.patch_images import images_of

if TYPE_CHECKING:
    import pandas as pd

    from histograft.learning.loop import FitResult
    from histograft.learning.network import Network
    from histograft.learning.regime import Regime
    from histograft.verbs.train import Train

HISTORY = "history.csv"
CLASSES = "classes.csv"
KERNELS = "kernels.csv"
Step = Literal["head", "body", "all"]
TITLES = {
    "head": "tuning Part B, Part A frozen",
    "body": "tuning Part A, Part B frozen",
    "all": "tuning all layers",
}


def tune_and_write(
    config: Train,
    network: Network,
    patches: Artefact,
    table: pd.DataFrame,
    draft: Draft,
    reporter: Reporter,
) -> Artefact:
    """Tune a network on the training rows and write the artefact.

    Raises
    ------
    InputError
        There are no training rows, or they do not fit the options.
    DivergedError
        Training came to numbers that are not finite.
    """
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
    if result.kernels:
        with draft.writing(KERNELS) as path:
            pd.DataFrame(result.kernels).to_csv(path, index=False)
    if result.val_logits is not None:
        seen, judged = (label_array(part, network.spec) for part in rows.values())
        measures = class_measures(seen, judged, result.val_logits, network.spec)
        with draft.writing(CLASSES) as path:
            measures.to_csv(path, index=False)
    write_tuned_on(draft, _seen(table[table["split"].isin(list(rows))], config))
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
    from histograft.learning.losses import absent_classes
    from histograft.learning.regime import RunOptions

    train_part, val_part = (
        (images_of(patches, part), label_array(part, network.spec)) for part in rows.values()
    )
    absent = absent_classes(train_part[1], network.spec)
    if absent and config.multilabel_loss == "one-vs-all":
        reporter.warn(f"no training patch shows {', '.join(absent)}: weight 0 in the loss")
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
                on_step=StepTeller(task, regime.epochs, reporter),
                compile=config.compile,
            ),
        )


class StepTeller:
    """Tells a task how far the loop has come, from wherever it began, which it says."""

    def __init__(self, task: Task, n_epochs: int, reporter: Reporter) -> None:
        self._task, self._n_epochs, self._done = task, n_epochs, 0
        self._reporter = reporter

    def __call__(self, epoch: int, step: int, n_steps: int, loss: float, rate: float) -> None:
        """Take what `RunOptions.on_step` is called with."""
        if epoch == 0:  # Part A is frozen: its outputs are computed once
            self._task.advance(0, f"pooled features {step}/{n_steps}, {rate:.0f} patches/s")
            return
        now = (epoch - 1) * n_steps + step
        if now > 1 and not self._done:
            self._reporter.note(f"going on in epoch {epoch} of {self._n_epochs}, where it stopped")
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
        augment_val=config.augment_val,
        class_weights=config.class_weights,
        multilabel_loss=config.multilabel_loss,
        bn_update=config.bn_update and head,
        patience=config.patience,
        select=config.select,
        select_by=config.select_by,
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


def _seen(rows: pd.DataFrame, config: Train) -> set[tuple[str, str]]:
    """Return which images and groups the weights have seen, now or before."""
    start = Path(config.init)
    before = tuned_on(open_artefact(start, "network")) if (start / TUNED_ON).is_file() else set()
    return seen_in(rows) | before


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
