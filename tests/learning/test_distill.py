"""Training on pieces of any size, against plain PyTorch loops."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn import functional

from histograft.core.errors import HistograftError, InputError
from histograft.learning import piece_loop, teacher
from histograft.learning.batches import epoch_order, normalize
from histograft.learning.distill import PieceRegime, Pieces, distill, drawn_network, fit_pieces
from histograft.learning.distillation_loss import DistillationLoss
from histograft.learning.losses import balanced_weights
from histograft.learning.network import Network, NetworkSpec, state_to_save
from histograft.learning.piece_parts import macro_f1
from histograft.learning.piece_scores import piece_probabilities
from histograft.learning.regime import RunOptions, make_fabric

CPU = RunOptions(device="cpu")
SPEC = NetworkSpec(
    "dipalma_resnet10", ("a", "b", "c"), {"norm_groups": 4, "widths": (8, 8, 16, 16)}, ()
)
# Adam divides gradients by their own size, which makes much of the rounding of those near 0
SGD = {"optimizer": "sgd", "lr": 0.02, "augment": "none", "epochs": 2, "batch_size": 3, "seed": 4}
SIZES = ((32, 48), (40, 32), (32, 48), (33, 35), (40, 32), (32, 48), (32, 48))
LABELS = np.array([0, 1, 2, 0, 1, 0, 2])
PLAIN = PieceRegime(augment="none", epochs=2, batch_size=3, seed=4)


class Source:
    def __init__(self, images):
        self.images, self.reads = images, 0

    def __len__(self):
        return len(self.images)

    def shape(self, index):
        return self.images[index].shape[:2]

    def image(self, index):
        self.reads += 1
        return self.images[index]


def images(scale=1, sizes=SIZES, seed=0):
    """Noise; at scale s each pixel is a square of s × s, so that scales show the same."""
    rng = np.random.default_rng(seed)
    plain = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    return Source([np.kron(i, np.ones((scale, scale, 1), np.uint8)) for i in plain])


def pieces(labels=LABELS, **options):
    return Pieces(images(1, **options), labels, images(2, **options))


def tensor(image):
    return normalize(torch.from_numpy(image)[None].permute(0, 3, 1, 2), SPEC.mean, SPEC.std)


def assert_close(one, other, rtol=1e-6, atol=1e-6):
    states = state_to_save(one), state_to_save(other)
    for name, values in states[0].items():
        torch.testing.assert_close(values, states[1][name], rtol=rtol, atol=atol, msg=name)


def plain_loop(network, loss_of, regime):
    """Every step's loss is the mean over its pieces, made before the one backward pass."""
    sgd = torch.optim.SGD(
        network.parameters(), regime.lr, 0.9, weight_decay=regime.weight_decay, nesterov=True
    )
    found = []
    for epoch in range(regime.epochs):
        order = epoch_order(len(SIZES), regime.seed, epoch).tolist()
        losses = []
        for start in range(0, len(order), regime.batch_size):
            loss = loss_of(order[start : start + regime.batch_size])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            losses += [float(loss.detach())] * len(order[start : start + regime.batch_size])
        found.append(np.mean(losses))
    return found


@pytest.mark.parametrize("class_weights", [False, True])
@pytest.mark.parametrize("pass_pixels", [None, 2**20])
def test_gradients_of_pieces_add_up_to_those_of_their_step(pass_pixels, class_weights):
    network, oracle = (drawn_network(SPEC, seed=0) for _ in range(2))
    regime = PieceRegime(**SGD, pass_pixels=pass_pixels, class_weights=class_weights)
    result = fit_pieces(network, pieces(), regime=regime, run=CPU)
    weight = balanced_weights(torch.from_numpy(LABELS), 3) if class_weights else None

    def loss_of(chosen):
        logits = torch.cat([oracle(tensor(pieces().images.image(i))) for i in chosen])
        return functional.cross_entropy(logits, torch.from_numpy(LABELS[chosen]), weight)

    expected = plain_loop(oracle, loss_of, regime)
    assert [row["train_loss"] for row in result.history] == pytest.approx(expected, rel=1e-5)
    assert_close(network, oracle, rtol=1e-5, atol=2e-6)


