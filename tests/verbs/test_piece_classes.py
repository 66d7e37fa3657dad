"""Classes of pieces, slides and patients, against PyTorch and means by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import small_slides
import torch
from PIL import Image

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.verbs.classify import Classify, classify
from histograft.verbs.distill import Distill, distill
from histograft.verbs.networks import load_network
from histograft.verbs.patch_images import load_patches
from histograft.verbs.rescale import Rescale, rescale


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A network of pieces at 8 µm/px, and pieces of other slides of two patients."""
    folder = tmp_path_factory.mktemp("world")
    rows = {"train": [], "new": []}
    for i in range(5):
        pixels = np.full((300, 640, 3), 245, np.uint8)
        pixels[40:200, 40:300] = small_slides.tissue(260, 160, i)
        pixels[60:260, 400:560] = small_slides.tissue(160, 200, 10 + i) // 2 if i % 2 else 245
        small_slides.write_slide(folder / f"s{i}.tif", pixels, 2.0)
        row = {"slide_id": f"s{i}", "file": f"s{i}.tif", "patient_id": f"p{i // 2}"}
        rows["train" if i < 2 else "new"].append(row | {"label": "ab"[i % 2], "split": "train"})
    for name, table in rows.items():
        small_slides.write_slides_table(folder / f"{name}.csv", table)
        options = {"level": 8.0, "least_tissue_mm2": 0.02, "workers": 1, "name": name}
        rescale(Rescale(folder / f"{name}.csv", out=folder / f"{name}-pieces", **options))
    small = {"epochs": 1, "norm_groups": 8, "device": "cpu", "augment": "none"}
    distill(Distill(folder / "train-pieces", out=folder / "network", **small))
    config = Classify(
        folder / "new-pieces", network=folder / "network", out=folder / "classes", device="cpu"
    )
    classify(config)
    return folder


def test_classes_are_those_of_the_network_on_the_pieces(world):
    network = load_network(open_artefact(world / "network", "network")).eval()
    pieces = open_artefact(world / "new-pieces", "patches")
    made = open_artefact(world / "classes", "predictions")
    found = pd.read_parquet(made.file("pieces.parquet"))
    table = load_patches(pieces)
    assert found["slide_id"].tolist() == table["slide_id"].tolist() == ["s2", "s3", "s3", "s4"]
    mean, std = (torch.tensor(v) for v in (network.spec.mean, network.spec.std))
    for row, file in zip(found.to_dict("records"), table["file_name"], strict=True):
        pixels = torch.from_numpy(np.array(Image.open(pieces.path / file))).float() / 255
        x = ((pixels - mean) / std).permute(2, 0, 1)[None]
        with torch.inference_mode():
            p = torch.softmax(network(x), 1)[0].numpy()
        np.testing.assert_allclose([row["p:a"], row["p:b"]], p, atol=1e-5)
        assert row["class"] == "ab"[p.argmax()]
    assert not found["seen"].any()
    assert made.facts["n_slides"] == 3


def test_slides_and_patients_are_means_weighted_by_area(world):
    made = open_artefact(world / "classes", "predictions")
    found = pd.read_parquet(made.file("pieces.parquet"))
    slides = pd.read_csv(made.file("slides.csv"))
    patients = pd.read_csv(made.file("patients.csv"))
    assert slides[["slide_id", "patient_id"]].to_numpy().tolist() == [
        ["s2", "p1"], ["s3", "p1"], ["s4", "p2"],
    ]  # fmt: skip
    assert patients[["patient_id", "n_slides", "n_pieces"]].to_numpy().tolist() == [
        ["p1", 2, 3], ["p2", 1, 1],
    ]  # fmt: skip
    area, p = found["area_mm2"].to_numpy(), found["p:a"].to_numpy()
    assert area[1] != area[2]
    expected = (area[1] * p[1] + area[2] * p[2]) / (area[1] + area[2])
    assert slides["p:a"][1] == pytest.approx(expected, rel=1e-5)
    assert patients["p:a"][0] == pytest.approx(np.average(p[:3], weights=area[:3]), rel=1e-5)
    assert patients["area_mm2"][0] == pytest.approx(area[:3].sum(), rel=1e-5)
    best = np.where(slides["p:a"] > 0.5, "a", "b")
    assert slides["class"].tolist() == best.tolist()


