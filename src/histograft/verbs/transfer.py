"""Tune a network from one data set on another, at several learning rates, and test it there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import DivergedError, InputError
from histograft.core.files import written_atomically
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import child_seed
from histograft.verbs.networks import Start, find_start
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.train import StepTeller, label_array
from histograft.verbs.transfer_start import (
    compare_scales,
    own_network,
    refuse_seen,
    transfer_network,
)
from histograft.verbs.transfer_tables import (
    TABLE,
    prediction_rows,
    transfer_facts,
    validation_metric,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.learning.network import Network
    from histograft.learning.regime import Regime

VERSION = 2
AS_IT_IS = "as-it-is"


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Tune a source network on a target set at each learning rate, and test it there.

    All layers but the classifier (Part A) come from the source; the classifier is new. The test
    rows are predicted by the network of every learning rate, and the validation rows say which
    rate to believe: `histograft matrix` chooses by them, over all trials, and compares transfers
    with controls; `histograft run transfer-matrix` plans them all. Networks are not kept:
    `histograft train --init` makes one to keep. For example: `histograft transfer --patches
    colon-patches --init lung-network --out lung-to-colon`.

    Attributes
    ----------
    patches : Path
        The target: a patches artefact with training, validation and test rows.
    out : Path
        Folder of the predictions artefact; new, empty, or of the same unfinished run.
    init : str
        The source: the folder of a network artefact, a weights file, "imagenet" or "random".
    arch : str
        timm name of the network, where init does not state it.
    arch_kwargs : str
        Arguments of the architecture as JSON.
    tune : str
        "deep" tunes all layers, "fine" the new classifier alone (BatchNorm stays as it is);
        "none" tests a network artefact that knows the classes already.
    learning_rates : tuple of float
        The grid; each is a training of its own. One that diverges is recorded as diverged.
    epochs : int
        Epochs at each learning rate.
    batch_size : int
        Patches per step.
    optimizer : str
        adamp, adam, adamw, sgd or rmsgd.
    weight_decay : float
        Weight decay of the optimizer.
    schedule : str
        Learning rate over the epochs.
    augment : str
        Of training patches where all layers are tuned.
    augment_fine : str
        The same where only the classifier is tuned; "none" lets Part A run once instead of every
        epoch.
    class_weights : bool
        Weigh the loss so that each class counts alike.
    multilabel_loss : str
        Of several labels a patch: "plain" cross-entropies, or "one-vs-all", the paper's.
    select : str
        Keep the weights of the "best" epoch on the validation rows, or of the "last".
    select_by : str
        The best epoch has the highest validation "accuracy", or the lowest "loss".
    bn_update : bool
        Let BatchNorm statistics of Part A follow the images in fine-tuning, as HistoKT's code does.
    norm : str
        Whose mean and standard deviation normalize the input: those of the "source" network, of
        the "target"'s training patches, or of "imagenet".
    shuffle : bool
        Permute the weights of the source within each tensor: a control that keeps their scale
        and nothing of what was learned.
    strict_scale : bool
        Refuse a source that is not known to have learned at the µm/px of the patches.
    source : str
        Name of the source in tables; by default the set that the network was tuned on.
    start : str
        What the source itself began with, in tables: random or imagenet.
    control : str
        Which control this is, in tables; empty for none.
    trial : int
        Number of this trial, from 0; part of the seed.
    precision : str
        Arithmetic of the training, as Lightning Fabric names it.
    seed : int
        Root seed of the new classifier, order and augmentation.
    device : str
        auto, cpu or cuda.
    """

    patches: Annotated[Path, Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    init: Annotated[str, Role.INPUT]
    arch: str | None = None
    arch_kwargs: str = ""
    tune: Literal["none", "fine", "deep"] = "deep"
    learning_rates: tuple[float, ...] = (1e-3, 5e-4, 2e-4, 1e-4, 5e-5)
    epochs: int = 50
    batch_size: int = 64
    optimizer: Literal["adamp", "adam", "adamw", "sgd", "rmsgd"] = "adamp"
    weight_decay: float = 5e-4
    schedule: Literal["constant", "step", "step-20", "cosine"] = "step-20"
    augment: Literal["none", "flips", "flips-turns", "histokt"] = "histokt"
    augment_fine: Literal["none", "flips", "flips-turns", "histokt"] = "none"
    class_weights: bool = False
    multilabel_loss: Literal["plain", "one-vs-all"] = "plain"
    select: Literal["last", "best"] = "best"
    select_by: Literal["loss", "accuracy"] = "accuracy"
    bn_update: bool = False
    norm: Literal["source", "target", "imagenet"] = "source"
    shuffle: bool = False
    strict_scale: bool = False
    source: str = ""
    start: str = ""
    control: str = ""
    trial: int = 0
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    seed: int = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self.epochs, 1, "epochs")
        require_at_least(self.batch_size, 2, "batch_size")
        require_at_least(self.seed, 0, "seed")
        require_at_least(self.trial, 0, "trial")
        rates = self.learning_rates
        if not rates or min(rates) <= 0 or len(set(rates)) < len(rates):
            raise InputError(
                f"--learning-rates are {' '.join(map(str, rates))}",
                "give one or more different numbers above 0",
            )
        if self.weight_decay < 0:
            raise InputError(f"--weight-decay is {self.weight_decay}", "give 0 or more")


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "epochs": 250,
        "augment_fine": "histokt",
        "bn_update": True,
        "multilabel_loss": "one-vs-all",
    },
    "recommended": {"augment": "flips-turns", "class_weights": True},
}


