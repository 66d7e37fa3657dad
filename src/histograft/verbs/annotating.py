"""What is known of each image before it is cut: its scale, its group and its split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed
from histograft.core.units import check_mpp
from histograft.verbs.sources import Source, read_split

if TYPE_CHECKING:
    import pandas as pd

    from histograft.verbs.standardize import Standardize


def with_groups(source: Source, hashes: list[str]) -> pd.DataFrame:
    """Add what is known of each image: its hash and group. Equal images share a group."""
    table = source.table.copy()
    table["source_sha256"] = hashes
    known = table["group"].notna()
    table["group_source"] = known.map({True: _origin(source), False: "image"})
    table["group"] = table["group"].where(known, "image:" + table["source_sha256"].str[:16])
    return table


def with_scale(
    table: pd.DataFrame, config: Standardize, source: Source, reporter: Reporter
) -> pd.DataFrame:
    """Add the µm/px of each image and where it is from: the table, an option, the catalogue."""
    stated = table["mpp"].notna()
    table["mpp_source"] = stated.map({True: _origin(source), False: "unknown"})
    fallback, word = config.mpp, "option"
    if fallback is None and source.entry is not None:
        fallback, word = source.entry.mpp, "catalogue"
    if fallback is not None:
        table["mpp"] = table["mpp"].where(stated, fallback)
        table["mpp_source"] = table["mpp_source"].where(stated, word)
    for mpp in table["mpp"].dropna().unique():
        check_mpp(float(mpp), f"{source.name}/{source.origin}, column mpp")
    unknown = int(table["mpp"].isna().sum())
    if unknown and config.target_mpp != "keep":
        if config.missing_mpp == "error":
            raise InputError(
                f"{source.name}: no µm/px is known for {unknown} of {len(table)} images",
                "write a column mpp into the samples table, give --mpp X (0.25 for most 40x scans,"
                " 0.5 for 20x), or --missing-mpp keep-pixels to leave those pixels as they are",
            )
        reporter.warn(
            f"{source.name}: no µm/px is known for {unknown} of {len(table)} images; "
            "their pixels are kept as they are, so the set is not at the common scale"
        )
    return table


def with_splits(
    table: pd.DataFrame, config: Standardize, source: Source, reporter: Reporter
) -> pd.DataFrame:
    """Add the split of each image: obeyed where one is stated, else drawn over groups."""
    from histograft.stats.folds import split_groups

    column = "split" if table["split"].notna().any() else config.split_column
    if config.split_column is not None and config.split_column not in table.columns:
        reporter.note(f"{source.name} has no column {config.split_column!r}; groups are split")
        column = "split" if table["split"].notna().any() else None
    if column is not None:
        split = read_split(table, column, source.name)
        if split is not None:
            table["split"], table["split_source"] = (
                split,
                "samples" if column == "split" else "column",
            )
            return table
        if column == "split":
            raise InputError(
                f"{source.name}: the column split does not hold both train and test",
                "fill it with train, val and test, or remove it to have groups split",
            )
        reporter.note(
            f"{source.name}: column {column!r} does not hold training and test rows; "
            "groups are split instead"
        )
    table["split"] = split_groups(
        table["label"].to_numpy(str),
        table["group"].to_numpy(str),
        fractions=config.fractions,
        seed=child_seed(config.seed, "split", source.name),
    )
    table["split_source"] = "drawn"
    return table


def _origin(source: Source) -> str:
    """Who states what the table holds: the user's file, or the catalogue's reading of paths."""
    return "catalogue" if source.origin.startswith("catalogue") else "samples"
