"""check_verb: what every verb, present or future, must do.

A verb is found by its configuration in `histograft.__all__`; one without an example below fails.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import re
import shutil
import typing
from pathlib import Path

import pytest

import histograft
from histograft.core.artefact import is_artefact, open_artefact
from histograft.core.configuration import Role, fields_with_role, from_mapping, preset_values
from histograft.core.errors import ArtefactError, InputError
from histograft.imaging.phantom_slide import phantom_slide

CONFIGS = {
    name.lower(): getattr(histograft, name)
    for name in histograft.__all__
    if dataclasses.is_dataclass(getattr(histograft, name)) and name != "Doctor"  # makes nothing
}


class Recorder:
    """A reporter that notes what it is told and refuses what is no text."""

    def __init__(self):
        self.said = []

    def task(self, title, total):
        assert isinstance(title, str)
        assert isinstance(total, int)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def advance(self, steps=1, note=""):
        assert isinstance(steps, int)
        assert isinstance(note, str)

    def note(self, text):
        assert isinstance(text, str)
        self.said.append(text)

    warn = note

    def table(self, title, columns, rows):
        assert all(isinstance(cell, str) for row in rows for cell in row)
        assert all(len(row) == len(columns) for row in rows)


def embedded_slide(folder, tools):
    """Features of one small slide."""
    pixels = tools.texture("slide", side=320)
    (folder / "slide.tif").write_bytes(phantom_slide(pixels, 1.0))
    tools.write_table(folder / "slides.csv", [{"slide_id": "s", "file": "slide.tif"}])
    tools.ok(
        "embed", folder / "slides.csv", "--out", folder / "slides", "--arch", "resnet10t",
        "--weights", "random", "--target-mpp", 1, "--tile-px", 64, "--device", "cpu",
    )  # fmt: skip
    return folder / "slides"


@pytest.fixture(scope="module")
def examples(tmp_path_factory, tools):
    """Arguments of a small run of each verb, and other ways to execute the same."""
    folder = tmp_path_factory.mktemp("contract")
    samples = tools.write_set(folder / "samples", groups=6)
    return folder, {
        "standardize": (
            {"samples": samples, "target_mpp": 1.0, "patch_px": 32, "workers": 1,
             "test_fraction": 0.4, "val_fraction": 0.2},
            {"workers": 0, "keep_going": True},
        ),
        "train": (
            {"patches": folder / "standardize", "init": "random", "arch": "resnet10t",
             "tune": "head", "hidden": (8,), "epochs_head": 1, "device": "cpu"},
            {"device": "auto"},
        ),
        "embed": (
            {"patches": folder / "standardize", "network": folder / "train", "device": "cpu",
             "points": ("gap", "dense"), "name": "ftx"},
            {"batch_size": 5, "device": "auto"},
        ),
        "transfer": (
            {"patches": folder / "standardize", "init": "random", "arch": "resnet10t",
             "epochs": 1, "learning_rates": (1e-3,), "augment": "none", "batch_size": 8,
             "device": "cpu"},
            {"device": "auto"},
        ),
        "fuse": ({"networks": (folder / "train", folder / "train"), "device": "cpu"}, {}),
        "classify": ({"features": folder / "slides", "network": folder / "train"}, {}),
        "matrix": ({"cells": (folder / "transfer",)}, {}),
        "pool": ({"features": embedded_slide(folder, tools)}, {}),
        "convert": ({"source": folder / "slides", "to": "clam"}, {}),
        "predict": (
            {"features": (folder / "embed",), "folds": 2, "repeats": 1, "rows": "test"}, {},
        ),
        "compare": ({"predictions": (folder / "predict",), "draws": 100}, {}),
        "draw": ({"inputs": (folder / "compare", folder / "standardize")}, {}),
        "export": ({"network": folder / "train"}, {}),
        "rescale": ({"samples": samples, "workers": 1}, {"workers": 0}),
        "distill": ({"patches": folder / "rescale", "epochs": 1, "device": "cpu"}, {}),
        "ladder": ({"networks": (folder / "distill",)}, {}),
        "explain": (
            {"networks": (folder / "train",), "patches": folder / "standardize", "n": 2,
             "device": "cpu"},
            {"device": "auto"},
        ),
    }  # fmt: skip


def module_of(verb):
    return inspect.getmodule(CONFIGS[verb])


@pytest.mark.parametrize("verb", CONFIGS)
def test_the_configuration(verb):
    cls = CONFIGS[verb]
    assert cls.__dataclass_params__.frozen
    # What a user types first without a flag, such as a table of slides, is one input at most.
    by_place = [field.name for field in dataclasses.fields(cls) if not field.kw_only]
    assert by_place in ([], [dataclasses.fields(cls)[0].name])
    described = re.findall(r"^    (\w+) : ", cls.__doc__.split("Attributes")[1], re.M)
    assert described == [field.name for field in dataclasses.fields(cls)]
    for name, meaning in re.findall(r"^    (\w+) : .+\n((?:        .+\n?)+)", cls.__doc__, re.M):
        assert len(meaning.split()) >= 3, f"{name} is not explained"
    hints = typing.get_type_hints(cls, include_extras=True)
    assert Role.OUTPUT in getattr(hints["out"], "__metadata__", ())
    assert sum(Role.OUTPUT in getattr(hint, "__metadata__", ()) for hint in hints.values()) == 1
    assert any(Role.INPUT in getattr(hint, "__metadata__", ()) for hint in hints.values())


@pytest.mark.parametrize("verb", CONFIGS)
def test_the_function(verb):
    function = getattr(histograft, verb)
    _, reporter = inspect.signature(function).parameters.values()
    assert typing.get_type_hints(function)["config"] is CONFIGS[verb]
    assert reporter.default is module_of(verb).SILENT
    for section in ("Parameters", "Returns", "Raises"):
        assert f"{section}\n    ---" in function.__doc__
    assert isinstance(module_of(verb).VERSION, int)


@pytest.mark.parametrize("verb", CONFIGS)
def test_presets(verb, examples):
    _, table = examples
    cls, presets = CONFIGS[verb], module_of(verb).PRESETS
    assert {"paper", "recommended"} <= set(presets)
    arguments, _ = table[verb]
    for name in presets:
        values = preset_values(presets, name) | arguments | {"out": Path("out")}
        config = from_mapping(cls, values, name)
        for key, value in presets[name].items():
            assert key in arguments or getattr(config, key) == value
    with pytest.raises(InputError, match=r"no preset.*choose one of"):
        preset_values(presets, "nonsense")
    with pytest.raises(InputError, match="no option 'nonsense'"):
        from_mapping(cls, {"nonsense": 1}, "file.toml")


@pytest.mark.parametrize(
    "verb", ["standardize", "train", "transfer", "embed", "predict", "compare", "draw", "explain"]
)
def test_the_artefact(verb, examples, tools):
    """In the verbs' order: each makes what the next one reads."""
    folder, table = examples
    arguments, other_execution = table[verb]
    cls, function = CONFIGS[verb], getattr(histograft, verb)
    config = cls(out=folder / verb, **arguments)

    refused = folder / f"foreign-{verb}"
    refused.mkdir()
    (refused / "thesis.txt").write_text("all of it")
    with pytest.raises(ArtefactError, match="not made by histograft"):
        function(cls(out=refused, **arguments))
    assert [path.name for path in refused.iterdir()] == ["thesis.txt"]

    recorder = Recorder()
    made = function(config, recorder)
    assert made.path == folder / verb
    assert is_artefact(made.path)
    manifest = made.manifest
    assert manifest["verb"] == verb
    assert manifest["seed"] == getattr(config, "seed", None)
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed", None)
    assert set(manifest["config"]) <= set(settings) | {
        "models",
        "arch",
        "arch_kwargs",
        "mean",
        "std",
    }
    execution = fields_with_role(config, Role.EXECUTION)
    assert set(execution) <= set(manifest["execution"])
    text = (made.path / "manifest.json").read_text()
    assert str(folder) not in text
    assert not re.search(r'": "/', text), "an absolute path"
    assert all(str(folder.parent) not in said for said in recorder.said)
    assert histograft.verify(made.path)[0].findings == ()
    assert sorted(p.name for p in made.path.glob(".*")) == []

    again = Recorder()
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    assert function(config, again).id == made.id
    assert "there already" in again.said[-1]
    assert before == {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}

    elsewhere = function(cls(out=folder / f"again-{verb}", **arguments | other_execution))
    assert elsewhere.id == made.id
    assert set(made.files) == set(elsewhere.files)
    if "batch_size" not in other_execution:  # sums of floats depend on it
        assert tools.content(made.path) == tools.content(elsewhere.path)


