"""Training on pieces of any size: from labels, and from a teacher at a finer scale."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import torch
from torch import Tensor
from torch.nn import functional

from histograft.core.errors import InputError
from histograft.core.seeds import child_seed
from histograft.learning.distillation_loss import DistillationLoss
from histograft.learning.losses import balanced_weights, checked_labels
from histograft.learning.network import Network, NetworkSpec, state_to_save
from histograft.learning.piece_changes import all_changes
from histograft.learning.piece_loop import PieceLoop
from histograft.learning.piece_parts import PieceResult, Seen, Setting, Split
from histograft.learning.piece_regime import PieceRegime
from histograft.learning.pieces import Budget, Decoded, Pieces, check_stride
from histograft.learning.regime import RunOptions
from histograft.learning.teacher import Known, Teacher, stacked

__all__ = ["PieceRegime", "PieceResult", "Pieces", "distill", "drawn_network", "fit_pieces"]


def drawn_network(spec: NetworkSpec, *, seed: int, taught: bool = False) -> Network:
    """Build a network with the random first weights of its own architecture.

    For `dipalma_resnet10` these are the paper's: He normal convolutions with the fan of the
    outputs, GroupNorm 1 and 0, PyTorch's dense layer.

    Parameters
    ----------
    spec : NetworkSpec
        What to build.
    seed : int
        Root seed; the caller's torch generator is not touched.
    taught : bool, default False
        Whether it will learn from a teacher, who may have been drawn from the same seed: it gets
        weights of its own. From the teacher's first weights it would be led to the teacher's
        features on a path that a student drawn apart does not have.

    Examples
    --------
    >>> spec = NetworkSpec("dipalma_resnet10", ("a", "b", "c"), hidden=())
    >>> sum(p.numel() for p in drawn_network(spec, seed=0).parameters())
    1231011
    """
    with torch.random.fork_rng():
        torch.manual_seed(child_seed(seed, "network", "pieces", *(["taught"] if taught else [])))
        return Network(spec)


def fit_pieces(
    network: Network,
    train: Pieces,
    val: Pieces | None = None,
    *,
    regime: PieceRegime,
    run: RunOptions | None = None,
) -> PieceResult:
    """Train a network on labelled pieces of any size, in place: teacher, baseline, fine-tuning.

    Parameters
    ----------
    network : Network
        Ends on the CPU, in inference mode, with the selected weights.
    train, val : Pieces
        With labels. The validation split steers `Regime.patience` and `Regime.select` only.
    regime : PieceRegime
        How it learns; ``tune="head"`` for the fine-tuning of the paper.
    run : RunOptions, optional
        Device, checkpoints, progress.

    Returns
    -------
    PieceResult
        History, and where the run came from.

    Raises
    ------
    InputError
        Labels, pieces or options do not fit; a class has no training piece; the network has
        BatchNorm and learns more than its head.
    ArtefactError
        The checkpoint belongs to another run or cannot be written.
    HistograftError
        The loss is no longer finite, or memory ran out.
    """
    options = run or RunOptions()
    budget = Budget(options.cache_bytes)
    if network.spec.task != "multiclass":
        raise InputError("pieces are learned with one class each", "use a multiclass network")
    splits = [_labelled(network, "train", train, budget)]
    if val is not None:
        splits.append(_labelled(network, "validation", val, budget))
    objective = _Supervised(splits[0], len(network.spec.classes), balanced=regime.class_weights)
    loop = PieceLoop(
        network,
        objective,
        (splits[0], splits[1] if val is not None else None),
        regime=regime,
        options=options,
        identity="labels",
    )
    return loop.run()


def distill(
    student: Network,
    teacher: Network,
    train: Pieces,
    val: Pieces | None = None,
    *,
    loss: DistillationLoss | None = None,
    regime: PieceRegime,
    run: RunOptions | None = None,
) -> PieceResult:
    """Train a student at a coarse scale to answer as its teacher does at a fine one, in place.

    Labels are not learned from, so that unlabelled pieces serve as well. Where they are given the
    accuracies of the history are computed from them.

    Parameters
    ----------
    student : Network
        Learns; ends on the CPU, in inference mode, with the selected weights.
    teacher : Network
        Of the same classes and, while feature maps are compared, the same architecture. Its
        weights do not change; it ends on the CPU.
    train, val : Pieces
        With ``fine``, the same pieces at the teacher's scale.
    loss : DistillationLoss, optional
        By default that of the paper.
    regime : PieceRegime
        How the student learns. Without augmentation the teacher's outputs are computed once, and
        with flips once for each of the four ways.
    run : RunOptions, optional
        Device, checkpoints, progress. The outputs of the teacher are kept only where they fit
        into ``cache_bytes``.

    Returns
    -------
    PieceResult
        History, and where the run came from.

    Raises
    ------
    InputError, ArtefactError, HistograftError
        As `fit_pieces`; and where teacher and student do not fit.

    Notes
    -----
    DiPalma et al. 2021, doi:10.1016/j.artmed.2021.102136, section 3.3. A run that was killed and
    is called again with the same arguments ends, on a CPU with as many threads, with the same
    bytes as one that was not.
    """
    loss, options = loss or DistillationLoss(), run or RunOptions()
    budget = Budget(options.cache_bytes)
    if student.spec.task != "multiclass":
        raise InputError("a student learns one class each", "use a multiclass network")
    first = _paired(student, "train", train, budget)
    second = None if val is None else _paired(student, "validation", val, budget)
    objective = _Distilled(teacher, student, loss, budget)
    loop = PieceLoop(
        student,
        objective,
        (first, second),
        regime=regime,
        options=options,
        identity=objective.identity,
    )
    try:
        return loop.run()
    finally:
        teacher.cpu()


def _labelled(network: Network, name: str, pieces: Pieces, budget: Budget) -> Split:
    if pieces.labels is None:
        raise InputError(f"the {name} pieces have no labels", "give labels, or a teacher")
    labels = checked_labels(pieces.labels, len(pieces), network.spec, name)
    return _decoded(network, name, pieces, budget, labels)


def _paired(network: Network, name: str, pieces: Pieces, budget: Budget) -> Split:
    if pieces.fine is None:
        raise InputError(
            f"the {name} pieces are given at one scale", "give them at the teacher's scale too"
        )
    labels = None
    if pieces.labels is not None:
        # nothing is learned from labels, so that classes may be absent as in validation
        labels = checked_labels(pieces.labels, len(pieces), network.spec, "validation")
    split = _decoded(network, name, pieces, budget, labels)
    split.fine = Decoded(pieces.fine, budget)
    return split


def _decoded(
    network: Network, name: str, pieces: Pieces, budget: Budget, labels: Tensor | None
) -> Split:
    check_stride(pieces.images, network.stride)
    return Split(name, Decoded(pieces.images, budget), labels)


class _Supervised:
    """Cross-entropy, with the same weight for each piece or for each class."""

    def __init__(self, train: Split, n_classes: int, *, balanced: bool) -> None:
        assert train.labels is not None  # as `_labelled` made sure
        ones = torch.ones(n_classes)
        self._of_class = balanced_weights(train.labels, n_classes) if balanced else ones

    def begin(self, run: Setting) -> None:
        """Nothing is to be prepared."""

    def weights(self, split: Split, indices: list[int]) -> Tensor:
        """Return the weight of each piece's class."""
        assert split.labels is not None
        return self._of_class[split.labels[indices]]

    def losses(self, split: Split, seen: Seen) -> Tensor:
        """Return the cross-entropy of each piece."""
        assert split.labels is not None
        labels = split.labels[seen.indices].to(seen.logits.device)
        return functional.cross_entropy(seen.logits, labels, reduction="none")


