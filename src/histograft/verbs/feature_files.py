"""Feature files: HDF5 in TRIDENT's schema, with our attributes beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import ArtefactError
from histograft.core.tables import FEATURE_INDEX

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

INDEX = "index.parquet"
ROWS_PER_CHUNK = 256


def write_features(
    path: Path, features: NDArray[np.floating], table: pd.DataFrame, attributes: Mapping[str, Any]
) -> None:
    """Write one feature file.

    Parameters
    ----------
    path : pathlib.Path
        Where to write.
    features : array, float32 (N, D)
        One row per patch.
    table : pandas.DataFrame
        The patches, N rows with ``x_px``, ``y_px`` and ``mpp``.
    attributes : mapping
        ``name`` (the data set), ``encoder`` (the model), ``patch_size`` and ``overlap_px`` (px)
        and our own, which get the prefix ``histo_``.
    """
    import h5py
    import numpy as np

    side = int(attributes["patch_size"])
    scales = table["mpp"].dropna().unique()
    mpp = float(scales[0]) if len(scales) == 1 and table["mpp"].notna().all() else None
    magnification = "None" if mpp is None else 10 / mpp
    common = {"name": attributes["name"], "savetodir": ""}
    with h5py.File(path, "w") as file:
        chunk = (min(ROWS_PER_CHUNK, max(1, len(features))), features.shape[1])
        dataset = file.create_dataset(
            "features", data=features, chunks=chunk, maxshape=(None, features.shape[1])
        )
        dataset.attrs.update(common | {"encoder": attributes["encoder"]})
        for key, value in attributes.items():
            if key not in ("name", "encoder", "patch_size", "overlap_px"):
                text = value if isinstance(value, (str, int, float)) else json.dumps(value)
                dataset.attrs[f"histo_{key}"] = text
        dataset.attrs["histo_mpp_target"] = "None" if mpp is None else mpp
        coords = file.create_dataset(
            "coords",
            data=table[["x_px", "y_px"]].to_numpy(np.int64),
            chunks=(chunk[0], 2),
            maxshape=(None, 2),
        )
        # A patch set has no pyramid: its level 0 is the scaled frame that patches were cut from.
        coords.attrs.update(
            common
            | {
                "patch_size": side,
                "patch_size_level0": side,
                "level0_magnification": magnification,
                "target_magnification": magnification,
                "overlap": int(attributes.get("overlap_px", 0)),
                "level0_width": int(table["x_px"].max()) + side,
                "level0_height": int(table["y_px"].max()) + side,
            }
        )
        file.create_dataset("status", data=np.zeros(len(features), np.uint8))


def load_index(artefact: Artefact) -> pd.DataFrame:
    """Load the table that says which patch each row of the features is."""
    import pandas as pd

    table = pd.read_parquet(artefact.file(INDEX))
    return FEATURE_INDEX.check(table, f"{artefact.path.name}/{INDEX}")


def load_features(artefact: Artefact, model: str) -> NDArray[np.float32]:
    """Load all features of one model, float32 (N, D).

    Raises
    ------
    ArtefactError
        The file is damaged, or a value is not finite.
    """
    import h5py
    import numpy as np

    path = artefact.file(f"{model}.h5")
    with h5py.File(path, "r") as file:
        features = np.asarray(file["features"], dtype=np.float32)
    broken = int((~np.isfinite(features)).any(axis=1).sum())
    if broken:
        raise ArtefactError(
            f"{path}: {broken} of {len(features)} rows hold NaN or infinity",
            "delete the artefact and embed again; if it comes back, the network is at fault",
        )
    return features


def stated_by(artefact: Artefact, model: str) -> dict[str, Any]:
    """Attributes of the features of one model."""
    import h5py

    with h5py.File(artefact.file(f"{model}.h5"), "r") as file:
        return dict(file["features"].attrs)


def models_of(artefact: Artefact) -> list[str]:
    """Names of the models whose features the artefact holds, in the order they were made."""
    return list(artefact.facts["models"])
