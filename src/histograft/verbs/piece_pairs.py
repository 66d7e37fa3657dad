"""Pieces of patches artefacts: at one scale, at two that fit, and beside unlabelled ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.reporter import counted, listed
from histograft.core.seeds import generator
from histograft.core.units import SCANNER_TOLERANCE
from histograft.verbs.patch_images import load_patches

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_SAME = ["patch_id", "split", "source_sha256"]


@dataclass(frozen=True)
class Sets:
    """The patches artefacts of a distillation.

    Attributes
    ----------
    coarse : Artefact
        Labelled pieces at the scale of the network that learns.
    fine : Artefact or None
        The same at the teacher's scale.
    unlabelled, unlabelled_fine : Artefact or None
        More pieces at both scales.
    """

    coarse: Artefact
    fine: Artefact | None = None
    unlabelled: Artefact | None = None
    unlabelled_fine: Artefact | None = None

    def by_role(self) -> Iterator[tuple[str, Artefact | None]]:
        """Yield what each was used for, and the artefact."""
        yield "patches", self.coarse
        yield "fine", self.fine
        yield "unlabelled", self.unlabelled
        yield "unlabelled_fine", self.unlabelled_fine


class Pieces:
    """Pieces of some rows of a table, with sizes that are read without decoding.

    Parameters
    ----------
    artefact : Artefact
        Of kind ``patches``.
    rows : pandas.DataFrame
        Rows of its table.
    """

    def __init__(self, artefact: Artefact, rows: pd.DataFrame) -> None:
        from histograft.verbs.patch_images import images_of

        self._images = images_of(artefact, rows)
        self._paths = [artefact.path / name for name in rows["file_name"]]
        self._shapes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def shape(self, index: int) -> tuple[int, int]:
        """Return (height, width) of a piece."""
        if index not in self._shapes:
            self._shapes[index] = _png_shape(self._paths[index])
        return self._shapes[index]

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return a piece, uint8 (H, W, 3)."""
        return self._images.image(index)


class Joined:
    """Pieces of one source, then those of another."""

    def __init__(self, first: Pieces, second: Pieces) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def _at(self, index: int) -> tuple[Pieces, int]:
        n = len(self._first)
        return (self._first, index) if index < n else (self._second, index - n)

    def shape(self, index: int) -> tuple[int, int]:
        """Return (height, width) of a piece."""
        source, at = self._at(index)
        return source.shape(at)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return a piece, uint8 (H, W, 3)."""
        source, at = self._at(index)
        return source.image(at)


def unlabelled_rows(sets: Sets, share: float) -> pd.DataFrame:
    """Return the rows of a share of the unlabelled pieces, in the order of the table.

    Whole groups are taken in an order that depends on their names alone, until the share is
    reached: a smaller share lies in a larger one, and seeds of a training do not change it. Those
    of the development split are left out, see `development_rows`.

    Parameters
    ----------
    sets : Sets
        With unlabelled pieces.
    share : float
        Above 0, at most 1.
    """
    import numpy as np

    if sets.unlabelled is None:
        raise InputError("there are no unlabelled pieces", "give --unlabelled")
    table = load_patches(sets.unlabelled)
    table = table[~_of_development(table)]
    if share >= 1:
        return table
    sizes = table["group"].value_counts().sort_index()
    order = generator(0, "shares of unlabelled pieces").permutation(len(sizes))
    reached = np.cumsum(sizes.to_numpy()[order])
    n_groups = int(np.searchsorted(reached, share * len(table) - 1e-9)) + 1
    return table[table["group"].isin(sizes.index[order[:n_groups]])]


def development_rows(sets: Sets) -> pd.DataFrame:
    """Return the rows of the development split: unlabelled pieces that the samples call val or dev.

    No student learns from them; they choose the epoch of those that learn from the others.
    """
    if sets.unlabelled is None:
        raise InputError("there are no unlabelled pieces", "give --unlabelled")
    table = load_patches(sets.unlabelled)
    return table[_of_development(table)]


def _of_development(table: pd.DataFrame) -> pd.Series[bool]:
    drawn = table["split_source"].str.startswith("drawn")
    return (table["split"] == "val") & ~drawn  # of unlabelled pieces no split needs to be drawn


def _png_shape(path: Path) -> tuple[int, int]:
    """Read height and width from the first 24 bytes: signature, then the chunk IHDR."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or head[12:16] != b"IHDR":
        raise InputError(f"{path} is no PNG file", "make the patches artefact again")
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")


