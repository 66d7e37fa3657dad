"""Tables of molecular predictions against SciPy and scikit-learn."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import small_cohort
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from small_cohort import read_status, read_values

from histograft.core.errors import InputError

REPEATS = 3
QUICK = ("--folds", 3, "--repeats", REPEATS, "--workers", 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """Predictions and tables of both kinds, made once."""
    folder = tmp_path_factory.mktemp("compared")
    cohort = small_cohort.make_cohort(folder / "cohort")
    for name, words in (
        ("expression", ("--expression", cohort.paths["expression"])),
        ("mutation", cohort.mutations),
    ):
        tools.ok("predict", *cohort.features, *words, *QUICK, "--out", folder / name)
        compare(tools, folder / name, folder / f"{name}-tables")
    return folder


def compare(tools, predictions, out, *words):
    tools.ok(
        "compare", "--predictions", predictions, "--baseline", "two", "--plain-t", "--draws", 500,
        *words, "--out", out,
    )  # fmt: skip


def folds_of(made, model, target, repeat):
    """Patients of each fold."""
    table = read_status(made / "mutation")
    wanted = (table["model"] == model) & (table["target"] == target) & (table["repeat"] == repeat)
    return [part["unit"] for _, part in table[wanted].groupby("fold")]


def results(folder):
    table = pd.read_csv(folder / "results.csv")
    return table.set_index(["model", "target", "metric"]).sort_index()


def averaged(table, value):
    """Truth and mean prediction over repeats of each model and gene, by patient."""
    for key, part in table.groupby(["model", "target"]):
        wide = part.pivot(index="unit", columns="repeat", values=value)
        yield key, part.drop_duplicates("unit").set_index("unit")["truth"][wide.index], wide


def test_correlations_are_those_of_scipy(made):
    found, p = results(made / "expression-tables"), {}
    for (model, target), truth, wide in averaged(read_values(made / "expression"), "predicted"):
        row = found.loc[(model, target, "pearson")]
        if target in ("RARE", "FLAT"):
            assert found.loc[(model, target), "value"].isna().all()
            continue
        mean = wide.mean(axis=1)
        assert row["value"] == pytest.approx(stats.pearsonr(mean, truth)[0], abs=1e-6)
        spearman = found.loc[(model, target, "spearman"), "value"]
        assert spearman == pytest.approx(stats.spearmanr(mean, truth)[0], abs=1e-6)
        by_repeat = [stats.pearsonr(wide[r], truth)[0] for r in range(REPEATS)]
        assert row["repeat_sd"] == pytest.approx(np.std(by_repeat, ddof=1), abs=1e-6)
        assert row["n_units"] == small_cohort.N - 6 * (target == "HOLED")
        assert row["ci_low"] < row["value"] < row["ci_high"]
        p.setdefault(model, {})[target] = found.loc[(model, target, "p_permutation"), "value"]
    for model, values in p.items():
        q = dict(zip(values, stats.false_discovery_control(list(values.values())), strict=True))
        for target, value in q.items():
            assert found.loc[(model, target, "q_permutation"), "value"] == pytest.approx(value)
        whole = found.loc[(model, "all genes"), "value"]
        assert whole["n_genes"] == 3
        assert whole["n_genes_predicted"] == sum(value < 0.05 for value in q.values())
        r = [found.loc[(model, target, "pearson"), "value"] for target in values]
        assert whole["mean_pearson"] == pytest.approx(np.mean(r))
    predicted = found.xs("n_genes_predicted", level="metric")["value"]
    assert (predicted["one", "all genes"], predicted["two", "all genes"]) == (2, 0)
    mean = found.loc[("one", "all genes", "mean_pearson")]
    assert mean["compared_with"] == "two"
    assert mean["p_value"] < 0.05 < mean["difference_low"]


def test_areas_are_those_of_scikit_learn(made):
    found = results(made / "mutation-tables")
    for (model, target), truth, wide in averaged(read_status(made / "mutation"), "score"):
        event, mean = truth == "mutated", wide.mean(axis=1)
        value = found.loc[(model, target), "value"]
        assert value["auc"] == pytest.approx(roc_auc_score(event, mean))
        assert value["average_precision"] == pytest.approx(average_precision_score(event, mean))
        assert value["average_precision_no_skill"] == pytest.approx(event.mean())
        assert value["brier"] == pytest.approx(brier_score_loss(event, mean))
        by_repeat = [roc_auc_score(event, wide[r]) for r in range(REPEATS)]
        row = found.loc[(model, target, "auc")]
        assert row["repeat_sd"] == pytest.approx(np.std(by_repeat, ddof=1))
        # Machines without a coefficient are those that give a fold one probability.
        flat = [
            [wide.loc[units, r].nunique() == 1 for units in folds_of(made, model, target, r)]
            for r in range(REPEATS)
        ]
        assert value["null_model_share"] == pytest.approx(np.mean(flat))
        assert value["null_repeats"] == sum(map(all, flat))
    signal = found.loc[("one", "SIGNAL", "auc")]
    assert signal["value"] > 0.9
    assert signal["difference"] == pytest.approx(
        signal["value"] - found.loc[("two", "SIGNAL", "auc"), "value"]
    )
    assert signal["p_adjusted"] >= signal["p_value"]
    shares = found.xs("null_model_share", level="metric")["value"]
    assert shares["two", "CHANCE"] > 0


def test_predictions_that_did_not_count_empty_repeats_are_made_again(made, tools, tmp_path):
    shutil.copytree(made / "mutation", tmp_path / "old")
    manifest = json.loads((tmp_path / "old/manifest.json").read_text())
    manifest["facts"]["null_models"] = {"SIGNAL": {"one": 0}, "CHANCE": {"one": 1}}
    (tmp_path / "old/manifest.json").write_text(json.dumps(manifest))
    outcome = tools.run("compare", "--predictions", tmp_path / "old", "--out", tmp_path / "x")
    assert outcome.code == 1
    assert "were made by an older version" in " ".join(outcome.err.split())


def test_bins_of_probabilities_are_those_of_scikit_learn(made, tools, tmp_path):
    """Quantile bins, equal where no probability is tied; and the report draws them."""
    table = pd.read_csv(made / "mutation-tables/calibration.csv")
    for (model, target), truth, wide in averaged(read_status(made / "mutation"), "score"):
        mean = wide.mean(axis=1)
        rows = table[(table["model"] == model) & (table["target"] == target)]
        assert rows["n_units"].sum() == small_cohort.N
        assert (rows["observed"] * rows["n_units"]).sum() == pytest.approx(
            (truth == "mutated").sum()
        )
        if mean.nunique() == small_cohort.N:
            observed, predicted = calibration_curve(
                truth == "mutated", mean, n_bins=len(rows), strategy="quantile"
            )
            np.testing.assert_allclose(rows["observed"], observed, atol=1e-9)
            np.testing.assert_allclose(rows["mean_probability"], predicted, atol=1e-9)
        assert ((rows["low"] < rows["observed"]) | (rows["observed"] == 0)).all()
    assert len(table) > 6
    tools.ok("draw", "--inputs", made / "mutation-tables", "--out", tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert "Are probabilities right?" in page
    assert (tmp_path / "report/figures/calibration.png").is_file()
    assert (tmp_path / "report/calibration.csv").is_file()


def test_a_gene_that_one_model_lacks_in_one_repeat_has_no_value_in_any(made, tools, tmp_path):
    """And neither has it a part in means over genes; the other genes stay as they were."""
    import shutil

    shutil.copytree(made / "expression", tmp_path / "holed")
    path = tmp_path / "holed/values.parquet"
    table = pd.read_parquet(path)
    row = table.query("model == 'two' and target == 'NOISE' and repeat == 1").index[4]
    table.loc[row, "predicted"] = np.nan
    write_by_model(table, path)
    compare(tools, tmp_path / "holed", tmp_path / "tables")
    before, after = results(made / "expression-tables"), results(tmp_path / "tables")
    for model in ("one", "two"):
        assert after.loc[(model, "NOISE"), "value"].isna().all()
        assert after.loc[(model, "all genes", "n_genes"), "value"] == 2
        r = [before.loc[(model, gene, "pearson"), "value"] for gene in ("LINEAR", "HOLED")]
        assert after.loc[(model, "all genes", "mean_pearson"), "value"] == pytest.approx(np.mean(r))


def write_by_model(table, path):
    """Write rows as they stand, a row group for each model; fix what the manifest says of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = [pa.Table.from_pandas(part) for _, part in table.groupby("model", observed=True)]
    with pq.ParquetWriter(path, blocks[0].schema) as writer:
        for block in blocks:
            writer.write_table(block)
    manifest = path.with_name("manifest.json")
    facts = json.loads(manifest.read_text())
    facts["files"][path.name]["size"] = path.stat().st_size
    manifest.write_text(json.dumps(facts))


