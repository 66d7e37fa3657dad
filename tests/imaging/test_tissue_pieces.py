"""Boxes around pieces of tissue, by hand and by what must hold for all masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from histograft.core.errors import InputError
from histograft.imaging.tissue_pieces import tissue_boxes


def test_boxes_by_hand():
    mask = np.zeros((50, 100), bool)  # 8 µm/px over a slide of 1601 × 799 px at 0.5
    mask[10:20, 5:25] = True
    mask[30:50, 60:100] = True
    first, second = tissue_boxes(mask, (1601, 799), 0.5, 16.0)
    # 16.01 and 15.98 level-0 px a pixel of the mask, and 32 px of margin
    assert first.place == (48, 127, 385, 225)  # 80.05-32, 159.8-32, 400.25+32, 319.6+32
    assert second.place == (928, 447, 673, 352)  # 960.6-32, 479.4-32, and to the slide's end
    assert first.area_um2 == pytest.approx(200 * 16.01 * 15.98 / 4)


def test_a_piece_in_the_box_of_another_is_seen_with_it():
    mask = np.zeros((30, 30), bool)
    mask[2:20, 2:20] = True
    mask[5:18, 5:18] = False
    mask[10:12, 10:12] = True  # an island in a lake
    mask[25:28, 25:28] = True
    ring, other = tissue_boxes(mask, (300, 300), 1.0, 0.0)
    assert ring.place == (20, 20, 180, 180)
    assert ring.area_um2 == pytest.approx((18 * 18 - 13 * 13 + 4) * 100)
    assert other.place == (250, 250, 30, 30)


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), st.floats(0, 40))
def test_all_tissue_is_in_a_box_on_the_slide(mask, margin):
    size0 = (mask.shape[1] * 7, mask.shape[0] * 7)
    boxes = tissue_boxes(mask, size0, 0.5, margin)
    covered = np.zeros((size0[1], size0[0]), bool)
    for box in boxes:
        x, y, width, height = box.place
        assert min(x, y) >= 0
        assert x + width <= size0[0]
        assert y + height <= size0[1]
        covered[y : y + height, x : x + width] = True
        assert not any(box.holds(other) for other in boxes if other is not box)
    assert covered[np.kron(mask, np.ones((7, 7), bool))].all()
    area = mask.sum() * 49 * 0.25
    assert sum(box.area_um2 for box in boxes) == pytest.approx(area)
    assert len(boxes) <= ndimage.label(mask)[1]


def test_a_margin_below_zero_is_refused():
    with pytest.raises(InputError, match="margin"):
        tissue_boxes(np.ones((2, 2), bool), (8, 8), 1.0, -1.0)
