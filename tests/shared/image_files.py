"""Image files by the specifications of their formats, and how they are decoded in tests."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from histograft.core.errors import ImageError
from histograft.imaging.read import DecodedImage, decode_image

NAME = "class é/patch 1.png"
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (37, 53, 3)).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, form: str = "PNG", **options: object) -> bytes:
    """An image file as Pillow writes it."""
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
    """A PNG file of 16 bits, 6 x 4 pixels."""
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


def quiet(data: bytes) -> DecodedImage:
    """Decode without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return decode_image(data, NAME)


def outcome(data: bytes) -> DecodedImage | ImageError:
    """Decode, or return our own error; any other is raised."""
    try:
        return quiet(data)
    except ImageError as error:
        return error
