"""Features of slides that cannot be converted: named, and nothing half written."""

from __future__ import annotations

import shutil
from pathlib import Path

import foreign_features as foreign
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from foreign_features import MPP, SIZE, Slide
from slide_trees import write_tree

from histograft import Convert, convert, verify
from histograft.core.artefact import is_artefact
from histograft.core.errors import ArtefactError, InputError
from histograft.verbs.feature_formats import trident

SLIDES = {"a": foreign.slide(1, 9), "b": foreign.slide(2, 5)}
FEATURES = "20x_256px_0px_overlap/features_uni_v1"


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewrite(path, name, value):
    """Replace a dataset, or remove it where the value is None."""
    with h5py.File(path, "r+") as file:
        kept = dict(file[name].attrs)
        del file[name]
        if value is not None:
            file[name] = value
            file[name].attrs.update(kept)


def rows_with(value):
    features = SLIDES["a"].features.copy()
    features[3, 1] = value
    return features


BREAK_H5 = {
    "half a file": (cut_in_half, "a.h5 is truncated or no HDF5 file"),
    "an empty file": (lambda p: p.write_bytes(b""), "a.h5 is truncated or no HDF5 file"),
    "text": (lambda p: p.write_text("features"), "a.h5 is truncated or no HDF5 file"),
    "no features": (
        lambda p: rewrite(p, "features", None),
        "a.h5 has no dataset 'features'.*coords",
    ),
    "NaN": (lambda p: rewrite(p, "features", rows_with(np.nan)), "a.h5: 1 of 9 rows hold NaN"),
    "infinity": (lambda p: rewrite(p, "features", rows_with(np.inf)), "a.h5: 1 of 9 rows hold NaN"),
    "too few rows": (
        lambda p: rewrite(p, "features", SLIDES["a"].features[:4]),
        "a.h5: 4 rows of features and 9 coordinates",
    ),
    "one vector": (
        lambda p: rewrite(p, "features", SLIDES["a"].features[0]),
        r"a.h5: features have the shape \(5,\).*whole slides",
    ),
    "other places": (
        lambda p: rewrite(p, "coords", SLIDES["a"].coords + 1),
        "a.h5: its coordinates are others than those",
    ),
    "fractions": (
        lambda p: rewrite(p, "features", SLIDES["a"].features.astype(int)),
        "a.h5: features are of type int64",
    ),
    "a size that is text": (
        lambda p: h5py.File(p, "r+")["coords"].attrs.update({"patch_size": "big"}),
        "a.h5: the attribute patch_size is 'big'",
    ),
}


@pytest.mark.parametrize("damage", BREAK_H5)
@pytest.mark.parametrize("to", ["histograft", "stamp"])
def test_a_damaged_slide_is_named_and_the_others_are_kept_on_request(tmp_path, damage, to):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    work, said = BREAK_H5[damage]
    work(source / FEATURES / "a.h5")
    given = {"to": to, "mpp": MPP}
    out = tmp_path / "out"
    with pytest.raises(
        InputError, match=f"1 of 2 slides failed, such as a: .*{said}.*--keep-going"
    ):
        convert(Convert(source, out=out, **given))
    assert not is_artefact(out)
    assert not is_artefact(out / "index")
    assert not list(out.rglob(".partial-*"))
    assert not list(out.rglob("a.h5"))
    made = convert(Convert(source, out=out, **given, keep_going=True))
    assert (made.facts["n_slides"], made.facts["n_failed"]) == (1, 1)
    table = pd.read_csv(made.path / ("slides.csv" if to == "histograft" else "conversion.csv"))
    assert table["status"].tolist() == ["failed", "done"]
    text = (made.path / "manifest.json").read_text() + table.to_csv()
    assert str(tmp_path) not in text  # no places of this machine
    assert all(result.findings == () for result in verify(out))
    assert not list(out.rglob("a.h5"))


