"""What help says of a command beyond its docstring: its usage, its presets, its defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


def preset_help(presets: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what each preset sets, as flags; of NAME-MORE what it changes of NAME.

    Examples
    --------
    >>> presets = {"paper": {"groups": False, "lr": 0.1}, "usual": {}}
    >>> presets["paper-2"] = presets["paper"] | {"lr": 0.2}
    >>> preset_help(presets).partition(". ")[2]
    'paper: --no-groups --lr 0.1; paper-2: paper with --lr 0.2; usual: the defaults.'
    """
    told = []
    for name, values in sorted(presets.items()):
        base = presets.get(name.partition("-")[0], {}) if "-" in name else {}
        base = base if set(base) <= set(values) else {}
        own = [_flag(key, v) for key, v in values.items() if key not in base or base[key] != v]
        if base:
            own[:0] = [name.partition("-")[0], *(["with"] if own else [])]
        told.append(f"{name}: {' '.join(own) or 'the defaults'}")
    return f"Named set of values; flags and --config beat it. {'; '.join(told)}."


def shown_default(value: Any) -> str | None:
    """Write a default for people; nothing given is not shown as an empty pair of brackets.

    Examples
    --------
    >>> shown_default(("gap", "dense")), shown_default(0.5), shown_default(())
    ('gap dense', '0.5', None)
    """
    if value is None or value in ((), ""):
        return None
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value))
    return str(value)


def usage(path: Sequence[str], cls: type[Any]) -> str | None:
    """Write the usage of a command whose first argument may be left out; None for all others.

    Examples
    --------
    >>> from histograft.verbs.embed import Embed
    >>> usage(("embed",), Embed)
    'Usage: histograft embed [SLIDES] --out PATH [OPTIONS]'
    """
    named = [f for f in dataclasses.fields(cls) if not f.kw_only and _has_default(f)]
    if not named:
        return None
    first = " ".join(f"[{f.name.upper()}]" for f in named)
    needed = [f for f in dataclasses.fields(cls) if not _has_default(f)]
    flags = "".join(f" {'--' + f.name.replace('_', '-')} PATH" for f in needed)
    return f"Usage: histograft {' '.join(path)} {first}{flags} [OPTIONS]"


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _flag(name: str, value: Any) -> str:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    values = value if isinstance(value, (tuple, list)) else (value,)
    return " ".join([flag, *map(str, values)])
