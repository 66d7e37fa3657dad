"""What decides what an artefact holds, and its hash, the id."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from histograft.core.errors import InputError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Input:
    """What an artefact was made from.

    Attributes
    ----------
    role : str
        What the verb used it for, such as ``"patches"`` or ``"network"``.
    kind : str
        Kind of the artefact, or ``"samples"`` or ``"weights"`` for raw input.
    id : str
        Id of the artefact; for raw input the hash of its content.
    name : str
        Last part of its path, for people; not hashed.
    """

    role: str
    kind: str
    id: str
    name: str = ""


@dataclass(frozen=True)
class Identity:
    """Everything that decides what an artefact holds.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    verb : str
        The verb that makes it.
    verb_version : int
        Raised when a change of the verb's algorithm changes its results.
    config : mapping
        The verb's resolved configuration, without paths and execution options. JSON values.
    inputs : tuple of Input
        What it is made from, in the verb's order.
    seed : int or None
        Root seed, None where nothing is drawn.
    """

    kind: str
    verb: str
    verb_version: int
    config: Mapping[str, Any]
    inputs: tuple[Input, ...] = ()
    seed: int | None = None

    @property
    def id(self) -> str:
        """SHA-256 (64 hexadecimal digits) over all of this but the inputs' names."""
        return hash_json(
            {
                "kind": self.kind,
                "verb": self.verb,
                "verb_version": self.verb_version,
                "config": dict(self.config),
                "inputs": [[i.role, i.kind, i.id] for i in self.inputs],
                "seed": self.seed,
            }
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fields as they stand in a manifest."""
        return {
            "schema": SCHEMA_VERSION,
            "kind": self.kind,
            "id": self.id,
            "verb": self.verb,
            "verb_version": self.verb_version,
            "config": dict(self.config),
            "inputs": [asdict(i) for i in self.inputs],
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, manifest: Mapping[str, Any]) -> Self:
        """Read the fields of a manifest back.

        Raises
        ------
        KeyError, TypeError
            The manifest lacks a field, or one is of another shape.
        """
        fields = ("kind", "verb", "verb_version", "config", "seed")
        values = {name: manifest[name] for name in fields}
        return cls(inputs=tuple(Input(**record) for record in manifest["inputs"]), **values)


def hash_json(value: Any) -> str:
    """SHA-256 of a JSON value in one canonical spelling.

    Raises
    ------
    InputError
        A number in it is NaN or infinite.

    Examples
    --------
    >>> hash_json({"b": 1, "a": 2}) == hash_json({"a": 2, "b": 1})
    True
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        names = ", ".join(_not_finite(value))
        raise InputError(f"{names} is NaN or infinite", "give a finite number") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _not_finite(value: Any, name: str = "value") -> Iterator[str]:
    """Names of the numbers in a JSON value that are NaN or infinite."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _not_finite(item, name)
    elif isinstance(value, float) and not math.isfinite(value):
        yield name
