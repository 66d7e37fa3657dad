"""Tiles to patients, by hand."""

import h5py
import numpy as np
import pandas as pd
import pytest
import small_slides
from PIL import Image

from histograft.core.artefact import make_once, open_artefact
from histograft.core.identity import Identity, Input
from histograft.core.reporter import SILENT
from histograft.verbs.slide_embedding import slide_folder
from histograft.verbs.slide_list import Outcome, write_list

MODELS = ("net-gap", "net-dense")
# Tiles x 2 features of each slide: patient A has three slides, one of normal tissue.
TILES = {
    "TCGA-05-000A-01Z-00-DX1": [[0.0, 1.0], [2.0, 1.0], [10.0, 1.0]],
    "TCGA-05-000A-01Z-00-DX2": [[8.0, 5.0]],
    "TCGA-05-000A-11A-01-TS1": [[100.0, 100.0]],
    "TCGA-05-000B-01Z-00-DX1": [[1.0, 3.0], [3.0, 1.0], [2.0, 2.1], [9.0, 9.0]],
    "TCGA-05-000C-01A-01-TS1": [[4.0, 4.0]],
}
TISSUE = dict.fromkeys(TILES, 10.0) | {"TCGA-05-000C-01A-01-TS1": 0.5}


@pytest.fixture
def embedded(tmp_path):
    """What `embed` makes of slides; one of them has no tissue, one no patient."""

    def work(tiles=None, patients=None):
        slides, outcomes = [], []
        for name, values in (tiles or TILES).items():
            slides.append(write_slide(tmp_path / "slides-out", name, np.array(values, np.float32)))
            patient = (patients or {}).get(name, name[:12] if name.startswith("TCGA") else None)
            outcomes.append(Outcome(name, patient, "done", "", slides[-1].facts))
        outcomes.append(Outcome("TCGA-05-000D-01Z-00-DX1", "TCGA-05-000D", "no tissue", "", {}))
        network = Input("network", "weights", "0" * 64, "net")
        write_list(outcomes, slides, network, tmp_path / "slides-out", SILENT, keep_going=True)
        return tmp_path / "slides-out"

    return work


def write_slide(out, name, values):
    def fill(draft):
        for model in MODELS:
            with draft.writing(f"{model}.h5") as path, h5py.File(path, "w") as file:
                file["features"] = values * (1 if model == "net-gap" else -1)
                file["coords"] = np.arange(len(values))[:, None] * [100, 10]
                file["coords"].attrs["patch_size_level0"] = 448
        return draft.finish(
            {"unit": "tile", "models": list(MODELS), "n_tiles": len(values), "slide_id": name,
             "tissue_mm2": TISSUE.get(name, 1.0)}
        )  # fmt: skip

    identity = Identity("features", "embed", 1, {"slide": name, "values": values.tolist()})
    return make_once(slide_folder(out, name), identity, fill)


def features(out, model="net-gap"):
    with h5py.File(out / f"{model}.h5") as file:
        names = pd.read_parquet(out / "patients.parquet")["patient_id"]
        return dict(zip(names, file["features"][:].tolist(), strict=True))


@pytest.mark.parametrize(
    ("weighting", "of_a"), [("tiles", [5.0, 2.0]), ("slides", [6.0, 3.0])]
)  # (0 + 2 + 10 + 8) / 4 and ((0 + 2 + 10) / 3 + 8) / 2
def test_means_of_patients(embedded, tools, tmp_path, weighting, of_a):
    out = tmp_path / "patients"
    tools.ok("pool", embedded(), "--out", out, "--weighting", weighting)
    found = features(out)
    assert list(found) == ["TCGA-05-000A", "TCGA-05-000B", "TCGA-05-000C"]
    np.testing.assert_allclose(found["TCGA-05-000A"], of_a, rtol=1e-6)
    np.testing.assert_allclose(found["TCGA-05-000B"], [3.75, 3.775], rtol=1e-6)
    np.testing.assert_allclose(features(out, "net-dense")["TCGA-05-000A"], np.negative(of_a))
    table = pd.read_parquet(out / "patients.parquet").set_index("patient_id")
    assert table.loc["TCGA-05-000A"].to_dict() == {"n_slides": 2, "n_tiles": 4}


