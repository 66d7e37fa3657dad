"""Label masks: codes come back as they are, and what cannot be codes is refused."""

from __future__ import annotations

import numpy as np
import pytest
from image_files import NAME, PIXELS, RNG, encode, png, quiet, reason_of, tiff
from PIL import Image

from histograft.imaging.read import decode_image, decode_mask


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