def test_qupath_gets_the_outline_of_each_piece(world):
    made = open_artefact(world / "classes", "predictions")
    found = pd.read_parquet(made.file("pieces.parquet")).iloc[1]
    content = json.loads(made.file("qupath/s3.geojson").read_text())
    first, _ = content["features"]
    ring = first["geometry"]["coordinates"][0]
    x, y = found["x0"], found["y0"]
    assert ring[0] == [x, y]
    assert ring[2] == [x + found["width0"], y + found["height0"]]
    assert first["properties"]["classification"]["name"] == found["class"]
    given = first["properties"]["measurements"]["Probability a"]
    assert given == pytest.approx(found["p:a"], abs=1e-4)


def test_pieces_that_the_network_learned_from_are_told(world, tmp_path):
    heard = []

    class Listener:
        def __getattr__(self, name):
            from histograft.core.reporter import SILENT

            return heard.append if name == "warn" else getattr(SILENT, name)

    config = Classify(world / "train-pieces", network=world / "network", out=tmp_path / "out")
    made = classify(config, Listener())
    assert made.facts["n_seen"] == made.facts["n_pieces"]
    assert "was tuned on 3 of these pieces" in heard[0]


def test_another_scale_and_another_kind_of_network_are_refused(world, tmp_path):
    options = {"least_tissue_mm2": 0.02, "workers": 1}
    rescale(Rescale(world / "new.csv", out=tmp_path / "fine", level=4.0, **options))
    with pytest.raises(InputError, match=r"learned at 8 µm/px, and the pieces are at 4 µm/px"):
        classify(Classify(tmp_path / "fine", network=world / "network", out=tmp_path / "no"))
    with pytest.raises(InputError, match="--model is for features of tiles"):
        classify(
            Classify(world / "new-pieces", network=world / "network", out=tmp_path, model="gap")
        )
    other = open_artefact(world / "network", "network")
    facts = {k: v for k, v in other.facts.items() if k != "level"}
    manifest = json.loads((world / "network/manifest.json").read_text()) | {"facts": facts}
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="did not learn from whole pieces"):
        classify(Classify(world / "new-pieces", network=folder, out=tmp_path / "no"))


def test_slides_themselves_are_no_pieces(world, tmp_path):
    config = Classify(world / "new.csv", network=world / "network", out=tmp_path / "x")
    with pytest.raises(InputError, match="sees pieces of tissue") as refused:
        classify(config)
    assert "`histograft rescale SAMPLES --level 8 --out PIECES`" in refused.value.fix


def test_pieces_are_a_table_for_spreadsheets_too(world):
    made = open_artefact(world / "classes", "predictions")
    found = pd.read_csv(made.file("pieces.csv"))
    whole = pd.read_parquet(made.file("pieces.parquet"))
    assert found["file"].tolist() == ["s2.tif", "s3.tif", "s3.tif", "s4.tif"]
    assert set(whole.columns) - set(found.columns) == {"label"}
    assert found["x0"].tolist() == whole["x0"].tolist()
    np.testing.assert_allclose(found["p:a"], whole["p:a"], rtol=1e-5)


def test_groups_of_images_are_called_groups(world, tmp_path):
    rows = []
    for i, group in enumerate(
        ("g0", "g0", "g1", "")
    ):  # the last is of a slide, and of whom is not known
        Image.fromarray(small_slides.tissue(64, 64, i)).save(tmp_path / f"{i}.png")
        rows.append((f"{i}.png", "a", group, f"s{i}", 8.0))
    columns = ["file", "label", "group", "slide", "mpp"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "samples.csv", index=False)
    rescale(Rescale(tmp_path / "samples.csv", out=tmp_path / "pieces", level=8.0, workers=1))
    heard = []

    class Listener:
        def __getattr__(self, name):
            from histograft.core.reporter import SILENT

            return heard.append if name == "note" else getattr(SILENT, name)

    config = Classify(tmp_path / "pieces", network=world / "network", out=tmp_path / "classes")
    made = classify(config, Listener())
    assert heard[-1].startswith("4 pieces of 4 slides and 2 groups: ")
    assert pd.read_csv(made.file("patients.csv"))["patient_id"].tolist() == ["g0", "g1"]
    assert pd.read_csv(made.file("pieces.csv"))["file"].tolist() == [f"{i}.png" for i in range(4)]
