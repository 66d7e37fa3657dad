"""Weight distillation against the formulas of the paper, computed by NumPy."""

import numpy as np
import pytest
import timm
import torch

from histograft.core.errors import InputError
from histograft.learning.fuse import MODES, fuse_report, fuse_state_dicts

ROWS, CONV, DOWN = 6, "layer.conv.weight", "layer.down.weight"
K = 4 * 3 * 3


def make_state(seed, scale=1.0):
    """A convolution with more columns than rows, a 1 x 1 convolution with fewer, a BatchNorm."""
    rng = np.random.default_rng(seed)
    values = {
        CONV: scale * rng.normal(size=(ROWS, 4, 3, 3)),
        DOWN: rng.normal(size=(8, 4, 1, 1)),
        "layer.bn.weight": rng.normal(size=ROWS),
        "layer.bn.running_var": rng.uniform(1, 2, ROWS),
    }
    state = {name: torch.from_numpy(value) for name, value in values.items()}
    return state | {"layer.bn.num_batches_tracked": torch.tensor(100 + seed)}


def unfolded(state, name=CONV):
    return state[name].numpy().reshape(len(state[name]), -1)


def top_right(states, rank=ROWS, scales=None):
    """V_r of the stacked matrices, by NumPy's singular value decomposition."""
    scales = scales or [1.0] * len(states)
    stack = np.concatenate([unfolded(s) / c for s, c in zip(states, scales, strict=True)])
    return np.linalg.svd(stack, full_matrices=False)[2][:rank].T


# 2 networks stack to fewer rows than columns, 9 to more.
@pytest.mark.parametrize("n", [1, 2, 9])
def test_the_paper_projects_the_first_network(n):
    states = [make_state(seed) for seed in range(n)]
    v = top_right(states)
    found = unfolded(fuse_state_dicts(states, "paper"))
    np.testing.assert_allclose(found, unfolded(states[0]) @ v @ v.T, atol=1e-9)


@pytest.mark.parametrize("n", [2, 9])
def test_that_is_what_the_paper_prints(n):
    states = [make_state(seed) for seed in range(n)]
    u, s, vt = np.linalg.svd(np.concatenate([unfolded(x) for x in states]), full_matrices=False)
    printed = u[:ROWS, :ROWS] @ np.diag(s[:ROWS]) @ vt[:ROWS]
    np.testing.assert_allclose(unfolded(fuse_state_dicts(states, "paper")), printed, atol=1e-9)


@pytest.mark.parametrize("mode", ["paper", "paper-normalized", "random-subspace", "first-only"])
def test_with_few_columns_it_is_the_first_network_itself(mode):
    states = [make_state(seed) for seed in range(3)]
    assert torch.equal(fuse_state_dicts(states, mode)[DOWN], states[0][DOWN])


def test_a_downsample_convolution_of_a_resnet_is_the_first_networks():
    every = [timm.create_model("resnet18", num_classes=3).state_dict() for _ in range(2)]
    states = [
        {n: t for n, t in s.items() if "downsample" in n or n == "conv1.weight"} for s in every
    ]
    fused = fuse_state_dicts(states, "paper")
    short = [n for n, t in fused.items() if t.ndim == 4 and n != "conv1.weight"]
    assert len(short) == 3
    assert all(torch.equal(fused[name], states[0][name]) for name in short)
    assert not torch.equal(fused["conv1.weight"], states[0]["conv1.weight"])


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "random-subspace"])
def test_a_network_fused_with_itself_is_that_network(mode):
    state = timm.create_model("resnet10t", num_classes=4).state_dict()
    fused = fuse_state_dicts([state, state, state], mode)
    assert list(fused) == list(state)
    for name, tensor in state.items():
        assert fused[name].dtype == tensor.dtype
        torch.testing.assert_close(fused[name], tensor, rtol=0, atol=1e-6)


def test_a_loud_network_takes_the_subspace_only_where_norms_count():
    first, second, loud = make_state(0), make_state(1), make_state(1)
    loud[CONV] = 10 * second[CONV]
    equal = [fuse_state_dicts([first, x], "paper-normalized")[CONV] for x in (second, loud)]
    torch.testing.assert_close(*equal, rtol=0, atol=1e-9)
    kept = [fuse_state_dicts([first, x], "paper")[CONV].norm() for x in (second, loud)]
    assert kept[1] < 0.7 * kept[0]
    v = top_right([first, loud], scales=[np.linalg.norm(unfolded(s)) for s in (first, loud)])
    np.testing.assert_allclose(equal[1].numpy().reshape(ROWS, K), unfolded(first) @ v @ v.T)


