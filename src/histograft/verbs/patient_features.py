"""Features of patients: what `pool` made of slides, or a numeric table of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Input, is_artefact, open_artefact
from histograft.core.errors import InputError
from histograft.core.files import hash_file
from histograft.verbs.feature_files import load_features, models_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
PATIENTS = "patients.parquet"
UNIT_COLUMNS = ("patient_id", "patient", "sample", "unit", "case_id", "index")


@dataclass(frozen=True)
class PatientFeatures:
    """Features of several models for the same patients.

    Attributes
    ----------
    name : str
        Name of the cohort.
    patients : list of str
        Names, in the order of the rows; those that all models have.
    models : dict of str to array, float64 (P, D)
        Finite features by model.
    left_out : dict of str to int
        Patients that one of the models lacks, by model.
    """

    name: str
    patients: list[str]
    models: dict[str, NDArray[np.float64]]
    left_out: dict[str, int]


def is_patient_features(path: Path) -> bool:
    """Whether a path holds features of patients: a table, or a features artefact of `pool`."""
    if is_artefact(path):
        return open_artefact(path).facts.get("unit") == "patient"
    return path.suffix.lower() in TABLE_ENDINGS and path.is_file()


def read_patient_features(
    paths: Sequence[Path], wanted: Sequence[str] = ()
) -> tuple[PatientFeatures, list[Input]]:
    """Read features of patients and keep the patients that all models have.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Features artefacts of `pool`, or CSV, TSV or Parquet tables with one row for each patient:
        one column of names (``patient_id``, or the first column of text), all others numbers.
        A table's model takes the name of its file.
    wanted : sequence of str
        Models to keep, all if empty.

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
    tables: dict[str, pd.DataFrame] = {}
    inputs = []
    for path in paths:
        found, record = _read(path)
        inputs.append(record)
        for model, table in found.items():
            if model in tables:
                raise InputError(
                    f"two inputs hold a model {model}", "rename a table, or embed with --name"
                )
            tables[model] = table
    if unknown := [name for name in wanted if name not in tables]:
        raise InputError(f"no features of the model {unknown[0]}", f"choose of {', '.join(tables)}")
    chosen = {name: tables[name] for name in wanted or tables}
    first, *others = chosen.values()
    patients = [p for p in first.index if all(p in other.index for other in others)]
    if not patients:
        raise InputError(
            f"no patient has features of all of {', '.join(chosen)}",
            "see that the names of patients are written alike",
        )
    models = {name: table.loc[patients].to_numpy("float64") for name, table in chosen.items()}
    left_out = {name: len(table) - len(patients) for name, table in chosen.items()}
    name = Path(paths[0]).resolve().stem if len(chosen) == 1 else "cohort"
    return PatientFeatures(name, patients, models, left_out), inputs


def _read(path: Path) -> tuple[dict[str, pd.DataFrame], Input]:
    import pandas as pd

    if not is_artefact(path):
        table = _read_table(path)
        return {path.stem: table}, Input("features", "table", hash_file(path).sha256, path.name)
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
    return found, artefact.as_input("features")


def _read_table(path: Path) -> pd.DataFrame:
    """Read a numeric table: rows are patients, by name; every cell must be a finite number."""
    import numpy as np
    import pandas as pd

    table = _raw_table(path)
    name = _unit_column(table, path)
    units = table[name].astype("string").str.strip()
    if units.isna().any() or (units == "").any():
        raise InputError(f"{path}: a cell of the column {name!r} is empty", "name every row")
    if (twice := units.duplicated()).any():
        raise InputError(
            f"{path}: {units[twice].iloc[0]} has several rows",
            "keep one row for each patient, such as the mean of its samples",
        )
    values = table.drop(columns=name)
    numbers = values.apply(_as_numbers)
    bad = ~np.isfinite(numbers.to_numpy("float64"))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        cell = f"{values.iat[row, column]!r} of {units.iloc[row]}, {values.columns[column]!r}"
        raise InputError(
            f"{path}: {int(bad.sum())} cell(s) are no finite number, the first is {cell}",
            "fill or drop them; features may not be missing",
        )
    if not numbers.shape[1]:
        raise InputError(f"{path} has no column of features", "add columns of numbers")
    numbers.index = pd.Index(units.astype(str))
    return pd.DataFrame(numbers)


def _raw_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise InputError(f"{path} does not exist", "give a table or a features artefact")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
            return table if isinstance(table.index, pd.RangeIndex) else table.reset_index()
        separator = "\t" if path.suffix.lower() in (".tsv", ".txt") else ","
        # Texts at first: "NA" may name a patient, and 001 is another name than 1.
        return pd.read_csv(
            path, sep=separator, dtype="string", keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}", "write it again") from error


def _unit_column(table: pd.DataFrame, path: Path) -> Any:
    named = [c for c in table.columns if str(c).strip().lower() in UNIT_COLUMNS]
    if named:
        return named[0]
    texts = [c for c in table.columns if _as_numbers(table[c]).isna().all()]
    if not texts:
        raise InputError(
            f"{path} has no column that names its rows", "add a column patient_id with the names"
        )
    return texts[0]


def _as_numbers(column: pd.Series) -> pd.Series:
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").astype("float64")
