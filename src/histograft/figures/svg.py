"""SVG as small as it can be without a visible loss: text as text, short numbers, small pixels."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

# More colors than a palette holds means a photograph.
PALETTE_COLORS = 256
CLEAR_COLORS = 128
JPEG_QUALITY = 84

_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_PROLOGUE = re.compile(r"^<\?xml.*?\?>\s*<!DOCTYPE.*?>\s*", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_BETWEEN_TAGS = re.compile(r">\s*\n\s*<")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?![\d.]*e)")
_GROUP_NAME = re.compile(r' id="[A-Za-z0-9.]+_\d+"')
_NO_TURN = re.compile(r' transform="rotate\(-?0 [^)]*\)"')
_RASTER = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_QUOTED = re.compile(r"=\"([^\"']*)\"")
_ID = re.compile(r" id='([\w.]+)'")
_REFERENCE = re.compile(r"(href='|url\()#([\w.]+)")
_PIXELATED = re.compile(r' style="image-rendering:[^"]*"')
_FAMILY = re.compile(r" ?font-family: ([^;\"]*);?")
_STYLE = '<style type="text/css">'


def compact_svg(svg: str) -> str:
    r"""Rewrite an SVG of matplotlib so that it looks the same and is several times as small.

    Coordinates are rounded to a hundredth of a point; names of groups, line ends and metadata
    go; the font is named once; pixels inside are stored as JPEG where they are a photograph and
    with a palette where they are not.

    Parameters
    ----------
    svg : str
        As matplotlib writes it with ``svg.fonttype`` "none".

    Returns
    -------
    str
        One line of SVG; the same input gives the same text.

    Examples
    --------
    >>> compact_svg('<svg>\n <g id="axes_1">\n  <path d="M 1.23456 2 \nL 3 4"/></g></svg>')
    "<svg><g><path d='M 1.23 2 L 3 4'/></g></svg>"
    """
    svg = _COMMENT.sub("", _METADATA.sub("", _PROLOGUE.sub("", svg)))
    svg = _font_named_once(svg)
    svg = _numbered_ids(_TAG.sub(_compact_tag, svg))
    return _BETWEEN_TAGS.sub("><", svg).strip()


def _numbered_ids(svg: str) -> str:
    """Give ids numbers; those of matplotlib hang on digits that were rounded away."""
    ids = {name: f"i{n}" for n, name in enumerate(dict.fromkeys(_ID.findall(svg)))}
    svg = _ID.sub(lambda match: f" id='{ids[match.group(1)]}'", svg)
    return _REFERENCE.sub(lambda match: f"{match.group(1)}#{ids[match.group(2)]}", svg)


def _font_named_once(svg: str) -> str:
    families = _FAMILY.findall(svg)
    if not families or len(set(families)) > 1:
        return svg
    return _FAMILY.sub("", svg).replace(_STYLE, f"{_STYLE}text{{font-family: {families[0]}}} ", 1)


def _compact_tag(match: re.Match[str]) -> str:
    tag = match.group()
    if tag.startswith("<image"):
        return _compact_image(tag)
    tag = _NO_TURN.sub("", _GROUP_NAME.sub("", tag))
    tag = _LONG_NUMBER.sub(_rounded, re.sub(r"\s+", " ", tag))
    return _QUOTED.sub(r"='\1'", tag)  # a page may then hold it as it is


def _rounded(match: re.Match[str]) -> str:
    number = float(match.group())
    text = f"{number:.{2 if abs(number) >= 1 else 4}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _compact_image(tag: str) -> str:
    found = _RASTER.search(tag)
    if found is None:
        return tag
    data, photograph = _compact_raster(base64.b64decode(found.group(1)))
    kind = "jpeg" if photograph else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    tag = _PIXELATED.sub("", tag) if photograph else tag
    return _QUOTED.sub(r"='\1'", tag.replace(found.group(), source))


def _compact_raster(png: bytes) -> tuple[bytes, bool]:
    """Return the smallest form of some pixels, and whether it is JPEG."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGBA")
    opaque = bool((np.asarray(image)[..., 3] == 255).all())
    few = image.getcolors(PALETTE_COLORS) is not None
    buffer = io.BytesIO()
    if opaque and not few:
        image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
        return buffer.getvalue(), True
    colors = PALETTE_COLORS if few else CLEAR_COLORS
    small = image.quantize(colors, method=Image.Quantize.FASTOCTREE)
    small.save(buffer, "PNG", optimize=True)
    return (buffer.getvalue(), False) if buffer.tell() < len(png) else (png, False)