@pytest.mark.parametrize("n", [2, 9])
def test_basis_turns_the_common_directions_to_the_mean(n):
    states = [make_state(seed) for seed in range(n)]
    found = unfolded(fuse_state_dicts(states, "basis"))
    _, s, vt = np.linalg.svd(np.concatenate([unfolded(x) for x in states]), full_matrices=False)
    factor = np.diag(s[:ROWS]) @ vt[:ROWS] / np.sqrt(n)
    turn = found @ np.linalg.pinv(factor)
    np.testing.assert_allclose(turn @ turn.T, np.eye(ROWS), atol=1e-9)
    np.testing.assert_allclose(turn @ factor, found, atol=1e-9)
    mean = np.mean([unfolded(x) for x in states], axis=0)
    least = np.linalg.norm(found - mean)
    rng = np.random.default_rng(0)
    for size in (1e-3, 1.0):  # turned a little or wholly, it is never nearer
        other, _ = np.linalg.qr(turn + size * rng.normal(size=(ROWS, ROWS)))
        other *= np.sign(np.diag(other.T @ turn))
        assert np.linalg.norm(other @ factor - mean) >= least - 1e-12


def test_the_random_subspace_is_a_projection_of_the_same_dimension():
    states = [make_state(0), make_state(1)]
    fused = [fuse_state_dicts(states, "random-subspace", seed=s) for s in (3, 3, 4)]
    assert torch.equal(fused[0][CONV], fused[1][CONV])
    assert not torch.equal(fused[0][CONV], fused[2][CONV])
    first, found = unfolded(states[0]), unfolded(fused[0])
    np.testing.assert_allclose((first - found) @ found.T, 0, atol=1e-9)
    draws = [unfolded(fuse_state_dicts(states, "random-subspace", seed=s)) for s in range(200)]
    share = np.mean([(np.linalg.norm(x) / np.linalg.norm(first)) ** 2 for x in draws])
    assert share == pytest.approx(ROWS / K, rel=0.1)
    assert torch.equal(
        fused[0]["layer.bn.weight"], fuse_state_dicts(states, "paper")["layer.bn.weight"]
    )


@pytest.mark.parametrize("mode", ["paper", "paper-normalized", "average", "basis"])
def test_vectors_are_means_and_counters_maxima(mode):
    states = [make_state(seed) for seed in range(3)]
    fused = fuse_state_dicts(states, mode)
    for name in ("layer.bn.weight", "layer.bn.running_var"):
        mean = np.mean([s[name].numpy() for s in states], axis=0)
        np.testing.assert_allclose(fused[name].numpy(), mean, rtol=1e-12)
    assert fused["layer.bn.num_batches_tracked"].item() == 102
    assert fused["layer.bn.num_batches_tracked"].dtype == torch.int64


def test_first_only_is_the_first_network_and_average_the_mean():
    states = [make_state(1), make_state(0)]
    first = fuse_state_dicts(states, "first-only")
    assert all(torch.equal(first[name], states[0][name]) for name in states[0])
    mean = (states[0][CONV] + states[1][CONV]) / 2
    torch.testing.assert_close(fuse_state_dicts(states, "average")[CONV], mean, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types_are_kept_and_inputs_are_not_touched(dtype):
    states = [
        {n: t.to(dtype) if t.is_floating_point() else t for n, t in make_state(seed).items()}
        for seed in range(2)
    ]
    before = [{n: t.clone() for n, t in state.items()} for state in states]
    for mode in ("paper", "average", "first-only"):
        fused = fuse_state_dicts(states, mode)
        assert {n: t.dtype for n, t in fused.items()} == {n: t.dtype for n, t in states[0].items()}
        for tensor in fused.values():
            tensor.fill_(1)
    assert all(torch.equal(s[n], b[n]) for s, b in zip(states, before, strict=True) for n in s)


def head(n_classes, name="fc", columns=5):
    return {f"{name}.weight": torch.ones(n_classes, columns), f"{name}.bias": torch.ones(n_classes)}


@pytest.mark.parametrize("name", ["fc", "head.fc", "classifier.6", "part_b.output"])
@pytest.mark.parametrize("other", [2, None])
def test_heads_of_other_class_counts_are_left_out_and_told(name, other):
    second = make_state(1) | (head(other, name) if other else {})
    report = fuse_report([make_state(0) | head(3, name), second], "paper")
    assert list(report.state) == list(make_state(0))
    assert list(report.dropped) == [f"{name}.weight", f"{name}.bias"]
    text = "has shape (3, 5) in network 1 and"
    assert report.dropped[f"{name}.weight"].startswith(text)
    kept = fuse_report([make_state(0) | head(3, name), make_state(1) | head(3, name)], "paper")
    assert kept.dropped == {}
    assert f"{name}.weight" in kept.state


def test_dense_layers_that_differ_are_left_out_whole():
    first = make_state(0) | head(7, "part_b.hidden.0") | head(3, "part_b.output", 7)
    second = make_state(1) | head(4, "part_b.hidden.0") | head(3, "part_b.output", 4)
    report = fuse_report([first, second], "average")
    assert list(report.state) == list(make_state(0))
    assert len(report.dropped) == 4


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            make_state(1) | {CONV: torch.zeros(6, 5, 3, 3)},
            r"layer\.conv\.weight has shape \(6, 4, 3, 3\) in network 1 and \(6, 5, 3, 3\) in netw",
        ),
        (without(make_state(1), DOWN), r"layer\.down\.weight has shape .* and is missing in netw"),
        (
            make_state(1) | {"layer.more": torch.zeros(2)},
            r"layer\.more is missing in network 1 and \(2,\) in network 3",
        ),
        (
            make_state(1) | {"layer.bn.weight": torch.zeros(ROWS, dtype=torch.int64)},
            r"layer\.bn\.weight has shape \(6,\) in network 1 and \(6,\) of int64 in network",
        ),
        (make_state(1) | {DOWN: torch.full((8, 4, 1, 1), torch.nan)}, r"down\.weight of network 3"),
    ],
)
def test_the_first_tensor_that_differs_is_named_with_both_shapes(second, message):
    with pytest.raises(InputError, match=message):
        fuse_state_dicts([make_state(0), make_state(2), second], "paper")


