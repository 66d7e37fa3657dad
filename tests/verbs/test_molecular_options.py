"""Which molecular values are meant: by class of variant, sample type, layout, and cohort."""

import json

import numpy as np
import pandas as pd
import pytest
import small_cohort
from small_cohort import patient, read_drops, read_status, read_values

from histograft.stats.svr import RSVR

QUICK = ("--folds", 2, "--repeats", 1, "--workers", 1)
N = 20


@pytest.fixture
def cohort(tmp_path):
    return small_cohort.make_cohort(tmp_path / "cohort")


@pytest.fixture
def features(tmp_path):
    """A function that writes two features of patients, the first of which is their number."""

    def work(names, model="one"):
        rows = [f"{name},{i},{i % 3}" for i, name in enumerate(names)]
        path = tmp_path / f"{model}.csv"
        path.write_text("\n".join(["patient_id,f0,f1", *rows]) + "\n")
        return path

    return work


@pytest.fixture
def predict(tmp_path, tools):
    def work(*words, out="out"):
        tools.ok("predict", *words, *QUICK, "--out", tmp_path / out)
        return tmp_path / out

    return work


def maf(path, variants):
    rows = ["Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode"]
    path.write_text("\n".join(rows + ["\t".join(variant) for variant in variants]) + "\n")
    return path


def test_classes_of_variants_are_chosen(features, predict, tools, tmp_path):
    """Missense in the first nine, nonsense in the next seven, silent in the last eight."""
    kinds = ["Missense_Mutation"] * 9 + ["Nonsense_Mutation"] * 7 + ["Silent"] * 8
    names = [patient(i) for i in range(len(kinds))]
    table = maf(tmp_path / "a.maf", [("TP53", *pair) for pair in zip(kinds, names, strict=True)])
    words = ("--features", features(names), "--mutations", table)
    for n, classes in (
        (16, ()),
        (7, ("truncating",)),
        (9, ("Missense_Mutation",)),
        (15, ("truncating", "Silent")),
    ):
        option = ("--variant-classes", *classes) if classes else ()
        truth = read_status(predict(*words, *option, out=f"{n}-{len(classes)}"))["truth"]
        assert (truth == "mutated").sum() == n
    outcome = tools.run("predict", *words, "--variant-classes", "nonsense", "--out", tmp_path / "x")
    assert outcome.code == 1
    assert "'nonsense' is no variant class" in outcome.err
    assert "truncating" in outcome.err


def test_sample_types_and_sheets_are_chosen(features, predict, tools, tmp_path):
    """Half of the patients have a metastasis (06) with another value than the primary tumor."""
    names = [patient(i) for i in range(N)]
    rows = [f"{name}-01,{i}" for i, name in enumerate(names)]
    rows += [f"{name}-06,{100 + i}" for i, name in enumerate(names[:12])]
    (tmp_path / "e.csv").write_text("\n".join(["sample_id,KRAS", *rows]) + "\n")
    words = ("--features", features(names), "--expression", tmp_path / "e.csv")
    words = (*words, "--transform", "none")
    primary = read_values(predict(*words, out="01"))
    assert sorted(primary["truth"]) == list(range(N))
    metastasis = read_values(predict(*words, "--sample-types", "06", out="06"))
    assert sorted(metastasis["truth"]) == [100 + i for i in range(12)]
    outcome = tools.run("predict", *words, "--sample-types", "11", "--out", tmp_path / "x")
    assert "(--sample-types)" in outcome.err

    own = [f"P{i}" for i in range(N)]
    rows = [f"S{i},{i}" for i in range(N)]
    (tmp_path / "e.csv").write_text("\n".join(["sample_id,KRAS", *rows]) + "\n")
    sheet = tmp_path / "sheet.csv"
    pairs = [f"S{i},P{N - 1 - i}" for i in range(N)]
    sheet.write_text("\n".join(["sample_id,patient_id", *pairs]) + "\n")
    words = ("--features", features(own), *words[2:], "--sample-sheet", sheet)
    values = read_values(predict(*words, out="own")).set_index("unit")["truth"]
    assert values.to_dict() == {f"P{N - 1 - i}": i for i in range(N)}


