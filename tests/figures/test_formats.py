from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.figures.formats import format_column, format_number
from histograft.figures.numerals import fixed, format_p, p_phrase, percent, points


def parse(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


@given(st.floats(-1e9, 1e9, allow_nan=False))
def test_three_digits_are_kept(value: float):
    assert math.isclose(parse(format_number(value)), value, rel_tol=0.00501, abs_tol=0)


@given(st.floats(0, 1))
def test_a_p_value_never_reads_as_zero(p: float):
    text = format_p(p)
    assert text == "<0.001" if p < 0.001 else parse(text) > 0


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.00099999, "<0.001"),
        (0.001, "0.001"),
        (0.0499, "0.050"),
        (math.nan, "–"),
        (0.0996, "0.10"),
    ],
)
def test_p_values(p: float, text: str):
    assert format_p(p) == text


def test_odd_cells():
    cells = pd.Series([np.float64(1.5), None, pd.NA, np.nan, np.bool_(True), "<b>", pd.NaT])
    assert format_column(cells) == ["1.50", "–", "–", "–", "yes", "<b>", "–"]
    assert format_column(pd.Series([np.inf, -np.inf])) == ["∞", "−∞"]
    assert format_column(pd.Series([12, None], dtype="Int64")) == ["12", "–"]
    assert format_column(pd.Series([0, 1], dtype="int64"), p=True) == ["<0.001", "1.00"]


@given(st.floats(0, 1))
def test_a_p_value_reads_alike_in_a_sentence_and_in_a_table(p: float):
    assert p_phrase(p).replace("p = ", "").replace("p < ", "<") == format_p(p)


@given(st.floats(-1, 1))
def test_points_and_percent_are_right_to_a_twentieth(share: float):
    assert abs(parse(points(share)) - 100 * share) <= 0.0501
    assert abs(parse(percent(share)) - 100 * share) <= 0.0501
    assert ("+" in points(share) or "−" in points(share)) == (parse(points(share)) != 0)


@given(st.integers(-99999, 99999), st.integers(0, 2))
def test_a_number_reads_alike_however_it_was_computed(n: int, decimals: int):
    """A tie in decimal goes away from zero, also where binary puts it just beside the tie."""
    tie = (10 * n + 5 if n >= 0 else 10 * n - 5) / 10 ** (decimals + 1)
    away = n + 1 if n >= 0 else n - 1
    expected = f"{away / 10**decimals:.{decimals}f}"
    stored = float(f"{tie:.10g}")
    assert fixed(tie, decimals) == fixed(stored, decimals) == expected
    assert fixed(np.nextafter(tie, -np.inf), decimals) == expected
    assert fixed(np.nextafter(tie, np.inf), decimals) == expected


def test_points_of_terminal_and_page_agree():
    accuracies = 0.8854166666666666, 0.8479166666666667  # their difference is 0.0375
    difference = accuracies[0] - accuracies[1]
    assert difference < 0.0375  # as computed
    assert points(difference) == points(float(f"{difference:.10g}")) == "+3.8"
    assert [percent(0.8875), percent(0.8875 - 1e-16)] == ["88.8", "88.8"]
