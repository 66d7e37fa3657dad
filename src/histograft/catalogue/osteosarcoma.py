"""Osteosarcoma: viable and dead tumor of four patients."""

from histograft.catalogue.entry import Entry, LabelTable, TissueClass

OSTEOSARCOMA = Entry(
    name="Osteosarcoma",
    title="1,144 tiles of viable, necrotic and no osteosarcoma, H&E, of four patients",
    organ="bone",
    classes=(
        TissueClass("Non-Tumor", "no tumor", 536),
        TissueClass("Viable", "viable tumor, also beside dead tumor", 345),
        TissueClass("Non-Viable-Tumor", "necrotic tumor", 263),
    ),
    expected_total=1144,
    size_px=(1024, 1024),
    mpp=1.0,
    mpp_source="Table 1 of HistoKT, for 10x; nominal",
    path_pattern=r"(?:.*/)?(?P<name>(?P<group>Case-\d+|P9)-[^/]+)\.(?:jpe?g|png|tiff?)",
    example_path="Training-Set-1/set1/Case-3-A15-2939-11262.jpg",
    table=LabelTable(
        file="ML_Features_1144.csv",
        image="image.name",
        label="classification",
        words=(("viable: non-viable", "Viable"),),
    ),
    group_rule="case at the start of the file name; there are four: Case-3, Case-4, Case-48, P9",
    license="CC BY 3.0",
    citation="Arunachalam et al. 2019, PLoS ONE 14(4): e0210706, "
    "doi:10.1371/journal.pone.0210706; data: Leavey et al. 2019, "
    "doi:10.7937/tcia.2019.bvhjhdas",
    how_to_get=(
        "Open https://doi.org/10.7937/tcia.2019.bvhjhdas and download the images and "
        "ML_Features_1144.csv.",
        "Keep the folders Training-Set-1 and Training-Set-2 beside that table.",
        "Rename their folder to Osteosarcoma, or give --catalogue Osteosarcoma.",
        "Run: histograft standardize Osteosarcoma --out patches --preset histokt-os",
    ),
    faults=(
        "Four patients, and class and patient are mixed up: results by patient are very noisy, "
        "and results by tile tell patients apart.",
        "53 tiles are called viable: non-viable. The publication counts them as viable, and so "
        "does this entry; HistoKT's code makes them a fourth class, its paper has three.",
        "The table writes names with spaces, the files with hyphens.",
    ),
    checked=(
        ("number, size, license, images of each class, the 53 tiles, four cases",
         "card of a project that counted the table"),
        ("folders, names, columns", "loader of HistoKT's code"),
        ("scale, three classes", "Table 1 of Zhang et al. 2022"),
        ("DOI of the publication", "lists of data sets"),
    ),
)  # fmt: skip
