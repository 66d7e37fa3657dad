"""MHIST: hyperplastic polyps and sessile serrated adenomas."""

from histograft.catalogue.entry import Entry, LabelTable, TissueClass

MHIST = Entry(
    name="MHIST",
    title="3,152 tiles of two kinds of colorectal polyps, H&E, labelled by seven pathologists",
    organ="colorectum",
    classes=(
        TissueClass("HP", "hyperplastic polyp", 2162),
        TissueClass("SSA", "sessile serrated adenoma", 990),
    ),
    expected_total=3152,
    size_px=(224, 224),
    mpp=1.25,
    mpp_source="Table 1 of HistoKT (40x reduced to 8x); kaiko-eva states 2.0, see the faults",
    path_pattern=r"(?:.*/)?(?P<name>MHIST_[a-z]+)\.png",
    example_path="images/MHIST_aaa.png",
    table=LabelTable(
        file="annotations.csv", image="Image Name", label="Majority Vote Label", split="Partition"
    ),
    group_rule="none: patients and slides are not released",
    license="research use agreement, on request",
    citation="Wei et al. 2021, doi:10.48550/arXiv.2101.12355",
    how_to_get=(
        "Open https://bmirds.github.io/MHIST and fill in the form; links come by mail.",
        "Unpack images.zip beside annotations.csv.",
        "Rename the folder to MHIST, or give --catalogue MHIST.",
        "Run: histograft standardize MHIST --out patches --preset histokt-mhist",
    ),
    faults=(
        "Two scales are in use: 1.25 µm/px (HistoKT) and 2.0 µm/px (kaiko-eva, 5x). Give --mpp to "
        "use another.",
        "In 16.7 % of the images four pathologists were against three.",
        "Patients are not released: no split can keep them apart.",
    ),
    checked=(
        ("classes, size, files, 2,175 training and 977 test images, the other scale",
         "data set page of kaiko-eva (datasets/mhist)"),
        ("columns, images of each class", "projects that read annotations.csv"),
        ("scale", "Table 1 of Zhang et al. 2022"),
        ("votes", "pages that describe the paper"),
    ),
)  # fmt: skip
