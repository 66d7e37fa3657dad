"""A molecular table with a row for each patient, and how it came to be."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class PatientTable:
    """Values of patients and genes.

    Attributes
    ----------
    values : pandas.DataFrame of float64, patients x genes
        The index is called ``patient_id``. NaN where nothing is known.
    samples : pandas.DataFrame
        Which samples went into it: ``sample_id`` (as written), ``patient_id``.
    genes : pandas.DataFrame
        A row for each column of `values`: ``gene``, ``n_patients`` with a value, ``n_missing``,
        ``constant`` (all values equal: nothing can be learned), and more. Constant genes are
        reported, not dropped: a choice by variance belongs into training folds.
    drops : pandas.DataFrame
        What was left out, with the columns of `histograft.core.tables.DROPS`.
    notes : tuple of str
        What a reader of the results should know.
    """

    values: pd.DataFrame = field(repr=False)
    samples: pd.DataFrame = field(repr=False)
    genes: pd.DataFrame = field(repr=False)
    drops: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]


def count_values(values: pd.DataFrame) -> pd.DataFrame:
    """Return what `PatientTable.genes` says of every kind of values.

    Examples
    --------
    >>> table = pd.DataFrame({"A": [1.0, 1.0, None], "B": [0.0, 1.0, 1.0]})
    >>> count_values(table)[["gene", "n_patients", "constant"]].values.tolist()
    [['A', 2, True], ['B', 3, False]]
    """
    known = values.notna().sum().to_numpy()
    low, high = values.min().to_numpy(), values.max().to_numpy()
    return pd.DataFrame(
        {
            "gene": values.columns.astype("string"),
            "n_patients": known,
            "n_missing": len(values) - known,
            "constant": ~(low < high),
        }
    )
