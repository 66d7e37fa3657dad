"""Child seeds stay what they are, whatever else is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.seeds import child_seed, generator

names = st.lists(st.one_of(st.text(max_size=8), st.integers(0, 99)), max_size=3).map(tuple)


def test_the_value_is_pinned():
    # printf '0\x1fstr:split' | sha256sum   -> 187cdd125c0f7db9…
    # printf '7\x1fstr:order\x1fint:3' | sha256sum -> 5ce2c6e418b2fd5f…
    assert child_seed(0, "split") == 0x187CDD125C0F7DB9 >> 1
    assert child_seed(7, "order", 3) == 0x5CE2C6E418B2FD5F >> 1


@given(st.integers(0, 2**63), names, names)
def test_other_names_give_other_seeds(root, one, other):
    assert (child_seed(root, *one) == child_seed(root, *other)) == (one == other)


@given(st.integers(0, 2**63), names)
def test_seeds_fit_64_bits_and_numpy(root, path):
    seed = child_seed(root, *path)
    assert 0 <= seed < 2**63
    np.random.default_rng(seed)


def test_an_integer_is_not_its_text():
    assert child_seed(0, 1) != child_seed(0, "1")


def test_what_numpy_hands_out_counts_as_python():
    assert child_seed(0, np.str_("colon")) == child_seed(0, "colon")
    assert child_seed(0, np.int64(3)) == child_seed(np.int64(0), 3)


def test_a_fraction_is_no_name():
    with pytest.raises(TypeError):
        child_seed(0, 0.5)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="0 or above"):
        child_seed(-1, "split")


def test_generators_do_not_know_each_other():
    first = generator(3, "split").random(4)
    for extra in ("order", "bootstrap"):  # new uses of chance in between change nothing
        generator(3, extra).random(1000)
    assert (generator(3, "split").random(4) == first).all()
    assert not (generator(3, "order").random(4) == first).any()
