"""Make tiny fake copies of the public sets, with the folders, names and formats of the releases.

Run it to look at them: ``python tests/catalogue/fakes.py DIR``. Pixels are noise. The names come
from what is known of the releases, not from the entries' patterns, which they test.
"""

from __future__ import annotations

import argparse
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


FAKES: dict[str, Callable[[np.random.Generator], list[FakeImage]]] = {
    "NCT-CRC-HE-100K": nct_crc_he_100k,
    "NCT-CRC-HE-100K-NONORM": nct_crc_he_100k,
    "CRC-VAL-HE-7K": crc_val_he_7k,
    "LC25000": lc25000,
    "BreakHis": breakhis,
    "Kather-2016": kather_2016,
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
    return parent / name, images


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    for each in FAKES:
        make_fake(each, folder)
