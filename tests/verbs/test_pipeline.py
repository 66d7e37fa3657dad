"""train, embed, predict, compare, draw and verify, one after another on tiny images."""

import json
import re

import h5py
import numpy as np
import pandas as pd
import pytest

from histograft.core.artefact import open_artefact
from histograft.core.tables import FEATURE_INDEX, PREDICTIONS, RESULTS

SMALL_NETWORK = (
    "--init", "random", "--arch", "resnet10t", "--hidden", 8, "--epochs-head", 1,
    "--epochs-all", 1, "--batch-size", 16, "--device", "cpu",
)  # fmt: skip
REPEATS = 3
POINTS = ("gap", "dense", "random")


@pytest.fixture(scope="module")
def done(tmp_path_factory, tools):
    """The folder of a whole run over two sets, made once."""
    folder = tmp_path_factory.mktemp("pipeline")
    for name, groups in (("tuned", 12), ("other", 6)):
        source = tools.write_set(folder / name, groups=groups)
        tools.ok(
            "standardize", "--samples", source, "--out", folder / f"p-{name}", "--target-mpp", 1,
            "--patch-px", 32, "--workers", 1, "--test-fraction", 0.5,
        )  # fmt: skip
    tools.ok("train", "--patches", folder / "p-tuned", "--out", folder / "net", *SMALL_NETWORK)
    for name in ("tuned", "other"):
        patches = ("--patches", folder / f"p-{name}", "--device", "cpu")
        for network, model, points in (
            ("net/step1", "imgnet", POINTS),
            ("net", "ftx", ("dense", "gap", "dense-pre")),
        ):
            tools.ok(
                "embed", *patches, "--network", folder / network, "--name", model,
                "--out", folder / f"f-{name}-{model}", "--random-size", 16, "--points", *points,
            )  # fmt: skip
        tools.ok("embed", *patches[:2], "--shortcuts", "--out", folder / f"f-{name}-short")
        tools.ok(
            "predict", "--features", *features(folder, name), "--out", folder / f"cv-{name}",
            "--folds", 3, "--repeats", REPEATS,
        )  # fmt: skip
    tools.ok(
        "predict", "--features", *features(folder, "other"), "--fit-on",
        *features(folder, "tuned"), "--out", folder / "external",
    )  # fmt: skip
    tools.ok(
        "compare", "--predictions", folder / "cv-tuned", folder / "cv-other", folder / "external",
        "--out", folder / "tables", "--draws", 200,
    )  # fmt: skip
    tools.ok(
        "draw", "--inputs", folder / "tables", folder / "p-tuned", folder / "net",
        folder / "f-other-ftx", folder / "f-other-imgnet", "--out", folder / "report",
    )  # fmt: skip
    return folder


def features(folder, name):
    return [folder / f"f-{name}-{model}" for model in ("imgnet", "ftx", "short")]


def test_network(done):
    artefact = open_artefact(done / "net", "network")
    assert open_artefact(done / "net/step1", "network").manifest["config"]["tune"] == "head"
    spec = json.loads(artefact.file("network.json").read_text())
    assert spec["network"]["classes"] == ["fat", "gland", "muscle"]
    assert spec["network"]["mpp"] == 1.0
    assert spec["feature_points"]["dense"] == 8
    history = pd.read_csv(artefact.file("history.csv"))
    assert (history["step"] == "body").all()
    # Nothing of a patient can be read back from what says what the weights have seen.
    seen = pd.read_parquet(artefact.file("tuned_on.parquet"))
    assert set(seen["kind"]) == {"image", "group"}
    assert seen["key"].str.fullmatch("[0-9a-f]{64}").all()
    table = pd.read_parquet(done / "p-tuned/metadata.parquet")
    images = set(table.loc[table["split"] != "test", "source_sha256"])
    assert set(seen.loc[seen["kind"] == "image", "key"]) == images


def test_step_1_leaves_part_a_as_it_was_and_step_2_leaves_part_b(done):
    from safetensors.numpy import load_file

    first = load_file(done / "net/step1/network.safetensors")
    last = load_file(done / "net/network.safetensors")
    assert first.keys() == last.keys()
    changed = {name for name in first if not np.array_equal(first[name], last[name])}
    head = {name for name in first if name.startswith(("part_b", "head"))}
    assert head
    assert not changed & head
    assert changed


