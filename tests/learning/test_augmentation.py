"""Augmentation: symmetries by NumPy, turns and shifts by torchvision and Pillow."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import functional as tv

from histograft.core.errors import InputError
from histograft.learning import augmentation
from histograft.learning.augmentation import Movement, augment, move


def symmetries(image):
    """The eight images of a square, from NumPy alone."""
    return [np.rot90(f, k) for k in range(4) for f in (image, image[:, ::-1])]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9), epoch=st.integers(0, 9), index=st.integers(0, 1000))
def test_an_augmented_image_is_one_of_the_eight_symmetries(seed, epoch, index):
    raw = np.random.default_rng(index).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    tensor = torch.from_numpy(raw).permute(2, 0, 1)[None]
    found = augment(tensor, "flips-turns", seed=seed, epoch=epoch, indices=[index])
    found = found[0].permute(1, 2, 0).numpy()
    assert sum(np.array_equal(found, one) for one in symmetries(raw)) == 1


def test_augmentation_depends_on_the_index_and_not_on_the_batch():
    images = torch.randint(0, 256, (64, 3, 4, 4), dtype=torch.uint8)
    whole = augment(images, "flips-turns", seed=1, epoch=2, indices=range(64))
    order = torch.randperm(64)
    parts = augment(images[order], "flips-turns", seed=1, epoch=2, indices=order.tolist())
    assert torch.equal(parts, whole[order])
    assert not torch.equal(
        whole, augment(images, "flips-turns", seed=1, epoch=3, indices=range(64))
    )
    assert torch.equal(augment(images, "none", seed=1, epoch=2, indices=range(64)), images)


def test_all_eight_symmetries_come_about_equally_often():
    image = torch.arange(48, dtype=torch.uint8).reshape(1, 3, 4, 4).expand(4000, 3, 4, 4)
    found = augment(image, "flips-turns", seed=0, epoch=0, indices=range(4000))
    _, counts = np.unique(found.reshape(4000, -1).numpy(), axis=0, return_counts=True)
    assert len(counts) == 8
    assert abs(counts - 500).max() < 5 * np.sqrt(500 * 7 / 8)


def test_quarter_turns_need_squares():
    with pytest.raises(InputError, match="square"):
        augment(
            torch.zeros(1, 3, 4, 6, dtype=torch.uint8), "flips-turns", seed=0, epoch=0, indices=[0]
        )
    with pytest.raises(InputError, match="histokt"):
        augment(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "mixup", seed=0, epoch=0, indices=[0])


def test_flips_are_the_four_of_numpy_each_as_often(noise):
    image = torch.from_numpy(noise[:, :6].copy()).permute(2, 0, 1)[None]
    found = augment(image.expand(2000, 3, 9, 6), "flips", seed=0, epoch=0, indices=range(2000))
    kinds, counts = np.unique(found.reshape(2000, -1).numpy(), axis=0, return_counts=True)
    raw = noise[:, :6]
    four = {f.transpose(2, 0, 1).tobytes() for f in (raw, raw[::-1], raw[:, ::-1], raw[::-1, ::-1])}
    assert {kind.tobytes() for kind in kinds} == four
    assert abs(counts - 500).max() < 5 * np.sqrt(500 * 3 / 4)


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(1, 256, (9, 9, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (40, 71)])
@pytest.mark.parametrize("backend", ["tensor", "pillow"])
def test_movements_are_those_of_torchvision(size, backend):
    """Only pixels whose source lies on a border between two may differ by rounding."""
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.integers(1, 256, (12, 3, *size)).astype(np.uint8))
    movements = [
        Movement(
            bool(rng.integers(2)),
            bool(rng.integers(2)),
            float(rng.uniform(-45, 45)),
            *(int(v) for v in rng.integers(-7, 8, 2)),
        )
        for _ in images
    ]
    for image, movement, found in zip(images, movements, move(images, movements), strict=True):
        plain = tv.hflip(image) if movement.across else image
        plain = tv.vflip(plain) if movement.down else plain
        plain = tv.to_pil_image(plain) if backend == "pillow" else plain
        shift = [movement.shift_x_px, movement.shift_y_px]
        moved = tv.affine(plain, movement.turn_deg, shift, 1.0, [0.0, 0.0])  # nearest, fill 0
        expected = tv.pil_to_tensor(moved) if backend == "pillow" else moved
        assert (found != expected).any(0).float().mean() < 0.003


def test_a_movement_by_hand(noise):
    image = torch.from_numpy(noise).permute(2, 0, 1)[None]
    found = move(image, [Movement(True, False, 0.0, 2, -1)])[0].permute(1, 2, 0).numpy()
    expected = np.zeros_like(noise)
    expected[:-1, 2:] = noise[1:, ::-1][:, :-2]
    np.testing.assert_array_equal(found, expected)
    quarter = move(image, [Movement(turn_deg=90.0)])[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(quarter, np.rot90(noise, -1))  # clockwise


def test_draws_of_histokt_are_within_its_ranges_and_uniform(monkeypatch):
    seen = []
    monkeypatch.setattr(augmentation, "move", lambda images, moves: seen.extend(moves) or images)
    augment(
        torch.zeros(4000, 3, 50, 100, dtype=torch.uint8),
        "histokt",
        seed=0,
        epoch=0,
        indices=range(4000),
    )
    turns = np.array([m.turn_deg for m in seen])
    assert turns.min() > -45
    assert turns.max() < 45
    np.testing.assert_allclose(np.quantile(turns, [0.25, 0.5, 0.75]), [-22.5, 0, 22.5], atol=2.5)
    for name, limit in (("shift_x_px", 10), ("shift_y_px", 5)):
        assert {getattr(m, name) for m in seen} == set(range(-limit, limit + 1))
    for name in ("across", "down"):
        assert np.mean([getattr(m, name) for m in seen]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("rule", ["flips", "flips-turns", "histokt"])
def test_a_draw_depends_on_seed_epoch_and_index_alone(rule):
    images = torch.randint(0, 256, (40, 3, 12, 12), dtype=torch.uint8)
    whole = augment(images, rule, seed=1, epoch=2, indices=range(40))
    order = torch.randperm(40)
    parts = [augment(images[i][None], rule, seed=1, epoch=2, indices=[int(i)]) for i in order]
    assert torch.equal(torch.cat(parts), whole[order])
    for seed, epoch in ((2, 2), (1, 3)):
        assert not torch.equal(
            augment(images, rule, seed=seed, epoch=epoch, indices=range(40)), whole
        )
    assert whole.dtype == torch.uint8


def test_a_gpu_gives_what_the_cpu_gives():
    if not torch.cuda.is_available():
        pytest.skip("has no GPU")
    images = torch.randint(0, 256, (40, 3, 64, 64), dtype=torch.uint8)
    for rule in ("flips", "flips-turns", "histokt"):
        here = augment(images, rule, seed=1, epoch=2, indices=range(40))
        there = augment(images.cuda(), rule, seed=1, epoch=2, indices=range(40))
        assert (here != there.cpu()).any(1).float().mean() < 0.003
