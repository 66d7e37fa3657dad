"""Pieces of tissue in two colors and several sizes."""

import numpy as np
import pandas as pd
from PIL import Image

SIDES = [(64, 80), (80, 64), (64, 64), (72, 75)]


def write_pieces(folder, n, *, first=0, splits=("train", "train", "val", "test")):
    """Red and blue pieces of patients with two pieces each."""
    folder.mkdir()
    rng = np.random.default_rng(first)
    rows = []
    for i in range(first, first + n):
        label = "ab"[(i // 2) % 2]
        color = np.array([200, 60, 60] if label == "a" else [60, 60, 200])
        pixels = np.clip(color + rng.normal(0, 40, (*SIDES[i % 4], 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append((f"{i}.png", label, f"p{i // 2}", splits[(i // 4) % len(splits)]))
    pd.DataFrame(rows, columns=["file", "label", "group", "split"]).to_csv(
        folder / "samples.csv", index=False
    )
