"""Whole pieces at levels of a ladder: the same pieces, names and splits at each."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_pieces import write_pieces

from histograft.core.errors import InputError
from histograft.recipes.piece_slides import check_labelled, check_predicted
from histograft.verbs.distill import Distill, distill
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.rescale import PRESETS, Rescale, rescale

SIZES = [(96, 128), (100, 70), (64, 64), (97, 131), (80, 80), (96, 96), (128, 64), (75, 90)]


@pytest.fixture
def samples(tmp_path):
    """Eight pieces of four patients, of different sizes, 0.5 µm/px."""
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i, size in enumerate(SIZES):
        pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append(
            (f"{i}.png", "ab"[i % 2], f"p{i // 2}", ["train", "train", "val", "test"][i // 2])
        )
    table = pd.DataFrame(rows, columns=["file", "label", "group", "split"])
    table.assign(mpp=0.5).to_csv(folder / "samples.csv", index=False)
    return folder


def make(samples, out, **options):
    return rescale(Rescale(samples, out=samples.parent / out, workers=1, **options))


def test_levels_hold_the_same_pieces_made_from_the_native_image(samples):
    tables = {}
    for level in (0.5, 1, 4):
        made = make(samples, f"level-{level}", level=level)
        tables[level] = load_patches(made)
        images = images_of(made, tables[level])
        for i, file in enumerate(tables[level]["source_file"]):
            native = Image.open(samples / file)
            size = tuple(int(np.floor(n / (level / 0.5) + 0.5)) for n in native.size)
            expected = native.resize(size, Image.Resampling.LANCZOS)
            assert np.array_equal(images.image(i), np.asarray(expected))
        assert (tables[level]["mpp"] == level).all()
        assert (made.facts["level"], made.facts["scale"]) == (level, "mpp")
    same = ["patch_id", "label", "group", "split", "source_sha256"]
    assert tables[0.5][same].equals(tables[1][same])
    assert tables[0.5][same].equals(tables[4][same])


def test_a_drawn_split_is_the_same_at_each_level_and_keeps_patients_whole(samples):
    table = pd.read_csv(samples / "samples.csv").drop(columns="split")
    table.to_csv(samples / "samples.csv", index=False)
    drawn = [
        load_patches(make(samples, f"drawn-{level}", level=level, **PRESETS["paper"]))
        for level in (1, 4)
    ]
    assert drawn[0]["split"].equals(drawn[1]["split"])
    assert set(drawn[0]["split"]) == {"train", "val", "test"}
    assert (drawn[0].groupby("group")["split"].nunique() == 1).all()


def test_the_paper_splits_70_15_15(samples):
    shares = Rescale(samples, out=samples, **PRESETS["paper"]).splitting.fractions
    assert shares == pytest.approx({"train": 0.7, "val": 0.15, "test": 0.15})


def test_mean_and_std_are_those_of_the_training_pixels(samples):
    made = make(samples, "out", level=1)
    table = load_patches(made)
    images = images_of(made, table)
    chosen = np.flatnonzero(table["split"] == "train")
    pixels = np.concatenate([images.image(int(i)).reshape(-1, 3) for i in chosen]) / 255.0
    np.testing.assert_allclose(made.facts["mean"], pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(made.facts["std"], pixels.std(0), rtol=1e-12)


def test_factors_for_sets_of_unknown_scale(samples):
    table = pd.read_csv(samples / "samples.csv").drop(columns="mpp")
    table.to_csv(samples / "samples.csv", index=False)
    with pytest.raises(InputError, match="no µm/px is known for 8 of 8"):
        make(samples, "mpp", level=4)
    made = make(samples, "relative", level=4, scale="relative")
    found = load_patches(made)
    assert found["mpp"].isna().all()
    assert images_of(made, found).image(0).shape == (24, 32, 3)


def test_large_pieces_are_cut_to_one_field_at_all_levels(samples):
    heard = []

    class Listener:
        def __getattr__(self, name):
            from histograft.core.reporter import SILENT

            return heard.append if name == "warn" else getattr(SILENT, name)

    limits = {"max_pixels": 40 * 50, "max_pixels_level": 1}
    fine, coarse = (
        rescale(
            Rescale(samples, out=samples.parent / f"cut-{level}", workers=1, level=level, **limits),
            Listener(),
        )
        for level in (1, 4)
    )
    assert fine.facts["n_cut"] == coarse.facts["n_cut"] == sum(h * w > 4 * 2000 for h, w in SIZES)
    assert "central field" in heard[0]
    for i in range(len(SIZES)):
        one, other = (images_of(a, load_patches(a)).image(i) for a in (fine, coarse))
        assert one.shape[0] * one.shape[1] <= 2000
        assert abs(one.shape[0] - 4 * other.shape[0]) <= 2.5
    native = np.asarray(Image.open(samples / "0.png"))  # 96 × 128: 48 × 64 at level 1
    share = (2000 / (48 * 64)) ** 0.5
    height, width = int(48 * share) * 2, int(64 * share) * 2
    top, left = (96 - height) // 2, (128 - width) // 2
    field = Image.fromarray(native[top : top + height, left : left + width])
    expected = field.resize((width // 2, height // 2), Image.Resampling.LANCZOS)
    assert np.array_equal(images_of(fine, load_patches(fine)).image(0), np.asarray(expected))


def test_a_ladder_above_the_native_scale_and_bad_images_are_refused(samples):
    with pytest.raises(InputError, match=r"level 0\.25 .* 0\.5 µm/px"):
        make(samples, "up", level=0.25)
    (samples / "3.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"1 of 8 images cannot be used"):
        make(samples, "bad", level=1)


def test_pieces_that_could_not_be_opened_again_are_refused(samples, monkeypatch):
    monkeypatch.setattr("histograft.imaging.read.MAX_PIXELS", 12_500)  # 97 x 131 are 12,707
    with pytest.raises(InputError, match="131 x 97 px at this level are more than 12,500"):
        make(samples, "large", level=0.5)
    assert make(samples, "small", level=1).facts["n_patches"] == len(SIZES)


def test_it_is_made_once_and_resumes(samples, monkeypatch):
    made = make(samples, "out", level=1)
    assert make(samples, "out", level=1).id == made.id

    from histograft.verbs import rescale as module

    calls = []
    plain = module.rescale_piece
    monkeypatch.setattr(module, "CHUNK", 3)
    monkeypatch.setattr(
        module, "rescale_piece", lambda job: (calls.append(job.name), plain(job))[1]
    )

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_finish", killed)
        with pytest.raises(KeyboardInterrupt):
            make(samples, "again", level=1)
    assert len(calls) == 8
    again = make(samples, "again", level=1)
    assert len(calls) == 8  # read from the journal
    assert again.id == made.id
    assert load_patches(again).equals(load_patches(made))


def test_pieces_do_not_come_to_lie_among_the_images_of_class_folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), (name == "a" and "red") or "blue").save(
            tmp_path / "set" / name / "0.png"
        )
    config = Rescale(tmp_path / "set", out=tmp_path / "set" / "run", scale="relative", workers=1)
    with pytest.raises(InputError, match="searched for images"):
        rescale(config)
    assert not config.out.exists()


def test_a_damaged_image_is_mended_and_the_same_command_goes_on(samples, tmp_path):
    whole = (samples / "3.png").read_bytes()
    (samples / "3.png").write_bytes(whole[:-200])
    config = Rescale(samples, out=tmp_path / "pieces", level=1.0, workers=1)
    with pytest.raises(InputError, match=r"1 of 8 images cannot be used:\s+set/3.png is cut off"):
        rescale(config)
    (samples / "3.png").write_bytes(whole)
    assert rescale(config).facts["n_patches"] == 8


def test_pieces_need_no_label(tmp_path):
    """A column or cells may be absent, and so may tables and class folders."""
    write_pieces(tmp_path / "set", 4)
    table = pd.read_csv(tmp_path / "set" / "samples.csv")
    labels = {}
    for name, given in (
        ("cells", table.assign(label=["a", None, " ", "b"])),
        ("column", table.drop(columns="label")),
        ("alone", None),
    ):
        file = tmp_path / "set" / "samples.csv"
        file.unlink(missing_ok=True)
        if given is not None:
            given.to_csv(file, index=False)
        config = Rescale(
            tmp_path / "set", out=tmp_path / name, level=2, scale="relative", workers=1
        )
        made = load_patches(rescale(config)).sort_values("source_file")
        assert made["source_file"].tolist() == ["0.png", "1.png", "2.png", "3.png"]
        labels[name] = made["label"].tolist()
    assert labels["cells"] == ["a", "unlabelled", "unlabelled", "b"]
    assert labels["column"] == labels["alone"] == ["unlabelled"] * 4
    learned = Distill(tmp_path / "cells", out=tmp_path / "network")
    with pytest.raises(InputError, match="pieces without a label"):
        distill(learned)
    with pytest.raises(InputError, match=r"neither a samples\.csv nor class folders"):
        check_labelled(tmp_path / "set")
    check_predicted(tmp_path / "set", "relative", None)
