"""Decode image files into 8-bit RGB, or say why not.

Nothing is guessed: an image whose colors would depend on a choice (16 bits, CMYK, several pages)
is refused with a reason; what has one meaning only (palette, grey) is converted with a note.
Color profiles are not applied: pixels keep the values of the file.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from histograft.core.errors import ImageError, InputError

MAX_PIXELS = 200_000_000
# Pillow reads some 40 formats and turns several deep ones into 8 bits without a word.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"RIFF", b"GIF8")
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"})
_ALPHA_MODES = frozenset({"LA", "PA", "RGBA"})
_PNG_DEPTH_BYTE = 24  # after signature, length, "IHDR", width and height
_TIFF_BITS = 258
_ORIENTATION = 0x0112
# What Pillow raises on damaged files, beside its own errors.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
_COPY_AGAIN = "copy it again from its source"
# Filters of warnings and Pillow's limit belong to the whole process, and files are also decoded
# in threads.
_PROCESS_WIDE = threading.Lock()


@dataclass(frozen=True)
class DecodedImage:
    """Pixels of an image file and what the file was.

    Attributes
    ----------
    pixels : array of uint8, shape (H, W, 3)
        RGB.
    format : str
        Format of the file as Pillow names it, such as ``"JPEG"``.
    mode : str
        Mode of the file as Pillow names it, such as ``"P"``.
    quantization : tuple of tuples of 64 int, or None
        JPEG quantization tables in the order of the file (natural order within a table).
    notes : tuple of str
        Conversions that were made.
    """

    pixels: NDArray[np.uint8]
    format: str
    mode: str
    quantization: tuple[tuple[int, ...], ...] | None
    notes: tuple[str, ...]


def decode_image(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode an image file: PNG, JPEG, TIFF, BMP, WebP or GIF, whatever its name says.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        Its name, for messages.
    max_pixels : int
        More pixels than this count as a decompression bomb.

    Returns
    -------
    DecodedImage
        8-bit RGB.

    Raises
    ------
    ImageError
        With the reason ``empty``, ``unreadable``, ``truncated``, ``bomb``, ``depth``, ``cmyk``,
        ``mode`` or ``pages``.

    Examples
    --------
    >>> buffer = io.BytesIO()
    >>> Image.new("L", (4, 2), 7).save(buffer, "PNG")
    >>> image = decode_image(buffer.getvalue(), "grey.png")
    >>> image.pixels.shape, image.mode, image.notes
    ((2, 4, 3), 'L', ('grey converted to RGB',))
    """
    image = _open(io.BytesIO(data), name, max_pixels)
    mode, form = image.mode, image.format or "unknown"
    _refuse_colors(image, data, name)
    tables = getattr(image, "quantization", None) or {}
    quantization = tuple(tuple(int(v) for v in tables[key]) for key in sorted(tables))
    upright, turned = _load(image, name)
    rgb, notes = _to_rgb(upright)
    if turned:
        notes = ("turned upright by its orientation tag", *notes)
    return DecodedImage(np.asarray(rgb), form, mode, quantization or None, notes)


