"""Macenko against torchstain, against tiles of known stains, and on whatever pixels there are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from histograft.core.errors import InputError
from histograft.imaging.stain import (
    PAPER,
    TORCHSTAIN,
    StainReference,
    StainStatus,
    TissueSample,
    apply_stains,
    estimate_stains,
    fit_reference,
    macenko,
)

# Hematoxylin and eosin as columns of unit length. Both take light from all three channels: Macenko
# does not see a stain that leaves one alone, since such pixels do not count as tissue.
STAINS = np.array([[0.65, 0.35], [0.70, 0.85], [0.29, 0.40]])
STAINS = STAINS / np.linalg.norm(STAINS, axis=0)
MODES = ("tile", "slide")
Array = np.ndarray[Any, Any]


def stained(amounts: Array, matrix: Array, io: float = 240.0) -> Array:
    """Beer and Lambert: uint8 pixels (…, 3) of stain amounts (…, 2)."""
    return np.clip(np.rint(io * np.exp(-amounts @ matrix.T) - 1), 0, 255).astype(np.uint8)


def amounts_of(seed: int, n_tiles: int = 1, side: int = 96) -> Array:
    """Amounts (N, side, side, 2): a tenth of the pixels have one stain alone, the rest both."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.4, 1.0, (n_tiles, side, side, 2))
    alone = rng.random((n_tiles, side, side))
    amounts[alone < 0.05, 0] = 0
    amounts[alone > 0.95, 1] = 0
    return amounts * [1.5, 1.2]


def tissue(seed: int = 0, n_tiles: int = 1, side: int = 96) -> Array:
    """Two stains, a quarter of empty glass, and a camera's noise."""
    tiles = stained(amounts_of(seed, n_tiles, side), STAINS).astype(float)
    tiles[:, : side // 4] = 242
    noise = np.random.default_rng(seed).normal(0, 1, tiles.shape)
    return np.clip(tiles + noise, 0, 255).round().astype(np.uint8)


def reference_tile(reference: StainReference) -> Array:
    """A tile with the stains and the 99th percentiles of a reference."""
    amounts = amounts_of(1, side=128)
    amounts *= np.array(reference.max_concentrations) / np.percentile(amounts, 99, axis=(0, 1, 2))
    return stained(amounts, reference.matrix, reference.io)


def difference(a: Any, b: Any) -> int:
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max(initial=0))


def angle(a: Array, b: Array) -> float:
    """Degrees between two vectors."""
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def torchstain_result(tile: Array, **options: float) -> Array:
    package = pytest.importorskip("torchstain", reason="needs torchstain, in the extra 'test'")
    normalizer = package.normalizers.MacenkoNormalizer(backend="numpy")
    return np.asarray(normalizer.normalize(tile, stains=False, **options)[0])


@pytest.mark.parametrize(("io", "alpha", "beta"), [(240, 1, 0.15), (255, 1, 0.15), (240, 5, 0.3)])
def test_tile_mode_is_torchstain_to_one_grey_level(io: int, alpha: float, beta: float) -> None:
    reference = PAPER if io == 255 else TORCHSTAIN
    tiles = np.concatenate([tissue(seed) for seed in range(4)])
    ours, status = macenko(tiles, mode="tile", reference=reference, alpha=alpha, beta=beta)
    assert not status.any()
    for tile, result in zip(tiles, ours, strict=True):
        theirs = torchstain_result(tile, Io=io, alpha=alpha, beta=beta)
        assert difference(result, theirs) <= 1
        assert difference(tile, theirs) > 20  # it does change something


