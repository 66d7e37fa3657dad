"""The training loop against a plain one: PIL in a DataLoader, eager float32, one image at a time.

Both train ResNet18 from the same first weights on the same PNG files with HistoKT's augmentation
and the same optimizer, and are told apart by images per second from the second epoch on (in the
first one our loop decodes, the plain one starts its workers)::

    python benchmarks/training_loop.py [--images 192] [--px 128] [--batch 64] [--epochs 3]
        [--precision bf16-mixed] [--device cuda] [--compile]

The images are noise of class-dependent color and texture, so that validation accuracy shows whether
both loops learn. Ends with exit status 1 where the ratio is below the one that is wanted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from histograft.learning.loop import Regime, RunOptions, fit
from histograft.learning.network import Network, NetworkSpec, load_state, state_to_save
from histograft.learning.normalization import IMAGENET
from histograft.learning.weights import build_network

LR = 1e-3
LEAST_RATIOS = {"cpu": 1.5, "cuda": 5.0}


class Files(Dataset):
    """Images of a folder: a source of ours, and a plain data set of torch."""

    def __init__(self, folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
        self.paths, self.labels = [], labels
        for number, image in enumerate(images):
            self.paths.append(folder / f"{number:05d}.png")
            Image.fromarray(image).save(self.paths[-1])
        self.transform = None

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> np.ndarray:
        """Pixels of one image, uint8 (H, W, 3)."""
        with Image.open(self.paths[index]) as opened:
            return np.asarray(opened.convert("RGB"))

    def __getitem__(self, index: int):
        with Image.open(self.paths[index]) as opened:
            return self.transform(opened.convert("RGB")), int(self.labels[index])


def textures(n: int, px: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four classes: two colors that overlap, two scales of spots."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    colors = np.array([[150, 100, 150], [165, 90, 160]])[labels % 2]
    images = np.empty((n, px, px, 3), np.uint8)
    for number, label in enumerate(labels):
        cell = 3 if label < 2 else 8
        spots = rng.normal(0, 30, (px // cell + 1, px // cell + 1, 1))
        spots = spots.repeat(cell, 0).repeat(cell, 1)[:px, :px]
        noise = rng.normal(rng.normal(0, 6, 3), 12, (px, px, 3))
        images[number] = np.clip(colors[number] + spots + noise, 0, 255)
    return images, labels


def plain(network: Network, train: Files, val: Files, given: argparse.Namespace):
    """Train as most code of the field does: seconds and validation accuracy of each epoch."""
    device = torch.device(given.device)
    steps = [transforms.ToTensor(), transforms.Normalize(*IMAGENET)]
    flips = [transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip()]
    val.transform = transforms.Compose(steps)
    train.transform = transforms.Compose(
        [*flips, transforms.RandomAffine(45, translate=(0.1, 0.1)), *steps]
    )
    workers = {"num_workers": given.workers, "persistent_workers": given.workers > 0}
    loader = DataLoader(train, given.batch, shuffle=True, **workers)
    judged = DataLoader(val, given.batch, **workers)
    network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), LR * 10, momentum=0.9, nesterov=True)
    seconds, accuracy = [], []
    for _ in range(given.epochs):
        start = time.perf_counter()
        network.train()
        for x, y in loader:
            loss = torch.nn.functional.cross_entropy(network(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        network.eval()
        with torch.no_grad():
            right = [(network(x.to(device)).argmax(1).cpu() == y).float() for x, y in judged]
        accuracy.append(float(torch.cat(right).mean()))
        seconds.append(time.perf_counter() - start)
    return seconds, accuracy


def ours(network: Network, train: Files, val: Files, given: argparse.Namespace):
    """Train with the loop of the package."""
    regime = Regime(
        "all", "sgd", lr=LR * 10, epochs=given.epochs, batch_size=given.batch, augment="histokt",
        precision=given.precision,
    )  # fmt: skip
    options = RunOptions(device=given.device, compile=given.compile)
    result = fit(network, train, train.labels, val, val.labels, regime=regime, run=options)
    columns = ("seconds", "val_accuracy")
    return tuple([row[column] for row in result.history] for column in columns)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("images", 192), ("px", 128), ("batch", 64), ("epochs", 3), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--device", choices=LEAST_RATIOS, default="cpu")
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    spec = NetworkSpec(
        "resnet18", ("a", "b", "c", "d"), hidden=(), mean=IMAGENET[0], std=IMAGENET[1]
    )
    first = build_network(spec, "random", seed=0, random_start="he-fan-out")
    state = state_to_save(first)
    with tempfile.TemporaryDirectory() as folder:
        splits = []
        for name, n, seed in (("train", given.images, 0), ("val", given.images // 2, 1)):
            (Path(folder) / name).mkdir()
            splits.append(Files(Path(folder) / name, *textures(n, given.px, seed)))
        rates = {}
        for name, way in (("plain", plain), ("histograft", ours)):
            network = Network(spec)
            load_state(network, state)
            seconds, accuracy = way(network, *splits, given)
            later = min(seconds[1:])
            rates[name] = given.images / later
            print(
                f"{name:11s} epoch 1 {seconds[0]:6.2f} s, later {later:6.2f} s (best), "
                f"{rates[name]:7.1f} images/s, validation accuracy "
                f"{np.mean(accuracy[-3:]):.3f} (last three epochs)",
                flush=True,
            )
    ratio, least = rates["histograft"] / rates["plain"], LEAST_RATIOS[given.device]
    print(f"ratio from the second epoch on: {ratio:.2f}, at least {least} wanted")
    return 0 if ratio >= least else 1


if __name__ == "__main__":
    sys.exit(main())
