"""One self-contained report page: no script, no network, nothing beside the file."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from histograft.core.errors import InputError
from histograft.figures.formats import format_column, is_numeric, is_p_column
from histograft.figures.style import DPI

CSS_PX_PER_IN = 96
# A picture may shrink to this share of its size on a narrow screen, then it scrolls.
SMALLEST_SHARE = 0.62
# Cells up to this many letters are not broken into lines.
SHORT_CELL = 28


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes
    ----------
    file : pathlib.Path
        A PNG file; it is copied into the page.
    caption : str
        What to see in it, and how to read it.
    alt : str
        What it shows, for those who cannot see it; never empty.
    narrow : pathlib.Path or None
        Another PNG for screens narrower than 700 px.
    """

    file: Path
    caption: str
    alt: str
    narrow: Path | None = None


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes
    ----------
    frame : pandas.DataFrame
        Numbers are set with three significant digits, columns of p values as such; missing
        values as a dash. The index is not shown.
    caption : str
        What the table holds.
    help : mapping of str to str
        For a column what it means; shown on demand beneath the table.
    headers : mapping of str to str
        For a column what to write above it instead of its name.
    """

    frame: pd.DataFrame
    caption: str
    help: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    title : str
        Its heading.
    text : tuple of str
        Paragraphs. Text between backquotes is set as code; ``https://`` addresses become links.
    figures : tuple of Picture
        After the text.
    tables : tuple of Table
        After the figures.
    code : tuple of str
        Blocks of commands, after the tables.
    """

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    code: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes
    ----------
    title : str
        Heading of the page.
    verdict : str
        The answer in one sentence; it stands first.
    notices : tuple of str
        What a reader must know before believing a number, such as "the data are synthetic".
    sections : tuple of Section
        In order.
    facts : mapping of str to str
        Protocol, resampling unit, seed, versions …
    footer : mapping of str to str
        Roles and ids of the artefacts behind the page.
    language : str
        BCP 47 tag of its text.
    """

    title: str
    verdict: str
    notices: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    footer: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"


def render_page(page: Page) -> str:
    """Return the page as HTML that needs no other file.

    Everything that comes from outside (names of classes, data sets, models) is escaped. The
    page fits screens from 320 px on, follows the reader's light or dark scheme, and prints.

    Parameters
    ----------
    page : Page
        What to show.

    Returns
    -------
    str
        The content of ``index.html``, to be written as UTF-8; the same page gives the same text.

    Raises
    ------
    InputError
        A figure is no PNG or has no alternative text.

    Examples
    --------
    >>> html = render_page(Page("Report", "Tuning helped <here>."))
    >>> "Tuning helped &lt;here&gt;." in html
    True
    """
    return _environment().get_template("report.html.j2").render(page=page)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("histograft.figures", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rich"] = _rich_text
    environment.filters["picture"] = _picture
    environment.filters["cells"] = _table_cells
    return environment


_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"https://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]]")


def _rich_text(text: str) -> Markup:
    # Split before escaping, so that an address keeps its "&" and code its "<".
    pieces: list[Markup] = []
    for index, piece in enumerate(_CODE.split(text)):
        if index % 2:
            pieces.append(Markup("<code>{}</code>").format(piece))
        else:
            pieces.append(_with_links(piece))
    return Markup("").join(pieces)


def _with_links(text: str) -> Markup:
    pieces: list[Markup] = []
    end = 0
    for match in _LINK.finditer(text):
        link = Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(match.group())
        pieces += [escape(text[end : match.start()]), link]
        end = match.end()
    return Markup("").join([*pieces, escape(text[end:])])


def _picture(picture: Picture) -> dict[str, Any]:
    if not picture.alt.strip():
        raise InputError(f"{picture.file} has no alternative text", "describe what it shows")
    wide = _png(picture.file)
    return {**wide, "narrow": None if picture.narrow is None else _png(picture.narrow)}


def _png(file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        raise InputError(f"{file} is no PNG file", "save the figure with `save_figure`")
    width, height = struct.unpack(">II", data[16:24])
    scale = CSS_PX_PER_IN / DPI
    return {
        "source": "data:image/png;base64," + base64.b64encode(data).decode(),
        "width": round(width * scale),
        "height": round(height * scale),
        "least": round(width * scale * SMALLEST_SHARE),
    }


def _table_cells(table: Table) -> dict[str, Any]:
    frame = table.frame
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    texts = [format_column(column, p=is_p_column(column.name)) for column in columns]
    first = texts[0] if texts else []
    return {
        "heads": [
            {
                "text": table.headers.get(str(c.name), str(c.name).replace("_", " ")),
                "numeric": is_numeric(c),
            }
            for c in columns
        ],
        "rows": [
            {
                "cells": [{"text": cell, "short": len(cell) <= SHORT_CELL} for cell in cells],
                "starts": i > 0 and cells[0] != first[i - 1],
            }
            for i, cells in enumerate(zip(*texts, strict=True))
        ],
        "grouped": len(set(first)) < len(first),
        "help": [
            (table.headers.get(str(c.name), str(c.name).replace("_", " ")), table.help[str(c.name)])
            for c in columns
            if str(c.name) in table.help
        ],
    }