def test_the_way_round_is_stated(features, predict, tools, tmp_path):
    """No name says what is a gene and what a sample; the sheet would, but it is not there."""
    values = pd.DataFrame(np.arange(12.0).reshape(3, 4), list("xyz"), list("abcd"))
    values.loc["y"] = [3.0, 0.0, 1.0, 5.0]
    values.rename_axis("name").to_csv(tmp_path / "e.csv")
    words = ("--expression", tmp_path / "e.csv", "--transform", "none")
    outcome = tools.run("predict", "--features", features("12"), *words, "--out", tmp_path / "x")
    table = features("abcde")
    assert "state --orientation genes-in-rows" in " ".join(outcome.err.split())
    out = predict("--features", table, *words, "--orientation", "genes-in-rows")
    assert set(read_values(out)["target"]) == {"x", "y", "z"}
    turned = ("--orientation", "samples-in-rows")
    assert (
        "no patient has both"
        in tools.run("predict", "--features", table, *words, *turned, "--out", tmp_path / "x").err
    )


def test_each_cohort_has_molecular_files_of_its_own(cohort, predict, tmp_path):
    """Another layout and another scale there; genes of one only are left out and written down."""
    here, there = (cohort.one.index[rows] for rows in (slice(0, 30), slice(30, None)))
    (tmp_path / "fit").mkdir()
    tables = tmp_path / "one.csv", tmp_path / "fit/one.csv"
    for names, path in zip((here, there), tables, strict=True):
        cohort.one.loc[names].to_csv(path)
    words = ("--features", tables[0], "--fit-on", tables[1])
    values = cohort.expression[["LINEAR", "NOISE"]]
    counts = (2 ** (values + 12) - 1).assign(MORE=range(small_cohort.N))
    values.assign(LESS=1.0).loc[here].to_csv(tmp_path / "here.csv")
    counts.loc[there].to_csv(tmp_path / "there.csv")
    files = ("--expression", tmp_path / "here.csv", "--fit-expression", tmp_path / "there.csv")
    out = predict(*words, *files, out="e")
    table = read_values(out).set_index(["target", "unit"])
    assert set(table.index.get_level_values(0)) == {"LINEAR", "NOISE"}
    of_there = values.loc[there, "LINEAR"] + 12  # its logarithm was taken, and only there
    machine = RSVR().fit(cohort.one.loc[there].to_numpy(), of_there)
    expected = machine.predict(cohort.one.loc[here].to_numpy())
    found = table.loc["LINEAR"].loc[here]
    np.testing.assert_allclose(found["predicted"], expected, atol=2e-3)
    np.testing.assert_allclose(found["truth"], values.loc[here, "LINEAR"], rtol=1e-6)
    left = {name for _, reason, name in read_drops(out) if reason == "not-in-both-cohorts"}
    assert left == {"LESS", "MORE"}
    notes = " ".join(json.loads((out / "manifest.json").read_text())["facts"]["notes"])
    assert "here.csv: values are in logarithms" in notes
    assert "there.csv: values are linear" in notes


def test_each_cohort_has_its_own_list_of_who_was_sequenced(cohort, predict, tools, tmp_path):
    here, there = (cohort.one.index[rows] for rows in (slice(0, 30), slice(30, None)))
    (tmp_path / "fit").mkdir()
    words = []
    for names, option, prefix in ((here, "--features", ""), (there, "--fit-on", "fit-")):
        folder = tmp_path / ("fit" if prefix else ".")
        cohort.one.loc[names].to_csv(folder / "one.csv")
        (folder / "all.maf").write_text(small_cohort.maf_text(cohort.status.loc[names]))
        (folder / "all.txt").write_text("\n".join(names) + "\n")
        words += [option, folder / "one.csv", f"--{prefix}mutations", folder / "all.maf"]
        words += [f"--{prefix}sequenced", folder / "all.txt"]
    apart = read_status(predict(*words, out="apart"))
    both = (*words[:2], *words[6:8], *cohort.mutations)
    together = read_status(predict(*both, out="together"))
    columns = ["target", "unit", "truth", "score"]
    pd.testing.assert_frame_equal(
        apart[columns].sort_values(columns[:2]).reset_index(drop=True),
        together[columns].sort_values(columns[:2]).reset_index(drop=True),
    )
    for given, said in (
        ((*words[:2], *cohort.mutations, *words[8:10]), "--fit-mutations belongs to --fit-on"),
        ((*words[:2], *words[6:8], *words[8:10]), "belongs to --mutations"),
    ):
        outcome = tools.run("predict", *given, "--out", tmp_path / "x")
        assert outcome.code != 0
        assert said in " ".join(outcome.err.split())
