"""BACH: four classes of microscope pictures of the breast."""

from histograft.catalogue.entry import Entry, TissueClass

_CLASSES = (
    ("Benign", "benign lesion"),
    ("InSitu", "carcinoma in situ"),
    ("Invasive", "invasive carcinoma"),
    ("Normal", "normal tissue"),
)

BACH = Entry(
    name="BACH",
    title="400 microscope pictures of four classes of breast tissue, H&E",
    organ="breast",
    classes=tuple(TissueClass(label, meaning, 100) for label, meaning in _CLASSES),
    expected_total=400,
    size_px=(2048, 1536),
    mpp=0.42,
    mpp_source="stated with the release",
    path_pattern=(
        r"(?:.*/)?"
        rf"(?P<label>{'|'.join(label for label, _ in _CLASSES)})/[a-z]+\d+\.(?:tiff?|png)"
    ),
    example_path="ICIAR2018_BACH_Challenge/Photos/Benign/b001.tif",
    left_out=r"(?:.*/)?(?:WSI|ICIAR2018_BACH_Challenge_TestDataset)/.*",
    group_rule="none in the files; the page of the challenge links to a list of patients: write "
    "them as column group into a samples.csv",
    license="CC BY-NC-ND 4.0",
    citation="Aresta et al. 2019, Medical Image Analysis 56: 122-139, "
    "doi:10.1016/j.media.2019.05.010; data: doi:10.5281/zenodo.3632035",
    how_to_get=(
        "Open https://zenodo.org/records/3632035 and download ICIAR2018_BACH_Challenge.zip "
        "(about 10 GB).",
        "Unpack it and rename the folder to BACH, or give --catalogue BACH.",
        "Run: histograft standardize BACH --out patches --preset histokt-bach",
    ),
    faults=(
        "Patients have several pictures; without the list of patients any split has them on both "
        "sides.",
        "Labels of the 100 test pictures are not released; they are no part of this entry.",
    ),
    checked=(
        ("scale, size, license", "card of the mirror 1aurent/BACH"),
        ("400 pictures, 100 of each class, that patients have several, the list of them",
         "data set page of kaiko-eva (datasets/bach), which counts 408, and its split of 400"),
        ("DOI of the publication", "citations in projects"),
    ),
)  # fmt: skip