def test_thirty_two_alone_are_one_batch_of_thirty_two():
    """One step of plain gradient descent: weights show the gradient itself."""
    sizes = ((64, 64),) * 32
    labels = np.arange(32) % 3
    network, oracle = (drawn_network(SPEC, seed=1) for _ in range(2))
    regime = PieceRegime(
        optimizer="sgd", lr=0.01, weight_decay=0.0, augment="none", epochs=1, pass_pixels=None
    )
    fit_pieces(network, pieces(labels, sizes=sizes), regime=regime, run=CPU)
    batch = torch.cat([tensor(i) for i in images(sizes=sizes).images])
    loss = functional.cross_entropy(oracle(batch), torch.from_numpy(labels))
    loss.backward()
    with torch.no_grad():
        for parameter in oracle.parameters():
            parameter -= 0.01 * 1.9 * parameter.grad  # Nesterov's first step: 1 + 0.9
    assert_close(network, oracle)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 3.0, "resize": "authors"}, {"pixel_weight": 0.0}]
)
@pytest.mark.parametrize("cache_bytes", [0, 2**30])
@pytest.mark.parametrize("pass_pixels", [None, 2**20])
def test_a_student_learns_what_a_plain_loop_teaches(options, cache_bytes, pass_pixels):
    student, oracle = (drawn_network(SPEC, seed=0) for _ in range(2))
    master = drawn_network(SPEC, seed=9)
    before = state_to_save(master)
    regime = PieceRegime(**SGD, pass_pixels=pass_pixels)
    run = RunOptions(device="cpu", cache_bytes=cache_bytes)
    loss = DistillationLoss(**options)
    split = pieces(labels=None)
    result = distill(student, master, split, loss=loss, regime=regime, run=run)

    def loss_of(chosen):
        found = []
        for i in chosen:
            with torch.no_grad():
                known = master.forward_map(tensor(split.fine.images[i]))
                says = master.forward_b(master.pooled_map(known))
            seen = oracle.forward_map(tensor(split.images.images[i]))
            answer = oracle.forward_b(oracle.pooled_map(seen))
            found.append(loss(loss.targets(known, seen.shape[2:]), says, seen, answer))
        return torch.cat(found).mean()

    expected = plain_loop(oracle, loss_of, regime)
    assert [row["train_loss"] for row in result.history] == pytest.approx(expected, rel=1e-5)
    assert_close(student, oracle, rtol=1e-5, atol=2e-6)
    assert result.history[0]["train_accuracy"] is None
    assert all(
        torch.equal(a, b)
        for a, b in zip(before.values(), state_to_save(master).values(), strict=True)
    )
    # once for the teacher's outputs, or in each epoch
    assert split.fine.reads == len(SIZES) * (1 if cache_bytes else 2)


def test_a_teacher_answers_to_each_flip_once():
    losses, reads = [], []
    regime = PieceRegime(**SGD | {"augment": "flips", "epochs": 5}, pass_pixels=None)
    for cache_bytes in (0, 2**30):
        student, split = drawn_network(SPEC, seed=0), pieces(labels=None)
        run = RunOptions(device="cpu", cache_bytes=cache_bytes)
        found = distill(student, drawn_network(SPEC, seed=9), split, regime=regime, run=run)
        losses.append([row["train_loss"] for row in found.history])
        reads.append(split.fine.reads)
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert reads == [5 * len(SIZES), len(SIZES)]


def test_a_teacher_sees_pieces_by_its_own_mean_and_deviation():
    own = ((0.7, 0.5, 0.6), (0.2, 0.25, 0.15))
    master = drawn_network(respec(mean=own[0], std=own[1]), seed=0).eval()
    fabric = make_fabric("cpu", "32-true")
    guide = teacher.Teacher(master, SPEC, DistillationLoss(resize="max-pool"), fabric)
    raw = torch.from_numpy(images().images[0])[None].permute(0, 3, 1, 2)
    logits, (target,) = guide.outputs(raw, (1, 1))
    with torch.no_grad():
        x = (raw / 255 - torch.tensor(own[0])[:, None, None]) / torch.tensor(own[1])[:, None, None]
        torch.testing.assert_close(logits, master(x), rtol=1e-4, atol=1e-5)
        highest = master.forward_map(x).amax((2, 3), keepdim=True)
    torch.testing.assert_close(target, highest, rtol=1e-4, atol=1e-5)


