"""Columns of the tables that pass between verbs, and the checks of a table.

A `TableSpec` says which columns a table has, of what kind, and which must be filled.
The specifications here are the contract of `docs/formats.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from histograft.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["text", "number", "integer", "boolean"]

SPLITS = ("train", "val", "test")


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
                f"{where}: the {self.name} table lacks the column(s) {', '.join(missing)} "
                f"(found: {found})",
                f"add them; the {self.name} table is described in docs/formats.md",
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
            example = table.loc[twice, list(self.key)].iloc[0].to_dict()
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
        raise InputError(f"{where} lacks the column(s) {', '.join(missing)} (found: {found})")


def _optional(name: str, kind: Kind, meaning: str) -> Column:
    return Column(name, kind, meaning, required=False, nullable=True)


def _nullable(name: str, kind: Kind, meaning: str) -> Column:
    return Column(name, kind, meaning, nullable=True)


SAMPLES = TableSpec(
    "samples",
    (
        Column("file", "text", "path of the image below the table's folder"),
        Column("label", "text", "class, or several joined by '|' for a multi-label set"),
        Column(
            "group", "text", "what must stay on one side of a split", required=False, nullable=True
        ),
        _optional("split", "text", "train, val or test"),
        Column(
            "mpp",
            "number",
            "micrometres per pixel of the file, above 0",
            required=False,
            nullable=True,
        ),
        Column(
            "mask", "text", "path of a label mask of the same size", required=False, nullable=True
        ),
    ),
    key=("file",),
)

SLIDES = TableSpec(
    "slides",
    (
        Column("slide_id", "text", "name of the slide; its files take it"),
        Column("file", "text", "path of the slide; a relative one starts at the table's folder"),
        _optional("patient_id", "text", "patient of the slide; a patient may have several"),
        _optional("mpp", "number", "micrometres per pixel of level 0, above 0; beats the file"),
        _optional("annotations", "text", "GeoJSON of regions to tile instead of the tissue found"),
    ),
    key=("slide_id",),
)

PATCHES = TableSpec(
    "patches",
    (
        Column("file_name", "text", "path of the patch below the artefact's folder"),
        Column("patch_id", "text", "name of the patch, unique in the artefact"),
        Column("dataset", "text", "name of the data set"),
        Column("label", "text", "class, or several joined by '|'"),
        Column("group", "text", "what must stay on one side of a split; never empty"),
        Column("group_source", "text", "'samples', 'catalogue' or 'image' (no group was known)"),
        Column("split", "text", "train, val or test"),
        Column("split_source", "text", "'samples', 'column' or 'drawn'"),
        Column("source_file", "text", "path of the source image below the samples' folder"),
        Column("source_sha256", "text", "SHA-256 of the source file"),
        Column("source_format", "text", "format of the source file, such as JPEG"),
        Column("source_mode", "text", "pixel mode of the source file, such as RGB"),
        Column(
            "source_quantization",
            "text",
            "JPEG quantisation tables as JSON",
            required=False,
            nullable=True,
        ),
        Column("source_width_px", "integer", "width of the source image"),
        Column("source_height_px", "integer", "height of the source image"),
        _optional("mpp_native", "number", "µm/px of the source"),
        Column("mpp_source", "text", "'samples', 'catalogue', 'option' or 'unknown'"),
        Column(
            "mpp",
            "number",
            "µm/px of the patch; empty where pixels were kept",
            required=False,
            nullable=True,
        ),
        Column("upsampled", "boolean", "whether the patch has more pixels than its source"),
        Column("x_px", "integer", "left edge of the patch in the rescaled image"),
        Column("y_px", "integer", "top edge of the patch in the rescaled image"),
        Column("reflected", "boolean", "whether the patch was filled up by reflection"),
        Column("perceptual_hash", "text", "64-bit hashes of the 8 flips and turns, hexadecimal"),
        _optional("mask_file_name", "text", "path of the patch's label mask"),
    ),
    key=("patch_id",),
)

REJECTS = TableSpec(
    "rejects",
    (
        Column("source_file", "text", "path of the source image below the samples' folder"),
        _optional("x_px", "integer", "left edge in the rescaled image"),
        _optional("y_px", "integer", "top edge in the rescaled image"),
        Column("reason", "text", "one word, such as 'background' or 'truncated'"),
        Column("detail", "text", "the measured value or the message"),
    ),
)

FEATURE_INDEX = TableSpec(
    "feature index",
    (
        Column("patch_id", "text", "name of the patch; row i of `features` is row i here"),
        Column("dataset", "text", "name of the data set"),
        Column("label", "text", "class, or several joined by '|'"),
        Column("group", "text", "as in the patches table"),
        Column("group_source", "text", "as in the patches table"),
        Column("split", "text", "as in the patches table"),
        _optional("mpp", "number", "µm/px of the patch"),
        Column("source_sha256", "text", "as in the patches table"),
        Column("perceptual_hash", "text", "as in the patches table"),
        Column("seen", "boolean", "whether the network was tuned on this image or its group"),
    ),
    key=("patch_id",),
)

COHORT = TableSpec(
    "cohort",
    (
        Column("patient_id", "text", "patient; of a TCGA barcode the first 12 characters"),
        Column("n_slides", "integer", "slides of the patient that are used, 1 or more"),
        Column("slide_ids", "text", "their names, joined by '|'"),
        _optional("site", "text", "where the tissue came from; of a TCGA barcode characters 6-7"),
        _optional("slide_kinds", "text", "frozen, diagnostic or unknown, joined by '|'"),
        _optional("tissue_mm2", "number", "tissue on these slides together, mm²"),
        _optional("has_mutations", "boolean", "whether mutation status is known"),
        _optional("has_expression", "boolean", "whether expression was measured"),
    ),
    key=("patient_id",),
)

DROPS = TableSpec(
    "drops",
    (
        Column("source", "text", "table or file in which it was found"),
        Column("kind", "text", "row, gene, sample, slide or patient"),
        Column("name", "text", "which one; of rows what they have in common"),
        Column("reason", "text", "one word, such as no-slide"),
        _nullable("detail", "text", "the measured value, or the reason in words"),
        Column("count", "integer", "how many, 1 or more"),
    ),
)

SLIDE_INDEX = TableSpec(
    "slide index",
    (
        Column("slide_id", "text", "name of the slide, and of its folder below slides/"),
        Column("patient_id", "text", "patient of the slide", nullable=True),
        Column("status", "text", "done, no tissue, or failed (which has no folder)"),
        Column("reason", "text", "why it failed, or what to look at", nullable=True),
        Column("n_tiles", "integer", "tiles with features"),
        Column("n_unreadable", "integer", "tiles that could not be read; they have none"),
        Column("tissue_mm2", "number", "area of the tissue, mm²", nullable=True),
        Column("mpp", "number", "µm/px of level 0", nullable=True),
        Column("mpp_source", "text", "where that is from", nullable=True),
        Column("mpp_effective", "number", "µm/px of the tiles", nullable=True),
    ),
    key=("slide_id",),
)

PATIENT_INDEX = TableSpec(
    "patient index",
    (
        Column("patient_id", "text", "patient; row i of `features` is row i here"),
        Column("n_slides", "integer", "slides behind the features"),
        Column("n_tiles", "integer", "tiles behind the features"),
    ),
    key=("patient_id",),
)

NEAREST_TILES = TableSpec(
    "nearest tiles",
    (
        Column("slide_id", "text", "slide"),
        Column("model", "text", "name of the feature extractor"),
        Column("x0", "integer", "left edge of its tile nearest to the slide's mean, level-0 px"),
        Column("y0", "integer", "upper edge of that tile, level-0 px"),
        Column("side0", "integer", "side of that tile, level-0 px"),
        Column("distance", "number", "Euclidean, over features divided by their SD in the slide"),
    ),
    key=("slide_id", "model"),
)

PREDICTIONS = TableSpec(
    "predictions",
    (
        Column("model", "text", "name of the feature extractor or shortcut baseline"),
        Column("dataset", "text", "data set whose units are predicted"),
        Column("protocol", "text", "'cv' (cross-validation) or 'external' (fit once, test once)"),
        Column("repeat", "integer", "repeat of the cross-validation, from 0"),
        Column("fold", "integer", "fold in which the unit was tested, from 0"),
        Column("unit", "text", "what is counted: patch, slide or patient"),
        Column("group", "text", "what is resampled in intervals"),
        Column("target", "text", "what is predicted, such as 'tissue'"),
        _optional("class", "text", "the class that `score` is about"),
        Column("truth", "text", "true class (or value)"),
        _optional("score", "number", "decision value of `class`"),
        Column("predicted", "text", "predicted class (or value)"),
    ),
)

VALUE_PREDICTIONS = TableSpec(
    "value predictions",
    (
        Column("model", "text", "name of the feature extractor"),
        Column("dataset", "text", "cohort whose patients are predicted"),
        Column("protocol", "text", "'cv' (cross-validation) or 'external' (fit once, test once)"),
        Column("repeat", "integer", "repeat of the cross-validation, from 0"),
        Column("fold", "integer", "fold in which the patient was tested, from 0"),
        Column("unit", "text", "patient"),
        Column("target", "text", "gene"),
        Column("truth", "number", "value of the patient"),
        Column(
            "predicted", "number", "predicted value; empty where the gene is constant", nullable=True
        ),
    ),
)

RESULTS = TableSpec(
    "results",
    (
        Column("dataset", "text", "data set that is reported"),
        Column("protocol", "text", "'cv' or 'external'"),
        Column("target", "text", "what is predicted"),
        Column("model", "text", "fixed name of the feature extractor, such as imgnet-gap"),
        Column("label", "text", "what to call the model before people"),
        Column("metric", "text", "name of the metric; per class as recall:STR"),
        _nullable("value", "number", "the metric over all units, mean over repeats"),
        _nullable("ci_low", "number", "lower end of the 95 % interval"),
        _nullable("ci_high", "number", "upper end of the 95 % interval"),
        Column("ci_unit", "text", "what was resampled for the interval: group, image, patch or patient"),
        Column("n_units", "integer", "units behind the value"),
        Column("n_groups", "integer", "groups behind the interval"),
        _nullable("repeat_sd", "number", "SD over repeats: split noise, not a CI"),
        _nullable("compared_with", "text", "model of the paired comparison"),
        _nullable("difference", "number", "value minus the other model's"),
        _nullable("difference_low", "number", "lower end of its paired 95 % interval"),
        _nullable("difference_high", "number", "upper end of its paired 95 % interval"),
        _nullable("test", "text", "name of the paired test"),
        _nullable("p_value", "number", "two-sided p of the paired test"),
        Column(
            "p_adjusted", "number", "the same after Holm over the report's family", nullable=True
        ),
    ),
)
