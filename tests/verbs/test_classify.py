"""Tissue of tiles from stored features, against the network on pixels by PyTorch alone."""

import json

import numpy as np
import pandas as pd
import pytest
import small_slides
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

from histograft.core.artefact import open_artefact
from histograft.figures.palette import class_look

TILE, SIDE0, COLUMNS, ROWS = 32, 64, 10, 8
CLASSES = ("fat", "gland", "muscle")


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """Two networks, and slides that were embedded with the first."""
    folder = tmp_path_factory.mktemp("classify")
    tools.write_set(folder / "set", groups=8)
    tools.ok(
        "standardize", "--samples", folder / "set", "--out", folder / "patches", "--target-mpp", 1,
        "--patch-px", TILE, "--workers", 1,
    )  # fmt: skip
    for seed in (0, 1):
        tools.ok(
            "train", "--patches", folder / "patches", "--out", folder / f"net{seed}", "--init",
            "random", "--arch", "resnet10t", "--hidden", 16, 12, "--tune", "head", "--epochs-head",
            20, "--lr-head", 0.002, "--seed", seed, "--device", "cpu",
        )  # fmt: skip
    rows = []
    for name in ("a", "002"):
        pixels = mosaic(folder / "set", len(name))
        small_slides.write_slide(folder / f"{name}.tif", pixels, 0.5)
        rows.append({"slide_id": name, "file": f"{name}.tif", "patient_id": f"p{name}"})
    glass = np.full((800, 800, 3), 245, np.uint8)
    small_slides.write_slide(folder / "glass.tif", glass, 0.5)
    rows.append({"slide_id": "glass", "file": "glass.tif", "patient_id": ""})
    small_slides.write_slides_table(folder / "slides.csv", rows)
    tools.ok(
        "embed", folder / "slides.csv", "--network", folder / "net0", "--out", folder / "embedded",
        "--points", "gap", "dense", "dense-pre", "random", "--target-mpp", 1, "--tile-px", TILE,
        "--workers", 1, "--device", "cpu",
    )  # fmt: skip
    tools.ok(
        "classify", folder / "embedded", "--network", folder / "net0", "--out", folder / "tissue"
    )
    return folder


def mosaic(folder, seed):
    """Images of the tuned set, one a tile, each of their pixels as 2 x 2."""
    files = sorted(folder.rglob("*.png"))
    picks = np.random.default_rng(seed).integers(0, len(files), (ROWS, COLUMNS))
    images = [np.asarray(Image.open(file).convert("RGB"))[:TILE, :TILE] for file in files]
    rows = [np.hstack([images[i] for i in row]) for row in picks]
    return np.vstack(rows).repeat(2, axis=0).repeat(2, axis=1)


