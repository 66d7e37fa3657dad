"""NCT-CRC-HE-100K-NONORM: the 100,000 tiles with the colors of the scanner."""

from histograft.catalogue.entry import Entry, TissueClass
from histograft.catalogue.nct_crc_he_100k import (
    CITATION,
    EVA,
    LICENSE,
    TISSUES,
    nine_class_pattern,
)

NCT_CRC_HE_100K_NONORM = Entry(
    name="NCT-CRC-HE-100K-NONORM",
    title="100,000 tiles of nine tissues of colon and rectum, H&E, colors as scanned",
    organ="colorectum",
    classes=tuple(TissueClass(label, meaning) for label, meaning in TISSUES),
    expected_total=100_000,
    size_px=(224, 224),
    mpp=0.5,
    mpp_source="stated with the release",
    path_pattern=nine_class_pattern("NCT-CRC-HE-100K-NONORM"),
    example_path="NCT-CRC-HE-100K-NONORM/ADI/ADI-AAAFLCLY.tif",
    group_rule="none: the slides are not released for the tiles, so patients cannot be kept apart",
    license=LICENSE,
    citation=CITATION,
    how_to_get=(
        "Open https://zenodo.org/records/1214456 and download NCT-CRC-HE-100K-NONORM.zip "
        "(about 12 GB).",
        "Unpack it; the folder NCT-CRC-HE-100K-NONORM holds one folder for each class.",
        "Run: histograft standardize NCT-CRC-HE-100K-NONORM --out patches",
    ),
    faults=(
        "Patients are not known: any split inside this set may have a patient on both sides.",
        "HistoKT's set CRC is a subsample of seven classes of this one (without BACK and DEB), "
        "and its test images are from the same pool as its training images.",
    ),
    checked=(
        ("µm/px, size, classes, total, layout, example path, missing patients", EVA),
        ("use in HistoKT", "Zhang et al. 2022 and the authors' code"),
    ),
    unchecked=("whether it has as many images of each class as NCT-CRC-HE-100K",),
)
