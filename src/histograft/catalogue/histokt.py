"""The nine data sets of HistoKT as its paper and code use them: Table 1, splits, color statistics.

Zhang et al. 2022, doi:10.48550/arXiv.2201.11246. Numbers of patches are the paper's; rules of
splitting and color statistics are those of the authors' code, as the paper does not state them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histograft.catalogue.entry import wrapped

Color = tuple[float, float, float]


@dataclass(frozen=True)
class PaperSet:
    """One column of HistoKT's tables.

    Attributes
    ----------
    entry : str
        Name of the catalogue's entry.
    n_classes, n_images : int
        Of Table 1.
    patches : tuple of int
        Training, validation and test patches of Table 1.
    mean, std : tuple of float
        Of red, green and blue, 0-1, as the authors' code has them: the mean over all pixels, and
        the standard deviation about it. They are a record of the paper; training computes its own.
    split_rule : str
        How the images or patches were divided.
    options : dict
        Values of `histograft.Standardize` that this set needs beside those of the preset
        ``histokt``.
    """

    entry: str
    n_classes: int
    n_images: int
    patches: tuple[int, int, int]
    mean: Color
    std: Color
    split_rule: str
    options: Mapping[str, Any] = field(default_factory=dict)


_PATCHES_80_10_10 = {"split_by": "patches", "val_fraction": 0.1, "test_fraction": 0.1}

HISTOKT: Mapping[str, PaperSet] = {
    "adp": PaperSet(
        "ADP", 33, 17_668, (14_134, 1_767, 1_767),
        (0.8123, 0.6403, 0.8190), (0.1813, 0.2573, 0.1680),
        "the arrays splits/train.npy, valid.npy and test.npy of the release",
    ),
    "mhist": PaperSet(
        "MHIST", 2, 3_152, (1_740, 435, 977),
        (0.7361, 0.6469, 0.7735), (0.1812, 0.2303, 0.1530),
        "the released training and test images, a fifth of the former for validation",
        {"val_of_train": 0.2},
    ),
    "bach": PaperSet(
        "BACH", 4, 400, (958, 240, 1_199),
        (0.6880, 0.5881, 0.8209), (0.1632, 0.1841, 0.1175),
        "40/10/50 of the patches",
        {"split_by": "patches", "val_fraction": 0.1, "test_fraction": 0.5},
    ),
    "aj": PaperSet(
        "AJ-Lymph", 3, 374, (299, 37, 38),
        (0.4598, 0.3748, 0.4612), (0.1406, 0.1464, 0.1176),
        "80/10/10 of the patches, one to an image",
        _PATCHES_80_10_10,
    ),
    "pcam": PaperSet(
        "PCam", 2, 294_912, (2_000, 400, 32_322),
        (0.6970, 0.5330, 0.6878), (0.2168, 0.2603, 0.1933),
        "the released splits; of each class 1,000 images train and 200 validate",
        {"per_class": ("train=1000", "val=200")},
    ),
    "crc": PaperSet(
        "CRC-7", 7, 107_000, (14_000, 1_750, 1_750),
        (0.6976, 0.5340, 0.6687), (0.2272, 0.2697, 0.2247),
        "of the 100K images 2,000 of each class train, 250 validate and 250 test",
        {
            "val_fraction": 0.1,
            "test_fraction": 0.1,
            "per_class": ("train=2000", "val=250", "test=250"),
        },
    ),
    "glas": PaperSet(
        "GlaS", 2, 165, (163, 112, 40),
        (0.7790, 0.5002, 0.7765), (0.1638, 0.2418, 0.1281),
        "the released training images; test A validates and test B tests",
    ),
    "os": PaperSet(
        "Osteosarcoma", 3, 1_144, (13_227, 1_653, 1_654),
        (0.8414, 0.6492, 0.7377), (0.1379, 0.2508, 0.1979),
        "80/10/10 of the patches",
        _PATCHES_80_10_10,
    ),
    "bcss": PaperSet(
        "BCSS", 10, 151, (14_288, 1_786, 1_787),
        (0.7107, 0.4878, 0.6726), (0.1788, 0.2152, 0.1615),
        "80/10/10 of the patches",
        {"overlap": 0.75, "min_labelled": 0.2} | _PATCHES_80_10_10,
    ),
}  # fmt: skip
"""By the short names that presets of `histograft standardize` bear: ``histokt-adp`` and so on."""


def describe_use(entry_name: str) -> str:
    """Say how HistoKT uses a data set; empty for one that it does not use.

    Examples
    --------
    >>> print(describe_use("AJ-Lymph"))
    In HistoKT (Zhang et al. 2022, Table 1; preset histokt-aj)
      patches  299 training, 37 validation, 38 test
      split    80/10/10 of the patches, one to an image
      mean     0.4598, 0.3748, 0.4612
      std      0.1406, 0.1464, 0.1176
    """
    found = [(name, of) for name, of in HISTOKT.items() if of.entry == entry_name]
    if not found:
        return ""
    name, of = found[0]
    train, val, test = of.patches
    return "\n".join(
        (
            f"In HistoKT (Zhang et al. 2022, Table 1; preset histokt-{name})",
            f"  patches  {train:,} training, {val:,} validation, {test:,} test",
            wrapped(of.split_rule, "  split    "),
            f"  mean     {', '.join(f'{v:.4f}' for v in of.mean)}",
            f"  std      {', '.join(f'{v:.4f}' for v in of.std)}",
        )
    )
