"""Make tiny fake copies of the public sets, with the folders, names and formats of the releases.

Run it to look at them: ``python tests/catalogue/fakes.py DIR``. Pixels are noise. The names come
from what is known of the releases, not from the entries' patterns, which they test.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE_PX = 20
NINE = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")


@dataclass(frozen=True)
class FakeImage:
    """One image of a fake copy, and what a reader must find out about it."""

    file: str
    label: str
    group: str | None = None
    mpp: float | None = None
    extra: tuple[tuple[str, str], ...] = ()
    split: str | None = None
    mask: str | None = None


def _nct(rng: np.random.Generator, infix: str) -> list[FakeImage]:
    def name() -> str:
        return "".join(rng.choice(list("ABCDEFGHIKLMNPQRSTVWY"), 8))

    return [
        FakeImage(f"{label}/{label}-{infix}{name()}.tif", label) for label in NINE for _ in range(2)
    ]


def nct_crc_he_100k(rng: np.random.Generator) -> list[FakeImage]:
    """Class folders with random names."""
    return _nct(rng, "")


def crc_val_he_7k(rng: np.random.Generator) -> list[FakeImage]:
    """Class folders with random names that look like TCGA barcodes."""
    return _nct(rng, "TCGA-")


def lc25000(rng: np.random.Generator) -> list[FakeImage]:
    """Two organs with two and three classes, numbered."""
    stems = {
        "colon": {"colon_aca": "colonca", "colon_n": "colonn"},
        "lung": {"lung_aca": "lungaca", "lung_n": "lungn", "lung_scc": "lungscc"},
    }
    return [
        FakeImage(
            f"lung_colon_image_set/{organ}_image_sets/{label}/{stem}{number}.jpeg",
            label,
        )
        for organ, classes in stems.items()
        for label, stem in classes.items()
        for number in (1, 37, 4999)
    ]


def breakhis(rng: np.random.Generator) -> list[FakeImage]:
    """Tumor, subtype, patient and magnification as folders; all of it in the file name too."""
    folders = {
        "A": ("benign", "adenosis", ("14-22549AB", "14-22549G")),
        "F": ("benign", "fibroadenoma", ("14-14134", "14-14134E")),
        "PT": ("benign", "phyllodes_tumor", ("14-22704",)),
        "TA": ("benign", "tubular_adenoma", ("14-3411F",)),
        "DC": ("malignant", "ductal_carcinoma", ("14-13412", "14-2523")),
        "LC": ("malignant", "lobular_carcinoma", ("14-13412", "14-15570C")),
        "MC": ("malignant", "mucinous_carcinoma", ("14-13418DE",)),
        "PC": ("malignant", "papillary_carcinoma", ("15-190EF",)),
    }
    scales = {"40": 0.49, "100": 0.20, "200": 0.10, "400": 0.05}
    images = []
    for label, (tumor, folder, slides) in folders.items():
        for slide in slides:
            for magnification, mpp in scales.items():
                stem = f"SOB_{tumor[0].upper()}_{label}"
                number = int(rng.integers(1, 60))
                path = (
                    f"BreaKHis_v1/histology_slides/breast/{tumor}/SOB/{folder}/{stem}_{slide}/"
                    f"{magnification}X/{stem}-{slide}-{magnification}-{number:03d}.png"
                )
                group = slide.rstrip("ABCDEFG")
                extra = (("magnification", magnification), ("superclass", tumor))
                images.append(FakeImage(path, label, group, mpp, extra))
    return images


def kather_2016(rng: np.random.Generator) -> list[FakeImage]:
    """Numbered class folders; the tumor's number in the file name."""
    labels = ("TUMOR", "STROMA", "COMPLEX", "LYMPHO", "DEBRIS", "MUCOSA", "ADIPOSE", "EMPTY")
    images = []
    for index, label in enumerate(labels, 1):
        for field in ("_009", "c", ""):
            tumor = f"CRC-Prim-HE-{rng.integers(1, 11):02d}"
            code = f"{rng.integers(0x1000, 0x20000):X}"
            name = f"{code}_{tumor}{field}.tif_Row_301_Col_151.tif"
            path = f"Kather_texture_2016_image_tiles_5000/{index:02d}_{label}/{name}"
            images.append(FakeImage(path, label, tumor))
    return images


