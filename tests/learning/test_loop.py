"""The training loop: what learns, what stays, what is selected, what is refused."""

import pickle

import numpy as np
import pytest
import torch

from histograft.core.errors import ArtefactError, DivergedError, HistograftError, InputError
from histograft.learning import loop, rmsgd
from histograft.learning.batches import epoch_order, normalize
from histograft.learning.embed import embed
from histograft.learning.loop import Regime, RunOptions, fit
from histograft.learning.losses import balanced_weights
from histograft.learning.network import NetworkSpec, state_to_save
from histograft.learning.weights import build_network

CPU = RunOptions(device="cpu")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def differing(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def is_part_b(name):
    return name.startswith("part_b.")


@pytest.mark.parametrize("tune", ["head", "body", "all"])
def test_a_frozen_part_keeps_its_bytes(spec, make_images, tune):
    network = build_network(spec, "random", seed=0)
    before = state_to_save(network)
    fit(network, *make_images(12), regime=Regime(tune, epochs=2, batch_size=5), run=CPU)
    changed = differing(before, state_to_save(network))
    part_b = {name for name in before if is_part_b(name)}
    statistics = {name for name in before if name.endswith(STATISTICS)}
    if tune == "head":
        assert changed == part_b
    elif tune == "body":
        assert not changed & part_b
        assert statistics <= changed  # BatchNorm learns statistics in training mode
    else:
        assert part_b <= changed
        assert statistics <= changed
    if tune != "head":
        # residual branches start at zero, so a few weights behind them may get no gradient
        weights = {n for n in before if not is_part_b(n) and n not in statistics}
        assert len(changed & weights) > 0.9 * len(weights)


def test_augmented_frozen_part_keeps_its_bytes_too(spec, make_images):
    """The path that recomputes features must not update BatchNorm either."""
    network = build_network(spec, "random", seed=0)
    before = state_to_save(network)
    regime = Regime("head", epochs=2, batch_size=5, augment="flips-turns")
    fit(network, *make_images(12), regime=regime, run=CPU)
    assert {n for n in differing(before, state_to_save(network)) if not is_part_b(n)} == set()


@pytest.mark.parametrize("class_weights", [False, True])
def test_head_is_what_a_plain_pytorch_loop_gives(spec, make_images, class_weights):
    """The oracle recomputes features in every step, so it also witnesses their reuse."""
    source, labels = make_images(13)
    labels = np.where(np.arange(13) < 9, 0, 1)
    network, oracle = (build_network(spec, "random", seed=0) for _ in range(2))
    regime = Regime("head", lr=1e-2, epochs=3, batch_size=4, seed=5, class_weights=class_weights)
    fit(network, source, labels, regime=regime, run=CPU)

    optimizer = torch.optim.Adam(oracle.part_b.parameters(), lr=1e-2)
    weights = balanced_weights(torch.from_numpy(labels), 2) if class_weights else None
    oracle.eval()
    for epoch in range(3):
        order = epoch_order(13, 5, epoch)
        for start, stop in ((0, 4), (4, 8), (8, 13)):
            chosen = order[start:stop]
            x = normalize(
                torch.from_numpy(source.array[chosen]).permute(0, 3, 1, 2), spec.mean, spec.std
            )
            loss = torch.nn.functional.cross_entropy(
                oracle(x), torch.from_numpy(labels[chosen]), weight=weights
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for name, tensor in state_to_save(network).items():
        torch.testing.assert_close(tensor, state_to_save(oracle)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("tune", "epochs"), [("body", 6), ("all", 6), ("head", 20)])
def test_it_learns_what_can_be_learned(spec, make_images, tune, epochs):
    network = build_network(spec, "random", seed=0)
    train, val = make_images(24), make_images(24, seed=1)
    regime = Regime(tune, lr=3e-3, epochs=epochs, batch_size=8)
    result = fit(network, *train, *val, regime=regime, run=CPU)
    assert result.history[-1]["val_balanced_accuracy"] > 0.9
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert [row["epoch"] for row in result.history] == list(range(1, epochs + 1))
    assert {row["images"] for row in result.history} == {24}
    assert not network.training


def test_features_are_computed_once_while_nothing_changes_them(spec, make_images, monkeypatch):
    passes = []
    network = build_network(spec, "random", seed=0)
    whole = network.forward_a
    monkeypatch.setattr(network, "forward_a", lambda x: passes.append(len(x)) or whole(x))
    fit(
        network,
        *make_images(12),
        *make_images(6),
        regime=Regime("head", epochs=4, batch_size=4),
        run=CPU,
    )
    assert sum(passes) == 12 + 6
    passes.clear()
    regime = Regime("head", epochs=4, batch_size=4, augment="flips-turns")
    fit(network, *make_images(12), *make_images(6), regime=regime, run=CPU)
    assert sum(passes) == 4 * 12 + 6


def test_validation_never_sees_augmentation_and_never_changes_the_result(spec, make_images):
    regime = Regime("body", lr=1e-3, epochs=2, batch_size=5, augment="flips-turns")
    states, rows = [], []
    for val in ((None, None), make_images(7, seed=1)):
        network = build_network(spec, "random", seed=0)
        result = fit(network, *make_images(12), *val, regime=regime, run=CPU)
        states.append(state_to_save(network))
        rows.append(result.history)
    assert differing(*states) == set()
    assert rows[0][-1]["val_loss"] is None
    # the last row's loss is that of the finished network on unchanged images
    source, labels = make_images(7, seed=1)
    x = normalize(torch.from_numpy(source.array).permute(0, 3, 1, 2), spec.mean, spec.std)
    with torch.inference_mode():
        loss = torch.nn.functional.cross_entropy(network(x), torch.from_numpy(labels))
    assert rows[1][-1]["val_loss"] == pytest.approx(float(loss), rel=1e-4)


def test_best_is_the_epoch_of_the_lowest_validation_loss(spec, make_images):
    train, val = make_images(12), make_images(8, seed=1)
    val = val[0], 1 - val[1]  # wrong labels: the better it learns, the worse validation gets
    last, best, short = (build_network(spec, "random", seed=0) for _ in range(3))
    regime = {"tune": "body", "lr": 1e-3, "batch_size": 4}
    fit(last, *train, *val, regime=Regime(**regime, epochs=5), run=CPU)
    result = fit(best, *train, *val, regime=Regime(**regime, epochs=5, select="best"), run=CPU)
    losses = [row["val_loss"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(losses)) < 5
    fit(short, *train, *val, regime=Regime(**regime, epochs=result.best_epoch), run=CPU)
    assert differing(state_to_save(best), state_to_save(short)) == set()
    assert differing(state_to_save(best), state_to_save(last))


def test_patience_stops_after_so_many_epochs_without_progress(spec, make_images):
    train, val = make_images(12), make_images(8, seed=1)
    val = val[0], 1 - val[1]
    regime = Regime("body", lr=1e-3, epochs=9, batch_size=4, patience=2)
    result = fit(build_network(spec, "random", seed=0), *train, *val, regime=regime, run=CPU)
    assert len(result.history) == result.best_epoch + 2 < 9


def test_schedule_reaches_the_history(spec, make_images):
    regime = Regime("head", lr=0.1, epochs=4, batch_size=4, schedule="step")
    result = fit(build_network(spec, "random", seed=0), *make_images(8), regime=regime, run=CPU)
    assert [row["lr"] for row in result.history] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_pooled_features_survive_a_kill_while_they_are_computed(
    spec, make_images, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "_BATCHES_OF_A_FILE", 2)
    regime, told = Regime("head", epochs=2, batch_size=4), []

    def stop(epoch, step, *_):
        told.append((epoch, step))
        if told == [(0, 1), (0, 2), (0, 3)]:
            raise KeyboardInterrupt

    networks = [build_network(spec, "random", seed=0) for _ in range(3)]
    run = RunOptions(device="cpu", checkpoint_dir=tmp_path, on_step=stop)
    with pytest.raises(KeyboardInterrupt):
        fit(networks[0], *make_images(20), regime=regime, run=run)
    told.clear()
    fit(networks[1], *make_images(20), regime=regime, run=run)
    assert [step for epoch, step in told if epoch == 0] == [3, 4, 5]
    fit(networks[2], *make_images(20), regime=regime, run=CPU)
    assert differing(state_to_save(networks[1]), state_to_save(networks[2])) == set()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "adamp", "rmsgd"])
def test_every_optimizer_changes_the_network_and_keeps_the_callers_generator(
    spec, make_images, optimizer
):
    network = build_network(spec, "random", seed=0)
    before, rng = state_to_save(network), torch.get_rng_state()
    fit(network, *make_images(6), regime=Regime("all", optimizer, epochs=1, batch_size=3), run=CPU)
    assert differing(before, state_to_save(network))
    assert torch.equal(torch.get_rng_state(), rng)


@pytest.mark.parametrize("cache_bytes", [0, 10**9])
@pytest.mark.parametrize("threads", [1, 3])
def test_cache_and_threads_do_not_change_the_result(spec, make_images, cache_bytes, threads):
    states = []
    for options in (CPU, RunOptions(device="cpu", cache_bytes=cache_bytes, threads=threads)):
        network = build_network(spec, "random", seed=0)
        regime = Regime("all", epochs=2, batch_size=5, augment="flips-turns")
        fit(network, *make_images(12), regime=regime, run=options)
        states.append(state_to_save(network))
    assert differing(*states) == set()


def test_a_last_batch_of_one_is_joined_even_where_maps_are_one_pixel(make_images):
    """At 32 px the last maps are 1 × 1, so BatchNorm would refuse a single image."""
    network = build_network(NetworkSpec("resnet10t", ("a", "b"), hidden=(8,)), "random", seed=0)
    steps = []
    run = RunOptions(device="cpu", on_step=lambda *step: steps.append(step))
    fit(network, *make_images(9), regime=Regime("body", epochs=1, batch_size=4), run=run)
    assert [(epoch, step, total) for epoch, step, total, *_ in steps] == [(1, 1, 2), (1, 2, 2)]
    assert all(np.isfinite(loss) and rate > 0 for *_, loss, rate in steps)
    with pytest.raises(InputError, match="batch size of 2"):
        Regime("body", batch_size=1)


def test_multilabel(make_images):
    spec = NetworkSpec("resnet10t", ("red", "blue", "any"), hidden=(16,), task="multilabel")
    source, labels = make_images(24)
    many = np.stack([labels == 0, labels == 1, np.arange(24) % 3 > 0], axis=1).astype(float)
    network = build_network(spec, "random", seed=0)
    regime = Regime("all", lr=3e-3, epochs=8, batch_size=8, class_weights=True)
    result = fit(network, source, many, source, many, regime=regime, run=CPU)
    assert result.history[-1]["val_accuracy"] > 0.7
    (batch,) = embed(network, source.array, ("gap",), device="cpu")
    assert batch["gap"].shape == (24, 512)


def test_divergence_names_the_epoch_and_what_to_try(spec, make_images):
    network = build_network(spec, "random", seed=0)
    network.part_b.output.weight.data[0, 0] = float("nan")
    with pytest.raises(HistograftError, match=r"epoch 1, step 1.*lower learning rate"):
        fit(network, *make_images(6), regime=Regime("head", epochs=1, batch_size=3), run=CPU)
    network = build_network(spec, "random", seed=0)
    regime = Regime("all", "sgd", lr=1e30, epochs=3, batch_size=6)
    with pytest.raises(HistograftError, match="diverged"):
        fit(network, *make_images(6), regime=regime, run=CPU)


def test_what_cannot_be_is_refused_before_work(spec, make_images):
    network = build_network(spec, "random", seed=0)
    source, labels = make_images(6)
    with pytest.raises(InputError, match="validation split"):
        fit(network, source, labels, regime=Regime("head", select="best"), run=CPU)
    with pytest.raises(InputError, match="validation split"):
        fit(network, source, labels, regime=Regime("head", patience=1), run=CPU)
    with pytest.raises(InputError, match="go together"):
        fit(network, source, labels, source, regime=Regime("head"), run=CPU)
    with pytest.raises(InputError, match=r"class\(es\) b"):
        fit(network, source, labels * 0, regime=Regime("head"), run=CPU)
    for change in (
        {"tune": "neck"},
        {"epochs": 0},
        {"precision": "8"},
        {"seed": -1},
        {"patience": 0},
    ):
        with pytest.raises(InputError):
            Regime(**({"tune": "head"} | change))


def test_absent_device_is_explained(spec, make_images):
    if torch.cuda.is_available():
        pytest.skip("has a GPU")
    network = build_network(spec, "random", seed=0)
    with pytest.raises(InputError, match="--device cpu"):
        fit(network, *make_images(6), regime=Regime("head"), run=RunOptions(device="cuda"))


def test_bf16_trains(spec, make_images):
    network = build_network(spec, "random", seed=0)
    regime = Regime("all", lr=1e-3, epochs=1, batch_size=4, precision="bf16-mixed")
    result = fit(network, *make_images(8), *make_images(4), regime=regime, run=CPU)
    assert np.isfinite(result.history[0]["val_loss"])
    assert {t.dtype for t in network.parameters()} == {torch.float32}


def test_a_finished_run_is_not_repeated_and_a_foreign_checkpoint_is_refused(
    spec, make_images, tmp_path, monkeypatch
):
    run, regime = (
        RunOptions(device="cpu", checkpoint_dir=tmp_path),
        Regime("head", epochs=2, batch_size=4),
    )
    one, two = (build_network(spec, "random", seed=0) for _ in range(2))
    first = fit(one, *make_images(8), regime=regime, run=run)
    monkeypatch.setattr(loop, "pooled_features", None)  # would raise if it were called
    second = fit(two, *make_images(8), regime=regime, run=run)
    assert (first.resumed_from, second.resumed_from) == (None, (2, 0))
    assert first.history == second.history
    assert differing(state_to_save(one), state_to_save(two)) == set()
    for other in (
        lambda: fit(one, *make_images(8), regime=regime, run=run),  # other first weights
        lambda: fit(two, *make_images(8, seed=1), regime=regime, run=run),
        lambda: fit(
            build_network(spec, "random", seed=0), *make_images(8), regime=Regime("head"), run=run
        ),
    ):
        with pytest.raises(ArtefactError, match="belongs to a run with other"):
            other()
    (tmp_path / "checkpoint.pt").write_bytes(b"broken")
    with pytest.raises(ArtefactError, match="cannot be read"):
        fit(build_network(spec, "random", seed=0), *make_images(8), regime=regime, run=run)


def test_a_network_may_have_no_hidden_layer(make_images):
    spec = NetworkSpec("resnet10t", ("a", "b"), hidden=(), patch_px=32)
    for tune in ("head", "all"):
        network = build_network(spec, "random", seed=0)
        before = state_to_save(network)
        fit(network, *make_images(8), regime=Regime(tune, epochs=1, batch_size=4), run=CPU)
        changed = differing(before, state_to_save(network))
        assert {"part_b.output.weight", "part_b.output.bias"} <= changed


def test_bn_update_changes_the_statistics_of_a_frozen_part_and_nothing_else(spec, make_images):
    network = build_network(spec, "random", seed=0)
    before = state_to_save(network)
    regime = Regime("head", epochs=2, batch_size=5, bn_update=True)
    fit(network, *make_images(12), *make_images(6), regime=regime, run=CPU)
    changed = {n for n in differing(before, state_to_save(network)) if not is_part_b(n)}
    assert changed == {n for n in before if n.endswith(STATISTICS)}
    steps = state_to_save(network)["bn1.num_batches_tracked"]
    assert int(steps) == 2 * 3  # no step of validation counts
    with pytest.raises(InputError, match="batch size of 2"):
        Regime("head", batch_size=1, bn_update=True)


def test_validation_is_augmented_on_request_with_draws_of_its_own(spec, make_images, monkeypatch):
    seen = []

    def spy(images, rule, *, seed, epoch, indices):
        seen.append((rule, seed, epoch, tuple(sorted(indices))))
        return images

    monkeypatch.setattr("histograft.learning.splits.augment", spy)
    train, val = make_images(8), make_images(4, seed=1)
    for augment_val, rule in ((False, "none"), (True, "histokt")):
        seen.clear()
        regime = Regime("all", epochs=2, batch_size=8, augment="histokt", augment_val=augment_val)
        fit(build_network(spec, "random", seed=0), *train, *val, regime=regime, run=CPU)
        assert [one[0] for one in seen] == ["histokt", rule] * 2
        assert [one[2] for one in seen] == [0, 0, 1, 1]
        assert seen[0][1] != seen[1][1]  # image 0 of both splits is not drawn alike


def test_best_by_accuracy_is_the_first_of_the_highest(spec, make_images):
    train, val = make_images(12), make_images(8, seed=1)
    regime = {"tune": "all", "lr": 1e-3, "batch_size": 4, "augment": "histokt", "select": "best"}
    runs = {}
    for by in ("accuracy", "loss"):
        network = build_network(spec, "random", seed=0)
        regime |= {"select_by": by, "epochs": 6}
        runs[by] = fit(network, *train, *val, regime=Regime(**regime), run=CPU)
        logits = runs[by].val_logits
        right = float((logits.argmax(1) == val[1]).mean())
        row = runs[by].history[runs[by].best_epoch - 1]
        assert row["val_accuracy"] == pytest.approx(right)  # logits are those of the best epoch
    accuracies = [row["val_accuracy"] for row in runs["accuracy"].history]
    assert runs["accuracy"].best_epoch == 1 + int(np.argmax(accuracies))
    losses = [row["val_loss"] for row in runs["loss"].history]
    assert runs["loss"].best_epoch == 1 + int(np.argmin(losses))
    assert accuracies.count(max(accuracies)) > 1  # so that "first" was tested


def test_rates_of_rmsgd_change_once_an_epoch_and_reach_the_history(spec, make_images, monkeypatch):
    calls = []
    end = rmsgd.RMSGD.epoch_end
    monkeypatch.setattr(rmsgd.RMSGD, "epoch_end", lambda self: (calls.append(1), end(self))[1])
    gains = iter(np.linspace(0.1, 0.9, 1000))
    monkeypatch.setattr(rmsgd, "knowledge_gain", lambda _: next(gains))
    network = build_network(spec, "random", seed=0)
    regime = Regime("all", "rmsgd", lr=0.01, epochs=3, batch_size=4)
    result = fit(network, *make_images(8), regime=regime, run=CPU)
    assert len(calls) == 3
    lr = [row["lr"] for row in result.history]
    assert lr[:2] == pytest.approx([0.01, 0.01], rel=1e-12)
    kernels = sum(t.ndim == 4 and min(t.shape[2:]) > 1 for t in state_to_save(network).values())
    assert len(result.kernels) == 3 * kernels
    last = [row["next_rate"] for row in result.kernels[kernels : 2 * kernels]]
    assert lr[2] == pytest.approx(np.mean(last), rel=1e-12)
    names = {row["kernel"] for row in result.kernels}
    assert names <= {name for name, _ in network.named_parameters()}
    found = [row["knowledge_gain"] for row in result.kernels]
    np.testing.assert_allclose(found, np.linspace(0.1, 0.9, 1000)[: 3 * kernels])
    # each kernel gains the same from epoch 1 to epoch 2: as many places on the line as kernels
    assert lr[2] == pytest.approx(0.98 * 0.01 + kernels * 0.8 / 999, rel=1e-6)
    for change in ({"tune": "head"}, {"schedule": "cosine"}):
        with pytest.raises(InputError, match="rmsgd"):
            Regime(**({"tune": "all", "optimizer": "rmsgd"} | change))


def test_rmsgd_goes_on_with_the_same_bits(spec, make_images, tmp_path):
    regime = Regime("all", "rmsgd", lr=0.03, epochs=3, batch_size=4, augment="histokt", seed=2)
    stops = [(1, 2), (2, 1), (3, 1)]

    def stop(epoch, step, *_):
        if stops and (epoch, step) == stops[0]:
            raise KeyboardInterrupt

    def run(folder, on_step=None):
        options = RunOptions("cpu", folder, on_step, checkpoint_every_s=0.0)
        network = build_network(spec, "random", seed=0)
        result = fit(network, *make_images(12), regime=regime, run=options)
        return network, [{k: v for k, v in r.items() if k != "seconds"} for r in result.history]

    while stops:  # one run that is stopped in every epoch
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, stop)
        stops.pop(0)
    resumed, history = run(tmp_path)
    whole, expected = run(None)
    assert history == expected
    assert differing(state_to_save(resumed), state_to_save(whole)) == set()


