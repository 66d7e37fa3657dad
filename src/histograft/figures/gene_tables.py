"""What the pictures of genes take from their tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from histograft.core.columns import require_columns
from histograft.core.errors import InputError
from histograft.figures import numerals

Q_TABLE = "the table of q values"
VALUES = [
    *("dataset", "protocol", "target", "model", "label", "metric"),
    *("value", "ci_low", "ci_high", "n_units"),
]
CORRELATIONS = {"pearson": "correlation (Pearson)", "spearman": "correlation (Spearman)"}


def numbers_of(rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return columns as float64, shape (rows, columns); NaN where a cell holds no number."""
    numbers = rows[list(names)].apply(pd.to_numeric, errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))


def signed(number: float) -> str:
    """Print a difference with its sign and three decimals.

    Examples
    --------
    >>> signed(0.126), signed(-0.0031), signed(0.0)
    ('+0.126', '−0.003', '0.000')
    """
    return numerals.signed(number, 3)


def with_interval(point: float, low: float, high: float) -> str:
    """Print an estimate with its interval, as far as they are known.

    Examples
    --------
    >>> with_interval(0.42, 0.33, 0.51), with_interval(-0.02, np.nan, np.nan)
    ('0.42 [0.33, 0.51]', '−0.02')
    >>> with_interval(np.nan, np.nan, np.nan)
    'not estimable'
    """
    if not np.isfinite(point):
        return "not estimable"
    texts = [numerals.plain(number) for number in (point, low, high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if np.isfinite([low, high]).all() else texts[0]


def match_place(table: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """Return the rows of a table that are of the data set of a row, and of its protocol.

    Parameters
    ----------
    table : pandas.DataFrame
        Column dataset; column protocol where data sets have several.
    row : pandas.Series
        Names dataset and protocol.

    Returns
    -------
    pandas.DataFrame
        A part of the table.
    """
    names = [name for name in ("dataset", "protocol") if name in table.columns]
    here: pd.Series[bool] = (table[names] == row[names]).all(axis=1)
    return table[here]


def require_protocol(table: pd.DataFrame, results: pd.DataFrame, where: str) -> None:
    """Raise an `InputError` if a table without protocols goes with results of several.

    Parameters
    ----------
    table : pandas.DataFrame
        The table to match.
    results : pandas.DataFrame
        Columns dataset and protocol.
    where : str
        Name of the table, for messages.
    """
    if "protocol" in table.columns:
        return
    places = results[["dataset", "protocol"]].drop_duplicates()
    twice = places.loc[places["dataset"].duplicated(), "dataset"]
    if len(twice):
        raise InputError(
            f"{where} has no column 'protocol', but {twice.iloc[0]!r} is reported under several",
            "add the column, so that no number stands beside another protocol's",
        )


def q_lookup(q_values: pd.DataFrame | None, row: pd.Series) -> dict[tuple[str, str], float]:
    """Return q by gene and model for the data set and protocol of a row.

    Raises
    ------
    InputError
        The table lacks a column.
    """
    if q_values is None:
        return {}
    require_columns(q_values, ["dataset", "target", "model", "q"], Q_TABLE)
    here = match_place(q_values, row)
    keys = zip(here["target"].astype(str), here["model"].astype(str), strict=True)
    return dict(zip(keys, numbers_of(here, ["q"])[:, 0].tolist(), strict=True))


def significant_genes(
    rows: pd.DataFrame, q_values: pd.DataFrame | None, fdr: float
) -> set[str] | None:
    """Return the genes with q below a rate in either model of one comparison.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns dataset, protocol, model, compared_with, the same in all rows.
    q_values : pandas.DataFrame or None
        Columns dataset, target, model, q.
    fdr : float
        False discovery rate, 0 to 1.

    Returns
    -------
    set of str or None
        None without a table: then nobody has tested.
    """
    if q_values is None:
        return None
    first = rows.iloc[0]
    both = {str(first["model"]), str(first["compared_with"])}
    found = q_lookup(q_values, first)
    return {gene for (gene, model), q in found.items() if model in both and q < fdr}


def gene_values(rows: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Return estimate and interval by model, from the rows of one gene.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns model, value, ci_low, ci_high. The first row of a model counts, since it may stand
        there once for each comparison.

    Returns
    -------
    dict of str to tuple of float
        NaN where unknown.
    """
    first = rows.drop_duplicates("model")
    numbers = numbers_of(first, ["value", "ci_low", "ci_high"])
    return {
        str(model): (float(point), float(low), float(high))
        for model, (point, low, high) in zip(first["model"], numbers, strict=True)
    }


def n_patients(rows: pd.DataFrame) -> str:
    """Say of how many patients rows are, to be set after the name of an axis.

    Examples
    --------
    >>> n_patients(pd.DataFrame({"n_units": [344, 350, None]}))
    ' · 344 to 350 patients'
    """
    known = rows["n_units"].dropna()
    if known.empty:
        return ""
    low, high = int(known.min()), int(known.max())
    return f" · {low:,} patients" if low == high else f" · {low:,} to {high:,} patients"
