"""What normalized tiles look like: references that are read, and ones that are fitted."""

import json

import h5py
import numpy as np
import pytest
import small_slides
from PIL import Image

from histograft.imaging.stain import TORCHSTAIN

TILE = 32
OTHER = np.array([[0.45, 0.20], [0.80, 0.90], [0.40, 0.35]])  # stains of another laboratory


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A slide, all tissue, a picture of tissue in other stains, and a network as a file."""
    folder = tmp_path_factory.mktemp("made")
    small_slides.write_slide(folder / "a.tif", small_slides.tissue(TILE * 12, TILE * 10), mpp=1)
    amounts = np.random.default_rng(1).uniform(0, 1, (200, 200, 2)) * [1.2, 2.0]
    pixels = (240 * np.exp(-amounts @ OTHER.T)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "other.png")
    small_slides.write_weights(folder / "net.safetensors")
    return folder


@pytest.fixture
def embed(made, tmp_path, tools):
    """A function that embeds the slide and gives how it ended."""

    def work(*words, out="out", stain="macenko-slide"):
        row = {"slide_id": "a", "file": made / "a.tif", "patient_id": "p"}
        table = small_slides.write_slides_table(tmp_path / "slides.csv", [row])
        return tools.run(
            "embed", table, "--weights", made / "net.safetensors", "--name", "tiny", "--out",
            tmp_path / out, "--device", "cpu", "--target-mpp", 1, "--tile-px", TILE, "--stain",
            stain, *words,
        )  # fmt: skip

    return work


def features(folder):
    with h5py.File(folder / "slides/a/tiny-gap.h5") as file:
        return file["features"][:]


def angle(a, b):
    """Degrees between two stains."""
    return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def test_a_slide_that_is_its_own_reference_stays_as_it_is(made, tmp_path, embed):
    assert embed("--stain-reference", made / "a.tif", out="own").code == 0
    assert embed(out="plain", stain="none").code == 0
    assert embed(out="torchstain").code == 0
    plain, scale = features(tmp_path / "plain"), np.abs(features(tmp_path / "plain")).max()
    np.testing.assert_allclose(features(tmp_path / "own"), plain, atol=0.01 * scale)
    assert np.abs(features(tmp_path / "torchstain") - plain).max() > 0.1 * scale


def test_stains_of_a_picture_are_found_and_saved(made, tmp_path, embed):
    assert embed("--stain-reference", made / "other.png").code == 0
    saved = json.loads((tmp_path / "out/stain_reference.json").read_text())
    assert (saved["name"], saved["io"]) == ("other.png", 240)
    for found, true in zip(np.array(saved["stain_matrix"]).T, OTHER.T, strict=True):
        assert angle(found, true) < 3  # the 1st and 99th percentile of angles are almost pure
    manifest = json.loads((tmp_path / "out/slides/a/manifest.json").read_text())
    assert manifest["config"]["reference"] == saved


def test_a_saved_reference_gives_the_same_artefact(made, tmp_path, embed, tools):
    assert embed("--stain-reference", made / "other.png").code == 0
    again = embed("--stain-reference", tmp_path / "out/stain_reference.json", out="again")
    assert again.code == 0
    assert tools.content(tmp_path / "again") == tools.content(tmp_path / "out")
    refused = embed("--stain-reference", made / "a.tif")  # another reference, the same folder
    assert refused.code == 1
    assert "was embedded in another way" in refused.err
    assert "reference" in refused.err


def test_the_stains_of_one_slide_can_be_the_reference(made, tmp_path, embed):
    assert embed(out="first").code == 0
    stains = json.loads((tmp_path / "first/slides/a/stains.json").read_text())["stains"]
    taken = tmp_path / "first/slides/a/stains.json"
    assert embed("--stain-reference", taken, out="second").code == 0
    saved = json.loads((tmp_path / "second/stain_reference.json").read_text())
    assert saved == stains | {"name": "stains of a"}


def test_without_a_reference_it_is_torchstains(tmp_path, embed):
    assert embed(stain="macenko-tile").code == 0
    saved = (tmp_path / "out/stain_reference.json").read_text()
    assert saved == TORCHSTAIN.to_json()
    assert embed(out="none", stain="none").code == 0
    assert not (tmp_path / "none/stain_reference.json").exists()


def test_the_constants_of_the_paper_hold_for_what_is_fitted(made, tmp_path, embed):
    paper = ("--stain-constants", "paper")
    assert embed(*paper, "--stain-reference", made / "other.png").code == 0
    fitted = json.loads((tmp_path / "out/stain_reference.json").read_text())
    assert (fitted["name"], fitted["io"]) == ("other.png", 255)
    # A file states its own: to take it is no silent change of what was asked for.
    assert embed("--stain-reference", made / "other.png", out="usual").code == 0
    saved = tmp_path / "usual/stain_reference.json"
    read = embed(*paper, "--stain-reference", saved, out="read")
    assert (tmp_path / "read/stain_reference.json").read_text() == saved.read_text()
    assert "states an Io of 240" in " ".join(read.err.split())
    again = embed("--stain-reference", tmp_path / "out/stain_reference.json", out="again")
    assert "an Io of" not in again.err
    unused = embed(*paper, out="none", stain="none")
    assert "--stain-constants is for --stain macenko-slide" in " ".join(unused.err.split())
    assert (
        "reference"
        not in json.loads((tmp_path / "none/slides/a/manifest.json").read_text())["config"]
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.json", None, "is not there"),
        ("cut.json", b'{"name": "a"', "cannot be read"),
        ("list.json", b"[]", "must have exactly the keys"),
        ("color.json", b'{"name": "a", "mean": [1, 1, 1], "sd": [1, 1, 1]}', "Reinhard"),
        ("stains.json", b'{"status": "blank", "stains": null}', "(blank)"),
        ("cut.png", b"\x89PNG\r\n\x1a\n", "cut.png"),
        ("text.tif", b"no slide", "is no slide that can be read"),
    ],
)
def test_what_cannot_be_a_reference(tmp_path, embed, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    outcome = embed("--stain-reference", path)
    assert outcome.code == 1
    assert name in outcome.err
    assert said in outcome.err
    assert "to fix it" in outcome.err
    assert not (tmp_path / "out").exists()


def test_glass_shows_no_stains_and_a_reference_needs_a_normalization(tmp_path, embed):
    Image.new("RGB", (300, 300), (244, 244, 244)).save(tmp_path / "glass.png")
    outcome = embed("--stain-reference", tmp_path / "glass.png")
    assert outcome.code == 1
    assert "less than 1 % of the pixels are tissue" in outcome.err
    outcome = embed("--stain-reference", tmp_path / "glass.png", stain="none")
    assert outcome.code == 2
    assert "--stain macenko-slide" in outcome.err
