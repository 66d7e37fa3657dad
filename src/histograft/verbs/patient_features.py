"""Features of patients: what `pool` made of slides, or a numeric table of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Input, is_artefact, open_artefact
from histograft.core.errors import InputError
from histograft.core.files import hash_file
from histograft.core.identity import hash_json
from histograft.verbs.feature_files import load_features, models_of, stated_by
from histograft.verbs.feature_origins import Origin

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.molecular.drops import DropList

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
PATIENTS = "patients.parquet"
ROWS_LOOKED_AT = 100
# Columns that name rows, the surest first; two of them in one table are refused.
UNIT_COLUMNS = ("patient_id", "patient", "sample", "unit", "case_id", "index")
# Where pandas writes the numbers of rows, 0, 1, 2 …, beside what the user named.
ROW_NUMBERS = ("index", "", "unnamed: 0")


@dataclass(frozen=True)
class PatientFeatures:
    """Features of several models for the same patients.

    Attributes
    ----------
    name : str
        Name of the cohort.
    patients : list of str
        Those that all models have, sorted: neither the order of tables nor that of their rows
        moves anybody to another fold.
    models : dict of str to pandas.DataFrame, float64 (P, D)
        Finite features by model; columns are called as in the user's table.
    drops : pandas.DataFrame
        Who is left out and why, with the columns of `histograft.core.tables.DROPS`.
    origins : dict of str to Origin
        How the features of each model were made; tables say nothing of it.
    """

    name: str
    patients: list[str]
    models: dict[str, pd.DataFrame]
    drops: pd.DataFrame
    origins: dict[str, Origin]


def is_patient_features(path: Path) -> bool:
    """Whether a path holds features of patients: a table, or a features artefact of `pool`."""
    if is_artefact(path):
        return open_artefact(path).facts.get("unit") == "patient"
    return path.suffix.lower() in TABLE_ENDINGS and path.is_file()


def read_patient_features(
    paths: Sequence[Path],
    wanted: Sequence[str] = (),
    role: str = "features",
    *,
    sample_types: Sequence[str] = ("01",),
) -> tuple[PatientFeatures, list[Input]]:
    """Read features of patients and keep the patients that all models have.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Features artefacts of `pool`, or CSV, TSV or Parquet tables with one row for each patient:
        one column of names (``patient_id``, or the first column of text), all others numbers. Row
        numbers that pandas wrote beside the names are left out and counted.
        A table's model takes the name of its file. Of TCGA barcodes the patient counts.
    wanted : sequence of str
        Models to keep, all if empty.
    role : str
        What the features are used for.
    sample_types : sequence of str
        TCGA sample types of tables that are kept; `pool` has chosen its own.

    Returns
    -------
    PatientFeatures
    list of Input
        What goes into the identity of the predictions.

    Raises
    ------
    InputError
        A table cannot be used, a model occurs twice, or no patient is in all.
    """
    from histograft.molecular.drops import join_drops

    tables: dict[str, pd.DataFrame] = {}
    origins: dict[str, Origin] = {}
    inputs, drops = [], []
    for path in paths:
        found, dropped, record = _read(path, role, sample_types)
        inputs.append(record)
        drops.append(dropped)
        origins |= _origins(path, list(found))
        for model, table in found.items():
            if model in tables:
                raise InputError(
                    f"two inputs hold a model {model}", "rename a table, or embed with --name"
                )
            tables[model] = table
    if unknown := [name for name in wanted if name not in tables]:
        option = role.replace("_", "-")
        raise InputError(
            f"--{option} has no features of the model {unknown[0]}",
            f"there are {', '.join(tables)}; a table's model is called as its file",
        )
    chosen = {name: tables[name] for name in wanted or tables}
    patients, lacking = _in_all(chosen)
    models = {name: table.loc[patients].astype("float64") for name, table in chosen.items()}
    name = Path(paths[0]).resolve().stem if len(chosen) == 1 else "cohort"
    drops_of_all = join_drops([*drops, lacking])
    return PatientFeatures(name, patients, models, drops_of_all, origins), inputs


def _in_all(tables: dict[str, pd.DataFrame]) -> tuple[list[str], pd.DataFrame]:
    """Return the patients of all tables, and the others with the models that lack them."""
    from histograft.molecular.drops import DropList

    drops = DropList("features")
    patients = []
    for patient in sorted({str(name) for table in tables.values() for name in table.index}):
        if lacks := [model for model, table in tables.items() if patient not in table.index]:
            drops.add("patient", patient, "not-in-all-models", f"not in: {', '.join(lacks)}")
        else:
            patients.append(patient)
    if not patients:
        raise InputError(
            f"no patient has features of all of {', '.join(tables)}",
            "see that the names of patients are written alike",
        )
    return patients, drops.table()


def _read(
    path: Path, role: str, sample_types: Sequence[str]
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, Input]:
    """Return tables by model, who was left out of them, and the input's identity."""
    import pandas as pd

    from histograft.molecular.drops import DropList

    if not is_artefact(path):
        table, drops = _read_table(path, sample_types)
        # The name of the file is that of the model, and so a part of the result.
        identity = hash_json([path.stem, hash_file(path).sha256])
        return {path.stem: table}, drops, Input(role, "table", identity, path.name)
    artefact = open_artefact(path, "features")
    if artefact.facts.get("unit") != "patient":
        raise InputError(
            f"{path} holds features of {artefact.facts.get('unit', 'patches')}, not of patients",
            "pool them first (histograft pool)",
        )
    names = pd.read_parquet(artefact.file(PATIENTS))["patient_id"].astype(str)
    found = {
        model: pd.DataFrame(load_features(artefact, model), index=names)
        for model in models_of(artefact)
    }
    return found, DropList(path.name).table(), artefact.as_input(role)


