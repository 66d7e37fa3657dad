"""Opening slides: what is read, whose µm/px counts, and what is refused, with OpenSlide's word."""

from __future__ import annotations

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from histograft.core.errors import InputError
from histograft.core.units import Pyramid
from histograft.imaging.phantom_slide import cell_at, checkerboard, phantom_slide
from histograft.imaging.slide import Slide, decide_scale, open_reader, open_slide
from histograft.imaging.slide_overview import read_overview
from histograft.imaging.slide_tiff import tiff_scale

BOARD = checkerboard(30, 24, 50)  # 1500 x 1200 px


def write(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return write(folder, "board.tif", phantom_slide(BOARD, 0.5, downsamples=(1, 2, 7.9)))


# Facts


@pytest.mark.parametrize("vendor", ["generic-tiff", "aperio"])
def test_openslide_opens_phantoms_and_finds_their_scale(tmp_path, vendor):
    path = write(tmp_path, "a.svs", phantom_slide(BOARD, 0.25, vendor=vendor))
    with openslide.OpenSlide(path) as witness:
        assert witness.properties["openslide.vendor"] == vendor
        assert float(witness.properties["openslide.mpp-x"]) == pytest.approx(0.25, rel=1e-6)
    with open_slide(path) as slide:
        assert (slide.reader, slide.vendor, slide.mpp_source) == (
            "openslide",
            vendor,
            "openslide.mpp",
        )
        assert (slide.width, slide.height) == (1500, 1200)
        assert slide.pyramid.sizes == ((1500, 1200), (375, 300))
        assert slide.mpp0 == pytest.approx(0.25, rel=1e-6)
        assert slide.objective == (40 if vendor == "aperio" else None)


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_readers_give_the_pixels_of_the_file(slide_file, reader):
    if reader == "tiffslide":
        pytest.importorskip("tiffslide", reason="needs the extra tiffslide")
    with tifffile.TiffFile(slide_file) as file:
        stored = [page.asarray() for page in file.pages]
    with open_slide(slide_file, reader=reader) as slide:
        assert slide.reader == reader
        assert slide.mpp0 == pytest.approx(0.5, rel=1e-6)
        # TiffSlide does not take the last page for a level, as its size is an odd fraction.
        assert len(slide.pyramid.sizes) == (3 if reader == "openslide" else 2)
        for level, pixels in enumerate(stored[: len(slide.pyramid.sizes)]):
            rgb, scanned = slide.read(level, 17, 31, 120, 90)
            assert scanned is None
            # Between the pixels of a fractional level OpenSlide interpolates by 1/16 of one.
            off = np.abs(rgb.astype(int) - pixels[31:121, 17:137]).max()
            assert off <= (130 / 15 if level == 2 and reader == "openslide" else 0)


def test_pixels_are_the_same_whatever_region_they_are_read_with(slide_file):
    with open_slide(slide_file) as slide:
        for level, (width, height) in enumerate(slide.pyramid.sizes):
            whole, _ = slide.read(level, 0, 0, width, height)
            part, _ = slide.read(level, 101, 67, width - 130, height - 80)
            assert np.array_equal(part, whole[67 : height - 13, 101 : width - 29])


def test_a_plain_image_is_a_slide_of_one_level(tmp_path):
    path = tmp_path / "biopsy.png"
    Image.fromarray(BOARD).save(path)
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.reader, slide.mpp_source, slide.pyramid.sizes) == (
            "image",
            "table",
            ((1500, 1200),),
        )
        assert np.array_equal(slide.read(0, 5, 7, 60, 50)[0], BOARD[7:57, 5:65])
    with pytest.raises(InputError, match=r"biopsy.png does not state its µm/px.*column mpp"):
        open_slide(path)


# µm/px


def plain_tiff(folder, **options):
    path = folder / "plain.tif"
    tifffile.imwrite(path, BOARD, photometric="rgb", **options)
    return path


def test_the_user_beats_the_file(slide_file):
    with open_slide(slide_file, mpp=0.3) as slide:
        assert (slide.mpp, slide.mpp_source) == ((0.3, 0.3), "table")


def test_resolutions_count_per_centimeter_and_not_per_inch(tmp_path):
    path = plain_tiff(tmp_path, resolution=(20_000, 20_000), resolutionunit="CENTIMETER")
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx((0.5, 0.5))
        assert (slide.reader, slide.mpp_source) == ("image", "tiff.resolution")
    assert tiff_scale(plain_tiff(tmp_path, resolution=(72, 72), resolutionunit="INCH")) is None


@pytest.mark.parametrize(("size", "unit"), [(0.25, "µm"), (250, "nm"), (2.5e-4, "mm")])
def test_ome_tiffs_state_their_scale_in_xml(tmp_path, size, unit):
    path = tmp_path / "a.ome.tif"
    facts = {f"PhysicalSize{axis}": size for axis in "XY"}
    facts |= {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    tifffile.imwrite(
        path, BOARD, tile=(256, 256), photometric="rgb", metadata={"axes": "YXS", **facts}
    )
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.25))
        assert slide.mpp_source == "ome.physical_size"


