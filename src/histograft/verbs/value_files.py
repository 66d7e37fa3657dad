"""Predictions of numbers: a tidy table of millions of rows, written and read some genes a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.tables import VALUE_PREDICTIONS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

VALUES = "values.parquet"
ROWS_AT_ONCE = 1 << 20
TEXTS = ("model", "dataset", "protocol", "unit", "target")


@dataclass(frozen=True)
class ValueTable:
    """Predictions of some genes by one model.

    Attributes
    ----------
    model, dataset, protocol : str
        As in `histograft.core.tables.VALUE_PREDICTIONS`.
    units : list of str
        N patients.
    targets : list of str
        G genes.
    folds : ndarray of int, shape (R, N)
        Fold in which each unit was tested; -1 where no gene of the table says so.
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


def genes_at_once(n_repeats: int, n_units: int) -> int:
    """How many genes a table should hold, so that memory stays small whatever their number.

    Examples
    --------
    >>> genes_at_once(50, 344)
    60
    """
    return max(1, ROWS_AT_ONCE // max(n_repeats * n_units, 1))


def write_values(path: Path, tables: Iterable[ValueTable]) -> None:
    """Write predictions, one row group for each table.

    Parameters
    ----------
    path : pathlib.Path
        A Parquet file with the columns of `histograft.core.tables.VALUE_PREDICTIONS`, rows by
        model, gene, repeat and unit.
    tables : iterable of ValueTable
        Of some genes each, taken as needed; all genes of a model after one another.
    """
    write_row_groups(path, map(_block, tables))


def write_row_groups(path: Path, blocks: Iterable[pa.Table]) -> None:
    """Write one Parquet file, a row group for each block; blocks are taken as needed."""
    import pyarrow.parquet as pq

    writer = None
    try:
        for block in blocks:
            writer = writer or pq.ParquetWriter(path, block.schema, compression="zstd")
            writer.write_table(block, row_group_size=max(len(block), 1))
    finally:
        if writer is not None:
            writer.close()


def read_values(artefact: Artefact) -> Iterator[ValueTable]:
    """Read predictions back, some genes of one model at a time.

    Parameters
    ----------
    artefact : Artefact
        With a file of `write_values`.

    Yields
    ------
    ValueTable
        Units are the same in all, in the order in which they first occur in the file.

    Raises
    ------
    InputError
        It is no such file: a column is missing or empty, a gene stands in two places, or a row
        group is not of one model.
    """
    import pyarrow.parquet as pq

    name = f"{artefact.path.name}/{VALUES}"
    with pq.ParquetFile(artefact.file(VALUES)) as file:
        VALUE_PREDICTIONS.check(next(file.iter_batches(1000)).to_pandas(), name)
        groups = range(file.num_row_groups)
        units = list(
            dict.fromkeys(unit for g in groups for unit in _names(file.read_row_group(g, ["unit"])))
        )
        seen: set[tuple[str, str]] = set()
        for group in groups:
            table = _unblocked(file.read_row_group(group), units, name)
            pairs = {(table.model, target) for target in table.targets}
            if seen & pairs:
                raise InputError(
                    f"{name}: {min(seen & pairs)[1]} stands in two places",
                    "make the predictions again (histograft predict)",
                )
            seen |= pairs
            yield table


def _names(column: pa.Table) -> list[str]:
    """Return the texts of a column in the order in which they occur first."""
    import pyarrow.compute as pc

    return [str(text) for text in pc.unique(column.column(0).combine_chunks()).to_pylist()]


def _unblocked(rows: pa.Table, units: list[str], name: str) -> ValueTable:
    """Turn the rows of a row group into arrays, by codes: rows are many, names are few."""
    import numpy as np
    import pyarrow as pa

    texts, codes = {}, {}
    for column in TEXTS:
        cells = rows.column(column).combine_chunks()
        cells = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
        if cells.null_count:
            raise InputError(
                f"{name}: the column {column} has empty cells", "make the predictions again"
            )
        used, codes[column] = np.unique(np.asarray(cells.indices), return_inverse=True)
        texts[column] = [str(cells.dictionary[int(i)].as_py()) for i in used]
    if several := [c for c in ("model", "dataset", "protocol") if len(texts[c]) > 1]:
        raise InputError(
            f"{name}: a row group holds more than one {several[0]}", "make the predictions again"
        )
    place = {unit: i for i, unit in enumerate(units)}
    unit = np.array([place[text] for text in texts["unit"]])[codes["unit"]]
    target, repeat = codes["target"], np.asarray(rows.column("repeat"))
    shape = (int(repeat.max()) + 1, len(units), len(texts["target"]))
    predicted = np.full(shape, np.nan, np.float32)
    predicted[repeat, unit, target] = np.asarray(rows.column("predicted"))
    truth = np.full(shape[1:], np.nan, np.float32)
    truth[unit, target] = np.asarray(rows.column("truth"))
    folds = np.full(shape[:2], -1, np.int16)
    folds[repeat, unit] = np.asarray(rows.column("fold"))
    model, dataset, protocol = (texts[column][0] for column in ("model", "dataset", "protocol"))
    return ValueTable(
        model, dataset, protocol, units, texts["target"], folds, truth, predicted
    )  # fmt: skip


def _block(table: ValueTable) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    n_repeats, n_units, n_genes = table.predicted.shape
    shape = (n_genes, n_repeats, n_units)
    truth = np.broadcast_to(table.truth.T[:, None], shape)
    known = np.isfinite(truth).ravel()

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
        "target": text(table.targets, spread(np.arange(n_genes)[:, None, None])),
        "truth": pa.array(spread(truth)),
        "predicted": pa.array(spread(np.moveaxis(table.predicted, 2, 0))),
    }
    return pa.table(columns)
