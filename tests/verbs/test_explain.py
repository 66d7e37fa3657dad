"""`explain`: what it writes, masks and classes; the maps themselves are tested in learning."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histograft.core.artefact import open_artefact
from histograft.verbs.evidence import Look, shuffled
from histograft.verbs.evidence_page import pointing_table
from histograft.verbs.network_spaces import full_space_scores


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """Patches with masks, and two networks for them; one knows other classes."""
    folder = tmp_path_factory.mktemp("explain")
    samples = tools.write_set(folder / "samples", groups=4)
    with (samples / "samples.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    codes = {"gland": 1, "muscle": 2, "fat": 3}
    for row in rows:
        mask = np.zeros((48, 48), np.uint8)
        if row["label"] != "fat":  # nothing is known of fat
            mask[:24] = codes[row["label"]]
        row["mask"] = tools.save(samples / "masks" / row["file"], mask).relative_to(samples)
    tools.write_table(samples / "samples.csv", rows)
    tools.write_set(folder / "others", groups=4, classes=("a", "b"))
    for name, work in [("patches", samples), ("foreign", folder / "others")]:
        tools.ok(
            "standardize", "--samples", work, "--out", folder / name, "--target-mpp", 1,
            "--patch-px", 32, "--workers", 1, "--test-fraction", 0.5,
        )  # fmt: skip
    for name, patches, seed in [
        ("one", "patches", 0),
        ("two", "patches", 1),
        ("odd", "foreign", 0),
    ]:
        tools.ok(
            "train", "--patches", folder / patches, "--init", "random", "--arch", "resnet10t",
            "--tune", "head", "--hidden", 8, "--epochs-head", 2, "--device", "cpu",
            "--seed", seed, "--out", folder / name,
        )  # fmt: skip
    return folder


def explain(tools, made, out, *words, networks=("one", "two"), ok=True):
    shutil.rmtree(made / out, ignore_errors=True)
    run = tools.ok if ok else tools.run
    return run(
        "explain", *(made / name for name in networks), "--patches", made / "patches",
        "--device", "cpu", "--out", made / out, *words,
    )  # fmt: skip


def test_what_is_written(made, tools):
    explain(tools, made, "plain", "--n", 4)
    artefact = open_artefact(made / "plain", "report")
    assert set(artefact.files) == {
        "index.html", "explained.csv", "projection.csv", "projection_scores.csv",
        "figures/cam.png", "figures/cam.svg", "figures/features.png", "figures/features.svg",
    }  # fmt: skip
    table = pd.read_csv(made / "plain" / "explained.csv")
    patches = tools.read_patches(made / "patches").set_index("patch_id")
    assert table.groupby("network").size().to_dict() == {"one": 4, "two": 4}
    assert (table["truth"] == patches.loc[table["patch_id"], "label"].to_numpy()).all()
    assert (patches.loc[table["patch_id"], "split"] == "test").all()
    assert (table["shown"] == table["predicted"]).all()
    assert (table["right"] == (table["predicted"] == table["truth"])).all()
    assert table["probability"].between(1 / 3, 1).all()  # the largest of three
    points = pd.read_csv(made / "plain" / "projection.csv")
    n_test = int((patches["split"] == "test").sum())
    assert points.groupby("model").size().to_dict() == {"one": n_test, "two": n_test}
    scores = pd.read_csv(made / "plain" / "projection_scores.csv")
    assert scores["knn_accuracy"].between(0, 1).all()
    page = (made / "plain" / "index.html").read_text(encoding="utf-8")
    assert "grad-cam++" in page
    assert "layer4" in page


def test_numbers_are_those_of_the_network(made, tools):
    """Probabilities of the table against the network called by hand; the paper's maps."""
    import torch

    from histograft.verbs.networks import load_network

    explain(tools, made, "by-hand", "--n", 3, "--shown", "true", "--tsne", "paper", "--seed", 7)
    page = (made / "by-hand" / "index.html").read_text(encoding="utf-8")
    for told in ("learning rate 200", "initialization random", "standardized no", "seed 7,"):
        assert told in page
    table = pd.read_csv(made / "by-hand" / "explained.csv")
    patches = tools.read_patches(made / "patches").set_index("patch_id")
    network = load_network(open_artefact(made / "one"))
    mean, std = (torch.tensor(v)[:, None, None] for v in (network.spec.mean, network.spec.std))
    for row in table[table["network"] == "one"].itertuples():
        image = np.asarray(Image.open(made / "patches" / patches.loc[row.patch_id, "file_name"]))
        pixels = torch.tensor(image.copy()).permute(2, 0, 1) / 255
        with torch.no_grad():
            odds = torch.softmax(network(((pixels - mean) / std)[None]), 1)[0]
        assert row.shown == row.truth
        index = network.spec.classes.index(row.truth)
        assert row.probability == pytest.approx(float(odds[index]), abs=1e-4)
        assert row.predicted == network.spec.classes[int(odds.argmax())]


