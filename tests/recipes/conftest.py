"""A command line that is called in this process, and small sets of generated images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import Outcome, run_command, run_successfully
from PIL import Image

COLORS = {"gland": (180, 90, 160), "muscle": (220, 120, 150), "fat": (200, 170, 210)}


def write_set(folder: Path, *, groups: int, mpp: float | None = 1.0, table: bool = True) -> Path:
    """Write two images of each class and patient, and their samples.csv."""
    rows = []
    for label, color in COLORS.items():
        for number in range(groups):
            name = f"{label}/p{number}.png"
            digest = hashlib.sha256(f"{folder.name}/{name}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            blobs = Image.fromarray(rng.integers(0, 256, (7, 7), dtype=np.uint8))
            shade = np.asarray(blobs.resize((40, 40), Image.Resampling.BICUBIC), dtype=float)
            noise = rng.normal(0, 6, (40, 40, 3))
            pixels = np.asarray(color) * (0.55 + 0.45 * shade[..., None] / 255) + noise
            (folder / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
            rows.append({"file": name, "label": label, "group": f"p{number}", "mpp": mpp})
    if table:
        pd.DataFrame(rows).to_csv(folder / "samples.csv", index=False)
    return folder


@dataclass(frozen=True)
class Tools:
    """What tests call."""

    run: Callable[..., Outcome] = run_command
    ok: Callable[..., Outcome] = run_successfully
    write_set: Callable[..., Path] = write_set


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Functions to make sets and to run commands."""
    return Tools()


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Make fsync do nothing: it is tested where files are written (tests/core), and slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
