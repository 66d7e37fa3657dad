"""Configuration of a verb: one frozen dataclass that is API, command line and manifest at once.

Each field has a `Role`, written into its annotation; without one it is a setting:

>>> @dataclasses.dataclass(frozen=True, kw_only=True)
... class Blur:
...     out: Annotated[Path, Role.OUTPUT]
...     radius_px: float = 1.0
...     workers: Annotated[int | None, Role.EXECUTION] = None
>>> fields_with_role(Blur(out=Path("blurred")), Role.SETTING)
{'radius_px': 1.0}
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from histograft.core.errors import InputError

Config = TypeVar("Config")
_MISSING: Any = dataclasses.MISSING


class Role(Enum):
    """What a field of a configuration is for."""

    SETTING = "setting"
    """It decides the result and is hashed into the artefact's id."""
    INPUT = "input"
    """A path; the content that it leads to is hashed instead."""
    OUTPUT = "output"
    """A path that is written to; it is not recorded."""
    EXECUTION = "execution"
    """Device, workers and the like: recorded but not hashed, because it must not matter."""


def fields_with_role(config: Any, role: Role) -> dict[str, Any]:
    """Return the fields of a role as JSON values.

    Parameters
    ----------
    config : dataclass instance
        A configuration.
    role : Role
        Which fields.

    Returns
    -------
    dict
        Field name to value; tuples become lists.
    """
    hints = typing.get_type_hints(type(config), include_extras=True)
    return {
        f.name: as_json(getattr(config, f.name))
        for f in dataclasses.fields(config)
        if _role_of(hints[f.name]) is role
    }


def _role_of(hint: Any) -> Role:
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((mark for mark in marks if isinstance(mark, Role)), Role.SETTING)


def as_json(value: Any) -> Any:
    """Turn a field's value into a JSON value; a path becomes its last part."""
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value


def from_mapping(cls: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """Build a configuration from plain values, such as a manifest's or a TOML file's.

    Parameters
    ----------
    cls : type
        A dataclass.
    values : mapping
        Field names to JSON values.
    where : str
        What holds the values, for messages.

    Returns
    -------
    object
        An instance of `cls`.

    Raises
    ------
    InputError
        A key is unknown, a required field is missing, or a value is of another type.
    """
    given = checked_values(cls, values, where)
    lacking = [
        f.name
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.name not in given and f.default is _MISSING and f.default_factory is _MISSING
    ]
    if lacking:
        raise InputError(f"{where} lacks {', '.join(lacking)}", "add it")
    return cls(**given)


def check_keys(cls: type[Any], values: Mapping[str, Any], where: str) -> None:
    """Refuse keys that are not fields of `cls`, naming the nearest field."""
    names = [f.name for f in dataclasses.fields(cls)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(
                f"{where}: {cls.__name__} has no option {key!r}",
                f"{hint}its options are {', '.join(names)}",
            )


def checked_values(cls: type[Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return values converted to the types of a configuration's fields.

    Raises
    ------
    InputError
        A key is unknown, or a value is of another type.
    """
    check_keys(cls, values, where)
    hints = typing.get_type_hints(cls)
    return {key: _coerce(value, hints[key], f"{where}: {key}") for key, value in values.items()}


def require_at_least(value: int, least: int, name: str) -> None:
    """Raise an `InputError` that names the option where a count is too small."""
    if value < least:
        flag = "--" + name.replace("_", "-")
        raise InputError(f"{flag} is {value}", f"give {least} or more")


def preset_values(presets: Mapping[str, Mapping[str, Any]], preset: str | None) -> dict[str, Any]:
    """Return the field values of a preset, as a copy; none for None.

    Raises
    ------
    InputError
        There is no such preset; the message names those that there are.
    """
    if preset is None:
        return {}
    if preset not in presets:
        raise InputError(
            f"there is no preset {preset!r}", f"choose one of {', '.join(sorted(presets))}"
        )
    return dict(presets[preset])


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Convert a JSON value to a field's type; only lossless conversions are made."""
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        errors = []
        for member in get_args(hint):
            if member is type(None):
                continue
            try:
                return _coerce(value, member, where)
            except InputError as error:
                errors.append(error)
        raise errors[0]
    if origin is Literal:
        if value not in get_args(hint):
            raise InputError(
                f"{where} is {value!r}", f"choose one of {', '.join(map(str, get_args(hint)))}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{where} is {value!r}, not a list", "write [a, b]")
        members = get_args(hint)
        kinds = [members[0]] * len(value) if members[-1] is Ellipsis else list(members)
        if len(kinds) != len(value):
            raise InputError(f"{where} has {len(value)} entries, not {len(kinds)}")
        return tuple(_coerce(v, k, where) for v, k in zip(value, kinds, strict=True))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {value!r}, not a table")
        return dict(value)
    return _coerce_plain(value, hint, where)


def _coerce_plain(value: Any, hint: Any, where: str) -> Any:
    if hint is Any or (isinstance(hint, type) and type(value) is hint):
        return value
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if isinstance(hint, type) and isinstance(value, hint) and type(value) is not bool:
        return value
    raise InputError(f"{where} is {value!r}", f"give a value of type {hint.__name__}")
