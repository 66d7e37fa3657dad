"""Labels from masks: which codes are classes, and what other thresholds would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from histograft.core.errors import InputError
from histograft.verbs.patching import ImageOutcome
from histograft.verbs.sources import Source

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.verbs.standardize import Standardize

MASK_SHARES = "mask_shares.csv"
MIN_FRACTION_TABLE = "min_fraction.csv"
THRESHOLDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


def parse_mask_classes(pairs: Sequence[str]) -> dict[int, str]:
    """Read ``--mask-classes``: code to class.

    Examples
    --------
    >>> parse_mask_classes(("1=tumor", "18=blood vessel"))
    {1: 'tumor', 18: 'blood vessel'}
    """
    classes: dict[int, str] = {}
    for pair in pairs:
        code, _, name = pair.partition("=")
        name = name.strip()
        known = not code.isdecimal() or int(code) in classes or name in classes.values()
        if known or not name or "|" in name:
            raise InputError(
                f"--mask-classes has {pair!r}",
                "write CODE=CLASS, a whole number and a name without '|', each of them once",
            )
        classes[int(code)] = name
    return classes


def mask_codes(config: Standardize, source: Source) -> dict[int, str]:
    """Which codes of the masks are classes; empty where labels do not come from masks."""
    from histograft.catalogue.registry import IN_MASK

    if config.min_fraction is None:
        if (source.table["label"] == IN_MASK).any():
            raise InputError(
                f"{source.name}: the labels of its patches are in masks, and no share is given "
                "from which a class counts",
                "give --min-fraction, such as 0.01 for one hundredth of a patch",
            )
        return {}
    codes = parse_mask_classes(config.mask_classes)
    if not codes and source.entry is not None:
        codes = dict(source.entry.mask_codes)
    if not codes:
        raise InputError(
            f"--min-fraction is given, but it is not known which codes of the masks of "
            f"{source.name} are which classes",
            "give --mask-classes, such as 1=tumor 2=stroma",
        )
    return codes


def _shares(outcomes: list[ImageOutcome]) -> NDArray[np.float64]:
    import numpy as np

    return np.array([patch["shares"] for outcome in outcomes for patch in outcome.patches])


def mask_share_table(
    patches: pd.DataFrame, outcomes: list[ImageOutcome], codes: dict[int, str]
) -> pd.DataFrame:
    """Share of each patch that each class covers: ``patch_id`` and a column for each class."""
    import pandas as pd

    table = pd.DataFrame(_shares(outcomes), columns=list(codes.values()))
    table.insert(0, "patch_id", patches["patch_id"].to_numpy())
    return table


def positives(outcomes: list[ImageOutcome], codes: dict[int, str]) -> pd.DataFrame:
    """Patches that would have each class for each of several least shares, among those kept."""
    import pandas as pd

    shares = _shares(outcomes)
    rows = [
        {"min_fraction": threshold, "class": name, "n_patches": int(n), "n_all": len(shares)}
        for threshold in THRESHOLDS
        for name, n in zip(codes.values(), (shares >= threshold).sum(axis=0), strict=True)
    ]
    return pd.DataFrame(rows)