def test_a_slide_that_was_mended_is_converted(tmp_path):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    whole = (source / FEATURES / "a.h5").read_bytes()
    for to in ("histograft", "clam"):
        cut_in_half(source / FEATURES / "a.h5")
        with pytest.raises(InputError, match="1 of 2 slides failed"):
            convert(Convert(source, out=tmp_path / to, to=to))
        (source / FEATURES / "a.h5").write_bytes(whole)
        assert convert(Convert(source, out=tmp_path / to, to=to)).facts["n_slides"] == 2
        assert all(result.findings == () for result in verify(tmp_path / to))


def test_tensors_that_are_none(tmp_path):
    source = foreign.write_clam(tmp_path / "clam", SLIDES, h5=False)
    path = source / "pt_files/a.pt"
    whole = path.read_bytes()
    for content, said in (
        (whole[: len(whole) // 2], "a.pt is truncated or no PyTorch file"),
        (b"", "a.pt is truncated or no PyTorch file"),
        ({"features": torch.ones(9, SIZE)}, "a.pt holds a dict, not a tensor"),
        (SLIDES["a"].features, "a.pt is a pickle of something else.*saveas='pt'"),
    ):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(InputError, match=said):
            convert(Convert(source, out=tmp_path / "out", to="eva", model="m"))


def test_numpy_pickles_of_trident_are_refused_without_being_opened(tmp_path):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    folder = source / FEATURES
    for path in folder.glob("*.h5"):
        with h5py.File(path) as file:
            torch.save(file["features"][:], path.with_suffix(".pt"))  # as its saveas='pt'
        path.unlink()
    with pytest.raises(InputError, match=r"2 of 2 slides.*pickle.*NumPy array.*as HDF5"):
        convert(Convert(source, out=tmp_path / "out", keep_going=True))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.h5"))


def test_what_lacks_coordinates_or_a_name(tmp_path):
    source = foreign.write_clam(tmp_path / "clam", SLIDES, h5=False)
    with pytest.raises(InputError, match=r"does not say which model.*--model NAME"):
        convert(Convert(source, out=tmp_path / "out"))
    shutil.rmtree(source / "patches")
    with pytest.raises(InputError, match=r"a.pt has no coordinates.*--coordinates"):
        convert(Convert(source, out=tmp_path / "out", model="m"))
    with pytest.raises(InputError, match="is no folder"):
        convert(Convert(source, out=tmp_path / "out", coordinates=tmp_path / "none"))


def test_stamp_needs_a_scale_and_half_precision(tmp_path):
    source = foreign.write_stamp(tmp_path / "stamp", SLIDES)
    with pytest.raises(InputError, match=r"in µm, and the µm/px of the slide is not known.*--mpp"):
        convert(Convert(source, out=tmp_path / "out"))
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    with pytest.raises(InputError, match=r"a: µm/px is not known.*--mpp"):
        convert(Convert(source, out=tmp_path / "out", to="stamp"))
    write_tree(tmp_path / "tree", {"a": Slide(rows_with(1e5), SLIDES["a"].coords)})
    with pytest.raises(InputError, match=r"a: a feature of 100000 is beyond half precision"):
        convert(Convert(tmp_path / "tree", out=tmp_path / "out", to="stamp"))
    assert not list((tmp_path / "out").rglob("*.h5"))


def test_files_of_stamp_in_other_units(tmp_path):
    source = foreign.write_stamp(tmp_path / "stamp", SLIDES)
    for attribute, value, said in (
        ("unit", "px", "does not say that its coordinates are in µm"),
        ("feat_type", "patient", "has features of a whole patient"),
    ):
        with h5py.File(source / "a.h5", "r+") as file:
            before, file.attrs[attribute] = file.attrs[attribute], value
        with pytest.raises(InputError, match=said):
            convert(Convert(source, out=tmp_path / "out", mpp=MPP))
        with h5py.File(source / "a.h5", "r+") as file:
            file.attrs[attribute] = before


@pytest.mark.parametrize("name", ["a.pt", "a.meta.json", "tiles/a.coordinates.npz"])
def test_halves_of_slide2vec(tmp_path, name):
    source = foreign.write_slide2vec(tmp_path / "s", SLIDES)
    path = source / name if "/" in name else source / "tile_embeddings" / name
    cut_in_half(path)
    with pytest.raises(InputError, match=f"such as a: .*{path.name} is (truncated|no JSON)"):
        convert(Convert(source, out=tmp_path / "out"))
    path.unlink()
    if name.endswith("npz"):
        with pytest.raises(InputError, match=f"{path.name} is not there"):
            convert(Convert(source, out=tmp_path / "out"))


def test_two_files_of_one_slide(tmp_path):
    source = foreign.write_stamp(tmp_path / "stamp", SLIDES)
    foreign.write_stamp(source / "more", {"a": SLIDES["a"]})
    with pytest.raises(InputError, match=r"two files are called a: .*a\.h5 and .*more/a\.h5"):
        convert(Convert(source, out=tmp_path / "out", mpp=MPP))


@pytest.mark.parametrize("to", ["histograft", "clam"])
def test_slides_of_two_models_do_not_mix(tmp_path, to):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    with h5py.File(source / FEATURES / "b.h5", "r+") as file:
        file["features"].attrs["encoder"] = "conch_v1"
    with pytest.raises(InputError, match=r"b\.h5 has features of conch_v1, .* before it of uni_v1"):
        convert(Convert(source / FEATURES, out=tmp_path / "out", to=to))
    rewrite(source / FEATURES / "b.h5", "features", np.ones((5, 8), np.float32))
    with pytest.raises(InputError, match=r"b\.h5 has 8 features a tile, the slides before it 5"):
        convert(Convert(source, out=tmp_path / "out2", to=to, model="uni_v1"))


def test_scales_of_one_model_and_features_of_whole_slides(tmp_path):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    shutil.copytree(source / "20x_256px_0px_overlap", source / "10x_256px_0px_overlap")
    with pytest.raises(InputError, match="uni_v1 at several scales: 10x_256px_0px_overlap/feat"):
        convert(Convert(source, out=tmp_path / "out"))
    only = tmp_path / "only/slide_features_titan"
    foreign.save_h5(only / "a.h5", {"features": SLIDES["a"].features[0]}, {})
    assert trident.recognize(tmp_path / "only")
    with pytest.raises(InputError, match="features of whole slides only"):
        convert(Convert(tmp_path / "only", out=tmp_path / "out"))


def test_manifests_of_eva_that_lead_elsewhere(tmp_path):
    source = foreign.write_eva(tmp_path / "eva", SLIDES)
    (tmp_path / "secret.pt").write_bytes(b"")
    manifest = source / "manifest.csv"
    manifest.write_text("origin,embeddings,target,split\na.tif,../secret.pt,0,train\n")
    with pytest.raises(InputError, match=r"'\.\./secret\.pt' leads out of its folder"):
        convert(Convert(source, out=tmp_path / "out"))
    manifest.write_text("origin,target,split\na.tif,0,train\n")
    with pytest.raises(InputError, match=r"manifest.csv lacks the column\(s\) embeddings"):
        convert(Convert(source, out=tmp_path / "out"))
    manifest.write_text("origin,embeddings,target,split,wsi_id\na,wsi/a-0.pt,0,train,x/y\n")
    with pytest.raises(InputError, match="the slide 'x/y' cannot name a file"):
        convert(Convert(source, out=tmp_path / "out"))


def test_folders_without_features_and_trees_that_are_not_finished(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no features of slides that are known"):
        convert(Convert(tmp_path / "empty", out=tmp_path / "out"))
    with pytest.raises(InputError, match="nothing is no folder"):
        convert(Convert(tmp_path / "nothing", out=tmp_path / "out"))
    write_tree(tmp_path / "tree", SLIDES)
    shutil.rmtree(tmp_path / "tree/index")
    with pytest.raises(ArtefactError, match="index holds no artefact"):
        convert(Convert(tmp_path / "tree", out=tmp_path / "out", to="clam"))


def test_our_own_files_that_were_cut_off(tmp_path):
    write_tree(tmp_path / "tree", SLIDES)
    cut_in_half(tmp_path / "tree/slides/a/ftx-dense.h5")
    config = Convert(tmp_path / "tree", out=tmp_path / "out", to="clam")
    with pytest.raises(InputError, match=r"such as a: .*ftx-dense.h5 is missing or damaged"):
        convert(config)
    shutil.rmtree(tmp_path / "tree/slides/a")
    with pytest.raises(InputError, match=r"such as a: .*slides/a holds no artefact"):
        convert(config)


def test_folders_of_others_are_not_written_into(tmp_path):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("all of it")
    with pytest.raises(ArtefactError, match="not made by histograft"):
        convert(Convert(source, out=tmp_path / "out", to="clam"))
    convert(Convert(source, out=tmp_path / "clam", to="clam"))
    with pytest.raises(ArtefactError, match=r"another artefact.*mpp: there None, here 0.5"):
        convert(Convert(source, out=tmp_path / "clam", to="clam", mpp=0.5))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mpp": 0.0}, "--mpp"),
        ({"mpp": float("nan")}, "--mpp"),
        ({"model": "../x"}, "cannot name a file"),
        ({"model": ""}, "cannot name a file"),
    ],
)
def test_options_that_cannot_be(tmp_path, given, said):
    with pytest.raises(InputError, match=said):
        Convert(tmp_path, out=tmp_path, **given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,mpp\na,0.5\n", r"lacks the column\(s\) slide_id"),
        ("slide_id,mpp\na,0.5\na,0.25\n", "share a key"),
        ("slide_id,mpp\na,half\n", "'half' is not a number"),
        ("slide_id,mpp\na,0\n", "a: 0.0 cannot be a scale"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, said):
    source = foreign.write_trident(tmp_path / "job", SLIDES)
    (tmp_path / "slides.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        convert(Convert(source, out=tmp_path / "out", slides=tmp_path / "slides.csv"))


def test_nothing_has_its_name_before_it_is_whole(tmp_path, monkeypatch):
    from histograft.learning import tensor_files

    source = foreign.write_trident(tmp_path / "job", SLIDES)
    config = Convert(source, out=tmp_path / "out", to="clam")
    whole = tensor_files.write_tensor

    def killed(path, values):
        whole(path, values)
        if len(values) == len(SLIDES["b"].features):
            cut_in_half(path)
            raise KeyboardInterrupt

    monkeypatch.setattr(tensor_files, "write_tensor", killed)
    with pytest.raises(KeyboardInterrupt):
        convert(config)
    assert [p.name for p in (tmp_path / "out/pt_files").iterdir()] == ["a.pt"]
    assert not is_artefact(tmp_path / "out")
    monkeypatch.undo()
    resumed = convert(config)
    fresh = convert(Convert(source, out=tmp_path / "fresh", to="clam"))
    assert resumed.files == fresh.files


def test_parts_and_places_that_do_not_fit_come_with_a_remedy(tmp_path):
    source = foreign.write_eva(tmp_path / "eva", SLIDES)
    torch.save(torch.zeros(3, 2), source / "wsi/a-0.pt")
    places = foreign.write_trident(tmp_path / "job", SLIDES) / Path(FEATURES).parent / "patches"
    with pytest.raises(InputError, match=r"a-0.pt .*numbers of features\. To fix it: keep"):
        convert(Convert(source, out=tmp_path / "first", model="m", coordinates=places))
    source = foreign.write_slide2vec(tmp_path / "s", SLIDES)
    (source / "tile_embeddings/a.pt").unlink()
    features = SLIDES["a"].features
    beyond = np.arange(1, len(features) + 1)
    np.savez(source / "tile_embeddings/a.npz", features=features, tile_index=beyond)
    with pytest.raises(InputError, match=r"tile_index leads beyond .*\. To fix it: give"):
        convert(Convert(source, out=tmp_path / "out"))
