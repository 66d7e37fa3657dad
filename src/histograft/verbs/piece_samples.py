"""Images whose pieces are samples: their content, groups, slides and scales, before any split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from histograft.core.artefact import hash_json
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT
from histograft.verbs.annotating import with_groups, with_scale
from histograft.verbs.sources import (
    Source,
    content_hashes,
    read_source,
    refuse_out_among_images,
    source_id,
)

if TYPE_CHECKING:
    import pandas as pd

    from histograft.verbs.rescale import Rescale


@dataclass(frozen=True)
class Samples:
    """A set as it was given, before pieces are made.

    Attributes
    ----------
    source : Source
        Where its table is from.
    table : pandas.DataFrame
        A row for each image, or of slides for each row of their table: columns of `SAMPLES`,
        ``source_sha256``, ``group_source``, ``mpp_source``, and of slides ``slide_id``.
    id : str
        SHA-256 of what a result can depend on.
    of_slides : bool
        Whether pieces are still to be found in the rows.
    """

    source: Source
    table: pd.DataFrame
    id: str
    of_slides: bool


def read_images(config: Rescale) -> Samples:
    """Read which images there are, and refuse those of which the level cannot be made.

    Raises
    ------
    InputError
        The table cannot be used, or the level is finer than an image.
    """
    source = read_source(
        config.samples, name=config.name, catalogue=config.catalogue, need_labels=False
    )
    refuse_out_among_images(config.out, source)
    hashes = content_hashes(source)
    table = with_scale(with_groups(source, hashes), config.splitting, source, SILENT)
    identity = source_id(table, config.split_column)
    if "slide" in table:
        table = _with_slides(table)
        identity = hash_json([identity, table["slide"].tolist()])
    _check_scale(table, config, source)
    return Samples(source, table, identity, of_slides=False)


def _with_slides(table: pd.DataFrame) -> pd.DataFrame:
    """Read of which slide images are; where no group is known, a slide stays on one side."""
    import pandas as pd

    names = ["" if s != s or s is None else str(s).strip() for s in table["slide"]]
    slide = pd.Series([name or None for name in names], table.index, dtype=object)
    alone = slide.notna() & (table["group_source"] == "image")
    own = pd.Series([f"slide:{name}" for name in names], table.index)
    table["group"] = table["group"].where(~alone, own)
    table["group_source"] = table["group_source"].where(~alone, "slide")
    several = table.groupby(slide)["group"].nunique()
    if (several > 1).any():
        raise InputError(
            f"slide {several.idxmax()} has images of {several.max()} groups",
            "write the same group (its patient) beside all images of a slide",
        )
    return table.assign(slide=slide)


def _check_scale(table: pd.DataFrame, config: Rescale, source: Source) -> None:
    from histograft.imaging.scale_pair import level_factors

    unknown = int(table["mpp"].isna().sum())
    if config.scale == "mpp" and unknown:
        raise InputError(
            f"{source.name}: no µm/px is known for {unknown} of {len(table)} images",
            "write a column mpp into the samples table, state --mpp, or give factors "
            "(--scale relative)",
        )
    if table["label"].str.contains("|", regex=False).any():
        raise InputError(f"{source.name} has several labels an image", "give one class for each")
    for mpp in table["mpp"].dropna().unique() if config.scale == "mpp" else [None]:
        levels = [config.level, config.max_pixels_level or config.level]
        try:
            level_factors(levels, mpp, kind=config.scale)
        except InputError as error:
            raise InputError(f"{source.name}: {error.problem}", error.fix) from error
