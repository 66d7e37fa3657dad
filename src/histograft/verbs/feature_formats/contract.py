"""What every layout must do: say whether a folder has it, list its slides, write slides."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from histograft.core.artefact import Draft, Input
from histograft.core.errors import InputError
from histograft.verbs.feature_formats.tiles import SlideTiles, TileScale

_SAFE_NAME = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}")


@dataclass(frozen=True)
class SlideNote:
    """What the user's table says of a slide; all of it may be unknown."""

    patient_id: str | None = None
    mpp: float | None = None
    target: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Found:
    """One slide that a layout holds.

    Attributes
    ----------
    slide_id : str
        Its name.
    files : tuple of pathlib.Path
        Files that it is read from, those of coordinates among them.
    load : callable
        Reads it; takes the µm/px of level 0 that the user states, or None.
    patient_id : str or None
        Its patient, where the layout says so.
    model : str or None
        Its model, where the layout says so by more than the files' content.
    record : Input or None
        What goes into an identity in place of the files' content.
    """

    slide_id: str
    files: tuple[Path, ...]
    load: Callable[[float | None], SlideTiles]
    patient_id: str | None = None
    model: str | None = None
    record: Input | None = None


@dataclass(frozen=True)
class Written:
    """A slide that was written in a layout, for the layout's lists."""

    slide_id: str
    file: str
    n_tiles: int
    note: SlideNote
    scale: TileScale
    notes: tuple[str, ...]


class FeatureFormat(Protocol):
    """A layout; the modules of this package are instances of it."""

    def recognize(self, source: Path) -> bool:
        """Whether a folder has this layout."""

    def find(self, source: Path, model: str | None, coordinates: Path | None) -> list[Found]:
        """List the slides in a folder; `coordinates` is a folder of patch files, if given."""

    def write(self, draft: Draft, tiles: SlideTiles) -> tuple[str, tuple[str, ...]]:
        """Write one slide; return its feature file and what was rounded."""

    def write_lists(self, draft: Draft, slides: Sequence[Written]) -> tuple[str, ...]:
        """Write what lists all slides; return what the user must know."""


def check_name(name: str, what: str) -> str:
    """Return a name of a slide or model if it can name a file.

    Raises
    ------
    InputError
        It holds a slash, begins with a point, or is empty or too long.
    """
    if not _SAFE_NAME.fullmatch(name):
        raise InputError(f"the {what} {name!r} cannot name a file", f"rename the {what}")
    return name


def choose_model(models: Sequence[str], wanted: str | None, where: Path) -> str:
    """Choose one of the models that a layout holds.

    Raises
    ------
    InputError
        The wanted one is not there, or several are and none is wanted.
    """
    if wanted is None and len(models) == 1:
        return models[0]
    if wanted is None:
        raise InputError(
            f"{where} has features of {len(models)} models", f"give --model {'|'.join(models)}"
        )
    if wanted not in models:
        raise InputError(
            f"{where} has no features of the model {wanted}", f"choose of {', '.join(models)}"
        )
    return wanted