def by_torch(network, tiles):
    """Probabilities of tiles by timm and PyTorch alone."""
    state = load_file(network / "network.safetensors")
    spec = json.loads((network / "network.json").read_text())["network"]
    part_a = timm.create_model(spec["architecture"], num_classes=0)
    part_a.load_state_dict({k: v for k, v in state.items() if not k.startswith("part_b.")})
    mean, std = torch.tensor(spec["mean"]), torch.tensor(spec["std"])
    x = ((torch.from_numpy(tiles).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    layers = [(state[f"part_b.{n}.weight"], state[f"part_b.{n}.bias"])
              for n in ("hidden.0", "hidden.1", "output")]  # fmt: skip
    with torch.inference_mode():
        values = part_a.eval()(x)
        for weight, bias in layers[:-1]:
            values = torch.relu(values @ weight.T + bias)
        return torch.softmax(values @ layers[-1][0].T + layers[-1][1], dim=1).numpy()


@pytest.mark.parametrize("model", ["net0-gap", "net0-dense", "net0-dense-pre", None])
def test_classes_are_those_of_the_network_on_pixels(made, tools, tmp_path, model):
    more = () if model is None else ("--model", model)
    out = tmp_path / "out"
    tools.ok("classify", made / "embedded", "--network", made / "net0", "--out", out, *more)
    for name in ("a", "002"):
        table = pd.read_parquet(out / f"tiles/{name}.parquet")
        assert len(table) == COLUMNS * ROWS
        coords = table[["x0", "y0"]].to_numpy()
        tiles = small_slides.read_one_by_one(made / f"{name}.tif", coords, SIDE0, 2)
        expected = by_torch(made / "net0", tiles)
        found = [CLASSES.index(c) for c in table["class"]]
        picked = expected[np.arange(len(table)), found]
        np.testing.assert_allclose(table["probability"], picked, atol=1e-4)
        np.testing.assert_allclose(picked, expected.max(axis=1), atol=2e-4)
        assert set(table["side0"]) == {SIDE0}
    chosen = open_artefact(out).facts["model"]
    assert chosen == (model or "net0-dense")


def test_tiles_of_other_tissue_get_other_classes(made):
    shares = pd.read_csv(made / "tissue/class_shares.csv")
    assert (shares.groupby("class")["n_tiles"].sum() > 0).sum() > 1


def test_shares_are_counts_over_tiles(made):
    shares = pd.read_csv(made / "tissue/class_shares.csv", dtype={"slide_id": str})
    assert set(shares["slide_id"]) == {"a", "002"}
    for name, part in shares.groupby("slide_id"):
        assert part["class"].tolist() == list(CLASSES)
        assert set(part["patient_id"]) == {f"p{name}"}
        table = pd.read_parquet(made / f"tissue/tiles/{name}.parquet")
        counts = [(table["class"] == c).sum() for c in CLASSES]
        assert part["n_tiles"].tolist() == counts
        np.testing.assert_allclose(part["share"], np.array(counts) / len(table), atol=1e-6)


def test_qupath_gets_each_tile_with_class_color_and_probability(made):
    table = pd.read_parquet(made / "tissue/tiles/a.parquet")
    content = json.loads((made / "tissue/qupath/a.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    assert len(content["features"]) == len(table)
    for row, shape in zip(table.itertuples(index=False), content["features"], strict=True):
        x, y, s = row.x0, row.y0, SIDE0
        ring = [[x, y], [x + s, y], [x + s, y + s], [x, y + s], [x, y]]
        assert shape["geometry"] == {"type": "Polygon", "coordinates": [ring]}
        given = shape["properties"]
        assert given["objectType"] == "detection"
        name = table.loc[(table["x0"] == x) & (table["y0"] == y), "class"].item()
        assert given["classification"]["name"] == name
        color = class_look(CLASSES.index(name))[0]
        assert "#" + bytes(given["classification"]["color"]).hex() == color
        assert given["measurements"]["Probability"] == pytest.approx(row.probability, abs=1e-4)


def test_what_the_network_does_not_go_on_from_is_refused(made, tools, tmp_path):
    def said(*words):
        outcome = tools.run("classify", made / "embedded", "--out", tmp_path / "no", *words)
        assert outcome.code == 1
        assert not (tmp_path / "no/manifest.json").exists()
        return " ".join(outcome.err.split())

    assert "features of another network" in said("--network", made / "net1")
    first = ("--network", made / "net0", "--model")
    assert "does not go on from the features net0-random" in said(*first, "net0-random")
    assert "choose of net0-gap" in said(*first, "net9-gap")
    assert "not features" in " ".join(
        tools.run(
            "classify", made / "tissue", "--network", made / "net0", "--out", tmp_path / "no"
        ).err.split()
    )


def test_the_report_shows_maps_and_what_stands_for_a_slide(made, tools, tmp_path):
    pooled = tmp_path / "pooled"
    tools.ok("pool", made / "embedded", "--out", pooled, "--slides", made / "slides.csv")
    inputs = ("--inputs", made / "embedded/index", made / "tissue", pooled)
    tools.ok("draw", *inputs, "--out", tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    titles = ["Slides", "What stands for a slide", "Tissue on the slides"]
    places = [page.index(f">{title}<") for title in titles]
    assert places == sorted(places)
    for stem in ("slides", "mean-tiles", "tissue"):
        assert (tmp_path / f"report/figures/{stem}.png").stat().st_size > 5000
    share = (pd.read_parquet(made / "tissue/tiles/a.parquet")["class"] == "fat").mean()
    assert f"{share:.0%}" in page
    tools.ok("draw", "--inputs", made / "tissue", "--out", tmp_path / "alone")
    assert "Give <code>draw</code> the list" in (tmp_path / "alone/index.html").read_text()
    assert tools.run("verify", tmp_path).code == 0


def test_another_scale_or_stain_is_told(made, tools, tmp_path):
    tools.ok(
        "embed", made / "slides.csv", "--network", made / "net0", "--out", tmp_path / "fine",
        "--target-mpp", 0.5, "--tile-px", TILE, "--workers", 1, "--device", "cpu",
        "--stain", "macenko-tile",
    )  # fmt: skip
    outcome = tools.ok(
        "classify", tmp_path / "fine", "--network", made / "net0", "--out", tmp_path / "tissue"
    )
    assert "tuned at 1 µm/px and judges tiles at 0.5 µm/px" in " ".join(outcome.err.split())
    tools.ok("draw", "--inputs", tmp_path / "tissue", "--out", tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert "stain of these tiles was normalized (macenko-tile)" in page
    assert "do not trust these classes" in page
