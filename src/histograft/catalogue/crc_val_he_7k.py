"""CRC-VAL-HE-7K: nine tissues of colon and rectum of 50 further patients."""

from histograft.catalogue.entry import Entry, TissueClass
from histograft.catalogue.nct_crc_he_100k import (
    CITATION,
    EVA,
    LICENSE,
    TISSUES,
    nine_class_pattern,
)

_COUNTS = (1338, 847, 339, 634, 1035, 592, 741, 421, 1233)

CRC_VAL_HE_7K = Entry(
    name="CRC-VAL-HE-7K",
    title="7,180 tiles of nine tissues of colon and rectum, H&E, of patients not in the 100K set",
    organ="colorectum",
    classes=tuple(
        TissueClass(label, meaning, images)
        for (label, meaning), images in zip(TISSUES, _COUNTS, strict=True)
    ),
    expected_total=7180,
    size_px=(224, 224),
    mpp=0.5,
    mpp_source="stated with the release",
    path_pattern=nine_class_pattern("CRC-VAL-HE-7K"),
    example_path="CRC-VAL-HE-7K/ADI/ADI-TCGA-ALPPQLSF.tif",
    group_rule="none: which of the 50 patients a tile is from is not released; the letters in "
    "file names such as TCGA-ALPPQLSF are random codes, not TCGA barcodes",
    license=LICENSE,
    citation=CITATION,
    how_to_get=(
        "Open https://zenodo.org/records/1214456 and download CRC-VAL-HE-7K.zip (about 800 MB).",
        "Unpack it; the folder CRC-VAL-HE-7K holds one folder for each class.",
        "Run: histograft standardize CRC-VAL-HE-7K --out patches",
    ),
    faults=(
        "Patients are not released: cross-validation inside this set has patients on both sides, "
        "and nothing can mend that. Use it as a test set of networks tuned on NCT-CRC-HE-100K.",
        "Classes are unequal, from DEB (339) to ADI (1,338).",
        "It shares the faults of color and JPEG of NCT-CRC-HE-100K.",
    ),
    checked=(
        ("µm/px, size, classes, total, 50 patients apart from the 100K set", EVA),
        ("images of STR", "per-class results of Li et al. 2022"),
        ("images per class", "log of a project that counted its copy; their sum is 7,180"),
        ("names of files", "100 images of the set"),
    ),
)
