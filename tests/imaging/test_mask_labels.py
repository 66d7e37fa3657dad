"""Labels from masks, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histograft.imaging.mask_labels import class_shares, labels_of_shares


@given(codes=arrays(np.uint8, (7, 5), elements=st.integers(0, 6)))
def test_shares_are_counts_of_pixels(codes: np.ndarray) -> None:
    shares = class_shares(codes, [1, 2, 6])
    assert shares.tolist() == [(codes == code).mean() for code in (1, 2, 6)]


def test_share_on_the_limit_counts() -> None:
    codes = np.zeros((10, 10), np.int32)
    codes[0, 0] = 3
    codes[5:] = 18
    shares = class_shares(codes, [3, 4, 18])
    assert shares.tolist() == [0.01, 0.0, 0.5]
    names = ["necrosis", "fat", "vessel"]
    assert labels_of_shares(shares, names, 0.01) == ["necrosis", "vessel"]
    assert labels_of_shares(shares, names, 0.011) == ["vessel"]
    assert labels_of_shares(shares, names, 0.6) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_all_types_of_masks(dtype: type) -> None:
    codes = np.full((4, 4), 200, dtype)
    assert class_shares(codes, [200, 201]).tolist() == [1.0, 0.0]
