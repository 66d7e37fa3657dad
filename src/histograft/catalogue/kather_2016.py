"""Kather-2016: eight textures of colorectal cancer."""

from histograft.catalogue.entry import Entry, TissueClass

_CLASSES = (
    ("TUMOR", "tumor epithelium"),
    ("STROMA", "simple stroma"),
    ("COMPLEX", "complex stroma, with single tumor or immune cells"),
    ("LYMPHO", "clusters of immune cells"),
    ("DEBRIS", "debris and mucus"),
    ("MUCOSA", "mucosal glands"),
    ("ADIPOSE", "adipose tissue"),
    ("EMPTY", "background"),
)

KATHER_2016 = Entry(
    name="Kather-2016",
    title="5,000 tiles of eight textures of colorectal cancer, H&E",
    organ="colorectum",
    classes=tuple(TissueClass(label, meaning, 625) for label, meaning in _CLASSES),
    expected_total=5000,
    size_px=(150, 150),
    mpp=0.495,
    mpp_source="stated with the release",
    path_pattern=(
        r"(?:Kather_texture_2016_image_tiles_5000/)?"
        rf"\d\d_(?P<label>{'|'.join(label for label, _ in _CLASSES)})/"
        r"(?:[^/]*?(?P<group>CRC-Prim-HE-\d+))?[^/]*\.(?:tiff?|png|jpe?g)"
    ),
    example_path="Kather_texture_2016_image_tiles_5000/01_TUMOR/"
    "10009_CRC-Prim-HE-03_009.tif_Row_301_Col_151.tif",
    group_rule="the number of the primary tumor in the file name (CRC-Prim-HE-03); there are ten",
    license="CC BY 4.0",
    citation="Kather et al. 2016, Scientific Reports 6: 27988, doi:10.1038/srep27988; data: "
    "doi:10.5281/zenodo.53169",
    how_to_get=(
        "Open https://zenodo.org/records/53169 and download "
        "Kather_texture_2016_image_tiles_5000.zip (about 250 MB).",
        "Unpack it and rename the folder to Kather-2016, or give --catalogue Kather-2016.",
        "Run: histograft standardize Kather-2016 --out patches",
    ),
    faults=(
        "Ten tumors only: splits by group are few and unequal, so accuracy varies much between "
        "them. Splits by tile, as usual in the literature, have each tumor on both sides.",
        "Neighboring tiles of one field are in the set (Row and Col in the file name).",
        "The ten images of 5,000 x 5,000 px in Kather_texture_2016_larger_images_10.zip carry no "
        "label; they are not part of this entry.",
    ),
    checked=(
        ("µm/px, size, license", "card of the mirror 1aurent/Kather-texture-2016"),
        ("folders, names, larger images", "projects that use the set, and the card of TensorFlow "
         "Datasets (colorectal_histology)"),
        ("625 images of each class", "README of donotbei/ToBaFu"),
        ("ten numbers CRC-Prim-HE in the names", "projects that split by them"),
        ("DOI of the publication", "citations in many projects"),
    ),
    unchecked=("that the number stands for a tumor",),
)  # fmt: skip
