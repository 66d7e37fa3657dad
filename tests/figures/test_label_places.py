"""Labels in a column: apart, in order, inside, and as near to their points as can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from histograft.core.errors import InputError
from histograft.figures.label_places import spread

places = st.lists(st.floats(0, 1), max_size=12).map(sorted)


@given(places)
def test_labels_are_a_step_apart_and_inside(wanted):
    found = spread(wanted, 0.05, 0.0, 1.0)
    assert len(found) == len(wanted)
    assert (np.diff(found) >= 0.05 - 1e-9).all()
    assert ((found >= -1e-9) & (found <= 1 + 1e-9)).all()


@given(places)
def test_labels_with_room_stay_where_they_are(wanted):
    apart = [place + i for i, place in enumerate(wanted)]
    clear = [place for i, place in enumerate(apart) if i == 0 or place - apart[i - 1] >= 0.05]
    assert spread(clear, 0.0499, 0, 20) == pytest.approx(clear) or len(clear) < len(apart)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_places_are_nearer(seed):
    wanted = np.sort(np.random.default_rng(seed).uniform(0, 1, 6))
    step = 0.15
    rules = [{"type": "ineq", "fun": lambda p, i=i: p[i + 1] - p[i] - step} for i in range(5)]
    best = minimize(
        lambda p: ((p - wanted) ** 2).sum(),
        np.linspace(0, 1, 6),
        bounds=[(0, 1)] * 6,
        constraints=rules,
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    assert spread(wanted.tolist(), step, 0, 1) == pytest.approx(best.x, abs=1e-4)


def test_too_many_labels_are_refused():
    with pytest.raises(InputError, match=r"12 labels do not fit into 10\.0 lines"):
        spread([0.5] * 12, 0.1, 0, 1)
    assert spread([], 0.1, 0, 1).tolist() == []
    assert spread([3.0], 0.1, 0, 1).tolist() == [1.0]
