"""ADP: tissues of many organs, several to a patch."""

from histograft.catalogue.entry import Entry, LabelTable, TissueClass

_CLASSES = (
    ("E", "epithelial"),
    ("E.M", "simple epithelial"),
    ("E.M.S", "simple squamous epithelial"),
    ("E.M.C", "simple cuboidal or columnar epithelial"),
    ("E.T", "stratified epithelial"),
    ("E.T.S", "stratified squamous epithelial"),
    ("E.T.C", "stratified cuboidal or columnar epithelial"),
    ("C", "connective proper"),
    ("C.D", "dense connective"),
    ("C.D.I", "dense irregular connective"),
    ("C.D.R", "dense regular connective"),
    ("C.L", "loose connective"),
    ("H", "blood"),
    ("H.E", "erythrocytes"),
    ("H.K", "leukocytes"),
    ("H.Y", "lymphocytes"),
    ("S", "skeletal"),
    ("S.M", "mature bone"),
    ("S.C", "cartilage"),
    ("S.R", "marrow"),
    ("A", "adipose"),
    ("A.W", "white adipose"),
    ("A.M", "marrow adipose"),
    ("M", "muscular"),
    ("N", "nervous"),
    ("N.P", "neuropil"),
    ("N.R", "nerve cell bodies"),
    ("N.G", "neuroglial cells"),
    ("N.G.M", "microglia"),
    ("G", "glandular"),
    ("G.O", "exocrine gland"),
    ("G.N", "endocrine gland"),
    ("T", "transport vessel"),
)

ADP = Entry(
    name="ADP",
    title="17,668 patches of healthy tissues of many organs, H&E, with up to 33 labels each",
    organ="many",
    classes=tuple(TissueClass(label, meaning) for label, meaning in _CLASSES),
    expected_total=17_668,
    size_px=(272, 272),
    mpp=1.0,
    mpp_source="name of the folder of images; patches of 1088 px at 0.25, reduced four times",
    path_pattern=(
        r"(?:.*/)?img_res_1um_bicubic/(?P<name>(?P<group>\d+)\.png_crop_\d+)\.(?:png|tiff?)"
    ),
    example_path="ADP V1.0 Release/img_res_1um_bicubic/001.png_crop_16.png",
    table=LabelTable(
        file="ADP_EncodedLabels_Release1_Flat.csv",
        image="Patch Names",
        label_columns=tuple(label for label, _ in _CLASSES),
        split_arrays=(
            ("train", "splits/train.npy"),
            ("val", "splits/valid.npy"),
            ("test", "splits/test.npy"),
        ),
    ),
    group_rule="number at the start of the file name, taken for that of the slide; there are 100 "
    "slides, and the released splits divide them",
    license="end user agreement, on request",
    citation="Hosseini et al. 2019, IEEE/CVF Conference on Computer Vision and Pattern Recognition "
    "2019: 11747-11756, doi:10.1109/CVPR.2019.01202",
    how_to_get=(
        "Open http://www.dsp.utoronto.ca/projects/ADP/, read the agreement and ask for release 1.",
        "Keep img_res_1um_bicubic, ADP_EncodedLabels_Release1_Flat.csv and splits in one folder.",
        "Rename that folder to ADP, or give --catalogue ADP.",
        "Run: histograft standardize ADP --out patches --preset histokt-adp",
    ),
    faults=(
        "Patches overlap by 32 of 1088 px before reduction, and the released splits divide "
        "slides: test patches have neighbors in the training set.",
        "Labels are sparse: a network that says no to every class is right in most cells, so read "
        "average precision and not the share of right cells.",
    ),
    checked=(
        ("scale, slides, patch size, overlap", "official page"),
        ("files, columns, 33 classes of the third level, splits", "loader of HistoKT's code"),
        ("number of images", "Table 1 of Zhang et al. 2022"),
        ("DOI of the publication", "citations in projects"),
    ),
    unchecked=("meanings of the codes", "that the number in a file name is that of the slide"),
)  # fmt: skip
