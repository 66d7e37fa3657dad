"""Options that mean nothing for what a verb was given: refused, or at least told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from histograft.core.errors import InputError
from histograft.core.reporter import Reporter

Presets = Mapping[str, Mapping[str, Any]]


def refuse_unused(config: Any, names: Sequence[str], presets: Presets, why: str) -> None:
    """Refuse options of the other kind that a person must have given.

    A value that a preset sets may come from ``--preset``, which holds values of both kinds: it is
    only told, by `tell_unused`.

    Parameters
    ----------
    config : dataclass instance
        A configuration.
    names : sequence of str
        Fields that are not used.
    presets : mapping
        Presets of the configuration.
    why : str
        What they are for, to follow "is".

    Raises
    ------
    InputError
        One of them is given.
    """
    if flags := [_flag(n) for n in _given(config, names) if not _of_preset(config, n, presets)]:
        raise InputError(
            f"{' and '.join(flags)} {'is' if len(flags) == 1 else 'are'} {why}",
            "leave it out" if len(flags) == 1 else "leave them out",
        )


def tell_unused(
    config: Any, names: Sequence[str], presets: Presets, why: str, reporter: Reporter
) -> None:
    """Warn of options of the other kind whose values may come from a preset."""
    if flags := [_flag(n) for n in _given(config, names) if _of_preset(config, n, presets)]:
        one = len(flags) == 1
        reporter.warn(f"{' and '.join(flags)} {'is' if one else 'are'} {why}, and not used here")


def _given(config: Any, names: Sequence[str]) -> list[str]:
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return [name for name in names if getattr(config, name) != defaults[name]]


def _of_preset(config: Any, name: str, presets: Presets) -> bool:
    value = getattr(config, name)
    return any(name in values and values[name] == value for values in presets.values())


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
