"""Accuracy against cost: what is drawn where."""

import pytest

from histograft.core.errors import InputError
from histograft.figures.cost_curve import CostPoint, cost_curve
from histograft.figures.style import figure_bytes

TEACHER = CostPoint("teacher", "1 µm/px", 5.26, 0.90, 0.85, 0.94)
POINTS = [
    CostPoint(label, f"{scale} µm/px", 5.26 / scale**2, value, value - 0.04, value + 0.03)
    for label, values in (("baseline", (0.8, 0.7)), ("KD", (0.88, 0.83)))
    for scale, value in zip((2, 4), values, strict=True)
]


def test_points_stand_at_their_cost_with_their_intervals():
    (axes,) = cost_curve(POINTS, TEACHER, "accuracy").axes
    assert axes.get_xscale() == "log"
    lines = {c.get_label(): c for c in axes.containers}
    assert set(lines) == {"baseline", "KD"}
    line, _, (bars,) = lines["KD"].lines
    assert line.get_ydata() == pytest.approx([83, 88])  # cheap ones first
    assert line.get_xdata() == pytest.approx([5.26 / 16, 5.26 / 4], rel=0.05)
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [
        pytest.approx([79, 86]),
        pytest.approx([84, 91]),
    ]
    across = next(x for x in axes.lines if x.get_label() == "teacher, 1 µm/px")
    assert list(across.get_ydata()) == [90, 90]
    assert [t.get_text() for t in axes.get_xticklabels()] == [
        "0.329\n4 µm/px", "1.31\n2 µm/px", "5.26\n1 µm/px",
    ]  # fmt: skip


def test_the_same_numbers_give_the_same_bytes():
    first, second = (figure_bytes(cost_curve(POINTS, TEACHER, "accuracy"), "svg") for _ in range(2))
    assert first == second


def test_nothing_to_draw_is_said():
    for points in ([], [CostPoint("KD", "", 0.0, 0.5, 0.4, 0.6)]):
        with pytest.raises(InputError, match="cost above 0"):
            cost_curve(points, TEACHER, "accuracy")
