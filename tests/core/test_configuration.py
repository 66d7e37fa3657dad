"""Every verb's and recipe's configuration, present or future, keeps the contract."""

import dataclasses
import importlib
import inspect
import io
import json
import pkgutil
import re
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import histograft.recipes
import histograft.verbs
from histograft.core.configuration import (
    Role,
    as_json,
    fields_with_role,
    from_mapping,
    preset_values,
)
from histograft.core.errors import InputError


def find_configurations():
    """Find (class, presets) in each module that has presets: the registry of the contract."""
    for package in (histograft.verbs, histograft.recipes):
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            if hasattr(module, "PRESETS"):
                name = "".join(word.capitalize() for word in found.name.split("_"))
                yield getattr(module, name), module.PRESETS


CONFIGURATIONS = list(find_configurations())
CLASSES = [cls for cls, _ in CONFIGURATIONS]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
# Fields whose values are bound more narrowly than their type.
SPECIAL = {
    "draws": st.integers(100, 20_000),
    "patch_px": st.integers(8, 500),
    "unlabelled_shares": st.just((0.5, 1.0)),
    "pairs": st.lists(st.just("a:b"), max_size=2).map(tuple),
    "labels": st.lists(st.just("a=b"), max_size=2).map(tuple),
    "points": st.just(("gap",)),
    "sets": st.just((Path("lung"), Path("colon"))),
    "learning_rates": st.just((1e-3, 1e-4)),
    "per_class": st.just(("train=10", "val=2")),
    "mask_classes": st.just(("1=tumor", "18=blood vessel")),
}
# One of several ways to say where features come from is needed.
NEEDED = {
    "Embed": {"patches": Path("patches"), "network": Path("network")},
    "TransferMatrix": {"sets": (Path("lung"), Path("colon"))},
    "Transfer": {"init": "random"},
    "WeightDistillation": {"sources": (Path("lung"), Path("colon"))},
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    origin, members = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values_of, members))
    if origin is Literal:
        return st.sampled_from(members)
    if origin is tuple and members[-1] is Ellipsis:
        return st.lists(values_of(members[0]), min_size=1, max_size=3, unique=True).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, members))
    plain = {
        bool: st.booleans(),
        int: st.integers(2, 50),
        float: st.floats(0.05, 0.3),
        str: st.text(
            st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=9
        ),
        Path: st.from_regex(r"[a-zäß][a-z .]{0,5}[a-z]", fullmatch=True).map(Path),
        type(None): st.none(),
    }
    return plain[hint]


@st.composite
def configurations_of(draw, cls):
    """Draw changes to the smallest configuration: of all fields at once, few would go together."""
    hints = typing.get_type_hints(cls)
    names = st.sampled_from([f.name for f in dataclasses.fields(cls)])
    changed = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    drawn = {name: draw(SPECIAL.get(name, values_of(hints[name]))) for name in changed}
    return smallest(cls, **drawn)


def make(cls, values):
    try:
        return cls(**values)
    except InputError:
        reject()


def smallest(cls, **values):
    needed = {
        f.name: (Path("x"),) if "tuple" in str(f.type) else Path("x")
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING
    }
    return needed | NEEDED.get(cls.__name__, {}) | values


def documented(cls):
    """Name and text of each attribute in the docstring, in order."""
    text = inspect.getdoc(cls).split("Attributes\n----------\n")[1]
    found = re.findall(r"^(\w+) : (.+)\n((?:    .+\n?)+)", text + "\n", re.MULTILINE)
    return {name: " ".join(lines.split()) for name, _, lines in found}


def test_all_verbs_are_found():
    names = {cls.__name__ for cls in CLASSES}
    verbs = {"Standardize", "Train", "Embed", "Predict", "Compare", "Draw"}
    assert names >= verbs | {"Ftx", "Demo"}


@pytest.mark.parametrize(("cls", "presets"), CONFIGURATIONS, ids=[c.__name__ for c in CLASSES])
def test_every_preset_makes_a_configuration(cls, presets):
    assert presets
    for name, values in presets.items():
        config = from_mapping(cls, preset_values(presets, name) | smallest(cls), name)
        for field, value in values.items():
            assert getattr(config, field) == value
            # and is of the field's type already, so that a manifest holds what the preset says
            assert type(getattr(config, field)) is type(value), (name, field)


