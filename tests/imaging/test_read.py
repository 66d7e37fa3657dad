"""Image files come back as they are, or are converted with a note."""

from __future__ import annotations

import io
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import NAME, PIXELS, RNG, encode, png, quiet, tiff
from PIL import Image

from histograft.imaging.read import decode_image


class TestWhole:
    @pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
    def test_lossless_rgb_comes_back_as_it_is(self, form: str) -> None:
        image = quiet(encode(PIXELS, form))
        np.testing.assert_array_equal(image.pixels, PIXELS)
        assert (image.format, image.mode, image.notes) == (form, "RGB", ())
        assert image.quantization is None
        assert image.pixels.dtype == np.uint8

    @pytest.mark.parametrize(
        "compression", ["packbits", "tiff_lzw", "tiff_adobe_deflate", "raw", None]
    )
    def test_lossless_tiff(self, compression: str | None) -> None:
        data = encode(PIXELS, "TIFF", compression=compression)
        np.testing.assert_array_equal(quiet(data).pixels, PIXELS)

    def test_lossless_webp(self) -> None:
        data = encode(PIXELS, "WEBP", lossless=True, exact=True)
        np.testing.assert_array_equal(quiet(data).pixels, PIXELS)

    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize("subsampling", [0, 2])
    def test_jpeg_with_its_quantization_tables(self, progressive: bool, subsampling: int) -> None:
        data = encode(PIXELS, "JPEG", quality=60, progressive=progressive, subsampling=subsampling)
        image = quiet(data)
        reference = Image.open(io.BytesIO(data))
        np.testing.assert_array_equal(image.pixels, np.asarray(reference))
        assert image.quantization is not None
        assert {k: list(t) for k, t in enumerate(image.quantization)} == reference.quantization
        # Annex K of the JPEG standard scaled to quality 60: the DC step is 16 * 80 / 100.
        assert image.quantization[0][0] == 13

    def test_grey_jpeg_has_one_table(self) -> None:
        image = quiet(encode(PIXELS[..., 0], "JPEG"))
        assert image.quantization is not None
        assert len(image.quantization) == 1
        assert image.notes == ("grey converted to RGB",)

    def test_name_does_not_matter(self) -> None:
        assert quiet(encode(PIXELS, "JPEG")).format == "JPEG"  # although NAME ends in .png

    def test_threads_leave_pillows_limit_and_the_filters_of_warnings_as_they_were(self) -> None:
        pixels = PIXELS[:4, :4]
        files = [encode(pixels, form) for form in ("PNG", "TIFF", "BMP")] * 200
        filters = list(warnings.filters)
        limit = Image.MAX_IMAGE_PIXELS
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(8) as threads:
                decoded = list(
                    threads.map(lambda data: decode_image(data, NAME, max_pixels=10**9), files)
                )
        finally:
            sys.setswitchinterval(interval)
        assert all(np.array_equal(image.pixels, pixels) for image in decoded)
        assert warnings.filters == filters
        assert limit == Image.MAX_IMAGE_PIXELS


