"""LC25000: lung and colon, five classes, augmented from 1,250 pictures."""

from histograft.catalogue.entry import Entry, TissueClass

_CLASSES = (
    ("colon_aca", "colon adenocarcinoma"),
    ("colon_n", "benign colon tissue"),
    ("lung_aca", "lung adenocarcinoma"),
    ("lung_n", "benign lung tissue"),
    ("lung_scc", "lung squamous cell carcinoma"),
)

LC25000 = Entry(
    name="LC25000",
    title="25,000 images of five classes of lung and colon, H&E, augmented from 1,250 pictures",
    organ="lung, colon",
    classes=tuple(TissueClass(label, meaning, 5000) for label, meaning in _CLASSES),
    expected_total=25_000,
    size_px=(768, 768),
    mpp=None,
    mpp_source="not stated; pictures were cropped and turned before release",
    path_pattern=(
        r"(?:lung_colon_image_set/)?(?:(?:colon|lung)_image_sets/)?"
        rf"(?P<label>{'|'.join(label for label, _ in _CLASSES)})/[^/]+\.(?:jpe?g|png)"
    ),
    example_path="lung_colon_image_set/colon_image_sets/colon_aca/colonca1.jpeg",
    group_rule="none in the release; GeorgeBatch/LC25000-clean on GitHub (annotations/<class>/UNI/"
    "resize_only/final_clusters.csv) says which images are copies of one picture: write these "
    "clusters as column group into a samples.csv",
    license="none stated",
    citation="Borkowski et al. 2019, doi:10.48550/arXiv.1912.12142",
    how_to_get=(
        "Open https://github.com/tampapath/lung_colon_image_set and follow its link to "
        "LC25000.zip (about 1.9 GB).",
        "Unpack it; the folder lung_colon_image_set holds colon_image_sets and lung_image_sets.",
        "Rename the folder to LC25000, or give --catalogue LC25000.",
        "Add a samples.csv with the groups of LC25000-clean; without groups every split leaks.",
        "Run: histograft standardize LC25000 --out patches --missing-mpp keep-pixels",
    ),
    faults=(
        "Each class was made from 250 pictures by turning and flipping: without groups nearly "
        "every test image has copies in the training set, and any method scores near 100 %.",
        "A group is one picture, not a patient; two groups may be of one patient. Patients are "
        "not released.",
        "Some copies are equal to the pixel.",
    ),
    checked=(
        ("250 pictures per class, turned and flipped; groups", "README of GeorgeBatch/"
         "LC25000-clean"),
        ("classes, numbers, size", "abstract of the paper and pages that describe the set"),
        ("no license stated, no scale", "README of tampapath/lung_colon_image_set"),
        ("equal copies", "samples of the set"),
    ),
    unchecked=("size of the download",),
)  # fmt: skip
