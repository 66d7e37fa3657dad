"""Features of slides between histograft and five other programs, read as those programs read."""

from __future__ import annotations

import csv
import json
import os

import foreign_features as foreign
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from foreign_features import HEIGHT, MPP, SIDE0, SIZE, TILE_PX, WIDTH
from slide_trees import MODELS, SPEC, write_tree

from histograft import Convert, convert, open_artefact, to_anndata, verify
from histograft.core.errors import InputError

SLIDES = {"a-1": foreign.slide(1, 7), "b 2": foreign.slide(2, 300 % 59), "c": foreign.slide(3, 0)}
OTHERS = ("trident", "clam", "stamp", "slide2vec", "eva")


class Listener:
    """Keeps what a reporter is told."""

    def __init__(self):
        self.said = []

    def task(self, title, total):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def advance(self, steps=1, note=""):
        pass

    def note(self, text):
        self.said.append(text)

    warn = note

    def table(self, title, columns, rows):
        assert all(len(row) == len(columns) for row in rows)


def own_file(out, slide_id, model):
    """Open features of our own tree without the package."""
    return h5py.File(out / f"slides/{slide_id}/{model}.h5")


def index_of(out):
    return pd.read_csv(out / "index/slides.csv", keep_default_na=False)


# From the others: files made to their schemas


def written_by(layout, folder, tmp_path):
    """Make a folder of another program; return it, what is given beside it, and expectations."""
    stated = {"patch_size": TILE_PX, "patch_size_level0": SIDE0}
    size = {"level0_width": WIDTH, "level0_height": HEIGHT}
    if layout == "trident":
        return foreign.write_trident(folder, SLIDES), {}, "uni_v1", None, stated | size | {
            "level0_magnification": 40, "target_magnification": 20, "overlap": 0}  # fmt: skip
    if layout == "clam":  # 128 px of a level that is 4 times as coarse
        return foreign.write_clam(folder, SLIDES), {"model": "resnet50"}, "resnet50", None, {
            "patch_size": 128, "patch_size_level0": 512}  # fmt: skip
    if layout == "stamp":
        return foreign.write_stamp(folder, SLIDES), {"mpp": MPP}, "mahmood-uni", MPP, stated
    if layout == "slide2vec":
        return foreign.write_slide2vec(folder, SLIDES), {}, "prost40m", MPP, stated | size
    patches = foreign.write_trident(tmp_path / "job", SLIDES) / "20x_256px_0px_overlap/patches"
    given = {"model": "dino", "coordinates": patches}
    return foreign.write_eva(folder, SLIDES), given, "dino", None, stated | size


@pytest.mark.parametrize("layout", OTHERS)
def test_features_of_others_are_read(tmp_path, layout):
    source, given, model, mpp, attributes = written_by(layout, tmp_path / "source", tmp_path)
    made = convert(Convert(source, out=tmp_path / "out", **given))
    assert made.path == tmp_path / "out/index"
    assert made.facts["models"] == [model]
    table = index_of(tmp_path / "out")
    assert table["status"].tolist() == ["done", "done", "no tissue"]
    assert table["mpp"].tolist() == [mpp or ""] * 3  # unknown is not made up
    for slide_id, one in SLIDES.items():
        half = layout in ("stamp", "slide2vec")  # they keep half precision
        expected = one.features.astype(np.float16).astype(np.float32) if half else one.features
        with own_file(tmp_path / "out", slide_id, model) as file:
            assert file["features"].dtype == np.float32
            np.testing.assert_array_equal(file["features"][:], expected)
            np.testing.assert_array_equal(file["coords"][:], one.coords)
            found = dict(file["coords"].attrs)
            assert {name: found[name] for name in attributes} == attributes
            assert file["features"].attrs["histo_mpp_level0"] == (mpp or "None")
            assert file["features"].attrs["encoder"] == model
            assert file["status"][:].tolist() == [0] * len(one.coords)
        notes = open_artefact(tmp_path / f"out/slides/{slide_id}").facts["notes"]
        assert ("µm/px of the slide is not known" in notes) == (mpp is None)
    assert all(result.findings == () for result in verify(tmp_path / "out"))