@each_class
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_configuration_comes_back_from_json(cls, data):
    config = make(cls, data.draw(configurations_of(cls)))
    parts = [fields_with_role(config, role) for role in Role]
    values = {name: value for part in parts for name, value in part.items()}
    assert sum(map(len, parts)) == len(dataclasses.fields(cls))  # each field has one role
    assert from_mapping(cls, json.loads(json.dumps(values)), "manifest.json") == config


@each_class
def test_a_configuration_is_frozen_and_by_name_only(cls):
    config = cls(**smallest(cls))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.out = Path("elsewhere")
    with pytest.raises(TypeError):
        cls(Path("x"))


@each_class
def test_paths_are_no_settings(cls):
    settings_ = fields_with_role(cls(**smallest(cls)), Role.SETTING)
    hints = typing.get_type_hints(cls)
    assert not [name for name in settings_ if "Path" in str(hints[name])]


@each_class
def test_an_unknown_key_is_named_with_the_nearest(cls):
    field = max((f.name for f in dataclasses.fields(cls)), key=len)
    with pytest.raises(InputError, match=f"has no option '{field}s'.*did you mean '{field}'"):
        from_mapping(cls, smallest(cls, **{f"{field}s": 1}), "x.toml")
    with pytest.raises(InputError, match=r"x\.toml.*no option 'qqqq'.*its options are"):
        from_mapping(cls, smallest(cls, qqqq=1), "x.toml")


@each_class
def test_each_field_has_its_line_in_the_docstring(cls):
    assert list(documented(cls)) == [f.name for f in dataclasses.fields(cls)]
    assert all(text[0].isalnum() or text[0] in '"µ' for text in documented(cls).values())


@each_class
def test_the_command_line_shows_each_field_with_its_line(cls):
    from rich.console import Console

    from histograft.cli import app

    text = io.StringIO()
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()
    recipe = cls.__module__.startswith("histograft.recipes") and name != "demo"
    command = ["run", name] if recipe else [name]
    app.help_print(command, console=Console(file=text, width=4000))
    shown = text.getvalue()
    for name, line in documented(cls).items():
        assert f"--{name.replace('_', '-')}" in shown
        plain = " ".join(line.replace("`", "").split())
        assert plain[:60] in " ".join(shown.split()), name
    assert "----------" not in shown  # the list of attributes is not printed as such


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    out: Annotated[Path, Role.OUTPUT]
    size: int = 1
    share: float = 0.5
    deep: bool = False
    mode: Literal["a", "b"] = "a"
    mean: tuple[float, float] | None = None
    mpp: float | Literal["keep"] = 0.5
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("size", True, "type int"),
        ("size", 1.0, "type int"),
        ("size", "1", "type int"),
        ("size", None, "type int"),
        ("share", "0.5", "type float"),
        ("share", True, "type float"),
        ("deep", 1, "type bool"),
        ("deep", "true", "type bool"),
        ("mode", "c", "choose one of a, b"),
        ("mean", [1.0], "1 entries, not 2"),
        ("mean", 1.0, "not a list"),
        ("mean", [1.0, "x"], "type float"),
        ("mpp", "kept", "type float"),
        ("options", [1], "not a table"),
        ("out", 3, "type Path"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(key, value, message):
    with pytest.raises(InputError, match=rf"x\.toml: {key}.*{message}"):
        from_mapping(Example, {"out": "o", key: value}, "x.toml")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("share", 1, 1.0),
        ("mean", [1, 2.5], (1.0, 2.5)),
        ("mean", None, None),
        ("mpp", "keep", "keep"),
        ("mpp", 1, 1.0),
        ("options", {"a": 1}, {"a": 1}),
        ("out", "a/b", Path("a/b")),
    ],
)
def test_only_conversions_without_loss_are_made(key, value, expected):
    config = from_mapping(Example, {"out": "o", key: value}, "x.toml")
    assert getattr(config, key) == expected
    assert type(getattr(config, key)) is type(expected)


def test_what_is_required_is_asked_for():
    with pytest.raises(InputError, match=r"x\.toml lacks out"):
        from_mapping(Example, {"size": 3}, "x.toml")


def test_a_preset_is_found_by_its_name():
    presets = {"big": {"size": 9, "deep": True}}
    assert preset_values(presets, "big") == {"size": 9, "deep": True}
    assert preset_values(presets, None) == {}
    with pytest.raises(InputError, match=r"no preset 'bg'.*big"):
        preset_values(presets, "bg")
    preset_values(presets, "big")["size"] = 0  # a copy
    assert presets["big"]["size"] == 9


def test_json_values_hold_no_folders():
    assert as_json({"a": (Path("/home/somebody/data"), Role.INPUT)}) == {"a": ["data", "input"]}