@pytest.mark.parametrize(
    "verb", ["standardize", "train", "transfer", "embed", "predict", "compare", "draw", "explain"]
)
def test_unfinished_work_of_another_run_is_refused(verb, examples):
    folder, table = examples
    arguments, _ = table[verb]
    cls, function = CONFIGS[verb], getattr(histograft, verb)
    out = folder / f"unfinished-{verb}"
    out.mkdir()
    shutil.copy(folder / verb / "manifest.json", out / "unfinished.json")
    with pytest.raises(ArtefactError, match=r"unfinished work of another run.*seed"):
        function(cls(out=out, **arguments, seed=99))
    assert [path.name for path in out.iterdir()] == ["unfinished.json"]


@pytest.mark.parametrize("verb", ["train", "embed", "predict", "compare"])
def test_an_input_of_another_kind_is_refused_by_name(verb, examples):
    folder, table = examples
    arguments, _ = table[verb]
    wrong = folder / ("standardize" if verb != "train" and verb != "embed" else "compare")
    first = next(iter(arguments))
    value = (wrong,) if isinstance(arguments[first], tuple) else wrong
    with pytest.raises(ArtefactError, match=r"is a \w+ artefact, not \w+"):
        getattr(histograft, verb)(CONFIGS[verb](out=folder / "never", **arguments | {first: value}))
    absent = (folder / "nothing",) if isinstance(arguments[first], tuple) else folder / "nothing"
    with pytest.raises(ArtefactError, match="holds no artefact"):
        getattr(histograft, verb)(
            CONFIGS[verb](out=folder / "never", **arguments | {first: absent})
        )
    assert not (folder / "never").exists()


def test_manifests_say_what_made_them(examples):
    folder, _ = examples
    chain = ["standardize", "embed", "predict", "compare"]
    for earlier, later in itertools.pairwise(chain):
        inputs = open_artefact(folder / later).manifest["inputs"]
        assert open_artefact(folder / earlier).id in {record["id"] for record in inputs}
    packages = json.loads((folder / "train/manifest.json").read_text())["packages"]
    assert {"python", "histograft", "numpy", "torch", "timm"} <= set(packages)