# fmt: off
ADP_COLUMNS = (
    "E", "E.M", "E.M.S", "E.M.C", "E.T", "E.T.S", "E.T.C", "C", "C.D", "C.D.I", "C.D.R", "C.L", "H",
    "H.E", "H.K", "H.Y", "S", "S.M", "S.C", "S.R", "A", "A.W", "A.M", "M", "N", "N.P", "N.R", "N.G",
    "N.G.M", "G", "G.O", "G.N", "T",
)
# fmt: on


def adp(rng: np.random.Generator) -> list[FakeImage]:
    """Patches of numbered slides; labels in columns of a table, splits in arrays."""
    images = []
    for number in range(12):
        chosen = sorted(rng.choice(len(ADP_COLUMNS), int(rng.integers(1, 6)), replace=False))
        slide = f"{1 + number // 4:03d}"
        images.append(
            FakeImage(
                f"img_res_1um_bicubic/{slide}.png_crop_{number}.png",
                "|".join(ADP_COLUMNS[i] for i in chosen),
                slide,
                split=("train", "train", "val", "test")[number % 4],
            )
        )
    return images


def adp_table(folder: Path, images: list[FakeImage]) -> None:
    """Write the flat table, which has a column more than the 33, and the arrays."""
    rows = [
        {"Patch Names": Path(image.file).name, "B": 1}
        | {column: int(column in image.label.split("|")) for column in ADP_COLUMNS}
        for image in images
    ]
    _write_csv(folder / "ADP_EncodedLabels_Release1_Flat.csv", rows)
    (folder / "splits").mkdir()
    for name, split in (("train", "train"), ("valid", "val"), ("test", "test")):
        positions = [i for i, image in enumerate(images) if image.split == split]
        np.save(folder / "splits" / f"{name}.npy", np.array(positions))


def mhist(rng: np.random.Generator) -> list[FakeImage]:
    """Images in one folder; labels and partition in a table."""
    names = ("aaa", "aab", "aac", "bza")
    return [
        FakeImage(
            f"images/MHIST_{name}.png",
            str(rng.choice(["HP", "SSA"])),
            split=("train", "test")[i % 2],
        )
        for i, name in enumerate(names)
    ]


def mhist_table(folder: Path, images: list[FakeImage]) -> None:
    """Write annotations.csv."""
    votes = "Number of Annotators who Selected SSA (Out of 7)"
    rows = [
        {
            "Image Name": Path(image.file).name,
            "Majority Vote Label": image.label,
            votes: 2 if image.label == "HP" else 6,
            "Partition": image.split,
        }
        for image in images
    ]
    _write_csv(folder / "annotations.csv", rows)


def bach(rng: np.random.Generator) -> list[FakeImage]:
    """Photos in class folders."""
    stems = {"Benign": "b", "InSitu": "is", "Invasive": "iv", "Normal": "n"}
    return [
        FakeImage(f"ICIAR2018_BACH_Challenge/Photos/{label}/{stem}{number:03d}.tif", label)
        for label, stem in stems.items()
        for number in (1, int(rng.integers(2, 101)))
    ]


def aj_lymph(rng: np.random.Generator) -> list[FakeImage]:
    """Class folders; number of the case in the file name, for some with a block."""
    cases = {"CLL": "sj-03-476", "FL": "sj-05-894-R3", "MCL": "sj-04-6010-R3"}
    return [
        FakeImage(f"{label}/{case}_{number:03d}.tif", label, case.removesuffix("-R3"))
        for label, case in cases.items()
        for number in (1, int(rng.integers(2, 30)))
    ]


def pcam(rng: np.random.Generator) -> list[FakeImage]:
    """The folder that the import makes of the HDF5 files, without its table."""
    return [
        FakeImage(f"images/{split}/{label}/{split}-{rng.integers(9):07d}.png", label, split=split)
        for split in ("train", "val", "test")
        for label in ("normal", "tumor")
    ]


def crc_7(rng: np.random.Generator) -> list[FakeImage]:
    """Seven of the nine class folders."""
    return [image for image in _nct(rng, "") if image.label not in ("BACK", "DEB")]


def crc_7_others(folder: Path, images: list[FakeImage]) -> None:
    """Write the two folders that HistoKT leaves out."""
    first = folder / images[0].file
    for label in ("BACK", "DEB"):
        other = folder / label / f"{label}-AAAACDEF.tif"
        other.parent.mkdir()
        other.write_bytes(first.read_bytes())


