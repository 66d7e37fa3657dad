"""Measures of each class against scikit-learn."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import average_precision_score, recall_score, roc_auc_score

from histograft.learning.network import NetworkSpec
from histograft.verbs.class_measures import class_measures


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_they_are_scikit_learns(task):
    rng = np.random.default_rng(0)
    spec = NetworkSpec("resnet18", ("a", "b", "c"), task=task)
    logits = rng.normal(size=(60, 3)).astype(np.float32)
    labels = rng.integers(0, 3, 60)
    many = (labels[:, None] == np.arange(3)).astype(int)
    if task == "multilabel":
        many = labels = rng.integers(0, 2, (60, 3))
    table = class_measures(labels[:20], labels, logits, spec).set_index("class")
    scores = softmax(logits, axis=1) if task == "multiclass" else expit(logits)
    called = scores > 0.5
    if task == "multiclass":
        called = scores.argmax(1)[:, None] == np.arange(3)
    for k, name in enumerate("abc"):
        row, truth = table.loc[name], many[:, k]
        assert (row["n_train"], row["n_val"]) == (many[:20, k].sum(), truth.sum())
        assert row["recall"] == pytest.approx(recall_score(truth, called[:, k]))
        assert row["average_precision"] == pytest.approx(
            average_precision_score(truth, scores[:, k])
        )
        assert row["auroc"] == pytest.approx(roc_auc_score(truth, scores[:, k]))


def test_a_class_that_nobody_shows_has_no_number():
    spec = NetworkSpec("resnet18", ("a", "b", "c"))
    table = class_measures(np.array([0, 1]), np.array([0, 1, 1]), np.eye(3), spec)
    assert table.loc[2, ["recall", "average_precision", "auroc"]].isna().all()
    assert list(table["n_val"]) == [1, 2, 0]
