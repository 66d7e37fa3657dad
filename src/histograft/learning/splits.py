"""A split of a run: its images, its labels and what may be done to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histograft.core.seeds import child_seed
from histograft.learning.augmentation import AugmentRule, augment
from histograft.learning.batches import ImageBatches, normalize
from histograft.learning.network import NetworkSpec
from histograft.learning.regime import Regime


@dataclass
class Split:
    """Images and labels of a split, and the rule of its transform.

    Attributes
    ----------
    name : str
        "train" or "validation".
    images : ImageBatches
        Its images.
    labels : Tensor
        Its labels, as from `checked_labels`.
    augment : str
        Rule of `augment`.
    rereads : bool
        Whether it is seen through its pooled features, which are computed once.
    gap : Tensor or None
        These features, once they are there.
    """

    name: str
    images: ImageBatches
    labels: Tensor
    augment: AugmentRule
    rereads: bool
    gap: Tensor | None = None

    @classmethod
    def of(cls, name: str, images: ImageBatches, labels: Tensor, regime: Regime) -> Split:
        """Make a split whose transform and whose rereading follow a regime."""
        augmented = name == "train" or regime.augment_val
        rule: AugmentRule = regime.augment if augmented else "none"
        rereads = rule == "none" and not regime.learns_statistics
        return cls(name, images, labels, rule, rereads)

    def inputs(
        self,
        order: NDArray[np.int64],
        bounds: Sequence[tuple[int, int]],
        *,
        spec: NetworkSpec,
        device: torch.device,
        seed: int,
        epoch: int,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the network takes, and labels, batch by batch, on the device."""
        if self.gap is not None:
            for start, stop in bounds:
                chosen = torch.from_numpy(order[start:stop])
                yield self.gap[chosen].to(device), self.labels[chosen].to(device)
            return
        if self.name != "train":
            seed = child_seed(seed, self.name)  # its images have the same numbers

        def change(raw: Tensor, indices: Sequence[int]) -> Tensor:
            return augment(raw, self.augment, seed=seed, epoch=epoch, indices=indices)

        def pin(raw: Tensor, _: Sequence[int]) -> Tensor:
            return raw.pin_memory()

        on_gpu = device.type == "cuda"  # augments much faster than the threads that prepare
        for indices, raw in self.images.stream(order, bounds, pin if on_gpu else change):
            if on_gpu:
                raw = change(raw.to(device, non_blocking=True), indices.tolist())
            x = normalize(raw.to(device), spec.mean, spec.std)
            yield x, self.labels[torch.from_numpy(indices)].to(device)
