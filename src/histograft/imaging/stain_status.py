"""What became of a tile in stain normalization, as a number for files and a word for people."""

from __future__ import annotations

from enum import IntEnum


class StainStatus(IntEnum):
    """What became of a tile; every tile but a normalized one keeps its pixels.

    The numbers are written into feature files and never change their meaning; 0 is "as wished", so
    ``status.any()`` asks whether something is special.

    Examples
    --------
    >>> StainStatus(2).label
    'single-stain'
    """

    NORMALIZED = 0
    BLANK = 1
    SINGLE_STAIN = 2
    ILL_CONDITIONED = 3

    @property
    def label(self) -> str:
        """The status as a word for tables."""
        return self.name.lower().replace("_", "-")

    @property
    def explanation(self) -> str:
        """What the status says of the pixels."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    StainStatus.NORMALIZED: "two stains were found and replaced",
    StainStatus.BLANK: "less than 1 % of the pixels are tissue",
    StainStatus.SINGLE_STAIN: "one color or one stain: the second cannot be told from noise",
    StainStatus.ILL_CONDITIONED: "colors that two stains do not explain, or a correction that "
    "would mostly amplify noise",
}