def test_the_tile_nearest_to_the_mean(embedded, tools, tmp_path):
    """Of B: mean (3.75, 3.775); over deviations (3.11, 3.09) the third is nearest.

    Of A's first slide the second feature does not vary, and 2 is nearest to 4.
    """
    tools.ok("pool", embedded(), "--out", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/nearest_tiles.csv").set_index(["slide_id", "model"])
    b = table.loc[("TCGA-05-000B-01Z-00-DX1", "net-gap")]
    assert (b["x0"], b["y0"], b["side0"]) == (200, 20, 448)
    tiles = np.array(TILES["TCGA-05-000B-01Z-00-DX1"])
    scaled = (tiles - tiles.mean(axis=0)) / tiles.std(axis=0)
    assert b["distance"] == pytest.approx(np.linalg.norm(scaled, axis=1).min(), rel=1e-6)
    a = table.loc[("TCGA-05-000A-01Z-00-DX1", "net-dense")]
    assert a["x0"] == 100
    assert a["distance"] == pytest.approx(2 / np.std([0, 2, 10]), rel=1e-6)


def test_who_is_left_out_and_why(embedded, tools, tmp_path):
    nobodys = TILES | {"slide 7": [[1.0, 1.0]]}
    out = tmp_path / "out"
    tools.ok("pool", embedded(nobodys), "--out", out, "--least-tissue-mm2", 0.8)
    drops = pd.read_csv(out / "drops.csv").set_index("name")
    reasons = drops["reason"].to_dict()
    assert reasons == {
        "TCGA-05-000D-01Z-00-DX1": "no-tiles",
        "TCGA-05-000A-11A-01-TS1": "sample-type",
        "TCGA-05-000C-01A-01-TS1": "tissue",
        "TCGA-05-000C": "no-slide-kept",
        "slide 7": "patient-unknown",
    }
    assert drops.loc["TCGA-05-000A-11A-01-TS1", "detail"] == "type 11"
    kept = ("pool", tmp_path / "slides-out", "--sample-types", "01", "11", "--slide-kind", "frozen")
    tools.ok(*kept, "--out", tmp_path / "frozen")
    found = features(tmp_path / "frozen")
    assert found["TCGA-05-000A"] == [100.0, 100.0]
    assert set(found) == {"TCGA-05-000A", "TCGA-05-000C"}


def test_names_stay_as_they_are_written(embedded, tools, tmp_path):
    """001 is no 1, and NA may be a patient."""
    tiles = {"001": [[1.0, 2.0]], "NA": [[3.0, 4.0]]}
    tools.ok("pool", embedded(tiles, {"001": "NA", "NA": "02"}), "--out", tmp_path / "out")
    assert features(tmp_path / "out") == {"02": [3.0, 4.0], "NA": [1.0, 2.0]}


def test_damaged_features_are_named(embedded, tools, tmp_path):
    folder = embedded()
    slide = slide_folder(folder, "TCGA-05-000B-01Z-00-DX1")
    whole = (slide / "net-gap.h5").read_bytes()

    def said():
        outcome = tools.run("pool", folder, "--out", tmp_path / "out")
        assert outcome.code == 1
        assert not (tmp_path / "out/manifest.json").exists()
        text = "".join(outcome.err.split())
        assert "".join(str(slide).split()) in text
        return text

    (slide / "net-gap.h5").write_bytes(whole[: len(whole) // 2])
    assert "missingordamaged" in said()
    (slide / "net-gap.h5").write_bytes(bytes(len(whole)))
    assert "itisdamaged" in said()
    (slide / "net-gap.h5").write_bytes(whole)
    with h5py.File(slide / "net-gap.h5", "r+") as file:
        file["features"][1, 0] = np.nan
    assert "NaN" in said()
    (slide / "net-gap.h5").write_bytes(whole)
    tools.ok("pool", folder, "--out", tmp_path / "out")


def test_slides_that_were_embedded_anew_need_a_new_list(embedded, tools, tmp_path):
    import shutil

    folder, name = embedded(), "TCGA-05-000B-01Z-00-DX1"
    shutil.rmtree(slide_folder(folder, name))
    write_slide(folder, name, np.ones((2, 2), np.float32))
    outcome = tools.run("pool", folder, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "is not what the list of slides was written for" in " ".join(outcome.err.split())


def test_pooled_features_are_predicted_from(embedded, tools, tmp_path):
    rng = np.random.default_rng(0)
    tiles = {f"TCGA-05-{i:04d}-01Z-00-DX1": rng.normal(i, 1, (3, 2)) for i in range(20)}
    tools.ok("pool", embedded(tiles), "--out", tmp_path / "pooled")
    pd.DataFrame({"AGE": np.arange(20.0)}, [f"TCGA-05-{i:04d}" for i in range(20)]).to_csv(
        tmp_path / "values.csv"
    )
    tools.ok(
        "predict", "--features", tmp_path / "pooled", "--expression", tmp_path / "values.csv",
        "--transform", "none", "--folds", 4, "--repeats", 1, "--out", tmp_path / "out",
    )  # fmt: skip
    table = pd.read_parquet(tmp_path / "out/values.parquet")
    assert set(table["model"]) == set(MODELS)
    assert np.corrcoef(table["truth"], table["predicted"])[0, 1] > 0.9
    unpooled = tools.run(
        "predict", "--features", slide_folder(tmp_path / "slides-out", next(iter(tiles))),
        "--expression", tmp_path / "values.csv", "--out", tmp_path / "no",
    )  # fmt: skip
    assert "pool them first" in " ".join(unpooled.err.split())


# --- pixels of the nearest tiles ----------------------------------------------------------------


@pytest.fixture(scope="module")
def scanned(tmp_path_factory, tools):
    """Three embedded slides at half their scale, with their table."""
    folder = tmp_path_factory.mktemp("scanned")
    rows = []
    for number, name in enumerate(("a", "b", "c")):
        pixels = small_slides.tissue(5 * 128, 4 * 128, seed=number)
        small_slides.write_slide(folder / f"{name}.tif", pixels, 0.5)
        rows.append({"slide_id": name, "file": f"{name}.tif", "patient_id": f"p-{name}"})
    table = small_slides.write_slides_table(folder / "slides.csv", rows)
    tools.ok(
        "embed", table, "--out", folder / "out", "--arch", "resnet10t", "--weights", "random",
        "--points", "gap", "random", "--target-mpp", 1, "--tile-px", 64, "--workers", 1,
        "--device", "cpu",
    )  # fmt: skip
    return folder


def test_the_pixels_of_the_nearest_tiles_are_those_of_the_slide(scanned, tools, tmp_path):
    out = tmp_path / "pooled"
    table = scanned / "slides.csv"
    tools.ok("pool", scanned / "out", "--out", out, "--slides", table)
    nearest = pd.read_csv(out / "nearest_tiles.csv")
    assert len(nearest) == 6
    for row in nearest.itertuples():
        (expected,) = small_slides.read_one_by_one(
            scanned / f"{row.slide_id}.tif", np.array([[row.x0, row.y0]]), 128, 2
        )
        with Image.open(out / f"tiles/{row.slide_id}_{row.x0}_{row.y0}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), expected)
    assert open_artefact(out).facts["tile_um"] == 64
    assert tools.run("verify", out).code == 0
    again = tools.ok("pool", scanned / "out", "--out", out, "--slides", table)
    assert "there already" in again.err


def test_another_patient_than_when_embedded_is_told(embedded, tools, tmp_path):
    a, b, c = "TCGA-05-000A-01Z-00-DX1", "TCGA-05-000B-01Z-00-DX1", "TCGA-05-000C-01A-01-TS1"
    rows = [(a, "a.tif", "TCGA-05-000X"), (b, "b.tif", "TCGA-05-000B"), (c, "c.tif", "")]
    table = tmp_path / "other.csv"
    pd.DataFrame(rows, columns=["slide_id", "file", "patient_id"]).to_csv(table, index=False)
    outcome = tools.ok("pool", embedded(), "--out", tmp_path / "out", "--slides", table)
    said = " ".join(outcome.err.split())
    assert "other.csv: 1 slide of another patient than when embedded" in said
    assert f"such as {a} (TCGA-05-000X, then TCGA-05-000A): patients are taken as embedded" in said
    assert "TCGA-05-000A" in features(tmp_path / "out")


def test_slides_that_are_gone_are_told_and_left_out(scanned, tools, tmp_path):
    for name in ("slides.csv", "a.tif"):
        (tmp_path / name).write_bytes((scanned / name).read_bytes())
    small_slides.write_slide(tmp_path / "b.tif", small_slides.tissue(640, 512, seed=9), 0.5)
    outcome = tools.ok(
        "pool", scanned / "out", "--out", tmp_path / "out", "--slides", tmp_path / "slides.csv"
    )
    said = " ".join(outcome.err.split())
    assert "nearest tiles of b: its file is another one than was embedded" in said
    assert "nearest tiles of c: its file is not there any more" in said
    facts = open_artefact(tmp_path / "out").facts
    assert sum(facts["tiles_not_kept"].values()) == 2
    assert {p.name[0] for p in (tmp_path / "out/tiles").iterdir()} == {"a"}
    tools.ok("pool", scanned / "out", "--out", tmp_path / "without")
    assert not (tmp_path / "without/tiles").exists()