def test_genes_in_many_small_blocks_give_the_same_tables(made, tools, tmp_path, monkeypatch):
    """As thousands of genes are written: some at a time."""
    import pyarrow.parquet as pq

    from histograft.verbs import value_files

    monkeypatch.setattr(value_files, "ROWS_AT_ONCE", 2 * small_cohort.N * REPEATS)
    cohort = small_cohort.make_cohort(tmp_path / "cohort")
    words = ("--expression", cohort.paths["expression"])
    tools.ok("predict", *cohort.features, *words, *QUICK, "--out", tmp_path / "small")
    assert pq.ParquetFile(tmp_path / "small/values.parquet").num_row_groups == 2 * 3
    compare(tools, tmp_path / "small", tmp_path / "tables")
    pd.testing.assert_frame_equal(
        results(made / "expression-tables"), results(tmp_path / "tables"), rtol=1e-9
    )


def test_intervals_are_of_the_kind_that_is_asked_for(made, tools, tmp_path):
    """The jackknife's are those of leaving out one patient after the other, by SciPy."""
    compare(tools, made / "expression", tmp_path / "b", "--correlation-intervals", "bootstrap")
    jackknife, bootstrap = results(made / "expression-tables"), results(tmp_path / "b")
    parts = {key: rest for key, *rest in averaged(read_values(made / "expression"), "predicted")}
    truth, wide = parts["one", "LINEAR"]
    x, y, n = wide.mean(axis=1).to_numpy(), truth.to_numpy(), len(truth)
    z = np.arctanh([stats.pearsonr(np.delete(x, i), np.delete(y, i))[0] for i in range(n)])
    whole = np.arctanh(stats.pearsonr(x, y)[0])
    half = np.sqrt(2 * (n - 1) / n * ((z - whole) ** 2).sum()) * stats.t.ppf(0.975, n - 1)
    row = jackknife.loc[("one", "LINEAR", "pearson")]
    assert row["ci_low"] == pytest.approx(np.tanh(whole - half), abs=1e-5)
    assert row["ci_high"] == pytest.approx(np.tanh(whole + half), abs=1e-5)
    assert bootstrap.loc[("one", "LINEAR", "pearson"), "ci_low"] != row["ci_low"]
    pd.testing.assert_series_equal(jackknife["value"], bootstrap["value"])


