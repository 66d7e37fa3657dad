"""Features of one slide between two layouts, with what is known of its tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from histograft.core.errors import InputError
from histograft.core.units import check_mpp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNKNOWN = "unknown"
_AGAIN = "copy or compute the file again"


@dataclass(frozen=True)
class TileScale:
    """Size and scale of the tiles of a slide, as far as a layout states them; None is unknown.

    Attributes
    ----------
    tile_px : int or None
        Side of a tile in its own pixels.
    side0 : int or None
        Side in level-0 pixels.
    overlap_px : int or None
        Overlap of neighbors in pixels of the tile.
    mpp0 : float or None
        µm/px of level 0.
    mpp_source : str
        Where that is from.
    target_mpp : float or None
        µm/px that was wanted of the tiles.
    width0, height0 : int or None
        Size of the slide in level-0 pixels.
    level0_magnification, target_magnification : float or None
        Labels that TRIDENT carries; no scale is computed from them.

    Examples
    --------
    >>> TileScale(tile_px=224, side0=444, mpp0=0.2525).effective_mpp
    0.5004910714285714
    >>> TileScale(tile_px=224).effective_mpp is None
    True
    """

    tile_px: int | None = None
    side0: int | None = None
    overlap_px: int | None = None
    mpp0: float | None = None
    mpp_source: str = UNKNOWN
    target_mpp: float | None = None
    width0: int | None = None
    height0: int | None = None
    level0_magnification: float | None = None
    target_magnification: float | None = None

    @property
    def effective_mpp(self) -> float | None:
        """µm/px that the pixels of a tile have, where its sizes and the slide's scale are known."""
        if self.tile_px is None or self.side0 is None or self.mpp0 is None:
            return None
        return self.side0 * self.mpp0 / self.tile_px

    def with_mpp(self, mpp: float | None, source: str) -> Self:
        """Fill in the µm/px of level 0 where it is not known yet."""
        if mpp is None or self.mpp0 is not None:
            return self
        return replace(self, mpp0=mpp, mpp_source=source)

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any, where: Path) -> Self:
        """Read the fields back.

        Raises
        ------
        InputError
            They are of another kind, or the scale is impossible.
        """
        names = [f.name for f in fields(cls)]
        if not isinstance(values, Mapping):
            raise InputError(f"{where}: what it states of its tiles is no JSON object", _AGAIN)
        scale = cls(**{name: values[name] for name in names if name in values})
        for name in ("mpp0", "target_mpp"):
            number = getattr(scale, name)
            if number is not None:
                if not isinstance(number, (int, float)):
                    raise InputError(f"{where}: {name} is {number!r}", _AGAIN)
                check_mpp(number, f"{where}: {name}")
        return scale


@dataclass(frozen=True)
class Extras:
    """What our files state beyond what other programs have room for.

    Attributes
    ----------
    status : array of uint8, shape (N,), or None
        Stain status of each tile.
    left_out : array of int64, shape (M, 2), or None
        Corners of tiles without features.
    left_out_status : array of uint8, shape (M,), or None
        Why they have none.
    attributes : dict
        Further attributes, without the prefix ``histo_``.
    """

    status: NDArray[np.uint8] | None = None
    left_out: NDArray[np.int64] | None = None
    left_out_status: NDArray[np.uint8] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SlideTiles:
    """Features of one slide by one model.

    Attributes
    ----------
    slide_id : str
        Name of the slide.
    model : str or None
        Name of the model, None where the layout does not state it.
    features : array of float32, shape (N, D)
        Finite.
    coords : array of int64, shape (N, 2)
        x and y of the upper left corners in level-0 pixels.
    scale : TileScale
        Size and scale of the tiles.
    extras : Extras
        What only our files state; its arrays are set.
    notes : tuple of str
        What was rounded or is not known.
    """

    slide_id: str
    model: str | None
    features: NDArray[np.float32]
    coords: NDArray[np.int64]
    scale: TileScale
    extras: Extras
    notes: tuple[str, ...] = ()


