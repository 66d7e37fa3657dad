"""Columns of a table as people read them."""

from __future__ import annotations

import math
import numbers

import numpy as np
import pandas as pd

from histograft.figures.numerals import NOTHING, format_p


def format_number(value: float) -> str:
    """Print a number with three significant digits.

    Parameters
    ----------
    value : float
        Any number.

    Returns
    -------
    str
        With a true minus sign; thousands apart by commas.

    Examples
    --------
    >>> [format_number(v) for v in (0.98412, -0.0123, 12.3456, 7180, 3e-7, 1.0, 0)]
    ['0.984', '−0.0123', '12.3', '7,180', '3.00e−07', '1.00', '0']
    """
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if value == 0 or size >= 1000:
        text = f"{value:,.0f}"
    elif size < 1e-4:
        text = f"{value:.2e}"
    else:
        text = f"{value:.{2 - math.floor(math.log10(size))}f}"
    return text.replace("-", "−")


def is_p_column(name: object) -> bool:
    """Whether a column's name says that it holds p values.

    Examples
    --------
    >>> is_p_column("p_adjusted"), is_p_column("p value"), is_p_column("patches")
    (True, True, False)
    """
    word = str(name).lower().replace("_", " ")
    return word == "p" or word.startswith(("p ", "p-")) or word == "adjusted p"


def format_column(cells: pd.Series, *, p: bool = False) -> list[str]:
    """Print the cells of a column alike.

    Parameters
    ----------
    cells : pandas.Series
        Text, numbers, truth values or missing values.
    p : bool
        Whether they are p values.

    Returns
    -------
    list of str
        Numbers are whole where the whole column is; "–" stands for a missing value.

    Examples
    --------
    >>> format_column(pd.Series([1.0, 0.98412, None])), format_column(pd.Series([1.0, 7180.0]))
    (['1.00', '0.984', '–'], ['1', '7,180'])
    >>> format_column(pd.Series([True, None], dtype="boolean"))
    ['yes', '–']
    """
    whole = is_numeric(cells) and all(float(v).is_integer() for v in cells.dropna())
    return [_format_cell(cell, whole=whole and not p, p=p) for cell in cells]


def is_numeric(cells: pd.Series) -> bool:
    """Whether a column holds numbers (and missing values) only.

    Examples
    --------
    >>> is_numeric(pd.Series([1, None])), is_numeric(pd.Series([1, "a"]))
    (True, False)
    >>> is_numeric(pd.Series([True])), is_numeric(pd.Series([1.5, 2], dtype=object))
    (False, True)
    """
    known = [cell for cell in cells if not _is_missing(cell)]
    return bool(known) and all(
        isinstance(cell, numbers.Real) and not isinstance(cell, (bool, np.bool_)) for cell in known
    )


def _is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or cell != cell


def _format_cell(cell: object, *, whole: bool, p: bool) -> str:
    if _is_missing(cell):
        return NOTHING
    if isinstance(cell, (bool, np.bool_)):
        return "yes" if cell else "no"
    if not isinstance(cell, numbers.Real):
        return str(cell)
    if whole:
        return f"{float(cell):,.0f}".replace("-", "−")
    return format_p(float(cell)) if p else format_number(float(cell))
