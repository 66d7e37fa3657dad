"""The one training loop: head, body or all of a network, on one device, resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histograft.core.errors import DivergedError, InputError
from histograft.core.seeds import child_seed
from histograft.learning.batches import ImageBatches, ImageSource, batch_bounds, epoch_order
from histograft.learning.checkpoint import (
    Progress,
    load_checkpoint,
    restore_training,
    run_key,
    save_checkpoint,
    training_state,
)
from histograft.learning.frozen import pooled_features, stored_or_computed
from histograft.learning.losses import balanced_accuracy, checked_labels, correct, task_loss
from histograft.learning.memory import kept_memory
from histograft.learning.network import Network, load_state, state_to_save
from histograft.learning.optimizers import make_optimizer, make_schedule
from histograft.learning.regime import Regime, RunOptions, make_fabric
from histograft.learning.rmsgd import RMSGD
from histograft.learning.splits import Split
from histograft.learning.tune import choose_parameters, set_modes

__all__ = ["FitResult", "Regime", "RunOptions", "fit"]

_BATCHES_OF_A_FILE = 16  # of pooled features: what a kill can lose


@dataclass(frozen=True)
class FitResult:
    """What a run leaves beside the tuned network.

    Attributes
    ----------
    history : list of dict
        One row for each epoch: ``epoch`` (from 1), ``lr`` (of rmsgd the mean over kernels),
        ``train_loss`` and ``train_accuracy`` (over the steps of the epoch, while the weights
        change), ``val_loss``, ``val_accuracy`` and ``val_balanced_accuracy`` (None without a
        validation split), ``seconds``, ``images``.
    best_epoch : int or None
        The epoch that was best on the validation split; None without one.
    resumed_from : tuple of (epoch, step) or None
        Finished epochs and steps of the checkpoint that the run went on from.
    val_logits : float32 array (N, K) or None
        Of the validation images, by the weights that the network ends with.
    kernels : list of dict
        Of rmsgd, one row for each epoch and kernel: ``epoch``, ``kernel`` (its name),
        ``knowledge_gain`` at the end of the epoch, and ``next_rate``; empty otherwise.
    """

    history: list[dict[str, Any]]
    best_epoch: int | None
    resumed_from: tuple[int, int] | None
    val_logits: NDArray[np.float32] | None = None
    kernels: list[dict[str, Any]] = field(default_factory=list)


def fit(
    network: Network,
    train: ImageSource,
    train_labels: NDArray[Any],
    val: ImageSource | None = None,
    val_labels: NDArray[Any] | None = None,
    *,
    regime: Regime,
    run: RunOptions | None = None,
) -> FitResult:
    """Tune a network in place.

    Parameters
    ----------
    network : Network
        Ends on the CPU, in inference mode, with the selected weights.
    train, val : ImageSource
        Training and validation images, all of one size. The validation split is looked at once
        after each epoch; it steers nothing but `Regime.patience` and `Regime.select`.
    train_labels, val_labels : array
        Integers (N,), or 0 and 1 (N, K) for a multi-label network.
    regime : Regime
        What is learned, and how.
    run : RunOptions, optional
        Device, checkpoints, progress.

    Returns
    -------
    FitResult
        History, and where the run came from.

    Raises
    ------
    InputError
        Labels, images, or options do not fit; a class has no training image.
    ArtefactError
        The checkpoint belongs to another run or cannot be written.
    DivergedError
        The loss or a weight is no longer finite.

    Notes
    -----
    While Part A is frozen and nothing augments, its pooled features are computed once. A run that
    was killed and is called again with the same arguments ends, on a CPU with as many threads,
    with the same bytes as one that was not. The caller's torch generator is not touched.
    """
    if (val is None) != (val_labels is None):
        raise InputError("validation images and labels go together", "give both or neither")
    if val is None and (regime.select == "best" or regime.patience is not None):
        raise InputError(
            "select='best' and patience need a validation split: a training split cannot judge",
            "give a validation split, or select='last' and no patience",
        )
    judged = None if val is None or val_labels is None else (val, val_labels)
    with torch.random.fork_rng():
        torch.manual_seed(child_seed(regime.seed, "fit", regime.tune))
        work = _Fit(network, (train, train_labels), judged, regime, run)
        with kept_memory(work.fabric.device.type):
            return work.run()


class _Fit:
    """State of one call of `fit`."""

    def __init__(
        self,
        network: Network,
        train: tuple[ImageSource, NDArray[Any]],
        val: tuple[ImageSource, NDArray[Any]] | None,
        regime: Regime,
        options: RunOptions | None,
    ) -> None:
        self.network, self.regime, self.options = network, regime, options or RunOptions()
        self.train = self._split("train", *train)
        self.val = None if val is None else self._split("validation", *val)
        self.folder = self.options.checkpoint_dir
        self.key, self.features_key = "", ""
        if self.folder is not None:
            splits = (self.train, self.val)
            images = tuple(None if s is None else s.images for s in splits)
            labels = tuple(None if s is None else s.labels for s in splits)
            self.key = run_key(network, images, labels, regime)
            features = run_key(network, images, (), None)[:16]
            # rounding depends on precision and on the composition of the batches
            self.features_key = f"{features}-{regime.precision}-{regime.batch_size}"
        self.progress = Progress()
        self.val_logits: Tensor | None = None
        self.resumed_from: tuple[int, int] | None = None
        self.fabric = make_fabric(self.options.device, regime.precision)
        self._prepare_learning()
        self.written, self.write_cost = time.perf_counter(), 0.0

    def _split(self, name: str, source: ImageSource, labels: NDArray[Any]) -> Split:
        regime = self.regime
        checked = checked_labels(
            labels,
            len(source),
            self.network.spec,
            name,
            needs_all_classes=regime.multilabel_loss == "plain",
        )
        images = ImageBatches(source, self.options.cache_bytes, self.options.threads)
        return Split.of(name, images, checked, regime)

    def _prepare_learning(self) -> None:
        regime, network = self.regime, self.network
        network.to(memory_format=torch.channels_last)  # faster convolutions, on CPU and GPU
        parameters = choose_parameters(network, regime.tune)
        self.optimizer = make_optimizer(
            regime.optimizer, parameters, regime.lr, regime.weight_decay
        )
        self.factor = make_schedule(regime.schedule, regime.epochs)
        # Part B alone is called where features are reread, so it is a learner of its own
        learner: nn.Module = network.part_b if self.train.rereads else network
        network.to(self.fabric.device)
        if self.options.compile:
            learner = cast(nn.Module, torch.compile(learner))
        self.learner, self.stepper = self.fabric.setup(learner, self.optimizer)
        self.loss = task_loss(
            self.train.labels,
            len(network.spec.classes),
            balanced=regime.class_weights,
            kind=regime.multilabel_loss,
        ).to(self.fabric.device)

    def run(self) -> FitResult:
        self._resume()
        if not self.progress.stopped:
            self._compute_gaps()
        while not self.progress.stopped:
            self._epoch()
        if self.regime.select == "best" and self.progress.best_state is not None:
            load_state(self.network, self.progress.best_state)
        self.network.cpu().eval()
        for parameter in self.network.parameters():
            parameter.requires_grad, parameter.grad = True, None
        p = self.progress
        logits = None if p.val_logits is None else p.val_logits.numpy()
        return FitResult(p.history, p.best_epoch, self.resumed_from, logits, p.kernels)

    def _compute_gaps(self) -> None:
        for split in (self.train, self.val):
            if split is None or not split.rereads:
                continue
            bounds = batch_bounds(len(split.images), self.regime.batch_size)
            parts = []
            for first in range(0, len(bounds), _BATCHES_OF_A_FILE):
                chosen = slice(first, min(first + _BATCHES_OF_A_FILE, len(bounds)))
                path = None
                if self.folder is not None:
                    path = self.folder / f"pooled-{split.name}-{self.features_key}-{first:06d}.npy"
                n_rows = bounds[chosen.stop - 1][1] - bounds[first][0]
                compute = partial(self._gap_of, split.images, bounds, chosen)
                parts.append(stored_or_computed(path, compute, (n_rows, self.network.gap_size)))
            split.gap = torch.from_numpy(np.concatenate(parts))

    def _gap_of(
        self, images: ImageBatches, bounds: Sequence[tuple[int, int]], chosen: slice
    ) -> NDArray[np.float32]:
        def tell(step: int, rate: float) -> None:
            if self.options.on_step is not None:
                self.options.on_step(0, chosen.start + step, len(bounds), math.nan, rate)

        return pooled_features(
            self.network, images, bounds=bounds[chosen], fabric=self.fabric, on_batch=tell
        )

    def _inputs(
        self, split: Split, order: NDArray[np.int64], bounds: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        return split.inputs(
            order,
            bounds,
            spec=self.network.spec,
            device=self.fabric.device,
            seed=self.regime.seed,
            epoch=self.progress.epoch,
        )

    def _epoch(self) -> None:
        p, n = self.progress, len(self.train.labels)
        for group in self.optimizer.param_groups:
            group["lr"] = self.regime.lr * self.factor(p.epoch)
        lr = self._rate()
        bounds = batch_bounds(n, self.regime.batch_size)
        set_modes(self.network, self.regime.tune, bn_update=self.regime.bn_update)
        order = epoch_order(n, self.regime.seed, p.epoch)
        begun, images_before = time.perf_counter() - p.seconds, p.step and bounds[p.step - 1][1]
        since = time.perf_counter()
        for x, y in self._inputs(self.train, order, bounds[p.step :]):
            loss = self._step(x, y)
            p.step += 1
            now = time.perf_counter()
            p.seconds = now - begun
            if self.options.on_step is not None:
                rate = (bounds[p.step - 1][1] - images_before) / max(now - since, 1e-9)
                self.options.on_step(p.epoch + 1, p.step, len(bounds), loss, rate)
            if p.step < len(bounds) and now - self.written >= self.options.checkpoint_every_s:
                self._save()
        row: dict[str, Any] = {"epoch": p.epoch + 1, "lr": lr, "train_loss": p.loss_sum / n}
        row |= {"train_accuracy": p.right_sum / n, **self._validate()}
        row |= {"seconds": time.perf_counter() - begun, "images": n}
        self._finish_epoch(row)

    def _rate(self) -> float:
        if isinstance(self.optimizer, RMSGD):
            return self.optimizer.mean_rate()
        return float(self.optimizer.param_groups[0]["lr"])

    def _step(self, x: Tensor, y: Tensor) -> float:
        logits = self.learner(x)
        loss = self.loss(logits.float(), y)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        self.stepper.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.stepper.step()
        self.progress.loss_sum += value * len(y)
        self.progress.right_sum += float(correct(logits.detach(), y).float().mean()) * len(y)
        return value

    def _diverged(self, what: str) -> DivergedError:
        p = self.progress
        return DivergedError(
            self._rate(),
            p.epoch + 1,
            f"training diverged: {what} in epoch {p.epoch + 1}, step {p.step + 1} "
            f"(tune {self.regime.tune}, {self.regime.optimizer}, lr {self.regime.lr:g})",
            "use a lower learning rate (a tenth, say) or precision 32-true, and check that mean "
            "and std are those of the weights",
        )

    def _validate(self) -> dict[str, float | None]:
        names = ("val_loss", "val_accuracy", "val_balanced_accuracy")
        if self.val is None:
            return dict.fromkeys(names)
        self.network.eval()
        labels = self.val.labels
        order = np.arange(len(labels))
        part = self.network if self.val.gap is None else self.network.part_b
        bounds = batch_bounds(len(labels), self.regime.batch_size)
        found = []
        with torch.inference_mode(), self.fabric.autocast():
            for x, _ in self._inputs(self.val, order, bounds):
                found.append(part(x).float().cpu())
        self.val_logits = logits = torch.cat(found)
        loss = float(self.loss.cpu()(logits, labels))
        self.loss.to(self.fabric.device)
        accuracy = float(correct(logits, labels).double().mean())
        return dict(zip(names, (loss, accuracy, balanced_accuracy(logits, labels)), strict=True))

    def _finish_epoch(self, row: dict[str, Any]) -> None:
        p = self.progress
        if not all(bool(torch.isfinite(w).all()) for w in self.network.parameters()):
            raise self._diverged("a weight is not finite")
        if isinstance(self.optimizer, RMSGD):
            self._set_rates(self.optimizer)
        p.history.append(row)
        p.epoch, p.step, p.loss_sum, p.right_sum, p.seconds = p.epoch + 1, 0, 0.0, 0.0, 0.0
        better = self._is_better(row)
        if better:
            p.best_epoch, p.best_value = p.epoch, row[f"val_{self.regime.select_by}"]
            if self.regime.select == "best":
                p.best_state = state_to_save(self.network)
        if better or self.regime.select == "last":
            p.val_logits = self.val_logits
        tired = (
            self.regime.patience is not None
            and p.epoch - (p.best_epoch or 0) >= self.regime.patience
        )
        p.stopped = tired or p.epoch == self.regime.epochs
        waited = time.perf_counter() - self.written
        if p.stopped or waited >= min(self.options.checkpoint_every_s, 10 * self.write_cost):
            self._save()

    def _set_rates(self, optimizer: RMSGD) -> None:
        """Let rmsgd set the rates of the next epoch, and keep what it found in each kernel."""
        optimizer.epoch_end()
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        for parameter, gain, rate in optimizer.kernels():
            row = {"epoch": self.progress.epoch + 1, "kernel": names[id(parameter)]}
            self.progress.kernels.append(row | {"knowledge_gain": gain, "next_rate": rate})

    def _is_better(self, row: dict[str, Any]) -> bool:
        value, best = row[f"val_{self.regime.select_by}"], self.progress.best_value
        if value is None or best is None:
            return value is not None
        return bool(value < best if self.regime.select_by == "loss" else value > best)

    def _save(self) -> None:
        if self.folder is None:
            return
        begun = time.perf_counter()
        tensors = training_state(self.network, self.optimizer, self.fabric)
        save_checkpoint(Path(self.folder), self.key, self.progress, tensors)
        self.written = time.perf_counter()
        self.write_cost = self.written - begun

    def _resume(self) -> None:
        found = load_checkpoint(Path(self.folder), self.key) if self.folder is not None else None
        if found is None:
            return
        self.progress, tensors = found
        restore_training(tensors, self.network, self.optimizer, self.fabric)
        self.resumed_from = (self.progress.epoch, self.progress.step)
