"""Where the value of an option comes from: a flag beats --config, which beats --preset."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from cyclopts import App, ArgumentCollection, Token

from histograft.core.configuration import checked_values, preset_values
from histograft.core.errors import InputError

_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


class ConfigLayers:
    """Fills the options that were not given as flags; a cyclopts ``config`` callable.

    Parameters
    ----------
    commands : mapping
        Command path (such as ``("run", "ftx")``) to its configuration class and its presets.
    """

    def __init__(
        self, commands: Mapping[tuple[str, ...], tuple[type[Any], Mapping[str, Mapping[str, Any]]]]
    ) -> None:
        self._commands = commands

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Give tokens to arguments that have none."""
        del app
        if commands not in self._commands:
            return
        cls, presets = self._commands[commands]
        by_name = {str(a.name).removeprefix("--").replace("-", "_"): a for a in arguments}
        for name, argument in by_name.items():
            _refuse_fractions(name, argument)
            _refuse_decimal_commas(name, argument)
        values = preset_values(presets, _given(by_name.get("preset")))
        source = dict.fromkeys(values, "--preset")
        if file := _given(by_name.get("config")):
            stated = checked_values(cls, read_toml(Path(file)), file)
            values |= stated
            source |= dict.fromkeys(stated, file)
        for name, value in values.items():
            argument = by_name[name]
            if argument.has_tokens:
                continue
            if value == ():
                argument.append(Token(keyword=name, implicit_value=(), source=source[name]))
            for index, item in enumerate(value if isinstance(value, (list, tuple)) else [value]):
                text = str(item).lower() if isinstance(item, bool) else str(item)
                argument.append(Token(keyword=name, value=text, source=source[name], index=index))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of options; dashes in keys count as underscores."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"--config {path} does not exist") from error
    except OSError as error:
        raise InputError(f"--config {path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path} is not TOML: {error}") from error
    return {key.replace("-", "_"): value for key, value in values.items()}


def _refuse_fractions(name: str, argument: Any) -> None:
    """Refuse 2.5 where a whole number is needed; cyclopts would round it without a word."""
    kinds = _parts(argument.hint)
    if int not in kinds or float in kinds:
        return
    for token in argument.tokens:
        if "." in token.value:
            flag = "--" + name.replace("_", "-")
            raise InputError(f"{flag} is {token.value}, not a whole number", "leave out the point")


def _refuse_decimal_commas(name: str, argument: Any) -> None:
    """Refuse 0,5 where a number is needed, and say how it is written here."""
    kinds = _parts(argument.hint)
    if float not in kinds or str in kinds:
        return
    for token in argument.tokens:
        if _DECIMAL_COMMA.fullmatch(token.value):
            flag, right = "--" + name.replace("_", "-"), token.value.replace(",", ".")
            raise InputError(f"{flag} is {token.value}, with a decimal comma", f"write {right}")


def _parts(hint: Any) -> list[Any]:
    """Types that a type is made of, at any depth: of ``tuple[int, ...] | None`` also int."""
    return [hint, *(part for member in get_args(hint) for part in _parts(member))]


def _given(argument: Any) -> str | None:
    return argument.tokens[0].value if argument is not None and argument.tokens else None