def test_divergence_can_be_recorded(spec, make_images):
    regime = Regime("all", "sgd", lr=1e30, epochs=3, batch_size=6)
    with pytest.raises(DivergedError) as caught:
        fit(build_network(spec, "random", seed=0), *make_images(6), regime=regime, run=CPU)
    # the one step of epoch 1 ends in huge weights, which are seen in the next
    assert (caught.value.lr, caught.value.epoch) == (1e30, 2)
    again = pickle.loads(pickle.dumps(caught.value))  # it crosses processes
    assert (again.lr, again.epoch, str(again)) == (1e30, 2, str(caught.value))


def test_a_label_that_nobody_shows_is_for_one_vs_all(make_images):
    spec = NetworkSpec("resnet10t", ("red", "blue", "no"), hidden=(), task="multilabel")
    source, labels = make_images(8)
    many = np.stack([labels == 0, labels == 1, labels > 5], axis=1).astype(float)
    regime = Regime("head", epochs=2, batch_size=8)
    with pytest.raises(InputError, match="one-vs-all"):
        fit(build_network(spec, "random", seed=0), source, many, regime=regime, run=CPU)
    network = build_network(spec, "random", seed=0)
    before = network.part_b.output.weight[2].clone()
    regime = Regime("head", epochs=2, batch_size=8, multilabel_loss="one-vs-all")
    fit(network, source, many, regime=regime, run=CPU)
    assert torch.equal(network.part_b.output.weight[2], before)  # no weight, no gradient
    assert not torch.equal(network.part_b.output.weight[1], before)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_gpu_learns_the_same(spec, make_images, precision):
    if not torch.cuda.is_available():
        pytest.skip("has no GPU")
    train, val = make_images(24), make_images(24, seed=1)
    for optimizer, lr in (("adamp", 3e-3), ("rmsgd", 0.03)):
        regime = Regime(
            "all", optimizer, lr=lr, epochs=8, batch_size=8, augment="histokt", precision=precision
        )
        network = build_network(spec, "random", seed=0)
        result = fit(network, *train, *val, regime=regime, run=RunOptions(device="cuda"))
        assert result.history[-1]["val_balanced_accuracy"] > 0.9
        assert next(network.parameters()).device.type == "cpu"
