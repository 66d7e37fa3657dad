"""Scale arithmetic against exact fractions."""

from fractions import Fraction
from math import floor, inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import InputError
from histograft.core.units import Scale, check_mpp

# As scanners state it: three decimals, 0.05 to 10 µm/px.
thousandths = st.integers(50, 10_000)
pixels = st.integers(1, 200_000)


@given(thousandths, thousandths, pixels)
def test_whole_pixels_are_those_of_exact_arithmetic(native, target, length_px):
    scale = Scale(native / 1000, target / 1000)
    exact = max(1, floor(length_px * Fraction(native, target)))
    assert scale.scaled_size(length_px, 1)[0] == exact
    assert scale.scaled_size(1, length_px)[1] == exact


@given(thousandths, st.integers(1, 64), st.integers(1, 5000))
def test_a_whole_number_of_patches_is_not_lost_by_rounding(native, factor, n):
    scale = Scale(native / 1000, factor * (native / 1000))
    assert scale.scaled_size(n * factor, n * factor) == (n, n)


def test_the_pixel_that_floats_would_lose():
    assert floor(2016 / (0.459 / 0.051)) == 223  # 0.459 is 9 times 0.051
    assert Scale(0.051, 0.459).scaled_size(2016, 63) == (224, 7)


@given(thousandths, thousandths, st.floats(0.01, 1e6))
def test_lengths_come_back(native, target, length_px):
    scale = Scale(native / 1000, target / 1000)
    assert scale.native_length(scale.scaled_length(length_px)) == pytest.approx(length_px)
    um = scale.micrometers(scale.scaled_length(length_px))
    assert um == pytest.approx(length_px * native / 1000)


@given(thousandths, thousandths)
def test_exactly_one_of_shrinking_growing_and_keeping(native, target):
    scale = Scale(native / 1000, target / 1000)
    assert scale.is_identity == (native == target)
    assert scale.is_upsampling == (native > target)


@pytest.mark.parametrize("mpp", [0, -0.5, 0.0099, 1000.1, nan, inf, -inf, 0.0000005, 250_000])
def test_what_is_no_scale_is_refused_by_name(mpp):
    with pytest.raises(InputError, match=r"samples\.csv.*µm/px.*0\.25"):
        check_mpp(mpp, "samples.csv")
    with pytest.raises(InputError, match="native"):
        Scale(mpp, 0.5)
    with pytest.raises(InputError, match="target"):
        Scale(0.5, mpp)


@pytest.mark.parametrize("mpp", [0.01, 0.25, 1, 1000])
def test_the_ends_of_the_range_belong_to_it(mpp):
    assert check_mpp(mpp, "x") == mpp
    assert type(check_mpp(mpp, "x")) is float