@pytest.mark.real
@pytest.mark.parametrize("folder", ["nct-crc-111", "colon-polito"])
def test_real_tiles_are_torchstains_to_one_grey_level(shared_data: Path, folder: str) -> None:
    files = sorted((shared_data / "data" / folder).rglob("*.[jpt][pni][gf]*"))
    files = files[:: max(1, len(files) // 60)]
    tiles = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    ours, status = macenko(tiles, mode="tile")
    good = status == StainStatus.NORMALIZED
    assert good.mean() > 0.9
    for tile, result in zip(tiles[good], ours[good], strict=True):
        assert difference(result, torchstain_result(tile)) <= 1
    assert (ours[~good] == tiles[~good]).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reference", [TORCHSTAIN, PAPER], ids=lambda r: r.name)
def test_tile_of_the_reference_stays_as_it_is(mode: Any, reference: StainReference) -> None:
    tile = reference_tile(reference)
    result, status = macenko(tile, mode=mode, reference=reference)
    assert not status.any()
    assert difference(result, tile) <= 1


@given(seed=st.integers(0, 1000), scale=st.floats(1.0, 1.6))
@settings(max_examples=20)
def test_known_stains_are_found(seed: int, scale: float) -> None:
    amounts = amounts_of(seed) * scale
    found = estimate_stains(stained(amounts, STAINS)).stains
    assert found is not None
    for k in range(2):
        assert angle(found.matrix[:, k], STAINS[:, k]) < 1.0
    assert found.max_concentrations == pytest.approx(
        np.percentile(amounts, 99, (0, 1, 2)), rel=0.03
    )


def test_two_laboratories_look_alike_afterwards() -> None:
    amounts = amounts_of(3)
    blue = np.array([[0.75, 0.30], [0.55, 0.90], [0.36, 0.42]])
    first, second = stained(amounts, STAINS), stained(amounts * 1.3, blue)
    assert difference(first.mean((0, 1, 2)), second.mean((0, 1, 2))) > 20
    results = [macenko(tiles, mode="tile")[0] for tiles in (first, second)]
    assert np.abs(results[0].astype(int) - results[1]).mean() < 2


PLAIN = {
    "white": (np.full((1, 32, 32, 3), 255, np.uint8), StainStatus.BLANK),
    "glass": (np.full((1, 32, 32, 3), 240, np.uint8), StainStatus.BLANK),
    "black": (np.zeros((1, 32, 32, 3), np.uint8), StainStatus.SINGLE_STAIN),
    "one color": (np.full((1, 32, 32, 3), (150, 80, 140), np.uint8), StainStatus.SINGLE_STAIN),
    "one stain": (
        stained(amounts_of(0) * [1, 0] + [0.2, 0], STAINS),
        StainStatus.SINGLE_STAIN,
    ),
    "all colors": (
        np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8),
        StainStatus.ILL_CONDITIONED,
    ),
    "one pixel": (np.full((1, 1, 1, 3), (150, 80, 140), np.uint8), StainStatus.SINGLE_STAIN),
    "one white pixel": (np.full((1, 1, 1, 3), 255, np.uint8), StainStatus.BLANK),
    "no pixels": (np.zeros((1, 0, 5, 3), np.uint8), StainStatus.BLANK),
}


@pytest.mark.parametrize("name", PLAIN)
def test_tile_without_two_stains_keeps_its_pixels_and_says_why(name: str) -> None:
    tiles, expected = PLAIN[name]
    for array in (tiles, torch.from_numpy(tiles)):
        result, status = macenko(array, mode="tile")
        assert [StainStatus(code) for code in status] == [expected]
        assert (np.asarray(result) == tiles).all()


def test_blue_that_the_camera_saturated_is_not_turned_to_cyan() -> None:
    # Three in a hundred pixels count as tissue (density in all channels); the others, violet with a
    # blue of 255, would get negative eosin.
    rng = np.random.default_rng(0)
    tiles = rng.normal((120, 30, 255), (15, 15, 0), (1, 100, 100, 3)).clip(0, 255)
    tiles[:, :3] = stained(amounts_of(0, side=100), STAINS)[:, :3]
    tiles = tiles.astype(np.uint8)
    result, status = macenko(tiles, mode="tile")
    assert status.tolist() == [StainStatus.ILL_CONDITIONED]
    assert (result == tiles).all()


@pytest.mark.parametrize("mode", MODES)
def test_no_tiles(mode: Any) -> None:
    for tiles in (np.zeros((0, 8, 8, 3), np.uint8), torch.zeros((0, 8, 8, 3), dtype=torch.uint8)):
        result, status = macenko(tiles, mode=mode)
        assert result.shape == (0, 8, 8, 3)
        assert (status.shape, status.dtype) == ((0,), np.uint8)


SHAPES = st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.just(3))
FEW_LEVELS = st.sampled_from([0, 1, 30, 120, 205, 206, 239, 240, 254, 255])


@given(
    tiles=hnp.arrays(np.uint8, SHAPES)
    | hnp.arrays(np.uint8, SHAPES, elements=FEW_LEVELS, fill=FEW_LEVELS),
    mode=st.sampled_from(MODES),
    io=st.sampled_from([1.0, 240.0, 255.0]),
)
@settings(max_examples=300)
def test_any_pixels_have_a_result_and_a_status(tiles: Array, mode: Any, io: float) -> None:
    reference = StainReference("any", io, TORCHSTAIN.stain_matrix, TORCHSTAIN.max_concentrations)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, status = macenko(tiles, mode=mode, reference=reference)
        other, other_status = macenko(torch.from_numpy(tiles), mode=mode, reference=reference)
    assert (result.dtype, result.shape) == (np.uint8, tiles.shape)
    assert (status.dtype, status.shape) == (np.uint8, tiles.shape[:1])
    assert set(status.tolist()) <= {int(code) for code in StainStatus}
    kept = status != StainStatus.NORMALIZED
    assert (result[kept] == tiles[kept]).all()
    assert tuple(other.shape) == tiles.shape
    assert other_status.shape == status.shape


@pytest.mark.parametrize("mode", MODES)
def test_torch_agrees_with_numpy_to_one_grey_level(mode: Any) -> None:
    tiles = np.concatenate(
        [tissue(0, 3), *(np.full((1, 96, 96, 3), v, np.uint8) for v in (0, 255))]
    )
    ours, status = macenko(tiles, mode=mode)
    theirs, their_status = macenko(torch.from_numpy(tiles), mode=mode)
    assert isinstance(theirs, torch.Tensor)
    assert theirs.dtype == torch.uint8
    assert status.tolist() == their_status.tolist()
    assert difference(ours, theirs) <= 1


