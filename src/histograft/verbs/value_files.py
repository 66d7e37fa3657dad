"""Predictions of numbers: one tidy table of millions of rows, written and read gene by gene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.tables import VALUE_PREDICTIONS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

VALUES = "values.parquet"
ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class ValueTable:
    """Predictions of one model.

    Attributes
    ----------
    model, dataset, protocol : str
        As in `histograft.core.tables.VALUE_PREDICTIONS`.
    units : list of str
        N patients.
    targets : list of str
        G genes.
    folds : ndarray of int, shape (R, N)
        Fold in which each unit was tested.
    truth : ndarray of float32, shape (N, G)
        NaN where nothing is known; such units have no rows.
    predicted : ndarray of float32, shape (R, N, G)
        NaN where nothing could be predicted.
    """

    model: str
    dataset: str
    protocol: str
    units: list[str]
    targets: list[str]
    folds: NDArray[np.integer[Any]]
    truth: NDArray[np.float32]
    predicted: NDArray[np.float32]


def write_values(path: Path, tables: Iterable[ValueTable]) -> None:
    """Write predictions in blocks of whole genes, so that memory stays small.

    Parameters
    ----------
    path : pathlib.Path
        A Parquet file with the columns of `histograft.core.tables.VALUE_PREDICTIONS`, rows by
        model, gene, repeat and unit.
    tables : iterable of ValueTable
        One for each model.
    """
    import pyarrow.parquet as pq

    writer = None
    for table in tables:
        per_gene = table.predicted.shape[0] * table.predicted.shape[1]
        step = max(1, ROWS_AT_ONCE // max(per_gene, 1))
        for start in range(0, len(table.targets), step):
            block = _block(table, slice(start, start + step))
            if writer is None:
                writer = pq.ParquetWriter(path, block.schema, compression="zstd")
            writer.write_table(block)
    if writer is not None:
        writer.close()


def read_values(artefact: Artefact) -> Iterator[ValueTable]:
    """Read predictions back, one model at a time; rows must be those of `write_values`."""
    import numpy as np
    import pandas as pd

    frame = pd.read_parquet(artefact.file(VALUES))
    frame = VALUE_PREDICTIONS.check(frame, f"{artefact.path.name}/{VALUES}")
    for model, rows in frame.groupby("model", sort=False, observed=True):
        units = [str(u) for u in pd.unique(rows["unit"])]
        targets = [str(t) for t in pd.unique(rows["target"])]
        n_repeats = int(rows["repeat"].max()) + 1
        unit = pd.Index(units).get_indexer(rows["unit"])
        target = pd.Index(targets).get_indexer(rows["target"])
        repeat = rows["repeat"].to_numpy()
        predicted = np.full((n_repeats, len(units), len(targets)), np.nan, np.float32)
        predicted[repeat, unit, target] = rows["predicted"]
        truth = np.full((len(units), len(targets)), np.nan, np.float32)
        truth[unit, target] = rows["truth"]
        folds = np.full((n_repeats, len(units)), -1, np.int16)
        folds[repeat, unit] = rows["fold"]
        first = rows.iloc[0]
        yield ValueTable(
            str(model), str(first["dataset"]), str(first["protocol"]), units, targets, folds,
            truth, predicted,
        )  # fmt: skip


def _block(table: ValueTable, genes: slice) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    names = table.targets[genes]
    predicted = table.predicted[:, :, genes]  # R, N, g
    n_repeats, n_units, n_genes = predicted.shape
    truth = np.broadcast_to(table.truth[None, :, genes], predicted.shape)

    def by_gene(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.moveaxis(values, 2, 0)).ravel()

    shape = (n_genes, n_repeats, n_units)
    known = np.isfinite(by_gene(truth))

    def spread(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.broadcast_to(values, shape)).ravel()[known]

    def text(words: list[str], codes: NDArray[Any]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(words))

    one = np.zeros(int(known.sum()), np.int32)
    columns = {
        "model": text([table.model], one),
        "dataset": text([table.dataset], one),
        "protocol": text([table.protocol], one),
        "repeat": pa.array(spread(np.arange(n_repeats, dtype=np.int32)[None, :, None])),
        "fold": pa.array(spread(table.folds.astype(np.int32)[None])),
        "unit": text(table.units, spread(np.arange(n_units)[None, None])),
        "target": text(names, spread(np.arange(n_genes)[:, None, None])),
        "truth": pa.array(by_gene(truth)[known]),
        "predicted": pa.array(by_gene(predicted)[known]),
    }
    return pa.table(columns)
