"""Reinhard's color transfer against the paper's formula, and on whatever pixels there are."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histograft.core.errors import InputError
from histograft.imaging.reinhard import AMGAD_2019, ReinhardReference, fit_reinhard, reinhard
from histograft.imaging.stain_matrix import Glass
from histograft.imaging.stain_status import StainStatus

MODES = ("tile", "slide")
ALL_PIXELS = Glass(256.0, 0.0)
Array = np.ndarray[Any, Any]


def tissue(seed: int, n_tiles: int = 1) -> Array:
    rng = np.random.default_rng(seed)
    colors = rng.normal((150, 90, 150), (25, 30, 20), (n_tiles, 40, 40, 3))
    return colors.clip(20, 200).astype(np.uint8)


def lab_by_hand(grey: Array) -> Array:
    """Equations 4 to 6 of the paper for a color (R, G, B) of 1 to 256, one color at a time."""
    r, g, b = (float(x) for x in grey)
    long = np.log10(0.3811 * r + 0.5783 * g + 0.0402 * b)
    medium = np.log10(0.1967 * r + 0.7244 * g + 0.0782 * b)
    short = np.log10(0.0241 * r + 0.1288 * g + 0.8444 * b)
    return np.array(
        [
            (long + medium + short) / np.sqrt(3),
            (long + medium - 2 * short) / np.sqrt(6),
            (long - medium) / np.sqrt(2),
        ]
    )


def lms_by_hand(lab: Array) -> Array:
    """Equation 8: from lαβ to cone responses."""
    first, second, third = lab[0] / np.sqrt(3), lab[1] / np.sqrt(6), lab[2] / np.sqrt(2)
    return 10.0 ** np.array([first + second + third, first + second - third, first - 2 * second])


TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
# Equation 9, the way back that the paper prints; it is not quite the inverse.
TO_RGB = np.array(
    [[4.4679, -3.5873, 0.1193], [-1.2186, 2.3809, -0.1624], [0.0497, -0.2439, 1.2045]]
)


def difference(a: Any, b: Any) -> int:
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max(initial=0))


def test_tile_is_transferred_as_the_paper_says() -> None:
    source, target = tissue(0), (tissue(1) * 0.8 + 30).astype(np.uint8)
    reference = fit_reinhard(target, name="target", glass=ALL_PIXELS)
    result, status = reinhard(source, mode="tile", reference=reference, glass=ALL_PIXELS)
    assert status.tolist() == [StainStatus.NORMALIZED]
    labs = [np.array([lab_by_hand(c + 1.0) for c in t.reshape(-1, 3)]) for t in (source, target)]
    moved = (labs[0] - labs[0].mean(0)) / labs[0].std(0) * labs[1].std(0) + labs[1].mean(0)
    lms = np.array([lms_by_hand(lab) for lab in moved])
    exact, printed = np.linalg.solve(TO_LMS, lms.T).T - 1, lms @ TO_RGB.T - 1
    assert difference(result.reshape(-1, 3), exact.clip(0, 255).round()) <= 1
    assert difference(result.reshape(-1, 3), printed.clip(0, 255).round()) <= 2


@pytest.mark.parametrize("mode", MODES)
def test_tile_of_the_reference_stays_as_it_is(mode: Any) -> None:
    tiles = tissue(2)
    result, status = reinhard(tiles, mode=mode, reference=fit_reinhard(tiles, name="own"))
    assert not status.any()
    assert difference(result, tiles) <= 1


def test_slide_mode_pools_tiles_and_tile_mode_does_not() -> None:
    tiles = np.concatenate([tissue(3), (tissue(4) * 0.6).astype(np.uint8)])
    own = fit_reinhard(tiles, name="both")
    assert difference(reinhard(tiles, mode="slide", reference=own)[0], tiles) <= 1
    apart, _ = reinhard(tiles, mode="tile", reference=own)
    first, second = apart.mean((1, 2))
    assert np.abs(first - second).max() < 5  # they were 30 to 60 grey levels apart


def test_empty_glass_does_not_shift_the_colors_of_tissue() -> None:
    tiles = tissue(5)
    half = tiles.copy()
    half[:, :20] = 250
    own = fit_reinhard(tiles[:, 20:], name="own")
    result, _ = reinhard(half, mode="tile", reference=own)
    assert difference(result[:, 20:], tiles[:, 20:]) <= 1


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        (np.full((1, 8, 8, 3), 255, np.uint8), StainStatus.BLANK),
        (np.zeros((1, 8, 8, 3), np.uint8), StainStatus.SINGLE_STAIN),
        (np.full((1, 1, 1, 3), 90, np.uint8), StainStatus.SINGLE_STAIN),
        (np.zeros((1, 0, 8, 3), np.uint8), StainStatus.BLANK),
    ],
    ids=["white", "black", "one pixel", "no pixels"],
)
@pytest.mark.parametrize("mode", MODES)
def test_tile_without_colors_keeps_its_pixels(mode: Any, tiles: Array, expected: Any) -> None:
    result, status = reinhard(tiles, mode=mode)
    assert status.tolist() == [expected]
    assert (result == tiles).all()


SHAPES = st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.just(3))


@given(tiles=hnp.arrays(np.uint8, SHAPES), mode=st.sampled_from(MODES))
@settings(max_examples=150)
def test_any_pixels_have_a_result_and_a_status(tiles: Array, mode: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, status = reinhard(tiles, mode=mode)
        other, other_status = reinhard(torch.from_numpy(tiles), mode=mode)
    assert (result.dtype, result.shape) == (np.uint8, tiles.shape)
    kept = status != StainStatus.NORMALIZED
    assert (result[kept] == tiles[kept]).all()
    assert tuple(other.shape) == tiles.shape
    assert other_status.shape == status.shape == tiles.shape[:1]


@pytest.mark.parametrize("mode", MODES)
def test_torch_agrees_with_numpy_to_one_grey_level(mode: Any) -> None:
    tiles = tissue(6, 3)
    ours, _ = reinhard(tiles, mode=mode)
    theirs, _ = reinhard(torch.from_numpy(tiles), mode=mode)
    assert isinstance(theirs, torch.Tensor)
    assert difference(ours, theirs) <= 1


def test_reference_as_text_and_back() -> None:
    assert ReinhardReference.from_json(AMGAD_2019.to_json()) == AMGAD_2019
    for text in ("", "[]", "1", '{"name": "a"}', AMGAD_2019.to_json().replace("sd", "SD")):
        with pytest.raises(InputError, match="to_json"):
            ReinhardReference.from_json(text)
    with pytest.raises(InputError, match="spreads above 0"):
        ReinhardReference("bad", (1.0, 0.0, 0.0), (0.0, 1.0, 1.0))
    with pytest.raises(InputError, match="tiles without tissue"):
        fit_reinhard(np.full((1, 8, 8, 3), 255, np.uint8), name="white")


def test_wrong_mode_is_refused() -> None:
    mode: Any = "patient"
    with pytest.raises(InputError, match="neither 'tile' nor 'slide'"):
        reinhard(tissue(0), mode=mode)