def transfer(config: Transfer, reporter: Reporter = SILENT) -> Artefact:
    """Make a predictions artefact.

    Parameters
    ----------
    config : Transfer
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``predictions``: the test rows, predicted by one model for each learning rate that
        did not diverge. Its facts hold each rate's result on the validation rows.

    Raises
    ------
    InputError
        Patches, source and options do not fit each other.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    patches = open_artefact(config.patches, "patches")
    start = find_start(config.init, config.arch, config.arch_kwargs)
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    settings |= {"arch": start.architecture, "arch_kwargs": start.kwargs}
    inputs = (patches.as_input("patches"), start.record)
    identity = Identity("predictions", "transfer", VERSION, settings, inputs, config.seed)

    def work(draft: Draft) -> Artefact:
        table = load_patches(patches)
        _require_target(table, patches, config)
        refuse_seen(start, table)
        scales = compare_scales(start, table, reporter, strict=config.strict_scale)
        runs = _runs(config, start, patches, table, draft, reporter)
        rows = prediction_rows(patches, table, runs)
        with draft.writing(TABLE) as path:
            rows.to_parquet(path, index=False)
        facts = transfer_facts(config, start, patches, table, runs) | scales
        return draft.finish(facts, fields_with_role(config, Role.EXECUTION))

    return make_once(config.out, identity, work, reporter)


def _require_target(table: pd.DataFrame, patches: Artefact, config: Transfer) -> None:
    needed = ("test",) if config.tune == "none" else ("train", "val", "test")
    for split in needed:
        if not (table["split"] == split).any():
            raise InputError(
                f"{patches.path} has no {split} rows",
                "standardize it with a --val-fraction and a --test-fraction above 0, or with a "
                "split column that has them",
            )
    classes = patches.facts["classes"]
    if len(classes) < 2 and patches.facts["task"] == "multiclass":
        raise InputError(
            f"{patches.path} shows one class only ({classes[0]}): nothing is to be told apart",
            "take a target with two classes or more",
        )


def _runs(
    config: Transfer,
    start: Start,
    patches: Artefact,
    table: pd.DataFrame,
    draft: Draft,
    reporter: Reporter,
) -> list[dict[str, Any]]:
    """Train and test at each learning rate; finished ones of a killed run are read back."""
    if config.tune == "none":
        network = own_network(start, patches)
        return [_tested(network, AS_IT_IS, config, patches, table)]
    runs = []
    for rate in config.learning_rates:
        file = draft.work / f"lr-{rate:g}.npz"
        if not file.is_file():
            run = _trained(config, rate, start, patches, table, draft, reporter)
            _save(file, run)
        runs.append(_load(file))
    return runs


def _trained(
    config: Transfer,
    rate: float,
    start: Start,
    patches: Artefact,
    table: pd.DataFrame,
    draft: Draft,
    reporter: Reporter,
) -> dict[str, Any]:
    """Tune at one learning rate and predict validation and test rows."""
    from histograft.learning.batches import batch_bounds
    from histograft.learning.loop import fit
    from histograft.learning.regime import RunOptions

    network = transfer_network(config, start, patches, table)
    regime = _regime(config, rate)
    parts = []
    for split in ("train", "val"):
        rows = table[table["split"] == split]
        parts += [images_of(patches, rows), label_array(rows, network.spec)]
    n_steps = len(batch_bounds(len(parts[1]), regime.batch_size))
    title = f"{patches.facts['dataset']}: {config.tune}-tuning, rate {rate:g}"
    with reporter.task(title, regime.epochs * n_steps) as task:
        options = RunOptions(
            device=config.device,
            checkpoint_dir=draft.work / f"lr-{rate:g}",
            on_step=StepTeller(task, regime.epochs, reporter),
        )
        try:
            result = fit(network, *parts, regime=regime, run=options)
        except DivergedError as error:
            reporter.warn(f"rate {rate:g}: {error.problem}")
            return {"name": f"lr-{rate:g}", "lr": rate, "diverged": error.problem}
    run = _tested(network, f"lr-{rate:g}", config, patches, table)
    return run | {"lr": rate, "best_epoch": result.best_epoch}


def _regime(config: Transfer, rate: float) -> Regime:
    from histograft.learning.regime import Regime

    deep = config.tune == "deep"
    return Regime(
        tune="all" if deep else "head",
        optimizer=config.optimizer,
        lr=rate,
        weight_decay=config.weight_decay,
        schedule=config.schedule,
        epochs=config.epochs,
        batch_size=config.batch_size,
        augment=config.augment if deep else config.augment_fine,
        class_weights=config.class_weights,
        multilabel_loss=config.multilabel_loss,
        select=config.select,
        select_by=config.select_by,
        bn_update=config.bn_update and not deep,
        precision=config.precision,
        # The same for every rate: they differ by the rate alone.
        seed=child_seed(config.seed, "transfer", config.trial),
    )


def _tested(
    network: Network, name: str, config: Transfer, patches: Artefact, table: pd.DataFrame
) -> dict[str, Any]:
    """Score validation and test rows with a network."""
    from histograft.learning.apply import class_scores

    run: dict[str, Any] = {"name": name, "diverged": ""}
    for split in ("val", "test"):
        rows = table[table["split"] == split]
        if len(rows):
            images = images_of(patches, rows)
            pixels = (images.image(i) for i in range(len(rows)))
            run[split] = class_scores(network, pixels, device=config.device)
            if split == "val":
                run["val_metric"] = validation_metric(run["val"], label_array(rows, network.spec))
    return run


def _save(file: Path, run: dict[str, Any]) -> None:
    import numpy as np

    arrays: dict[str, NDArray[np.float32]] = {k: run[k] for k in ("val", "test") if k in run}
    words = json.dumps({k: v for k, v in run.items() if k not in arrays})
    with written_atomically(file) as path:
        np.savez(path, words=np.array(words), **arrays)  # type: ignore[arg-type]


def _load(file: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(file) as saved:
        run: dict[str, Any] = json.loads(str(saved["words"]))
        return run | {k: saved[k] for k in ("val", "test") if k in saved}
