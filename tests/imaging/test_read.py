"""Every way in which an image file is odd: converted with a note, or refused with a reason."""

from __future__ import annotations

import io
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from histograft.core.errors import ImageError, InputError
from histograft.imaging.read import FORMATS, decode_image, decode_mask

NAME = "class é/patch 1.png"
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (37, 53, 3)).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, form: str = "PNG", **options: object) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    """A PNG file by its specification, also of kinds that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def png16(color: int, channels: int, low: int = 0, high: int = 65536) -> bytes:
    row = RNG.integers(low, high, 6 * channels).astype(">u2").tobytes()
    return png(6, 4, 16, color, (b"\0" + row) * 4)


def tiff(samples: np.ndarray, sample_format: int = 1, *, alpha: int | None = None) -> bytes:
    """An uncompressed TIFF file by its specification (grey or RGB of any depth, with alpha)."""
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    bits = samples.dtype.itemsize * 8
    body = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    extra = 8 + len(body)
    depths = struct.pack("<H", bits) * channels
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, bits if channels < 3 else extra),
        (259, 3, 1, 1),
        (262, 3, 1, 1 if channels == 1 else 2),
        (273, 4, 1, 8),
        (277, 3, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(body)),
        *([] if alpha is None else [(338, 3, 1, alpha)]),
        (339, 3, 1, sample_format),
    ]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, extra + len(depths)) + body + depths + directory


def reason_of(data: bytes, decode: Callable = decode_image) -> str:
    """Reason of the refusal; its message names the file and a fix, and nothing is warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            decode(data, NAME)
    assert NAME in caught.value.problem
    assert caught.value.fix
    return caught.value.reason


