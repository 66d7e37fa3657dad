"""Losses, class weights and measures, against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from histograft.core.errors import InputError
from histograft.learning.losses import (
    TaskLoss,
    balanced_accuracy,
    balanced_weights,
    checked_labels,
    correct,
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