def test_a_difference_between_sites_is_no_prediction_within_them(tools, tmp_path):
    """Truth and feature differ between two sites, and have nothing to do with each other within."""
    rng = np.random.default_rng(0)
    site = np.repeat(["05", "44"], 20)
    names = [f"TCGA-{s}-{i:04d}" for i, s in enumerate(site)]
    shift = 4.0 * (site == "44")
    one = pd.DataFrame({"f": shift + rng.normal(size=40), "g": rng.normal(size=40)}, index=names)
    one.rename_axis("patient_id").to_csv(tmp_path / "one.csv")
    genes = pd.DataFrame({"SITE": shift + rng.normal(size=40)}, index=names)
    genes.T.rename_axis("gene").to_csv(tmp_path / "genes.tsv", sep="\t")
    tools.ok(
        "predict", "--features", tmp_path / "one.csv", "--expression", tmp_path / "genes.tsv",
        "--transform", "none", *QUICK, "--out", tmp_path / "p",
    )  # fmt: skip
    p_of = {}
    for words in ((), ("--permute-within", "site")):
        out = tmp_path / f"tables{len(words)}"
        tools.ok(
            "compare", "--predictions", tmp_path / "p", "--baseline", "one", "--draws", 999,
            *words, "--out", out,
        )  # fmt: skip
        p_of[words] = results(out).loc[("one", "SITE", "p_permutation"), "value"]
    assert p_of[()] < 0.01
    assert p_of[("--permute-within", "site")] > 0.05
    facts = json.loads((tmp_path / "tables2/manifest.json").read_text())["facts"]["blocks"][0]
    assert (facts["permuted_within"], facts["n_sites"], facts["n_alone_at_site"]) == ("site", 2, 0)
    tools.ok("draw", "--inputs", tmp_path / "tables2", "--out", tmp_path / "report")
    assert "within their site" in (tmp_path / "report/index.html").read_text()


def test_permuting_within_sites_needs_sites_and_expression(made, tools, tmp_path):
    from histograft.verbs.expression_comparison import _sites

    with pytest.raises(InputError, match="leave out --permute-within"):
        _sites(["TCGA-05-4244", "patient 7"])
    outcome = tools.run(
        "compare", "--predictions", made / "mutation", "--baseline", "two", "--draws", 100,
        "--permute-within", "site", "--out", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 1
    assert "is for predictions of expression" in outcome.err
