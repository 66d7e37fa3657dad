"""What a report says follows from its tables and from the configuration of what made them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.verbs import report_features
from histograft.verbs.draw import broken
from histograft.verbs.molecular_told import tell_genes
from histograft.verbs.prediction_files import _resampled
from histograft.verbs.report_answer import (
    NO_COMPARISON,
    TUNED_TITLE,
    caveats,
    counted,
    default_title,
    verdict,
)
from histograft.verbs.report_leakage import find_leaks, leakage_sentences, leakage_table
from histograft.verbs.report_material import Compared, Material
from histograft.verbs.report_molecular import _area_table, _cohort_text, _slopes
from histograft.verbs.report_protocol import PROBES, protocol, training
from histograft.verbs.report_protocol import words as words_of
from histograft.verbs.report_sections import _is_blank
from histograft.verbs.report_tables import (
    accuracy_table,
    comparison_table,
    metric_table,
)
from histograft.verbs.train import Train

LABELS = {"imgnet-gap": "IMGNET", "ftx-dense": "FTX", "shortcut-rgb": "shortcut: mean RGB"}


def network(config: Train, *, n_val: int = 0, best_epoch: int | None = None):
    """A finished network as far as its manifest tells."""
    return SimpleNamespace(
        path=Path("net"),
        manifest={
            "verb": "train",
            "config": fields_with_role(config, Role.SETTING),
            "inputs": [{"role": "start", "kind": "weights", "name": "w.safetensors"}],
        },
        facts={
            "architecture": "resnet18", "tuned_on": "colon", "n_train": 1500, "n_val": n_val,
            "best_epoch": best_epoch,
        },
    )  # fmt: skip


PAPER = Train(patches=Path("p"), out=Path("o"), init="w.safetensors")


@pytest.mark.parametrize(
    ("options", "said", "not_said"),
    [
        ({}, ["Step 1", "20 epochs", "0.0004", "Step 2", "10 epochs", "5e-05", "last epoch"],
         ["up to", "lowest loss", "flips", "schedule", "decay"]),
        ({"augment": "flips-turns"}, ["no augmentation", "random flips and quarter turns"], []),
        ({"select": "best"}, ["lowest loss on the 300 validation patches were kept, epoch 4"],
         ["last epoch"]),
        ({"patience": 3}, ["up to 20 epochs", "3 epochs without a lower loss on the 300"],
         ["chose nothing"]),
        ({"epochs_head": 1}, ["1 epoch,", "10 epochs"], ["1 epochs"]),
        ({"tune": "head"}, ["Only the dense layers", "20 epochs"], ["Step", "10 epochs"]),
        ({"tune": "all"}, ["All layers", "10 epochs"], ["Step", "20 epochs"]),
        ({"class_weights": True, "schedule": "cosine", "weight_decay": 0.01, "optimizer": "sgd"},
         ["each class counts alike", "cosine schedule", "weight decay 0.01", "SGD"], ["Adam"]),
        ({"precision": "bf16-mixed"}, ["bf16-mixed"], []),
    ],
)  # fmt: skip
def test_training_is_told_as_it_was_configured(options, said, not_said):
    config = replace(PAPER, **options)
    text = " ".join(training(network(config, n_val=300, best_epoch=4)))
    for words in said:
        assert words in text
    for words in not_said:
        assert words not in text
    assert "1,500 training patches of colon" in text
    assert "w.safetensors" in text


def test_a_network_is_not_called_the_network_network():
    made = network(PAPER)
    assert training(made)[0].startswith("The network `net` (resnet18) began")
    made.path = Path("run/network")
    assert training(made)[0].startswith("The network (resnet18) began")


def test_validation_patches_chose_nothing_only_where_that_is_so():
    assert "chose nothing" in " ".join(training(network(PAPER, n_val=300)))
    for options in ({"select": "best"}, {"patience": 2}):
        config = replace(PAPER, **options)
        assert "chose nothing" not in " ".join(training(network(config, n_val=300)))


def compared(rows, *, fit_on="colon", grouped=False, ci_unit="patch", **block) -> Compared:
    """A comparison from rows (protocol, model, accuracy, low, high, difference, p_adjusted)."""
    names = ["protocol", "model", "value", "ci_low", "ci_high", "difference", "p_adjusted"]
    table = pd.DataFrame(rows, columns=names).assign(
        dataset="colon", target="tissue", metric="accuracy", ci_unit=ci_unit, n_units=1500,
        n_groups=30, repeat_sd=0.01, test="McNemar", p_value=0.001,
    )  # fmt: skip
    table["label"] = table["model"].map(LABELS)
    table["difference_low"] = table["difference"] - 0.01
    table["difference_high"] = table["difference"] + 0.01
    table["compared_with"] = table["difference"].map(lambda d: None if pd.isna(d) else "imgnet-gap")
    facts = {
        "baseline": "imgnet-gap", "labels": LABELS, "n_tests": 4,
        "blocks": [
            {
                "dataset": "colon", "protocol": name, "target": "tissue", "ci_unit": ci_unit,
                "no_groups": False, "warning": "", "grouped": grouped, "fit_on": fit_on,
                "rows": "test", "n_units": 1500, "n_groups": 30, "n_fit": 99, "classes": ["a", "b"],
                "repeats": 50, "folds": 5, "probe": "svc", "largest_class": 0.5,
                "groups_known": 0.0,
            } | block
            for name in table["protocol"].unique()
        ],
    }  # fmt: skip
    made = Compared(SimpleNamespace(facts=facts))
    made.__dict__["results"] = table
    made.__dict__["comparisons"] = table[table["compared_with"].notna()]
    return made


NAN = float("nan")
BASE = ("cv", "imgnet-gap", 0.90, 0.88, 0.92, NAN, NAN)


@pytest.mark.parametrize(
    ("difference", "p", "reading"),
    [
        (0.05, 0.01, "more accurate in 1 test"),
        (-0.05, 0.01, "less accurate in 1 test"),
        (0.05, 0.06, "no difference shown in 1 test"),  # clear interval, p not small
        (0.005, 0.01, "no difference shown in 1 test"),  # 0 within the interval
        (0.05, NAN, "no difference shown in 1 test"),
    ],
)
def test_the_answer_needs_interval_and_test(difference, p, reading):
    rows = [BASE, ("cv", "ftx-dense", 0.9 + difference, 0.8, 0.99, difference, p)]
    sentence, lines = verdict(compared(rows))
    assert sentence == f"FTX against IMGNET: {reading}."
    assert lines[0].startswith("colon, cross-validation: ")
    assert f"{90 + 100 * difference:.1f} % against 90.0 %" in lines[0]


def test_several_tests_are_counted_in_one_sentence():
    rows = [
        BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.001),
        ("external", "imgnet-gap", 0.90, 0.88, 0.92, NAN, NAN),
        ("external", "ftx-dense", 0.90, 0.88, 0.92, 0.0, 1.0),
    ]  # fmt: skip
    sentence, lines = verdict(compared(rows))
    assert (
        sentence == "FTX against IMGNET: more accurate in 1 of 2 tests, no difference shown in 1."
    )
    assert len(lines) == 4  # and that not all patients are known, a line for each protocol


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "its folds probably share patients"),
        ({"grouped": True, "ci_unit": "group"}, "far above the held-out rows (70.0 %)."),
        ({"protocol": "external"}, "Fitted on other instead, 70.0 % are reached"),
    ],
)
def test_folds_are_suspected_only_where_patients_may_be_shared(options, said):
    other = options.get("protocol", "held-out")
    rows = [
        BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.001),
        (other, "imgnet-gap", 0.65, 0.6, 0.7, NAN, NAN),
        (other, "ftx-dense", 0.70, 0.65, 0.75, 0.05, 0.001),
    ]  # fmt: skip
    rest = {name: value for name, value in options.items() if name != "protocol"}
    line = verdict(compared(rows, fit_on="other", **rest))[1][0]
    assert said in line
    assert ("share patients" in line) == (options == {})


@pytest.mark.parametrize(
    ("reached", "said"),
    [
        (0.96, "the mean RGB alone reaches 96.0 %"),
        (0.935, "the mean RGB alone comes near with 93.5 %"),  # two points less, or in the interval
        (0.80, None),
    ],
)
def test_a_shortcut_that_is_as_good_or_nearly_is_said_in_the_answer(reached, said):
    rows = [
        BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.001),
        ("cv", "shortcut-rgb", reached, 0.7, 0.99, 0.06, NAN),
    ]  # fmt: skip
    line = verdict(compared(rows))[1][0]
    assert ("without any network" in line) == (said is not None)
    assert (said or "") in line
    assert "mean RGB" in caveats(compared(rows))[-1]


def test_a_clear_interval_beside_an_unclear_p_is_explained():
    """Several tests: p is corrected, the interval is not."""
    rows = [BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.3)]
    other = ("external", "ftx-dense", 0.95, 0.93, 0.97, 0.005, 0.3)
    clear, unclear = verdict(compared([*rows, other]))[1][:2]
    assert "p = 0.30 after Holm's correction over 2 tests" in clear
    assert "leaves out 0, but is not corrected" in clear
    assert "leaves out 0" not in unclear


@pytest.mark.parametrize("known", [0.0, 0.01, 1.0])
def test_unknown_patients_are_said_where_any_is_unknown(known):
    rows = [BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.001)]
    text = " ".join(verdict(compared(rows, groups_known=known))[1])
    assert ("Not all patients are known" in text) == (known < 1)


def test_every_probe_and_protocol_has_words():
    for probe, words in PROBES.items():
        said = protocol(compared([BASE], probe=probe))["colon, cross-validation"]
        assert words in said
        assert "50 × 5-fold" in said
        assert "1,500 patches" in said


def test_the_plain_t_test_is_a_column_and_no_row():
    rows = [BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.001)]
    made = compared(rows)
    plain = made.comparisons.assign(test="plain paired t (misleading)", p_value=1e-9)
    made.__dict__["comparisons"] = pd.concat([made.comparisons, plain])
    table = comparison_table(made)
    assert table is not None
    assert len(table.frame) == 1
    assert table.frame["plain t, misleading"].tolist() == ["<0.001"]
    assert table.frame["p (Holm)"].tolist() == ["0.001"]
    assert comparison_table(compared([BASE])) is None


def test_tables_hold_a_line_for_each_model_or_a_column():
    rows = [BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.001)]
    made = compared(rows)
    assert accuracy_table(made).frame["accuracy, %"].tolist() == ["90.0", "95.0"]
    frame = metric_table(made, ["imgnet-gap", "ftx-dense"]).frame
    assert frame["FTX"].tolist() == ["95.0 (93.0 to 97.0)"]
    assert frame["difference, points"].tolist() == ["+5.0 (+4.0 to +6.0)"]


def test_leakage_is_told_in_words():
    clean = {
        "groups_in_two_splits": [], "groups_known": 1.0, "exact_duplicates_across_splits": 0,
        "near_duplicates_across_splits": 0, "overlapping_test_share": 0.0,
    }  # fmt: skip
    dirty = clean | {"groups_known": 0.0, "near_duplicates_across_splits": 4}
    patches = [
        {"dataset": "a", "leakage": clean},
        {"dataset": "b", "leakage": dirty | {"overlapping_test_share": 0.25}},
    ]
    blocks = [
        {"dataset": "b", "protocol": "cv", "shared": {"near": 8}, "groups_known": 0.0},
        {"dataset": "a", "protocol": "external", "fit_on": "b", "shared": {"near": 0},
         "groups_known": 1.0},
    ]  # fmt: skip
    # Splits of a set that no network was tuned on divide nothing: its folds do.
    leaks = find_leaks(patches, blocks, {"a"})
    assert [leak.where for leak in leaks] == [
        "a: training, validation and test rows",
        "b, cross-validation: folds",
        "a, external test: fitted on b",
    ]
    lines = leakage_sentences(leaks)
    assert lines[0].startswith("No copy, near copy or shared group was found in a: training")
    assert lines[1] == (
        "b, cross-validation: folds: 8 near duplicate(s); these rows are not independent."
    )
    assert lines[2].startswith("Not all patients are known in b:")
    assert leakage_table(leaks).frame["near duplicates"].tolist() == ["0", "8", "0"]
    # Without predictions the splits are all there is.
    (told,) = (leak for leak in find_leaks(patches, [], set()) if leak.where.startswith("b"))
    assert told.found == "4 near duplicate(s), 25.0 % of test patches overlap training ones"


@given(
    st.lists(
        st.sampled_from(["--out", "a b", "x" * 60, "--features", "it's", "$HOME", "p/q", "'", ""]),
        max_size=20,
    )
)
def test_a_broken_command_is_the_same_command(words):
    command = shlex.join(["histograft", "train", *words])
    lines = broken(command)
    assert shlex.split(lines.replace("\\\n", " ")) == shlex.split(command)
    assert all(line.endswith(" \\") for line in lines.split("\n")[:-1])
    assert max(map(len, lines.split("\n"))) <= 80


def test_maps_of_one_set_show_the_same_rows(monkeypatch):
    """A network that was tuned on the set leaves test rows only, for the others too."""
    n = 60
    index = pd.DataFrame(
        {
            "split": ["train", "test"] * (n // 2), "label": ["a", "a", "b", "b"] * (n // 4),
            "group": [str(i) for i in range(n)], "seen": False,
        }
    )  # fmt: skip
    indices = {"untuned": index, "tuned": index.assign(seen=index["split"] == "train")}
    values = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    monkeypatch.setattr(report_features, "load_index", lambda a: indices[a.name])
    monkeypatch.setattr(report_features, "models_of", lambda a: [a.name])
    monkeypatch.setattr(report_features, "load_features", lambda a, model: values)
    made = {
        name: SimpleNamespace(name=name, facts={"dataset": "colon"})
        for name in ("untuned", "tuned")
    }
    for names, rows in ((["untuned", "tuned"], n // 2), (["untuned"], n)):
        features = {"colon": [made[name] for name in names]}
        points, _ = report_features.feature_maps(features, ("untuned", "tuned"), seed=0)
        assert set(points.groupby("model").size()) == {rows}


@pytest.mark.parametrize(("known", "unit"), [(1.0, "group"), (0.5, "mixed"), (0.0, "image")])
def test_what_is_resampled_is_told_as_it_is(known, unit):
    assert _resampled(known, several=True) == unit
    assert _resampled(0.0, several=False) == "patch"
    said = protocol(compared([BASE], ci_unit=unit, groups_known=known))["colon, cross-validation"]
    assert ("images of unknown group" in said) == (unit == "mixed")


def test_a_cohort_is_told_with_its_names_and_warnings():
    block = {
        "task": "expression", "protocol": "external", "intervals": "jackknife",
        "how": "fitted once on 30 patients of There", "warning": "there are only 9 groups",
        "permuted_within": "site", "n_sites": 4, "n_alone_at_site": 1,
    }  # fmt: skip
    text = _cohort_text(block)
    assert text.startswith("Fitted once on 30 patients of There, alike")
    assert "95 % intervals (jackknife) are over patients." in text
    assert "their site of 4; 1 alone at theirs stays in place" in text
    assert "Mind that there are only 9 groups." in text
    plain = _cohort_text({"task": "mutation", "protocol": "cv"})
    assert "DeLong" in plain
    assert "Mind" not in plain
    assert "site" not in plain


def test_a_drawn_page_is_no_material():
    page = SimpleNamespace(
        path=Path("report"), kind="report", facts={"title": "t"}, manifest={"verb": "draw"}
    )
    with pytest.raises(InputError, match=r"report of `histograft draw`.*has its page already"):
        Material.of([page])


def test_a_blank_patch_is_told_from_pale_tissue():
    rng = np.random.default_rng(0)
    glass = np.clip(rng.normal(244, 2, (64, 64, 3)), 0, 255).astype(np.uint8)
    tissue = glass.copy()
    tissue[:16, :32] -= 40  # an eighth of it
    assert _is_blank(glass)
    assert not _is_blank(tissue)
    assert not _is_blank(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))


def molecules(*models: str) -> Compared:
    """A comparison of what models tell of a mutation and of 20 genes, without any test."""
    rows = []
    for i, model in enumerate(models):
        names = {"dataset": "cohort", "protocol": "cv", "model": model, "label": f"name of {model}"}
        for metric, value in (("auc", 0.7), ("n_genes", 20), ("n_genes_predicted", 10 + i)):
            rows.append(names | {"metric": metric, "value": value, "target": "TP53"})
    table = pd.DataFrame(rows).assign(
        ci_low=0.6, ci_high=0.8, n_units=30, difference=NAN, p_adjusted=NAN
    )
    table[["difference", "difference_low", "difference_high"]] = NAN
    facts = {
        "baseline": models[0], "labels": {model: f"name of {model}" for model in models},
        "blocks": [
            {"dataset": "cohort", "protocol": "cv", "target": "x", "task": task}
            for task in ("mutation", "expression")
        ],
    }  # fmt: skip
    made = Compared(SimpleNamespace(facts=facts))
    empty = [*table.columns, "compared_with"]
    made.__dict__["all_results"] = table
    made.__dict__["all_comparisons"] = pd.DataFrame(columns=empty)
    return made


def test_a_page_of_molecules_answers_in_a_sentence_and_speaks_of_no_tuning():
    one, two = molecules("uni"), molecules("uni", "gigapath")
    assert verdict(one)[0] == (
        "Predicted are 1 of 1 mutations better than chance and 10 of 20 genes' expression."
    )
    assert verdict(two)[0].startswith("The best of 2 models predicts 1 of 1 mutations")
    assert "11 of 20 genes" in verdict(two)[0]
    assert "tuned" not in default_title(Material([], compared=one))
    assert protocol(one) == {}


def test_the_title_asks_of_tuning_only_where_that_is_compared():
    tuned = compared([BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.001)])
    alone = compared([BASE])
    for made in (tuned, alone):
        made.__dict__["all_comparisons"] = made.comparisons
    assert default_title(Material([], compared=tuned)) == TUNED_TITLE
    assert "tuned" not in default_title(Material([], compared=alone))
    slides = SimpleNamespace(facts={"n_slides": 1, "n_tiles": 1234})
    material = Material([], slides=[slides])
    assert "slides" in default_title(material)
    assert counted(material) == f"Shown here: 1 slide, 1,234 tiles. {NO_COMPARISON}"
    assert counted(Material([])) == NO_COMPARISON


def test_untuned_features_are_answered_with_their_accuracies():
    sentence, lines = verdict(compared([BASE], groups_known=1.0))
    assert "No tuned features" in sentence
    assert lines == ("colon, cross-validation: IMGNET 90.0 % (95 % interval 88.0 to 92.0).",)
    assert "Tests" not in protocol(compared([BASE]))


def test_only_words_of_the_page_are_explained():
    made = compared([BASE])
    said = "IMGNET in 5-fold cross-validation; 3 near-duplicates; resampled: 12 Groups"
    assert list(words_of(made, said)) == ["IMGNET", "cross-validation", "group"]
    said = "FTX; Shortcuts, a near duplicate, p (Holm), subgroup"
    assert list(words_of(made, said)) == [
        "FTX",
        "shortcut",
        "adjusted p, p (Holm)",
        "near duplicates",
    ]


def test_interval_and_p_that_disagree_uncorrected_are_explained():
    made = compared([BASE, ("cv", "ftx-dense", 0.95, 0.93, 0.97, 0.05, 0.081)])
    made.results["p_value"] = 0.081
    line = verdict(made)[1][0]
    assert "not small even uncorrected (p = 0.081)" in line
    assert "McNemar" in line
    assert "not corrected for several" not in line
    table = comparison_table(made)
    assert table is not None
    assert "bootstrap over patches" in table.note
    assert "McNemar" in table.note


@pytest.mark.parametrize(("n_mutated", "told"), [(9, False), (10, True), (20, True), (21, False)])
def test_a_calibration_slope_needs_ten_events_and_ten_others(n_mutated, told):
    names = {"target": ["B", "A"], "model": "m", "label": "m", "n_units": 30, "repeat_sd": 0.1}
    wide = {"auc": [0.6, 0.7], "calibration_slope": [0.5, 0.5], "brier": [0.2, 0.2],
            "average_precision": [0.3, 0.3], "null_model_share": [0.0, 0.0]}  # fmt: skip
    rows = pd.concat([
        pd.DataFrame(names | {"metric": metric, "value": value, "ci_low": 0.4, "ci_high": 0.9})
        for metric, value in wide.items()
    ])  # fmt: skip
    mutated = pd.DataFrame({"target": ["A", "B"], "n_mutated": [n_mutated, 15]})
    slopes = _slopes(rows, mutated)
    assert (("A", "m") in slopes) == told
    table = _area_table(rows, ["A", "B"], slopes)
    assert table.frame[table.group].tolist() == ["A", "B"]  # as in the figure
    assert table.frame["slope"].tolist() == ["0.50" if told else "–", "0.50"]


def test_the_terminal_names_genes_in_the_order_of_the_page():
    """The gene that any model tells best first, models as they stood."""
    tables = []
    reporter = SimpleNamespace(
        table=lambda title, heads, rows: tables.append(rows), note=lambda text: None
    )
    rows = [("A", "x", 0.5), ("A", "y", 0.6), ("B", "x", 0.9), ("B", "y", 0.55)]
    results = pd.DataFrame(rows, columns=["target", "model", "value"]).assign(
        label=lambda t: t["model"], metric="auc", ci_low=0.4, ci_high=0.95, n_units=30, dataset="c"
    )
    comparisons = pd.DataFrame(columns=["dataset", "metric", "compared_with", "test"])
    tell_genes(results, comparisons, reporter)
    assert [row[:3] for row in tables[0]] == [
        ["B", "x", "0.900"], ["B", "y", "0.550"], ["A", "x", "0.500"], ["A", "y", "0.600"],
    ]  # fmt: skip
