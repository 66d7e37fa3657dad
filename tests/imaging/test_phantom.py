"""The phantom: repeatable, in micrometers, stained by law, and not told by color alone."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GroupKFold, cross_val_score

from histograft.core.errors import InputError
from histograft.imaging import phantom_stain
from histograft.imaging.phantom import LABORATORIES, PHANTOM_CLASSES, render_phantom
from histograft.imaging.phantom_glands import Rings
from histograft.imaging.phantom_grid import Grid, smooth_noise, streaks
from histograft.imaging.phantom_nuclei import Nuclei, scatter, sow, stamp
from histograft.imaging.phantom_tissue import TISSUES

LAB_A, LAB_B = LABORATORIES["lab-a"], LABORATORIES["lab-b"]
QUIET = dataclasses.replace(LAB_A, noise=0.0)
each_tissue = pytest.mark.parametrize("tissue", PHANTOM_CLASSES)


def drawn(tissue, laboratory=LAB_A, *, patient=1, seed=2, size_px=96, mpp=0.5):
    rng = np.random.default_rng(seed)
    return render_phantom(tissue, laboratory, patient, rng, size_px=size_px, mpp=mpp)


def absorbed(image, laboratory):
    return -np.log10(np.maximum(image, 1) / 255 / np.array(laboratory.glass))


def test_classes_and_laboratories_are_the_fixed_ones():
    assert PHANTOM_CLASSES == ("adipose", "gland", "lymphoid", "muscle", "stroma", "tumor")
    assert tuple(TISSUES) == PHANTOM_CLASSES
    assert all(name == laboratory.name for name, laboratory in LABORATORIES.items())
    assert LAB_A.native_mpp != LAB_B.native_mpp


@each_tissue
def test_same_seeds_same_pixels(tissue):
    image = drawn(tissue)
    np.testing.assert_array_equal(image, drawn(tissue))
    assert not np.array_equal(image, drawn(tissue, seed=3))
    assert not np.array_equal(image, drawn(tissue, patient=2))
    assert not np.array_equal(image, drawn(tissue, LAB_B))


@pytest.mark.parametrize(("size_px", "mpp"), [(1, 0.5), (7, 2.0), (33, 0.25), (64, 1.0)])
@each_tissue
def test_shape_and_type(tissue, size_px, mpp):
    image = drawn(tissue, size_px=size_px, mpp=mpp)
    assert image.shape == (size_px, size_px, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize(
    ("tissue", "size_px", "mpp"),
    [("bone", 8, 0.5), ("gland", 0, 0.5), ("gland", 8, 0.0), ("gland", 8, float("nan"))],
)
def test_what_cannot_be_drawn_is_refused(tissue, size_px, mpp):
    with pytest.raises(InputError, match="To fix it"):
        drawn(tissue, size_px=size_px, mpp=mpp)


@each_tissue
def test_another_scale_shows_the_same_tissue(tissue):
    """Averaging blocks of the finer image gives the coarser one, up to blur and rounding."""
    fine = drawn(tissue, QUIET, size_px=384, mpp=0.25)
    for mpp in (0.5, 1.0):
        block = round(mpp / 0.25)
        coarse = drawn(tissue, QUIET, size_px=384 // block, mpp=mpp).astype(float)
        means = fine.reshape(384 // block, block, 384 // block, block, 3).mean((1, 3))
        assert np.abs(means - coarse).mean() < 3
        assert np.corrcoef(means.ravel(), coarse.ravel())[0, 1] > 0.95


@given(
    mpp=st.floats(0.15, 1.0),
    half_length=st.floats(3.0, 8.0),
    ratio=st.floats(0.5, 1.0),
    angle=st.floats(0, 3.1),
    shift=st.floats(-0.5, 0.5),
)
@settings(max_examples=40, deadline=None)
def test_a_nucleus_has_its_area_in_square_micrometers(mpp, half_length, ratio, angle, shift):
    grid = Grid(int(40 / mpp), mpp)
    nucleus = Nuclei(
        np.array([[20.0 + shift, 20.0 - shift]]),
        np.array([half_length]),
        np.array([half_length * ratio]),
        np.array([angle]),
        np.array([0.8]),
        irregular=0.0,
        clear=0.0,
        clump=0.0,
    )
    cover, density = stamp(grid, nucleus, np.random.default_rng(0))
    area = np.pi * half_length**2 * ratio
    assert cover.sum() * mpp**2 == pytest.approx(area, rel=0.12)
    np.testing.assert_allclose(density, 0.8 * cover, atol=1e-5)
    where = np.array(ndimage.center_of_mass(cover))[::-1]
    np.testing.assert_allclose((where + 0.5) * mpp, nucleus.points_um[0], atol=0.1)


def test_sown_points_have_the_density_of_a_hexagonal_lattice_and_keep_their_distance():
    grid, spacing = Grid(800, 0.5), 8.0
    points = sow(grid, np.random.default_rng(0), spacing, margin_um=20.0)
    assert len(points) == pytest.approx(440**2 / (spacing**2 * np.sqrt(0.75)), rel=0.03)
    gaps = cKDTree(points).query(points, k=2)[0][:, 1]
    assert np.quantile(gaps, 0.02) > 0.5 * spacing
    assert gaps.std() > 0.05 * spacing


def test_scattered_points_have_their_density_and_are_even():
    grid = Grid(1000, 0.5)
    counts = [len(scatter(grid, np.random.default_rng(seed), 2000)) for seed in range(40)]
    mean = 2000 * 0.524**2
    assert np.mean(counts) == pytest.approx(mean, abs=4 * np.sqrt(mean / 40))


@pytest.mark.parametrize("octaves", [1, 3])
def test_smooth_noise_has_mean_0_and_variance_1_at_every_scale(octaves):
    for mpp in (0.5, 2.0):
        fields = [
            smooth_noise(Grid(64, mpp), np.random.default_rng(seed), 8.0, octaves=octaves)
            for seed in range(150)
        ]
        assert np.mean(fields) == pytest.approx(0, abs=0.06)
        assert np.var(fields) == pytest.approx(1, rel=0.08)


def test_streaks_are_long_along_and_short_across():
    grid = Grid(256, 0.5)
    along, across = grid.turned(0.0)
    field = streaks(grid, np.random.default_rng(0), along, across, length_um=40, width_um=4)
    slopes = [np.abs(np.diff(field, axis=axis)).mean() for axis in (1, 0)]
    assert slopes[1] / slopes[0] == pytest.approx(10, rel=0.25)


def test_cells_of_a_gland_stand_inside_its_outline():
    grid, rng = Grid(400, 0.5), np.random.default_rng(3)
    rings = Rings.draw(grid, rng)
    depth, wall = rings.depth(grid)
    points = rings.nuclei(rng).points_um
    points = points[np.all((points > 0) & (points < grid.side_um), axis=1)]
    assert len(points) > 100
    # 6.2 µm below the outline, with an SD of 0.9 and the stretch of the gland's frame.
    assert grid.read(depth, points).mean() == pytest.approx(6.2, abs=0.5)
    assert (grid.read(depth, points) < grid.read(wall, points)).all()


def test_fat_cells_are_40_to_80_micrometers_wide():
    widths = []
    for seed in range(5):
        image = drawn("adipose", QUIET, seed=seed, size_px=200, mpp=1.0)
        empty, n = ndimage.label(absorbed(image, QUIET)[..., 1] < 0.08)
        edge = np.unique(np.concatenate([empty[0], empty[-1], empty[:, 0], empty[:, -1]]))
        areas = ndimage.sum_labels(np.ones_like(empty), empty, np.arange(1, n + 1))
        whole = [a for i, a in enumerate(areas, 1) if i not in edge and a > 400]
        widths += list(2 * np.sqrt(np.array(whole) / np.pi))
    assert 38 < np.median(widths) < 62
    assert np.quantile(widths, 0.95) < 85


def _coherence(image):
    """Share of the gradient that has one direction over the whole image."""
    gray = ndimage.gaussian_filter(image.mean(2), 2)
    dy, dx = np.gradient(gray)
    double = ((dx * dx - dy * dy).mean(), 2 * (dx * dy).mean())
    return np.hypot(*double) / (dx * dx + dy * dy).mean()


def test_muscle_is_straight_stroma_is_wavy_lymphoid_has_no_direction():
    muscle, collagen, lymphoid = (
        np.median([_coherence(drawn(tissue, seed=seed, size_px=192)) for seed in range(15)])
        for tissue in ("muscle", "stroma", "lymphoid")
    )
    assert muscle > collagen + 0.1
    assert collagen > lymphoid + 0.1


def test_light_obeys_beer_and_lambert():
    dye = np.random.default_rng(0).random((2, 5, 5)).astype(np.float32)

    def light(times):
        rng = np.random.default_rng(1)
        return phantom_stain.stain(times * dye[0], times * dye[1], LAB_A, 3, rng)

    glass = np.array(LAB_A.glass)
    np.testing.assert_allclose(light(0), np.broadcast_to(glass, (5, 5, 3)), rtol=1e-6)
    np.testing.assert_allclose(light(2) / glass, (light(1) / glass) ** 2, rtol=1e-4)


@pytest.mark.parametrize("laboratory", LABORATORIES.values(), ids=LABORATORIES)
@pytest.mark.parametrize("dye", [0, 1])
def test_a_pure_dye_has_the_laboratorys_color_on_average(laboratory, dye):
    dyes = [np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)]
    dyes[dye] += 0.5
    total = np.zeros(3)
    for seed in range(200):
        light = phantom_stain.stain(*dyes, laboratory, seed, np.random.default_rng(seed))
        total += -np.log10(light[0, 0] / np.array(laboratory.glass))
    expected = np.array(laboratory.stains[dye])
    cosine = total @ expected / np.linalg.norm(total) / np.linalg.norm(expected)
    assert np.degrees(np.arccos(min(cosine, 1.0))) < 1.5


def test_images_of_a_patient_are_alike_in_stain():
    """The share of variance between patients is what the spreads of the strengths say."""
    dye = np.full((1, 1), 0.5, np.float32)
    rng = np.random.default_rng(0)
    strength = np.array(
        [
            [
                np.log(-np.log10(phantom_stain.stain(dye, 0 * dye, LAB_A, p, rng) / LAB_A.glass))
                .mean()
                .item()
                for _ in range(40)
            ]
            for p in range(60)
        ]
    )
    between = strength.mean(1).var() - strength.var(1).mean() / 40
    assert between > 0.6 * phantom_stain.PATIENT_STRENGTH_SD**2
    assert between < 3 * phantom_stain.PATIENT_STRENGTH_SD**2


@pytest.fixture(scope="module")
def mean_colors():
    """Mean colors of 8 patients with 2 images of each class, in both laboratories."""
    colors = {}
    for name, laboratory in LABORATORIES.items():
        items = list(itertools.product(range(8), range(6), range(2)))
        rows = [
            drawn(PHANTOM_CLASSES[k], laboratory, patient=p, seed=[ord(name[-1]), p, k, i], mpp=1.0)
            for p, k, i in items
        ]
        patients, labels, _ = np.array(items).T
        colors[name] = np.array([row.mean((0, 1)) for row in rows]), labels, patients
    return colors


def test_laboratories_differ_in_hue(mean_colors):
    hue = []
    for name, (colors, _, _) in mean_colors.items():
        od = absorbed(colors, LABORATORIES[name])
        hue.append(od / np.linalg.norm(od, axis=1, keepdims=True))
    a, b = (h.mean(0) / np.linalg.norm(h.mean(0)) for h in hue)
    assert np.degrees(np.arccos(a @ b)) > 8


@pytest.mark.parametrize("name", LABORATORIES)
def test_mean_color_does_not_tell_the_class(mean_colors, name):
    colors, labels, patients = mean_colors[name]
    score = cross_val_score(
        LinearDiscriminantAnalysis(), colors, labels, groups=patients, cv=GroupKFold(4)
    ).mean()
    assert 0.3 < score < 0.72  # chance is 0.17


def test_mean_color_tells_still_less_in_another_laboratory(mean_colors):
    for source, target in (("lab-a", "lab-b"), ("lab-b", "lab-a")):
        model = LinearDiscriminantAnalysis().fit(*mean_colors[source][:2])
        assert model.score(*mean_colors[target][:2]) < 0.45
