"""GlaS: benign and malignant glands of the colon."""

from histograft.catalogue.entry import Entry, LabelTable, TissueClass

GLAS = Entry(
    name="GlaS",
    title="165 pictures of benign and malignant glands of the colon, H&E, with masks",
    organ="colorectum",
    classes=(
        TissueClass("benign", "benign glands", 74),
        TissueClass("malignant", "malignant glands", 91),
    ),
    expected_total=165,
    size_px=None,
    mpp=0.62005,
    mpp_source="stated with the release",
    path_pattern=r"(?:.*/)?(?P<name>(?P<split>testA|testB|train)_\d+)\.(?:bmp|png|tiff?)",
    example_path="Warwick QU Dataset (Released 2016_07_08)/testA_1.bmp",
    split_words=(("testA", "val"), ("testB", "test")),
    mask_rule=(r"\.(\w+)$", r"_anno.\1"),
    table=LabelTable(
        file="Grade.csv", image="name", label="grade (GlaS)", group="patient ID"
    ),
    group_rule="patient in Grade.csv; there are 16, and the released splits divide them",
    license="research only, no commercial use",
    citation="Sirinukunwattana et al. 2017, Medical Image Analysis 35: 489-502, "
    "doi:10.1016/j.media.2016.08.008",
    how_to_get=(
        "Open https://warwick.ac.uk/fac/cross_fac/tia/data/glascontest/download, register and "
        "download the data.",
        "Unpack it; images, masks (_anno) and Grade.csv lie in one folder.",
        "Rename the folder to GlaS, or give --catalogue GlaS.",
        "Run: histograft standardize GlaS --out patches --preset histokt-glas",
    ),
    faults=(
        "As in HistoKT, test A is taken for validation and test B (20 pictures) for testing: one "
        "picture is five points of accuracy.",
        "Masks number the glands of a picture and are no classes.",
        "A page that describes the set says 0.465 µm/px; the release says 0.62005.",
    ),
    checked=(
        ("scale, classes, license, publication", "official page (glas.grand-challenge.org)"),
        ("60 pictures in test A, 20 in test B, images of each class; 16 sections, one a patient",
         "pages that describe the set"),
        ("names, columns of Grade.csv", "projects that read it"),
    ),
    unchecked=("that patients are on both sides of the released splits",),
)  # fmt: skip
