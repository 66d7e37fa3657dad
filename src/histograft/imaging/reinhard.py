"""Color transfer after Reinhard: mean and spread of each color axis become a reference's."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from histograft.core.errors import InputError
from histograft.imaging.stain_matrix import MIN_TISSUE_SHARE, Glass, Status
from histograft.imaging.stain_status import StainStatus
from histograft.imaging.tile_arrays import flat_tiles, to_host

Float = NDArray[np.float64]
Triple = tuple[float, float, float]

# The matrices that the paper prints. Its way back is the inverse of the first, to four digits; we
# invert exactly, so that a tile with the reference's colors stays as it is.
RGB_TO_LMS = np.array(
    [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]]
)
LMS_TO_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array(
    [[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]]
)
MIN_SPREAD = 1e-3  # of an axis, decadic logarithm; rounding of grey values makes about as much
MAX_GAIN = 10.0
GLASS = Glass(io=240.0, beta=0.15)
_PIXELS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class ReinhardReference:
    """Mean and spread of colors in lαβ (decadic logarithms of grey values from 1 to 256).

    Attributes
    ----------
    name : str
        Where the numbers come from.
    mean, sd : three floats
        Of l (brightness), α (yellow to blue) and β (red to green) over tissue.
    """

    name: str
    mean: Triple
    sd: Triple

    def __post_init__(self) -> None:
        numbers = np.array([self.mean, self.sd], np.float64)
        if numbers.shape != (2, 3) or not np.isfinite(numbers).all() or numbers[1].min() <= 0:
            raise InputError(
                f"the color reference {self.name!r} has no three means and spreads above 0",
                "fit it again with fit_reinhard, or take AMGAD_2019",
            )

    def to_json(self) -> str:
        """Write as JSON text; numbers come back to the last bit."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ReinhardReference:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            Something else than that.
        """
        try:
            content = json.loads(text)
            if set(content) != {field.name for field in fields(cls)}:
                raise ValueError("other keys than name, mean and sd")
            mean, sd = (tuple(float(x) for x in content[key]) for key in ("mean", "sd"))
            return cls(str(content["name"]), mean, sd)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the text of a color reference cannot be read: {error}",
                "use the text that to_json wrote",
            ) from error


# HistomicsTK's color standard, a field of TCGA-A2-A3XS-DX1 (breast; Amgad et al. 2019,
# doi:10.1093/bioinformatics/btz083). It has natural logarithms: 1 / ln(10) makes them decadic.
_DECADIC = 1 / np.log(10)
AMGAD_2019 = ReinhardReference(
    "amgad-2019",
    mean=(8.74108109 * _DECADIC, -0.12440419 * _DECADIC, 0.0444982 * _DECADIC),
    sd=(0.6135447 * _DECADIC, 0.10989545 * _DECADIC, 0.0286032 * _DECADIC),
)


def reinhard(
    tiles: Any,
    *,
    mode: Literal["tile", "slide"] = "slide",
    reference: ReinhardReference = AMGAD_2019,
    glass: Glass = GLASS,
) -> tuple[Any, Status]:
    """Give tiles the mean and spread of colors of a reference.

    x' = (x - mean) sd_r / sd + mean_r on each axis of lαβ, which is the paper's rotation of
    log10(LMS), LMS = M (I + 1). The 1, ours, keeps black finite.

    Parameters
    ----------
    tiles : uint8 array, shape (N, H, W, 3)
        RGB tiles of any array-API library, on any device.
    mode : "tile" or "slide"
        Whether mean and spread are those of each tile, or of all together.
    reference : ReinhardReference
        What tiles shall look like.
    glass : Glass
        What counts as tissue. Mean and spread are those of tissue, since the share of empty glass
        says nothing of colors; with ``Glass(256, 0)`` all pixels count, as in the paper.

    Returns
    -------
    tiles : uint8 array, shape (N, H, W, 3)
        Unchanged where the status is not NORMALIZED.
    status : NumPy uint8 array, shape (N,)
        `StainStatus`: BLANK below 1 % of tissue, SINGLE_STAIN without spread in some axis,
        ILL_CONDITIONED where a spread would become more than ten times as large.

    Raises
    ------
    InputError
        Wrong shape, type or mode. No pixels make it fail.

    Notes
    -----
    The axes are those of natural scenes, not of dyes: on H&E that is far from the reference the
    dark turns brown and the bright violet, where `histograft.imaging.stain.macenko` does not.
    scikit-image and torchstain use CIE L*a*b* instead of lαβ and give other colors.

    References
    ----------
    Reinhard et al., "Color transfer between images", IEEE Computer Graphics and Applications 21
    (2001), doi:10.1109/38.946629.

    Examples
    --------
    >>> tiles = np.random.default_rng(0).integers(60, 180, (1, 32, 32, 3)).astype(np.uint8)
    >>> own = fit_reinhard(tiles, name="own")
    >>> same, status = reinhard(tiles, reference=own)
    >>> bool((same == tiles).all()), StainStatus(status[0]).label
    (True, 'normalized')
    """
    if mode not in ("tile", "slide"):
        raise InputError(f"mode {mode!r} is neither 'tile' nor 'slide'", "take one of the two")
    flat = flat_tiles(tiles)
    count, mean, square = _moments(flat, glass)
    blank = count < max(1, MIN_TISSUE_SHARE * flat.shape[1])
    if mode == "slide":
        mean, square = _pooled(count, mean, square)
    mean, square = (np.broadcast_to(x, (len(count), 3)) for x in (mean, square))
    spread = np.sqrt(square)
    gain = np.array(reference.sd) / np.maximum(spread, MIN_SPREAD)
    status = np.zeros(len(count), np.uint8)
    status[(gain > MAX_GAIN).any(axis=1)] = StainStatus.ILL_CONDITIONED
    status[(spread < MIN_SPREAD).any(axis=1)] = StainStatus.SINGLE_STAIN
    status[blank] = StainStatus.BLANK
    shift = np.array(reference.mean) - gain * mean
    result = _transferred(flat, gain, shift, status == StainStatus.NORMALIZED)
    xp = array_api_compat.array_namespace(tiles)
    return xp.reshape(result, tiles.shape), status


def fit_reinhard(
    tiles: Any,
    *,
    name: str,
    glass: Glass = GLASS,
) -> ReinhardReference:
    """Find mean and spread over the tissue of tiles, as a reference of one's own.

    Raises
    ------
    InputError
        No tissue, or one color.
    """
    mean, square = _pooled(*_moments(flat_tiles(tiles), glass))
    if np.sqrt(square).min() < MIN_SPREAD:
        raise InputError(
            "no color reference can be made of tiles without tissue or of one color",
            "take tiles with nuclei and stroma, or the reference AMGAD_2019",
        )
    mean_row, sd_row = mean[0].tolist(), np.sqrt(square)[0].tolist()
    return ReinhardReference(name, tuple(mean_row), tuple(sd_row))


def _moments(tiles: Any, glass: Glass) -> tuple[Float, Float, Float]:
    """Tissue pixels of each tile (N,), mean (N, 3) and mean square deviation (N, 3) in lαβ."""
    n = tiles.shape[0]
    count, mean, square = np.zeros(n), np.zeros((n, 3)), np.zeros((n, 3))
    for part in _blocks(tiles):
        block = tiles[part]
        xp = array_api_compat.array_namespace(block)
        lab = _lab(block)
        tissue = xp.all(xp.astype(block, xp.int16) <= glass.brightest, axis=2)
        weight = xp.astype(tissue, lab.dtype)[:, :, None]
        n_tissue = xp.sum(weight, axis=1)
        at_least_one = xp.maximum(n_tissue, xp.ones_like(n_tissue))
        center = xp.sum(lab * weight, axis=1) / at_least_one
        off = (lab - center[:, None, :]) * weight
        count[part] = to_host(n_tissue)[:, 0]
        mean[part] = to_host(center)
        square[part] = to_host(xp.sum(off * off, axis=1) / at_least_one)
    return count, mean, square


def _pooled(count: Float, mean: Float, square: Float) -> tuple[Float, Float]:
    """Mean and mean square deviation of all tiles' tissue together, shape (1, 3)."""
    share = (count / max(count.sum(), 1))[:, None]
    center = (share * mean).sum(axis=0, keepdims=True)
    return center, (share * (square + (mean - center) ** 2)).sum(axis=0, keepdims=True)


