"""What is known of each image before it is cut: its scale, its group and its split."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.core.seeds import child_seed
from histograft.core.tables import SPLITS
from histograft.core.units import check_mpp
from histograft.verbs.sources import ABSENT, Source, content_hashes, read_split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.verbs.standardize import Standardize

OF_IMAGE = "image:"  # how groups begin that are the content of an image


def with_groups(source: Source, hashes: list[str]) -> pd.DataFrame:
    """Add what is known of each image: its hash and group. Equal images share a group."""
    table = source.table.copy()
    table["source_sha256"] = hashes
    if table["mask"].notna().any():
        table["mask_sha256"] = content_hashes(source, "mask")
    known = table["group"].notna()
    table["group_source"] = known.map({True: _origin(source), False: "image"})
    table["group"] = table["group"].where(known, OF_IMAGE + table["source_sha256"].str[:16])
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
                "write a column mpp into the samples table; or state it once (0.25 for most 40x "
                f"scans, 0.5 for 20x) by `{_standardize(config)}`, and in a recipe give that "
                "folder in place of the set; or add --missing-mpp keep-pixels to leave those "
                "pixels as they are",
            )
        reporter.warn(
            f"{source.name}: no µm/px is known for {unknown} of {len(table)} images; "
            "their pixels are kept as they are, so the set is not at the common scale"
        )
    return table


def _standardize(config: Standardize) -> str:
    """Write the command that states a scale, which recipes leave to it."""
    samples = str(config.samples)
    whole = config.samples.resolve()
    name = (whole if whole.is_dir() else whole.parent).name
    return shlex.join(
        ["histograft", "standardize", samples, "--mpp", "0.5", "--out", f"{name}-patches"]
    )


def with_splits(
    table: pd.DataFrame, config: Standardize, source: Source, reporter: Reporter
) -> pd.DataFrame:
    """Add the split of each image: obeyed where one is stated, else drawn over groups."""
    from histograft.stats.folds import split_groups

    stated = stated_split(table, config, source, reporter)
    if stated is not None:
        table["split"], table["split_source"] = stated
        if config.val_of_train and not (table["split"] == "val").any():
            table = _with_drawn_validation(table, config, source)
        return _with_fewer_images(table, config, source, reporter)
    table["split"] = split_groups(
        table["label"].to_numpy(str),
        _inseparable(table),
        fractions=config.fractions,
        seed=child_seed(config.seed, "split", source.name),
    )
    table["split_source"] = "drawn"
    return _with_fewer_images(table, config, source, reporter)


def _with_drawn_validation(
    table: pd.DataFrame, config: Standardize, source: Source
) -> pd.DataFrame:
    """Let some of the training groups validate."""
    from histograft.stats.folds import split_groups

    train = table["split"] == "train"
    rows = table[train]
    drawn = split_groups(
        rows["label"].to_numpy(str),
        _inseparable(rows),
        fractions={"train": 1 - config.val_of_train, "val": config.val_of_train},
        seed=child_seed(config.seed, "validation", source.name),
    )
    table.loc[train, "split"] = drawn
    table.loc[train & (table["split"] == "val"), "split_source"] = "drawn"
    return table


def _with_fewer_images(
    table: pd.DataFrame, config: Standardize, source: Source, reporter: Reporter
) -> pd.DataFrame:
    """Keep the asked number of images of each class."""
    from histograft.stats.subsample import draw_per_class

    if not config.per_class:
        return table
    if table["label"].str.contains("|", regex=False).any():
        raise InputError(
            f"{source.name} has several labels an image, so --per-class cannot count its classes",
            "leave --per-class out",
        )
    seed = child_seed(config.seed, "images of a class", source.name)
    kept = draw_per_class(table["label"], table["split"], parse_limits(config.per_class), seed=seed)
    reporter.note(f"{source.name}: {int(kept.sum())} of {len(table)} images were drawn")
    return table[kept].reset_index(drop=True)


def with_drawn_patches(patches: pd.DataFrame, config: Standardize, name: str) -> pd.DataFrame:
    """Deal patches to splits at random where no split is stated, as HistoKT's code does."""
    from histograft.stats.subsample import draw_split

    if (patches["split_source"] != "drawn").any():
        return patches
    seed = child_seed(config.seed, "split of patches", name)
    return patches.assign(
        split=draw_split(len(patches), config.fractions, seed=seed), split_source="drawn patches"
    )


def parse_limits(per_class: Sequence[str]) -> dict[str, int]:
    """Read ``--per-class``: split to the most images of one class.

    Examples
    --------
    >>> parse_limits(("train=1000", "val=200"))
    {'train': 1000, 'val': 200}
    """
    limits = {}
    for pair in per_class:
        split, _, number = pair.partition("=")
        if split not in SPLITS or split in limits or not number.isdecimal() or int(number) < 1:
            raise InputError(
                f"--per-class has {pair!r}",
                f"write SPLIT=NUMBER once for each of {', '.join(SPLITS)}, such as train=1000",
            )
        limits[split] = int(number)
    return limits


def stated_split(
    table: pd.DataFrame, config: Standardize, source: Source, reporter: Reporter
) -> tuple[pd.Series, str] | None:
    """Read the requested column where it divides the set, else a filled column ``split``."""
    name = config.split_column
    if name is not None and name not in table.columns:
        reporter.note(f"{source.name} has no column {name!r}")
    elif name is not None and name != "split":
        split = read_split(table, name, source.name)
        if split is not None:
            return split, "column"
        reporter.note(f"{source.name}: column {name!r} does not hold training and test rows")
    if table["split"].notna().any():
        split = read_split(table, "split", source.name, may_be_one=True)
        return None if split is None else (split, "samples")
    return None


def _inseparable(table: pd.DataFrame) -> NDArray[np.str_]:
    """Join groups that hold copies of one image: those must not be divided either."""
    from histograft.stats.folds import join_groups

    own = table["file"].radd("absent ")  # a file that cannot be read is a copy of nothing
    images = table["source_sha256"].where(table["source_sha256"] != ABSENT, own)
    return join_groups(table["group"].to_numpy(str), images.to_numpy(str))


def _origin(source: Source) -> str:
    """Who states what the table holds: the user's file, or the catalogue's reading of paths."""
    return "catalogue" if source.origin.startswith("catalogue") else "samples"
