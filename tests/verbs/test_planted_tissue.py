"""Maps find what was planted: a piece of another tissue at a known place, on real weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histograft.imaging.phantom import LABORATORIES, render_phantom

SIDE, RADIUS = 224, 45
TISSUES = ("gland", "lymphoid", "muscle")


def phantom(tissue, patient, rng, size_px):
    return render_phantom(tissue, LABORATORIES["lab-a"], patient, rng, size_px=size_px, mpp=1.0)


def planted(folder, tools, n=120):
    """Stroma with a disk of the tissue that names the class, and masks of the disks."""
    rng = np.random.default_rng(0)
    rows = []
    y, x = np.mgrid[:SIDE, :SIDE]
    for i in range(n):
        code, label, patient = 1 + i % 3, TISSUES[i % 3], i // 3
        if code == 1:  # a patient's three images share their stroma
            stroma = phantom("stroma", patient, rng, SIDE)
        row, column = rng.integers(RADIUS, SIDE - RADIUS, 2)
        disk = (y - row) ** 2 + (x - column) ** 2 < RADIUS**2
        image = stroma.copy()
        piece = phantom(label, patient, rng, 2 * RADIUS)
        window = image[row - RADIUS : row + RADIUS, column - RADIUS : column + RADIUS]
        inside = disk[row - RADIUS : row + RADIUS, column - RADIUS : column + RADIUS]
        window[inside] = piece[inside]
        name = f"{label}/{i:03d}.png"
        tools.save(folder / name, image)
        tools.save(folder / "masks" / name, (disk * code).astype(np.uint8))
        rows.append({"file": name, "label": label, "group": f"p{patient}", "mpp": 1.0})
        rows[-1]["mask"] = f"masks/{name}"
    tools.write_table(folder / "samples.csv", rows)
    return folder


@pytest.mark.slow
@pytest.mark.real
def test_maps_point_at_planted_tissue(tools, tmp_path, shared_data):
    patches = tmp_path / "patches"
    tools.ok(
        "standardize", "--samples", planted(tmp_path / "planted", tools), "--out", patches,
        "--target-mpp", 1, "--patch-px", SIDE, "--workers", 1, "--test-fraction", 0.5,
    )  # fmt: skip
    weights = shared_data / "weights" / "mobilenetv2_100_imagenet.safetensors"
    known = ("--arch-kwargs", '{"pad_type": "same", "bn_eps": 0.001}')
    known += ("--mean", 0.5, 0.5, 0.5, "--std", 0.5, 0.5, 0.5)
    for name, init, epochs in [("tuned", (weights, *known), 30), ("untrained", ("random",), 1)]:
        tools.ok(
            "train", "--patches", patches, "--out", tmp_path / name, "--init", *init,
            "--arch", "mobilenetv2_100", "--tune", "head", "--hidden", 64,
            "--epochs-head", epochs, "--device", "cpu",
        )  # fmt: skip
    codes = [f"{1 + i}={tissue}" for i, tissue in enumerate(TISSUES)]
    tools.ok(
        "explain", tmp_path / "tuned", tmp_path / "untrained", "--patches", patches,
        "--masks", patches / "masks", "--mask-classes", *codes,
        "--tolerance-px", 15, "--tsne", "none", "--device", "cpu", "--out", tmp_path / "seen",
    )  # fmt: skip
    scores = pd.read_csv(tmp_path / "seen" / "pointing.csv").query("`class` == 'all'")
    tuned, untrained = (scores.set_index("network").loc[name] for name in ("tuned", "untrained"))
    assert tuned["ci_low"] > tuned["hits_by_chance"] + 0.2
    assert tuned["energy"] > 2 * tuned["energy_by_chance"]
    assert untrained["ci_low"] < untrained["hits_by_chance"] < untrained["ci_high"]