def test_a_teacher_answers_without_dropout():
    spec = respec(architecture="resnet10t", kwargs={"norm_groups": 8, "drop_rate": 0.5})
    master = drawn_network(spec, seed=0).train()
    fabric = make_fabric("cpu", "32-true")
    guide = teacher.Teacher(master, spec, DistillationLoss(), fabric)
    raw = torch.from_numpy(images().images[0])[None].permute(0, 3, 1, 2)
    first, second = (guide.outputs(raw, (1, 1))[0] for _ in range(2))
    assert torch.equal(first, second)


def test_both_scales_of_a_piece_meet_the_same_change(monkeypatch):
    seen = []
    outputs = teacher.Teacher.outputs

    def spy(self, raw, size):
        seen.append(raw)
        return outputs(self, raw, size)

    monkeypatch.setattr(teacher.Teacher, "outputs", spy)
    monkeypatch.setattr(
        piece_loop, "normalize", lambda raw, *_: (seen.append(raw), normalize(raw, *_))[1]
    )
    regime = PieceRegime(augment="jitter-flips-turns", epochs=1, batch_size=3)
    split = pieces()
    distill(drawn_network(SPEC, seed=0), drawn_network(SPEC, seed=1), split, regime=regime, run=CPU)
    coarse, fine = seen[0::2], seen[1::2]
    assert sum(len(c) for c in coarse) == len(SIZES)
    for c, f in zip(coarse, fine, strict=True):
        torch.testing.assert_close(f[:, :, ::2, ::2], c, atol=1e-2, rtol=0)
    originals = [torch.from_numpy(i).permute(2, 0, 1).float() for i in split.images.images]
    assert not any(
        piece.shape == o.shape and torch.equal(piece, o)
        for c in coarse
        for piece in c
        for o in originals
    )


def test_each_epoch_draws_anew_and_each_piece_apart(monkeypatch):
    drawn = set()
    draw = piece_loop.draw_change

    def spy(rule, **key):
        drawn.add((rule, *key.values()))
        return draw(rule, **key)

    monkeypatch.setattr(piece_loop, "draw_change", spy)
    regime = PieceRegime(augment="flips", epochs=2, batch_size=3, seed=4)
    fit_pieces(drawn_network(SPEC, seed=0), pieces(), pieces(), regime=regime, run=CPU)
    assert drawn == {
        (rule, 4, epoch, i)
        for rule in ("flips", "none")  # of training and of validation pieces
        for epoch in range(2)
        for i in range(len(SIZES))
    }


def test_fine_tuning_leaves_all_but_the_dense_layer():
    network = drawn_network(SPEC, seed=0)
    before = state_to_save(network)
    result = fit_pieces(
        network, pieces(), regime=PieceRegime(tune="head", epochs=1, batch_size=3), run=CPU
    )
    after = state_to_save(network)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"part_b.output.weight", "part_b.output.bias"}
    assert 0 <= result.history[0]["train_accuracy"] <= 1


def test_validation_judges_and_selects(monkeypatch):
    val = Pieces(images(1, SIZES[:4], seed=5), LABELS[:4])
    regime = PieceRegime(
        augment="none", epochs=4, batch_size=3, lr=0.02, select="best", judge="macro-f1"
    )
    network = drawn_network(SPEC, seed=0)
    result = fit_pieces(network, pieces(), val, regime=regime, run=CPU)
    scores = [row["val_macro_f1"] for row in result.history]
    assert result.best_epoch == int(np.argmax(scores)) + 1
    with torch.no_grad():
        logits = torch.cat([network(tensor(i)) for i in val.images.images])
    best = result.history[result.best_epoch - 1]
    assert best["val_loss"] == pytest.approx(
        float(functional.cross_entropy(logits, torch.from_numpy(LABELS[:4]))), rel=1e-5
    )
    called = logits.argmax(1).numpy()
    assert best["val_macro_f1"] == pytest.approx(
        f1_score(LABELS[:4], called, average="macro", labels=[0, 1, 2], zero_division=0)
    )
    patient = PieceRegime(augment="none", epochs=9, batch_size=3, lr=0.3, patience=1)
    short = fit_pieces(drawn_network(SPEC, seed=0), pieces(), val, regime=patient, run=CPU)
    assert len(short.history) == short.best_epoch + 1