def test_tiles_that_are_not_contiguous_or_writable() -> None:
    tiles = tissue(0, 2)
    view = np.ascontiguousarray(tiles.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    fixed = tiles.copy()
    fixed.flags.writeable = False
    for mode in MODES:
        expected, _ = macenko(tiles, mode=mode)
        for other in (view, fixed):
            result, _ = macenko(other, mode=mode)
            assert (result == expected).all()


def test_order_and_number_of_tiles_do_not_matter_per_tile() -> None:
    tiles = np.concatenate([tissue(seed) for seed in range(40)])
    together, _ = macenko(tiles, mode="tile")
    for i in (0, 17, 39):
        assert (macenko(tiles[i : i + 1], mode="tile")[0][0] == together[i]).all()


def test_slide_in_blocks_is_slide_at_once() -> None:
    tiles = tissue(5, 6)
    expected, _ = macenko(tiles, mode="slide")
    for limit in (1 << 18, 5000):
        samples = [TissueSample(limit=limit) for _ in range(2)]
        samples[0].add(tiles)
        for block in (tiles[:1], tiles[1:5], tiles[5:]):
            samples[1].add(block)
        assert (samples[0].pixels == samples[1].pixels).all()
        assert len(samples[0].pixels) <= limit
    slide = estimate_stains(samples[1])
    blocks = [apply_stains(block, slide)[0] for block in (tiles[:4], tiles[4:])]
    # The last sample has 5,000 of 41,472 tissue pixels, so percentiles move a little.
    assert np.abs(np.concatenate(blocks).astype(int) - expected).mean() < 1


def test_sample_is_every_third_power_of_the_pixels_without_glass_and_black() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 30, 40, 3)).astype(np.uint8)
    pixels[0, 0] = 0
    sample = TissueSample(limit=100)
    sample.add(pixels)
    flat = pixels.reshape(-1, 3)
    density = -np.log((flat + 1.0) / 240)
    tissue_pixels = (density >= 0.15).all(axis=1) & flat.any(axis=1)
    stride = next(s for s in (1, 3, 9, 27) if tissue_pixels[::s].sum() <= 100)
    assert stride > 1
    assert (sample.pixels == flat[::stride][tissue_pixels[::stride]]).all()


def test_slide_has_one_change_of_colors_and_leaves_blank_tiles() -> None:
    tiles = tissue(6, 3)
    tiles[2] = 255
    result, status = macenko(tiles, mode="slide")
    assert status.tolist() == [0, 0, StainStatus.BLANK]
    assert (result[2] == 255).all()
    for color in np.unique(tiles[:2].reshape(-1, 3), axis=0)[::500]:
        changed = result[:2][(tiles[:2] == color).all(axis=-1)]
        assert len(np.unique(changed, axis=0)) == 1


def test_slide_without_two_stains_keeps_all_tiles() -> None:
    tiles = np.concatenate([PLAIN["one stain"][0], np.full((1, 96, 96, 3), 255, np.uint8)])
    result, status = macenko(tiles, mode="slide")
    assert status.tolist() == [StainStatus.SINGLE_STAIN, StainStatus.BLANK]
    assert (result == tiles).all()


def test_reference_of_ones_own_gives_its_tiles_back() -> None:
    tiles = stained(amounts_of(8, 2), STAINS)
    own = fit_reference(tiles, name="own", io=240.0)
    result, _ = macenko(tiles, mode="slide", reference=own)
    assert difference(result, tiles) <= 1


def test_reference_of_white_tiles_is_an_error_that_says_what_to_take() -> None:
    with pytest.raises(InputError, match=r"less than 1 % .* TORCHSTAIN"):
        fit_reference(PLAIN["white"][0], name="white")


@pytest.mark.parametrize(
    "tiles",
    [
        np.zeros((1, 4, 4, 3)),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 4), np.uint8),
        [[1, 2]],
    ],
    ids=["float", "one tile", "RGBA", "list"],
)
@pytest.mark.parametrize("mode", MODES)
def test_wrong_arrays_are_refused(tiles: Any, mode: Any) -> None:
    with pytest.raises(InputError, match=r"tiles (are|have)"):
        macenko(tiles, mode=mode)


def test_wrong_options_are_refused() -> None:
    tiles: Any = tissue()
    with pytest.raises(InputError, match="neither 'tile' nor 'slide'"):
        macenko(tiles, mode="patient")
    for mode in MODES:
        with pytest.raises(InputError, match="alpha"):
            macenko(tiles, mode=mode, alpha=50)
        with pytest.raises(InputError, match="beta"):
            macenko(tiles, mode=mode, beta=np.nan)
    with pytest.raises(InputError, match="no spread"):
        TissueSample(limit=1)


def test_numbers_of_the_codes_are_those_of_the_files() -> None:
    labels = {int(code): code.label for code in StainStatus}
    assert labels == {0: "normalized", 1: "blank", 2: "single-stain", 3: "ill-conditioned"}