def test_features_are_tridents_schema(done):
    artefact = open_artefact(done / "f-other-ftx", "features")
    index = FEATURE_INDEX.check(pd.read_parquet(artefact.file("index.parquet")), "index")
    patches = pd.read_parquet(done / "p-other/metadata.parquet")
    assert index["patch_id"].tolist() == patches["patch_id"].tolist()
    assert not index["seen"].any()
    sizes = {"ftx-dense": 8, "ftx-dense-pre": 8, "ftx-gap": artefact.facts["sizes"]["ftx-gap"]}
    for model, size in sizes.items():
        with h5py.File(artefact.file(f"{model}.h5")) as file:
            values, coords = file["features"], file["coords"]
            assert values.shape == (len(index), size)
            assert values.dtype == np.float32
            assert values.maxshape == (None, size)
            assert set(values.attrs) >= {"name", "savetodir", "encoder"}
            assert (values.attrs["encoder"], values.attrs["savetodir"]) == (model, "")
            assert coords.dtype == np.int64
            np.testing.assert_array_equal(coords[:], patches[["x_px", "y_px"]])
            stated = dict(coords.attrs)
            assert set(stated) >= {
                "patch_size", "patch_size_level0", "level0_magnification", "target_magnification",
                "overlap", "name", "savetodir", "level0_width", "level0_height",
            }  # fmt: skip
            assert stated["patch_size"] == 32
            assert stated["target_magnification"] == 10.0
    values = {}
    for model in ("ftx-dense", "ftx-dense-pre"):
        with h5py.File(artefact.file(f"{model}.h5")) as file:
            values[model] = file["features"][:]
    np.testing.assert_allclose(
        values["ftx-dense"], np.maximum(values["ftx-dense-pre"], 0), atol=1e-6
    )


def test_the_three_readings_of_imgnet_differ(done):
    artefact = open_artefact(done / "f-other-imgnet", "features")
    assert artefact.facts["models"] == ["imgnet-gap", "imgnet-dense", "imgnet-random"]
    values = {}
    for model in artefact.facts["models"]:
        with h5py.File(artefact.file(f"{model}.h5")) as file:
            values[model] = file["features"][:]
    assert values["imgnet-random"].shape[1] == 16
    assert (values["imgnet-random"] >= 0).all()
    assert values["imgnet-dense"].shape[1] == 8


def test_a_network_sees_its_own_set_and_only_that(done):
    own = pd.read_parquet(done / "f-tuned-ftx/index.parquet")
    assert (own["seen"] == (own["split"] != "test")).all()
    untuned = pd.read_parquet(done / "f-tuned-short/index.parquet")
    assert not untuned["seen"].any()


@pytest.mark.parametrize(("name", "rows"), [("tuned", "test"), ("other", "all")])
def test_predictions(done, name, rows):
    artefact = open_artefact(done / f"cv-{name}", "predictions")
    table = PREDICTIONS.check(pd.read_parquet(artefact.file("predictions.parquet")), "predictions")
    patches = pd.read_parquet(done / f"p-{name}/metadata.parquet")
    if rows == "test":
        patches = patches[patches["split"] == "test"]
    assert artefact.facts["rows"] == rows
    assert set(table["model"]) == {
        "imgnet-gap", "imgnet-dense", "imgnet-random", "ftx-dense", "ftx-gap", "ftx-dense-pre",
        "shortcut-rgb", "shortcut-histogram", "shortcut-jpeg",
    }  # fmt: skip
    truth = patches.set_index("patch_id")["label"]
    group = patches.set_index("patch_id")["group"]
    for (_, repeat), part in table.groupby(["model", "repeat"], observed=True):
        assert sorted(part["unit"]) == sorted(truth.index)  # each unit tested once
        assert (part.set_index("unit")["truth"] == truth.loc[part["unit"]]).all()
        folds = part.groupby("group", observed=True)["fold"].nunique()
        assert (folds == 1).all(), f"a group is in two folds of repeat {repeat}"
        assert (part.set_index("unit")["group"] == group.loc[part["unit"]]).all()
    # All models were tested on the same folds.
    folds = table.pivot(index=["repeat", "unit"], columns="model", values="fold")
    assert (folds.nunique(axis=1) == 1).all()
    # Repeats deal the folds differently.
    first = folds.iloc[:, 0].unstack("repeat")
    assert (first.nunique(axis=1) > 1).any()


