"""Losses, class weights and measures, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from histograft.core.errors import InputError
from histograft.learning.losses import (
    TaskLoss,
    absent_classes,
    balanced_accuracy,
    balanced_weights,
    checked_labels,
    correct,
    one_vs_all_weights,
    task_loss,
)
from histograft.learning.network import NetworkSpec


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [20, 7, 3])
    return rng.normal(0, 2, (30, 3)).astype(np.float32), labels


def test_weighted_cross_entropy_is_that_of_scikit_learn(case):
    logits, labels = case
    y = torch.from_numpy(labels)
    weights = balanced_weights(y, 3)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    probabilities = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    for w, sample_weight in ((None, None), (weights, compute_sample_weight("balanced", labels))):
        found = float(TaskLoss("multiclass", w)(torch.from_numpy(logits), y))
        assert found == pytest.approx(
            log_loss(labels, probabilities, sample_weight=sample_weight), rel=1e-5
        )


def test_multilabel_loss_by_hand():
    logits, y = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    by_hand = (np.log(2) + 2 + np.log1p(np.exp(-2))) / 2
    assert float(TaskLoss("multilabel", None)(logits, y)) == pytest.approx(by_hand, rel=1e-6)
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    assert balanced_weights(labels, 2).tolist() == pytest.approx([3.0, 1 / 3])


def test_one_vs_all_is_torchs_soft_margin_loss_with_n_over_n_c(case):
    """HistoKT's criterion is `MultiLabelSoftMarginLoss(weight=N / n_c)`."""
    logits = torch.from_numpy(case[0])
    y = torch.from_numpy(np.random.default_rng(1).integers(0, 2, (30, 3)).astype(np.float32))
    weights = 30 / y.sum(0)
    expected = torch.nn.MultiLabelSoftMarginLoss(weight=weights)(logits, y)
    for balanced in (False, True):
        loss = task_loss(y, 3, balanced=balanced, kind="one-vs-all")
        torch.testing.assert_close(loss(logits, y), expected)


def test_one_vs_all_by_hand_with_a_class_that_nobody_shows():
    y = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    assert one_vs_all_weights(y).tolist() == pytest.approx([2, 0, 4 / 3])
    logits = torch.tensor([[0.0, 50.0, 2.0]])
    loss = task_loss(y, 3, balanced=False, kind="one-vs-all")
    by_hand = (2 * np.log(2) + 0 + 4 / 3 * (2 + np.log1p(np.exp(-2)))) / 3
    assert float(loss(logits, y[:1])) == pytest.approx(by_hand, rel=1e-6)


def test_kinds_of_loss_and_their_weights(case):
    y, many = torch.from_numpy(case[1]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    for kind in ("plain", "one-vs-all"):  # nothing but several labels is weighed one-vs-all
        assert task_loss(y, 3, balanced=False, kind=kind).weights is None
        found = task_loss(y, 3, balanced=True, kind=kind).weights
        torch.testing.assert_close(found, balanced_weights(y, 3))
    positive = task_loss(many, 2, balanced=True, kind="plain")
    logits = torch.tensor([[0.3, -0.2], [1.0, 0.5], [-1.0, 2.0]])
    expected = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0, 0.5]))(logits, many)
    torch.testing.assert_close(positive(logits, many), expected)
    assert task_loss(many, 2, balanced=False, kind="plain").weights is None


def test_balanced_accuracy_is_that_of_scikit_learn(case):
    logits, labels = case
    tensors = torch.from_numpy(logits), torch.from_numpy(labels)
    expected = balanced_accuracy_score(labels, logits.argmax(1))
    assert balanced_accuracy(*tensors) == pytest.approx(expected)
    assert float(correct(*tensors).double().mean()) == np.mean(logits.argmax(1) == labels)
    many = (labels[:, None] == np.arange(3)).astype(np.float32)
    per_label = [balanced_accuracy_score(many[:, k], logits[:, k] > 0) for k in range(3)]
    found = balanced_accuracy(tensors[0], torch.from_numpy(many))
    assert found == pytest.approx(np.mean(per_label))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 0], "shape"),
        ([0, 1, 0, 2], "0 to 1"),
        ([0, 1, 0, -1], "0 to 1"),
        ([0.0, 1.0, 0.0, 1.0], "integers"),
        ([0, 0, 0, 0], r"class\(es\) TUM"),
    ],
)
def test_labels_that_do_not_fit(labels, message):
    spec = NetworkSpec("resnet10t", ("STR", "TUM"))
    with pytest.raises(InputError, match=message):
        checked_labels(np.array(labels), 4, spec, "train")


def test_validation_may_lack_a_class_and_labels_of_many_are_binary():
    spec = NetworkSpec("resnet10t", ("a", "b"))
    assert checked_labels(np.zeros(4, int), 4, spec, "validation").tolist() == [0, 0, 0, 0]
    many = NetworkSpec("resnet10t", ("a", "b"), task="multilabel")
    with pytest.raises(InputError, match="0 or 1"):
        checked_labels(np.full((4, 2), 0.5), 4, many, "train")
    with pytest.raises(InputError, match=r"class\(es\) b"):
        checked_labels(np.array([[1, 0], [0, 0]]), 2, many, "train")
    checked_labels(np.array([[1, 0], [0, 0]]), 2, many, "train", needs_all_classes=False)
    assert absent_classes(np.array([[1, 0], [0, 0]]), many) == ("b",)
