"""AJ-Lymph: three lymphomas."""

from histograft.catalogue.entry import Entry, TissueClass

AJ_LYMPH = Entry(
    name="AJ-Lymph",
    title="374 microscope pictures of three lymphomas, H&E",
    organ="lymph node",
    classes=(
        TissueClass("CLL", "chronic lymphocytic leukemia", 113),
        TissueClass("FL", "follicular lymphoma", 139),
        TissueClass("MCL", "mantle cell lymphoma", 122),
    ),
    expected_total=374,
    size_px=(1388, 1040),
    mpp=0.25,
    mpp_source="Table 1 of HistoKT",
    path_pattern=(
        r"(?:.*/)?(?P<label>CLL|FL|MCL)/"
        r"(?P<group>sj-\d+-\d+)(?:-[A-Z]\d+)?_\d+\.(?:tiff?|png)"
    ),
    example_path="lymphoma/CLL/sj-03-476_009.tif",
    group_rule="number of the case in the file name, without block and field (sj-05-894 for "
    "sj-05-894-R3_008)",
    license="none stated",
    citation="Orlov et al. 2010, IEEE Transactions on Information Technology in Biomedicine 14(4): "
    "1003-1013, doi:10.1109/TITB.2010.2050695; named after Janowczyk and Madabhushi 2016, "
    "doi:10.4103/2153-3539.186902",
    how_to_get=(
        "Open https://andrewjanowczyk.com/use-case-7-lymphoma-sub-type-classification/ and follow "
        "its link to lymphoma.tar.gz (about 1.5 GB).",
        "Unpack it and rename the folder to AJ-Lymph, or give --catalogue AJ-Lymph.",
        "Run: histograft standardize AJ-Lymph --out patches --preset histokt-aj",
    ),
    faults=(
        "Cases have up to 30 pictures, and HistoKT divides pictures: its test set shares cases "
        "with its training set.",
        "Staining differs much from site to site, and with the class.",
    ),
    checked=(
        ("classes, meanings, publication", "README of cifucg/malignant_lymphoma_classification"),
        ("names of files", "projects that use the set"),
        ("size, scale, number", "Table 1 of Zhang et al. 2022"),
        ("DOI of Janowczyk and Madabhushi", "loader of HistoKT's code"),
    ),
    unchecked=("images of each class", "that the number stands for a case", "size of the download"),
)  # fmt: skip
