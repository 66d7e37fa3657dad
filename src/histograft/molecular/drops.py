"""What is not used, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from histograft.core.tables import DROPS


class DropList:
    """Collects what is left out of one source.

    Parameters
    ----------
    source : str
        Table or file in which it was found.

    Examples
    --------
    >>> drops = DropList("slides.csv")
    >>> drops.add("slide", "s7", "tissue", "0.2 mm² of 1")
    >>> drops.table()[["name", "reason", "count"]].values.tolist()
    [['s7', 'tissue', 1]]
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows: list[tuple[str, str, str, str, str, int]] = []

    def add(self, kind: str, name: str, reason: str, detail: str = "", count: int = 1) -> None:
        """Write down that something is left out; a count of 0 is not written."""
        if count > 0:
            row = (self._source, kind, name or "(empty)", reason, detail, int(count))
            self._rows.append(row)

    def table(self) -> pd.DataFrame:
        """Return a table with the columns of `histograft.core.tables.DROPS`."""
        frame = pd.DataFrame(self._rows, columns=DROPS.column_names())
        return DROPS.check(frame, self._source)


def join_drops(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put tables of drops under each other.

    Examples
    --------
    >>> len(join_drops([DropList("a").table(), DropList("b").table()]))
    0
    """
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else DropList("nothing").table()
