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


def test_step_20_is_torchs_step_lr():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)
    ours = make_schedule("step-20", 250)
    for epoch in range(250):
        assert ours(epoch) == theirs.get_last_lr()[0]
        optimizer.step()
        theirs.step()


def test_adamp_is_that_of_the_paper():
    """Two steps of a weight whose gradient is orthogonal to it, so that the projection acts."""
    w0, g = torch.tensor([[3.0, 4.0]], dtype=torch.float64), torch.tensor([[-4.0, 3.0]])
    w = nn.Parameter(w0.clone())
    lr, decay, beta = 1e-3, 5e-4, (0.9, 0.999)
    optimizer = make_optimizer("adamp", [w], lr, decay)
    group = optimizer.param_groups[0]
    assert (group["betas"], group["eps"], group["nesterov"]) == (beta, 1e-8, False)
    assert (group["delta"], group["wd_ratio"]) == (0.1, 0.1)
    m = v = torch.zeros_like(w0)
    expected, grads = w0.clone(), [g.double(), g.double()]
    for t, grad in enumerate(grads, start=1):
        w.grad = grad
        optimizer.step()
        m, v = beta[0] * m + (1 - beta[0]) * grad, beta[1] * v + (1 - beta[1]) * grad**2
        step = m / ((v / (1 - beta[1] ** t)).sqrt() + 1e-8)
        cosine = (grad * expected).sum().abs() / (grad.norm() * expected.norm())
        assert cosine < 0.1 / 2**0.5  # δ / √dim: the projection acts, and decay is a tenth
        unit = expected / (expected.norm() + 1e-8)
        step = step - unit * (unit * step).sum()
        expected = expected * (1 - lr * decay * 0.1) - lr / (1 - beta[0] ** t) * step
        torch.testing.assert_close(w.detach(), expected, rtol=1e-9, atol=1e-12)


def test_rmsgd_has_the_constants_of_histokt():
    kernel = nn.Parameter(torch.zeros(2, 2, 3, 3))
    optimizer = make_optimizer("rmsgd", [kernel], 0.03, 5e-4)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.03, 0.9, 5e-4)
    rule = optimizer.rule
    assert (rule.variant, rule.beta, rule.gamma, rule.step) == ("coded", 0.98, 0.5, 25)


def test_unknown_names_and_numbers_out_of_range():
    weights = [nn.Parameter(torch.zeros(1))]
    with pytest.raises(InputError, match="adamp"):
        make_optimizer("lion", weights, 0.1, 0.0)
    with pytest.raises(InputError, match="cosine"):
        make_schedule("linear", 3)
    for lr, decay in ((0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (0.1, -1.0)):
        with pytest.raises(InputError, match="out of range"):
            make_optimizer("adam", weights, lr, decay)
