"""NCT-CRC-HE-100K: nine tissues of colon and rectum, colors normalized."""

from histograft.catalogue.entry import Entry, TissueClass

EVA = "data set page of kaiko-eva (kaiko-ai.github.io/eva, datasets/crc)"
IGNATOV = "Ignatov and Malivenko 2024, doi:10.48550/arXiv.2409.11546"
LICENSE = "CC BY 4.0"
CITATION = (
    "Kather et al. 2019, PLoS Medicine 16(1): e1002730, doi:10.1371/journal.pmed.1002730; data: "
    "Kather, Halama and Marx 2018, doi:10.5281/zenodo.1214456"
)
TISSUES = (
    ("ADI", "adipose tissue"),
    ("BACK", "background"),
    ("DEB", "debris"),
    ("LYM", "lymphocytes"),
    ("MUC", "mucus"),
    ("MUS", "smooth muscle"),
    ("NORM", "normal colon mucosa"),
    ("STR", "cancer-associated stroma"),
    ("TUM", "adenocarcinoma epithelium"),
)
_COUNTS = (10407, 10566, 11512, 11557, 8896, 13536, 8763, 10446, 14317)


def nine_class_pattern(folder: str) -> str:
    """Paths ``[folder/]CLASS/CLASS-NAME.tif``; copies as PNG or JPEG keep these names."""
    labels = "|".join(label for label, _ in TISSUES)
    return rf"(?:{folder}/)?(?P<label>{labels})/(?P=label)-[^/]+\.(?:tiff?|png|jpe?g)"


NCT_CRC_HE_100K = Entry(
    name="NCT-CRC-HE-100K",
    title="100,000 tiles of nine tissues of colon and rectum, H&E, Macenko-normalized colors",
    organ="colorectum",
    classes=tuple(
        TissueClass(label, meaning, images)
        for (label, meaning), images in zip(TISSUES, _COUNTS, strict=True)
    ),
    expected_total=100_000,
    size_px=(224, 224),
    mpp=0.5,
    mpp_source="stated with the release",
    path_pattern=nine_class_pattern("NCT-CRC-HE-100K"),
    example_path="NCT-CRC-HE-100K/ADI/ADI-AAAFLCLY.tif",
    group_rule="none: the 86 slides are not released for the tiles, so patients cannot be kept "
    "apart; the letters in file names are random",
    license=LICENSE,
    citation=CITATION,
    how_to_get=(
        "Open https://zenodo.org/records/1214456 and download NCT-CRC-HE-100K.zip (about 12 GB).",
        "Unpack it; the folder NCT-CRC-HE-100K holds one folder for each class.",
        "Run: histograft standardize NCT-CRC-HE-100K --out patches",
    ),
    faults=(
        "Patients are not known: any split inside this set may have a patient on both sides. "
        "Test on CRC-VAL-HE-7K instead.",
        "JPEG artifacts differ between the classes, and the color normalization damaged some "
        f"tiles ({IGNATOV}).",
        "Color alone tells much: three mean RGB values reach over 50 % and color histograms over "
        f"82 % of the nine classes ({IGNATOV}); read any accuracy beside the shortcut baselines.",
    ),
    checked=(
        ("µm/px, size, classes, layout, example path, missing patients", EVA),
        ("license", "the same page, and the mirrors DykeF/NCTCRCHE100K and 1aurent/NCT-CRC-HE "
         "(a third mirror, owkin/nct-crc-he, says CC BY-SA)"),
        ("faults of color and JPEG", "abstract of the paper"),
        ("images per class", "figures of a project that uses the set; their sum is 100,000"),
        ("86 slides, DOI of the publication", "lists of data sets and citations in many projects"),
    ),
)  # fmt: skip