def test_external_predictions(done):
    artefact = open_artefact(done / "external", "predictions")
    table = pd.read_parquet(artefact.file("predictions.parquet"))
    assert artefact.facts["fit_on"] == "tuned"
    assert set(table["protocol"]) == {"external"}
    assert set(table["dataset"]) == {"other"}
    assert (table.groupby("model", observed=True)["unit"].nunique() == 18).all()
    assert (table.groupby("model", observed=True).size() == 18).all()


def test_results(done):
    results = RESULTS.check(pd.read_csv(done / "tables/results.csv"), "results.csv")
    for column in (
        "dataset", "target", "model", "metric", "value", "ci_low", "ci_high", "ci_unit",
        "n_units", "repeat_sd", "compared_with", "difference", "p_value", "p_adjusted",
    ):  # fmt: skip
        assert column in results
    keys = ["dataset", "protocol", "model", "metric"]
    assert not results.duplicated(keys).any()
    assert set(zip(results["dataset"], results["protocol"], strict=True)) == {
        ("tuned", "cv"), ("other", "cv"), ("other", "external"),
    }  # fmt: skip
    accuracy = results[results["metric"] == "accuracy"].set_index(keys[:3])
    # Against the predictions themselves.
    for name in ("tuned", "other"):
        table = pd.read_parquet(done / f"cv-{name}/predictions.parquet")
        right = (table["truth"].astype(str) == table["predicted"].astype(str)).groupby(
            table["model"], observed=True
        )
        for model, value in right.mean().items():
            row = accuracy.loc[(name, "cv", model)]
            assert row["value"] == pytest.approx(value)
            assert 0 <= row["ci_low"] <= row["ci_high"] <= 1
            assert row["ci_unit"] == "group"
    baseline = accuracy.loc[("other", "cv", "imgnet-gap")]
    tuned = accuracy.loc[("other", "cv", "ftx-dense")]
    assert tuned["compared_with"] == "imgnet-gap"
    assert tuned["difference"] == pytest.approx(tuned["value"] - baseline["value"])
    assert pd.isna(baseline["compared_with"])
    assert pd.isna(accuracy.loc[("other", "cv", "shortcut-rgb"), "p_value"])
    tested = results["p_value"].notna()
    assert (results.loc[tested, "p_adjusted"] >= results.loc[tested, "p_value"] - 1e-12).all()
    assert {"balanced_accuracy", "recall:gland", "precision:fat", "f1:muscle"} <= set(
        results["metric"]
    )


def test_the_page(done):
    page = (done / "report/index.html").read_text()
    for words in ("Leakage", "10-NN", "shortcut: mean RGB", "resampled"):
        assert words in page
    assert not re.search(r"""(src|href)=["']https?://""", page)  # self-contained
    for ending in ("png", "svg"):
        assert list((done / "report/figures").glob(f"*.{ending}"))


def test_nothing_tells_where_or_who(done):
    """No absolute path and no user name in what people pass on."""
    import getpass

    words = [str(done), "/home/", "/root/", f"/{getpass.getuser()}/"]
    for path in done.rglob("*"):
        if path.suffix in (".json", ".html", ".csv") and "tuned" not in path.parts[-3:]:
            text = path.read_text(encoding="utf-8")
            for word in words:
                assert word not in text, f"{path} holds {word}"


def test_the_same_commands_return_at_once(done, tools):
    def again(*words):
        outcome = tools.ok(*words)
        assert "there already" in outcome.err
        return outcome

    before = {path: path.stat().st_mtime_ns for path in done.rglob("*") if path.is_file()}
    again("train", "--patches", done / "p-tuned", "--out", done / "net", *SMALL_NETWORK)
    again(
        "predict", "--features", *features(done, "other"), "--out", done / "cv-other",
        "--folds", 3, "--repeats", REPEATS,
    )  # fmt: skip
    again(
        "compare", "--predictions", done / "cv-tuned", done / "cv-other", done / "external",
        "--out", done / "tables", "--draws", 200,
    )  # fmt: skip
    assert before == {path: path.stat().st_mtime_ns for path in done.rglob("*") if path.is_file()}


