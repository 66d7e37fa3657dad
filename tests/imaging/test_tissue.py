"""Tissue on drawn slides whose truth is known, and on real ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.imaging.slide import open_slide
from histograft.imaging.slide_overview import read_overview
from histograft.imaging.tissue import TissueSettings, find_tissue, tissue_mask

GLASS = (240, 238, 241)
EOSIN = (225, 160, 195)
PALE = (228, 206, 224)  # fat and edema: 0.04 in optical density


def blank(height=120, width=160, color=GLASS, noise=2.0, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.array(color) + rng.normal(0, noise, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def disk(center, radius, shape=(120, 160)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - center[0]) ** 2 + (columns - center[1]) ** 2 <= radius**2


def painted(where, color, mpp=8.0, **options):
    pixels = blank(**options)
    pixels[where] = color
    return find_tissue(pixels, mpp)


@pytest.mark.parametrize("color", [EOSIN, PALE, (150, 110, 190), (110, 70, 40)])
def test_a_stained_disk_is_found_to_within_a_pixel(color):
    tissue = painted(disk((60, 80), 40), color)
    inner, outer = disk((60, 80), 38), disk((60, 80), 42)
    assert tissue.mask[inner].all()
    assert not tissue.mask[~outer].any()
    assert tissue.area_um2 == tissue.mask.sum() * 64
    assert tissue.notes == ()


@pytest.mark.parametrize("color", [(255, 255, 255), GLASS, (215, 205, 220), (250, 240, 215)])
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_blank_slides_stay_blank(color, noise):
    """Also a tinted glass and the noise of a sensor."""
    tissue = find_tissue(blank(color=color, noise=noise), 8.0)
    assert not tissue.mask.any()
    assert tissue.notes == ("no tissue was found",)


def test_pale_tissue_is_found_beside_a_strong_dye():
    pixels = blank()
    pixels[disk((60, 40), 30)] = PALE
    pixels[disk((60, 120), 30)] = (90, 20, 160)
    mask = tissue_mask(pixels, 8.0)
    assert mask[disk((60, 40), 28)].all()
    assert mask[disk((60, 120), 28)].all()


def test_a_slide_that_is_all_tissue_is_all_found():
    rng = np.random.default_rng(0)
    nuclei = rng.random((120, 160)) < 0.2
    pixels = np.where(nuclei[..., None], (110, 70, 150), EOSIN).astype(np.uint8)
    assert tissue_mask(pixels, 8.0).all()


@pytest.mark.parametrize("shade", [(60, 60, 60), (0, 0, 0), (190, 189, 191)])
def test_shadows_and_black_ink_are_not_tissue(shade):
    assert not painted(disk((60, 80), 40), shade).mask.any()


@pytest.mark.parametrize("ink", [(40, 70, 190), (30, 150, 60)])
def test_colors_of_ink_are_noted(ink):
    tissue = painted(disk((60, 80), 40), ink)
    assert "ink" in tissue.notes[0]
    assert tissue.notes[0].startswith("0.3")  # mm2: pi * (40 * 8 um)^2 = 0.32


def test_a_dark_background_is_said():
    pixels = blank(color=(6, 4, 4), noise=1.0)
    pixels[disk((60, 80), 40)] = (120, 10, 10)
    tissue = find_tissue(pixels, 8.0)
    assert not tissue.mask.any()
    assert "fluorescence" in tissue.notes[0]


# Sizes are in um


@settings(max_examples=25)
@given(radius_um=st.floats(60, 420), mpp=st.sampled_from([4.0, 8.0, 12.0]))
def test_what_is_dirt_depends_on_um_and_not_on_pixels(radius_um, mpp):
    """A disk of 0.05 mm2 has a radius of 126 um; one pixel and the smoothing are left open."""
    side = int(1200 / mpp)
    where = disk((side / 2, side / 2), radius_um / mpp, (side, side))
    pixels = np.full((side, side, 3), GLASS, np.uint8)
    pixels[where] = EOSIN
    found = bool(tissue_mask(pixels, mpp).any())
    if radius_um < 126 - 30:
        assert not found
    if radius_um > 126 + 10:
        assert found


@pytest.mark.parametrize(("radius_um", "filled"), [(50, True), (160, False)])
def test_small_holes_are_filled_and_large_ones_kept(radius_um, filled):
    """20,000 um2 are a radius of 80 um; closing takes 24 um off a hole first."""
    where = disk((60, 80), 50) & ~disk((60, 80), radius_um / 8)
    assert painted(where, EOSIN).mask[60, 80] == filled


def test_gaps_are_closed_up_to_twice_the_radius():
    where = disk((60, 80), 50)
    where[:, 78:82] = False  # 32 um
    assert painted(where, EOSIN, noise=0.0).mask[60, 80]
    where[:, 74:88] = False  # 112 um
    assert not painted(where, EOSIN, noise=0.0).mask[60, 80]


def test_tissue_at_the_border_of_the_slide_keeps_its_border():
    pixels = blank(noise=0.0)
    pixels[:, :50] = EOSIN
    mask = tissue_mask(pixels, 8.0)
    assert mask[:, :50].all()
    assert not mask[:, 53:].any()


def test_settings_can_ask_for_everything():
    pixels = blank(noise=0.0)
    pixels[60, 80] = (100, 20, 100)
    everything = TissueSettings(
        smoothing_um=0, closing_um=0, smallest_tissue_um2=0, smallest_hole_um2=0
    )
    assert np.argwhere(tissue_mask(pixels, 8.0, everything)).tolist() == [[60, 80]]
    assert not tissue_mask(pixels, 8.0, replace(everything, smallest_tissue_um2=65)).any()


@pytest.mark.parametrize(
    "options",
    [
        {"closing_um": -1},
        {"smoothing_um": float("nan")},
        {"smallest_hole_um2": float("inf")},
        {"least_color": 0.2},
        {"least_color": 0.0},
    ],
)
def test_settings_that_are_none_are_refused(options):
    with pytest.raises(InputError):
        TissueSettings(**options)


# Real slides


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "mpp", "share"),
    [
        ("camelyon-overview.dcm", None, (0.20, 0.30)),
        ("cmu-1-small-region.svs", None, (0.36, 0.46)),
        ("kidney-48-5.tif", 0.5, (0.0, 0.0)),
        ("tcga-cr-7395-01a-01-ts1.svs", 0.5, (0.60, 0.70)),
        ("test3-tritc-2-560-fluorescence.ndpi", None, (0.0, 0.0)),
    ],
)
def test_shares_that_a_person_agreed_with(shared_data, name, mpp, share):
    """Judged on overlays; a test of change, not of truth."""
    with open_slide(shared_data / "data" / "slides" / name, mpp=mpp) as slide:
        overview = read_overview(slide)
    found = tissue_mask(overview.pixels, overview.mpp).mean()
    assert share[0] <= found <= share[1]


@pytest.mark.real
@pytest.mark.parametrize("name", ["mosaic-crc", "mosaic-osteosarcoma"])
def test_pasted_tiles_are_tissue_and_the_rest_is_glass(shared_data, name):
    """Within 4 px of 8 um around what was pasted; fat and glass inside of tiles are left open."""
    folder = shared_data / "data" / "slides"
    listed = json.loads((folder / f"{name}.json").read_text())
    (file,) = (path for path in folder.glob(f"{name}.*") if path.suffix != ".json")
    with open_slide(file) as slide:
        overview = read_overview(slide)
    mask = tissue_mask(overview.pixels, overview.mpp)
    factor = mask.shape[1] / listed["width"]
    near, covered = np.zeros(mask.shape, bool), {}
    for number, placed in enumerate(listed["placements"]):
        left, top, width, height = (round(placed[key] * factor) for key in "xywh")
        near[max(0, top - 4) : top + height + 5, max(0, left - 4) : left + width + 5] = True
        share = mask[top : top + height, left : left + width].mean()
        covered.setdefault(placed["label"], {})[number] = share
    assert not mask[~near].any()
    for label in ("STR", "TUM", "LYM", "MUS") if name == "mosaic-crc" else ():
        assert np.mean(list(covered[label].values())) > 0.97
    assert np.mean([share for shares in covered.values() for share in shares.values()]) > 0.75
