"""Macenko per tile and per slide against torchstain's NumPy backend, on one core.

Usage: ``python benchmarks/stain.py [--tiles 512] [--px 224] [--images FOLDER]``

Without a folder of images, tiles are drawn: two stains, nuclei, a tenth of empty glass. torchstain
runs as it comes (it also makes the two single-stain pictures) and without those (``stains=False``),
which is the same work as ours; ratios are to both. All take turns, and the least of several rounds
counts, so that other work on the machine does not decide. Slide mode is one slide of all tiles,
from the first pixel to the last: sample, estimate, apply, in blocks of 32 tiles. Exit status 1
where Macenko per tile is less than 10 times or per slide less than 25 times as fast as torchstain
as it comes, or a pixel differs from it by more than one grey level.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torchstain
from numpy.typing import NDArray
from PIL import Image

from histograft.imaging.reinhard import reinhard
from histograft.imaging.stain import (
    StainStatus,
    TissueSample,
    apply_stains,
    estimate_stains,
    macenko,
)

Tiles = NDArray[np.uint8]
BLOCK = 32
LEAST_RATIOS = {"macenko per tile": 10.0, "macenko per slide": 25.0}
MOST_LEVELS = 1
N_THEIRS = 16  # torchstain is slow: so many tiles are timed
STAINS = np.array([[0.65, 0.35], [0.70, 0.85], [0.29, 0.40]])


def drawn_tiles(n_tiles: int, tile_px: int) -> Tiles:
    """Smooth fields of two stains with a camera's noise."""
    rng = np.random.default_rng(0)
    small = rng.gamma(2.0, 0.35, (n_tiles, tile_px // 8 + 1, tile_px // 8 + 1, 2))
    amounts = small.repeat(8, axis=1).repeat(8, axis=2)[:, :tile_px, :tile_px]
    amounts[rng.random(amounts.shape[:3]) < 0.1] = 0
    grey = 240 * np.exp(-amounts @ STAINS.T) + rng.normal(0, 2, (*amounts.shape[:3], 3))
    return np.clip(grey, 0, 255).astype(np.uint8)


def read_tiles(folder: Path, n_tiles: int, tile_px: int) -> Tiles:
    """Evenly chosen images of a folder, their upper left corners, repeated up to the number."""
    files = [f for f in sorted(folder.rglob("*")) if f.suffix in {".png", ".jpg", ".jpeg", ".tif"}]
    chosen = files[:: max(1, len(files) // n_tiles)]
    images = [np.asarray(Image.open(file).convert("RGB"))[:tile_px, :tile_px] for file in chosen]
    whole = np.stack([image for image in images if image.shape == (tile_px, tile_px, 3)])
    return whole[np.arange(n_tiles) % len(whole)]


def blocks(tiles: Tiles) -> list[Tiles]:
    return [tiles[i : i + BLOCK] for i in range(0, len(tiles), BLOCK)]


def slide(tiles: Tiles) -> list[Tiles]:
    sample = TissueSample()
    for block in blocks(tiles):
        sample.add(block)
    stains = estimate_stains(sample)
    return [apply_stains(block, stains)[0] for block in blocks(tiles)]


def least_seconds(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Least time of each job; they take turns."""
    least = dict.fromkeys(jobs, float("inf"))
    for job in jobs.values():
        job()  # compiles, and fills caches
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=512)
    parser.add_argument("--px", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=Path, help="folder of images to take tiles from")
    args = parser.parse_args()
    if args.images:
        tiles = read_tiles(args.images, args.tiles, args.px)
    else:
        tiles = drawn_tiles(args.tiles, args.px)
    ours, status = macenko(tiles, mode="tile")
    usable = np.flatnonzero(status == StainStatus.NORMALIZED)
    theirs = torchstain.normalizers.MacenkoNormalizer(backend="numpy")
    some = usable[:: max(1, len(usable) // N_THEIRS)][:N_THEIRS]
    gaps = [
        np.abs(theirs.normalize(tiles[i], stains=False)[0].astype(int) - ours[i]).max()
        for i in some
    ]
    print(f"{len(tiles)} tiles of {args.px} px, {len(usable)} normalized")
    print(f"largest difference to torchstain: {max(gaps)} grey level(s), {MOST_LEVELS} allowed")
    jobs: dict[str, Callable[[], Any]] = {
        "torchstain": lambda: [theirs.normalize(tiles[i]) for i in some],
        "torchstain, stains=False": lambda: [
            theirs.normalize(tiles[i], stains=False) for i in some
        ],
        "macenko per tile": lambda: [macenko(block, mode="tile") for block in blocks(tiles)],
        "macenko per slide": lambda: slide(tiles),
        "reinhard per tile": lambda: [reinhard(block, mode="tile") for block in blocks(tiles)],
    }
    seconds = least_seconds(jobs, args.rounds)
    counts = {name: len(some) if "torchstain" in name else len(tiles) for name in jobs}
    each = {name: seconds[name] / counts[name] * 1e3 for name in jobs}
    print(f"{'':26} ms a tile   x torchstain   x stains=False")
    for name, time_ms in each.items():
        ratios = [each[other] / time_ms for other in ("torchstain", "torchstain, stains=False")]
        least = f"   at least {LEAST_RATIOS[name]:.0f}x wanted" if name in LEAST_RATIOS else ""
        print(f"{name:26} {time_ms:9.3f} {ratios[0]:12.1f}x {ratios[1]:14.1f}x{least}")
    fast = all(each["torchstain"] / each[name] >= least for name, least in LEAST_RATIOS.items())
    return 0 if fast and max(gaps) <= MOST_LEVELS else 1


if __name__ == "__main__":
    sys.exit(main())
