"""HDF5 with ``features`` and ``coords``, as TRIDENT, CLAM and histograft write it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.units import check_mpp
from histograft.verbs.feature_formats.coordinates import Places, read_places, trident_scale
from histograft.verbs.feature_formats.hdf5 import (
    ENCODER,
    dataset,
    number,
    plain_attributes,
    read_extras,
    read_scale,
    reading,
    write_extras,
)
from histograft.verbs.feature_formats.tiles import (
    UNKNOWN,
    Extras,
    SlideTiles,
    TileScale,
    make_tiles,
)
from histograft.verbs.slide_files import (
    FileHead,
    TileTable,
    write_places,
    write_rows_of_slide,
)

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

# Attributes of ours that are parts of `TileScale`.
_SCALES = ("mpp_level0", "mpp_source", "mpp_target", "mpp_effective")


def read_feature_file(
    path: Path,
    slide_id: str,
    model: str | None = None,
    *,
    fallback: str | None = None,
    places: Path | None = None,
) -> SlideTiles:
    """Read a feature file.

    Parameters
    ----------
    path : pathlib.Path
        The HDF5 file.
    slide_id : str
        Name of the slide.
    model : str, optional
        What to call the model; by default what the file says.
    fallback : str, optional
        What to call it where the file does not say it.
    places : pathlib.Path, optional
        File of coordinates, for what the feature file lacks of them.

    Returns
    -------
    SlideTiles

    Raises
    ------
    InputError
        A file is damaged, or is not what the schema says.
    """
    beside = None if places is None else read_places(places)
    with reading(path) as file:
        features = dataset(file, "features", path)
        holder = file["features"]
        attributes = plain_attributes(holder)
        coords = _coords(file, path, beside)
        scale = read_scale(holder, path) or _stated_scale(file, path, beside)
        extras = read_extras(file, holder)
    name = model or attributes.get("encoder") or attributes.get(ENCODER) or fallback
    scale, extras = _with_our_scale(scale, extras, path)
    return make_tiles(path, (slide_id, name), (features, coords), scale, extras)


def write_feature_file(path: Path, tiles: SlideTiles) -> None:
    """Write a feature file in TRIDENT's schema, with our attributes and datasets beside it."""
    extras = tiles.extras
    table = TileTable(
        tiles.coords,
        extras.status,  # type: ignore[arg-type]  # set, where tiles were made by `make_tiles`
        extras.left_out,  # type: ignore[arg-type]
        extras.left_out_status,  # type: ignore[arg-type]
    )
    n_features = tiles.features.shape[1]
    write_rows_of_slide(path, _head(tiles), [tiles.features], n_features, table)


def write_coordinates_file(path: Path, tiles: SlideTiles) -> None:
    """Write a coordinates file in TRIDENT's schema, with our attributes and datasets beside it."""
    import h5py

    with h5py.File(path, "w") as file:
        coords = write_places(file, _head(tiles), tiles.coords)
        write_extras(file, coords, tiles, with_scale=True)


def _head(tiles: SlideTiles) -> FileHead:
    return FileHead(tiles.slide_id, str(tiles.model), tiles.scale, tiles.extras.attributes)


def _coords(file: h5py.File, path: Path, beside: Places | None) -> NDArray[Any]:
    """Coordinates of the file itself, else of the one beside it; they may not contradict."""
    import numpy as np

    if beside is None:
        return dataset(file, "coords", path)
    if "coords" not in file:
        return beside.coords
    coords = dataset(file, "coords", path)
    if not np.array_equal(coords, beside.coords):
        raise InputError(
            f"{path}: its coordinates are others than those in the file of coordinates",
            "give the folder of patches that these features were computed from",
        )
    return coords


def _stated_scale(file: h5py.File, path: Path, beside: Places | None) -> TileScale:
    attributes = plain_attributes(file["coords"]) if "coords" in file else {}
    if "patch_size" in attributes or beside is None:
        return trident_scale(attributes, path)
    return beside.scale


def _with_our_scale(scale: TileScale, extras: Extras, path: Path) -> tuple[TileScale, Extras]:
    """Take our statements on the scale out of the further attributes."""
    ours = extras.attributes
    mpp0, target = number(ours, "mpp_level0", path), number(ours, "mpp_target", path)
    known = scale.as_json()
    if mpp0 is not None:
        check_mpp(mpp0, f"{path}: histo_mpp_level0")
        known |= {"mpp0": mpp0, "mpp_source": ours.get("mpp_source") or UNKNOWN}
    if target is not None:
        known |= {"target_mpp": check_mpp(target, f"{path}: histo_mpp_target")}
    rest = {name: value for name, value in ours.items() if name not in _SCALES}
    whole = Extras(extras.status, extras.left_out, extras.left_out_status, rest)
    return TileScale(**known), whole
