"""The loss against its formula in NumPy, and its gradient against finite differences."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import rel_entr, softmax

from histograft.core.errors import InputError
from histograft.learning.distillation_loss import DistillationLoss


def max_pooled(values, size):
    """Largest value of each cell; cells of sides that do not divide evenly overlap."""
    (height, width), (h, w) = values.shape[1:], size
    out = np.empty((len(values), h, w))
    for i in range(h):
        for j in range(w):
            rows = slice(i * height // h, -(-(i + 1) * height // h))
            columns = slice(j * width // w, -(-(j + 1) * width // w))
            out[:, i, j] = values[:, rows, columns].max((1, 2))
    return out


def keys(x, a=-0.75):
    """Cubic convolution kernel of Keys 1981, doi:10.1109/TASSP.1981.1163711."""
    x = np.abs(x)
    inner = (a + 2) * x**3 - (a + 3) * x**2 + 1
    outer = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def bicubic(values, size):
    for axis, n_new in ((1, size[0]), (2, size[1])):
        n = values.shape[axis]
        center = (np.arange(n_new) + 0.5) * n / n_new - 0.5
        first = np.floor(center).astype(int) - 1
        taps = first[:, None] + np.arange(4)
        weights = keys(center[:, None] - taps)
        picked = np.take(values, np.clip(taps, 0, n - 1), axis)
        shape = [1] * picked.ndim
        shape[axis : axis + 2] = weights.shape
        values = (picked * weights.reshape(shape)).sum(axis + 1)
    return values


def by_formula(teacher, teacher_logits, student, student_logits, t, resizers, norm):
    kl = rel_entr(softmax(teacher_logits / t), softmax(student_logits / t)).sum()
    size = student.shape[1:]
    pixel = np.mean([norm((g(teacher, size) - student) ** 2) for g in resizers])
    return t**2 * kl, pixel


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 1, (2, 5, 11, 9)), rng.normal(0, 1, (2, 5, 3, 4))
    return maps[0], rng.normal(0, 2, (2, 3)), maps[1], rng.normal(0, 2, (2, 3))


def found(loss, case):
    teacher, teacher_logits, student, student_logits = map(torch.from_numpy, case)
    targets = loss.targets(teacher, tuple(student.shape[2:]))
    return loss(targets, teacher_logits, student, student_logits).numpy()


@pytest.mark.parametrize("t", [1.0, 4.0])
@pytest.mark.parametrize(("reduction", "norm"), [("mean", np.mean), ("sum", np.sum)])
@pytest.mark.parametrize(
    ("resize", "resizers", "share"),
    [
        ("both", (max_pooled, bicubic), 1.0),
        ("max-pool", (max_pooled,), 1.0),
        ("bicubic", (bicubic,), 1.0),
        ("authors", (max_pooled,), 0.5),
    ],
)
def test_the_loss_is_its_formula(case, t, reduction, norm, resize, resizers, share):
    loss = DistillationLoss(t, 0.3, 0.7, resize, reduction)
    for i, value in enumerate(found(loss, case)):
        soft, pixel = by_formula(*(part[i] for part in case), t, resizers, norm)
        assert value == pytest.approx(0.3 * soft + 0.7 * share * pixel, rel=1e-12)


def test_antialiased_bicubic_is_that_of_pillow(case):
    teacher = case[0].astype(np.float32)
    (target,) = DistillationLoss(resize="bicubic", antialias=True).targets(
        torch.from_numpy(teacher), (3, 4)
    )
    by_pillow = [
        [np.asarray(Image.fromarray(c).resize((4, 3), Image.Resampling.BICUBIC)) for c in maps]
        for maps in teacher
    ]
    np.testing.assert_allclose(target, by_pillow, atol=2e-6)


@pytest.mark.parametrize("options", [{}, {"temperature": 3.0, "reduction": "sum"}])
def test_gradients_are_finite_differences(case, options):
    loss = DistillationLoss(**options)
    teacher, teacher_logits, student, student_logits = map(torch.from_numpy, case)
    targets = loss.targets(teacher, (3, 4))
    for wanted in (student, student_logits):
        wanted.requires_grad_(True)
    loss(targets, teacher_logits, student, student_logits).sum().backward()
    rng = np.random.default_rng(1)
    for which in (2, 3):
        gradient = (student, student_logits)[which - 2].grad.numpy()
        for _ in range(5):
            at = tuple(rng.integers(0, n) for n in gradient.shape)
            sides = []
            for step in (1e-6, -1e-6):
                moved = [part.copy() for part in case]
                moved[which][at] += step
                sides.append(found(loss, moved).sum())
            assert gradient[at] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6, abs=1e-8)


def test_a_student_that_equals_its_teacher_loses_nothing(case):
    teacher, logits, *_ = map(torch.from_numpy, case)
    loss = DistillationLoss(temperature=2.0)
    assert loss(loss.targets(teacher, (11, 9)), logits, teacher, logits).abs().max() < 1e-12


def test_only_what_counts_is_computed(case):
    teacher = torch.from_numpy(case[0])
    soft_only = DistillationLoss(pixel_weight=0.0)
    assert soft_only.targets(teacher, (3, 4)) == []
    soft, _ = by_formula(*(part[0] for part in case), 1.0, (bicubic,), np.mean)
    assert found(soft_only, case)[0] == pytest.approx(soft, rel=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"soft_weight": -1.0},
        {"soft_weight": 0.0, "pixel_weight": 0.0},
        {"resize": "nearest"},
        {"reduction": "max"},
    ],
)
def test_options_that_cannot_be(options):
    with pytest.raises(InputError):
        DistillationLoss(**options)


def test_maps_that_do_not_fit(case):
    loss, (teacher, logits, student, _) = DistillationLoss(), map(torch.from_numpy, case)
    with pytest.raises(InputError, match="larger than the teacher's"):
        loss.targets(student, (11, 9))
    with pytest.raises(InputError, match="one architecture"):
        loss(loss.targets(teacher, (3, 4)), logits, student[:, :4], logits)