def test_scale_comes_from_the_table_then_the_option_and_never_from_a_magnification(tmp_path):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    (tmp_path / "slides.csv").write_text("slide_id,patient_id,mpp\na-1,P1,0.23\nc,P2,\nelse,P3,\n")
    listener = Listener()
    given = {"mpp": 0.27, "slides": tmp_path / "slides.csv"}
    convert(Convert(source, out=tmp_path / "out", **given), listener)
    table = index_of(tmp_path / "out").set_index("slide_id")
    assert table["mpp"].to_dict() == {"a-1": 0.23, "b 2": 0.27, "c": 0.27}
    assert table["mpp_source"].to_dict() == {"a-1": "table", "b 2": "option", "c": "option"}
    assert table["patient_id"].to_dict() == {"a-1": "P1", "b 2": "", "c": "P2"}
    effective = {"a-1": SIDE0 * 0.23 / TILE_PX, "b 2": SIDE0 * 0.27 / TILE_PX}
    assert {k: table["mpp_effective"][k] for k in effective} == pytest.approx(effective)
    assert any("1 slides of the table" in text and "else" in text for text in listener.said)


def test_a_scale_that_the_file_states_is_kept(tmp_path):
    source = foreign.write_slide2vec(tmp_path / "source", SLIDES)
    convert(Convert(source, out=tmp_path / "out", mpp=0.5))
    table = index_of(tmp_path / "out")
    assert table["mpp"].tolist() == [MPP] * 3
    assert all("which is kept, not 0.5" in text for text in table["reason"])


def test_clam_tensors_alone_take_coordinates_from_the_patches(tmp_path):
    source = foreign.write_clam(tmp_path / "source", SLIDES, h5=False)
    convert(Convert(source, out=tmp_path / "out", model="r50"))
    with own_file(tmp_path / "out", "a-1", "r50") as file:
        np.testing.assert_array_equal(file["coords"][:], SLIDES["a-1"].coords)
        np.testing.assert_array_equal(file["features"][:], SLIDES["a-1"].features)


def test_one_of_several_models_is_chosen(tmp_path):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    foreign.write_trident(source, SLIDES, encoder="conch_v1")
    with pytest.raises(InputError, match=r"2 models.*--model conch_v1\|uni_v1"):
        convert(Convert(source, out=tmp_path / "out"))
    with pytest.raises(InputError, match=r"no features of the model x.*conch_v1, uni_v1"):
        convert(Convert(source, out=tmp_path / "out", model="x"))
    made = convert(Convert(source, out=tmp_path / "out", model="conch_v1"))
    assert made.facts["models"] == ["conch_v1"]


# To the others: read in the way that they document


def read_as_trident(out, slide_id):
    """As ``read_coords`` and the h5 loaders of TRIDENT's downstream code."""
    (scale,) = out.glob("*x_*px_*px_overlap")
    with h5py.File(scale / f"patches/{slide_id}_patches.h5", "r") as f:
        attrs, coords = dict(f["coords"].attrs), f["coords"][:]
    for name in ("patch_size", "level0_magnification", "target_magnification", "overlap",
                 "name", "savetodir", "level0_width", "level0_height"):  # fmt: skip
        attrs[name]  # read without a default
    # WSI.extract_patch_features cuts tiles anew by these
    assert attrs["patch_size_level0"] == pytest.approx(
        attrs["patch_size"] * attrs["level0_magnification"] / attrs["target_magnification"], abs=1
    )
    with h5py.File(scale / f"features_ftx-dense/{slide_id}.h5", "r") as f:
        np.testing.assert_array_equal(f["coords"][:], coords)
        assert f["features"].attrs["encoder"] == "ftx-dense"
        return f["features"][:], coords


def read_as_clam(out, slide_id):
    """As ``Generic_MIL_Dataset`` (pt and h5) and ``Whole_Slide_Bag_FP``."""
    features = torch.load(out / f"pt_files/{slide_id}.pt", weights_only=True)
    with h5py.File(out / f"h5_files/{slide_id}.h5", "r") as f:
        h5_features, coords = torch.from_numpy(f["features"][:]), f["coords"][:]
    assert torch.equal(features, h5_features)
    assert coords.dtype == np.int32
    with h5py.File(out / f"patches/{slide_id}.h5", "r") as f:
        dset = f["coords"]
        level, size = dset.attrs["patch_level"], dset.attrs["patch_size"]
        np.testing.assert_array_equal(dset[:], coords)
        w, h = dset.attrs["level_dim"]
        assert (w, h) == (WIDTH, HEIGHT)
    # wsi.read_region(coord, level, (size, size)) sees what the tile is
    assert (level, size) == (0, SPEC.side0)
    return features.numpy(), coords