def _origins(path: Path, models: list[str]) -> dict[str, Origin]:
    if not is_artefact(path):
        return {model: Origin({}) for model in models}
    artefact = open_artefact(path, "features")
    return {model: Origin.read(stated_by(artefact, model)) for model in models}


def _read_table(path: Path, sample_types: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a numeric table: rows are patients, by name; every cell must be a finite number."""
    import pandas as pd

    from histograft.molecular.drops import DropList
    from histograft.molecular.samples import resolve_samples

    table, name = _raw_table(path)
    units = table[name].astype("string").str.strip()
    if units.isna().any() or (units == "").any():
        raise InputError(f"{path}: a cell of the column {name!r} is empty", "name every row")
    drops = DropList(path.name)
    numbering = [c for c in table.columns if c != name and _numbers_rows(table, c)]
    for column in numbering:
        drops.add("column", str(column), "row-numbers", f"rows are named by {name!r}")
    resolved = resolve_samples(units, sample_types=sample_types)
    patients = _patients_of(resolved.set_index(units.index), path, drops)
    rows = table.drop(columns=[name, *numbering])[patients.notna().to_numpy()]
    numbers = _finite(rows, units[rows.index], path)
    index = pd.Index(patients.dropna().astype(str))
    return pd.DataFrame(numbers, index=index, columns=rows.columns.astype(str)), drops.table()


def _patients_of(resolved: pd.DataFrame, path: Path, drops: DropList) -> pd.Series:
    """Return the patient of each row, missing where another tissue than those kept is meant."""
    from histograft.molecular.samples import kept_samples

    kept_samples(resolved, drops, path.name)
    patients: pd.Series = resolved["patient_id"].where(resolved["reason"] == "")
    if (twice := patients.dropna().duplicated()).any():
        raise InputError(
            f"{path}: {patients.dropna()[twice].iloc[0]} has several rows",
            "keep one row for each patient, such as the mean of its samples",
        )
    return patients


def _finite(values: pd.DataFrame, units: pd.Series, path: Path) -> NDArray[np.float64]:
    import numpy as np

    if not values.shape[1]:
        raise InputError(f"{path} has no column of features", "add columns of numbers")
    numbers: NDArray[np.float64] = values.apply(_as_numbers).to_numpy("float64")
    bad = ~np.isfinite(numbers)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        written = str(values.iat[row, column])
        cell = f"{written!r} of {units.iloc[row]}, {str(values.columns[column])!r}"
        raise InputError(
            f"{path}: {int(bad.sum())} cell(s) are no finite number, the first is {cell}",
            "fill or drop them; features may not be missing",
        )
    return numbers


def _raw_table(path: Path) -> tuple[pd.DataFrame, Any]:
    """Read a table; return it and its column of names, which are texts as they stand."""
    import pandas as pd

    if path.is_dir():
        raise InputError(
            f"{path} is a folder, but no finished features artefact",
            "features of slides are pooled first (histograft pool FEATURES --out PATIENTS)",
        )
    if not path.is_file():
        raise InputError(f"{path} does not exist", "give a table or a features artefact")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
            table = table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
            return _with_rows(table, path), _unit_column(table, path)
        # "NA" may name a patient, and 001 is another name than 1.
        options: dict[str, Any] = {
            "sep": "\t" if path.suffix.lower() in (".tsv", ".txt") else ",",
            "keep_default_na": False,
            "encoding": "utf-8-sig",
        }
        name = _unit_column(
            pd.read_csv(path, dtype="string", nrows=ROWS_LOOKED_AT, **options), path
        )
        table = pd.read_csv(path, dtype={name: "string"}, low_memory=False, **options)
        return _with_rows(table, path), name
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}", "write it again") from error


def _with_rows(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    if table.empty:
        raise InputError(f"{path} has no rows", "add a row for each patient")
    return table


def _unit_column(table: pd.DataFrame, path: Path) -> Any:
    """Return the column of names: of all that may be it, the first in the order of UNIT_COLUMNS."""
    named = [c for word in UNIT_COLUMNS for c in table.columns if _plain(c) == word]
    names = [c for c in named if not _numbers_rows(table, c)]
    if len(names) > 1:
        raise InputError(
            f"{path}: both {names[0]!r} and {names[1]!r} may name its rows",
            f"keep one of them, such as {names[0]}, and drop or rename the other",
        )
    texts = [c for c in table.columns if _as_numbers(table[c]).isna().all()]
    if not (found := names or texts or named):
        raise InputError(
            f"{path} has no column that names its rows", "add a column patient_id with the names"
        )
    return found[0]


def _numbers_rows(table: pd.DataFrame, column: Any) -> bool:
    """Whether a column holds the numbers that pandas gives rows: 0, 1, 2 and so on."""
    import numpy as np

    numbers = _as_numbers(table[column])
    in_order = numbers.to_numpy() == np.arange(len(table))
    return _plain(column) in ROW_NUMBERS and bool(in_order.all())


def _plain(column: Any) -> str:
    return str(column).strip().lower()


def _as_numbers(column: pd.Series) -> pd.Series:
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").astype("float64")
