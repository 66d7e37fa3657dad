"""Text tables of molecular portals: comment lines, a header, millions of cells.

Cells are parsed by Arrow, and only those columns that are asked for.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv as arrow_csv

from histograft.core.errors import InputError
from histograft.molecular.unpack import buffered, damage_explained, unpacked

TEXT = pa.dictionary(pa.int32(), pa.string())
NUMBER = pa.float64()
MISSING = ("", "NA", "NaN", "nan", "N/A", "#N/A", "null", "NULL", "None")
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons"}
_LEAST_BLOCK, _MOST_BLOCK = 1 << 22, 1 << 29
_BLOCK_BYTES_A_COLUMN = 1 << 14
_BAD_CELL = re.compile(
    r"In CSV column #(\d+): Row #(\d+): CSV conversion error to (\w+): invalid value '(.*)'", re.S
)
_BAD_TEXT = re.compile(r"In CSV column #(\d+): Row #(\d+): .*UTF8")


@dataclass(frozen=True)
class Delimited:
    """A table whose header has been read and whose rows have not.

    Attributes
    ----------
    name : str
        For messages.
    header : tuple of str
        Names of the columns. Where the header lacks a cell above the names of rows, as R's
        ``write.table`` leaves it, the first name is empty.
    comments : tuple of str
        Lines before the header that begin with ``#``.
    delimiter : str
        What separates cells.
    quoted : bool
        Whether the header's cells are in double quotes; then those of rows may be too.
    first_line : int
        Line number of the first row.
    row_bytes : int
        Length of the first row.
    rows : binary file
        What follows the header.
    """

    name: str
    header: tuple[str, ...]
    comments: tuple[str, ...]
    delimiter: str
    quoted: bool
    first_line: int
    row_bytes: int
    rows: io.BufferedReader = field(repr=False)

    def find(self, *names: str) -> int | None:
        """Position of the first of `names` that the header has; capitals do not matter."""
        lower = [cell.lower() for cell in self.header]
        return next((lower.index(name.lower()) for name in names if name.lower() in lower), None)


def open_delimited(stream: BinaryIO, name: str, delimiters: str = "\t") -> Delimited:
    r"""Read comment lines and the header of a table.

    Parameters
    ----------
    stream : binary file
        The table; plain, gzip or zip. UTF-8, with Windows or Unix line ends.
    name : str
        Its name, for messages.
    delimiters : str
        Characters that may separate cells.

    Returns
    -------
    Delimited

    Raises
    ------
    InputError
        It is empty, no text, in UTF-16, has the line ends of old Macs, no header, or cells that
        are separated otherwise.

    Examples
    --------
    >>> table = open_delimited(io.BytesIO(b"#v1\r\ngene\tp1\r\nTP53\t1\r\n"), "a.tsv")
    >>> table.header, table.comments, table.first_line
    (('gene', 'p1'), ('#v1',), 3)
    """
    plain = unpacked(stream, name)
    comments: list[str] = []
    with damage_explained(name):
        line, number = plain.readline().removeprefix(_UTF8_MARK), 1
        _refuse_foreign_text(line, name)
        while line.startswith(b"#") or (line and not line.strip()):
            comments += [_decoded(line, name)] if line.strip() else []
            line, number = plain.readline(), number + 1
        first_row = plain.readline()
    text = _decoded(line, name)
    if not text:
        raise InputError(f"{name} has no header", "take the whole file, with its line of names")
    delimiter = _delimiter_of(text, delimiters, name)
    header, row = (_cells(t, delimiter) for t in (text, _decoded(first_row, name)))
    if len(row) == len(header) + 1:
        # A separator at the end of each row, else names of rows without a name above them.
        header = ["", *header] if row[-1].strip() else [*header, ""]
    return Delimited(
        name,
        tuple(cell.strip() for cell in header),
        tuple(comments),
        delimiter,
        '"' in text,
        number + 1,
        max(len(line), len(first_row)),
        buffered(plain, first_row),
    )


def read_columns(table: Delimited, types: Mapping[int, pa.DataType]) -> dict[int, pa.ChunkedArray]:
    r"""Read some columns of all rows.

    Parameters
    ----------
    table : Delimited
        Its rows are used up.
    types : mapping of int to pyarrow.DataType
        Positions of the columns wanted, with `TEXT` or `NUMBER`.

    Returns
    -------
    dict of int to pyarrow.ChunkedArray
        By position. A number is null where nothing or one of `MISSING` is written.

    Raises
    ------
    InputError
        A row has more or fewer cells than the header, a cell is not a number or not UTF-8; the
        message names the line.

    Examples
    --------
    >>> table = open_delimited(io.BytesIO(b"gene\tp1\tp2\nTP53\t1\tNA\n"), "a.tsv")
    >>> read_columns(table, {2: NUMBER})[2].to_pylist()
    [None]
    """
    names = [f"c{i}" for i in range(len(table.header))]
    block = max(len(names) * _BLOCK_BYTES_A_COLUMN, 8 * table.row_bytes, _LEAST_BLOCK)
    ragged: list[tuple[int, int]] = []

    def judge(row: arrow_csv.InvalidRow) -> str:
        if row.text.startswith("#"):
            return "skip"
        ragged.append((row.number, row.actual_columns))
        return "error"

    if not table.rows.peek(1):
        return {i: pa.chunked_array([], type=kind) for i, kind in types.items()}
    with damage_explained(table.name), _explained(table, ragged):
        read = arrow_csv.read_csv(
            table.rows,
            read_options=arrow_csv.ReadOptions(
                # One thread, since only then does Arrow know the number of a row.
                column_names=names,
                use_threads=False,
                block_size=min(block, _MOST_BLOCK),
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=table.delimiter,
                quote_char='"' if table.quoted else False,
                invalid_row_handler=judge,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={names[i]: kind for i, kind in types.items()},
                include_columns=[names[i] for i in types],
                null_values=list(MISSING),
                strings_can_be_null=False,
            ),
        )
    return {i: read.column(place) for place, i in enumerate(types)}


def text_column(values: pa.ChunkedArray) -> list[str]:
    """Return a column of `TEXT` as texts without space around them."""
    return [("" if text is None else text.strip()) for text in values.to_pylist()]


def named_columns(table: Delimited, wanted: Sequence[str], fix: str) -> list[int]:
    """Positions of columns, or an error that names those that are missing."""
    places = [table.find(name) for name in wanted]
    missing = [name for name, place in zip(wanted, places, strict=True) if place is None]
    if missing:
        found = ", ".join(table.header[:8]) + (" …" if len(table.header) > 8 else "")
        raise InputError(f"{table.name} lacks the column(s) {', '.join(missing)} ({found})", fix)
    return [place for place in places if place is not None]


@contextmanager
def _explained(table: Delimited, ragged: list[tuple[int, int]]) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowCapacityError) as error:
        raise _readable(table, str(error), ragged) from error


def _readable(table: Delimited, message: str, ragged: list[tuple[int, int]]) -> InputError:
    def line(row: int | str) -> int:
        return table.first_line + int(row) - 1

    if ragged:
        row, cells = ragged[0]
        return InputError(
            f"{table.name}, line {line(row)}: {cells} cells, but the header has "
            f"{len(table.header)} names",
            "copy the file again: it may be cut short, or a cell may hold a separator",
        )
    if cell := _BAD_CELL.search(message):
        title = table.header[int(cell[1])]
        return InputError(
            f"{table.name}, line {line(cell[2])}, column {title!r}: {cell[4]!r} is not a number",
            "write numbers with a decimal point, and NA or nothing where there is none",
        )
    if text_cell := _BAD_TEXT.search(message):
        return InputError(f"{table.name}, line {line(text_cell[2])}: not UTF-8", "save it as UTF-8")
    return InputError(f"{table.name} is not a table: {message}", "copy it again from its source")


def _refuse_foreign_text(line: bytes, name: str) -> None:
    if line.startswith(_UTF16_MARKS):
        raise InputError(f"{name} is UTF-16 text", "save it as UTF-8")
    if b"\0" in line:
        raise InputError(f"{name} is not a text file", "give a table of text, plain or gzip or zip")
    if b"\r" in line.rstrip(b"\r\n"):
        raise InputError(f"{name} has the line ends of old Macs", "save it with Unix line ends")


def _decoded(line: bytes, name: str) -> str:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text", "save it as UTF-8") from error


def _delimiter_of(header: str, allowed: str, name: str) -> str:
    for delimiter in allowed:
        if delimiter in header:
            return delimiter
    others = [word for d, word in _SEPARATORS.items() if d in header and d not in allowed]
    if others:
        wanted = " or ".join(_SEPARATORS[d] for d in allowed)
        raise InputError(
            f"{name} is separated by {others[0]}, not by {wanted}",
            f"save it as text with {wanted} between cells",
        )
    return allowed[0]


def _cells(line: str, delimiter: str) -> list[str]:
    if '"' in line:
        return next(csv.reader([line], delimiter=delimiter), [])
    return line.split(delimiter)