class TestConverted:
    def test_grey(self) -> None:
        image = quiet(encode(PIXELS[..., 0]))
        np.testing.assert_array_equal(image.pixels, np.repeat(PIXELS[..., :1], 3, axis=2))
        assert image.notes == ("grey converted to RGB",)

    def test_one_bit(self) -> None:
        bits = PIXELS[..., 0] > 127
        image = quiet(encode(Image.fromarray(bits)))
        np.testing.assert_array_equal(image.pixels[..., 1], bits * 255)
        assert (image.mode, image.notes) == ("1", ("grey converted to RGB",))

    @pytest.mark.parametrize("depth", [1, 2, 4])
    def test_grey_of_few_bits_spans_black_to_white(self, depth: int) -> None:
        data = png(8, 1, depth, 0, b"\0" + b"\xff" * depth)
        assert quiet(data).pixels.min() == 255

    def test_palette(self) -> None:
        palette = Image.fromarray(PIXELS).quantize(16)
        image = quiet(encode(palette))
        np.testing.assert_array_equal(image.pixels, np.asarray(palette.convert("RGB")))
        assert (image.mode, image.notes) == ("P", ("palette converted to RGB",))

    @pytest.mark.parametrize("form", ["PNG", "GIF"])
    def test_palette_with_transparent_index(self, form: str) -> None:
        palette = Image.fromarray(np.zeros((4, 4), np.uint8), "P")
        palette.putpalette([9, 8, 7, 1, 2, 3])
        palette.putpixel((0, 0), 1)
        image = quiet(encode(palette, form, transparency=1))
        assert image.pixels[0, 0].tolist() == [255, 255, 255]
        assert image.pixels[1, 1].tolist() == [9, 8, 7]
        assert image.notes == ("transparency laid on white",)

    def test_palette_with_alpha_of_each_color(self) -> None:
        # Pillow warns of these when they are converted to RGB.
        palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        palette.putpalette([0, 0, 0, 0, 0, 0])
        image = quiet(encode(palette, transparency=bytes([255, 127])))
        assert image.pixels[0].tolist() == [[0, 0, 0], [128, 128, 128]]
        assert image.notes == ("transparency laid on white",)

    def test_rgba_is_laid_on_white(self) -> None:
        alpha = RNG.integers(0, 256, PIXELS.shape[:2]).astype(np.uint8)
        image = quiet(encode(np.dstack([PIXELS, alpha])))
        weight = alpha[..., None] / 255
        exact = PIXELS * weight + 255 * (1 - weight)
        assert np.abs(image.pixels - exact).max() <= 1
        assert (image.mode, image.notes) == ("RGBA", ("transparency laid on white",))

    @pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
    def test_opaque_alpha_is_dropped_without_a_note(self, form: str) -> None:
        options = {"lossless": True, "exact": True} if form == "WEBP" else {}
        opaque = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
        image = quiet(encode(opaque, form, **options))
        np.testing.assert_array_equal(image.pixels, PIXELS)
        assert image.notes == ()

    @pytest.mark.parametrize("form", ["PNG", "TIFF"])
    def test_grey_with_alpha(self, form: str) -> None:
        grey_alpha = np.array([[[0, 0], [100, 255]]], np.uint8)
        image = quiet(encode(Image.fromarray(grey_alpha, "LA"), form))
        assert image.pixels[0].tolist() == [[255] * 3, [100] * 3]
        assert image.mode == "LA"

    def test_premultiplied_alpha_of_tiff(self) -> None:
        associated, unassociated = 1, 2  # values of the tag ExtraSamples
        straight = np.array([[[200, 100, 50, 128], [7, 8, 9, 255]]], np.uint8)
        multiplied = np.array([[[100, 50, 25, 128], [7, 8, 9, 255]]], np.uint8)
        first = quiet(tiff(multiplied, alpha=associated))
        second = quiet(tiff(straight, alpha=unassociated))
        for image in (first, second):
            exact = np.array([200, 100, 50]) * 128 / 255 + 127
            assert np.abs(image.pixels[0, 0] - exact).max() <= 2
            assert image.pixels[0, 1].tolist() == [7, 8, 9]

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_orientation_tag(self, form: str, orientation: int) -> None:
        # The table of the EXIF standard: where row 0 and column 0 of the file belong.
        upright = {
            1: lambda a: a,
            2: lambda a: a[:, ::-1],
            3: lambda a: a[::-1, ::-1],
            4: lambda a: a[::-1],
            5: lambda a: a.swapaxes(0, 1),
            6: lambda a: np.rot90(a, -1),
            7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
            8: lambda a: np.rot90(a, 1),
        }[orientation]
        block = np.kron(np.array([[10, 90, 170], [50, 130, 250]]), np.ones((16, 16)))
        pixels = np.repeat(block.astype(np.uint8)[..., None], 3, axis=2)
        if form == "TIFF":
            options: dict = {"tiffinfo": {274: orientation}}
        else:
            exif = Image.Exif()
            exif[274] = orientation
            options = {"exif": exif} | ({"lossless": True} if form == "WEBP" else {})
        image = quiet(encode(pixels, form, **options))
        expected = upright(pixels)
        assert image.pixels.shape == expected.shape
        assert np.abs(image.pixels.astype(int) - expected).max() <= 3
        turned = "turned upright by its orientation tag" in image.notes
        assert turned == (orientation != 1)
