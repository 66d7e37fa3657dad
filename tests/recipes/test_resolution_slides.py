"""Resolution distillation from a table of slides to what the student says of other slides."""

from argparse import Namespace
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_slides

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT
from histograft.recipes import resolution_distillation as recipe
from histograft.recipes.resolution_distillation import (
    ResolutionDistillation,
    resolution_distillation,
)
from histograft.verbs.patch_images import load_patches


def names_the_last_student(config, reporter):
    """Stand for the report, whose drawing takes long and is tested elsewhere."""
    student = open_artefact(config.networks[-1], "network")
    facts = {"answer_network": student.id}
    return Namespace(path=config.out, facts=facts)


def test_from_slides_to_slides(tmp_path, monkeypatch):
    rows = []
    for i in range(9):
        pixels = np.full((180, 240, 3), 245, np.uint8)
        label = "ab"[i % 2]
        pixels[40:140, 40:200] = small_slides.tissue(160, 100, i) // (1 if label == "a" else 2)
        small_slides.write_slide(tmp_path / f"s{i}.tif", pixels, 4.0)
        split = ["train", "train", "val", "val", "test", "test", "test", "test"][i % 8]
        row = {"slide_id": f"s{i}", "file": f"s{i}.tif", "patient_id": f"p{i}"}
        rows.append(row | {"label": label, "split": split})
    small_slides.write_slides_table(tmp_path / "slides.csv", rows[:8])
    new = {name: rows[8][name] for name in ("slide_id", "file", "patient_id")}
    small_slides.write_slides_table(tmp_path / "new.csv", [new])
    config = ResolutionDistillation(
        tmp_path / "slides.csv", out=tmp_path / "out", ladder=(8.0,), epochs=1, seeds=1,
        norm_groups=8, augment="none", margin=0.99, draws=200, export="none", workers=1,
        least_tissue_mm2=0.1, predict_slides=tmp_path / "new.csv", device="cpu",
    )  # fmt: skip
    absent = replace(config, predict_slides=tmp_path / "absent.csv")
    with pytest.raises(InputError, match=r"absent\.csv does not exist"):  # before any training
        resolution_distillation(absent, SILENT)
    with pytest.raises(InputError, match="--predict-slides are slides, whose scale is in µm/px"):
        resolution_distillation(replace(config, scale="relative"), SILENT)
    with pytest.raises(InputError, match="states no label, and the teacher learns from labels"):
        resolution_distillation(replace(config, samples=tmp_path / "new.csv"), SILENT)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(recipe, "ladder", names_the_last_student)
    resolution_distillation(config, SILENT)
    fine, coarse = (open_artefact(tmp_path / f"out/pieces/{n}", "patches") for n in (4, 8))
    assert fine.facts["n_slides"] == 8
    assert load_patches(fine)["patch_id"].equals(load_patches(coarse)["patch_id"])
    said = open_artefact(tmp_path / "out/predicted/classes", "predictions")
    assert said.facts["level"] == 8
    used = [i["id"] for i in said.manifest["inputs"] if i["role"] == "network"]
    assert used == [open_artefact(tmp_path / "out/networks/seed-0/8/kd").id]
    slides = pd.read_csv(said.file("slides.csv"))
    assert slides["slide_id"].tolist() == ["s8"]
    np.testing.assert_allclose(slides["p:a"] + slides["p:b"], 1, atol=1e-5)
