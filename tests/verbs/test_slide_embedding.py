"""Features of whole slides: which tiles, which pixels, which numbers, in which form."""

import json

import h5py
import numpy as np
import pytest
import small_slides
import tifffile

from histograft.core.artefact import open_artefact
from histograft.imaging.stain import PAPER, TORCHSTAIN, macenko

# 0.5 to 1.5 µm/px: a pixel is the mean of 9, which never ends in one half.
TILE, FACTOR, SIDE0 = 32, 3, 96
COLUMNS, ROWS = 7, 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A slide of 7 x 6 tiles, all tissue, and a network as a file."""
    folder = tmp_path_factory.mktemp("made")
    pixels = small_slides.tissue(COLUMNS * SIDE0, ROWS * SIDE0)
    small_slides.write_slide(folder / "a.tif", pixels)
    small_slides.write_weights(folder / "net.safetensors")
    return folder


@pytest.fixture(scope="module")
def model(made):
    return small_slides.write_weights(made / "same.safetensors")


@pytest.fixture
def embed(made, tmp_path, tools):
    """A function that embeds one slide and gives its folder."""

    def work(*words, slide=made / "a.tif", mpp="", out="out", **columns):
        row = {"slide_id": "a", "file": slide, "patient_id": "p", "mpp": mpp} | columns
        table = small_slides.write_slides_table(tmp_path / f"{out}.csv", [row])
        given = set(map(str, words)) | ({"--target-mpp"} if "--preset" in words else set())
        usual = (("--target-mpp", 1.5), ("--tile-px", TILE), ("--workers", 2))
        more = [word for pair in usual if pair[0] not in given for word in pair]
        tools.ok(
            "embed", table, "--weights", made / "net.safetensors", "--name", "tiny", "--out",
            tmp_path / out, "--device", "cpu", *more, *words,
        )  # fmt: skip
        return tmp_path / out / "slides" / "a"

    return work


def read(folder):
    with h5py.File(folder / "tiny-gap.h5") as file:
        return {name: file[name][:] for name in file}


def agree(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_features_are_those_of_tiles_read_one_by_one(made, model, embed):
    found = read(embed())
    everywhere = {(x * SIDE0, y * SIDE0) for x in range(COLUMNS) for y in range(ROWS)}
    assert {tuple(c) for c in found["coords"].tolist()} == everywhere
    tiles = small_slides.read_one_by_one(made / "a.tif", found["coords"], SIDE0, FACTOR)
    agree(found["features"], small_slides.features_of(model, tiles))


def test_the_file_follows_tridents_schema(embed):
    """Names and types of docs/formats.md; numbers from 0.5 and 1.5 µm/px by hand."""
    folder = embed("--overlap", 0.25)
    with h5py.File(folder / "tiny-gap.h5") as file:
        features, coords = file["features"], file["coords"]
        assert (features.dtype, coords.dtype) == (np.float32, np.int64)
        assert features.shape == (len(coords), 512)
        assert (features.maxshape, coords.maxshape) == ((None, 512), (None, 2))
        assert features.chunks[1] == 512
        assert features.chunks[0] <= 256
        assert dict(coords.attrs) == {
            "name": "a", "savetodir": "", "patch_size": 32, "patch_size_level0": 96,
            "level0_magnification": 20.0, "target_magnification": pytest.approx(20 / 3),
            "overlap": 8, "level0_width": 672, "level0_height": 576,
        }  # fmt: skip
        plain = {"name": "a", "savetodir": "", "encoder": "tiny-gap"}
        ours = {"mpp_level0": 0.5, "mpp_target": 1.5, "mpp_effective": 1.5, "stain": "none"}
        expected = plain | {f"histo_{name}": value for name, value in ours.items()}
        assert expected.items() <= dict(features.attrs).items()
        assert features.attrs["histo_mpp_source"] == "openslide.mpp"
        assert json.loads(features.attrs["histo_mean"]) == list(small_slides.MEAN)
        assert file["status"].dtype == np.uint8
        assert file["status"].shape == (len(coords),)
        # 72 of 96 pixels from tile to tile
        assert np.unique(np.diff(np.unique(coords[:, 0]))).tolist() == [72]


def test_threads_change_nothing(embed, tools):
    one, three = embed("--workers", 1, out="one"), embed("--workers", 3, out="three")
    assert tools.content(one) == tools.content(three)


def test_a_stated_scale_beats_the_file(embed):
    found = embed(mpp=0.75)
    assert open_artefact(found).facts["mpp_source"] == "table"
    assert np.unique(np.diff(np.unique(read(found)["coords"][:, 0]))).tolist() == [64]


def test_damaged_tiles_have_a_status_and_no_features(made, tmp_path, embed):
    data = bytearray((made / "a.tif").read_bytes())
    with tifffile.TiffFile(made / "a.tif") as file:
        first = file.pages[0].dataoffsets[0]  # the upper left 256 x 256 px of level 0
    data[first : first + 300] = bytes(300)
    (tmp_path / "damaged.tif").write_bytes(data)
    found, whole = read(embed(slide=tmp_path / "damaged.tif", out="bad")), read(embed())
    lost = {(x * SIDE0, y * SIDE0) for x in range(3) for y in range(3)}
    assert {tuple(c) for c in found["left_out"].tolist()} == lost
    assert found["left_out_status"].tolist() == [1] * 9
    rows = [tuple(c) not in lost for c in whole["coords"].tolist()]
    np.testing.assert_array_equal(found["coords"], whole["coords"][rows])
    agree(found["features"], whole["features"][rows])


# --- stain ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["tile", "slide"])
def test_tiles_are_normalized_before_the_network_sees_them(made, model, embed, mode):
    folder = embed("--stain", f"macenko-{mode}")
    found = read(folder)
    tiles = small_slides.read_one_by_one(made / "a.tif", found["coords"], SIDE0, FACTOR)
    normal, status = macenko(tiles, mode=mode)
    assert (normal != tiles).mean() > 0.5
    assert found["status"].tolist() == status.tolist() == [0] * len(tiles)
    agree(found["features"], small_slides.features_of(model, normal))
    assert (folder / "stains.json").exists() == (mode == "slide")


def test_a_reference_of_ones_own(made, tmp_path, embed):
    values = json.loads(TORCHSTAIN.to_json()) | {"name": "ours", "max_concentrations": [1.2, 0.7]}
    (tmp_path / "ours.json").write_text(json.dumps(values))
    words = ("--stain", "macenko-slide", "--stain-reference", tmp_path / "ours.json")
    ours, usual = embed(*words, out="ours"), embed(*words[:2], out="usual")
    assert json.loads((ours / "stains.json").read_text())["reference"] == values
    assert np.abs(read(ours)["features"] - read(usual)["features"]).max() > 1e-3


def test_blank_tiles_keep_their_colors_and_are_counted(tmp_path, embed):
    pixels = small_slides.tissue(4 * SIDE0, 2 * SIDE0)
    pixels[:, 3 * SIDE0 :] = 250
    slide = small_slides.write_slide(tmp_path / "a.tif", pixels)
    found = embed("--stain", "macenko-tile", "--least-tissue", 0, slide=slide)
    table = read(found)
    assert table["status"].tolist() == [int(x == 3 * SIDE0) for x, _ in table["coords"].tolist()]
    assert open_artefact(found).facts["colors_kept"] == {"blank": 2}


# --- which tiles ------------------------------------------------------------------------------


def test_only_tissue_is_tiled(tmp_path, embed):
    block = slice(4 * SIDE0, 8 * SIDE0)
    pixels = np.full((12 * SIDE0, 12 * SIDE0, 3), 245, np.uint8)
    pixels[block, block] = small_slides.tissue(4 * SIDE0, 4 * SIDE0)
    slide = small_slides.write_slide(tmp_path / "a.tif", pixels, 2.0)
    folder = embed("--least-tissue", 0.9, "--target-mpp", 6, slide=slide)
    inside = {(x * SIDE0, y * SIDE0) for x in range(4, 8) for y in range(4, 8)}
    assert {tuple(c) for c in read(folder)["coords"].tolist()} == inside
    (outline,) = json.loads((folder / "tissue.geojson").read_text())["features"]
    ring = np.array(outline["geometry"]["coordinates"][0])
    assert np.abs(ring.min(axis=0) - block.start).max() <= 16  # 4 pixels of the overview
    assert np.abs(ring.max(axis=0) - block.stop).max() <= 16


def square(x, y, side):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {}}  # fmt: skip


def test_annotations_are_tiled_instead_of_tissue(tmp_path, embed):
    shapes = {"type": "FeatureCollection", "features": [square(SIDE0, 2 * SIDE0, 2 * SIDE0)]}
    (tmp_path / "a.geojson").write_text(json.dumps(shapes))
    folder = embed("--least-tissue", 0.9, annotations="a.geojson")
    inside = {(x * SIDE0, y * SIDE0) for x in (1, 2) for y in (2, 3)}
    assert {tuple(c) for c in read(folder)["coords"].tolist()} == inside
    assert open_artefact(folder).facts["notes"] == ["tiled inside a.geojson"]


def test_the_preset_of_the_paper(tmp_path, model, embed):
    """Li 2022: 0.25 µm/px, Macenko tile by tile with Io 255, α 1 and β 0.15."""
    slide = small_slides.write_slide(tmp_path / "a.tif", small_slides.tissue(256, 256), 0.25)
    folder = embed("--preset", "paper", slide=slide)
    artefact = open_artefact(folder)
    config = artefact.manifest["config"]
    assert (config["target_mpp"], config["stain"]) == (0.25, "macenko-tile")
    assert (config["reference"]["name"], config["reference"]["io"]) == ("paper", 255)
    assert (config["stain_alpha"], config["stain_beta"]) == (1, 0.15)
    assert artefact.facts["mpp_effective"] == 0.25
    found = read(folder)
    tiles = small_slides.read_one_by_one(slide, found["coords"], TILE, 1)
    normal, _ = macenko(tiles, mode="tile", reference=PAPER, alpha=1, beta=0.15)
    agree(found["features"], small_slides.features_of(model, normal))
    with h5py.File(folder / "tiny-gap.h5") as file:
        assert file["features"].attrs["histo_stain_io"] == 255


def test_the_recommended_preset(embed):
    config = open_artefact(embed("--preset", "recommended")).manifest["config"]
    assert (config["target_mpp"], config["stain"]) == (0.5, "macenko-slide")
    assert (config["reference"]["name"], config["reference"]["io"]) == ("torchstain", 240)
