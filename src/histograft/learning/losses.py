"""Labels, losses and the measures of an epoch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from histograft.core.errors import InputError
from histograft.learning.network import NetworkSpec

MultilabelLoss = Literal["plain", "one-vs-all"]


def checked_labels(
    labels: NDArray[np.generic],
    n: int,
    spec: NetworkSpec,
    split: str,
    *,
    needs_all_classes: bool = True,
) -> Tensor:
    """Return labels as a tensor for the loss, or say what is wrong with them.

    Parameters
    ----------
    labels : array
        Integers (N,), 0 … K - 1; for a multi-label network 0 or 1, (N, K).
    n : int
        Number of images.
    spec : NetworkSpec
        Task and class names.
    split : str
        "train" or "validation", for messages.
    needs_all_classes : bool
        Whether every class must occur in "train".

    Returns
    -------
    Tensor
        int64 (N,), or float32 (N, K).

    Raises
    ------
    InputError
        Shape or values do not fit, or a class has no training image.
    """
    labels, k = np.asarray(labels), len(spec.classes)
    multilabel = spec.task == "multilabel"
    shape = (n, k) if multilabel else (n,)
    if labels.shape != shape:
        raise InputError(
            f"the {split} labels have shape {labels.shape} instead of {shape} "
            f"({n} images, {k} classes, {spec.task})",
            "give one label for each image" + (" and class" if multilabel else ""),
        )
    if multilabel:
        if not np.isin(labels, (0, 1)).all():
            raise InputError(f"the {split} labels are not all 0 or 1", "give 0 or 1 for each class")
    else:
        if labels.dtype.kind not in "iu" or (n and (labels.min() < 0 or labels.max() >= k)):
            raise InputError(
                f"the {split} labels are not integers from 0 to {k - 1}",
                "give the position of each image's class in classes",
            )
    absent = absent_classes(labels, spec)
    if split == "train" and needs_all_classes and absent:
        raise InputError(
            f"no training image shows the class(es) {', '.join(absent)}",
            "add images, leave the class out, or change the split"
            + (", or use the loss one-vs-all, which gives it no weight" if multilabel else ""),
        )
    return torch.from_numpy(labels.astype(np.float32 if multilabel else np.int64))


def absent_classes(labels: NDArray[np.generic], spec: NetworkSpec) -> tuple[str, ...]:
    """Return the classes that no image shows.

    Examples
    --------
    >>> absent_classes(np.array([1, 1]), NetworkSpec("resnet18", ("STR", "TUM")))
    ('STR',)
    """
    if spec.task == "multilabel":
        present = (np.asarray(labels) != 0).sum(axis=0) > 0
    else:
        present = np.isin(np.arange(len(spec.classes)), labels)
    return tuple(name for name, seen in zip(spec.classes, present, strict=True) if not seen)


def balanced_weights(labels: Tensor, n_classes: int) -> Tensor:
    """Return class weights that make every class count the same.

    Parameters
    ----------
    labels : Tensor
        int64 (N,): weights N / (K · n_k), as scikit-learn's "balanced". float32 (N, K): weights of
        the positive label, (N - n_k) / n_k.

    Returns
    -------
    Tensor, float32 (K,)

    Examples
    --------
    >>> balanced_weights(torch.tensor([0, 0, 0, 1]), 2).tolist()
    [0.6666666865348816, 2.0]
    """
    if labels.ndim == 1:
        counts = torch.bincount(labels, minlength=n_classes).double()
        return (len(labels) / (n_classes * counts)).float()
    positive = labels.double().sum(0)
    return ((len(labels) - positive) / positive).float()


def one_vs_all_weights(labels: Tensor) -> Tensor:
    """Return class weights N / n_k of labels float32 (N, K); 0 for a class that no image shows.

    Examples
    --------
    >>> one_vs_all_weights(torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])).tolist()
    [1.0, 2.0, 0.0]
    """
    positive = labels.double().sum(0)
    weights = len(labels) / positive
    return torch.where(positive > 0, weights, torch.zeros_like(weights)).float()


def task_loss(labels: Tensor, n_classes: int, *, balanced: bool, kind: MultilabelLoss) -> TaskLoss:
    """Return the loss for training labels, with its weights.

    Parameters
    ----------
    labels : Tensor
        int64 (N,), or float32 (N, K) for a multi-label network.
    n_classes : int
        K.
    balanced : bool
        Whether classes count alike, see `balanced_weights`.
    kind : {"plain", "one-vs-all"}
        Of several labels an image; "one-vs-all" weighs by `one_vs_all_weights` and takes no notice
        of `balanced`.
    """
    if labels.ndim == 2 and kind == "one-vs-all":
        return TaskLoss("multilabel", one_vs_all_weights(labels), of_positives=False)
    weights = balanced_weights(labels, n_classes) if balanced else None
    return TaskLoss("multiclass" if labels.ndim == 1 else "multilabel", weights)


class TaskLoss(nn.Module):
    """Mean loss of a batch of logits.

    Cross-entropy for a multi-class network (the mean is weighted by the class weights), binary
    cross-entropy over all labels for a multi-label one, whose weights are those of the positive
    labels. Or, with ``of_positives=False``, those of the classes, as in HistoKT::

        -(1/K) Σ_k w_k [y_k log σ(x_k) + (1 - y_k) log(1 - σ(x_k))], mean over the batch

    Such weights make a class matter more; they do not balance its positives and negatives.

    Parameters
    ----------
    task : {"multiclass", "multilabel"}
        Of the network.
    weights : Tensor (K,) or None
        As from `balanced_weights` or `one_vs_all_weights`.
    of_positives : bool
        Whether the weights of a multi-label network are those of the positive labels alone.
    """

    weights: Tensor | None

    def __init__(self, task: str, weights: Tensor | None, *, of_positives: bool = True) -> None:
        super().__init__()
        self.task, self.of_positives = task, of_positives
        self.register_buffer("weights", weights)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits (N, K), a scalar."""
        if self.task == "multilabel":
            positives, classes = self.weights, None
            if not self.of_positives:
                positives, classes = classes, positives
            return functional.binary_cross_entropy_with_logits(
                logits, labels, weight=classes, pos_weight=positives
            )
        return functional.cross_entropy(logits, labels, weight=self.weights)


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each decision whether it is right: (N,), or (N, K) for multi-label logits.

    Examples
    --------
    >>> correct(torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 0])).tolist()
    [True, False]
    """
    if labels.ndim == 1:
        return logits.argmax(1) == labels
    return (logits > 0) == (labels > 0.5)


def balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the mean recall over the classes that occur.

    For multi-label logits the mean, over the labels, of the mean of sensitivity and specificity.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    >>> balanced_accuracy(logits, torch.tensor([0, 1, 1]))
    0.75
    """
    right = correct(logits, labels).double()
    if labels.ndim == 1:
        recalls = [right[labels == k].mean() for k in torch.unique(labels)]
        return float(torch.stack(recalls).mean())
    per_label = []
    for k in range(labels.shape[1]):
        column = labels[:, k] > 0.5
        sides = [right[side, k].mean() for side in (column, ~column) if side.any()]
        per_label.append(torch.stack(sides).mean())
    return float(torch.stack(per_label).mean())
