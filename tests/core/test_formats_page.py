"""The page on formats says what the code does."""

import importlib.util
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from histograft.core.artefact import KINDS, SCHEMA_VERSION, claim, hash_json
from histograft.core.tables import SAMPLES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "formats.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def make_tables():
    spec = importlib.util.spec_from_file_location("make_tables", DOCS / "make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_column_tables_are_current(make_tables):
    assert make_tables.updated(PAGE) == PAGE, "run: python docs/make_tables.py"
    shown = set(re.findall(r"<!-- columns: ([\w ]+) -->", PAGE))
    assert shown == set(make_tables.specifications())


@pytest.mark.parametrize("text", re.findall(r"```csv\n(file,.*?)```", PAGE, re.DOTALL))
def test_the_examples_of_a_samples_table_pass(text):
    table = pd.read_csv(io.StringIO(text), dtype="string", keep_default_na=False)
    assert len(SAMPLES.check(table, "samples.csv")) == text.count("\n") - 1


def test_kinds_and_schema_are_those_of_the_code():
    for kind in KINDS:
        assert f"## Kind `{kind}`" in PAGE
    assert f"| `schema` | {SCHEMA_VERSION}." in PAGE


def test_the_keys_of_a_manifest_are_those_of_the_page(tmp_path, identity):
    with claim(tmp_path / "p", identity) as draft:
        begun = json.loads((draft.path / "unfinished.json").read_text())
        manifest = draft.finish().manifest
    rows = PAGE.split("### manifest.json")[1].split("Readers MUST ignore")[0]
    named = re.findall(r"^\| (`.*?`) \|", rows, re.MULTILINE)
    assert {name.strip("` ") for cell in named for name in cell.split(",")} == set(manifest)
    early = re.search(r"known beforehand \((.*?)\)", PAGE, re.DOTALL)[1]
    assert set(re.split(r",\s+", early)) == set(begun)


def test_the_id_can_be_computed_from_the_page(identity):
    text = '{"config": …, "inputs": [[role, kind, id], …], "kind": …, "seed": …, "verb": …'
    assert text in PAGE
    keys = ("config", "kind", "seed", "verb", "verb_version")
    value = {key: identity.as_json()[key] for key in keys}
    value["inputs"] = [[i["role"], i["kind"], i["id"]] for i in identity.as_json()["inputs"]]
    assert hash_json(value) == identity.id


def code_block(language, word):
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(block for block in blocks if word in block)


@pytest.mark.slow
def test_timm_opens_a_network_as_the_page_says(tmp_path, monkeypatch):
    import numpy as np
    import torch

    from histograft.learning.network import Network, NetworkSpec
    from histograft.learning.network_files import write_network

    network = Network(NetworkSpec("resnet10t", ("a", "b"), hidden=(4,))).eval()
    write_network(tmp_path / "network.safetensors", network)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code_block("python", "timm.create_model"), names)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs, ours = names["model"].eval()(images), network.part_a(images)
    np.testing.assert_array_equal(theirs.numpy(), ours.numpy())


@pytest.mark.parametrize("mpp", [0.5, None])
def test_a_feature_file_has_what_the_page_says(tmp_path, mpp):
    import h5py
    import numpy as np

    from histograft.verbs.feature_files import write_features

    table = pd.DataFrame({"x_px": [0, 224], "y_px": [0, 0], "mpp": [mpp, mpp]}).astype(float)
    facts = {"name": "colon", "encoder": "ftx-dense", "patch_size": 224, "mean": [0.5] * 3}
    write_features(tmp_path / "m.h5", np.ones((2, 3), np.float32), table, facts)
    section = PAGE.split("## Kind `features`")[1].split("## Kind")[0]
    with h5py.File(tmp_path / "m.h5") as file:
        assert {f"`{name}`" for name in file} <= set(re.findall(r"^\| (`\w+`)", section, re.M))
        for dataset in ("features", "coords"):
            for name in file[dataset].attrs:
                assert f"`{name}`" in section, name
        assert file["features"].dtype == np.float32
        assert file["coords"][:].tolist() == [[0, 0], [224, 0]]
        magnification = file["coords"].attrs["level0_magnification"]
        assert magnification == ("None" if mpp is None else 20)
        # TRIDENT reads these without a default.
        needed = "patch_size level0_magnification target_magnification overlap name savetodir"
        assert {*needed.split(), "level0_width", "level0_height"} <= set(file["coords"].attrs)
