"""train --init NETWORK: what the artefact states is kept and hashed, or contradicted aloud."""

import json

import pytest

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