def test_another_setting_in_the_same_folder_is_refused_by_name(done, tools):
    for words, said in (
        (
            ("predict", "--features", *features(done, "other"), "--out", done / "cv-other",
             "--folds", 3, "--repeats", 7),
            "repeats: there 3, here 7",
        ),
        (
            ("train", "--patches", done / "p-tuned", "--out", done / "net", *SMALL_NETWORK,
             "--lr-all", 0.5),
            "lr_all: there 5e-05, here 0.5",
        ),
        (
            ("train", "--patches", done / "p-tuned", "--out", done / "net", *SMALL_NETWORK,
             "--seed", 4),
            "seed: there 0, here 4",
        ),
        (
            ("embed", "--patches", done / "p-tuned", "--shortcuts", "--out", done / "cv-other"),
            "predictions",
        ),
    ):  # fmt: skip
        outcome = tools.run(*words)
        assert outcome.code == 1
        assert "holds another artefact" in outcome.err
        assert said in outcome.err
        assert "choose another --out" in outcome.err


def test_verify_finds_nothing_wrong(done, tools):
    outcome = tools.ok("verify", done)
    assert "finding" not in outcome.out


def test_verify_finds_planted_damage(done, tools, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(done, copy)
    with h5py.File(copy / "f-other-ftx/ftx-gap.h5", "r+") as file:
        file["features"][3, 1] = np.nan
    manifest = copy / "f-other-ftx/manifest.json"  # as if the NaN had been there from the start
    values = json.loads(manifest.read_text())
    import hashlib

    data = (copy / "f-other-ftx/ftx-gap.h5").read_bytes()
    values["files"]["ftx-gap.h5"] = {
        "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    manifest.write_text(json.dumps(values))
    weights = copy / "net/network.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    images = sorted((copy / "p-other/images").rglob("*.png"))
    images[0].unlink()
    turned = bytearray(images[1].read_bytes())
    turned[len(turned) // 2] ^= 1
    images[1].write_bytes(turned)
    (copy / "report/extra.txt").write_text("mine")
    (copy / "cv-tuned/manifest.json").unlink()
    outcome = tools.run("verify", copy)
    assert outcome.code == 1
    for problem, path in (
        ("not finite", "f-other-ftx/ftx-gap.h5"),
        ("truncated", "net/network.safetensors"),
        ("missing", images[0].relative_to(copy)),
        ("changed", images[1].relative_to(copy)),
        ("unlisted", "report/extra.txt"),
    ):
        assert f"{problem}: {copy / path}" in outcome.err
    assert len(outcome.err.splitlines()) == 5
    # A verb that is to read a damaged file says so too.
    again = tools.run(
        "embed", "--patches", copy / "p-other", "--network", copy / "net", "--out", copy / "new"
    )
    assert again.code == 1
    assert "network.safetensors is missing or damaged" in again.err


def test_a_set_has_the_name_that_it_is_given(done, tools, tmp_path):
    """Another name changes no fold; held-out rows stay what they are."""
    words = ("predict", "--features", *features(done, "tuned"), "--models", "imgnet-gap")
    quick = ("--folds", 3, "--repeats", 1)
    for out, name in (("plain", ()), ("named", ("--name", "Our colon"))):
        tools.ok(*words, *quick, *name, "--out", tmp_path / out)
    plain, named = (
        pd.read_parquet(tmp_path / n / "predictions.parquet") for n in ["plain", "named"]
    )
    assert set(named["dataset"]) == {"Our colon"}
    pd.testing.assert_frame_equal(plain.drop(columns="dataset"), named.drop(columns="dataset"))
    fit_on = ("--fit-on", *features(done, "tuned"))
    tools.ok(*words, *fit_on, "--name", "Our colon", "--out", tmp_path / "held-out")
    facts = open_artefact(tmp_path / "held-out", "predictions").facts
    assert (facts["dataset"], facts["fit_on"], facts["held_out"]) == ("Our colon",) * 2 + (True,)
    tools.ok(
        "compare", "--predictions", tmp_path / "held-out", tmp_path / "named", "--draws", 100,
        "--out", tmp_path / "tables",
    )  # fmt: skip
    results = pd.read_csv(tmp_path / "tables/results.csv")
    assert set(results["protocol"]) == {"cv", "held-out"}
