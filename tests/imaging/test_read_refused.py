"""Image files that are too deep, too large, damaged or of no known kind are refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import (
    NAME,
    PIXELS,
    RNG,
    encode,
    outcome,
    png,
    png16,
    quiet,
    reason_of,
    tiff,
)
from PIL import Image, ImageFile

from histograft.core.errors import ImageError, InputError
from histograft.imaging.read import FORMATS, decode_image, read_size


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


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"file,label\n", "unreadable"),
        (png16(2, 3), "depth"),
        (tiff(RNG.integers(0, 255, (4, 6, 3)).astype(np.uint16)), "depth"),
        (encode(Image.new("CMYK", (4, 4)), "JPEG"), "cmyk"),
        (encode(PIXELS)[:20], "truncated"),
        (encode(np.zeros((200, 200, 3), np.uint8)), "bomb"),
    ],
    ids=["empty", "text", "png16", "tiff16", "cmyk", "cut", "bomb"],
)
def test_the_header_alone_tells(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_size(io.BytesIO(data), NAME, max_pixels=30_000)
    assert caught.value.reason == reason


@pytest.mark.parametrize("form", FORMATS)
def test_a_size_is_read_without_pixels(form: str) -> None:
    data = encode(PIXELS, form)
    # all of these but WebP and TIFF begin with their header: what follows is not needed
    whole = form in ("WEBP", "TIFF")
    file = io.BytesIO(data if whole else data[: max(1000, len(data) // 2)])
    assert read_size(file, NAME) == (PIXELS.shape[1], PIXELS.shape[0])
