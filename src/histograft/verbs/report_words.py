"""All that a page says, so that it explains its own words and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histograft.figures.page import Section


def all_words(sections: Iterable[Section]) -> str:
    """Join titles, paragraphs, captions and tables of sections.

    Parameters
    ----------
    sections : iterable of Section
        Parts of a page; what is written within pictures is left out, tables hold it too.

    Returns
    -------
    str
        The texts, a line each.
    """
    return "\n".join(text for section in sections for text in _texts(section))


def _texts(section: Section) -> Iterator[str]:
    yield section.title
    yield from section.text
    for picture in section.figures:
        yield picture.caption
    for table in section.tables:
        yield from (table.caption, table.note, *table.help, *table.help.values())
        yield from map(str, table.frame.columns)
        for column in table.frame.columns:
            yield from map(str, table.frame[column].unique())