def read_as_stamp(out, slide_id):
    """As ``get_coords`` and ``BagDataset`` of STAMP 2.1 to 2.4."""
    with (out / "slide.csv").open() as file:
        names = {row["FILENAME"]: row["PATIENT"] for row in csv.DictReader(file)}
    assert names[f"{slide_id}.h5"].startswith("p")
    with h5py.File(out / f"ftx-dense/{slide_id}.h5", "r") as h5:
        assert tuple(map(int, h5.attrs["stamp_version"].split("."))) <= (2, 1, 0)
        assert h5.attrs["feat_type"] == "tile"
        assert h5.attrs["unit"] == "um"
        tile_mpp = float(h5.attrs["tile_size_um"]) / int(h5.attrs["tile_size_px"])
        assert tile_mpp == pytest.approx(SPEC.effective_mpp)
        feats, coords_um = torch.from_numpy(h5["feats"][:]), torch.from_numpy(h5["coords"][:])
    assert feats.dtype == torch.float16
    assert coords_um.dtype == torch.float32
    return feats.float().numpy(), np.rint(coords_um.numpy().astype(float) / MPP).astype(int)


def read_as_slide2vec(out, slide_id):
    """As ``load_array`` and ``load_metadata``, and as the documentation reads coordinates."""
    features = torch.load(out / f"tile_embeddings/{slide_id}.pt", weights_only=True)
    meta = json.loads((out / f"tile_embeddings/{slide_id}.meta.json").read_text())
    assert meta["artifact_type"] == "tile_embeddings"
    assert (meta["num_tiles"], meta["feature_dim"]) == tuple(features.shape)
    assert (meta["tile_size_lv0"], meta["requested_spacing_um"]) == (SPEC.side0, 0.5)
    data = np.load(out / meta["coordinates_npz_path"], allow_pickle=False)
    assert [data[name].dtype for name in ("x", "y", "tile_index")] == [int, int, np.int32]
    np.testing.assert_array_equal(data["tile_index"], np.arange(len(features)))
    sidecar = json.loads((out / meta["coordinates_meta_path"]).read_text())
    assert sidecar["slide"] == {
        "dimensions": [WIDTH, HEIGHT],
        "base_spacing_um": MPP,
        "level_downsamples": None,
    }
    listed = pd.read_csv(out / "process_list.csv").set_index("sample_id")
    assert listed.loc[slide_id, "tiling_status"] == "success"
    return features.numpy(), np.stack([data["x"], data["y"]], axis=1)


def read_as_eva(out, slide_id):
    """As ``MultiEmbeddingsDataset``: all files of one ``wsi_id`` of a split, and its target."""
    data = pd.read_csv(out / "manifest.csv")
    data = data.loc[data["split"] == "train"].reset_index(drop=True)
    rows = data["wsi_id"] == slide_id
    embeddings = []
    for path in data.loc[rows, "embeddings"].to_list():
        embedding = torch.load(os.path.join(out, path), map_location="cpu", weights_only=True)
        embeddings.append(embedding.unsqueeze(0) if embedding.ndim == 1 else embedding)
    stacked = torch.cat(embeddings, dim=0)
    assert stacked.ndim == 2
    assert np.asarray(data.loc[rows, "target"].iloc[0], dtype=np.int64) in (0, 1)
    return stacked.numpy(), None


READERS = {
    "trident": read_as_trident, "clam": read_as_clam, "stamp": read_as_stamp,
    "slide2vec": read_as_slide2vec, "eva": read_as_eva,
}  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    write_tree(folder / "tree", SLIDES)
    (folder / "slides.csv").write_text(
        "slide_id,target,split\n" + "".join(f"{name},1,train\n" for name in SLIDES)
    )
    return folder / "tree"


@pytest.mark.parametrize("layout", OTHERS)
def test_others_read_what_we_write_and_we_read_it_back(tmp_path, tree, layout):
    listener = Listener()
    out, back = tmp_path / "out", tmp_path / "back"
    given = {"slides": tree.parent / "slides.csv"}
    made = convert(Convert(tree, out=out, to=layout, **given), listener)
    assert made.path == out
    half = layout == "stamp"
    assert any("half precision" in text for text in listener.said) == half  # it is said
    convert(Convert(out, out=back))
    for slide_id, one in SLIDES.items():
        expected = one.features.astype(np.float16).astype(np.float32) if half else one.features
        features, coords = READERS[layout](out, slide_id)
        assert features.shape == (len(one.coords), SIZE)
        np.testing.assert_array_equal(features, expected)
        if coords is not None:
            np.testing.assert_array_equal(coords, one.coords)
        with (
            own_file(tree, slide_id, "ftx-dense") as before,
            own_file(back, slide_id, "ftx-dense") as after,
        ):
            assert set(before) == set(after)
            np.testing.assert_array_equal(after["features"][:], expected)
            for name in ("coords", "status", "left_out", "left_out_status"):
                np.testing.assert_array_equal(after[name][:], before[name][:])
            for name in ("features", "coords"):
                assert dict(after[name].attrs) == dict(before[name].attrs)
    assert all(result.findings == () for result in [*verify(out), *verify(back)])
    assert str(tmp_path) not in (out / "manifest.json").read_text()