class _Distilled:
    """The distance from the teacher."""

    def __init__(
        self, teacher: Network, student: Network, loss: DistillationLoss, budget: Budget
    ) -> None:
        self._network, self._student, self._loss = teacher, student.spec, loss
        self._budget = budget
        self._known: dict[str, Known] = {}
        digest = hashlib.sha256(teacher.spec.to_json().encode())
        for tensor in state_to_save(teacher).values():
            digest.update(tensor.numpy().tobytes())
        self.identity = digest.hexdigest() + json.dumps(dataclasses.asdict(loss), sort_keys=True)

    def begin(self, run: Setting) -> None:
        """Compute the teacher's outputs once, where that is less than in every epoch."""
        self._teacher = Teacher(self._network, self._student, self._loss, run.fabric)
        for split in (run.val, run.train):
            if split is None or split.fine is None:
                continue
            changes = all_changes(run.regime.augment if split is run.train else "none")
            if changes is None or len(changes) > run.regime.epochs:
                continue
            coarse = [split.images.shape(i) for i in range(len(split.images))]
            if not self._budget.take(len(changes) * self._teacher.n_bytes(coarse)):
                continue
            stem = None
            if run.folder is not None:
                stem = run.folder / f"teacher-{split.name}-{run.key[:16]}"
            self._known[split.name] = self._teacher.known(
                split.fine, split.images, run.regime.pass_pixels, changes=changes, stem=stem
            )
            split.fine = None  # is not read any more

    def weights(self, split: Split, indices: list[int]) -> Tensor:  # noqa: ARG002 - the contract
        """Return 1 for each piece."""
        return torch.ones(len(indices))

    def losses(self, split: Split, seen: Seen) -> Tensor:
        """Return the distance from the teacher on each piece."""
        if seen.fine is None:
            views = list(zip(seen.indices, seen.changes, strict=True))
            known, targets = stacked(self._known[split.name], views)
            device = seen.logits.device
            known, targets = known.to(device), [t.to(device) for t in targets]
        else:
            height, width = seen.feature_map.shape[2:]
            known, targets = self._teacher.outputs(seen.fine, (height, width))
        return self._loss(targets, known, seen.feature_map, seen.logits)
