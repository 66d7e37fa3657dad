from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from histograft.core.errors import InputError
from histograft.figures.page import Page, Picture, Section, Table, render_page

# Stands in every field of the example page.
NASTY = '<script>alert("x")</script>'
VOID = {"meta", "link", "img", "br", "hr", "source", "input"}


class Outline(HTMLParser):
    """Every tag with its attributes, the headings in order, and tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_names_from_outside_never_become_markup(example_page: Page):
    html = render_page(example_page)
    outline = Outline(html)
    assert not outline.open
    assert not outline.named("script")
    assert "<script" not in html.lower()
    assert "".join(outline.text).count(NASTY) >= 8
    assert outline.named("img")[0]["alt"] == f'Alt " {NASTY}'


def test_the_page_loads_nothing(example_page: Page):
    html = render_page(example_page)
    outline = Outline(html)
    loaded = [
        attributes[name]
        for _, attributes in outline.tags
        for name in ("src", "srcset", "data", "poster", "action")
        if name in attributes
    ]
    assert loaded
    assert all(source.startswith("data:image/svg+xml,%3Csvg ") for source in loaded)
    assert not outline.named("link")
    assert not re.search(r"url\((?!%23)", html)  # within a picture only, to a part of itself
    assert "@import" not in html
    links = [attributes["href"] for attributes in outline.named("a")]
    outside = [link for link in links if not link.startswith("#")]
    assert outside == ["https://doi.org/10.1000/x?a=1&b=2"]
    assert outside[0] in "".join(outline.text)


def test_inside_links_have_targets_and_ids_are_unique(example_page: Page):
    outline = Outline(render_page(example_page))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in outline.named("a"):
        if attributes["href"].startswith("#"):
            assert attributes["href"][1:] in ids
    for _, attributes in outline.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_headings_start_at_one_and_skip_no_level(example_page: Page):
    outline = Outline(render_page(example_page))
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_answer_stands_before_notices_and_contents(example_page: Page):
    html = render_page(example_page)
    places = [html.index(text) for text in ("Tuning helped.", "Synthetic", "Contents</p>")]
    assert places == sorted(places)


def test_tables_print_numbers_for_people(example_page: Page):
    html = render_page(example_page)
    numbers = re.findall(r'<td class="number">([^<]*)</td>', html)
    assert numbers[:9] == [
        *("0.984", "&lt;0.001", "1,500"),
        *("1.00", "0.043", "1,500"),
        *("–", "–", "7"),
    ]
    assert ">patches</th>" in html
    assert "share &amp; right" in html
    assert "nothing to show" in html


def test_the_same_page_is_the_same_text(example_page: Page):
    assert render_page(example_page) == render_page(example_page)


def test_the_smallest_page_and_an_empty_table():
    Outline(render_page(Page("t", "v")))
    section = Section("s", tables=(Table(pd.DataFrame(), "none"),))
    assert "nothing to show" in render_page(Page("t", "v", sections=(section,)))


def test_two_columns_of_one_name_are_both_shown():
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    html = render_page(Page("t", "v", sections=(Section("s", tables=(Table(frame, "c"),)),)))
    assert html.count(">a</th>") == 2


def test_a_picture_needs_words_and_must_be_svg(example_page: Page):
    panels = example_page.sections[0].figures[0].panels
    for picture, problem in (
        (Picture(panels, "c", " "), "no alternative text"),
        (Picture(("GIF89a",), "c", "a"), "no SVG with a size"),
    ):
        with pytest.raises(InputError, match=problem):
            render_page(Page("t", "v", sections=(Section("s", figures=(picture,)),)))


def test_a_panel_is_in_the_page_as_it_was(example_page: Page):
    panel = example_page.sections[0].figures[0].panels[0]
    source = Outline(render_page(example_page)).named("img")[0]["src"]
    assert unquote(source.removeprefix("data:image/svg+xml,")) == panel
    assert len(source) < 1.25 * len(panel)


def test_a_legend_stands_once_above_all_panels(example_page: Page):
    panel = example_page.sections[0].figures[0].panels[0]
    key = panel.replace("<svg ", "<svg id='key' ", 1)
    for legend, n_images in (("", 2), (key, 3)):
        picture = Picture((panel, panel), "c", "a", legend)
        outline = Outline(render_page(Page("t", "v", sections=(Section("s", figures=(picture,)),))))
        images = outline.named("img")
        assert len(images) == n_images
        assert [bool(image["alt"]) for image in images[-2:]] == [True, False]
        assert ("id='key'" in unquote(images[0]["src"])) == bool(legend)


def test_a_column_of_groups_becomes_headings():
    frame = pd.DataFrame({"set": ["a", "a", "b"], "model": ["x", "y", "x"], "n": [1, 2, 3]})
    table = Table(frame, "c", group="set")
    html = render_page(Page("t", "v", sections=(Section("s", tables=(table,)),)))
    outline = Outline(html)
    heads = [th for th in outline.named("th") if th["scope"] == "colgroup"]
    assert [head["colspan"] for head in heads] == ["2", "2"]
    assert ">set</th>" not in html
    assert html.index("<span>a</span>") < html.index("<span>b</span>")


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        (["93.9", "–"], True),
        (["92.0 to 95.6", "−0.2 to +2.6"], True),
        (["93.9 (92.0 to 95.6)", "−0.01 (−0.04 to 0.00)"], True),
        (["<0.001", "1.00"], True),
        (["0%", "89%"], True),
        (["0 %", "89 %"], True),
        (["1 AC", "2"], False),
        (["5-fold"], False),
    ],
)
def test_texts_that_are_numbers_stand_to_the_right(cells: list[str], number: bool):
    table = Table(pd.DataFrame({"a": "x", "b": cells}), "c")
    html = render_page(Page("t", "v", sections=(Section("s", tables=(table,)),)))
    assert html.count('<td class="number">') == number * len(cells)


def test_no_line_ends_before_a_percent_sign_or_within_a_p_value():
    html = render_page(Page("t", "95 % of 3; p = 0.014, p < 0.001, a p of 5 or so %"))
    assert "95\u00a0% of 3; p\u00a0=\u00a00.014, p\u00a0&lt;\u00a00.001, a p of 5 or so %" in html


def _contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str):
    css = render_page(Page("t", "v"))
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.S)
    colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme == "dark"]))
    for text in ("ink", "muted", "accent"):
        for ground in ("ground", "panel"):
            assert _contrast(colors[text], colors[ground]) >= 4.5  # WCAG 2.1 AA
    assert _contrast(colors["ink"], colors["answer"]) >= 7
    assert _contrast(colors["note-line"], colors["note"]) >= 3.8
