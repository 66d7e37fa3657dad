"""One self-contained report page: no script, no network, nothing beside the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from histograft.core.errors import InputError
from histograft.figures.formats import format_column, is_numeric, is_p_column

CSS_PX_PER_PT = 96 / 72
# A picture may shrink to this share of its size on a narrow screen, then it scrolls.
SMALLEST_SHARE = 0.62
# Cells up to this many letters are not broken into lines.
SHORT_CELL = 28
# A first column of so few letters needs no least width on a phone.
BRIEF_CELL = 12
# What may stand unescaped in a data address and in an attribute between double quotes.
_SAFE = " !$'()*+,-./:;=?@[]^_{|}~"
_SIZE = re.compile(r"<svg [^>]*?width='([\d.]+)pt' height='([\d.]+)pt'")


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes
    ----------
    panels : tuple of str
        SVG, a text for each panel. Panels stand side by side where the screen has room, one
        beneath the other where it has not.
    caption : str
        What to see in it, and how to read it.
    alt : str
        What it shows, for those who cannot see it; never empty.
    legend : str
        SVG of a legend for all panels, which stands above them; "" for none.
    """

    panels: tuple[str, ...]
    caption: str
    alt: str
    legend: str = ""


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
    group : str
        A column that is not shown: where it changes, its value stands as a heading across the
        table. "" for none.
    note : str
        A sentence beneath the table; "" for none.
    """

    frame: pd.DataFrame
    caption: str
    help: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    note: str = ""


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
    terms : mapping of str to str
        Words and what they mean, last.
    """

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    code: tuple[str, ...] = ()
    terms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes
    ----------
    title : str
        Heading of the page.
    verdict : str
        The answer in one sentence; it stands first.
    answers : tuple of str
        The answer in parts, as a list beneath the sentence; what stands before the first colon of
        a part is set apart.
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
    answers: tuple[str, ...] = ()
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
    environment.filters["panel"] = _panel
    environment.filters["head"] = _head_and_rest
    environment.filters["cells"] = _table_cells
    return environment


# No line ends between a number and its percent sign, nor around the sign of a p value.
_UNIT = re.compile(r"(?<=\d) (?=%)|(?<=\bp) (?=[=<] \d)|(?<=\bp [=<]) (?=\d)")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"https://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]]")


def _rich_text(text: str) -> Markup:
    # Split before escaping, so that an address keeps its "&" and code its "<".
    text = _UNIT.sub("\N{NO-BREAK SPACE}", text)
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


def _head_and_rest(text: str) -> tuple[str, str]:
    head, colon, rest = text.partition(": ")
    return (head + ":", rest) if colon else ("", text)


def _picture(picture: Picture) -> list[dict[str, Any]]:
    if not picture.alt.strip():
        raise InputError(
            f"the picture {picture.caption!r} has no alternative text", "describe what it shows"
        )
    return [_panel(svg) for svg in picture.panels]


def _panel(svg: str) -> dict[str, Any]:
    size = _SIZE.match(svg)
    if size is None:
        raise InputError(
            "a panel is no SVG with a size in points", "render the figure with `figure_bytes`"
        )
    width, height = (float(points) * CSS_PX_PER_PT for points in size.groups())
    return {
        # Less than base64, which would be a third more, and of what is base64 inside once again.
        "source": Markup("data:image/svg+xml," + quote(svg, safe=_SAFE)),
        "width": round(width),
        "height": round(height),
        "least": round(width * SMALLEST_SHARE),
    }


def _table_cells(table: Table) -> dict[str, Any]:
    frame = table.frame
    groups = list(frame[table.group]) if table.group else []
    shown = frame.drop(columns=table.group) if table.group else frame
    columns = [shown.iloc[:, i] for i in range(shown.shape[1])]
    names = [str(column.name) for column in columns]
    heads = [table.headers.get(name, name.replace("_", " ")) for name in names]
    texts = [format_column(column, p=is_p_column(column.name)) for column in columns]
    numeric = [
        is_numeric(column) or _are_numbers(cells)
        for column, cells in zip(columns, texts, strict=True)
    ]
    # An interval stays on one line; the number before it may stand above.
    texts = [
        [cell.replace(" to ", _TO) for cell in cells] if number else cells
        for cells, number in zip(texts, numeric, strict=True)
    ]
    rows = list(zip(*texts, strict=True))
    return {
        "heads": [
            {"text": head, "numeric": number} for head, number in zip(heads, numeric, strict=True)
        ],
        "rows": [
            {
                "cells": [{"text": cell, "short": len(cell) <= SHORT_CELL} for cell in cells],
                "starts": not groups and i > 0 and cells[0] != rows[i - 1][0],
                "group": groups[i] if groups and groups[i] not in groups[i - 1 : i] else None,
            }
            for i, cells in enumerate(rows)
        ],
        "brief": all(len(cells[0]) <= BRIEF_CELL for cells in rows),
        "grouped": not groups and len({cells[0] for cells in rows}) < len(rows),
        "help": [
            (head, table.help[name])
            for head, name in zip(heads, names, strict=True)
            if name in table.help
        ],
    }


_TO = "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}"
_SIGNED = r"[<+−-]?[\d.,]+"
_NUMBERS = re.compile(rf"–|{_SIGNED}(?: ?%)?(?: to {_SIGNED}| \({_SIGNED} to {_SIGNED}\))?")


def _are_numbers(cells: list[str]) -> bool:
    """Whether texts are numbers, intervals, or numbers with their intervals."""
    return bool(cells) and all(_NUMBERS.fullmatch(cell) for cell in cells)
