"""What there is to tile on one slide: its scale, its tissue and its grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from histograft.core.configuration import require_at_least
from histograft.core.errors import InputError
from histograft.core.units import check_mpp
from histograft.verbs.slide_faults import named_faults
from histograft.verbs.slides import SlideEntry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histograft.core.units import TileSpec
    from histograft.imaging.contours import Polygon
    from histograft.imaging.slide import Slide

MM2 = 1e-6  # mm² per µm²


@dataclass(frozen=True)
class TileRules:
    """How slides are tiled.

    Attributes
    ----------
    target_mpp : float
        µm/px of the tiles.
    tile_px : int
        Side of a tile in pixels.
    overlap : float
        Share of a side that neighbors have in common.
    least_tissue : float
        Least share of a tile that must be tissue, 0-1.
    upsample : {"error", "allow"}
        Whether a slide with fewer pixels than the tiles may be enlarged.

    Raises
    ------
    InputError
        A number that makes no tiles.
    """

    target_mpp: float
    tile_px: int
    overlap: float
    least_tissue: float
    upsample: Literal["error", "allow"]

    def __post_init__(self) -> None:
        check_mpp(self.target_mpp, "--target-mpp")
        require_at_least(self.tile_px, 8, "tile_px")
        if not 0 <= self.overlap < 1:
            raise InputError(f"--overlap is {self.overlap}", "give 0 up to below 1")
        if not 0 <= self.least_tissue <= 1:
            raise InputError(f"--least-tissue is {self.least_tissue}", "give 0 up to 1")


@dataclass(frozen=True)
class SlidePlan:
    """One slide, looked at.

    Attributes
    ----------
    reader, vendor : str
        Library that reads it, and its format.
    sizes : tuple of (int, int)
        Width and height of each level.
    mpp0 : float
        µm/px of level 0.
    mpp_source : str
        Where that is from.
    objective : float or None
        Power of the objective that the file names.
    spec : TileSpec
        Size and scale of the tiles.
    coords : array of int64, shape (N, 2)
        Upper left corners of the tiles in level-0 pixels, in the order in which they are read.
    n_positions : int
        Tiles of the whole slide, with and without tissue.
    tissue_mm2 : float
        Area of the tissue, or of the annotations.
    outlines : tuple of Polygon
        Of the tissue, in level-0 pixels.
    overview : array of uint8, shape (H, W, 3)
        The slide in small.
    notes : tuple of str
        What a person should look at.
    """

    reader: str
    vendor: str
    sizes: tuple[tuple[int, int], ...]
    mpp0: float
    mpp_source: str
    objective: float | None
    spec: TileSpec
    coords: NDArray[np.int64]
    n_positions: int
    tissue_mm2: float
    outlines: tuple[Polygon, ...]
    overview: NDArray[np.uint8]
    notes: tuple[str, ...]


def plan_slide(entry: SlideEntry, rules: TileRules) -> SlidePlan:
    """Open a slide, find its tissue and lay the grid.

    Parameters
    ----------
    entry : SlideEntry
        The slide.
    rules : TileRules
        How to tile it.

    Returns
    -------
    SlidePlan

    Raises
    ------
    InputError
        The slide cannot be opened or decoded, its µm/px is not known or not possible, it has fewer
        pixels than the tiles, or its annotations cannot be read.
    """
    with named_faults(entry.path.name):
        return _plan(entry, rules)


def _plan(entry: SlideEntry, rules: TileRules) -> SlidePlan:
    from histograft.imaging.grid import grid
    from histograft.imaging.slide import open_slide
    from histograft.imaging.slide_overview import read_overview
    from histograft.imaging.slide_tiles import block_order

    with open_slide(entry.path, mpp=entry.mpp) as slide:
        spec = slide.tile_spec(rules.tile_px, rules.target_mpp, overlap=rules.overlap)
        _refuse_growth(slide, spec, rules)
        overview = read_overview(slide)
        mask, outlines, notes = _tissue(slide, entry, overview.pixels, overview.mpp)
        if overview.unreadable.any():
            share = float(overview.unreadable.mean())
            notes = (*notes, f"{share:.1%} of the slide cannot be read")
        found = grid(slide.pyramid, spec, mask, least_tissue=rules.least_tissue)
        coords = found.coords[block_order(slide, found.coords, spec)]
        return SlidePlan(
            reader=slide.reader,
            vendor=slide.vendor,
            sizes=slide.pyramid.sizes,
            mpp0=slide.mpp0,
            mpp_source=slide.mpp_source,
            objective=slide.objective,
            spec=spec,
            coords=coords,
            n_positions=found.n_positions,
            tissue_mm2=float(mask.mean() * slide.width * slide.height * slide.mpp0**2 * MM2),
            outlines=outlines,
            overview=overview.pixels,
            notes=notes,
        )


def _refuse_growth(slide: Slide, spec: TileSpec, rules: TileRules) -> None:
    if spec.is_upsampling and rules.upsample != "allow":
        raise InputError(
            f"{slide.path.name} has {slide.mpp0:g} µm/px, so tiles at {rules.target_mpp:g} would "
            "be invented",
            f"give --target-mpp {slide.mpp0:.3g} or more, or --upsample allow",
        )


def _tissue(
    slide: Slide, entry: SlideEntry, pixels: NDArray[np.uint8], mpp: float
) -> tuple[NDArray[np.bool_], tuple[Polygon, ...], tuple[str, ...]]:
    """Mask over the overview, outlines in level-0 pixels, and notes: annotated, else found."""
    from histograft.imaging.contours import mask_to_polygons, polygons_to_mask
    from histograft.imaging.tissue import find_tissue

    rows, columns = pixels.shape[:2]
    scale = (slide.width / columns, slide.height / rows)
    found = find_tissue(pixels, mpp)
    if entry.annotations is not None:
        outlines = _annotations(entry.annotations)
        mask = polygons_to_mask(outlines, (rows, columns), scale=scale)
        return mask, outlines, (f"tiled inside {entry.annotations.name}", *found.notes)
    outlines = tuple(polygon.scaled(*scale) for polygon in mask_to_polygons(found.mask))
    return found.mask, outlines, found.notes


def _annotations(path: Path) -> tuple[Polygon, ...]:
    from histograft.imaging.geojson import read_geojson

    shapes = read_geojson(text_of_annotations(path), path.name).shapes
    if not shapes:
        raise InputError(
            f"{path} has no region with an area", "draw polygons, or leave the column empty"
        )
    return tuple(polygon for shape in shapes for polygon in shape.polygons)


def text_of_annotations(path: Path) -> str:
    """Read a GeoJSON file as text.

    Raises
    ------
    InputError
        It is not there, cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read ({error})",
            "correct its path or export it again as GeoJSON, or leave the column empty",
        ) from error
