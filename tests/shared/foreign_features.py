"""Features of slides as other programs write them, made from their published schemas alone.

Nothing here calls the package: the files stand in for those of TRIDENT (``trident/IO.py``), CLAM
(``utils/file_utils.py``, ``wsi_core/WholeSlideImage.py``), STAMP
(``src/stamp/preprocessing/__init__.py``), slide2vec (``docs/output-layout.rst``) and eva
(embeddings writers, ``multi_embeddings.py``).
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

SIZE, MPP, SIDE0, TILE_PX = 5, 0.2525, 512, 256
WIDTH, HEIGHT = 40_000, 30_000


@dataclass(frozen=True)
class Slide:
    """Features float32 (N, SIZE) and level-0 corners int64 (N, 2)."""

    features: np.ndarray
    coords: np.ndarray


def slide(seed: int, n_tiles: int) -> Slide:
    """Tiles of a grid in an order of its own, with features that half precision must round."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(60)[:n_tiles]
    coords = np.stack([cells % 10, cells // 10], axis=1).astype(np.int64) * SIDE0 + seed
    return Slide(rng.normal(size=(n_tiles, SIZE)).astype(np.float32), coords.reshape(-1, 2))


def save_h5(path: Path, assets: dict, attributes: dict) -> None:
    """Write arrays as TRIDENT and CLAM do: rows can be added, None is a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in assets.items():
            dataset = file.create_dataset(
                name, value.shape, value.dtype, maxshape=(None, *value.shape[1:]),
                chunks=(1, *value.shape[1:]),
            )  # fmt: skip
            dataset[:] = value
            for key, entry in attributes.get(name, {}).items():
                dataset.attrs[key] = "None" if entry is None else entry


def trident_attributes(name: str) -> dict:
    """Attributes of TRIDENT's coordinates."""
    return {
        "patch_size": TILE_PX, "patch_size_level0": SIDE0, "level0_magnification": 40,
        "target_magnification": 20, "overlap": 0, "name": name, "savetodir": "/data/job/20x",
        "level0_width": WIDTH, "level0_height": HEIGHT,
    }  # fmt: skip


def write_trident(job: Path, slides: dict[str, Slide], encoder: str = "uni_v1") -> Path:
    """Write a job folder of TRIDENT."""
    scale = job / "20x_256px_0px_overlap"
    for name, one in slides.items():
        attributes = trident_attributes(name)
        coords = {"coords": one.coords}
        save_h5(scale / f"patches/{name}_patches.h5", coords, {"coords": attributes})
        stated = {"name": name, "savetodir": f"/data/job/features_{encoder}", "encoder": encoder}
        save_h5(
            scale / f"features_{encoder}/{name}.h5",
            {"features": one.features, "coords": one.coords},
            {"features": stated, "coords": attributes},
        )
    return job


def write_clam(folder: Path, slides: dict[str, Slide], *, h5: bool = True) -> Path:
    """Write folders of CLAM: patches of 128 px at a level that is 4 times as coarse."""
    for name, one in slides.items():
        attributes = {
            "patch_size": 128, "patch_level": 1, "downsample": (4.0, 4.0),
            "downsampled_level_dim": (10_000, 7_500), "level_dim": (10_000, 7_500), "name": name,
            "save_path": "/data/clam/patches",
        }  # fmt: skip
        save_h5(folder / f"patches/{name}.h5", {"coords": one.coords}, {"coords": attributes})
        if h5:
            assets = {"features": one.features, "coords": one.coords.astype(np.int32)}
            save_h5(folder / f"h5_files/{name}.h5", assets, {})
        (folder / "pt_files").mkdir(exist_ok=True)
        torch.save(torch.from_numpy(one.features), folder / f"pt_files/{name}.pt")
    return folder


def write_stamp(folder: Path, slides: dict[str, Slide]) -> Path:
    """Write features of STAMP 2.1."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in slides.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["coords"] = (one.coords * MPP).astype(np.float32)
            file["feats"] = one.features.astype(np.float16)
            file.attrs["stamp_version"] = "2.1.0"
            file.attrs["extractor"] = "mahmood-uni"
            file.attrs["unit"] = "um"
            file.attrs["tile_size_um"] = SIDE0 * MPP
            file.attrs["tile_size_px"] = TILE_PX
            file.attrs["code_hash"] = "a1b2c3d4"
            file.attrs["feat_type"] = "tile"
    return folder


def write_slide2vec(folder: Path, slides: dict[str, Slide]) -> Path:
    """Write an output folder of slide2vec; half precision, as is its default."""
    (folder / "tile_embeddings").mkdir(parents=True, exist_ok=True)
    (folder / "tiles").mkdir(exist_ok=True)
    for name, one in slides.items():
        torch.save(torch.from_numpy(one.features).half(), folder / f"tile_embeddings/{name}.pt")
        meta = {
            "sample_id": name, "artifact_type": "tile_embeddings", "backend": "cucim",
            "coordinates_meta_path": f"/out/tiles/{name}.coordinates.meta.json",
            "coordinates_npz_path": f"/out/tiles/{name}.coordinates.npz", "encoder_level": "tile",
            "encoder_name": "prost40m", "feature_dim": SIZE, "feature_dtype": "fp16",
            "format": "pt", "image_path": f"/data/{name}.tif", "mask_path": None,
            "num_tiles": len(one.coords), "read_tile_size_px": TILE_PX,
            "requested_tile_size_px": TILE_PX, "encoder_input_size_px": 224,
            "requested_spacing_um": 0.5, "tile_size_lv0": SIDE0,
        }  # fmt: skip
        (folder / f"tile_embeddings/{name}.meta.json").write_text(json.dumps(meta))
        places = folder / f"tiles/{name}.coordinates"
        sidecar = {
            "provenance": {"sample_id": name, "image_path": f"/data/{name}.tif"},
            "slide": {"dimensions": [WIDTH, HEIGHT], "base_spacing_um": MPP,
                      "level_downsamples": [1.0, 4.0]},
            "tiling": {"requested_tile_size_px": TILE_PX, "requested_spacing_um": 0.5,
                       "tile_size_lv0": SIDE0, "n_tiles": len(one.coords)},
            "segmentation": {}, "filtering": {}, "artifact": {"coordinate_space": "level0_px"},
        }  # fmt: skip
        Path(f"{places}.meta.json").write_text(json.dumps(sidecar))
        if len(one.coords):  # hs2p writes no arrays of a slide without tiles
            np.savez_compressed(
                f"{places}.npz", tile_index=np.arange(len(one.coords), dtype=np.int32),
                x=one.coords[:, 0], y=one.coords[:, 1],
                tissue_fractions=np.ones(len(one.coords), np.float32),
            )  # fmt: skip
    return folder


def write_eva(folder: Path, slides: dict[str, Slide]) -> Path:
    """Write embeddings of eva: two files for the tiles of each slide, which the manifest joins."""
    (folder / "wsi").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, one in slides.items():
        half = len(one.features) // 2
        torch.save(torch.from_numpy(one.features[:half]), folder / f"wsi/{name}-0.pt")
        rest = torch.from_numpy(one.features[half:])
        torch.save(list(rest) if half else rest, folder / f"wsi/{name}-1.pt")
        rows += [[f"{name}.tif", f"wsi/{name}-{part}.pt", 1, "train", name] for part in (0, 1)]
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["origin", "embeddings", "target", "split", "wsi_id"], *rows])
    return folder
