"""doctor: one table of what a run over slides will meet, and nothing written."""

import re

import numpy as np
import pytest
import small_slides
import tifffile

SIDE = 64


@pytest.fixture
def look(tmp_path, tools):
    """A function that runs doctor on slides, name to columns."""

    def work(*words, **slides):
        rows = [{"slide_id": name} | columns for name, columns in slides.items()]
        table = small_slides.write_slides_table(tmp_path / "slides.csv", rows)
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
        outcome = tools.run("doctor", table, "--target-mpp", 1, "--tile-px", SIDE, *words)
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
        return outcome

    return work


def rows_of(outcome):
    """Cells of the printed table, by slide."""
    lines = [line for line in re.split(r"─ *\n", outcome.out)[-1].splitlines() if line.strip()]
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines]
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return {first[0]: (first[1:], second) for first, second in pairs}


def states_of(outcome):
    return {name: first[-1] for name, (first, _) in rows_of(outcome).items()}


@pytest.fixture
def slide(tmp_path):
    def write(name, pixels=None, mpp=1.0, **options):
        pixels = small_slides.tissue(SIDE * 6, SIDE * 5) if pixels is None else pixels
        return small_slides.write_slide(tmp_path / name, pixels, mpp, **options)

    return write


def test_the_table_says_what_there_is(look, slide):
    """All tissue: 6 x 5 tiles of 64 µm, 0.1229 mm², 30 features of 2,048 x 4 bytes."""
    large = small_slides.tissue(SIDE * 12, SIDE * 10)
    outcome = look(
        "--tiles-per-second", 10,
        a={"file": slide("a.svs", vendor="aperio"), "patient_id": "p"},
        b={"file": slide("b.tif", large), "patient_id": "p", "mpp": 0.5},
    )  # fmt: skip
    assert outcome.code == 0
    found = rows_of(outcome)
    assert found["a"] == (
        ["384×320", "1", "0.1 mm²", "3.0 s", "good"],
        ["openslide (aperio)", "2 levels", "openslide.mpp", "30 tiles", "0.2 MB"],
    )
    assert found["b"][0][1] == "0.5"
    assert found["b"][1][2:4] == ["table", "30 tiles"]  # of 128 px
    assert "2 of 2 slides can be used: 60 tiles, about 6.0 s at 10 tiles/s, 0.5 MB" in outcome.err
    assert "no patient" not in outcome.err


def test_problems_and_remarks_name_the_slide(look, slide, tmp_path):
    good = slide("good.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(good[: len(good) // 2])
    glass = np.full((400, 400, 3), 245, np.uint8)
    outcome = look(
        **{
            "cut[1]": {"file": "cut.tif", "patient_id": "p"},
            "absent": {"file": "deep/absent.tif", "patient_id": "p"},
            "coarse": {"file": slide("coarse.tif", mpp=4), "patient_id": "p"},
            "glass": {"file": slide("glass.tif", glass), "patient_id": "p"},
            "anonymous": {"file": "good.tif"},
            "few": {"file": slide("few.tif", small_slides.tissue(90, 90)), "patient_id": "p"},
        }
    )
    assert outcome.code == 1
    assert states_of(outcome) == {
        "cut[1]": "problem", "absent": "problem", "coarse": "problem", "glass": "no tissue",
        "anonymous": "good", "few": "look",
    }  # fmt: skip
    found = rows_of(outcome)
    assert found["absent"] == (["–", "–", "–", "–", "problem"], ["–"])
    # What the file says of itself is shown although it cannot be used.
    assert found["coarse"][0] == ["384×320", "4", "–", "–", "problem"]
    assert found["coarse"][1] == ["openslide (generic-tiff)", "2 levels", "openslide.mpp"]
    for said in (
        "cut[1]: cut.tif is no slide that can be read",
        f"absent: deep/absent.tif is not there: looked for {tmp_path}/deep/absent.tif",
        "--upsample allow", "glass: no tissue was found", "few: only 1 tile\n",
        "no patient is stated of 1 of 6 slides (anonymous …)", "add a column patient_id",
        "2 of 6 slides can be used (3 cannot, 1 without tissue)",
    ):  # fmt: skip
        assert said in outcome.err


def test_damage_and_a_false_objective_are_remarked(look, slide, tmp_path):
    path = slide("a.svs", vendor="aperio")
    data = bytearray(path.read_bytes().replace(b"AppMag = 10", b"AppMag = 40"))
    with tifffile.TiffFile(path) as file:
        first = file.pages[0].dataoffsets[0]
    data[first : first + 300] = bytes(300)
    path.write_bytes(data)
    outcome = look(a={"file": path, "patient_id": "p"})
    assert outcome.code == 0
    assert "53% of 30 tiles that were tried cannot be read" in outcome.err  # 4 x 4 of 6 x 5
    assert "the objective is 40x, but 1 µm/px is not" in outcome.err


def test_a_slide_without_tissue_alone_is_no_error_but_not_usable(look, slide):
    glass = slide("glass.tif", np.full((400, 400, 3), 245, np.uint8))
    outcome = look(glass={"file": glass, "patient_id": "p"})
    assert outcome.code == 0
    assert "0 of 1 slide can be used (1 without tissue)" in outcome.err


def test_the_table_fits_into_80_columns(look, slide, monkeypatch):
    monkeypatch.setattr("histograft.cli.doctor.FILE_WIDTH", 80)
    outcome = look(**{"a-name-of-a-slide-that-is-long": {"file": slide("a.svs", vendor="aperio")}})
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "384×320" in outcome.out
    assert "openslide.mpp" in outcome.out
    assert "no patient is stated of any slide" in outcome.err


def test_a_tcga_barcode_states_the_patient(look, slide):
    assert "no patient" not in look(**{"TCGA-CR-7395-01A-01-TS1": {"file": slide("a.tif")}}).err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--overlap", 1), "--overlap"),
        (("--least-tissue", 2), "--least-tissue"),
        (("--tiles-per-second", 0), "--tiles-per-second"),
        (("--n-features", 0), "--n-features"),
    ],
)
def test_options_that_cannot_be(look, slide, words, said):
    outcome = look(*words, a={"file": slide("a.tif")})
    assert outcome.code == 2
    assert said in outcome.err


@pytest.mark.real
def test_real_slides(tools, shared_data, tmp_path):
    """Sizes, scales and faults as the card of the slides states them."""
    folder = shared_data / "data" / "slides"
    rows = [
        {"slide_id": name[:6], "file": folder / name, "patient_id": "p"}
        for name in (
            "mosaic-crc.tif", "tcga-cr-7395-01a-01-ts1.svs", "kidney-48-5.tif",
            "test3-tritc-2-560-fluorescence.ndpi", "camelyon-overview.dcm",
        )
    ]  # fmt: skip
    table = small_slides.write_slides_table(tmp_path / "slides.csv", rows)
    outcome = tools.run("doctor", table, "--target-mpp", 0.5)
    assert outcome.code == 1
    found = rows_of(outcome)
    assert found["mosaic"][0][:2] == ["5,888×4,864", "0.5"]
    assert found["mosaic"][1][1] == "3 levels"
    states = states_of(outcome)
    assert [states[name] for name in ("tcga-c", "kidney", "camely")] == ["problem"] * 3
    assert states["test3-"] == "no tissue"
    assert found["tcga-c"][0][1] == "unknown"
    assert outcome.err.count("column mpp") == 2
    assert "fluorescence" in outcome.err
    assert found["test3-"][1][3] == "0 tiles"