@pytest.mark.parametrize(("judge", "best"), [("macro-f1", 2), ("loss", 3)])
def test_the_best_epoch_has_the_highest_f1_or_the_lowest_loss(monkeypatch, judge, best):
    rows = iter([(0.9, 0.2), (0.8, 0.6), (0.7, 0.6), (0.7, 0.5)])  # the first of equals
    monkeypatch.setattr(
        piece_loop.PieceLoop,
        "_validate",
        lambda _: dict(zip(("val_loss", "val_macro_f1"), next(rows), strict=True)),
    )
    regime = PieceRegime(augment="none", epochs=4, batch_size=3, select="best", judge=judge)
    result = fit_pieces(drawn_network(SPEC, seed=0), pieces(), pieces(), regime=regime, run=CPU)
    assert result.best_epoch == best


def test_patience_ends_after_so_many_epochs_that_are_no_better(monkeypatch):
    rows = iter([0.9, 0.7, 0.8, 0.7, 0.6])
    monkeypatch.setattr(piece_loop.PieceLoop, "_validate", lambda _: {"val_loss": next(rows)})
    regime = PieceRegime(augment="none", epochs=5, batch_size=3, patience=2)
    result = fit_pieces(drawn_network(SPEC, seed=0), pieces(), pieces(), regime=regime, run=CPU)
    assert len(result.history) == 4


def test_dropout_is_for_training_alone():
    spec = respec(architecture="resnet10t", kwargs={"norm_groups": 8, "drop_rate": 0.5})
    network, val = drawn_network(spec, seed=0), pieces()
    regime = PieceRegime(augment="none", epochs=1, batch_size=3)
    result = fit_pieces(network, pieces(), val, regime=regime, run=CPU)
    with torch.no_grad():
        logits = torch.cat([network(tensor(i)) for i in val.images.images])
    expected = functional.cross_entropy(logits, torch.from_numpy(LABELS))
    assert result.history[0]["val_loss"] == pytest.approx(float(expected), rel=1e-4)
    said = piece_probabilities(network.train(), val.images, device="cpu")
    np.testing.assert_allclose(said, torch.softmax(logits, 1), atol=1e-5)


def test_defaults_are_those_of_the_paper():
    regime = PieceRegime()
    assert (regime.optimizer, regime.lr, regime.weight_decay) == ("adam", 1e-3, 1e-4)
    assert (regime.epochs, regime.batch_size, regime.schedule) == (100, 32, "constant")


def test_the_validation_loss_weighs_classes_as_the_training_does_and_augments_nothing():
    regime = PieceRegime(augment="jitter-flips-turns", epochs=1, batch_size=3, class_weights=True)
    val, network = Pieces(images(1, SIZES[:4], seed=5), LABELS[:4]), drawn_network(SPEC, seed=0)
    labels = np.array([0, 0, 0, 0, 1, 0, 2])
    result = fit_pieces(network, pieces(labels), val, regime=regime, run=CPU)
    with torch.no_grad():
        logits = torch.cat([network(tensor(i)) for i in val.images.images])
    weight = balanced_weights(torch.from_numpy(labels), 3)
    expected = functional.cross_entropy(logits, torch.from_numpy(LABELS[:4]), weight)
    assert result.history[0]["val_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_macro_f1_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 4, 60), rng.normal(0, 1, (60, 5))
    found = macro_f1(torch.from_numpy(logits), torch.from_numpy(labels))
    expected = f1_score(labels, logits.argmax(1), average="macro", labels=range(4), zero_division=0)
    assert found == pytest.approx(expected)


def test_recomputed_stages_and_half_precision():
    plain, recomputed, half = (drawn_network(SPEC, seed=0) for _ in range(3))
    results = [
        fit_pieces(
            network,
            pieces(),
            regime=PieceRegime(augment="none", epochs=1, batch_size=3, **options),
            run=CPU,
        )
        for network, options in (
            (plain, {}),
            (recomputed, {"checkpointing": True}),
            (half, {"precision": "bf16-mixed"}),
        )
    ]
    assert_close(plain, recomputed, rtol=0, atol=0)
    assert not recomputed.part_a.grad_checkpointing
    losses = [result.history[0]["train_loss"] for result in results]
    assert losses[2] == pytest.approx(losses[0], rel=0.05)
    assert losses[2] != losses[0]


@pytest.mark.parametrize(
    ("augment", "stop_at"), [("none", 2), ("none", 4), ("jitter-flips", 1), ("jitter-flips", 5)]
)
def test_an_exception_at_any_step_leaves_no_trace(tmp_path, augment, stop_at):
    class StoppedError(Exception):
        pass

    count = 0

    def stop(*_):
        nonlocal count
        count += 1
        if count == stop_at:
            raise StoppedError

    def run(folder, on_step=None):
        student = drawn_network(SPEC, seed=0)
        options = RunOptions("cpu", folder, on_step, checkpoint_every_s=0.0)
        regime = PieceRegime(
            augment=augment, epochs=2, batch_size=3, optimizer="adamw", select="best"
        )
        val = pieces(LABELS[:4], sizes=SIZES[:4], seed=5)
        master = drawn_network(SPEC, seed=9)
        return student, distill(student, master, pieces(), val, regime=regime, run=options)

    with pytest.raises(StoppedError):
        run(tmp_path, stop)
    student, result = run(tmp_path)
    assert result.resumed_from == (None if stop_at == 1 else divmod(stop_at - 1, 3))
    plain, plain_result = run(None)
    for name, values in state_to_save(plain).items():
        assert torch.equal(values, state_to_save(student)[name]), name
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in r.history]
        for r in (result, plain_result)
    ]
    assert rows[0] == rows[1]
    again, third = run(tmp_path)  # finished: nothing is done
    assert third.resumed_from == (2, 0)
    assert torch.equal(again.part_b.output.weight, student.part_b.output.weight)


