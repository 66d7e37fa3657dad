"""A teacher: a frozen network, and its outputs on pieces, computed once where nothing augments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from histograft.core.errors import InputError
from histograft.learning.batches import normalize
from histograft.learning.distillation_loss import DistillationLoss
from histograft.learning.frozen import stored_or_computed
from histograft.learning.network import Network, NetworkSpec
from histograft.learning.out_of_memory import memory_told
from histograft.learning.piece_changes import Change, changed
from histograft.learning.pieces import Decoded, passes
from histograft.learning.shapes import map_shape, shape_only

View = tuple[int, Change]  # a piece, and how it is changed
Known = dict[View, tuple[Tensor, list[Tensor]]]


class MapAndLogits(nn.Module):
    """A network that returns its last feature map beside its logits.

    Parameters
    ----------
    network : Network
        Weights are shared with it.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map (N, C, h, w) and the logits (N, K) of normalized images."""
        feature_map = self.network.forward_map(x)
        return feature_map, self.network.forward_b(self.network.pooled_map(feature_map))


def check_teacher(teacher: NetworkSpec, student: NetworkSpec, loss: DistillationLoss) -> None:
    """Refuse a teacher whose outputs cannot be compared with the student's.

    Raises
    ------
    InputError
        Other classes or another order of them; another architecture while feature maps are
        compared.
    """
    if teacher.classes != student.classes or teacher.task != student.task:
        raise InputError(
            f"the teacher knows the classes {', '.join(teacher.classes)}, the student "
            f"{', '.join(student.classes)}",
            "train the teacher on the same classes, in the same order",
        )
    if loss.pixel_weight and (teacher.architecture, teacher.kwargs) != (
        student.architecture,
        student.kwargs,
    ):
        raise InputError(
            f"the teacher is {teacher.architecture} {teacher.kwargs}, the student "
            f"{student.architecture} {student.kwargs}: their feature maps mean different things",
            "use one architecture for both, or a pixel weight of 0",
        )


class Teacher:
    """A frozen network at the finer scale.

    Parameters
    ----------
    network : Network
        In inference mode from now on; it is never changed.
    student : NetworkSpec
        Of the network that learns.
    loss : DistillationLoss
        Decides which resized maps are needed.
    fabric : Fabric
        Device and precision.

    Raises
    ------
    InputError
        See `check_teacher`.
    """

    def __init__(
        self, network: Network, student: NetworkSpec, loss: DistillationLoss, fabric: Fabric
    ) -> None:
        check_teacher(network.spec, student, loss)
        self.network, self.loss, self.fabric = network, loss, fabric
        self._both = MapAndLogits(network.eval()).to(fabric.device)
        self._student = shape_only(student)
        self._sizes: dict[tuple[int, int], tuple[int, int]] = {}

    def map_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) of the student's map of a piece of some (height, width)."""
        if shape not in self._sizes:
            self._sizes[shape] = map_shape(self._student, *shape)[1:]
        return self._sizes[shape]

    def outputs(self, raw: Tensor, size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
        """Compute logits, and maps in the size of the student's.

        Parameters
        ----------
        raw : Tensor (N, 3, H, W)
            Pieces at the teacher's scale, 0 … 255.
        size : (int, int)
            Height and width of the student's map.

        Returns
        -------
        logits : Tensor (N, K)
            float32.
        targets : list of Tensor (N, C, h, w)
            See `DistillationLoss.targets`.
        """
        spec = self.network.spec
        x = normalize(raw.to(self.fabric.device), spec.mean, spec.std)
        if x.device.type == "cpu":
            x = x.contiguous()
        with torch.no_grad(), self.fabric.autocast():
            feature_map, logits = self._both(x)
        return logits.float(), self.loss.targets(feature_map.float(), size)

    def n_bytes(self, coarse: Sequence[tuple[int, int]]) -> int:
        """Return the memory that outputs on pieces of these (height, width) would take."""
        channels = map_shape(self._student, *coarse[0])[0]
        places = sum(math.prod(self.map_size(shape)) for shape in coarse)
        n_logits = len(self.network.spec.classes)
        return 4 * (len(coarse) * n_logits + self.loss.n_targets * channels * places)

    def known(
        self,
        fine: Decoded,
        coarse: Decoded,
        most_pixels: int | None,
        *,
        changes: Sequence[Change] = (Change(),),
        stem: Path | None = None,
    ) -> Known:
        """Compute the outputs on all pieces, once.

        Parameters
        ----------
        fine, coarse : Decoded
            The pieces at both scales; of the coarse ones only sizes are read.
        most_pixels : int or None
            See `passes`.
        changes : sequence of Change
            Each piece is looked at with each of them; none may be a turn or in color.
        stem : pathlib.Path, optional
            Where outputs are kept for a run after this one; numbers and ``.npy`` are added. It
            must change with whatever changes the outputs.

        Returns
        -------
        dict
            From the number of a piece and its change to logits (K) and targets, on the CPU.
        """

        def shapes(index: int) -> tuple[tuple[int, int], ...]:
            return fine.shape(index), coarse.shape(index)

        found: Known = {}
        for number, group in enumerate(passes(range(len(fine)), shapes, most_pixels)):
            size = self.map_size(coarse.shape(group[0]))
            k, n_maps = len(self.network.spec.classes), self.loss.n_targets
            channels = map_shape(self._student, *coarse.shape(group[0]))[0] if n_maps else 0
            shape = len(group) * len(changes), k + n_maps * channels * size[0] * size[1]
            path = None if stem is None else stem.with_name(f"{stem.name}-{number:06d}.npy")
            compute = _Rows(self, fine, group, changes, size)
            rows = torch.from_numpy(stored_or_computed(path, compute, shape))
            maps = rows[:, k:].reshape(len(rows), n_maps, channels, *size)
            for i, view in enumerate((index, change) for change in changes for index in group):
                found[view] = rows[i, :k], list(maps[i])
        return found


class _Rows:
    """Outputs on a group of pieces as rows of one array, when they are asked for.

    Change after change, as many passes as changes: a group is as large as a pass may be.
    """

    def __init__(
        self,
        teacher: Teacher,
        fine: Decoded,
        group: Sequence[int],
        changes: Sequence[Change],
        size: tuple[int, int],
    ) -> None:
        self.teacher, self.fine, self.group = teacher, fine, group
        self.changes, self.size = changes, size

    def __call__(self) -> NDArray[np.float32]:
        rows = []
        with memory_told(len(self.group), self.fine.shape(self.group[0])):
            pieces = [self.fine.checked(i) for i in self.group]
            for change in self.changes:
                raw = torch.stack([changed(piece, change) for piece in pieces])
                logits, targets = self.teacher.outputs(raw, self.size)
                rows.append(torch.cat([logits, *(t.flatten(1) for t in targets)], 1).cpu())
        return torch.cat(rows).numpy()


def stacked(known: Known, views: Sequence[View]) -> tuple[Tensor, list[Tensor]]:
    """Return the remembered outputs on pieces of one size as a batch."""
    found = [known[view] for view in views]
    logits = torch.stack([logits for logits, _ in found])
    return logits, [torch.stack(t) for t in zip(*(maps for _, maps in found), strict=True)]