def make_tiles(
    where: Path,
    names: tuple[str, str | None],
    arrays: tuple[Any, Any],
    scale: TileScale,
    extras: Extras | None = None,
    notes: tuple[str, ...] = (),
) -> SlideTiles:
    """Check what was read of a slide and bring it to our types.

    Parameters
    ----------
    where : pathlib.Path
        The file, for messages.
    names : (str, str or None)
        Slide and model.
    arrays : (array, array)
        Features (N, D) and whole level-0 coordinates (N, 2).
    scale : TileScale
        Size and scale of the tiles.
    extras : Extras, optional
        What our own files add.
    notes : tuple of str
        What was rounded so far.

    Returns
    -------
    SlideTiles

    Raises
    ------
    InputError
        A shape or type does not fit, or a value is not finite; the message names the file.
    """
    import numpy as np

    raw = np.asarray(arrays[0])
    features = _as_float32(raw, where)
    if raw.dtype.itemsize > features.dtype.itemsize:
        notes = (*notes, f"features were rounded from {raw.dtype} to float32")
    coords = _as_places(np.asarray(arrays[1]), where)
    if len(coords) != len(features):
        raise InputError(
            f"{where}: {len(features)} rows of features and {len(coords)} coordinates",
            "give the coordinates that these features were computed at",
        )
    given = extras or Extras()
    return SlideTiles(*names, features, coords, scale, _whole(given, len(coords), where), notes)


def _as_float32(raw: Any, where: Path) -> NDArray[np.float32]:
    import numpy as np

    if raw.ndim != 2:
        raise InputError(
            f"{where}: features have the shape {raw.shape}, not (tiles, features)",
            "features of whole slides or regions cannot be converted; give those of tiles",
        )
    if raw.dtype.kind != "f":
        raise InputError(f"{where}: features are of type {raw.dtype}, not floats", _AGAIN)
    if raw.shape[1] == 0:
        raise InputError(f"{where}: tiles have no features at all", _AGAIN)
    with np.errstate(over="ignore"):
        features: NDArray[np.float32] = raw.astype(np.float32, copy=False)
    broken = int((~np.isfinite(features)).any(axis=1).sum())
    if broken:
        raise InputError(
            f"{where}: {broken} of {len(features)} rows hold NaN or infinity",
            "compute the features of this slide again; infinity often comes of half precision",
        )
    return features


def _as_places(raw: Any, where: Path) -> NDArray[np.int64]:
    import numpy as np

    if raw.ndim != 2 or raw.shape[1] != 2:
        raise InputError(f"{where}: coordinates have the shape {raw.shape}, not (tiles, 2)", _AGAIN)
    if raw.dtype.kind not in "iuf":
        raise InputError(f"{where}: coordinates are of type {raw.dtype}, not numbers", _AGAIN)
    if not np.isfinite(raw).all() or (raw % 1 != 0).any():
        raise InputError(
            f"{where}: a coordinate is no whole level-0 pixel",
            "give coordinates of upper left corners in level-0 pixels",
        )
    places: NDArray[np.int64] = raw.astype(np.int64)
    return places


def _whole(extras: Extras, n_tiles: int, where: Path) -> Extras:
    """Fill arrays that are not there, and refuse those that do not fit."""
    import numpy as np

    status = np.zeros(n_tiles, np.uint8) if extras.status is None else extras.status
    none = extras.left_out is None or extras.left_out_status is None
    left_out = np.empty((0, 2), np.int64) if none else extras.left_out
    reasons = np.empty(0, np.uint8) if none else extras.left_out_status
    status, reasons = np.asarray(status), np.asarray(reasons)
    left_out = np.asarray(left_out)
    if status.shape != (n_tiles,) or left_out.shape != (len(reasons), 2):
        raise InputError(f"{where}: the statuses of its tiles do not fit their number", _AGAIN)
    return Extras(
        status.astype(np.uint8),
        left_out.astype(np.int64),
        reasons.astype(np.uint8),
        extras.attributes,
    )
