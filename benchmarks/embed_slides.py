"""Features of a slide against the network alone, and memory on a small and on a large slide.

Usage: ``python benchmarks/embed_slides.py [--side-tiles 12] [--rounds 5] [--threads 2]``

Throughput: `embed_slide` (open, find tissue, read, embed, write; no stain step) and the bare
network on the same tiles in memory take turns in this process, with the same batches and device.
The ratio is that of the best times, and the features of both must be equal; that of the processor
times is printed as well, because it says more on a machine with other work. Memory: the command
line embeds one slide and one of four times its area with a small network, each in a process of its
own, whose resident memory is watched. Exit status 1 where the ratio is below 0.9, features differ,
or the peak of memory grows by more than a tenth.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import psutil
import torch
from PIL import Image

from histograft.core.artefact import Input
from histograft.imaging.phantom_slide import phantom_slide
from histograft.imaging.slide import open_slide
from histograft.imaging.slide_tiles import read_tiles
from histograft.imaging.stain import TORCHSTAIN
from histograft.learning.network import NetworkSpec
from histograft.learning.weights import build_network
from histograft.verbs.extractors import KnownNetwork, NetworkExtractor, PassSettings, RandomLayer
from histograft.verbs.one_slide import SlideRules, embed_slide
from histograft.verbs.slide_plan import TileRules, plan_slide
from histograft.verbs.slides import SlideEntry

TILE_PX, MPP, BATCH = 224, 0.5, 64
LEAST_RATIO, MOST_GROWTH = 0.9, 1.1
MEMORY_ROUNDS = 2
RUN = "from histograft.cli import main; main()"


def make_slide(path: Path, side_tiles: int) -> Path:
    """Write a slide that is all tissue: blobs in the colors of H&E, with noise as of a scanner."""
    rng = np.random.default_rng(0)
    side = side_tiles * TILE_PX
    coarse = Image.fromarray(rng.integers(0, 256, (side // 16, side // 16), dtype=np.uint8))
    amount = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    pixels = np.empty((side, side, 3), np.uint8)
    for channel, (low, high) in enumerate(((120, 225), (60, 170), (140, 205))):
        noise = rng.integers(-8, 9, (side, side), dtype=np.int8)
        pixels[..., channel] = low + (high - low) * amount + noise
    path.write_bytes(phantom_slide(pixels, MPP))
    return path


def make_extractor(arch: str) -> NetworkExtractor:
    """Return a network with random weights, read at its pooled features."""
    spec = NetworkSpec(arch, ("none", "other"), hidden=(1,))
    known = KnownNetwork(build_network(spec, "random", seed=0).eval(), Input("network", "x", arch))
    settings = PassSettings("cpu", BATCH, "32-true")
    return NetworkExtractor(known, arch, ("gap",), RandomLayer(1, 0), settings)


def say_nothing(done: int, total: int) -> None:
    """Take note of nothing."""
    del done, total


def clocks() -> np.ndarray:
    """Seconds of the clock on the wall, and of the processor in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def throughput(folder: Path, options: argparse.Namespace) -> tuple[float, bool]:
    """Print tiles per second of both ways; return their ratio, and whether features are equal."""
    path = make_slide(folder / "slide.tif", options.side_tiles)
    entry = SlideEntry("slide", path, None, None, None)
    tiles = TileRules(MPP, TILE_PX, 0.0, 0.5, "error")
    rules = SlideRules(tiles, "none", TORCHSTAIN, {}, options.threads)
    extractor = make_extractor(options.arch)
    (model,) = extractor.models
    plan = plan_slide(entry, tiles)
    with open_slide(path) as slide:
        begun = time.perf_counter()
        in_memory, _ = read_tiles(slide, plan.coords, plan.spec)
        reading = time.perf_counter() - begun
    list(extractor.features_of(iter(in_memory[:BATCH])))  # warm up
    alone, embedded = [], []
    for number in range(options.rounds):
        begun = clocks()
        expected = np.concatenate([b[model] for b in extractor.features_of(iter(in_memory))])
        alone.append(clocks() - begun)
        begun = clocks()
        embed_slide(entry, rules, extractor, folder / str(number), say_nothing)
        embedded.append(clocks() - begun)
    (alone_s, alone_cpu_s), (embed_s, embed_cpu_s) = np.min(alone, axis=0), np.min(embedded, axis=0)
    with h5py.File(folder / "0" / f"{model}.h5") as file:
        equal = np.array_equal(file["features"][:], expected)
    n, torchs = len(in_memory), torch.get_num_threads()
    print(f"{n} tiles of {TILE_PX} px, {options.arch}, {torchs} threads of torch, best of")
    print(f"{options.rounds} rounds; {options.threads} threads read")
    print(f"reading alone        {n / reading:8.1f} tiles/s (one thread)")
    print(f"network alone        {n / alone_s:8.1f} tiles/s")
    print(f"embed                {n / embed_s:8.1f} tiles/s")
    print(f"ratio of processor   {alone_cpu_s / embed_cpu_s:8.2f}")
    ratio = alone_s / embed_s
    print(f"ratio                {ratio:8.2f} (at least {LEAST_RATIO} wanted)")
    print(f"features are {'equal' if equal else 'DIFFERENT'}")
    return ratio, equal


def peak_bytes(folder: Path, side_tiles: int, threads: int) -> int:
    """Embed a slide with the command line; return the peak of its resident memory."""
    slides = folder / "slides"
    slides.mkdir(parents=True)
    make_slide(slides / "slide.tif", side_tiles)
    words = (
        "embed", slides, "--arch", "resnet10t", "--weights", "random", "--out", folder / "out",
        "--target-mpp", MPP, "--tile-px", TILE_PX, "--device", "cpu", "--workers", threads,
    )  # fmt: skip
    command = [sys.executable, "-c", RUN, *map(str, words)]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.02)
        said = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        raise RuntimeError(said)
    return peak


def memory(folder: Path, options: argparse.Namespace) -> float:
    """Print the peak on two slides; return by how much it grows."""
    side = options.memory_side_tiles
    peaks: dict[int, list[int]] = {side: [], 2 * side: []}
    for number in range(MEMORY_ROUNDS):  # peaks of one slide differ by a tenth from run to run
        for n in peaks:
            peaks[n].append(peak_bytes(folder / f"{number}-{n}", n, options.threads))
    small, large = map(min, peaks.values())
    print(f"peak of memory       {small / 1e6:8.0f} MB on {side**2} tiles")
    print(f"                     {large / 1e6:8.0f} MB on {4 * side**2} tiles")
    print(f"ratio                {large / small:8.2f} (at most {MOST_GROWTH} wanted)")
    return large / small


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="legacy_xception")
    parser.add_argument("--side-tiles", type=int, default=12)
    parser.add_argument("--memory-side-tiles", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        ratio, equal = throughput(Path(name), options)
        growth = memory(Path(name), options)
    return 0 if ratio >= LEAST_RATIO and equal and growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