def _transferred(tiles: Any, gain: Float, shift: Float, changed: NDArray[np.bool_]) -> Any:
    xp = array_api_compat.array_namespace(tiles)
    out = [tiles[:0]]
    for part in _blocks(tiles):
        block = tiles[part]
        its_gain, its_shift = (_beside(block, x[part][:, None, :]) for x in (gain, shift))
        log_lms = (_lab(block) * its_gain + its_shift) @ _beside(block, np.linalg.inv(LMS_TO_LAB).T)
        lms = 10.0 ** xp.clip(log_lms, -10.0, 10.0)
        grey = xp.round(lms @ _beside(block, np.linalg.inv(RGB_TO_LMS).T) - 1.0)
        grey = xp.astype(xp.clip(grey, 0.0, 255.0), xp.uint8)
        wanted = _beside(block, changed[part][:, None, None]) > 0
        out.append(xp.where(wanted, grey, block))
    return xp.concat(out, axis=0)


def _lab(tiles: Any) -> Any:
    xp = array_api_compat.array_namespace(tiles)
    lms = (xp.astype(tiles, xp.float32) + 1.0) @ _beside(tiles, RGB_TO_LMS.T)
    return xp.log10(lms) @ _beside(tiles, LMS_TO_LAB.T)


def _beside(array: Any, values: NDArray[Any]) -> Any:
    """`values` in single precision, of the library and on the device of `array`."""
    xp = array_api_compat.array_namespace(array)
    device = array_api_compat.device(array)
    return xp.asarray(np.ascontiguousarray(values, np.float32), device=device)


def _blocks(tiles: Any) -> list[slice]:
    step = max(1, _PIXELS_AT_ONCE // max(1, tiles.shape[1]))
    return [slice(i, min(i + step, tiles.shape[0])) for i in range(0, tiles.shape[0], step)]