def quiet(data: bytes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return decode_image(data, NAME)


def outcome(data: bytes):
    try:
        return quiet(data)
    except ImageError as error:
        return error


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


class TestRefused:
    def test_zero_bytes(self) -> None:
        assert reason_of(b"") == "empty"

    @pytest.mark.parametrize(
        "data",
        [
            b"file,label\na.png,TUM\n",
            b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b"\0" * 100,
        ],
        ids=["text", "svg", "eps", "zeros"],
    )
    def test_other_files(self, data: bytes) -> None:
        assert reason_of(data) == "unreadable"

    @pytest.mark.parametrize("form", ["PPM", "TGA", "PCX", "JPEG2000", "ICO"])
    def test_formats_that_hide_their_depth_or_are_none_of_ours(self, form: str) -> None:
        assert form not in FORMATS
        assert reason_of(encode(PIXELS, form)) == "unreadable"

    @pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
    def test_16_bit_png(self, color: int, channels: int) -> None:
        assert reason_of(png16(color, channels)) == "depth"

    def test_16_bit_png_with_small_values(self) -> None:
        # 12-bit cameras write such files; Pillow gives them as almost black 8-bit images.
        assert reason_of(png16(2, 3, high=4096)) == "depth"

    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.uint32])
    def test_deep_tiff(self, dtype: type, channels: int) -> None:
        shape = (4, 6) if channels == 1 else (4, 6, 3)
        kind = 3 if np.issubdtype(dtype, np.floating) else 1
        data = tiff(RNG.integers(0, 255, shape).astype(dtype), kind)
        # Where Pillow cannot open a kind at all, the file counts as damaged.
        assert reason_of(data) in {"depth", "truncated"}

    @pytest.mark.parametrize("channels", [1, 3])
    def test_16_bit_tiff_is_told_by_its_depth(self, channels: int) -> None:
        shape = (4, 6) if channels == 1 else (4, 6, 3)
        assert reason_of(tiff(RNG.integers(0, 65535, shape).astype(np.uint16))) == "depth"

    def test_float_tiff_is_told_by_its_depth(self) -> None:
        assert reason_of(tiff(RNG.random((4, 6)).astype(np.float32), 3)) == "depth"

    def test_8_bit_tiff_of_the_same_writer_is_read(self) -> None:
        np.testing.assert_array_equal(quiet(tiff(PIXELS)).pixels, PIXELS)

    @pytest.mark.parametrize("form", ["JPEG", "TIFF"])
    def test_cmyk(self, form: str) -> None:
        assert reason_of(encode(Image.new("CMYK", (8, 8), (1, 2, 3, 4)), form)) == "cmyk"

    def test_lab_tiff(self) -> None:
        assert reason_of(encode(Image.new("LAB", (8, 8)), "TIFF")) == "mode"

    @pytest.mark.parametrize("form", ["TIFF", "GIF", "WEBP", "PNG"])
    def test_several_pages(self, form: str) -> None:
        pages = [Image.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (0, 90, 200)]
        data = encode(pages[0], form, save_all=True, append_images=pages[1:])
        assert reason_of(data) == "pages"
        with pytest.raises(ImageError, match="3 pages"):
            decode_image(data, NAME)

    def test_tiny_file_that_claims_3600_million_pixels(self) -> None:
        data = png(60_000, 60_000, 8, 2, b"")
        assert len(data) < 100
        assert reason_of(data) == "bomb"

    def test_tiff_that_claims_3600_million_pixels(self) -> None:
        data = bytearray(tiff(PIXELS))
        start = struct.unpack_from("<I", data, 4)[0] + 2
        for entry in (0, 1):  # width and height
            struct.pack_into("<I", data, start + 12 * entry + 8, 60_000)
        assert reason_of(bytes(data)) == "bomb"

    def test_limit_is_the_callers(self) -> None:
        data = encode(PIXELS)
        n_pixels = PIXELS.shape[0] * PIXELS.shape[1]
        assert decode_image(data, NAME, max_pixels=n_pixels).pixels.shape == PIXELS.shape
        with pytest.raises(ImageError, match="pixels"):
            decode_image(data, NAME, max_pixels=n_pixels - 1)

    def test_limit_may_be_above_that_of_pillow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        np.testing.assert_array_equal(quiet(encode(PIXELS)).pixels, PIXELS)
        assert Image.MAX_IMAGE_PIXELS == 100

    def test_user_may_have_removed_the_limit_of_pillow(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        assert reason_of(png(60_000, 60_000, 8, 2, b"")) == "bomb"
        assert Image.MAX_IMAGE_PIXELS is None

    def test_setting_of_pillow_that_invents_pixels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        with pytest.raises(InputError, match="LOAD_TRUNCATED_IMAGES"):
            decode_image(encode(PIXELS), NAME)


WHOLE = {
    "png": encode(PIXELS),
    "jpeg": encode(PIXELS, "JPEG"),
    "progressive": encode(PIXELS, "JPEG", progressive=True),
    "tiff": encode(PIXELS, "TIFF"),
    "lzw": encode(PIXELS, "TIFF", compression="tiff_lzw"),
    "bmp": encode(PIXELS, "BMP"),
    "webp": encode(PIXELS, "WEBP", lossless=True),
    "gif": encode(Image.fromarray(PIXELS).quantize(64), "GIF"),
}


class TestDamaged:
    @pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
    @pytest.mark.parametrize("kind", WHOLE)
    def test_cut_off(self, kind: str, share: float) -> None:
        data = WHOLE[kind]
        assert reason_of(data[: max(4, int(len(data) * share))]) in {"truncated", "unreadable"}

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    @pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "lzw"])
    def test_cut_off_files_of_common_formats_are_called_so(self, kind: str, share: float) -> None:
        data = WHOLE[kind]
        assert reason_of(data[: int(len(data) * share)]) == "truncated"

    @pytest.mark.parametrize("kind", WHOLE)
    @given(share=st.floats(0, 1, exclude_max=True))
    @settings(max_examples=60)
    def test_no_cut_invents_pixels(self, kind: str, share: float) -> None:
        data = WHOLE[kind]
        whole = quiet(data).pixels
        cut = outcome(data[: int(len(data) * share)])
        if isinstance(cut, ImageError):
            assert NAME in cut.problem
        else:
            # Only what follows the pixels may be missing.
            np.testing.assert_array_equal(cut.pixels, whole)

    @pytest.mark.parametrize("kind", WHOLE)
    @given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=6))
    @settings(max_examples=60)
    def test_flipped_bytes_give_an_image_or_our_error(
        self, kind: str, flips: list[tuple[float, int]]
    ) -> None:
        data = bytearray(WHOLE[kind])
        for place, flip in flips:
            data[int(place * (len(data) - 1))] ^= flip
        result = outcome(bytes(data))
        assert not isinstance(result, ImageError) or NAME in result.problem

    @given(data=st.binary(max_size=80), magic=st.sampled_from(sorted(WHOLE)))
    @settings(max_examples=80)
    def test_rubbish_behind_a_good_beginning(self, data: bytes, magic: str) -> None:
        with pytest.raises(ImageError):
            quiet(WHOLE[magic][:12] + data)


