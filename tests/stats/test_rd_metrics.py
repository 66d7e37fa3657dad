"""Metrics of resolution distillation against scikit-learn, and against the published tables."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    multilabel_confusion_matrix,
    precision_score,
    recall_score,
    roc_auc_score,
)

from histograft.core.errors import InputError
from histograft.stats import rd_bootstrap as rd_bootstrap_module
from histograft.stats.metrics import accuracy, confusion
from histograft.stats.piece_levels import unit_means
from histograft.stats.rd_bootstrap import published_interval, rd_bootstrap
from histograft.stats.rd_metrics import (
    PAPER_METRICS,
    RD_METRICS,
    accuracy_rd_published,
    macro_auroc,
    macro_auroc_of_draws,
    macro_ovr_accuracy,
)


@given(st.integers(2, 6), st.integers(1, 60), st.integers(0, 10**6))
def test_one_against_the_rest_is_top_one_on_another_scale(k, n, seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, k, (2, n))
    counts = multilabel_confusion_matrix(truth, predicted, labels=range(k)).astype(float)
    tn, fp, fn, tp = counts[:, 0, 0], counts[:, 0, 1], counts[:, 1, 0], counts[:, 1, 1]
    matrix = confusion(truth, predicted, k)
    found = macro_ovr_accuracy(matrix)
    assert found == pytest.approx(np.mean((tp + tn) / n))
    assert found == pytest.approx(1 - 2 * (1 - accuracy_score(truth, predicted)) / k)
    published = accuracy_rd_published(matrix)
    # the script: tn = all - tp, and the sum of all four below
    wrong_tn = n - tp
    assert published == pytest.approx(np.mean((tp + wrong_tn) / (tp + wrong_tn + fp + fn)))
    assert published >= found - 1e-12


def test_the_others_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 80)
    predicted = np.where(rng.random(80) < 0.6, truth, rng.integers(0, 4, 80))
    matrix = confusion(truth, predicted, 4)
    for name, expected in (
        ("accuracy_top1", accuracy_score(truth, predicted)),
        ("macro_f1", f1_score(truth, predicted, average="macro")),
        ("macro_precision", precision_score(truth, predicted, average="macro")),
        ("macro_recall", recall_score(truth, predicted, average="macro")),
        ("balanced_accuracy", recall_score(truth, predicted, average="macro")),
    ):
        assert RD_METRICS[name](matrix) == pytest.approx(expected), name
    assert set(PAPER_METRICS) - set(RD_METRICS) == {"accuracy_rd_published"}
    assert np.isnan(macro_ovr_accuracy(np.zeros((3, 3), int)))


def scores(rng, n, k, decimals=1):
    p = rng.dirichlet(np.ones(k), n)
    return p.round(decimals) if decimals else p  # rounding makes ties


@pytest.mark.parametrize("k", [2, 4])
def test_areas_are_those_of_scikit_learn(k):
    rng = np.random.default_rng(1)
    truth, p = rng.integers(0, k, 50), scores(rng, 50, k)
    weights = rng.integers(0, 4, (3, 50))
    expected = np.mean([roc_auc_score(truth == c, p[:, c]) for c in range(k)])
    assert macro_auroc(truth, p) == pytest.approx(expected)
    found = macro_auroc(truth, p, weights)
    for draw, value in zip(weights, found, strict=True):
        areas = [roc_auc_score(truth == c, p[:, c], sample_weight=draw) for c in range(k)]
        assert value == pytest.approx(np.mean(areas))


def test_draws_of_groups_are_draws_of_their_pieces():
    rng = np.random.default_rng(2)
    truth, p = rng.integers(0, 3, 40), scores(rng, 40, 3)
    groups = rng.integers(0, 7, 40)
    weights = rng.multinomial(7, np.full(7, 1 / 7), size=30)
    weights[0] = 7 * (np.arange(7) == 2)  # a class may vanish
    found = macro_auroc_of_draws(truth, p, groups, weights)
    np.testing.assert_allclose(found, macro_auroc(truth, p, weights[:, groups]), rtol=1e-12)


def test_areas_of_absent_classes_are_left_out():
    p = [[0.9, 0.1, 0], [0.2, 0.8, 0], [0.3, 0.7, 0]]
    assert macro_auroc([0, 1, 1], p) == 1.0
    assert np.isnan(macro_auroc([0, 0, 0], p))
    with pytest.raises(InputError, match="not finite"):
        macro_auroc([0, 1], [[np.nan, 1], [0, 1]])
    with pytest.raises(InputError, match="a row of scores"):
        macro_auroc([0, 1], [[0, 1]])


def test_draws_hold_whole_groups_and_every_class():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"p{i:02d}" for i in range(12)], 5)
    truth = np.repeat(np.arange(12) % 3, 5)
    p = rng.dirichlet(np.ones(3), (2, 2, 60))
    p[1] = p[0]  # the second model is the first one
    found = rd_bootstrap(truth, p, groups, metrics=PAPER_METRICS, n_draws=4000, rng=rng)
    assert (found.n_groups, found.n_units, found.vanished) == (12, 60, {})
    for name in found.metrics:
        assert found.difference_interval(0, 1, name) == (0, 0)
    assert found.value(0, "accuracy_top1") == pytest.approx((p[0].argmax(-1) == truth).mean())
    areas = [roc_auc_score(truth, s, multi_class="ovr", average="macro") for s in p[0]]
    assert found.value(0, "macro_auroc") == pytest.approx(np.mean(areas))
    # strata of equal sizes: the variance of a mean over drawn groups, by hand
    hits = (p[0].argmax(-1) == truth).mean(0).reshape(12, 5).mean(1)
    variance = np.mean([hits[np.arange(12) % 3 == k].var() / 4 for k in range(3)]) / 3
    drawn = found.draws[0, found.metrics.index("accuracy_top1")]
    assert drawn.std() == pytest.approx(np.sqrt(variance), rel=0.05)


def test_patients_that_are_alone_in_their_class_are_drawn_together():
    """Drawn within their classes, two patients would always both be there: no chance, no width."""
    rng = np.random.default_rng(0)
    groups, truth = np.repeat(["p", "q"], 10), np.repeat([0, 1], 10)
    p = np.eye(2)[np.r_[np.repeat([0, 1], [6, 4]), np.repeat([1, 0], [9, 1])]]  # 6 and 9 right
    found = rd_bootstrap(truth, p[None, None], groups, n_draws=2000, rng=rng)
    drawn = found.draws[0, found.metrics.index("accuracy_top1")]
    values, counts = np.unique(drawn.round(9), return_counts=True)
    np.testing.assert_allclose(values, [0.6, 0.75, 0.9])
    np.testing.assert_allclose(counts / 2000, [0.25, 0.5, 0.25], atol=0.05)
    assert found.interval(0, "accuracy_top1") == pytest.approx((0.6, 0.9))


@pytest.mark.parametrize(
    ("classes", "strata"),
    [
        ([0, 0, 1, 1, 2], [[0, 1, 4], [2, 3]]),
        ([0, 0, 0, 1, 1, 2], [[0, 1, 2], [3, 4, 5]]),
        ([0, 0, 1, 2], [[0, 1], [2, 3]]),
        ([0, 1, 2], [[0, 1, 2]]),
    ],
)
def test_no_patient_is_drawn_alone(classes, strata):
    """A model that is right on patient i alone shows how often a draw holds patient i."""
    n = len(classes)
    p = np.eye(3)[np.roll(np.eye(3)[classes], 1, axis=1).argmax(1)]  # all wrong
    models = np.repeat(p[None, None], n, axis=0)
    models[np.arange(n), 0, np.arange(n)] = np.eye(3)[classes]
    rng = np.random.default_rng(1)
    found = rd_bootstrap(classes, models, np.arange(n), n_draws=300, rng=rng)
    held = (found.draws[:, found.metrics.index("accuracy_top1")] * n).round()
    for members in strata:
        assert (held[members].sum(0) == len(members)).all()
    assert (held.std(1) > 0.5).all()


def test_one_patient_has_no_interval():
    rng = np.random.default_rng(0)
    p = np.eye(2)[[0, 1, 1]][None, None]
    found = rd_bootstrap([0, 0, 1], p, ["p", "p", "p"], n_draws=100, rng=rng)
    assert np.isnan(found.interval(0, "accuracy_top1")).all()
    assert np.isnan(found.difference_interval(0, 0, "accuracy_top1")).all()


def test_draws_are_the_mean_over_seeds_of_each():
    truth = np.array([0, 0, 1, 1])
    sure, wrong = np.eye(2)[truth], np.eye(2)[1 - truth]
    p = np.stack([sure, wrong])[None]
    found = rd_bootstrap(truth, p, list("abcd"), n_draws=5, rng=np.random.default_rng(0))
    assert found.value(0, "accuracy_top1") == 0.5
    assert (found.draws[0, 0] == 0.5).all()
    assert found.draws[0, found.metrics.index("macro_auroc")] == pytest.approx(0.5)
    # F1 of each training, not of both together: 1, and (2/3 + 0) / 2 where all is called class 0
    p = np.stack([sure, np.eye(2)[[0, 0, 0, 0]]])[None]
    found = rd_bootstrap(truth, p, list("abcd"), n_draws=5, rng=np.random.default_rng(0))
    assert found.value(0, "macro_f1") == pytest.approx(2 / 3)
    assert found.draws[0, found.metrics.index("macro_f1")] == pytest.approx(2 / 3)


def test_draws_are_made_in_blocks_that_follow_each_other(monkeypatch):
    truth = np.array([0, 0, 1, 1])
    monkeypatch.setattr(rd_bootstrap_module, "_BLOCK_CELLS", 40)  # 10 draws of 2 × 2 counts
    sure = np.eye(2)[truth][None, None]
    found = rd_bootstrap(truth, sure, list("abcd"), n_draws=25, rng=np.random.default_rng(0))
    assert found.draws.shape[-1] == 25
    assert (found.draws == 1).all()


@pytest.mark.parametrize(
    ("truth", "p", "groups", "message"),
    [
        ([0, 1], np.zeros((1, 2, 2)), ["a", "b"], "models × seeds"),
        ([0, 1], np.zeros((1, 1, 2, 2)), ["a"], "1 groups"),
        ([0, 2], np.zeros((1, 1, 2, 2)), ["a", "b"], "outside 0 … 1"),
        ([0, 1], np.full((1, 1, 2, 2), np.nan), ["a", "b"], "not finite"),
        ([], np.zeros((1, 1, 0, 2)), [], "one or more pieces"),
    ],
)
def test_predictions_that_do_not_fit(truth, p, groups, message):
    with pytest.raises(InputError, match=message):
        rd_bootstrap(truth, p, groups, rng=np.random.default_rng(0))


def table_cells(folder):
    with (folder / "reference" / "dipalma.csv").open() as file:
        for row in csv.DictReader(file):
            if row["metric"] == "Accuracy" and row["ci_low"]:
                k = {"CD": 3, "LUAD": 5, "RCC": 3}[row["dataset"]]
                value, low, high = (float(row[c]) / 100 for c in ("value", "ci_low", "ci_high"))
                yield k, int(row["n"]), value, high - low


def with_even_errors(k, n, wrong):
    """Confusion counts in which every class is wrong equally often, both ways."""
    matrix = np.full((k, k), wrong / (k * (k - 1)))
    np.fill_diagonal(matrix, (n - wrong) / k)
    return matrix


@pytest.mark.real
def test_widths_of_the_published_intervals_fit_the_published_formula(shared_data):
    """Not the accuracy: for that the same share of pieces would not fit all data sets."""
    rng = np.random.default_rng(0)
    ratios = {"published": [], "ovr": []}
    cells = list(table_cells(shared_data))
    assert len(cells) == 33
    for k, n, value, width in cells:
        # N / (N + e) = value with the same e = FP + FN in each class; each error counts twice
        wrong = k * n * (1 / value - 1) / 2
        matrix = with_even_errors(k, n, wrong)
        assert accuracy_rd_published(matrix) == pytest.approx(value)
        low, high = published_interval(matrix, accuracy_rd_published, n_draws=4000, rng=rng)
        ratios["published"].append(width / (high - low))
        matrix = with_even_errors(k, n, k * n * (1 - value) / 2)
        low, high = published_interval(matrix, macro_ovr_accuracy, n_draws=4000, rng=rng)
        ratios["ovr"].append(width / (high - low))
    published, ovr = (np.array(ratios[name]) for name in ("published", "ovr"))
    assert published.mean() == pytest.approx(1, abs=0.02)
    assert published.std() < 0.03
    assert ovr.std() > 2 * published.std()


def test_a_published_interval_is_that_of_a_binomial():
    matrix = np.array([[40, 10], [10, 40]])
    low, high = published_interval(matrix, accuracy, share=1, rng=np.random.default_rng(0))
    half = 1.96 * np.sqrt(0.8 * 0.2 / 100)
    assert (low, high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.015)
    # by default 0.68 of the pieces are drawn: wider by 1 / sqrt(0.68)
    low, high = published_interval(matrix * 100, accuracy, rng=np.random.default_rng(0))
    assert high - low == pytest.approx(2 * half / 10 / np.sqrt(0.68), rel=0.03)


def test_units_of_several_classes_are_left_out_and_named():
    p = np.random.default_rng(0).random((2, 5, 3))
    found = unit_means([0, 0, 1, 2, 2], p, ["x", "x", "y", "y", "z"])
    assert (found.names, found.mixed, found.truth.tolist()) == (["x", "z"], ["y"], [0, 2])
    np.testing.assert_allclose(found.probabilities[:, 0], p[:, :2].mean(1))
    np.testing.assert_allclose(found.probabilities[:, 1], p[:, 4])
    with pytest.raises(InputError, match="every piece"):
        unit_means([0], p, ["x"])
