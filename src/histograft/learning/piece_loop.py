"""The training loop over pieces of any size: gradients of a step's pieces add up."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from histograft.core.errors import DivergedError, InputError
from histograft.core.seeds import child_seed
from histograft.learning.batches import epoch_order, normalize
from histograft.learning.checkpoint import (
    Progress,
    load_checkpoint,
    restore_training,
    save_checkpoint,
    training_state,
)
from histograft.learning.losses import balanced_accuracy, correct
from histograft.learning.memory import kept_memory
from histograft.learning.network import Network, load_state, state_to_save
from histograft.learning.optimizers import make_optimizer, make_schedule
from histograft.learning.out_of_memory import memory_told
from histograft.learning.piece_changes import Change, changed, draw_change
from histograft.learning.piece_parts import Objective, PieceResult, Seen, Split, macro_f1
from histograft.learning.piece_regime import PieceRegime
from histograft.learning.pieces import Decoded, Shape, ahead, passes
from histograft.learning.regime import RunOptions, make_fabric
from histograft.learning.teacher import MapAndLogits
from histograft.learning.tune import choose_parameters, set_modes

Batch = tuple[int, list[int], list[Tensor]]  # step, pieces, raw pixels at each scale
VALIDATION = ("val_loss", "val_accuracy", "val_balanced_accuracy", "val_macro_f1")


class PieceLoop:
    """One run of training.

    Parameters
    ----------
    network : Network
        Learns in place; ends on the CPU, in inference mode, with the selected weights.
    objective : Objective
        What is minimized.
    splits : (Split, Split or None)
        Training and validation.
    regime : PieceRegime
        How it learns.
    options : RunOptions
        Device, checkpoints, progress.
    identity : str
        What else decides the result, for the key of the checkpoint.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,
        splits: tuple[Split, Split | None],
        *,
        regime: PieceRegime,
        options: RunOptions,
        identity: str,
    ) -> None:
        self.network, self.objective = network, objective
        self.train, self.val = splits
        self.regime, self.options = regime, options
        _refuse(network, regime, self.val)
        self.folder = options.checkpoint_dir
        self.key = "" if self.folder is None else self._key(identity)
        self.progress = Progress()
        self.resumed_from: tuple[int, int] | None = None
        self.fabric = make_fabric(options.device, regime.precision)
        on_cpu = self.fabric.device.type == "cpu"
        # GroupNorm on a CPU is slower where channels come last
        self.memory_format = torch.contiguous_format if on_cpu else torch.channels_last
        network.to(memory_format=self.memory_format)
        parameters = choose_parameters(network, regime.tune)
        self.optimizer = make_optimizer(
            regime.optimizer, parameters, regime.lr, regime.weight_decay
        )
        self.factor = make_schedule(regime.schedule, regime.epochs)
        network.to(self.fabric.device)
        self.learner, self.stepper = self.fabric.setup(MapAndLogits(network), self.optimizer)
        self.written, self.write_cost = time.perf_counter(), 0.0

    def run(self) -> PieceResult:
        """Train to the end, from the last checkpoint on where there is one."""
        with torch.random.fork_rng(), kept_memory(self.fabric.device.type):
            torch.manual_seed(child_seed(self.regime.seed, "pieces", self.regime.tune))
            with _recomputing(self.network, enable=self.regime.checkpointing):
                return self._run()

    def _run(self) -> PieceResult:
        self._resume()
        p = self.progress
        if not p.stopped:
            self.objective.begin(self)
        while not p.stopped:
            self._epoch()
        if self.regime.select == "best" and p.best_state is not None:
            load_state(self.network, p.best_state)
        self.network.cpu().eval()
        for parameter in self.network.parameters():
            parameter.requires_grad, parameter.grad = True, None
        return PieceResult(p.history, p.best_epoch, self.resumed_from)

    def _batches(
        self, split: Split, plan: Iterable[tuple[int, list[int]]]
    ) -> Generator[Batch, None, None]:
        """Yield step, pieces and raw pixels at each scale that is read, pass by pass."""

        def prepare(job: tuple[int, list[int]]) -> list[Tensor]:
            _, group = job
            changes = self._changes(split, group)
            sources = [source for source in (split.images, split.fine) if source is not None]
            with memory_told(len(group), *split.shapes(group[0])):
                return [_stacked(source, group, changes) for source in sources]

        with closing(ahead(plan, prepare)) as stream:
            for (step, group), raw in stream:
                yield step, group, raw

    def _changes(self, split: Split, indices: Sequence[int]) -> list[Change]:
        """Return how pieces are changed in this epoch; those of validation never are."""
        rule = self.regime.augment if split is self.train else "none"
        seed, epoch = self.regime.seed, self.progress.epoch
        return [draw_change(rule, seed=seed, epoch=epoch, index=i) for i in indices]

    def _losses(
        self, split: Split, group: list[int], raw: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Pass pieces of one size through the network: losses (n,) and logits (n, K)."""
        spec = self.network.spec
        fine = raw[1] if len(raw) > 1 else None
        x = normalize(raw[0].to(self.fabric.device), spec.mean, spec.std)
        feature_map, logits = self.learner(x.contiguous(memory_format=self.memory_format))
        changes = self._changes(split, group)
        seen = Seen(group, changes, feature_map.float(), logits.float(), fine)
        return self.objective.losses(split, seen), seen.logits

    def _epoch(self) -> None:
        p, n = self.progress, len(self.train.images)
        lr = self.regime.lr * self.factor(p.epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        set_modes(self.network, self.regime.tune)
        order = epoch_order(n, self.regime.seed, p.epoch).tolist()
        size = self.regime.batch_size
        steps = [order[i : i + size] for i in range(0, n, size)]
        plan = ((s, g) for s in range(p.step, len(steps)) for g in self._passes(steps[s]))
        begun, done, since = time.perf_counter() - p.seconds, 0, time.perf_counter()
        with closing(self._batches(self.train, plan)) as batches:
            for step, of_step in groupby(batches, key=itemgetter(0)):
                loss = self._step(steps[step], of_step)
                p.step, done = step + 1, done + len(steps[step])
                p.seconds = time.perf_counter() - begun
                if self.options.on_step is not None:
                    rate = done / max(time.perf_counter() - since, 1e-9)
                    self.options.on_step(p.epoch + 1, p.step, len(steps), loss, rate)
                waited = time.perf_counter() - self.written
                if p.step < len(steps) and waited >= self.options.checkpoint_every_s:
                    self._save()
        known = self.train.labels is not None
        row: dict[str, Any] = {"epoch": p.epoch + 1, "lr": lr, "train_loss": p.loss_sum / n}
        row |= {"train_accuracy": p.right_sum / n if known else None, **self._validate()}
        row |= {"seconds": time.perf_counter() - begun, "images": n}
        self._finish_epoch(row)

    def _passes(self, indices: Iterable[int]) -> list[list[int]]:
        """Group pieces of the training split as they are after this epoch's changes."""

        def shapes(index: int) -> list[Shape]:
            [change] = self._changes(self.train, [index])
            return [change.shape(shape) for shape in self.train.shapes(index)]

        return passes(indices, shapes, self.regime.pass_pixels)

    def _step(self, indices: list[int], of_step: Iterable[Batch]) -> float:
        """Change the weights once, by the mean over all pieces of the step."""
        total = self.objective.weights(self.train, indices).sum()
        p, sums = self.progress, 0.0
        self.stepper.zero_grad(set_to_none=True)
        for _, group, raw in of_step:
            share = self.objective.weights(self.train, group) / total
            with memory_told(len(group), *(r.shape[2:] for r in raw)):
                losses, logits = self._losses(self.train, group, raw)
                loss = (losses * share.to(losses.device)).sum()
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise self._diverged(f"the loss is {value}")
                self.fabric.backward(loss)
            sums += value
            if self.train.labels is not None:
                right = correct(logits.detach().cpu(), self.train.labels[group])
                p.right_sum += float(right.sum())
        self.stepper.step()
        p.loss_sum += sums * len(indices)
        return sums

    def _validate(self) -> dict[str, float | None]:
        found = dict.fromkeys(VALIDATION)
        if self.val is None:
            return found
        self.network.eval()
        n, labels = len(self.val.images), self.val.labels
        plan = [(0, g) for g in passes(range(n), self.val.shapes, self.regime.pass_pixels)]
        losses, logits = torch.empty(n), torch.empty(n, len(self.network.spec.classes))
        with torch.no_grad(), closing(self._batches(self.val, plan)) as batches:
            for _, group, raw in batches:
                with memory_told(len(group), *(r.shape[2:] for r in raw)):
                    of_group, of_logits = self._losses(self.val, group, raw)
                losses[group], logits[group] = of_group.cpu(), of_logits.cpu()
        weights = self.objective.weights(self.val, list(range(n))).double()
        found["val_loss"] = float((losses * weights).sum() / weights.sum())
        if labels is not None:
            found["val_accuracy"] = float(correct(logits, labels).double().mean())
            found["val_balanced_accuracy"] = balanced_accuracy(logits, labels)
            found["val_macro_f1"] = macro_f1(logits, labels)
        return found

    def _finish_epoch(self, row: dict[str, Any]) -> None:
        p, regime = self.progress, self.regime
        if not all(bool(torch.isfinite(w).all()) for w in self.network.parameters()):
            raise self._diverged("a weight is not finite")
        p.history.append(row)
        p.epoch, p.step, p.loss_sum, p.right_sum, p.seconds = p.epoch + 1, 0, 0.0, 0.0, 0.0
        if self.val is not None:
            judged = row["val_loss"] if regime.judge == "loss" else -row["val_macro_f1"]
            judged = math.inf if math.isnan(judged) else judged  # nothing is better than NaN
            if p.best_value is None or judged < p.best_value:
                p.best_epoch, p.best_value = p.epoch, judged
                if regime.select == "best":
                    p.best_state = state_to_save(self.network)
        tired = regime.patience is not None and p.epoch - (p.best_epoch or 0) >= regime.patience
        p.stopped = tired or p.epoch == regime.epochs
        waited = time.perf_counter() - self.written
        if p.stopped or waited >= min(self.options.checkpoint_every_s, 10 * self.write_cost):
            self._save()

    def _diverged(self, what: str) -> DivergedError:
        p, regime = self.progress, self.regime
        return DivergedError(
            regime.lr * self.factor(p.epoch),
            p.epoch + 1,
            f"training diverged: {what} in epoch {p.epoch + 1}, step {p.step + 1} "
            f"(tune {regime.tune}, {regime.optimizer}, lr {regime.lr:g})",
            "use a lower learning rate (a tenth, say) or precision 32-true, and check that mean "
            "and std are those of the images",
        )

    def _key(self, identity: str) -> str:
        """Hash all that decides the result; of the pixels, three pieces of each source."""
        digest = hashlib.sha256(identity.encode() + self.network.spec.to_json().encode())
        digest.update(json.dumps(dataclasses.asdict(self.regime), sort_keys=True).encode())
        for tensor in state_to_save(self.network).values():
            digest.update(tensor.numpy().tobytes())
        for split in (self.train, self.val):
            if split is None:
                digest.update(b"-")
                continue
            digest.update(b"-" if split.labels is None else split.labels.numpy().tobytes())
            for source in (split.images, split.fine):
                if source is None:
                    digest.update(b"-")
                    continue
                n = len(source)
                digest.update(f"{[source.shape(i) for i in range(n)]}".encode())
                for index in sorted({0, n // 2, n - 1}):
                    digest.update(np.ascontiguousarray(source.image(index)).tobytes())
        return digest.hexdigest()

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


def _stacked(source: Decoded, group: Sequence[int], changes: Sequence[Change]) -> Tensor:
    """Stack pieces of one size after their changes, values 0 … 255, (n, 3, H, W)."""
    if all(change == Change() for change in changes):
        whole = np.stack([source.image(i) for i in group])
        return torch.from_numpy(whole).permute(0, 3, 1, 2)
    return torch.stack([changed(source.image(i), c) for i, c in zip(group, changes, strict=True)])


def _refuse(network: Network, regime: PieceRegime, val: Split | None) -> None:
    norms = nn.modules.batchnorm._BatchNorm
    if regime.tune != "head" and any(isinstance(m, norms) for m in network.modules()):
        raise InputError(
            f"{network.spec.architecture} has BatchNorm, which cannot learn from pieces that "
            "come one at a time",
            "use GroupNorm: --norm-groups 32 with --init random",
        )
    if val is None and (regime.select == "best" or regime.patience is not None):
        raise InputError(
            "select='best' and patience need a validation split: a training split cannot judge",
            "give a validation split, or select='last' and no patience",
        )
    if regime.judge == "macro-f1" and val is not None and val.labels is None:
        raise InputError(
            "judge='macro-f1' needs labels of the validation split", "use judge='loss'"
        )


@contextmanager
def _recomputing(network: Network, *, enable: bool) -> Iterator[None]:
    if not enable:
        yield
        return
    part_a: Any = network.part_a
    if not hasattr(part_a, "set_grad_checkpointing"):
        raise InputError(
            f"{network.spec.architecture} cannot recompute its stages", "leave out checkpointing"
        )
    part_a.set_grad_checkpointing(True)
    try:
        yield
    finally:
        part_a.set_grad_checkpointing(False)