@pytest.mark.parametrize("words", [(), ("--mask-classes", "1=gland", "2=muscle")])
def test_masks_are_scored(made, tools, words):
    out = "masks" + str(len(words))
    explain(
        tools, made, out, "--masks", made / "patches" / "masks", *words, "--tsne", "none",
        "--tolerance-px", 2,
    )  # fmt: skip
    table = pd.read_csv(made / out / "explained.csv")
    assert set(table["truth"]) == {"gland", "muscle"}  # fat is in no mask
    assert (table["shown"] == table["truth"]).all()
    patches = tools.read_patches(made / "patches").set_index("patch_id")
    for row in table.itertuples():
        name = patches.loc[row.patch_id, "mask_file_name"]
        inside = np.asarray(Image.open(made / "patches" / name)) != 0
        assert row.energy_by_chance == pytest.approx(inside.mean())
        rows = np.flatnonzero(inside.any(1)).max() + 1 + 2  # the mask is the upper part
        assert row.hit_by_chance == pytest.approx(min(rows, 32) / 32)
        assert 0 <= row.energy <= 1 or np.isnan(row.energy)
    scores = pd.read_csv(made / out / "pointing.csv")
    assert set(scores["class"]) == {"all", "gland", "muscle"}
    one = table[table["network"] == "one"]
    whole = scores.query("network == 'one' and `class` == 'all'").iloc[0]
    assert whole["hits"] == pytest.approx(one.groupby("truth")["hit"].mean().mean())
    assert whole["n_maps"] == len(one)


def test_a_class_that_the_mask_lacks_is_not_scored(made, tools):
    """Codes are read as said: as nothing but muscle, glands are nowhere."""
    explain(
        tools, made, "codes", "--masks", made / "patches" / "masks", "--mask-classes", "2=muscle",
        "--tsne", "none", networks=("one",),
    )  # fmt: skip
    assert set(pd.read_csv(made / "codes" / "explained.csv")["truth"]) == {"muscle"}


def test_a_network_with_other_classes(made, tools):
    done = explain(tools, made, "odd-ones", "--tsne", "none", networks=("one", "odd"))
    assert "odd has no class" in done.err.replace("\n", " ")
    table = pd.read_csv(made / "odd-ones" / "explained.csv")
    assert table.loc[table["network"] == "odd", "right"].isna().all()
    refused = explain(tools, made, "odd-true", "--shown", "true", networks=("one", "odd"), ok=False)
    assert refused.code == 1
    assert "odd has no class" in refused.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (("--masks", "{made}/one"), "no patch has its class in a mask", 1),
        (("--masks", "{made}/one", "--shown", "predicted"), "of the predicted one", 2),
        (("--mask-classes", "1=gland"), "without --masks", 2),
        (("--method", "hires-cam", "--eigen-smooth"), "first component", 2),
        (("--layer", "layer9"), "no module 'layer9'", 1),
        (("--n", "0"), "--n is 0", 2),
    ],
)
def test_refuses(made, tools, words, says, code):
    given = [word.format(made=made) for word in words]
    done = explain(tools, made, "never", *given, networks=("one",), ok=False)
    assert done.code == code
    assert says in " ".join(done.err.split())


def test_a_mask_of_another_size_is_refused(made, tools, tmp_path):
    for name in tools.read_patches(made / "patches")["mask_file_name"]:
        tools.save(tmp_path / name, np.ones((48, 48), np.uint8))
    done = explain(tools, made, "never", "--masks", tmp_path / "masks", ok=False)
    assert "48 x 48 px, its patch 32 x 32 px" in " ".join(done.err.split())