def test_networks_of_two_architectures_are_refused():
    states = [
        timm.create_model(name, num_classes=0).state_dict() for name in ("resnet18", "resnet10t")
    ]
    with pytest.raises(InputError, match=r"not of one architecture: conv1\.weight has shape"):
        fuse_state_dicts(states, "average")
    with pytest.raises(InputError, match=r"no mode 'mean'.*aligned-average"):
        fuse_state_dicts([make_state(0)], "mean")
    with pytest.raises(InputError, match="no network to fuse"):
        fuse_state_dicts([], "paper")


@pytest.mark.parametrize("n", [2, 9])
def test_what_is_retained_adds_up_to_the_top_singular_values(n):
    states = [make_state(seed, 1 + seed) for seed in range(n)]
    rows = [r for r in fuse_report(states, "paper").layers if r["layer"] == "layer.conv"]
    energies = [np.linalg.norm(unfolded(s)) ** 2 for s in states]
    kept = sum(row["retained_energy"] * e for row, e in zip(rows, energies, strict=True))
    values = np.linalg.svd(np.concatenate([unfolded(s) for s in states]), compute_uv=False)
    assert kept == pytest.approx((values[:ROWS] ** 2).sum(), rel=1e-9)
    assert [(row["parent"], row["rows"], row["columns"]) for row in rows] == [
        (i + 1, ROWS, K) for i in range(n)
    ]


@pytest.mark.parametrize("mode", ["paper", "paper-normalized", "first-only", "random-subspace"])
def test_order_sensitivity_is_how_far_another_order_lies(mode):
    states = [make_state(0), make_state(1, 3.0)]
    report = fuse_report(states, mode, seed=5)
    there, back = (fuse_state_dicts(x, mode, seed=5)[CONV] for x in (states, states[::-1]))
    rows = [row for row in report.layers if row["layer"] == "layer.conv"]
    assert rows[0]["order_sensitivity"] == pytest.approx(0, abs=1e-12)
    assert rows[1]["order_sensitivity"] == pytest.approx(
        float((back - there).norm() / there.norm())
    )
    assert torch.equal(report.state[CONV], there)


def test_distances_and_energies_are_those_of_numpy():
    states = [make_state(0), make_state(1, 3.0)]
    for mode in ("paper", "average", "basis"):
        report = fuse_report(states, mode)
        fused = unfolded(report.state)
        for row, state in zip(report.layers[:2], states, strict=True):
            own = unfolded(state)
            size = np.linalg.norm(own)
            assert row["distance"] == pytest.approx(np.linalg.norm(fused - own) / size)
            assert row["energy_ratio"] == pytest.approx((np.linalg.norm(fused) / size) ** 2)
            assert (row["retained_energy"] is None) == (mode == "average")
            if mode != "paper":
                assert row["order_sensitivity"] == 0


def test_a_layer_of_zeros_divides_nothing():
    states = [make_state(0), make_state(1)]
    for state in states:
        state[CONV] = torch.zeros_like(state[CONV])
    for mode in MODES:
        if mode != "aligned-average":
            report = fuse_report(states, mode)
            assert not report.state[CONV].any()
            assert report.layers[0]["distance"] is None
