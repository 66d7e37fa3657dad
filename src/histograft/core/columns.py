"""What a table must hold: columns of a kind, filled or not, and the check of a table.

The tables that pass between verbs are in `histograft.core.tables`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from histograft.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["text", "number", "integer", "boolean"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : {"text", "number", "integer", "boolean"}
        What its cells hold.
    meaning : str
        One line for people, with unit and range.
    required : bool
        Whether the table must have the column.
    nullable : bool
        Whether cells may be empty.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = field(default=True, kw_only=True)
    nullable: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class TableSpec:
    """The columns of one kind of table.

    Attributes
    ----------
    name : str
        Name of the table, for messages.
    columns : tuple of Column
        In their usual order.
    key : tuple of str
        Columns that together name a row once.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def column_names(self) -> list[str]:
        """Names of all columns, in order."""
        return [column.name for column in self.columns]

    def check(self, table: pd.DataFrame, where: str) -> pd.DataFrame:
        """Return the table with the columns' types, or say what is wrong.

        Parameters
        ----------
        table : pandas.DataFrame
            The table to check; further columns are kept.
        where : str
            Name of the file, for messages.

        Returns
        -------
        pandas.DataFrame
            A copy with the known columns first, converted to their kinds.

        Raises
        ------
        InputError
            A column is missing, a cell that must be filled is empty, a cell is not of the
            column's kind, or a key occurs twice.
        """
        missing = [c.name for c in self.columns if c.required and c.name not in table.columns]
        if missing:
            found = ", ".join(map(str, table.columns)) or "none"
            raise InputError(
                f"{where}: the {self.name} table lacks {_columns(missing)} (found: {found})",
                f"{_rename_or_add(missing, table)}; the {self.name} table is described in "
                "docs/formats.md",
            )
        known = [c for c in self.columns if c.name in table.columns]
        checked = table.copy()
        for column in known:
            checked[column.name] = _convert(checked[column.name], column, self.name, where)
        self._check_key(checked, where)
        names = [c.name for c in known]
        return checked[names + [c for c in table.columns if c not in names]]

    def _check_key(self, table: pd.DataFrame, where: str) -> None:
        if not self.key:
            return
        twice = table.duplicated(list(self.key), keep=False)
        if twice.any():
            first = table.loc[twice, list(self.key)].iloc[0]
            example = ", ".join(f"{name} {first[name]!r}" for name in self.key)
            raise InputError(
                f"{where}: {int(twice.sum())} rows of the {self.name} table share a key, "
                f"first {example}",
                f"keep one row for each {' + '.join(self.key)}",
            )


def _convert(values: pd.Series, column: Column, table: str, where: str) -> pd.Series:
    converted = _CONVERSIONS[column.kind](values, column, where)
    if not column.nullable and converted.isna().any():
        row = int(converted.isna().to_numpy().argmax())
        raise InputError(
            f"{where}: column {column.name!r} of the {table} table is empty in data row {row + 1}",
            f"fill it with {column.meaning}",
        )
    if column.kind == "integer" and not column.nullable:
        converted = converted.astype("int64")
    return converted


def _as_text(values: pd.Series, column: Column, where: str) -> pd.Series:  # noqa: ARG001
    import pandas as pd

    text = values.astype("string").str.strip()
    return text.mask(text == "", pd.NA)


def _as_number(values: pd.Series, column: Column, where: str) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    numbers = pd.to_numeric(values, errors="coerce")
    empty = values.isna() | (values.astype("string").str.strip() == "")
    _refuse_cells(numbers.isna() & ~empty, values, "a number", column, where)
    return numbers.astype("float64")


def _as_integer(values: pd.Series, column: Column, where: str) -> pd.Series:
    numbers = _as_number(values, column, where)
    _refuse_cells(numbers.notna() & (numbers % 1 != 0), values, "a whole number", column, where)
    return numbers.astype("Int64")


def _as_boolean(values: pd.Series, column: Column, where: str) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        return values.astype("boolean")
    words = values.astype("string").str.strip().str.lower()
    booleans = words.map({"true": True, "false": False, "1": True, "0": False}).astype("boolean")
    empty = words.isna() | (words == "")
    _refuse_cells(booleans.isna() & ~empty, values, "true or false", column, where)
    return booleans


_CONVERSIONS = {
    "text": _as_text,
    "number": _as_number,
    "integer": _as_integer,
    "boolean": _as_boolean,
}


def _refuse_cells(
    broken: pd.Series, values: pd.Series, wanted: str, column: Column, where: str
) -> None:
    if broken.any():
        row = int(broken.to_numpy(dtype=bool).argmax())
        raise InputError(
            f"{where}: column {column.name!r}, data row {row + 1}: "
            f"{values.iloc[row]!r} is not {wanted}",
            f"write {column.meaning}",
        )


def require_columns(table: pd.DataFrame, names: Sequence[str], where: str) -> None:
    """Raise an `InputError` naming the columns of `names` that `table` lacks."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        found = ", ".join(map(str, table.columns))
        raise InputError(
            f"{where} lacks {_columns(missing)} (found: {found})", _rename_or_add(missing, table)
        )


def _columns(names: Sequence[str]) -> str:
    return f"the column(s) {', '.join(names)}"


def _rename_or_add(missing: Sequence[str], table: pd.DataFrame) -> str:
    """Say what to do: columns with nearly the right name are probably meant."""
    lowered = {str(name).strip().lower(): str(name) for name in table.columns}
    steps, absent = [], []
    for name in missing:
        if near := difflib.get_close_matches(name, lowered, n=1):
            steps.append(f"rename the column {lowered[near[0]]!r} to {name!r}")
        else:
            absent.append(name)
    if absent:
        steps.append(f"add {_columns(absent)}")
    return ", ".join(steps)