@pytest.mark.parametrize("stated", [b"0.0", b"999", b"0.001"])
def test_a_scale_that_cannot_be_true_is_named_unless_the_user_knows_better(tmp_path, stated):
    data = phantom_slide(BOARD, 0.12345, vendor="aperio")
    path = write(tmp_path, "a.svs", data.replace(b"MPP = 0.12345", b"MPP = " + stated.ljust(7)))
    with pytest.raises(InputError, match=r"a\.svs states .* cannot be true.*column mpp"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.mpp0 == 0.5


@pytest.mark.parametrize("mpp", [0.0, -0.5, 1000.0, float("nan"), float("inf")])
def test_a_scale_that_cannot_be_true_is_refused_from_users_too(slide_file, mpp):
    with pytest.raises(InputError, match=r"board\.tif: .* cannot be the scale of a slide"):
        open_slide(slide_file, mpp=mpp)


def test_unequal_scales_in_x_and_y(tmp_path):
    path = plain_tiff(tmp_path, resolution=(20_000, 20_300), resolutionunit="CENTIMETER")
    assert open_slide(path).mpp0 == pytest.approx((0.5 + 1e4 / 20_300) / 2)  # 1.5 % apart
    path = plain_tiff(tmp_path, resolution=(20_000, 21_000), resolutionunit="CENTIMETER")
    with pytest.raises(InputError, match=r"plain\.tif states 0\.5 µm/px in x and 0\.476"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.mpp == (0.5, 0.5)


def test_the_objective_is_named_but_never_taken_for_a_scale():
    with pytest.raises(InputError, match=r"its objective is 20x"):
        decide_scale("a.svs", None, None, 20.0)


# Bad input


def test_files_that_are_no_slides_are_refused_with_reasons(tmp_path, slide_file):
    whole = slide_file.read_bytes()
    bad = {
        "empty.svs": b"",
        "text.svs": b"this is no slide" * 99,
        "cut.svs": whole[: len(whole) // 2],
        "header.svs": whole[:100],
        "zeros.ndpi": bytes(5000),
        "zip.mrxs": b"PK\x03\x04" + bytes(500),
    }
    for name, data in bad.items():
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            open_slide(write(tmp_path, name, data), mpp=0.5)
    for name in ("absent.svs", "."):
        with pytest.raises(InputError, match="not there"):
            open_slide(tmp_path / name)


def test_deep_and_odd_pixels_are_refused(tmp_path):
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, BOARD.astype(np.uint16) * 200, photometric="rgb", tile=(256, 256))
    with pytest.raises(InputError, match=r"deep\.tif"):
        open_slide(path, mpp=0.5)
    with pytest.raises(InputError, match="no reader 'bioformats'"):
        open_slide(path, reader="bioformats")


def test_closing_twice_and_a_place_outside(slide_file):
    slide = open_slide(slide_file)
    with pytest.raises(InputError, match="leave level 1"):
        slide.read(1, 700, 0, 51, 10)
    slide.close()
    slide.close()


class Glass:
    """A reader of a slide whose right half was not scanned, and whose next columns half."""

    name, vendor, scale, objective = "fake", "fake", None, None
    pyramid = Pyramid(((100, 80),))

    def read(self, level, left, top, width, height):
        rgba = np.full((80, 100, 4), 100, np.uint8)
        rgba[..., 3] = 255
        rgba[:, 48:50, 3] = 51
        rgba[:, 50:] = 0
        return rgba[top : top + height, left : left + width]

    def close(self):
        pass


def test_what_was_not_scanned_is_white(tmp_path):
    slide = Slide(tmp_path / "a.mrxs", Glass(), (0.5, 0.5), "table")
    rgb, scanned = slide.read(0, 40, 0, 20, 5)
    assert rgb[0, :8].tolist() == [[100] * 3] * 8
    assert rgb[0, 8:10].tolist() == [[224] * 3] * 2  # (100 * 51 + 255 * 204) / 255
    assert (rgb[:, 10:] == 255).all()
    assert scanned[0].tolist() == [True] * 10 + [False] * 10
    assert slide.read(0, 0, 0, 20, 5)[1] is None


# Overview


@pytest.mark.parametrize("target", [4.0, 3.3, 12.0])
def test_an_overview_covers_the_whole_slide(slide_file, target):
    with open_slide(slide_file) as slide:
        overview = read_overview(slide, target)
    height, width = overview.pixels.shape[:2]
    assert (width, height) == (round(1500 * 0.5 / target), round(1200 * 0.5 / target))
    assert overview.mpp == pytest.approx(target, rel=0.02)
    assert not overview.unreadable.any()
    for column in range(30):
        for row in range(24):
            x, y = (column + 0.5) / 30 * width, (row + 0.5) / 24 * height
            assert cell_at(overview.pixels[int(y), int(x)]) == (column, row)


# Real slides


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "reader", "size", "mpp"),
    [
        ("camelyon-overview.dcm", "openslide", (1152, 700), 28.9685),
        ("cmu-1-small-region.svs", "openslide", (2220, 2967), 0.499),
        ("kidney-48-5.tif", "image", (1493, 901), None),
        ("mosaic-crc.tif", "openslide", (5888, 4864), 0.5),
        ("mosaic-osteosarcoma.svs", "openslide", (6000, 5000), 1.0),
        ("tcga-cr-7395-01a-01-ts1.svs", "openslide", (4443, 3567), None),
        ("test3-tritc-2-560-fluorescence.ndpi", "openslide", (3968, 4864), 0.228175),
    ],
)
def test_real_slides_open_with_the_facts_of_their_card(shared_data, name, reader, size, mpp):
    path = shared_data / "data" / "slides" / name
    opened = open_reader(path)
    assert (opened.name, opened.pyramid.sizes[0]) == (reader, size)
    opened.close()
    if mpp is None:
        with pytest.raises(InputError, match=name):
            open_slide(path)
    else:
        with open_slide(path) as slide:
            assert slide.mpp0 == pytest.approx(mpp, rel=1e-4)