def glas(rng: np.random.Generator) -> list[FakeImage]:
    """Pictures and masks in one folder."""
    sets = {"testA": "val", "testB": "test", "train": "train"}
    folder = "Warwick QU Dataset (Released 2016_07_08)"
    return [
        FakeImage(
            f"{folder}/{word}_{number}.bmp",
            str(rng.choice(["benign", "malignant"])),
            str(rng.integers(1, 17)),
            split=split,
            mask=f"{folder}/{word}_{number}_anno.bmp",
        )
        for word, split in sets.items()
        for number in (1, 10)
    ]


def glas_table(folder: Path, images: list[FakeImage]) -> None:
    """Write Grade.csv, with a blank before each but the first name and cell."""
    rows = [
        {
            "name": Path(image.file).stem,
            " patient ID": f" {image.group}",
            " grade (GlaS)": f" {image.label}",
            " grade (Sirinukunwattana et al. 2015)": " healthy",
        }
        for image in images
    ]
    _write_csv(folder / Path(images[0].file).parent / "Grade.csv", rows)


def osteosarcoma(rng: np.random.Generator) -> list[FakeImage]:
    """Tiles in numbered folders; names with hyphens."""
    names = {
        "Training-Set-1/set1/Case-3-A15-2939-11262.jpg": ("Non-Tumor", "Case-3"),
        "Training-Set-1/set2/Case-4-B2-100-200.jpg": ("Viable", "Case-4"),
        "Training-Set-2/set10/Case-48-P5-C7-10-20.jpg": ("Viable", "Case-48"),
        "Training-Set-2/set10/P9-A1-1-2.jpg": ("Non-Viable-Tumor", "P9"),
    }
    return [FakeImage(file, label, group) for file, (label, group) in names.items()]


def osteosarcoma_table(folder: Path, images: list[FakeImage]) -> None:
    """Write the table of features: names with blanks, and a fourth class."""
    rows = []
    for image in images:
        case, *rest = Path(image.file).stem.replace("Case-", "Case ").split("-")
        mixed = case == "Case 48"
        label = "viable: non-viable" if mixed else image.label
        rows.append({"image.name": " - ".join([case, *rest]), "classification": label})
    _write_csv(folder / "ML_Features_1144.csv", rows)


def bcss(rng: np.random.Generator) -> list[FakeImage]:
    """Regions, and masks of the same names in another folder."""
    names = {
        "TCGA-A1-A0SK-DX1_xmin45749_ymin25055_MPP-0.2500.png": "TCGA-A1-A0SK",
        "TCGA-OL-A5D6-DX1_xmin1_ymin25_MPP-0.2500.png": "TCGA-OL-A5D6",
    }
    top = "0_Public-data-Amgad2019_0.25MPP"
    return [
        FakeImage(
            f"{top}/rgbs_colorNormalized/{name}",
            "in its mask",
            group,
            mask=f"{top}/masks/{name}",
        )
        for name, group in names.items()
    ]


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


BESIDE: dict[str, Callable[[Path, list[FakeImage]], None]] = {
    "ADP": adp_table,
    "MHIST": mhist_table,
    "CRC-7": crc_7_others,
    "GlaS": glas_table,
    "Osteosarcoma": osteosarcoma_table,
}
FAKES: dict[str, Callable[[np.random.Generator], list[FakeImage]]] = {
    "NCT-CRC-HE-100K": nct_crc_he_100k,
    "NCT-CRC-HE-100K-NONORM": nct_crc_he_100k,
    "CRC-VAL-HE-7K": crc_val_he_7k,
    "LC25000": lc25000,
    "BreakHis": breakhis,
    "Kather-2016": kather_2016,
    "ADP": adp,
    "MHIST": mhist,
    "BACH": bach,
    "AJ-Lymph": aj_lymph,
    "PCam": pcam,
    "CRC-7": crc_7,
    "GlaS": glas,
    "Osteosarcoma": osteosarcoma,
    "BCSS": bcss,
}


def make_fake(name: str, parent: Path, seed: int = 0) -> tuple[Path, list[FakeImage]]:
    """Make the folder of one set below `parent`; return it and what it holds."""
    rng = np.random.default_rng(seed)
    images = FAKES[name](rng)
    for image in images:
        path = parent / name / image.file
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
        compression = "packbits" if path.suffix == ".tif" else None
        options = {} if compression is None else {"compression": compression}
        Image.fromarray(pixels).save(path, **options)
        if image.mask is not None:
            mask = parent / name / image.mask
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 4, (SIDE_PX, SIDE_PX), np.uint8)).save(mask)
    if name in BESIDE:
        BESIDE[name](parent / name, images)
    return parent / name, images


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    for each in FAKES:
        make_fake(each, folder)
