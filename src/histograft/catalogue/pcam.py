"""PCam: metastases in lymph nodes, kept in HDF5 files."""

from histograft.catalogue.entry import ArrayFiles, Entry, TissueClass

_FILES = "camelyonpatch_level_2_split_{}_{}"

PCAM = Entry(
    name="PCam",
    title="327,680 tiles with and without metastasis of breast cancer in lymph nodes, H&E",
    organ="lymph node",
    classes=(
        TissueClass("normal", "no tumor in the middle 32 x 32 px"),
        TissueClass("tumor", "tumor in the middle 32 x 32 px"),
    ),
    expected_total=327_680,
    size_px=(96, 96),
    mpp=0.972,
    mpp_source="0.243 at 40x, reduced four times, as stated with the release",
    path_pattern=r"images/(?P<split>train|val|test)/(?P<label>normal|tumor)/[^/]+\.png",
    example_path="images/train/tumor/train-0000000.png",
    arrays=tuple(
        ArrayFiles(
            split=split,
            images=_FILES.format(word, "x.h5"),
            labels=_FILES.format(word, "y.h5"),
            facts=_FILES.format(word, "meta.csv"),
            group="wsi",
        )
        for split, word in (("train", "train"), ("val", "valid"), ("test", "test"))
    ),
    group_rule="slide of Camelyon16 (column wsi of the meta files), which the import writes into "
    "its samples.csv",
    license="CC0",
    citation="Veeling et al. 2018, Medical Image Computing and Computer Assisted Intervention "
    "2018: 210-218, doi:10.1007/978-3-030-00934-2_24",
    how_to_get=(
        "Open https://github.com/basveeling/pcam and download the files of images, labels and "
        "meta of all three splits (about 8 GB).",
        "Unpack them (gzip -d *.gz) in one folder, here called pcam.",
        "Run: histograft catalogue import PCam pcam --out PCam --per-class train=1000 val=200 "
        "(without --per-class for all images)",
        "Run: histograft standardize PCam --out patches --preset histokt-pcam",
    ),
    faults=(
        "Only the middle 32 x 32 px decide on the class: crops and shifts change labels.",
        "HistoKT calls its diagnosis lymphoma; it is metastasis of breast cancer.",
        "Some images are there several times.",
    ),
    checked=(
        ("scale, splits, labels, files, license", "README of basveeling/pcam"),
        ("column wsi of the meta files", "projects that read them"),
        ("DOI of the publication", "catalog of TensorFlow Datasets"),
        ("copies", "page of Kaggle's competition, whose version of the set has none"),
    ),
)  # fmt: skip