def test_several_labels_have_a_map_each(tools, tmp_path):
    """A network with several labels a patch: each label apart, drawn once a label, no neighbors."""
    samples = tools.write_set(tmp_path / "samples", groups=6, classes=("gland", "muscle"))
    with (samples / "samples.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::2]:
        row["label"] = "gland|muscle"
    tools.write_table(samples / "samples.csv", rows)
    tools.ok(
        "standardize", "--samples", samples, "--out", tmp_path / "patches", "--target-mpp", 1,
        "--patch-px", 32, "--workers", 1, "--test-fraction", 0.5,
    )  # fmt: skip
    tools.ok(
        "train", "--patches", tmp_path / "patches", "--init", "random", "--arch", "resnet10t",
        "--tune", "head", "--hidden", 8, "--epochs-head", 1, "--device", "cpu",
        "--out", tmp_path / "network",
    )  # fmt: skip
    tools.ok(
        "explain", tmp_path / "network", "--patches", tmp_path / "patches", "--shown", "true",
        "--n", 50, "--split", "all", "--device", "cpu", "--out", tmp_path / "seen",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "seen" / "explained.csv")
    labels = tools.read_patches(tmp_path / "patches").set_index("patch_id")["label"].str.split("|")
    found = table.groupby("patch_id")["shown"].apply(sorted)
    assert found.to_dict() == {patch: sorted(own) for patch, own in labels.items()}
    assert len(pd.read_csv(tmp_path / "seen" / "projection.csv")) == labels.str.len().sum()
    assert pd.read_csv(tmp_path / "seen" / "projection_scores.csv")["knn_accuracy"].isna().all()
    for row in table.itertuples():
        said = row.predicted if isinstance(row.predicted, str) else ""
        assert row.right == (set(said.split("|")) == set(labels[row.patch_id]))
        assert (row.shown in said.split("|")) == (row.probability >= 0.5)


def test_classes_take_turns():
    table = pd.DataFrame({"label": ["a"] * 50 + ["b"] * 2 + ["c"] * 5})
    order = shuffled(table, seed=0)
    assert sorted(order) == list(range(57))
    assert table["label"].iloc[order[:6]].tolist() == list("abcabc")
    assert order != shuffled(table, seed=1)


def test_labels_are_looked_for_apart():
    from histograft.verbs.evidence import looks_without_masks

    table = pd.DataFrame({"label": ["a|b", "b"]})
    assert looks_without_masks(table, [1, 0], 2, of_truth=True) == [
        Look(1, "b"), Look(0, "a"), Look(0, "b"),
    ]  # fmt: skip
    assert looks_without_masks(table, [1, 0], 1, of_truth=False) == [Look(1, None)]


def test_one_group_or_one_class_has_no_vote():
    features = np.array([[0.0], [0.1], [5.0], [5.1]])
    labels, groups = np.array(list("aabb")), np.array(list("pqpq"))
    assert full_space_scores(features, labels, groups)["knn_accuracy"] == 1  # ties: the nearest
    for one, other in [(labels, groups[[0] * 4]), (labels[[0] * 4], groups)]:
        assert np.isnan(full_space_scores(features, one, other)["knn_accuracy"])


def test_the_pointing_table_by_hand():
    seen = pd.DataFrame(
        {
            "network": "n", "shown": list("aaab"), "group": list("1234"),
            "hit": [1.0, 1, 0, 0], "hit_by_chance": [0.5, 0.5, 0.2, 0.1],
            "energy": [0.4, 0.6, 0.5, 0.1], "energy_by_chance": [0.3, 0.3, 0.3, 0.2],
        }
    )  # fmt: skip
    rows = pointing_table(seen, 0, n_draws=200).set_index("class")
    assert rows.loc["all", "hits"] == pytest.approx((2 / 3 + 0) / 2)
    assert rows.loc["all", "hits_by_chance"] == pytest.approx((0.4 + 0.1) / 2)
    assert rows.loc["all", "energy"] == pytest.approx((0.5 + 0.1) / 2)
    assert rows.loc["a", ["hits", "n_maps"]].tolist() == pytest.approx([2 / 3, 3])


def test_words_on_maps_of_features():
    from histograft.verbs.evidence_page import few_neighbors
    from histograft.verbs.explain_page import _told

    values = (None, True, False, 29 / 3, 200.0, "random", 1000)
    assert [_told(v) for v in values] == ["none", "yes", "no", "9.667", "200", "random", "1000"]
    for n, told in [(5, True), (6, False)]:  # 4 or 5 of its own among ten
        points = pd.DataFrame({"model": ["a"] * (n + 20), "class": ["fat"] * n + ["gland"] * 20})
        assert bool(few_neighbors(pd.concat([points, points.assign(model="b")]))) == told
