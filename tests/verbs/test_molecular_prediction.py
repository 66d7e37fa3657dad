"""Expression and mutations of patients: each number by one machine that was fitted by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import small_cohort
from sklearn.metrics import roc_auc_score
from small_cohort import read_drops, read_status, read_values

from histograft.core.seeds import child_seed
from histograft.stats.lasso import RLasso
from histograft.stats.svr import RSVR

QUICK = ("--folds", 3, "--repeats", 2, "--workers", 1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return small_cohort.make_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture
def predict(tmp_path, tools):
    """A function that predicts and gives the folder."""

    def work(*words, out="out", quick=QUICK):
        tools.ok("predict", *words, *quick, "--out", tmp_path / out)
        return tmp_path / out

    return work


@pytest.fixture(scope="module")
def expression(cohort, tmp_path_factory, tools):
    out = tmp_path_factory.mktemp("expression") / "out"
    words = ("--expression", cohort.paths["expression"])
    tools.ok("predict", *cohort.features, *words, *QUICK, "--out", out)
    return out


@pytest.fixture(scope="module")
def mutation(cohort, tmp_path_factory, tools):
    out = tmp_path_factory.mktemp("mutation") / "out"
    tools.ok("predict", *cohort.features, *cohort.mutations, *QUICK, "--out", out)
    return out


def facts_of(out):
    return json.loads((out / "manifest.json").read_text())["facts"]


def test_values_are_those_of_machines_fitted_by_hand(cohort, expression):
    table = read_values(expression)
    for (model, target, _, _), part in table.groupby(["model", "target", "repeat", "fold"]):
        if target in ("LINEAR", "NOISE", "HOLED"):
            values, features = cohort.expression[target].dropna(), getattr(cohort, model)
            train = values.index.difference(part["unit"])
            machine = RSVR().fit(features.loc[train].to_numpy(), values[train])
            expected = machine.predict(features.loc[part["unit"]].to_numpy())
            # Targets that lack other units are scaled in another order: LIBSVM's tolerance.
            np.testing.assert_allclose(part["predicted"], expected, atol=2e-3)
            np.testing.assert_allclose(part["truth"], values[part["unit"]], rtol=1e-6)
    r = {
        key: np.corrcoef(part["truth"], part["predicted"])[0, 1]
        for key, part in table.groupby(["model", "target"])
        if key[1] in ("LINEAR", "NOISE")
    }
    assert r["one", "LINEAR"] > 0.8
    assert max(r["two", "LINEAR"], r["one", "NOISE"], r["two", "NOISE"]) < 0.4


def test_patients_are_tested_once_a_repeat_on_the_same_folds_for_all(expression, mutation):
    for table, target in ((read_values(expression), "LINEAR"), (read_status(mutation), "SIGNAL")):
        rows = table[table["target"] == target]
        folds = rows.pivot(index=["repeat", "unit"], columns="model", values="fold")
        assert len(folds) == 2 * small_cohort.N
        assert (folds["one"] == folds["two"]).all()
        assert (folds["one"].unstack("repeat").nunique(axis=1) > 1).any()


def test_what_cannot_be_predicted_is_written_down(expression, mutation):
    table = read_values(expression).set_index("target")
    assert table.loc["FLAT", "predicted"].isna().all()
    rare = table.loc["RARE"]
    of_patient = rare["fold"].where(rare["unit"] == small_cohort.patient(small_cohort.RARE))
    its_fold = of_patient.groupby([rare["model"], rare["repeat"]]).transform("max")
    assert (rare["predicted"].isna() == (rare["fold"] == its_fold)).all()
    assert len(table.loc["HOLED"]) == 4 * (small_cohort.N - 6)
    drops = read_drops(expression)
    assert drops["gene", "no-variance", "FLAT"] == 1
    assert drops["gene", "no-variance-in-training", "RARE"] == 1
    assert facts_of(mutation)["left_out"] == {
        "EVERYBODY": "0 wild type for 3 folds",
        "FEW": "2 mutated for 3 folds",
    }
    assert {n for kind, reason, n in read_drops(mutation) if reason == "too-few-patients"} == {
        "EVERYBODY", "FEW",
    }  # fmt: skip
    assert set(read_status(mutation)["target"]) == {"SIGNAL", "CHANCE"}


def test_status_is_that_of_lassos_fitted_by_hand(cohort, mutation):
    table = read_status(mutation)
    first = table[
        (table["target"] == "SIGNAL") & (table["model"] == "one") & (table["repeat"] == 0)
    ]
    n_null = 0
    for fold, part in first.groupby("fold"):
        train = cohort.one.index.difference(part["unit"])
        seed = child_seed(0, "inner folds", "SIGNAL", "0")
        inner = int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])
        machine = RLasso(random_state=inner)
        machine.fit(cohort.one.loc[train].to_numpy(), cohort.status.loc[train, "SIGNAL"].to_numpy())
        expected = machine.predict_proba(cohort.one.loc[part["unit"]].to_numpy())[:, 1]
        np.testing.assert_allclose(part["score"], expected, atol=1e-10)
        n_null += not machine.coef_.any()
    assert ((first["score"] > 0.5) == (first["predicted"] == "mutated")).all()
    truth = cohort.status.loc[first["unit"], "SIGNAL"].to_numpy()
    assert ((first["truth"] == "mutated").to_numpy() == truth).all()
    assert roc_auc_score(truth, first["score"]) > 0.9
    told = facts_of(mutation)["null_models"]["SIGNAL"]["one"]
    assert told["fits"] == 3 * 2
    assert n_null <= told["null_fits"] <= n_null + 3
    assert told["null_repeats"] <= told["null_fits"] // 3


def test_neither_order_of_tables_nor_of_rows_matters(cohort, expression, predict, tmp_path):
    for name in ("one", "two"):
        shuffled = getattr(cohort, name).sample(frac=1, random_state=1)
        shuffled.to_csv(tmp_path / f"{name}.csv")
    out = predict(
        "--features", tmp_path / "two.csv", tmp_path / "one.csv", "--expression",
        cohort.paths["expression"], "--genes", gene_list(tmp_path, "NOISE", "LINEAR"),
    )  # fmt: skip
    key = ["model", "target", "repeat", "unit"]
    before, after = (read_values(folder).set_index(key) for folder in (expression, out))
    before = before.loc[after.index]
    assert (before["fold"] == after["fold"]).all()
    np.testing.assert_allclose(before["predicted"], after["predicted"], atol=1e-5)


def gene_list(folder, *genes):
    (folder / "genes.txt").write_text("\n".join(genes))
    return folder / "genes.txt"


def test_a_gene_that_was_asked_for_and_is_not_there_is_named(cohort, tools, tmp_path):
    outcome = tools.ok(
        "predict", "--features", cohort.paths["one"], "--expression", cohort.paths["expression"],
        "--genes", gene_list(tmp_path, "LINEAR", "GHOST"), *QUICK, "--out", tmp_path / "out",
    )  # fmt: skip
    assert "warning: left out: 1 gene (absent: GHOST)" in " ".join(outcome.err.split())
    assert facts_of(tmp_path / "out")["drops"]["gene (absent: GHOST)"] == 1


@pytest.mark.parametrize("kind", ["expression", "mutation"])
def test_a_broken_run_goes_on_where_it_was(
    cohort, expression, mutation, tools, tmp_path, monkeypatch, kind
):
    import histograft.stats.molecular_cv as kernel

    name = "predict_values" if kind == "expression" else "predict_status"
    real, calls = getattr(kernel, name), []

    def fails(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("the power is gone")
        return real(*args, **options)

    targets = cohort.mutations if kind == "mutation" else ("--expression", cohort.paths[kind])
    words = ("predict", *cohort.features, *targets, *QUICK, "--out", tmp_path / "out")
    monkeypatch.setattr(kernel, name, fails)
    with pytest.raises(RuntimeError, match="power"):
        tools.run(*words)
    assert not (tmp_path / "out/manifest.json").exists()
    tools.ok(*words)
    undisturbed = expression if kind == "expression" else mutation
    n_tasks = 4 if kind == "expression" else 8  # models x repeats (x genes)
    assert len(calls) == n_tasks + 1
    assert tools.content(tmp_path / "out") == tools.content(undisturbed)


def test_another_cohort_is_fitted_on(cohort, predict, tmp_path, tools):
    """Columns of the other cohort stand in another order; half of the patients are it."""
    for half, rows in (("here", slice(0, 30)), ("there", slice(30, None))):
        (tmp_path / half).mkdir()
        table = cohort.one.iloc[rows]
        (table if half == "here" else table.iloc[:, ::-1]).to_csv(tmp_path / half / "one.csv")
    here, there = (sorted(cohort.one.index[rows]) for rows in (slice(0, 30), slice(30, None)))
    cohorts = ("--features", tmp_path / "here/one.csv", "--fit-on", tmp_path / "there/one.csv")
    out = predict(*cohorts, "--expression", cohort.paths["expression"], out="e")
    table = read_values(out).set_index("target").loc["LINEAR"].set_index("unit").loc[here]
    machine = RSVR().fit(cohort.one.loc[there].to_numpy(), cohort.expression.loc[there, "LINEAR"])
    np.testing.assert_allclose(
        table["predicted"], machine.predict(cohort.one.loc[here].to_numpy()), atol=2e-3
    )
    assert set(table["protocol"]) == {"external"}
    facts = facts_of(out)
    assert (facts["n_units"], facts["n_fit"], facts["protocol"]) == (30, 30, "external")
    assert facts["fit_on"] == "another cohort"  # both tables are called one.csv
    scores = read_status(predict(*cohorts, *cohort.mutations, out="m")).set_index("target")
    signal = scores.loc["SIGNAL"].set_index("unit")
    assert sorted(signal.index) == here
    seed = child_seed(0, "inner folds", "SIGNAL", "0")
    inner = int(np.random.SeedSequence([seed, 0]).generate_state(1)[0])
    lasso = RLasso(random_state=inner)
    lasso.fit(cohort.one.loc[there].to_numpy(), cohort.status.loc[there, "SIGNAL"].to_numpy())
    expected = lasso.predict_proba(cohort.one.loc[here].to_numpy())[:, 1]
    np.testing.assert_allclose(signal.loc[here, "score"], expected, atol=1e-10)
    tools.ok(
        "compare", "--predictions", tmp_path / "e", tmp_path / "m", "--baseline", "one",
        "--draws", 100, "--out", tmp_path / "tables",
    )  # fmt: skip


def test_cohorts_have_the_names_that_they_are_given(cohort, predict, tmp_path, tools):
    """Two cohorts in folders of one name are told apart, and do not clash in one comparison."""
    halves = {}
    for half, rows in (("here", slice(0, 30)), ("there", slice(30, None))):
        (tmp_path / half).mkdir()
        cohort.one.iloc[rows].to_csv(halves.setdefault(half, tmp_path / half / "one.csv"))
    expression = ("--expression", cohort.paths["expression"])
    words = ("--features", halves["here"], "--fit-on", halves["there"], *expression)
    out = predict(*words, "--name", "Here", "--fit-name", "There", out="external")
    facts = facts_of(out)
    assert (facts["dataset"], facts["fit_on"]) == ("Here", "There")
    assert facts["how"] == "fitted once on 30 patients of There"
    assert set(read_values(out)["dataset"]) == {"Here"}
    names = ("--name", "A", "--fit-name", "A")
    refused = tools.run("predict", *words, *names, "--out", tmp_path / "no")
    assert "both cohorts are called A" in refused.err
    a, b = (
        predict("--features", table, *expression, "--name", name, out=name)
        for name, table in zip("ab", halves.values(), strict=True)
    )
    tools.ok(
        "compare", "--predictions", a, b, "--baseline", "one", "--draws", 100,
        "--out", tmp_path / "two",
    )  # fmt: skip
    assert set(pd.read_csv(tmp_path / "two/results.csv")["dataset"]) == {"a", "b"}
    tools.ok("draw", "--inputs", tmp_path / "two", "--out", tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    for name, stem in (("a", "expression-genes"), ("b", "expression-genes-1")):
        assert f"30 patients ({name}, cross-validation)" in page
        assert f"Expression ({name}, cross-validation), predicted at" in page
        assert (tmp_path / f"report/figures/{stem}.png").is_file()


def test_cohorts_must_not_share_patients_and_must_share_features(cohort, tools, tmp_path):
    (tmp_path / "b").mkdir()
    words = ("--expression", cohort.paths["expression"], "--out", tmp_path / "out")
    for table, problem in (
        (cohort.one.iloc[:5], "5 patient(s) are in --features and in --fit-on"),
        (
            cohort.one.set_axis(cohort.one.index + "x").rename(columns={"f3": "g3"}),
            "one: 2 feature(s) are not in both",
        ),
        (cohort.one.set_axis(cohort.one.index + "x"), "no patient of one has molecular values"),
    ):
        table.to_csv(tmp_path / "b/one.csv")
        outcome = tools.run(
            "predict", "--features", cohort.paths["one"], "--fit-on", tmp_path / "b/one.csv", *words
        )
        assert outcome.code == 1
        assert problem in " ".join(outcome.err.split())


def test_sites_are_left_out_whole(cohort, predict, tools, tmp_path):
    for words in (cohort.mutations, ("--expression", cohort.paths["expression"])):
        out = predict(*cohort.features, *words, "--leave-site-out", out=str(words[0])[2:])
        table = (read_status if "--mutations" in words else read_values)(out)
        assert set(table["protocol"]) == {"sites"}
        site = table["unit"].str[5:7]
        assert (table.groupby([site, "target"])["fold"].nunique() == 1).all()
        assert (table.groupby(["fold", "target"])["unit"].agg(
            lambda units: units.str[5:7].nunique()) == 1).all()  # fmt: skip
        assert (facts_of(out)["folds"], facts_of(out)["repeats"]) == (4, 1)
    own = cohort.one.set_axis([f"P{i}" for i in range(small_cohort.N)])
    own.rename_axis("patient_id").to_csv(tmp_path / "own.csv")
    cohort.expression.set_axis(own.index).to_csv(tmp_path / "values.csv")
    outcome = tools.run(
        "predict", "--features", tmp_path / "own.csv", "--expression", tmp_path / "values.csv",
        "--leave-site-out", "--transform", "none", "--out", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 1
    assert "only TCGA barcodes say where patients are from" in " ".join(outcome.err.split())


def test_who_is_left_out_is_counted(cohort, predict, tmp_path):
    """Slides without molecules, molecules without slides, one table only, normal tissue."""
    one = cohort.one.iloc[2:].set_axis(cohort.one.index[2:] + "-01Z-00-DX1")
    one.loc["TCGA-05-9999-01Z-00-DX1"] = one.loc["TCGA-05-0008-11A-01-TS1"] = 0.0
    one.to_csv(tmp_path / "one.csv")
    two = pd.concat([cohort.two.iloc[:-1], cohort.two.iloc[[0]].set_axis(["TCGA-05-9999"])])
    two.rename_axis("patient_id").to_parquet(tmp_path / "two.parquet")
    out = predict(
        "--features", tmp_path / "one.csv", tmp_path / "two.parquet", *cohort.mutations
    )  # fmt: skip
    drops = read_drops(out)
    names = {small_cohort.patient(i) for i in (0, 1, 59)}
    assert {n for _, reason, n in drops if reason == "not-in-all-models"} == names
    assert {n for _, reason, n in drops if reason == "no-features"} == names
    assert {n for _, reason, n in drops if reason == "no-molecular-data"} == {"TCGA-05-9999"}
    assert drops["sample", "sample-type", "TCGA-05-0008-11A-01-TS1"] == 1
    assert facts_of(out)["n_units"] == small_cohort.N - 3
    assert set(read_status(out)["unit"]) == set(cohort.one.index) - names
    assert facts_of(out)["drops"]["patient (no-features)"] == 3


def test_windows_line_ends_change_nothing(cohort, expression, mutation, predict, tmp_path):
    windows = {}
    for name, path in cohort.paths.items():
        windows[name] = tmp_path / path.name
        windows[name].write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    copy = small_cohort.Cohort(tmp_path, cohort.one, cohort.two, None, None, windows)
    made = predict(*copy.features, *copy.mutations, out="m")
    assert (made / "predictions.parquet").read_bytes() == (
        mutation / "predictions.parquet"
    ).read_bytes()
    made = predict(*copy.features, "--expression", windows["expression"], out="e")
    assert (made / "values.parquet").read_bytes() == (expression / "values.parquet").read_bytes()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text.replace("patient_id", "f99"), None),
        (lambda text: text.replace("f3", "f2,x", 1), "no finite number"),
        (lambda text: text[: text.rindex(",")], "no finite number"),
        (lambda text: text + text.splitlines()[5] + "\n", "has several rows"),
        (lambda text: text + "," * small_cohort.P + "\n", "is empty"),
        (lambda text: text.splitlines()[0] + "\n", "has no rows"),
        (lambda text: "", "cannot be read"),
        (lambda text: text.replace(text.split(",")[15], "inf"), "'inf' of TCGA-05-0000, 'f2'"),
        (lambda text: text.replace(text.split(",")[15], "NaN"), "'NaN' of TCGA-05-0000, 'f2'"),
        (lambda text: text.replace(text.split(",")[15], ""), "'' of TCGA-05-0000, 'f2'"),
        (lambda text: text.replace("TCGA-", "9"), "no patient has both features"),
    ],
)
def test_feature_tables_that_cannot_be_used(cohort, tools, tmp_path, change, problem):
    """The first is good: the column of names is known by its texts."""
    text = cohort.paths["one"].read_text()
    assert change(text) != text
    (tmp_path / "one.csv").write_text(change(text))
    outcome = tools.run(
        "predict", "--features", tmp_path / "one.csv", "--expression", cohort.paths["expression"],
        "--genes", gene_list(tmp_path, "LINEAR"), *QUICK, "--out", tmp_path / "out",
    )  # fmt: skip
    said = " ".join(outcome.err.split())
    assert outcome.code == (0 if problem is None else 1), said
    assert (problem or "") in said
    assert (tmp_path / "out/manifest.json").exists() == (problem is None)


def test_the_surest_column_names_the_rows(cohort, expression, predict, tools, tmp_path):
    """Row numbers of pandas, before or after the names, are no feature; two names are refused."""
    words = ("--expression", cohort.paths["expression"], "--genes")
    words = (*words, gene_list(tmp_path, "LINEAR"))
    plain = cohort.one.reset_index()
    numbered = plain.reset_index()
    assert list(numbered)[:2] == ["index", "patient_id"]
    numbered.to_csv(tmp_path / "one.csv", index=False)
    plain.to_csv(tmp_path / "two.csv")  # its first column has no name
    tools.ok("predict", "--features", cohort.paths["one"], *words, *QUICK, "--out", tmp_path / "p")
    out = predict("--features", tmp_path / "one.csv", tmp_path / "two.csv", *words)
    table = read_values(out).set_index("model")
    expected = read_values(tmp_path / "p")
    for model in ("one", "two"):
        np.testing.assert_array_equal(table.loc[model, "predicted"], expected["predicted"])
    drops = read_drops(out)
    assert drops["column", "row-numbers", "index"] == 1
    assert drops["column", "row-numbers", "Unnamed: 0"] == 1
    for name, values in (("index", range(7, 67)), ("sample", plain["patient_id"])):
        plain.assign(**{name: values}).to_csv(tmp_path / "one.csv", index=False)
        refused = tools.run(
            "predict", "--features", tmp_path / "one.csv", *words, "--out", tmp_path / "no"
        )
        assert refused.code == 1
        assert f"both 'patient_id' and '{name}' may name" in " ".join(refused.err.split())


def test_molecular_tables_that_cannot_be_used(cohort, tools, tmp_path):
    maf = cohort.paths["maf"].read_text().splitlines(keepends=True)
    (tmp_path / "headless.maf").write_text("".join(maf[2:]))
    flat = cohort.expression[["FLAT", "FLAT"]].set_axis(["A", "B"], axis=1)
    flat.to_csv(tmp_path / "flat.csv")
    few = cohort.status[["EVERYBODY", "FEW"]]
    (tmp_path / "few.maf").write_text(small_cohort.maf_text(few))
    cut = cohort.two.reset_index().to_parquet()
    (tmp_path / "cut.parquet").write_bytes(cut[: len(cut) // 2])
    one, expression = cohort.paths["one"], cohort.paths["expression"]
    for words, problem in (
        (("--features", one, "--mutations", tmp_path / "headless.maf"), "has no header"),
        (("--features", one, "--expression", tmp_path / "flat.csv"), "none of 2 gene(s) varies"),
        (("--features", one, "--mutations", tmp_path / "few.maf"), "no gene can be predicted"),
        (("--features", one, "--mutations", tmp_path / "no.maf"), "no.maf does not exist"),
        (("--features", tmp_path / "cut.parquet", "--expression", expression), "cannot be read"),
    ):
        as_it_is = ("--transform", "none") if "--expression" in words else ()
        outcome = tools.run("predict", *words, *as_it_is, "--out", tmp_path / "out")
        assert outcome.code == 1
        assert problem in " ".join(outcome.err.split())


def test_folders_of_the_gdc_are_as_one_table(cohort, mutation, predict, tools, tmp_path):
    """A MAF a patient; a STAR file a sample with its sheet, one of them not in it."""
    mafs = tmp_path / "mafs"
    for name, genes in cohort.status.iterrows():
        (mafs / name).mkdir(parents=True)
        text = small_cohort.maf_text(genes.to_frame().T.astype(bool))
        (mafs / name / f"{name}.wxs.maf").write_text(text)
    sequenced = ("--sequenced", cohort.paths["sequenced"])
    made = predict(*cohort.features, "--mutations", mafs, *sequenced, out="m")
    np.testing.assert_allclose(
        read_status(made)["score"], read_status(mutation)["score"], rtol=1e-12
    )

    star = tmp_path / "star"
    star.mkdir()
    sheet = ["File Name\tCase ID\tSample ID"]
    tpm = 2 ** (cohort.expression["LINEAR"] + 8) - 1
    for name, value in tpm.items():
        rows = ["# gene-model: GENCODE v36", "gene_id\tgene_name\ttpm_unstranded"]
        rows += [f"ENSG01.1\tLINEAR\t{value!r}", "ENSG02.3\tFLAT\t3.0"]
        (star / f"{name}.augmented_star_gene_counts.tsv").write_text("\n".join(rows) + "\n")
        if name != tpm.index[0]:
            file = f"{name}.augmented_star_gene_counts.tsv"
            sheet.append(f"{file}\t{name}\t{name}-01A")
    sheet.append("gone.tsv\tTCGA-05-7777\tTCGA-05-7777-01A")
    words = (*cohort.features, "--expression", star)
    missing = tools.run("predict", *words, "--out", tmp_path / "x")
    assert "needs one sample sheet" in " ".join(missing.err.split())
    (star / "gdc_sample_sheet.2024-01-01.tsv").write_text("\n".join(sheet) + "\n")
    made = predict(*words, out="e")
    table = read_values(made).set_index("target").loc["LINEAR"]
    assert table["unit"].nunique() == small_cohort.N - 1
    expected = cohort.expression["LINEAR"][table["unit"]] + 8  # logarithms were taken
    np.testing.assert_allclose(table["truth"], expected, rtol=1e-6)
    drops = read_drops(made)
    assert drops["file", "no-file", "gone.tsv"] == 1
    assert sum(reason == "not-in-sample-sheet" for _, reason, _ in drops) == 1