def read_size(file: BinaryIO, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Read the size of an image file from its header, without decoding pixels.

    Parameters
    ----------
    file : binary file
        Open at its begin.
    name : str
        Its name, for messages.
    max_pixels : int
        More pixels than this count as a decompression bomb.

    Returns
    -------
    (width, height)
        As stored: an orientation tag, which may exchange them, is not looked at.

    Raises
    ------
    ImageError
        Where `decode_image` would refuse the file too, as far as the header tells.

    Examples
    --------
    >>> buffer = io.BytesIO()
    >>> Image.new("L", (4, 2), 7).save(buffer, "PNG")
    >>> buffer.seek(0)
    0
    >>> read_size(buffer, "grey.png")
    (4, 2)
    """
    head = file.read(_PNG_DEPTH_BYTE + 1)
    file.seek(0)
    image = _open(file, name, max_pixels)
    _refuse_colors(image, head, name)
    return image.size


def decode_mask(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int32]:
    """Decode a label mask: palette indices or grey values are class codes.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        Its name, for messages.
    max_pixels : int
        More pixels than this count as a decompression bomb.

    Returns
    -------
    array of uint8, uint16 or int32, shape (H, W)
        Class codes, 0 and 1 in a 1-bit file. Like an image, it is turned upright by an
        orientation tag.

    Raises
    ------
    ImageError
        With a reason of `decode_image`, or ``mask`` where the file has several channels,
        fractions, or grey values of 2 or 4 bits.

    Examples
    --------
    >>> buffer = io.BytesIO()
    >>> Image.new("L", (3, 2), 5).save(buffer, "PNG")
    >>> decode_mask(buffer.getvalue(), "mask.png").tolist()
    [[5, 5, 5], [5, 5, 5]]
    """
    image = _open(io.BytesIO(data), name, max_pixels)
    if len(image.getbands()) != 1 or image.mode == "F":
        raise ImageError(
            "mask",
            f"{name} has the pixel mode {image.mode}; a label mask has one code per pixel",
            "save it as a grey or palette PNG whose values are class codes",
        )
    if image.format == "JPEG":
        raise ImageError(
            "mask",
            f"{name} is a JPEG file, whose compression changes class codes",
            "save it as a grey or palette PNG whose values are class codes",
        )
    if image.mode == "L" and _bits(image, data) in (2, 4):
        # 1 of 4 bits may be the code 1 or the grey 17: writers differ in which they mean.
        raise ImageError(
            "mask",
            f"{name} has {_bits(image, data)} bits per grey value, which may be codes or shades",
            "save it as an 8-bit grey or palette PNG whose values are class codes",
        )
    upright, _ = _load(image, name)
    codes = np.asarray(upright)
    if codes.dtype == np.bool_:
        return codes.astype(np.uint8)
    return codes.astype(codes.dtype.newbyteorder("="), copy=False)


def _refuse_colors(image: Image.Image, head: bytes, name: str) -> None:
    """Refuse colors that are no 8-bit RGB; `head` are the file's first 25 bytes or more."""
    if image.mode == "CMYK":
        fix = "convert it to RGB with its color profile first"
        raise ImageError("cmyk", f"{name} is in CMYK colors", fix)
    if _bits(image, head) > 8:
        raise ImageError(
            "depth",
            f"{name} has more than 8 bits per channel (mode {image.mode})",
            "convert it to 8 bits with a stated range, or leave it out",
        )
    if image.mode not in _EIGHT_BIT_MODES:
        fix = "convert it to 8-bit RGB"
        raise ImageError("mode", f"{name} has the pixel mode {image.mode}", fix)


def _open(file: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    head = file.read(max(map(len, _MAGIC)))
    file.seek(0)
    if not head:
        raise ImageError("empty", f"{name} is an empty file", _COPY_AGAIN)
    try:
        with _quietly(), _pillow_limit(max_pixels):
            image = Image.open(file, formats=FORMATS)
            too_large = image.width * image.height > max_pixels
            pages = 1
            if not too_large and getattr(image, "is_animated", False):
                pages = int(getattr(image, "n_frames", 2))
    except Image.DecompressionBombError as error:
        raise _bomb(name, max_pixels) from error
    except UnidentifiedImageError as error:
        if head.startswith(_MAGIC):
            raise _damaged(name, "its header is not whole") from error
        raise ImageError(
            "unreadable",
            f"{name} is no image that can be read ({', '.join(FORMATS)})",
            "convert it to PNG or TIFF, or take it out",
        ) from error
    except _DAMAGE as error:
        raise _damaged(name, error) from error
    if too_large:
        raise _bomb(name, max_pixels)
    if pages > 1:
        raise ImageError(
            "pages",
            f"{name} has {pages} pages; which one is meant is not known",
            "save the page that is meant as a file of its own",
        )
    return image


def _load(image: Image.Image, name: str) -> tuple[Image.Image, bool]:
    """Decode the pixels and turn them upright; whether they were turned."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise InputError(
            "Pillow is set to fill truncated images with grey (LOAD_TRUNCATED_IMAGES)",
            "remove that setting, so that damaged files are found",
        )
    # Pillow turns TIFF itself while loading, and forgets the tag.
    tags = getattr(image, "tag_v2", {})
    orientation = tags.get(_ORIENTATION, 1)
    try:
        with _quietly() if tags else nullcontext():
            image.load()
        if "exif" in image.info:
            with _quietly():
                orientation = image.getexif().get(_ORIENTATION, 1)
                image = ImageOps.exif_transpose(image)
    except _DAMAGE as error:
        raise _damaged(name, error) from error
    return image, orientation in range(2, 9)


def _to_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = image.convert("RGBA")
        least_alpha = np.asarray(rgba.getchannel("A")).min(initial=255)
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        notes = ("transparency laid on white",) if least_alpha < 255 else ()
        return Image.alpha_composite(white, rgba).convert("RGB"), notes
    kind = {"P": "palette", "L": "grey", "1": "grey"}.get(image.mode)
    return image.convert("RGB"), () if kind is None else (f"{kind} converted to RGB",)


def _bits(image: Image.Image, head: bytes) -> int:
    """Bits per channel of the file; Pillow gives deep RGB as 8 bits without a word."""
    if image.mode.startswith(("I", "F")):
        return 16
    if image.format == "PNG":
        return head[_PNG_DEPTH_BYTE]
    stated = getattr(image, "tag_v2", {}).get(_TIFF_BITS, 8)
    return max(stated) if isinstance(stated, tuple) else int(stated)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Pillow's warnings of odd metadata away from users, who cannot act on them."""
    with _PROCESS_WIDE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Let Pillow read headers of images up to `max_pixels`; use inside `_quietly`."""
    before = Image.MAX_IMAGE_PIXELS
    if before is not None:
        Image.MAX_IMAGE_PIXELS = max(before, max_pixels)
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _bomb(name: str, max_pixels: int) -> ImageError:
    return ImageError(
        "bomb",
        f"{name} has more than {max_pixels:,} pixels, which may be an attack on memory",
        "raise --max-image-px if you trust the file; whole slides are read in another way",
    )


def _damaged(name: str, why: object) -> ImageError:
    return ImageError("truncated", f"{name} is cut off or damaged ({why})", _COPY_AGAIN)
