"""Step 1 of the FTX recipe: pooled features computed once, against once in every epoch.

Usage: ``python benchmarks/frozen_cache.py [--images 256] [--epochs 20]``

Both ways run in this process, one after the other, on the same generated images, from the same
random weights, with the recipe of step 1 (Part B learns with Adam 4e-4, batch 128, 20 epochs;
Part A frozen). "Reread" is `histograft.learning.loop.fit`. "Recomputed" is a plain PyTorch loop
over the same batches, with every image passed through Part A in every epoch; it is run for
`--plain-epochs` epochs, and its time is scaled to all epochs (each does the same work). The
weights of both are compared after `--plain-epochs` epochs. Exit status 1 where the ratio is below
8 or the weights disagree.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

import numpy as np
import torch

from histograft.learning.batches import batch_bounds, epoch_order, normalize
from histograft.learning.loop import Regime, RunOptions, fit
from histograft.learning.network import Network, NetworkSpec, state_to_save
from histograft.learning.weights import build_network

CPU = RunOptions(device="cpu")
LEAST_RATIO = 8.0


class Generated:
    """Random images, decoded already, so that the ratio is one of arithmetic alone."""

    def __init__(self, n: int, side_px: int) -> None:
        rng = np.random.default_rng(0)
        self.array = rng.integers(0, 256, (n, side_px, side_px, 3)).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.array)

    def image(self, index: int) -> np.ndarray:
        """Return one image."""
        return self.array[index]


def recomputed(network: Network, images: Generated, labels: np.ndarray, regime: Regime) -> None:
    """Train Part B as any PyTorch tutorial would, with each image through Part A in each epoch."""
    network.to(memory_format=torch.channels_last).eval()
    optimizer = torch.optim.Adam(network.part_b.parameters(), lr=regime.lr)
    targets = torch.from_numpy(labels)
    for epoch in range(regime.epochs):
        order = epoch_order(len(images), regime.seed, epoch)
        for start, stop in batch_bounds(len(images), regime.batch_size):
            chosen = order[start:stop]
            raw = torch.from_numpy(images.array[chosen]).permute(0, 3, 1, 2)
            with torch.no_grad():
                gap = network.forward_a(normalize(raw, network.spec.mean, network.spec.std))
            loss = torch.nn.functional.cross_entropy(network.part_b(gap), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side-px", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--plain-epochs", type=int, default=2)
    options = parser.parse_args()

    spec = NetworkSpec("mobilenetv2_100", tuple(f"class {i}" for i in range(9)))
    images = Generated(options.images, options.side_px)
    labels = np.arange(options.images) % 9
    regime = Regime("head", epochs=options.epochs)
    short = dataclasses.replace(regime, epochs=options.plain_epochs)
    fit(build_network(spec, "random", seed=0), images, labels, regime=short, run=CPU)  # warm up

    begun = time.perf_counter()
    fit(build_network(spec, "random", seed=0), images, labels, regime=regime, run=CPU)
    reread_s = time.perf_counter() - begun

    plain, cached = (build_network(spec, "random", seed=0) for _ in range(2))
    begun = time.perf_counter()
    recomputed(plain, images, labels, short)
    plain_s = (time.perf_counter() - begun) * options.epochs / options.plain_epochs
    fit(cached, images, labels, regime=short, run=CPU)

    first = build_network(spec, "random", seed=0)
    moved, apart = 0.0, 0.0
    states = map(state_to_save, (first, plain, cached))
    for start, one, other in zip(*(state.values() for state in states), strict=True):
        moved = max(moved, float((start.double() - one.double()).abs().max()))
        apart = max(apart, float((one.double() - other.double()).abs().max()))

    ratio = plain_s / reread_s
    agree = apart <= 1e-3 * moved
    print(f"{options.images} images of {options.side_px} px, MobileNetV2, {options.epochs} epochs,")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"features reread:     {reread_s:8.1f} s")
    print(
        f"features recomputed: {plain_s:8.1f} s "
        f"(measured over {options.plain_epochs} epochs, scaled)"
    )
    print(f"ratio:               {ratio:8.1f} (at least {LEAST_RATIO:.0f} wanted)")
    print(
        f"weights after {options.plain_epochs} epochs: moved by up to {moved:.2e}, apart by up to "
        f"{apart:.1e}: they {'agree' if agree else 'DISAGREE'}"
    )
    return 0 if ratio >= LEAST_RATIO and agree else 1


if __name__ == "__main__":
    sys.exit(main())