class TestMask:
    def test_palette_indices_are_codes(self) -> None:
        codes = RNG.integers(0, 7, (9, 11)).astype(np.uint8)
        mask = Image.fromarray(codes, "P")
        mask.putpalette(list(RNG.permutation(256 * 3) % 256))
        np.testing.assert_array_equal(decode_mask(encode(mask), NAME), codes)

    @pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
    def test_grey_values_are_codes(self, form: str) -> None:
        codes = RNG.integers(0, 256, (9, 11)).astype(np.uint8)
        result = decode_mask(encode(codes, form), NAME)
        np.testing.assert_array_equal(result, codes)
        assert result.dtype == np.uint8

    @pytest.mark.parametrize("form", ["PNG", "TIFF"])
    def test_codes_of_16_bits(self, form: str) -> None:
        codes = RNG.integers(0, 65536, (9, 11)).astype(np.uint16)
        result = decode_mask(encode(codes, form), NAME)
        np.testing.assert_array_equal(result, codes)
        assert result.dtype.isnative
        assert result.dtype.kind in "iu"

    def test_one_bit_gives_zero_and_one(self) -> None:
        bits = RNG.random((9, 11)) > 0.5
        result = decode_mask(encode(Image.fromarray(bits)), NAME)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, bits)

    @pytest.mark.parametrize("depth", [2, 4])
    def test_grey_of_few_bits_may_be_codes_or_shades(self, depth: int) -> None:
        # Pillow reads the sample 1 of 4 bits as 17, of 2 bits as 85: right for an image only.
        data = png(8, 1, depth, 0, b"\0" + b"\x1b" * depth)
        assert reason_of(data, decode_mask) == "mask"
        assert quiet(data).pixels.shape == (1, 8, 3)

    def test_palette_of_few_bits_holds_codes(self) -> None:
        codes = np.array([[0, 1, 2, 3]], np.uint8)
        image = Image.fromarray(codes).convert("P")
        image.putpalette([0, 0, 0, 9, 9, 9, 50, 50, 50, 255, 255, 255])
        np.testing.assert_array_equal(decode_mask(encode(image, bits=2), NAME), codes)

    def test_is_turned_like_its_image(self) -> None:
        codes = np.arange(6, dtype=np.uint8).reshape(2, 3)
        exif = Image.Exif()
        exif[274] = 6
        turned = decode_mask(encode(codes, exif=exif), NAME)
        image = decode_image(encode(codes, exif=exif), NAME)
        np.testing.assert_array_equal(turned, np.rot90(codes, -1))
        np.testing.assert_array_equal(turned, image.pixels[..., 0])

    @pytest.mark.parametrize(
        "data",
        [
            encode(PIXELS),
            encode(np.dstack([PIXELS, PIXELS[..., 0]])),
            tiff(np.ones((3, 3), np.float32), 3),
            encode(PIXELS[..., 0], "JPEG"),
        ],
        ids=["rgb", "rgba", "float", "jpeg"],
    )
    def test_what_cannot_be_codes(self, data: bytes) -> None:
        assert reason_of(data, decode_mask) == "mask"

    def test_damage_is_found(self) -> None:
        data = encode(PIXELS[..., 0])
        assert reason_of(data[: len(data) // 2], decode_mask) == "truncated"
        assert reason_of(b"", decode_mask) == "empty"
