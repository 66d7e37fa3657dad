"""CRC-7: the seven tissues of NCT-CRC-HE-100K-NONORM that HistoKT uses."""

from histograft.catalogue.entry import Entry, TissueClass
from histograft.catalogue.nct_crc_he_100k import CITATION, EVA, LICENSE, TISSUES

_DROPPED = ("BACK", "DEB")
_CLASSES = tuple((label, meaning) for label, meaning in TISSUES if label not in _DROPPED)
_FOLDER = r"(?:.*/)?"

CRC_7 = Entry(
    name="CRC-7",
    title="tiles of seven tissues of colon and rectum, H&E, colors as scanned: HistoKT's set CRC",
    organ="colorectum",
    classes=tuple(TissueClass(label, meaning) for label, meaning in _CLASSES),
    expected_total=None,
    size_px=(224, 224),
    mpp=0.5,
    mpp_source="stated with the release",
    path_pattern=(
        rf"{_FOLDER}(?P<label>{'|'.join(label for label, _ in _CLASSES)})/(?P=label)-[^/]+"
        r"\.(?:tiff?|png|jpe?g)"
    ),
    example_path="NCT-CRC-HE-100K-NONORM/ADI/ADI-AAAFLCLY.tif",
    left_out=rf"{_FOLDER}(?:{'|'.join(_DROPPED)})/[^/]+",
    group_rule="none: the slides are not released for the tiles, so patients cannot be kept apart",
    license=LICENSE,
    citation=CITATION,
    how_to_get=(
        "Open https://zenodo.org/records/1214456 and download NCT-CRC-HE-100K-NONORM.zip "
        "(about 12 GB).",
        "Unpack it; to keep the name of the folder give --catalogue CRC-7.",
        "Run: histograft standardize NCT-CRC-HE-100K-NONORM --catalogue CRC-7 --out patches "
        "--preset histokt-crc",
    ),
    faults=(
        "HistoKT's 250 test images of each class are from the pool of its training images, so "
        "patients are on both sides. Test on CRC-VAL-HE-7K instead.",
        "BACK and DEB are left out, so accuracy cannot be compared with that of nine classes.",
        "Table 1 of HistoKT says 107,000 images, which is the sum of two releases.",
    ),
    checked=(
        ("scale, size, classes, layout, missing patients", EVA),
        ("classes, 2,000 training, 250 validation and 250 test images of each",
         "HistoKT's code and Table 1 of Zhang et al. 2022"),
    ),
)  # fmt: skip
