"""Pieces of slides: tissue is found, and each piece is Pillow's Lanczos of level 0 itself."""

import json

import numpy as np
import pandas as pd
import pytest
import small_slides
from openslide import OpenSlide
from PIL import Image

from histograft.core.errors import InputError
from histograft.imaging.slide import Slide
from histograft.imaging.slide_reader import UnreadableRegionError
from histograft.verbs import rescale as module
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.rescale import Rescale, rescale

MPP = 2.0
# Left, upper edge, width and height of the tissue on each slide, in level-0 pixels.
TISSUE = {
    "a": [(40, 60, 150, 130), (260, 200, 160, 140)],
    "b": [(100, 100, 200, 150), (360, 280, 130, 110)],
    "glass": [],
}


def write_slide(path, places, seed=0, mpp=MPP):
    pixels = np.full((400, 500, 3), 245, np.uint8)
    for i, (x, y, width, height) in enumerate(places):
        pixels[y : y + height, x : x + width] = small_slides.tissue(width, height, seed + i)
    small_slides.write_slide(path, pixels, mpp, downsamples=(1, 2, 4))


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three slides of three patients, one without tissue; one has a piece that is too small."""
    folder = tmp_path_factory.mktemp("slides")
    rows = []
    for i, (name, places) in enumerate(TISSUE.items()):
        write_slide(folder / f"{name}.tif", places, 10 * i)
        rows.append({"slide_id": name, "file": f"{name}.tif", "label": "xyz"[i]})
        rows[-1] |= {"patient_id": f"p{i}", "split": ["train", "test", "train"][i]}
    small_slides.write_slides_table(folder / "slides.csv", rows)
    return folder


def make(slides, out, **options):
    table = options.pop("table", "slides.csv")
    options = {"least_tissue_mm2": 0.07, "workers": 1, "level": 8.0} | options
    return rescale(Rescale(slides / table, out=out, **options))


def level_0(path, row):
    with OpenSlide(path) as slide:
        size = (int(row.width0), int(row.height0))
        return slide.read_region((int(row.x0), int(row.y0)), 0, size).convert("RGB")


def test_each_piece_of_tissue_is_shrunk_from_level_0(slides, tmp_path):
    tables = {}
    for level in (2.0, 7.0):
        made = make(slides, tmp_path / f"{level}", level=level)
        table = tables[level] = load_patches(made)
        assert table["slide_id"].tolist() == ["a", "a", "b"]
        for i, row in enumerate(table.itertuples()):
            native = level_0(slides / f"{row.slide_id}.tif", row)
            size = tuple(int(np.floor(n * MPP / level + 0.5)) for n in native.size)
            expected = np.asarray(native.resize(size, Image.Resampling.LANCZOS))
            assert np.array_equal(images_of(made, table).image(i), expected)
        assert (table["mpp"] == level).all()
        assert (table["mpp_native"] == MPP).all()
        assert table["label"].tolist() == ["x", "x", "y"]
        assert table["group"].tolist() == table["patient_id"].tolist() == ["p0", "p0", "p1"]
        assert table["split"].tolist() == ["train", "train", "test"]
    same = ["patch_id", "split", "source_sha256", "x0", "y0", "width0", "height0"]
    assert tables[2.0][same].equals(tables[7.0][same])


def test_boxes_hold_the_tissue_with_a_margin(slides, tmp_path):
    table = load_patches(make(slides, tmp_path / "out", margin_um=40.0))
    for row, place in zip(table.itertuples(), [*TISSUE["a"], TISSUE["b"][0]], strict=True):
        found = row.x0, row.y0, row.x0 + row.width0, row.y0 + row.height0
        x, y, width, height = place
        true = x, y, x + width, y + height
        # 20 level-0 px of margin, and what smoothing and whole pixels of 8 µm add
        off = np.abs(np.array(found) - true) - 20
        assert off.min() >= 0
        assert off.max() <= 8
        assert width * height <= row.area_mm2 / 4e-6 <= (width + 12) * (height + 12)


def test_what_is_left_out_is_counted_with_its_reason(slides, tmp_path):
    made = make(slides, tmp_path / "out")
    rejects = pd.read_csv(made.file("rejects.csv"))
    assert rejects[["source_file", "reason"]].to_numpy().tolist() == [
        ["b.tif", "small"],
        ["glass.tif", "no-tissue"],
    ]
    assert made.facts["slides_without_pieces"] == ["glass"]
    assert (made.facts["n_slides"], made.facts["n_small"]) == (3, 1)
    assert made.facts["lost_classes"] == ["z"]
    with pytest.raises(InputError, match="large enough on any of 3 slides"):
        make(slides, tmp_path / "none", least_tissue_mm2=9.0)


def test_stated_boxes_are_the_pieces(slides, tmp_path):
    box = {"x0": 45, "y0": 70, "width0": 100, "height0": 90}
    rows = [
        {"slide_id": "a", "file": "a.tif", "label": "acinar", **box},
        {"slide_id": "a", "file": "a.tif", "label": "solid", **box, "x0": 300},
        {"slide_id": "b", "file": "b.tif", "label": "solid"},
    ]
    small_slides.write_slides_table(slides / "boxes.csv", rows)
    made = make(slides, tmp_path / "out", table="boxes.csv")
    table = load_patches(made)
    assert table["label"].tolist() == ["acinar", "solid", "solid"]
    assert table["x0"].tolist()[:2] == [45, 300]
    assert table["area_mm2"].tolist()[:2] == pytest.approx([100 * 90 * 4e-6] * 2)
    expected = level_0(slides / "a.tif", table.iloc[1]).resize((25, 23), Image.Resampling.LANCZOS)
    assert np.array_equal(images_of(made, table).image(1), np.asarray(expected))
    # no patient is stated: the slide is the group, and both boxes of it are on one side
    assert table["group_source"].unique().tolist() == ["slide"]
    assert table.groupby("slide_id")["split"].nunique().max() == 1
    for wrong, message in (
        ({"x0": 450}, "leaves the slide, which has 500 x 400 px"),
        ({"x0": ""}, "data row 2 has half a box"),
        ({"x0": 45}, "a is there twice"),
    ):
        small_slides.write_slides_table(slides / "bad.csv", [rows[0], rows[1] | wrong])
        with pytest.raises(InputError, match=message):
            make(slides, tmp_path / "bad", table="bad.csv")


def test_scales_that_are_unknown_or_too_coarse_are_refused(slides, tmp_path):
    pixels = Image.fromarray(np.full((300, 300, 3), 245, np.uint8))
    pixels.save(slides / "plain.png")
    row = {"slide_id": "plain", "file": "plain.png"}
    small_slides.write_slides_table(slides / "plain.csv", [row])
    with pytest.raises(InputError, match=r"plain.png does not state its µm/px.*column mpp"):
        make(slides, tmp_path / "no", table="plain.csv")
    with pytest.raises(InputError, match="large enough"):  # --mpp is taken where nobody states it
        make(slides, tmp_path / "no", table="plain.csv", mpp=1.0)
    with pytest.raises(InputError, match=r"level 1 .* 2 µm/px"):
        make(slides, tmp_path / "up", level=1.0)
    with pytest.raises(InputError, match="--scale is for images"):
        make(slides, tmp_path / "relative", scale="relative")
    with pytest.raises(InputError, match="--least-tissue-mm2 is for slides"):
        rescale(Rescale(tmp_path, out=tmp_path / "o", least_tissue_mm2=0.1))


def test_large_pieces_are_refused_with_their_size_or_cut(slides, tmp_path, monkeypatch):
    monkeypatch.setattr("histograft.imaging.read.MAX_PIXELS", 20_000)
    with pytest.raises(InputError, match=r"3 of 3 pieces have more than 20,000 pixels at 2 µm/px"):
        make(slides, tmp_path / "large", level=2.0)
    made = make(slides, tmp_path / "cut", level=2.0, max_pixels=10_000)
    table = load_patches(made)
    assert made.facts["n_cut"] == 3
    assert (table["width0"] * table["height0"] <= 10_000).all()
    first = level_0(slides / "a.tif", table.iloc[0])
    assert np.array_equal(images_of(made, table).image(0), np.asarray(first))


def test_it_resumes_slide_by_slide(slides, tmp_path, monkeypatch):
    calls = []
    plain = module.rescale_slide_piece

    def counting(job):
        calls.append(job.known["slide_id"])
        if calls == ["a", "a", "b"]:
            raise KeyboardInterrupt
        return plain(job)

    monkeypatch.setattr(module, "rescale_slide_piece", counting)
    with pytest.raises(KeyboardInterrupt):
        make(slides, tmp_path / "out")
    monkeypatch.setattr(module, "find_pieces", None)  # tissue is not sought again
    made = make(slides, tmp_path / "out")
    assert calls == ["a", "a", "b", "b"]
    monkeypatch.undo()
    assert made.id == make(slides, tmp_path / "again").id


def test_labels_may_be_left_out(slides, tmp_path):
    rows = [{"slide_id": "TCGA-05-4249-01Z-00-DX1", "file": "a.tif"}]
    small_slides.write_slides_table(slides / "more.csv", rows)
    table = load_patches(make(slides, tmp_path / "out", table="more.csv"))
    assert table["label"].tolist() == ["unlabelled"] * 2
    assert table["patient_id"].unique().tolist() == ["TCGA-05-4249"]  # the barcode says it


@pytest.mark.real
def test_a_real_mosaic_comes_apart_into_its_images(shared_data, tmp_path):
    """Nine images of 1,024 px at 1 µm/px on white, whose places a file beside the slide tells."""
    slide = shared_data / "data/slides/mosaic-osteosarcoma.svs"
    row = {"slide_id": "mosaic", "file": slide}
    small_slides.write_slides_table(tmp_path / "slides.csv", [row])
    made = make(tmp_path, tmp_path / "out", level=16.0, margin_um=0.0, least_tissue_mm2=0.25)
    table = load_patches(made)
    assert table["source_file"].tolist() == ["mosaic.svs"] * 9  # no path of this machine
    known = json.loads(slide.with_suffix(".json").read_text())["placements"]
    seen = set()
    for box in table.itertuples():
        (tile,) = (
            t for t in known
            if abs(box.x0 + box.width0 / 2 - t["x"] - t["w"] / 2) < t["w"] / 2
            and abs(box.y0 + box.height0 / 2 - t["y"] - t["h"] / 2) < t["h"] / 2
        )  # fmt: skip
        seen.add(tile["file"])
        assert box.x0 >= tile["x"] - 24
        assert box.y0 >= tile["y"] - 24
        assert box.x0 + box.width0 <= tile["x"] + tile["w"] + 24
        assert box.y0 + box.height0 <= tile["y"] + tile["h"] + 24
    assert len(seen) == 9


def test_a_damaged_region_is_an_error_that_names_it(slides, tmp_path, monkeypatch):
    plain = Slide.read

    def damaged(self, level, *place):
        if level == 0 and self.path.name == "b.tif":
            raise UnreadableRegionError("bad strip")
        return plain(self, level, *place)

    monkeypatch.setattr(Slide, "read", damaged)
    with pytest.raises(InputError, match=r"1 of 3 images cannot be used:\n +b\.tif.*bad strip"):
        make(slides, tmp_path / "out")
    assert not (tmp_path / "out/manifest.json").exists()
