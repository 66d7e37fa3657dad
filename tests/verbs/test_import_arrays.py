"""Import of HDF5 releases: what is written is what was in the arrays, and not more than asked."""

import csv

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histograft.catalogue.registry import find_entry
from histograft.core.errors import InputError
from histograft.verbs import import_arrays as module
from histograft.verbs.import_arrays import import_arrays
from histograft.verbs.sources import read_source

PCAM = find_entry("PCam")
SIZES = {"train": 12, "valid": 6, "test": 8}


def write_release(folder):
    """Write the six HDF5 files and three tables of PCam, some images of each; return the pixels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = {}
    for split, size in SIZES.items():
        pixels[split] = rng.integers(0, 256, (size, 96, 96, 3), dtype=np.uint8)
        stem = f"camelyonpatch_level_2_split_{split}"
        with h5py.File(folder / f"{stem}_x.h5", "w") as file:
            file.create_dataset("x", data=pixels[split], chunks=(1, 96, 96, 3), compression="gzip")
        with h5py.File(folder / f"{stem}_y.h5", "w") as file:
            labels = (np.arange(size) % 2).astype(np.uint8).reshape(-1, 1, 1, 1)
            file.create_dataset("y", data=labels)
        with (folder / f"{stem}_meta.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["", "coord_y", "coord_x", "tumor_patch", "center_tumor_patch", "wsi"])
            for i in range(size):
                tumor = i % 2 == 1
                writer.writerow([i, 10 * i, 7, tumor, tumor, f"camelyon16_{split}_{i // 4:03d}"])
    return pixels


@pytest.fixture
def release(tmp_path):
    """Folder of the release, and its pixels."""
    return tmp_path / "pcam", write_release(tmp_path / "pcam")


def test_images_labels_slides_and_splits_are_those_of_the_arrays(
    release, tmp_path, tools, monkeypatch
):
    folder, pixels = release
    monkeypatch.setattr(module, "BLOCK", 5)
    outcome = tools.ok("catalogue", "import", "PCam", folder, "--out", tmp_path / "PCam")
    assert outcome.out.strip().replace("\n", "").endswith("samples.csv")
    table = pd.read_csv(tmp_path / "PCam" / "samples.csv")
    assert len(table) == sum(SIZES.values())
    words = {"train": "train", "val": "valid", "test": "test"}
    for row in table.to_dict("records"):
        position = int(row["file"][-11:-4])
        word = words[row["split"]]
        with Image.open(tmp_path / "PCam" / row["file"]) as image:
            np.testing.assert_array_equal(np.asarray(image), pixels[word][position])
        assert row["label"] == ("tumor" if position % 2 else "normal")
        assert row["group"] == f"camelyon16_{word}_{position // 4:03d}"
        assert row["mpp"] == 0.972
    source = read_source(tmp_path / "PCam")
    assert source.entry is PCAM
    assert len(source.table) == len(table)


def test_only_so_many_of_a_class_are_written_and_the_seed_draws_them(release, tmp_path):
    folder, _ = release
    limits = {"train": 2, "val": 1}
    files = []
    for out, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 2)):
        samples = import_arrays(PCAM, folder, tmp_path / out, per_class=limits, seed=seed)
        table = pd.read_csv(samples)
        counts = table.groupby(["split", "label"]).size().to_dict()
        assert counts == {
            ("train", "normal"): 2, ("train", "tumor"): 2, ("val", "normal"): 1,
            ("val", "tumor"): 1, ("test", "normal"): 4, ("test", "tumor"): 4,
        }  # fmt: skip
        assert len(list((tmp_path / out).rglob("*.png"))) == len(table)
        files.append(table["file"].tolist())
    assert files[0] == files[1]
    assert len({tuple(f) for f in files}) > 1


def test_an_interrupted_import_goes_on_and_another_is_refused(release, tmp_path):
    folder, _ = release
    samples = import_arrays(PCAM, folder, tmp_path / "out")
    whole = samples.read_bytes()
    samples.unlink()
    (lost, *_) = sorted((tmp_path / "out").rglob("*.png"))
    lost.unlink()
    assert import_arrays(PCAM, folder, tmp_path / "out").read_bytes() == whole
    assert lost.is_file()
    with pytest.raises(InputError, match="another import"):
        import_arrays(PCAM, folder, tmp_path / "out", seed=1)
    with pytest.raises(InputError, match="not empty"):
        import_arrays(PCAM, folder, folder)


def test_an_import_without_its_files_claims_no_folder(release, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        import_arrays(PCAM, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    import_arrays(PCAM, release[0], tmp_path / "out", per_class={"train": 1})


def test_standardize_says_that_the_arrays_need_an_import(release, tmp_path):
    folder, _ = release
    with pytest.raises(InputError, match="HDF5") as caught:
        read_source(folder, catalogue="PCam")
    assert "histograft catalogue import PCam" in caught.value.fix


def test_files_that_are_absent_packed_damaged_or_of_another_set_are_named(release, tmp_path):
    folder, _ = release
    stem = "camelyonpatch_level_2_split_valid"

    def fault(match):
        with pytest.raises(InputError, match=match) as caught:
            import_arrays(PCAM, folder, tmp_path / "out")
        return caught.value

    images, labels = folder / f"{stem}_x.h5", folder / f"{stem}_y.h5"
    whole = images.read_bytes()
    images.rename(folder / f"{stem}_x.h5.gz")
    assert "gzip -d" in fault("valid_x.h5 does not exist").fix
    images.write_bytes(whole[:100])
    fault("no HDF5 file")
    with h5py.File(images, "w") as file:
        file["x"] = np.zeros((5, 96, 96, 3), np.uint8)
    fault("5 images, .* 6 labels")
    with h5py.File(labels, "w") as file:
        file["y"] = np.array([0, 1, 2, 0, 0])
    fault("class numbers up to 2")
    with h5py.File(labels, "w") as file:
        file["z"] = np.array([0, 1])
    fault("no data set 'y'")
    (folder / "camelyonpatch_level_2_split_train_meta.csv").unlink()
    with h5py.File(labels, "w") as file:
        file["y"] = np.zeros(5, np.uint8)
    fault("train_meta.csv, which says what slide")
    images.unlink()
    labels.unlink()
    assert "histograft catalogue PCam" in fault("valid_y.h5 does not exist").fix
    with pytest.raises(InputError, match="nothing to import"):
        import_arrays(find_entry("BACH"), folder, tmp_path / "bach")