def check_pairs(sets: Sets) -> None:
    """Refuse artefacts that are not the same pieces at two scales.

    Raises
    ------
    InputError
        They were made of other samples, splits or levels, or the wrong one is finer; unlabelled
        pieces are at other levels than labelled ones.
    """
    for coarse, fine in ((sets.coarse, sets.fine), (sets.unlabelled, sets.unlabelled_fine)):
        if coarse is None or fine is None:
            continue
        ratio = _ratio(coarse, fine)
        tables = load_patches(coarse), load_patches(fine)
        if not tables[0][_SAME].equals(tables[1][_SAME]):
            raise InputError(
                f"{coarse.path} and {fine.path} do not hold the same pieces in the same splits: "
                f"{_first_difference(*tables, (coarse.path, fine.path))}",
                "make both by `histograft rescale` from the same samples, with the same options "
                "but --level",
            )
        _check_sizes(coarse, fine, tables, ratio)
    for labelled, more in ((sets.coarse, sets.unlabelled), (sets.fine, sets.unlabelled_fine)):
        if labelled is not None and more is not None:
            check_level(labelled, more, f"{labelled.path} is at", f"{more.path} at")


def _first_difference(coarse: pd.DataFrame, fine: pd.DataFrame, paths: tuple[Path, Path]) -> str:
    """Say which pieces one table lacks, or else which are not the same in both."""
    named = [dict(zip(t["patch_id"], _names(t), strict=True)) for t in (coarse, fine)]
    for here, there, path in ((0, 1, paths[1]), (1, 0, paths[0])):
        lacking = [name for one, name in named[here].items() if one not in named[there]]
        if lacking:
            return f"{path} lacks {counted(len(lacking), 'piece')} ({listed(lacking)})"
    both = coarse.merge(fine, on="patch_id", suffixes=("", "_fine"))
    for column, what in (("split", "in another split"), ("source_sha256", "of another content")):
        odd = both.loc[both[column] != both[f"{column}_fine"], "patch_id"]
        if len(odd):
            names = listed(named[0][one] for one in odd)
            return f"{counted(len(odd), 'piece')} {what} ({names})"
    return "their order is another one"


def _names(table: pd.DataFrame) -> list[str]:
    """Call pieces by their files where each is a file of its own, as users do."""
    return list(table["patch_id" if table["source_file"].duplicated().any() else "source_file"])


def check_level(wanted: Artefact, given: Artefact, first: str, second: str) -> None:
    """Refuse pieces or networks of two levels where one is meant.

    Parameters
    ----------
    wanted, given : Artefact
        Of kind ``patches`` or ``network``; without a level anything fits.
    first, second : str
        What they are, each to be followed by its level.

    Raises
    ------
    InputError
        Their scales differ by more than those of scanners do.
    """
    facts = wanted.facts, given.facts
    if any("level" not in f for f in facts):
        return
    ratio = float(facts[1]["level"]) / float(facts[0]["level"])
    if facts[0]["scale"] != facts[1]["scale"] or abs(ratio - 1) > SCANNER_TOLERANCE:
        raise InputError(
            f"{first} {level_text(facts[0])}, and {second} {level_text(facts[1])}",
            f"make them with `histograft rescale --level {facts[0]['level']:g}`",
        )


def level_text(facts: Mapping[str, Any]) -> str:
    """Say the level of pieces or of a network.

    Examples
    --------
    >>> level_text({"level": 8.0, "scale": "mpp"}), level_text({"level": 4.0, "scale": "relative"})
    ('8 µm/px', '4 native pixels a pixel')
    """
    unit = "µm/px" if facts["scale"] == "mpp" else "native pixels a pixel"
    return f"{facts['level']:g} {unit}"


def _check_sizes(
    coarse: Artefact, fine: Artefact, tables: tuple[pd.DataFrame, pd.DataFrame], ratio: float
) -> None:
    from histograft.imaging.scale_pair import check_pair

    pieces = Pieces(coarse, tables[0]), Pieces(fine, tables[1])
    for i, name in enumerate(_names(tables[0])):
        check_pair(pieces[1].shape(i), pieces[0].shape(i), ratio, str(name))


def _ratio(coarse: Artefact, fine: Artefact) -> float:
    facts = coarse.facts, fine.facts
    if any("level" not in f for f in facts) or facts[0]["scale"] != facts[1]["scale"]:
        raise InputError(
            f"{coarse.path} and {fine.path} are not levels of one ladder",
            "make both by `histograft rescale`, with the same --scale",
        )
    ratio = float(facts[0]["level"]) / float(facts[1]["level"])
    if ratio < 1:
        raise InputError(
            f"{fine.path} is coarser than {coarse.path}", "give the teacher the finer scale"
        )
    return ratio
