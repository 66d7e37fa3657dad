"""Tables that people write: comma-separated UTF-8 text, read as it stands."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.columns import require_columns
from histograft.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"))


def read_text_table(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    """Read a comma-separated table; every cell stays the text that was written.

    Parameters
    ----------
    path : pathlib.Path
        The file; a byte order mark is passed over.
    needed : sequence of str
        Columns that it must have.

    Returns
    -------
    pandas.DataFrame
        Of texts, empty where nothing is written.

    Raises
    ------
    InputError
        It is not UTF-8, not separated by commas, lacks a column, or a row has more cells than
        the header has names.
    """
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
        _refuse_other_delimiters(path, header, needed)
        names = next(csv.reader([header]), [])
        require_columns(pd.DataFrame(columns=names), needed, str(path))
        with warnings.catch_warnings():
            # Without index_col=False pandas takes the first of too many cells for a row's name.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path, dtype="string", encoding="utf-8-sig", keep_default_na=False, index_col=False
            )
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text", "save it as CSV UTF-8") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise InputError(
            f"{path} is not a table: {error}", "put cells that hold a comma in double quotes"
        ) from error


def _refuse_other_delimiters(path: Path, header: str, needed: Sequence[str]) -> None:
    """Refuse a table whose header is one name by commas, but several by something else."""
    names = next(csv.reader([header]), [])
    if set(needed) & set(names):
        return
    for delimiter, word in DELIMITERS:
        others = next(csv.reader([header], delimiter=delimiter), [])
        if set(needed) & set(others) or (len(names) == 1 < len(others)):
            decimal = ", with points in its numbers (0.5)" if delimiter == ";" else ""
            raise InputError(
                f"{path} is separated by {word}, not by commas",
                f"save it as comma-separated CSV UTF-8{decimal}",
            )
