"""BreakHis: benign and malignant tumors of the breast at four magnifications."""

from histograft.catalogue.entry import Entry, TissueClass

_LABELS = "A|F|PT|TA|DC|LC|MC|PC"

BREAKHIS = Entry(
    name="BreakHis",
    title="7,909 pictures of benign and malignant breast tumors, H&E, at four magnifications",
    organ="breast",
    classes=(
        TissueClass("A", "adenosis", 444, "benign"),
        TissueClass("F", "fibroadenoma", 1014, "benign"),
        TissueClass("PT", "phyllodes tumor", 453, "benign"),
        TissueClass("TA", "tubular adenoma", 569, "benign"),
        TissueClass("DC", "ductal carcinoma", 3451, "malignant"),
        TissueClass("LC", "lobular carcinoma", 626, "malignant"),
        TissueClass("MC", "mucinous carcinoma", 792, "malignant"),
        TissueClass("PC", "papillary carcinoma", 560, "malignant"),
    ),
    expected_total=7909,
    size_px=(700, 460),
    mpp=None,
    mpp_source="of the publication, from a camera pixel of 6.5 µm and objectives of 4, 10, 20 and "
    "40 with a relay lens of 3.3; doubtful, see the faults",
    mpp_by_magnification=(("40", 0.49), ("100", 0.20), ("200", 0.10), ("400", 0.05)),
    path_pattern=(
        rf"(?:.*/)?SOB_[BM]_(?P<label>{_LABELS})-(?P<group>\d+-\d+)[A-Z]*"
        r"-(?P<magnification>40|100|200|400)-\d+\.png"
    ),
    example_path="BreaKHis_v1/histology_slides/breast/benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/"
    "SOB_B_A-14-22549AB-40-001.png",
    group_rule="year and number in the file name without the letters behind it (14-22549 for "
    "14-22549AB): numbers that differ in these letters only are taken for one patient, which "
    "makes 70 groups of the 82 that the publication calls patients",
    license="CC BY 4.0",
    citation="Spanhol et al. 2016, IEEE Transactions on Biomedical Engineering 63(7): 1455-1462, "
    "doi:10.1109/TBME.2015.2496264",
    how_to_get=(
        "Open https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-"
        "breakhis/ and download BreaKHis_v1.tar.gz (about 4 GB).",
        "Unpack it and rename the folder to BreakHis, or give --catalogue BreakHis.",
        "For one magnification only, write the rows that you want into a samples.csv.",
        "Run: histograft standardize BreakHis --out patches --upsample allow",
    ),
    warnings=(
        "BreakHis: the published µm/px are doubtful (a picture at 400x would be 35 µm wide); "
        "compare some nuclei, and state your own in a column mpp of a samples.csv if they differ",
        "BreakHis: the pictures of 14-13412 are there twice, as DC and as LC",
    ),
    faults=(
        "The 123 pictures of 14-13412 are there twice, as DC and as LC. Both copies share a group "
        "here; leave one out, as no classifier can be right about both.",
        "The published scale makes a picture at 400x only 35 µm wide, so that few nuclei would "
        "fit. Measure some nuclei before you rely on it, and state your own in a column mpp of "
        "a samples.csv if they differ.",
        "The magnification is that of objective and eyepiece together: 40X in a name is an "
        "objective of 4x, and not what others call 40x.",
        "All four magnifications show the same fields: split by group, never by picture.",
        "The table on the official page says 652 benign pictures at 40x; 625 are meant (2,480 in "
        "all).",
        "The page says 9,109 pictures; the release has 7,909.",
    ),
    checked=(
        ("benign and malignant, sizes, totals", "official page"),
        ("layout, names, folders of 82 patients, images of each class, the copies of 14-13412",
         "listings of the folder in several projects that use it"),
        ("license", "data set page of kaiko-eva (datasets/breakhis)"),
        ("meaning of the magnification", "issue 818 of kaiko-ai/eva"),
        ("DOI of the publication", "citations in many projects"),
    ),
    unchecked=("µm/px at each magnification",),
)  # fmt: skip
