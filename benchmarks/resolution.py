"""What a coarser scale saves, and what remembering the teacher saves.

Usage: ``python benchmarks/resolution.py [--side-px 2048] [--pieces 4] [--epochs 5] [--adam]``

First: a teacher at 1 µm/px against a student at 8 µm/px on the same pieces, each stored as a PNG
at its own scale, from the files to the probabilities as verbs predict them (`piece_probabilities`
of `histograft.learning.piece_scores`: the next file is read meanwhile, small pieces of one size
pass together, freed memory is kept); the median of alternating rounds. Second:
distillation from 512 px to 128 px with equal sizes in one pass and the teacher's outputs computed
once (`histograft.learning.distill.distill` as it is called by default), against one piece at a time
with the teacher run each time, as the published code does. Both learn from the same 32 pieces in
each step and nothing augments. They learn by plain gradient descent: Adam divides each gradient by
its own size, so that of gradients near 0 the rounding is what it follows, and the curves part a
little sooner (``--adam`` shows it). Exit status 1 where inference is less than 40 times or training
less than twice as fast, or the losses of any epoch differ by more than 1e-5 of themselves.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from histograft.imaging.scale_pair import at_level
from histograft.learning.cost import count_macs
from histograft.learning.distill import PieceRegime, Pieces, distill, drawn_network
from histograft.learning.network import Network, NetworkSpec
from histograft.learning.piece_scores import piece_probabilities
from histograft.learning.regime import RunOptions

SPEC = NetworkSpec("dipalma_resnet10", ("a", "b", "c"), hidden=())
LEAST_INFERENCE, LEAST_TRAINING, LARGEST_DIFFERENCE = 40.0, 2.0, 1e-5
FACTOR, ROUNDS, REPEATED = 8, 5, 32


class Stored:
    """Pieces in memory."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def shape(self, index: int) -> tuple[int, int]:
        """Return (height, width)."""
        return self.images[index].shape[0], self.images[index].shape[1]

    def image(self, index: int) -> np.ndarray:
        """Return one piece."""
        return self.images[index]


def texture(side_px: int, seed: int) -> np.ndarray:
    """Return smooth noise: PNG files of plain noise would take longer to read than tissue does."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (side_px // 8, side_px // 8, 3)).astype(np.uint8)
    large = Image.fromarray(small).resize((side_px, side_px), Image.Resampling.BICUBIC)
    grain = rng.integers(0, 4, (side_px, side_px, 1)).astype(np.uint8)
    return (np.asarray(large) // 4 * 3 + grain).astype(np.uint8)


class Files(Stored):
    """Pieces on disk."""

    def __init__(self, files: list[Path], side_px: int) -> None:
        self.files, self.side_px = files, side_px

    def __len__(self) -> int:
        return len(self.files)

    def shape(self, index: int) -> tuple[int, int]:  # noqa: ARG002 - the contract
        """Return (height, width)."""
        return self.side_px, self.side_px

    def image(self, index: int) -> np.ndarray:
        """Decode one piece."""
        return np.array(Image.open(self.files[index]))


def inference(n: int, side_px: int) -> float:
    teacher, student = (drawn_network(SPEC, seed=s).eval() for s in (0, 1))
    with tempfile.TemporaryDirectory() as folder:
        fine, coarse = [], []
        for i in range(n):
            native = texture(side_px, i)
            for files, factor in ((fine, 1), (coarse, FACTOR)):
                path = Path(folder) / f"{i}-{factor}.png"
                Image.fromarray(at_level(native, factor)).save(path)
                files.append(path)
        jobs = [
            (teacher, Files(fine, side_px)),
            (student, Files(coarse * REPEATED, side_px // FACTOR)),  # enough for a clock
        ]
        seconds = np.array([[_seconds(*job) for job in jobs] for _ in range(ROUNDS + 1)])[1:]
    slow, fast = np.median(seconds, axis=0)
    macs = [count_macs(SPEC, side, side) for side in (side_px, side_px // FACTOR)]
    print(
        f"{n} pieces of {side_px} px, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"teacher at 1 µm/px: {1000 * slow:9.1f} ms a piece, {macs[0] / 1e9:7.2f} GMAC")
    print(f"student at 8 µm/px: {1000 * fast:9.1f} ms a piece, {macs[1] / 1e9:7.2f} GMAC")
    ratio = float(np.median(seconds[:, 0] / seconds[:, 1]))
    print(
        f"ratio:              {ratio:9.1f} in time (at least {LEAST_INFERENCE:.0f} wanted), "
        f"{macs[0] / macs[1]:.1f} in MAC"
    )
    return ratio


def _seconds(network: Network, pieces: Files) -> float:
    """Time a piece."""
    begun = time.perf_counter()
    piece_probabilities(network, pieces, device="cpu")
    return (time.perf_counter() - begun) / len(pieces)


def training(n: int, epochs: int, *, adam: bool) -> tuple[float, float]:
    natives = [texture(512, 100 + i) for i in range(n)]
    pieces = Pieces(Stored([at_level(image, 4) for image in natives]), fine=Stored(natives))
    batched = PieceRegime(augment="none", epochs=epochs)
    if not adam:
        batched = dataclasses.replace(batched, optimizer="sgd", lr=0.01)
    alone = dataclasses.replace(batched, pass_pixels=None)
    times, curves = [], []
    for regime, cache_bytes in ((alone, 0), (batched, 2**31)):
        begun = time.perf_counter()
        result = distill(
            drawn_network(SPEC, seed=1),
            drawn_network(SPEC, seed=0),
            pieces,
            regime=regime,
            run=RunOptions(device="cpu", cache_bytes=cache_bytes),
        )
        times.append(time.perf_counter() - begun)
        curves.append(np.array([row["train_loss"] for row in result.history]))
    ratio = times[0] / times[1]
    difference = float(np.max(np.abs(curves[1] / curves[0] - 1)))
    print(f"{n} pieces, 512 px to 128 px, {epochs} epochs of steps of 32")
    print(f"one by one, teacher each time: {times[0]:7.1f} s")
    print(f"in buckets, teacher once:      {times[1]:7.1f} s")
    print(f"ratio:                         {ratio:7.1f} (at least {LEAST_TRAINING:.0f} wanted)")
    print(f"losses {curves[0].round(5).tolist()}, apart by up to {difference:.1e} of themselves")
    return ratio, difference


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side-px", type=int, default=2048)
    parser.add_argument("--pieces", type=int, default=4)
    parser.add_argument("--training-pieces", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--adam", action="store_true")
    options = parser.parse_args()
    faster = inference(options.pieces, options.side_px)
    ratio, difference = training(options.training_pieces, options.epochs, adam=options.adam)
    met = faster >= LEAST_INFERENCE and ratio >= LEAST_TRAINING and difference <= LARGEST_DIFFERENCE
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
