"""Two stains of a slide, or those that all slides shall look like; as text that can be kept."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError

Row = tuple[float, float]
N_CHANNELS, N_STAINS = 3, 2


@dataclass(frozen=True)
class StainReference:
    """Hematoxylin and eosin as they look in a slide.

    Attributes
    ----------
    name : str
        Where the numbers come from.
    io : float
        Grey value of empty glass, which has an optical density of about 0.
    stain_matrix : three pairs of float
        Optical density (natural logarithm) of hematoxylin and eosin in red, green and blue, at
        concentration 1.
    max_concentrations : pair of float
        99th percentile of the concentration of hematoxylin and eosin.

    Raises
    ------
    InputError
        A number is missing, not finite, or not above 0 where it must be; the two stains are one.

    Examples
    --------
    >>> StainReference.from_json(TORCHSTAIN.to_json()) == TORCHSTAIN
    True
    >>> TORCHSTAIN.matrix.shape
    (3, 2)
    """

    name: str
    io: float
    stain_matrix: tuple[Row, Row, Row]
    max_concentrations: Row

    def __post_init__(self) -> None:
        problem = _problem_of(self)
        if problem:
            raise InputError(
                f"the stain reference {self.name!r} cannot be used: {problem}",
                "fit it again on tiles with both stains, or take TORCHSTAIN",
            )

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Stain matrix as array: rows red, green, blue; columns hematoxylin, eosin."""
        return np.array(self.stain_matrix, np.float64)

    def to_json(self) -> str:
        """Write as JSON text; numbers come back to the last bit."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> StainReference:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            The text is no JSON, keys are missing or unknown, or the numbers cannot be used.
        """
        known = [field.name for field in fields(cls)]
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise _unreadable(f"is no JSON ({error})") from error
        if not isinstance(content, dict) or set(content) != set(known):
            raise _unreadable(f"must have exactly the keys {', '.join(known)}")
        try:
            return cls.of_arrays(
                content["name"],
                content["io"],
                np.array(content["stain_matrix"], np.float64),
                np.array(content["max_concentrations"], np.float64),
            )
        except (TypeError, ValueError) as error:
            raise _unreadable(f"holds something else than numbers ({error})") from error

    @classmethod
    def of_arrays(
        cls, name: str, io: float, matrix: NDArray[Any], max_concentrations: NDArray[Any]
    ) -> StainReference:
        """Make a reference of arrays of shape (3, 2) and (2,)."""
        rows: Any = tuple(tuple(float(x) for x in row) for row in np.atleast_2d(matrix))
        strongest: Any = tuple(float(x) for x in np.ravel(max_concentrations))
        return cls(str(name), float(io), rows, strongest)


def _unreadable(what: str) -> InputError:
    return InputError(f"the text of a stain reference {what}", "use the text that to_json wrote")


def _problem_of(reference: StainReference) -> str:
    rows, strongest = reference.stain_matrix, reference.max_concentrations
    if len(rows) != N_CHANNELS or {len(row) for row in rows} != {N_STAINS}:
        return "its stain matrix must have 3 rows (red, green, blue) and 2 columns"
    if len(strongest) != N_STAINS:
        return "it must have 2 maximum concentrations"
    if not all(math.isfinite(x) for row in (*rows, strongest) for x in row):
        return "its numbers must be finite"
    if not math.isfinite(reference.io) or reference.io <= 0:
        return f"io must be above 0, not {reference.io}"
    if min(strongest) <= 0:
        return "its maximum concentrations must be above 0"
    if np.linalg.matrix_rank(reference.matrix) < N_STAINS:
        return "its two stains are one"
    return ""


# The constants of Mitkovetta's MATLAB code, which torchstain and most others took over.
TORCHSTAIN = StainReference(
    name="torchstain",
    io=240.0,
    stain_matrix=((0.5626, 0.2159), (0.7201, 0.8012), (0.4062, 0.5581)),
    max_concentrations=(1.9705, 1.0308),
)
# CRCNet, by the first author of the FTX paper, takes 255 for empty glass. Its stains are in files
# that were not published, so those of TORCHSTAIN stand in.
PAPER = StainReference("paper", 255.0, TORCHSTAIN.stain_matrix, TORCHSTAIN.max_concentrations)
PUBLISHED = MappingProxyType({reference.name: reference for reference in (TORCHSTAIN, PAPER)})
