"""RMSGD against rates computed by hand, PyTorch's SGD, and itself after an interruption."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from histograft.core.errors import InputError
from histograft.learning import rmsgd
from histograft.learning.rmsgd import CODED, RELEASED, RMSGD, RateRule, knowledge_gain


@pytest.fixture
def gains(monkeypatch):
    """Let the knowledge gain of the one kernel be what a test says, epoch by epoch."""

    def script(*values):
        rest = iter(values)
        monkeypatch.setattr(rmsgd, "knowledge_gain", lambda _: next(rest))

    return script


def rates_of(rule, epochs, lr=0.03):
    optimizer = RMSGD([nn.Parameter(torch.zeros(4, 3, 3, 3))], lr, rule=rule)
    found = []
    for _ in range(epochs):
        optimizer.epoch_end()
        found.append(optimizer.rates()[0][0])
    return found


def test_rates_as_coded(gains):
    gains(0.20, 0.21, 0.19, 0.0)
    first = 0.03
    second = 0.98 * first + (0.21 - 0.20)
    third = 0.98 * second + (0.19 - 0.21)
    last = 1e-10  # 0.98 v - 0.19 is below the floor
    assert rates_of(CODED, 4) == pytest.approx([first, second, third, last], rel=1e-12)


def test_rates_as_released(gains):
    gains(0.20, 0.21, 0.0)
    first = 1.8 * 0.03
    second = 0.8 * first + 0.01
    assert rates_of(RELEASED, 3) == pytest.approx([first, second, 0.0], rel=1e-12)


@pytest.mark.parametrize(("variant", "held"), [("coded", 0.03), ("released", 0.03 * 1.5)])
def test_a_layer_without_structure_is_held_until_it_has_some(gains, variant, held):
    gains(0.0, 0.0, 0.0, 0.25, 0.0)
    rule = RateRule(variant, beta=0.5, gamma=1.0, step=None)
    # released: the hold brings v, which began at (1 + β) η₀, to η₀ at once
    rest = 0.5 * 0.03 + 0.25
    expected = [held, 0.03, 0.03, rest, max(0.5 * rest - 0.25, rule.floor)]
    assert rates_of(rule, 5) == pytest.approx(expected, rel=1e-12)


def test_decay_at_the_step(gains):
    gains(0.1, 0.2, 0.3, 0.4, 0.5)
    rates_coded = rates_of(RateRule("coded", beta=0.5, gamma=0.5, step=2), 5, lr=0.1)
    v = [0.1]  # t = 0
    v.append(0.5 * v[0] + 0.1)
    v.append(0.5 * v[1] + 0.5 * 0.1)  # t = 2: ζ = 1/2
    v.append(0.5 * v[2] + 0.5 * 0.1)
    v.append(0.5 * v[3] + 0.25 * 0.1)  # t = 4: ζ = 1/4
    assert rates_coded == pytest.approx(v, rel=1e-12)
    gains(0.1, 0.2, 0.3)
    released = rates_of(RateRule("released", beta=0.5, gamma=0.5, step=2), 3, lr=0.1)
    v = [0.15, 0.5 * 0.15 + 0.1]
    v.append(0.5 * 0.5 * v[1] + 0.5 * 0.1)  # v decays too
    assert released == pytest.approx(v, rel=1e-12)


def test_held_layers_while_zeta_decays(gains):
    """As coded the hold is exact only while ζ = 1; released divides by ζ before it decays."""
    gains(0.0, 0.0)
    coded = rates_of(RateRule("coded", beta=0.5, gamma=0.5, step=1), 2)
    assert coded[1] == pytest.approx(0.5 * 0.03 + 0.5 * (0.03 - 0.5 * 0.03), rel=1e-12)
    gains(0.0, 0.0, 0.0)
    released = rates_of(RateRule("released", beta=0.5, gamma=0.5, step=1), 3)
    # v and ζ decay after Δ = (η₀ - β v) / ζ was formed: γ β v + γ ζ (η₀ - β v) / ζ = γ η₀
    assert released[1:] == pytest.approx([0.5 * 0.03, 0.5 * 0.03], rel=1e-12)


def test_defaults_are_those_published():
    assert (CODED.variant, CODED.beta, CODED.gamma, CODED.step) == ("coded", 0.98, 0.5, 25)
    assert (RELEASED.variant, RELEASED.beta, RELEASED.gamma, RELEASED.step) == (
        "released",
        0.8,
        1.0,
        None,
    )
    assert (CODED.floor, RELEASED.floor) == (1e-10, 0.0)


def test_who_has_a_rate_of_its_own_and_who_copies(gains):
    conv, narrow, long = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, (1, 3))
    frozen = nn.Conv2d(4, 4, 3).requires_grad_(False)
    before = nn.Parameter(torch.zeros(3))
    modules = (conv, nn.BatchNorm2d(4), narrow, long, frozen, nn.Linear(4, 2))
    parameters = [before] + [p for m in modules for p in m.parameters()]
    for rule, own in ((CODED, [1, 9]), (RELEASED, [1, 5, 7])):
        assert [i for i, p in enumerate(parameters) if rule.measures(p)] == own
        gains(*range(1, 2 * len(own) + 1))  # each kernel gains by the number of kernels
        optimizer = RMSGD(parameters, 0.03, rule=rule)
        optimizer.epoch_end()
        for p in parameters:
            if rule.measures(p):
                optimizer.state[p]["velocity"] = float(parameters_index(parameters, p))
        optimizer.epoch_end()
        (rates,) = optimizer.rates()
        assert rates[0] == 0.03
        for i in range(1, len(parameters)):
            source = max(k for k in own if k <= i)
            assert rates[i] == pytest.approx(rule.beta * source + len(own))


def parameters_index(parameters, wanted):
    return next(i for i, p in enumerate(parameters) if p is wanted)


def test_steps_are_those_of_sgd_at_the_same_rates():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten())
    twin = copy.deepcopy(net)
    ours = RMSGD(net.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    rates = [0.05, 0.05, 0.01, 0.01]
    for p, rate in zip(net.parameters(), rates, strict=True):
        ours.state[p]["rate"] = rate
    groups = [{"params": [p], "lr": r} for p, r in zip(twin.parameters(), rates, strict=True)]
    theirs = torch.optim.SGD(groups, momentum=0.9, weight_decay=5e-4, foreach=False)
    for _ in range(4):
        x = torch.randn(5, 3, 6, 6)
        for network, optimizer in ((net, ours), (twin, theirs)):
            optimizer.zero_grad()
            network(x).square().mean().backward()
            optimizer.step()
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def epochs_of(net, optimizer, first, last):
    for epoch in range(first, last):
        rng = np.random.default_rng(epoch)
        for _ in range(2):
            x = torch.from_numpy(rng.normal(size=(4, 3, 7, 7)).astype(np.float32))
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
        optimizer.epoch_end()


def test_a_resumed_run_has_the_same_bits(tmp_path):
    def fresh():
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3))
        with torch.no_grad():  # a kernel with structure, so that its rate moves
            net[0].weight += torch.ones(8, 3, 3, 3)
        groups = [{"params": net[:2].parameters()}, {"params": net[2].parameters(), "lr": 0.02}]
        return net, RMSGD(groups, 0.01, weight_decay=5e-4, rule=RateRule(step=2))

    whole = fresh()
    epochs_of(*whole, 0, 6)
    early = fresh()
    epochs_of(*early, 0, 3)
    torch.save((early[0].state_dict(), early[1].state_dict()), tmp_path / "half.pt")
    late = fresh()
    network, optimizer = torch.load(tmp_path / "half.pt", weights_only=True)
    late[0].load_state_dict(network)
    late[1].load_state_dict(optimizer)
    epochs_of(*late, 3, 6)
    assert late[1].rates() == whole[1].rates()
    assert len({rate for rates in whole[1].rates() for rate in rates}) > 1
    for one, other in zip(late[0].parameters(), whole[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_knowledge_gain_by_hand():
    """Along the 8 outputs it has rank 2, strengths 2 : 1, no noise.

    Of its 2 input channels the weaker cannot be told from noise: at most
    ⌈L / (1 + L / M)⌉ - 1 = 1 component of an L = 2 by M = 72 matrix can.
    """
    kernel = torch.zeros(8, 2, 3, 3)
    kernel[:4, 0] = 2.0  # 36 entries of 2: strength 12 in both unfoldings
    kernel[4:, 1] = 1.0  # 36 entries of 1: strength 6
    assert knowledge_gain(kernel) == pytest.approx((1.5 / 8 + 1 / 2) / 2, rel=1e-6)


def test_knowledge_gain_of_noise_and_of_signal_in_noise():
    torch.manual_seed(0)
    noise = torch.randn(32, 16, 3, 3)
    assert knowledge_gain(noise) == 0
    assert knowledge_gain(torch.zeros(4, 4, 3, 3)) == 0
    pattern = torch.randn(16, 3, 3)
    signal = 20 * torch.randn(32, 1, 1, 1) * pattern
    # along the outputs it is one component of 32; along the inputs each has its own pattern
    assert 1 / 64 < knowledge_gain(signal + noise) < 1


def test_what_cannot_be_is_refused():
    kernel = [nn.Parameter(torch.zeros(2, 2, 3, 3))]
    for bad in ({"lr": 0.0}, {"lr": 0.1, "momentum": 1.0}, {"lr": 0.1, "weight_decay": -1.0}):
        with pytest.raises(InputError, match="out of range"):
            RMSGD(kernel, **bad)
    for bad in ({"beta": 1.0}, {"gamma": 0.0}, {"step": 0}, {"variant": "new"}):
        with pytest.raises(InputError):
            RateRule(**bad)
    with pytest.raises(InputError, match="none is among"):
        RMSGD(nn.Linear(2, 2).parameters(), 0.1)
    kernel[0].data[0] = float("nan")
    with pytest.raises(ValueError, match="finite singular"):
        RMSGD(kernel, 0.1).epoch_end()
