"""Small slides, tables of them, and how their tiles are read without histograft."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openslide
import timm
import torch
from safetensors.torch import save_file

from histograft.imaging.phantom_slide import phantom_slide

MEAN, STD = (0.7, 0.5, 0.6), (0.2, 0.25, 0.3)
# Optical density of hematoxylin and eosin in red, green and blue.
STAINS = np.array([[0.65, 0.07], [0.70, 0.99], [0.29, 0.11]])


def tissue(width: int, height: int, seed: int = 0, margin: int = 0) -> np.ndarray:
    """Pixels with both stains in amounts that change from pixel to pixel, on white glass."""
    amounts = np.random.default_rng(seed).uniform(0.1, 1, (height, width, 2)) * [1.2, 2.0]
    pixels = np.full((height + 2 * margin, width + 2 * margin, 3), 245, np.uint8)
    pixels[margin : margin + height, margin : margin + width] = 240 * np.exp(-amounts @ STAINS.T)
    return pixels


def write_slide(path: Path, pixels: np.ndarray, mpp: float = 0.5, **options: object) -> Path:
    """Write a pyramidal slide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(phantom_slide(pixels, mpp, **options))
    return path


def write_slides_table(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    """Write a table of slides with the columns of its rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_weights(path: Path) -> torch.nn.Module:
    """Write random weights of a tiny network with what a weights file should state; return it."""
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=0)
    facts = {"architecture": "resnet10t", "kwargs": "{}", "mean": str(list(MEAN))}
    save_file(model.state_dict(), path, facts | {"std": str(list(STD))})
    return model.eval()


def features_of(model: torch.nn.Module, tiles: np.ndarray) -> np.ndarray:
    """Features by timm and PyTorch alone."""
    x = (torch.from_numpy(tiles).double() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.inference_mode():
        return model(x.permute(0, 3, 1, 2).float()).numpy()


def read_one_by_one(path: Path, coords: np.ndarray, side0: int, factor: int) -> np.ndarray:
    """Tiles by OpenSlide, one region each, every pixel the rounded mean of factor x factor."""
    tiles = []
    with openslide.OpenSlide(path) as slide:
        for x, y in coords.tolist():
            region = np.asarray(slide.read_region((x, y), 0, (side0, side0)).convert("RGB"), float)
            small = side0 // factor
            means = region.reshape(small, factor, small, factor, 3).mean(axis=(1, 3))
            tiles.append(np.floor(means + 0.5).astype(np.uint8))
    return np.stack(tiles)
