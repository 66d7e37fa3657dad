"""train --init NETWORK: what the artefact states is kept and hashed, or contradicted aloud."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from histograft.core.artefact import open_artefact

OPTIONS = ("--tune", "head", "--epochs-head", 1, "--device", "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """Patches of three classes and of two, and a network tuned on the three."""
    folder = tmp_path_factory.mktemp("init")
    for name, classes in (("three", ("gland", "muscle", "fat")), ("two", ("gland", "fat"))):
        source = tools.write_set(folder / f"set-{name}", classes=classes)
        tools.ok(
            "standardize", "--samples", source, "--out", folder / name, "--target-mpp", 1,
            "--patch-px", 32, "--workers", 1,
        )  # fmt: skip
    tools.ok(
        "train", "--patches", folder / "three", "--out", folder / "first", "--init", "random",
        "--arch", "resnet10t", "--hidden", 8, *OPTIONS,
    )  # fmt: skip
    return folder


def train(made, out, patches, *words):
    return (
        "train", "--init", made / "first", "--patches", made / patches, "--out", out, *OPTIONS,
        *words,
    )  # fmt: skip


def hidden(folder):
    """Sizes in the manifest, and in the network's own specification."""
    specification = json.loads((folder / "network.json").read_text())["network"]
    return open_artefact(folder).manifest["config"]["hidden"], specification["hidden"]


def test_the_sizes_of_the_artefact_are_kept_and_hashed(made, tmp_path, tools):
    tools.ok(*train(made, tmp_path / "silent", "three"))
    assert hidden(tmp_path / "silent") == ([8], [8])
    tools.ok(*train(made, tmp_path / "stated", "three", "--hidden", 8))
    assert open_artefact(tmp_path / "stated").id == open_artefact(tmp_path / "silent").id


def test_other_sizes_are_refused_where_part_b_is_kept(made, tmp_path, tools):
    outcome = tools.run(*train(made, tmp_path / "out", "three", "--hidden", 16))
    assert outcome.code == 1
    assert "--hidden is 16" in outcome.err
    assert "those have 8" in outcome.err
    assert "leave out --hidden" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("words", "sizes"), [((), [8]), (("--hidden", 16, 4), [16, 4])])
def test_with_other_classes_part_b_is_new(made, tmp_path, tools, words, sizes):
    outcome = tools.ok(*train(made, tmp_path / "out", "two", *words))
    assert "Part B is new" in outcome.err
    assert hidden(tmp_path / "out") == (sizes, sizes)


def test_without_an_artefact_it_is_2048(made, tmp_path, tools):
    tools.ok(
        "train", "--patches", made / "two", "--out", tmp_path / "out", "--init", "random",
        "--arch", "resnet10t", *OPTIONS,
    )  # fmt: skip
    assert hidden(tmp_path / "out") == ([2048], [2048])


def part_a(folder):
    state = load_file(folder / "network.safetensors")
    return {name: tensor for name, tensor in state.items() if not name.startswith("part_b.")}


def test_with_other_classes_part_a_is_that_of_the_first_network(made, tmp_path, tools):
    """Only Part B learns here, so Part A must still be the first network's, byte for byte."""
    tools.ok(*train(made, tmp_path / "out", "two"))
    before, after = part_a(made / "first"), part_a(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


@pytest.mark.parametrize("patches", ["two", "three"])
def test_no_hidden_layer(made, tmp_path, tools, patches):
    first = ("--init", "random", "--arch", "resnet10t")
    tools.ok(
        "train", "--patches", made / "two", "--out", tmp_path / "none", "--hidden", 0, *first,
        *OPTIONS,
    )  # fmt: skip
    assert hidden(tmp_path / "none") == ([], [])
    assert part_b_names(tmp_path / "none") == {"part_b.output.weight", "part_b.output.bias"}
    again = ("train", "--init", tmp_path / "none", "--patches", made / patches, *OPTIONS)
    tools.ok(*again, "--out", tmp_path / "again")
    assert hidden(tmp_path / "again") == ([], [])
    outcome = tools.run(*again, "--out", tmp_path / "eight", "--hidden", 8)
    assert (outcome.code == 0) == (patches == "three")  # other classes may have other sizes
    if outcome.code:
        assert "those have 0" in outcome.err


def part_b_names(folder):
    names = load_file(folder / "network.safetensors")
    return {name for name in names if name.startswith("part_b.")}


def normalization(folder):
    specification = json.loads((folder / "network.json").read_text())["network"]
    return specification["mean"], specification["std"]


def test_normalization_of_source_target_and_imagenet(made, tmp_path, tools):
    """The target's numbers are those of its training patches alone, by NumPy."""
    found = {}
    for norm in ("source", "target", "imagenet"):
        for patches in ("two", "three"):  # Part B is new, Part B is kept
            out = tmp_path / f"{norm}-{patches}"
            tools.ok(*train(made, out, patches, "--norm", norm))
            found[norm, patches] = normalization(out)
            assert open_artefact(out).manifest["config"]["norm"] == norm
    table = pd.read_parquet(made / "two" / "metadata.parquet")
    assert set(table["split"]) > {"train"}
    for patches in ("two", "three"):
        table = pd.read_parquet(made / patches / "metadata.parquet")
        rows = table[table["split"] == "train"]
        pixels = np.stack([np.asarray(Image.open(made / patches / f)) for f in rows["file_name"]])
        pixels = pixels.reshape(-1, 3) / 255
        mean, std = found["target", patches]
        np.testing.assert_allclose(mean, pixels.mean(0), atol=1e-6)
        np.testing.assert_allclose(std, pixels.std(0), atol=1e-6)
        assert found["source", patches] == normalization(made / "first")
        assert found["imagenet", patches] == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_norms_that_contradict(made, tmp_path, tools):
    random = ("--init", "random", "--arch", "resnet10t", "--patches", made / "two")
    for words, message in (
        (("--norm", "source"), "random ones lack"),
        (("--norm", "target", "--mean", 0.5, 0.5, 0.5), "contradict each other"),
    ):
        outcome = tools.run("train", *random, "--out", tmp_path / "out", *words, *OPTIONS)
        assert outcome.code
        assert message in outcome.err


def test_later_fields_at_their_defaults_do_not_count(made, tmp_path, tools):
    """What was made before they came keeps its id."""
    tools.ok(*train(made, tmp_path / "plain", "three"))
    config = open_artefact(tmp_path / "plain").manifest["config"]
    later = {"norm", "random_start", "augment_val", "multilabel_loss", "bn_update", "select_by"}
    assert not later & set(config)
    tools.ok(*train(made, tmp_path / "other", "three", "--select-by", "accuracy"))
    assert open_artefact(tmp_path / "other").manifest["config"]["select_by"] == "accuracy"
    assert open_artefact(tmp_path / "other").id != open_artefact(tmp_path / "plain").id


def test_measures_of_each_class(made, tmp_path, tools):
    tools.ok(*train(made, tmp_path / "out", "three"))
    table = pd.read_csv(tmp_path / "out" / "classes.csv")
    assert list(table["class"]) == sorted(("gland", "muscle", "fat"))
    patches = pd.read_parquet(made / "three" / "metadata.parquet")
    for split in ("train", "val"):
        counts = patches[patches["split"] == split]["label"].value_counts()
        assert dict(zip(table["class"], table[f"n_{split}"], strict=True)) == dict(counts)