def test_a_checkpoint_of_another_teacher_is_refused(tmp_path):
    run = RunOptions("cpu", tmp_path)
    for seed in (8, 9):
        student, master = drawn_network(SPEC, seed=0), drawn_network(SPEC, seed=seed)
        if seed == 8:
            distill(student, master, pieces(), regime=PLAIN, run=run)
    with pytest.raises(HistograftError, match="belongs to a run with other"):
        distill(student, master, pieces(), regime=PLAIN, run=run)
    student, master = drawn_network(SPEC, seed=0), drawn_network(SPEC, seed=8)
    loss = DistillationLoss(temperature=2.0)
    with pytest.raises(HistograftError, match="belongs to a run with other"):
        distill(student, master, pieces(), loss=loss, regime=PLAIN, run=run)


def test_the_generator_of_the_caller_is_not_touched():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    fit_pieces(drawn_network(SPEC, seed=0), pieces(), regime=PLAIN, run=CPU)
    assert torch.equal(torch.rand(1), expected)


def respec(**changes):
    return NetworkSpec(
        **(
            {
                "architecture": SPEC.architecture,
                "classes": SPEC.classes,
                "kwargs": SPEC.kwargs,
                "hidden": (),
            }
            | changes
        )
    )


@pytest.mark.parametrize(
    ("of_teacher", "message"),
    [
        ({"classes": ("a", "c", "b")}, "the teacher knows the classes a, c, b"),
        ({"kwargs": {"norm_groups": 8, "widths": (8, 8, 16, 16)}}, "mean different things"),
        ({"architecture": "resnet10t", "kwargs": {}}, "mean different things"),
    ],
)
def test_teachers_that_do_not_fit(of_teacher, message):
    master = drawn_network(respec(**of_teacher), seed=0)
    with pytest.raises(InputError, match=message):
        distill(drawn_network(SPEC, seed=0), master, pieces(), regime=PLAIN, run=CPU)


def test_another_architecture_may_teach_answers_alone():
    master = drawn_network(respec(architecture="resnet10t", kwargs={}), seed=0)
    loss = DistillationLoss(pixel_weight=0.0)
    result = distill(
        drawn_network(SPEC, seed=0), master, pieces(), loss=loss, regime=PLAIN, run=CPU
    )
    assert np.isfinite(result.history[-1]["train_loss"])


def test_input_that_cannot_be():
    network = drawn_network(SPEC, seed=0)
    with pytest.raises(InputError, match="no labels"):
        fit_pieces(network, pieces(labels=None), regime=PLAIN, run=CPU)
    with pytest.raises(InputError, match="at one scale"):
        distill(network, network, Pieces(images(), LABELS), regime=PLAIN, run=CPU)
    small = images(sizes=((31, 40), (40, 30), (32, 32)))
    with pytest.raises(InputError, match=r"2 of 3 pieces are smaller .* 32 px"):
        fit_pieces(network, Pieces(small, LABELS[:3]), regime=PLAIN, run=CPU)
    with pytest.raises(InputError, match="no training image shows"):
        fit_pieces(network, pieces(np.zeros(7, int)), regime=PLAIN, run=CPU)
    with_batchnorm = drawn_network(respec(architecture="resnet10t", kwargs={}), seed=0)
    with pytest.raises(InputError, match=r"BatchNorm.*--norm-groups"):
        fit_pieces(with_batchnorm, pieces(), regime=PLAIN, run=CPU)
    with pytest.raises(InputError, match="validation split"):
        fit_pieces(network, pieces(), regime=PieceRegime(select="best"), run=CPU)
    judged = PieceRegime(select="best", judge="macro-f1")
    with pytest.raises(InputError, match="labels of the validation"):
        distill(network, network, pieces(), pieces(labels=None), regime=judged, run=CPU)


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"pass_pixels": 0}, {"patience": 0}, {"tune": "none"}, {"augment": "cutout"}],
)
def test_regimes_that_cannot_be(options):
    with pytest.raises(InputError):
        PieceRegime(**options)


