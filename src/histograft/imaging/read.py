"""Decode image files into 8-bit RGB, or say why not.

Nothing is guessed: an image whose colors would depend on a choice (16 bits, CMYK, several pages)
is refused with a reason; what has one meaning only (palette, grey) is converted with a note.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from histograft.core.errors import ImageError

MAX_PIXELS = 200_000_000
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX"})
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_CMYK_FIX = "convert it to RGB with its color profile first"
_ORIENTATION = 0x0112


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
    """Decode an image file.

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
    image = _open(data, name, max_pixels)
    mode, form = image.mode, image.format or "unknown"
    if mode == "CMYK" or mode == "YCCK":
        raise ImageError("cmyk", f"{name} is in CMYK colors", _CMYK_FIX)
    if _bits(image) > 8:
        raise ImageError(
            "depth",
            f"{name} has more than 8 bits per channel (mode {mode})",
            "convert it to 8 bits with a stated range, or leave it out",
        )
    if mode not in _EIGHT_BIT_MODES:
        raise ImageError("mode", f"{name} has the pixel mode {mode}", "convert it to 8-bit RGB")
    tables = getattr(image, "quantization", None)
    quantization = None
    if tables:
        quantization = tuple(tuple(int(v) for v in tables[key]) for key in sorted(tables))
    _load(image, name)
    rgb, notes = _to_rgb(image)
    return DecodedImage(np.asarray(rgb), form, mode, quantization, notes)


def decode_mask(data: bytes, name: str) -> NDArray[np.integer]:
    """Decode a label mask: palette indices or grey values are class codes.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        Its name, for messages.

    Returns
    -------
    array of uint8, uint16 or int32, shape (H, W)
        Class codes.

    Raises
    ------
    ImageError
        With a reason of `decode_image`, or ``mask`` where the file has several channels.
    """
    image = _open(data, name, MAX_PIXELS)
    if len(image.getbands()) != 1 or image.mode == "F":
        raise ImageError(
            "mask",
            f"{name} has the pixel mode {image.mode}; a label mask has one code per pixel",
            "save it as a grey or palette PNG whose values are class codes",
        )
    _load(image, name)
    codes = np.asarray(image)
    return codes.astype(np.uint8) if codes.dtype == bool else codes


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    if not data:
        raise ImageError("empty", f"{name} is an empty file", "copy it again from its source")
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a bomb up to twice its own limit; ours is checked below.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise _bomb(name, max_pixels) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            "unreadable", f"{name} is not an image that can be read", "convert it to PNG or JPEG"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(
            "truncated", f"{name} is cut off or damaged ({error})", "copy it again from its source"
        ) from error
    if image.width * image.height > max_pixels:
        raise _bomb(name, max_pixels)
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError(
            "pages",
            f"{name} has {image.n_frames} pages; which one is meant is not known",  # type: ignore[attr-defined]
            "save the page that is meant as a file of its own",
        )
    return image


def _bomb(name: str, max_pixels: int) -> ImageError:
    return ImageError(
        "bomb",
        f"{name} has more than {max_pixels:,} pixels, which may be an attack on memory",
        "raise --max-image-px if you trust the file; whole slides are read in another way",
    )


def _bits(image: Image.Image) -> int:
    """Bits per channel: Pillow hides them behind its mode for some formats."""
    if image.mode.startswith(("I", "F")):
        return 16
    bits = getattr(image, "tag_v2", {}).get(258, (8,))  # TIFF BitsPerSample
    if image.format == "PNG" and getattr(image, "png", None) is not None:
        raw = image.tile[0].args if image.tile else ""
        return 16 if "16" in str(raw) else 8
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _load(image: Image.Image, name: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert not ImageFile.LOAD_TRUNCATED_IMAGES
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise ImageError(
            "truncated", f"{name} is cut off or damaged ({error})", "copy it again from its source"
        ) from error


def _to_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    notes = []
    if image.getexif().get(_ORIENTATION, 1) != 1:
        # Cameras turn the picture by a tag; patches and masks would no longer fit each other.
        image = ImageOps.exif_transpose(image)
        notes.append("turned upright by its orientation tag")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] < 255:  # type: ignore[operator]
            notes.append("transparency laid on white")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB"), tuple(notes)
    if image.mode == "P":
        notes.append("palette converted to RGB")
    elif image.mode in ("L", "1"):
        notes.append("grey converted to RGB")
    return image.convert("RGB"), tuple(notes)