@pytest.mark.parametrize("mpp", [0.1, 0.2527, 0.4991, 1.0])
def test_coordinates_survive_micrometers_in_single_precision(tmp_path, mpp):
    places = np.array([[299_993, 7], [1, 300_007], [123_457, 199_999]])
    slides = {"far": foreign.Slide(np.ones((3, SIZE), np.float32), places)}
    source = foreign.write_trident(tmp_path / "job", slides)
    convert(Convert(source, out=tmp_path / "stamp", to="stamp", mpp=mpp))
    path = tmp_path / "stamp/uni_v1/far.h5"
    with h5py.File(path, "r+") as file:
        assert file["coords"].dtype == np.float32
        for name in [n for n in file.attrs if n.startswith("histo_")]:
            del file.attrs[name]  # as if STAMP had written it
    convert(Convert(tmp_path / "stamp", out=tmp_path / "back", mpp=mpp))
    with own_file(tmp_path / "back", "far", "uni_v1") as file:
        np.testing.assert_array_equal(file["coords"][:], places)
    assert index_of(tmp_path / "back")["reason"].tolist() == [""]


def test_a_model_is_chosen_on_the_way_out(tmp_path):
    write_tree(tmp_path / "tree", SLIDES, MODELS)
    with pytest.raises(InputError, match=r"2 models.*ftx-dense\|ftx-gap"):
        convert(Convert(tmp_path / "tree", out=tmp_path / "out", to="clam"))
    convert(Convert(tmp_path / "tree", out=tmp_path / "out", to="clam", model="ftx-gap"))
    found = torch.load(tmp_path / "out/pt_files/a-1.pt", weights_only=True)
    np.testing.assert_array_equal(found.numpy(), -SLIDES["a-1"].features)


def test_the_same_command_again_does_nothing_and_another_is_refused(tmp_path, tree):
    for to, source in (("clam", tree), ("histograft", foreign.write_stamp(tmp_path / "s", SLIDES))):
        config = Convert(source, out=tmp_path / to, to=to, mpp=MPP)
        made = convert(config)
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / to).rglob("*")}
        listener = Listener()
        assert convert(config, listener).id == made.id
        assert "there already" in listener.said[-1]
        assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / to).rglob("*")}
    with pytest.raises(InputError, match="layout of histograft already"):
        convert(Convert(tree, out=tmp_path / "x"))


def test_equal_slides_make_equal_files(tmp_path, tree):
    for layout in OTHERS:
        for name in ("one", "two"):
            convert(Convert(tree, out=tmp_path / f"{layout}-{name}", to=layout))
        files = {
            name: {
                str(p.relative_to(tmp_path / f"{layout}-{name}")): p.read_bytes()
                for p in sorted((tmp_path / f"{layout}-{name}").rglob("*"))
                if p.is_file()
            }
            for name in ("one", "two")
        }
        assert files["one"] == files["two"]


def test_the_command(tmp_path, tree, tools):
    outcome = tools.ok("convert", tree, "--to", "eva", "--out", tmp_path / "out")
    assert outcome.out.strip() == str(tmp_path / "out")
    assert "target" in outcome.err  # eva needs one, and nobody stated it
    rows = pd.read_csv(tmp_path / "out/conversion.csv")
    assert rows["n_tiles"].tolist() == [len(one.coords) for one in SLIDES.values()]
    assert rows["file"].tolist() == [f"{name}.pt" for name in SLIDES]


def test_anndata_holds_all_tiles_and_their_places(tree, monkeypatch):
    pytest.importorskip("anndata", reason="needs anndata (pip install 'histograft[anndata]')")
    found = to_anndata(tree)
    assert found.shape == (sum(len(one.coords) for one in SLIDES.values()), SIZE)
    np.testing.assert_array_equal(found.X, np.concatenate([s.features for s in SLIDES.values()]))
    places = np.concatenate([one.coords for one in SLIDES.values()])
    np.testing.assert_array_equal(found.obs[["x", "y"]], places)
    np.testing.assert_array_equal(found.obsm["spatial"], places)
    assert found.obs_names[:2].tolist() == ["a-1-0", "a-1-1"]
    assert found.obs["patient_id"].iloc[0] == "p0"
    assert found.uns["histograft"]["slides"]["b 2"]["mpp0"] == MPP
    assert found.uns["histograft"]["model"] == "ftx-dense"
    one = to_anndata(tree / "slides/a-1")
    np.testing.assert_array_equal(one.X, SLIDES["a-1"].features)
    assert one.obs["status"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    monkeypatch.setitem(__import__("sys").modules, "anndata", None)
    with pytest.raises(InputError, match=r"anndata is not installed.*histograft\[anndata\]"):
        to_anndata(tree)
