"""BCSS: regions of breast cancer with masks of their tissues."""

from histograft.catalogue.entry import Entry, TissueClass

# Codes that HistoKT keeps, of the 22 of the release (meta/gtruth_codes.tsv).
_CODES = (
    (1, "tumor"),
    (2, "stroma"),
    (3, "lymphocytic_infiltrate"),
    (4, "necrosis_or_debris"),
    (5, "glandular_secretions"),
    (6, "blood"),
    (8, "metaplasia_NOS"),
    (9, "fat"),
    (10, "plasma_cells"),
    (18, "blood_vessel"),
)

BCSS = Entry(
    name="BCSS",
    title="151 regions of breast cancer, H&E, with masks of ten tissues",
    organ="breast",
    classes=tuple(TissueClass(label, label.replace("_", " ")) for _, label in _CODES),
    expected_total=151,
    size_px=None,
    mpp=0.25,
    mpp_source="in the file names",
    path_pattern=(
        r"(?:.*/)?(?:rgbs_colorNormalized|images)/"
        r"(?P<group>TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})-[^/]*\.png"
    ),
    example_path="0_Public-data-Amgad2019_0.25MPP/rgbs_colorNormalized/"
    "TCGA-A1-A0SK-DX1_xmin45749_ymin25055_MPP-0.2500.png",
    mask_rule=(r"(^|/)(?:rgbs_colorNormalized|images)/", r"\1masks/"),
    mask_codes=_CODES,
    group_rule="patient in the TCGA barcode, its first 12 characters",
    license="CC0",
    citation="Amgad et al. 2019, Bioinformatics 35(18): 3461-3467, "
    "doi:10.1093/bioinformatics/btz083",
    how_to_get=(
        "Open https://github.com/PathologyDataScience/BCSS and follow its link to the data at "
        "0.25 µm/px (about 5 GB).",
        "Keep the folders rgbs_colorNormalized and masks in one folder.",
        "Rename the folder to BCSS, or give --catalogue BCSS.",
        "Say from which share of a patch a class counts; no paper states it, and "
        "min_fraction.csv among the patches shows what other shares would give.",
        "Run: histograft standardize BCSS --out patches --preset histokt-bcss --min-fraction 0.01",
    ),
    faults=(
        "Pixels of code 0 lie outside of the region and are no class.",
        "HistoKT resamples masks as if they were images, which makes up classes at borders; here "
        "a pixel takes the nearest code.",
        "From which share of a patch a class is a label is stated neither in HistoKT's paper nor "
        "in its code.",
        "Classes are very unequal: a network that says no to the rare ones is right in most "
        "cells.",
    ),
    checked=(
        ("codes, meaning of 0, publication", "README and meta/gtruth_codes.tsv of "
         "PathologyDataScience/BCSS"),
        ("number, scale, folders", "data set page of kaiko-eva (datasets/bcss)"),
        ("ten classes, 20 % coverage", "HistoKT's code"),
        ("folder names, an example of a name", "projects that read the set"),
        ("license", "cards of the mirrors nabil-m/bcss and Angelou0516/BCSS"),
    ),
    unchecked=("one region to a patient",),
)  # fmt: skip
