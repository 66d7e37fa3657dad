"""A command line that is called in this process, and small sets of generated images."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from command_line import Outcome, run_command, run_successfully
from PIL import Image

SMALL = (("--target-mpp", 1), ("--patch-px", 32), ("--workers", 1))
COLORS = {"gland": (180, 90, 160), "muscle": (220, 120, 150), "fat": (200, 170, 210)}


def texture(seed: object, color: Sequence[int] = (200, 120, 170), side: int = 48) -> np.ndarray:
    """Draw blobs that differ from seed to seed, uint8 (side, side, 3)."""
    rng = np.random.default_rng(_number(seed))
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7), dtype=np.uint8))
    blobs = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=float)
    noise = rng.normal(0, 6, (side, side, 3))
    pixels = np.asarray(color) * (0.55 + 0.45 * blobs[..., None] / 255) + noise
    return pixels.clip(0, 255).astype(np.uint8)


def _number(seed: object) -> int:
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "big")


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    """Write an image; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_table(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    """Write a samples table with the columns of its rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_set(
    folder: Path,
    *,
    groups: int = 6,
    per_group: int = 1,
    classes: Sequence[str] = tuple(COLORS),
    side: int = 48,
    mpp: float | None = 1.0,
    ending: str = "png",
) -> Path:
    """Write images of some classes from some patients, and their samples.csv."""
    rows = []
    for label in classes:
        for group in range(groups):
            for number in range(per_group):
                name = f"{label}/p{group}-{number}.{ending}"
                color = COLORS.get(label, (150, 150, 200))
                save(folder / name, texture((folder.name, name), color, side))
                rows.append({"file": name, "label": label, "group": f"p{group}", "mpp": mpp or ""})
    write_table(folder / "samples.csv", rows)
    return folder


def read_patches(artefact: Path) -> pd.DataFrame:
    """Read the table of a patches artefact without histograft."""
    return pd.read_parquet(artefact / "metadata.parquet")


def content(artefact: Path) -> dict[str, object]:
    """Read what an artefact holds, by file, without what says how it was made (time, device)."""
    found: dict[str, object] = {}
    for path in sorted(p for p in artefact.rglob("*") if p.is_file()):
        name = str(path.relative_to(artefact))
        if path.name == "manifest.json":
            manifest = json.loads(path.read_text())
            manifest = {k: v for k, v in manifest.items() if k not in ("execution", "files")}
            found[name] = manifest | {"files": sorted(json.loads(path.read_text())["files"])}
        elif path.name == "history.csv":
            found[name] = pd.read_csv(path).drop(columns="seconds", errors="ignore").to_dict()
        else:
            found[name] = path.read_bytes()
    return found


@dataclass(frozen=True)
class Tools:
    """What tests call."""

    run: Callable[..., Outcome] = run_command
    ok: Callable[..., Outcome] = run_successfully
    texture: Callable[..., np.ndarray] = texture
    save: Callable[..., Path] = save
    write_table: Callable[..., Path] = write_table
    write_set: Callable[..., Path] = write_set
    read_patches: Callable[..., pd.DataFrame] = read_patches
    content: Callable[..., dict[str, object]] = content


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk():
    """Make fsync do nothing: it is tested where files are written (tests/core), and slow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Functions to make sets and to run commands."""
    return Tools()


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """The module that makes fake copies of the public sets."""
    path = Path(__file__).parents[1] / "catalogue" / "fakes.py"
    spec = importlib.util.spec_from_file_location("catalogue_fakes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def standardized(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that standardizes a set with small patches and gives the artefact."""

    def work(samples: Path, *words: object, out: str = "patches") -> Path:
        target = tmp_path / out
        given = set(map(str, words))
        run_successfully(
            "standardize", "--samples", samples, "--out", target,
            *(word for pair in SMALL if pair[0] not in given for word in pair), *words,
        )  # fmt: skip
        return target

    return work
