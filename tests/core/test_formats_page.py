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
