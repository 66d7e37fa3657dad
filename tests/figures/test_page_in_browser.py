"""The page in headless Chromium at the widths of a phone, a small phone and a laptop."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from histograft.figures.page import render_page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WIDTHS_PX = (320, 390, 1280)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1400,1000",
]

# A window cannot be as narrow as a phone, so each width is a frame; the frame's document is of
# the same origin and can be measured from here.
MEASURE = """
<pre id="out"></pre>
<script>
const all = [], out = document.getElementById("out");
const frames = [...document.querySelectorAll("iframe")];
function measure(frame) {
  const page = frame.contentDocument, root = page.documentElement;
  const box = (name) => page.querySelector(name).getBoundingClientRect();
  all.push({
    width: frame.clientWidth, scroll: root.scrollWidth, body: page.body.scrollWidth,
    wide: [...page.querySelectorAll("p, h1, h2, figure, .table-block, pre, dl")]
      .filter((e) => e.getBoundingClientRect().right > frame.clientWidth + 0.5)
      .map((e) => e.tagName),
    images: [...page.images].map((i) => [i.complete, i.naturalWidth]),
    contentsBeside: box("nav").right <= box("h1").left,
    sticky: getComputedStyle(page.querySelector("thead th")).position,
    text: parseFloat(getComputedStyle(page.querySelector("p")).fontSize),
  });
  if (all.length === frames.length) out.textContent = JSON.stringify(all);
}
frames.forEach((frame) => frame.addEventListener("load", () => measure(frame)));
</script>
"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_fits_phone_and_laptop(tmp_path: Path, example_page):
    source = html.escape(render_page(example_page), quote=True)
    frames = "".join(
        f'<iframe style="width:{w}px;height:800px;border:0" data-page></iframe>' for w in WIDTHS_PX
    )
    load = (
        f'<template id="page" data-html="{source}"></template><script>'
        'for (const f of frames) f.srcdoc = document.getElementById("page").dataset.html;</script>'
    )
    wrapper = tmp_path / "measure.html"
    wrapper.write_text(
        f'<!DOCTYPE html><meta charset="utf-8">{frames}{MEASURE}{load}', encoding="utf-8"
    )
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=20000", "--dump-dom", wrapper.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, flags=re.S)
    assert found, done.stderr
    measured = sorted(json.loads(html.unescape(found.group(1))), key=lambda m: m["width"])
    assert [m["width"] for m in measured] == list(WIDTHS_PX)
    for one in measured:
        assert one["scroll"] <= one["width"]
        assert one["body"] <= one["width"]
        assert one["wide"] == []
        assert all(complete and width > 0 for complete, width in one["images"])
        assert one["sticky"] == "sticky"
        assert one["text"] >= 16
    assert [m["contentsBeside"] for m in measured] == [False, False, True]
