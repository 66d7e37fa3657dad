"""Grouping, decoding and changing of pieces."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import ColorJitter

from histograft.core.errors import InputError
from histograft.learning.piece_changes import Change, changed, draw_change
from histograft.learning.pieces import Budget, Decoded, Pieces, ahead, check_stride, passes


class Source:
    def __init__(self, images):
        self.images, self.reads = images, 0

    def __len__(self):
        return len(self.images)

    def shape(self, index):
        return self.images[index].shape[:2]

    def image(self, index):
        self.reads += 1
        return self.images[index]


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=20),
    st.integers(1, 60),
)
def test_passes_hold_every_piece_once_and_stay_small(shapes, most):
    groups = passes(range(len(shapes)), lambda i: [shapes[i], (1, 1)], most)
    assert sorted(i for group in groups for i in group) == list(range(len(shapes)))
    for group in groups:
        (height, width), *others = {shapes[i] for i in group}
        assert not others
        assert len(group) == 1 or len(group) * height * width <= most


def test_pieces_that_fit_are_decoded_once():
    source = Source([noise(4, 5), noise(6, 7), noise(4, 4)])
    decoded = Decoded(source, Budget(4 * 5 * 3 + 4 * 4 * 3))
    for _ in range(2):
        for i in range(3):
            assert np.array_equal(decoded.image(i), source.images[i])
    assert source.reads == 4


def test_images_that_are_not_what_the_source_states():
    for wrong in (np.zeros((4, 5, 3)), np.zeros((4, 5), np.uint8)):
        with pytest.raises(InputError, match="piece 0"):
            Decoded(Source([wrong]), Budget(0)).image(0)
    source = Source([noise(4, 5)])
    source.shape = lambda index: (5, 4)
    with pytest.raises(InputError, match=r"\(4, 5, 3\), not uint8 \(5, 4, 3\)"):
        Decoded(source, Budget(0)).image(0)


def test_splits_that_cannot_be():
    with pytest.raises(InputError, match="no piece"):
        Pieces(Source([]))
    with pytest.raises(InputError, match="1 pieces and 2 labels"):
        Pieces(Source([noise(4, 4)]), np.array([0, 1]))
    with pytest.raises(InputError, match="1 pieces and 2 pieces at the teacher's scale"):
        Pieces(Source([noise(4, 4)]), fine=Source([noise(8, 8)] * 2))
    with pytest.raises(InputError, match=r"1 of 2 pieces .* 32 px \(piece 1 has 40 × 31 px\)"):
        check_stride(Source([noise(32, 32), noise(31, 40)]), 32)


def test_an_error_of_the_preparing_thread_is_told_and_ends_it():
    def prepare(n):
        if n == 2:
            raise ValueError("two")
        return n

    found = ahead(range(9), prepare)
    assert [next(found), next(found)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="two"):
        next(found)
    assert threading.active_count() < 10


def test_draws_depend_on_seed_epoch_and_index_alone():
    drawn = [
        draw_change("jitter-flips", seed=s, epoch=e, index=i)
        for s in (0, 1)
        for e in (0, 1)
        for i in (0, 1)
    ]
    assert len(set(drawn)) == 8
    assert draw_change("jitter-flips", seed=1, epoch=0, index=1) == drawn[5]
    with pytest.raises(InputError, match="unknown augmentation"):
        draw_change("mixup", seed=0, epoch=0, index=0)


def test_draws_have_the_widths_of_the_paper():
    drawn = [draw_change("jitter-flips-turns", seed=0, epoch=0, index=i) for i in range(2000)]
    factors = np.array([d.factors for d in drawn])
    # uniform: mean ± width / sqrt(3 · 2000) · 4
    np.testing.assert_allclose(factors.mean(0), [1, 1, 1, 0], atol=0.03)
    np.testing.assert_allclose(factors.min(0), [0.5, 0.5, 0.5, -0.2], atol=0.003)
    np.testing.assert_allclose(factors.max(0), [1.5, 1.5, 1.5, 0.2], atol=0.003)
    assert len({d.order for d in drawn}) == 24
    shares = [np.mean([getattr(d, name) for d in drawn]) for name in ("mirrored", "flipped")]
    assert shares == pytest.approx([0.5, 0.5], abs=0.05)
    assert np.bincount([d.turns for d in drawn]) == pytest.approx([500] * 4, abs=90)


def test_color_is_that_of_torchvision():
    """ColorJitter, made to draw what we drew: its ranges are single points."""
    image = noise(9, 11)
    x = torch.from_numpy(image).permute(2, 0, 1) / 255
    for which in range(4):
        factors = [1.0, 1.0, 1.0, 0.0]
        factors[which] = (0.6, 1.4, 0.7, -0.15)[which]
        points = [(f, f) for f in factors]
        expected = ColorJitter(*points)(x)
        found = changed(image, Change(tuple(factors), (which,)))
        torch.testing.assert_close(found / 255, expected, atol=2e-6, rtol=0)


def test_flips_and_turns_are_those_of_numpy():
    image = noise(3, 5)
    found = changed(image, Change(mirrored=True, turns=1)).permute(1, 2, 0).numpy()
    assert np.array_equal(found, np.rot90(image[:, ::-1]))
    assert Change(turns=1).shape((3, 5)) == found.shape[:2]
    assert np.array_equal(changed(image, Change(flipped=True)).permute(1, 2, 0), image[::-1])


def test_both_scales_of_a_piece_are_changed_alike():
    """To shrink and to change are two orders of the same, up to rounding and clipping."""
    fine = np.asarray(Image.fromarray(noise(8, 12)).resize((96, 64), Image.Resampling.BICUBIC))
    fine = (fine // 2 + 60).astype(np.uint8)
    shrink = lambda a: np.asarray(  # noqa: E731
        Image.fromarray(a).resize((24, 16), Image.Resampling.LANCZOS)
    )
    for index in range(6):
        change = draw_change("jitter-flips", seed=3, epoch=0, index=index)
        one = changed(shrink(fine), change).permute(1, 2, 0).numpy()
        big = changed(fine, change).permute(1, 2, 0).numpy()
        other = shrink(big.round().astype(np.uint8))
        assert np.median(np.abs(one - other)) < 2.5
