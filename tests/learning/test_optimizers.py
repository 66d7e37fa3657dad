"""Optimizers against their formulas, schedules against their definitions."""

import math

import pytest
import torch
from torch import nn

from histograft.core.errors import InputError
from histograft.learning.optimizers import make_optimizer, make_schedule


def one_step(name, lr=0.1, weight_decay=0.0, steps=1):
    w = nn.Parameter(torch.tensor([2.0, -1.0]))
    optimizer = make_optimizer(name, [w], lr, weight_decay)
    for _ in range(steps):
        optimizer.zero_grad()
        (w * torch.tensor([3.0, 0.5])).sum().backward()
        optimizer.step()
    return w.detach()


@pytest.mark.parametrize("name", ["adam", "adamw", "adamp"])
def test_first_step_of_the_adam_family_has_the_length_of_the_learning_rate(name):
    """Bias-corrected moments of one gradient g are g and g², so the step is lr · sign(g)."""
    torch.testing.assert_close(one_step(name), torch.tensor([1.9, -1.1]))


def test_sgd_is_nesterovs():
    """Two steps by hand: v = 0.9 v + g; w -= lr (g + 0.9 v)."""
    w, v, g = 2.0, 0.0, 3.0
    for _ in range(2):
        v = 0.9 * v + g
        w -= 0.1 * (g + 0.9 * v)
    assert float(one_step("sgd", steps=2)[0]) == pytest.approx(w)


def test_weight_decay_of_adamw_is_decoupled():
    torch.testing.assert_close(
        one_step("adamw", weight_decay=0.5), torch.tensor([2.0 * 0.95 - 0.1, -1.0 * 0.95 - 0.1])
    )


def test_schedules():
    assert [make_schedule("constant", 3)(e) for e in range(3)] == [1, 1, 1]
    cosine = [make_schedule("cosine", 8)(e) for e in range(8)]
    assert cosine[0] == 1
    assert cosine[4] == pytest.approx(0.5)
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[2] == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert [make_schedule("step", 8)(e) for e in range(8)] == [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]


def test_unknown_names_and_numbers_out_of_range():
    weights = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(InputError, match="adamp"):
        make_optimizer("lion", weights, 0.1, 0.0)
    with pytest.raises(InputError, match="cosine"):
        make_schedule("linear", 3)
    for lr, decay in ((0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (0.1, -1.0)):
        with pytest.raises(InputError, match="out of range"):
            make_optimizer("adam", weights, lr, decay)
