"""Cross-validation of molecular targets: nothing is fitted on what it is tested on."""

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit

from histograft.core.errors import InputError
from histograft.stats.lasso import RLasso
from histograft.stats.molecular_cv import predict_status, predict_values
from histograft.stats.svr import RSVR


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 12))
    signal = features[:, :3] @ [1.0, -1.0, 0.5]
    targets = np.column_stack([signal, rng.normal(size=60), -signal + rng.normal(size=60)])
    return features, targets, rng.permutation(60) % 5


def test_values_are_those_of_one_machine_a_gene_and_fold(cohort):
    features, targets, folds = cohort
    expected = np.empty_like(targets)
    for train, test in PredefinedSplit(folds).split():
        for gene in range(3):
            machine = RSVR().fit(features[train], targets[train, gene])
            expected[test, gene] = machine.predict(features[test])
    np.testing.assert_allclose(predict_values(features, targets, folds), expected, atol=1e-9)


def test_units_without_a_value_are_as_if_absent(cohort):
    features, targets, folds = cohort
    holed = targets.copy()
    holed[7, 1] = holed[30, 1] = np.nan
    predicted = predict_values(features, holed, folds)
    whole = np.isfinite(holed[:, 1])
    alone = predict_values(features[whole], holed[whole][:, [1]], folds[whole])
    np.testing.assert_allclose(predicted[whole, 1], alone[:, 0], atol=1e-9)
    assert np.isnan(predicted[~whole, 1]).all()
    untouched = predict_values(features, targets, folds)[:, [0, 2]]
    np.testing.assert_allclose(predicted[:, [0, 2]], untouched, atol=1e-9)


def test_left_out_units_change_nothing_and_silent_genes_are_not_predicted(cohort):
    features, targets, folds = cohort
    out = folds.copy()
    out[:10] = -1
    strange = features.copy()
    strange[:10] = 1e6
    silent = targets.copy()
    silent[:, 1] = 3.0
    predicted = predict_values(strange, silent, out)
    again = predict_values(features[10:], silent[10:], folds[10:])
    np.testing.assert_allclose(predicted[10:], again, atol=1e-9)
    assert np.isnan(predicted[:10]).all()
    assert np.isnan(predicted[:, 1]).all()


def test_status_is_that_of_one_lasso_a_fold(cohort):
    features, targets, folds = cohort
    truth = targets[:, 0] > 0
    probability, chosen = predict_status(features, truth, folds, seed=3)
    for fold, (train, test) in enumerate(PredefinedSplit(folds).split()):
        inner = int(np.random.SeedSequence([3, fold]).generate_state(1)[0])
        machine = RLasso(random_state=inner)
        machine.fit(features[train], truth[train])
        expected = machine.predict_proba(features[test])[:, 1]
        np.testing.assert_allclose(probability[test], expected, atol=1e-12)
        assert chosen[fold] == np.count_nonzero(machine.coef_)
    assert probability[truth].mean() > probability[~truth].mean() + 0.3


def test_a_test_unit_is_not_fitted_on(cohort):
    """Wreck one unit: only predictions of other folds may change, never through its own label."""
    features, targets, folds = cohort
    truth = targets[:, 0] > 0
    flipped = truth.copy()
    flipped[0] = ~flipped[0]
    before, _ = predict_status(features, truth, folds, seed=0)
    after, _ = predict_status(features, flipped, folds, seed=0)
    same_fold = folds == folds[0]
    np.testing.assert_array_equal(before[same_fold], after[same_fold])
    assert (before[~same_fold] != after[~same_fold]).any()


def test_refuses_tables_of_other_lengths(cohort):
    features, targets, folds = cohort
    with pytest.raises(InputError, match="59 rows of features, 60 of targets"):
        predict_values(features[1:], targets, folds)