FULL = "DefaultCPUAllocator: can't allocate memory: you tried 9e12 bytes"


def learn_from_labels():
    fit_pieces(drawn_network(SPEC, seed=0), pieces(), regime=PLAIN, run=CPU)


def learn_from_a_teacher(cache_bytes=2**30):
    run = RunOptions(device="cpu", cache_bytes=cache_bytes)
    distill(
        drawn_network(SPEC, seed=0), drawn_network(SPEC, seed=1), pieces(), regime=PLAIN, run=run
    )


def predict():
    piece_probabilities(drawn_network(SPEC, seed=0), images(), device="cpu")


@pytest.mark.parametrize(
    ("where", "work", "side"),
    [
        ((teacher.MapAndLogits, "forward"), learn_from_labels, 1),
        ((teacher.MapAndLogits, "forward"), learn_from_a_teacher, 2),  # its outputs, once
        ((teacher.Teacher, "outputs"), lambda: learn_from_a_teacher(0), 2),
        ((torch.Tensor, "backward"), learn_from_labels, 1),
        ((Source, "image"), learn_from_labels, 1),
        ((Source, "image"), learn_from_a_teacher, 2),
        ((Network, "forward"), predict, 1),
        ((Source, "image"), predict, 1),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError(FULL), MemoryError("9e12 bytes"), RuntimeError()])
def test_memory_that_runs_out_is_told_with_the_size_of_the_piece(
    monkeypatch, where, work, side, error
):
    def full(*_, **__):
        raise error

    monkeypatch.setattr(*where, full)
    if not str(error):
        with pytest.raises(RuntimeError, match=r"^$"):  # anything else passes as it is
            work()
        return
    with pytest.raises(HistograftError, match=r"memory ran out on \d piece") as caught:
        work()
    sizes = [f"{side * w} × {side * h} px ({side**2 * h * w:,} pixels each)" for h, w in SIZES]
    assert any(size in caught.value.problem for size in sizes)
    assert "checkpointing" in caught.value.fix


def test_an_epoch_whose_validation_is_no_number_is_never_the_best(monkeypatch):
    plain = piece_loop.PieceLoop._validate

    def validate(self):
        row = plain(self)
        return row | {"val_loss": float("nan")} if self.progress.epoch == 0 else row

    monkeypatch.setattr(piece_loop.PieceLoop, "_validate", validate)
    regime = PieceRegime(augment="none", epochs=3, batch_size=3, select="best")
    result = fit_pieces(drawn_network(SPEC, seed=0), pieces(), pieces(), regime=regime, run=CPU)
    losses = [row["val_loss"] for row in result.history]
    assert result.best_epoch == np.nanargmin(losses) + 1 > 1


def test_a_loss_that_is_not_finite_ends_the_run():
    regime = PieceRegime(augment="none", epochs=3, batch_size=3, optimizer="sgd", lr=1e30)
    with pytest.raises(HistograftError, match="diverged"):
        fit_pieces(drawn_network(SPEC, seed=0), pieces(), regime=regime, run=CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_gpu_learns_the_same(precision):
    losses = []
    for device in ("cpu", "cuda"):
        student, master = drawn_network(SPEC, seed=0), drawn_network(SPEC, seed=9)
        regime = PieceRegime(
            augment="none",
            epochs=2,
            batch_size=3,
            precision=precision if device == "cuda" else "32-true",
        )
        result = distill(student, master, pieces(), regime=regime, run=RunOptions(device=device))
        losses.append([row["train_loss"] for row in result.history])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3 if precision == "32-true" else 0.1)
