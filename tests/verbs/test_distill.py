"""All phases of resolution distillation on small pieces of many sizes."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_pieces import write_pieces

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT
from histograft.learning.batches import normalize
from histograft.verbs import distilling, piece_pairs
from histograft.verbs.distill import PRESETS, Distill, distill
from histograft.verbs.networks import group_key, load_network, tuned_on
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.piece_overlap import check_unlabelled
from histograft.verbs.piece_pairs import Sets, check_pairs, unlabelled_rows
from histograft.verbs.rescale import Rescale, rescale

SMALL = {"epochs": 2, "batch_size": 8, "norm_groups": 8, "device": "cpu", "augment": "none"}


def levels(folder, *factors):
    made = []
    for factor in factors:
        out = folder.parent / f"{folder.name}-{factor}"
        config = Rescale(folder, out=out, level=factor, scale="relative", workers=1)
        made.append(rescale(config).path)
    return made


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two levels of labelled and of unlabelled pieces, and a teacher."""
    folder = tmp_path_factory.mktemp("world")
    write_pieces(folder / "labelled", 32)
    write_pieces(folder / "more", 8, first=100, splits=("train",))
    fine, coarse = levels(folder / "labelled", 1, 2)
    more_fine, more = levels(folder / "more", 1, 2)
    teacher = distill(Distill(fine, out=folder / "teacher", **(SMALL | {"epochs": 8, "lr": 0.01})))
    return {
        "folder": folder,
        "fine": fine,
        "coarse": coarse,
        "more": {"unlabelled": more, "unlabelled_fine": more_fine},
        "teacher": teacher.path,
        "pair": {"teacher": teacher.path, "fine": fine},
    }


def run(world, name, patches=None, **options):
    config = Distill(patches or world["coarse"], out=world["folder"] / name, **(SMALL | options))
    return distill(config)


def test_a_teacher_learns_and_its_scores_are_what_its_weights_say(world):
    made = open_artefact(world["teacher"], "network")
    scores = pd.read_parquet(made.file("scores.parquet"))
    table = load_patches(open_artefact(world["fine"]))
    assert set(scores["split"]) == {"val", "test"}
    assert len(scores) == (table["split"] != "train").sum()
    assert (scores["predicted"] == scores["truth"]).mean() == 1.0  # red and blue
    network = load_network(made)
    assert network.spec.mean == tuple(open_artefact(world["fine"]).facts["mean"])
    rows = table[table["patch_id"] == scores["patch_id"][0]]
    image = torch.tensor(images_of(open_artefact(world["fine"]), rows).image(0))[None]
    with torch.inference_mode():
        x = normalize(image.permute(0, 3, 1, 2), network.spec.mean, network.spec.std)
        p = torch.softmax(network(x).double(), 1)[0].numpy()
    np.testing.assert_allclose(scores.loc[0, ["p:a", "p:b"]].to_numpy(float), p, atol=1e-5)


def test_a_student_learns_from_its_teacher_at_half_the_scale(world):
    made = run(world, "kd", **world["pair"], epochs=12, lr=0.01, select="best")
    history = pd.read_csv(made.file("history.csv"))
    assert history["train_loss"].iloc[-1] < 0.3 * history["train_loss"].iloc[0]
    assert made.facts["best_epoch"] == history["val_loss"].idxmin() + 1
    scores = pd.read_parquet(made.file("scores.parquet"))
    assert (scores["predicted"] == scores["truth"]).mean() > 0.8
    assert (
        made.facts["macs_per_piece"] < 0.3 * open_artefact(world["teacher"]).facts["macs_per_piece"]
    )
    assert made.facts["level"] == 2
    again = run(world, "kd", **world["pair"], epochs=12, lr=0.01, select="best")
    assert again.id == made.id
    by_teacher = run(world, "kd-norm", **world["pair"], norm="teacher")
    assert by_teacher.facts["mean"] == open_artefact(world["teacher"]).facts["mean"]


def test_a_student_does_not_begin_where_its_teacher_began(world):
    """Both have one seed; were their first weights the same, students would only have to stay."""
    still = {"epochs": 1, "lr": 1e-12, "weight_decay": 0.0}
    teacher = run(world, "still", world["fine"], **still)
    pair = {"teacher": teacher.path, "fine": world["fine"]}
    students = [
        run(world, "still-kd", **pair, **still),
        run(world, "still-max", **pair, **still, resize="max-pool"),
    ]
    of_teacher, first, second = (
        torch.cat([w.detach().flatten() for w in load_network(made).parameters() if w.ndim == 4])
        for made in (teacher, *students)
    )
    assert abs(float(torch.corrcoef(torch.stack([of_teacher, first]))[0, 1])) < 0.01
    torch.testing.assert_close(first, second)  # students of one seed begin alike


def test_unlabelled_pieces_teach_instead_of_the_labelled_or_beside_them(world):
    alone = run(world, "ad", **world["pair"], **world["more"])
    both = run(world, "union", **world["pair"], **world["more"], with_labelled=True)
    counts = [pd.read_csv(made.file("history.csv"))["images"][0] for made in (alone, both)]
    assert counts == [8, 24]
    assert alone.facts["n_unlabelled"] == 8
    seen = tuned_on(alone)
    assert {("group", group_key("more", f"p{i}")) for i in range(50, 54)} <= seen
    # fine-tuning the student: the head alone, from labels
    tuned = run(world, "tuned", init=str(alone.path), tune="head")
    states = [load_network(made).state_dict() for made in (alone, tuned)]
    changed = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert changed == {"part_b.output.weight", "part_b.output.bias"}
    assert seen <= tuned_on(tuned)


def test_a_development_split_judges_and_is_not_learned_from(world):
    folder = world["folder"] / "developed"
    write_pieces(folder, 16, first=200, splits=("train", "dev"))
    table = pd.read_csv(folder / "samples.csv")
    table["label"] = table["label"].where(table["split"] != "train")  # unknown where it is learned
    table.to_csv(folder / "samples.csv", index=False)
    more_fine, more = levels(folder, 1, 2)
    given = {"unlabelled": more, "unlabelled_fine": more_fine}
    made = run(world, "dev", **world["pair"], **given, select="best", epochs=3)
    assert (made.facts["n_unlabelled"], made.facts["n_development"]) == (8, 8)
    rows = load_patches(open_artefact(more))
    judging = rows[rows["split"] == "val"]
    network = load_network(made)
    history = pd.read_csv(made.file("history.csv"))
    best = history.loc[made.facts["best_epoch"] - 1]
    assert best["val_loss"] == history["val_loss"].min()
    images = images_of(open_artefact(more), judging)
    right = []
    for i, label in enumerate(judging["label"]):
        x = torch.tensor(images.image(i))[None].permute(0, 3, 1, 2)
        with torch.inference_mode():
            logits = network(normalize(x, network.spec.mean, network.spec.std))
        right.append("ab"[int(logits.argmax())] == label)
    assert best["val_accuracy"] == pytest.approx(np.mean(right))  # of these 8, not of the labelled
    seen = tuned_on(made)
    assert {("group", group_key("developed", g)) for g in judging["group"]} <= seen


def test_a_resumed_run_ends_alike(world, monkeypatch):

    plain = run(world, "plain", **world["pair"])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(distilling.StepTeller, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            run(world, "resumed", **world["pair"])
    resumed = run(world, "resumed", **world["pair"])
    weights = [made.file("network.safetensors").read_bytes() for made in (plain, resumed)]
    assert weights[0] == weights[1]


def test_the_paper_is_a_preset():
    config = Distill("x", out="y", **PRESETS["paper"])
    assert (config.optimizer, config.lr, config.weight_decay) == ("adam", 1e-3, 1e-4)
    assert (config.epochs, config.batch_size, config.augment) == (100, 32, "jitter-flips")
    assert (config.arch, config.norm_groups, config.norm) == ("dipalma_resnet10", 32, "teacher")
    assert (config.temperature, config.soft_weight, config.pixel_weight) == (1, 1, 1)
    assert (config.resize, config.reduction, config.antialias) == ("both", "mean", False)
    assert (config.select, config.judge) == ("best", "macro-f1")


def test_what_does_not_fit_is_refused(world, tmp_path):
    pair, fine = world["pair"], world["fine"]
    with pytest.raises(InputError, match="go together"):
        run(world, "x", teacher=world["teacher"])
    with pytest.raises(InputError, match="at both scales"):
        run(world, "x", **pair, unlabelled=world["more"]["unlabelled"])
    with pytest.raises(InputError, match="need a teacher"):
        run(world, "x", **world["more"])
    with pytest.raises(InputError, match="--with-labelled is for --unlabelled"):
        run(world, "x", **pair, with_labelled=True)
    with pytest.raises(InputError, match="are both 0"):
        run(world, "x", **pair, soft_weight=0.0, pixel_weight=0.0)
    with pytest.raises(InputError, match="--norm-groups is 16, and the network of --init has 8"):
        run(world, "x", init=str(world["teacher"]), tune="head", norm_groups=16)
    with pytest.raises(InputError, match="random first weights"):
        run(world, "x", tune="head")
    with pytest.raises(InputError, match="is coarser than"):
        run(world, "x", patches=fine, **(pair | {"fine": world["coarse"]}))
    with pytest.raises(InputError, match="do not hold the same pieces"):
        run(world, "x", **(pair | {"fine": world["more"]["unlabelled_fine"]}))
    with pytest.raises(InputError, match="mean different things"):
        run(world, "x", **pair, norm_groups=16)
    write_pieces(tmp_path / "set", 32)
    (level,) = levels(tmp_path / "set", 4)
    with pytest.raises(InputError, match="smaller than the network's stride of 32 px"):
        run(world, "small", patches=level)
    labels = pd.read_csv(tmp_path / "set" / "samples.csv").replace({"label": {"b": "c"}})
    labels.to_csv(tmp_path / "set" / "samples.csv", index=False)
    first, second = levels(tmp_path / "set", 1, 2)
    with pytest.raises(InputError, match="knows the classes a, b; the pieces have a, c"):
        run(world, "x", patches=second, teacher=world["teacher"], fine=first)


def test_unlabelled_pieces_of_the_test_patients_are_refused(world, tmp_path):
    write_pieces(tmp_path / "overlap", 4, first=12, splits=("train",))  # p6 and p7 are tested
    fine, coarse = levels(tmp_path / "overlap", 1, 2)
    with pytest.raises(InputError, match=r"2 groups \(p6, p7\) with the test pieces"):
        run(world, "x", **world["pair"], unlabelled=coarse, unlabelled_fine=fine)


def test_pieces_of_two_levels_that_are_not_the_same_are_named(tmp_path):
    write_pieces(tmp_path / "set", 8)
    path = tmp_path / "set" / "samples.csv"
    whole = pd.read_csv(path)
    (coarse,) = levels(tmp_path / "set", 2)
    changes = {
        r"lacks 1 piece \(3.png\)": whole[whole["file"] != "3.png"],
        r"2 pieces in another split \(2.png, 3.png\)": whole.assign(
            split=whole["split"].where(whole["group"] != "p1", "val")
        ),
    }
    for said, table in changes.items():
        table.to_csv(path, index=False)
        (fine,) = levels(tmp_path / "set", 1)
        with pytest.raises(InputError, match=said):
            check_pairs(Sets(open_artefact(coarse), open_artefact(fine)))
        shutil.rmtree(fine)
    whole.to_csv(path, index=False)
    (fine,) = levels(tmp_path / "set", 1)
    # 32 × 40 px become 500 = 20 × 25
    cut = Rescale(path.parent, out=tmp_path / "cut", level=2.0, scale="relative", max_pixels=500)
    with pytest.raises(InputError, match=r"0.png: 64 × 80 px and 20 × 25 px are not one field"):
        check_pairs(Sets(rescale(cut), open_artefact(fine)))


def test_unlabelled_pieces_of_the_test_slides_are_refused(tmp_path):
    """Their table knows the slides, and not of whom they are."""
    paths = []
    for name, columns in (("set", {}), ("more", {"group": ""})):
        write_pieces(tmp_path / name, 16, first=0 if name == "set" else 100)
        path = tmp_path / name / "samples.csv"
        slides = [f"s{i // 2}" for i in range(16)]
        pd.read_csv(path).assign(slide=slides, **columns).to_csv(path, index=False)
        paths += levels(tmp_path / name, 1, 2)
    fine, coarse, more_fine, more = paths
    sets = Sets(*(open_artefact(path, "patches") for path in (coarse, fine, more, more_fine)))
    with pytest.raises(InputError, match=r"shares 2 slides \(s6, s7\) with the test"):
        check_unlabelled(sets)


def test_validation_pieces_that_are_learned_from_are_told(world, tmp_path):
    heard = []

    class Listener:
        def __getattr__(self, name):
            return heard.append if name == "warn" else getattr(SILENT, name)

    write_pieces(tmp_path / "val", 4, first=8, splits=("train",))  # p4 and p5 validate
    fine, coarse = levels(tmp_path / "val", 1, 2)
    more = {"unlabelled": coarse, "unlabelled_fine": fine}
    for select in ("last", "best"):
        config = Distill(
            world["coarse"], out=tmp_path / select, select=select, **world["pair"], **more, **SMALL
        )
        distill(config, Listener())
    assert len(heard) == 1
    assert "2 groups (p4, p5) with the validation pieces" in heard[0]


def test_pieces_of_another_level_are_refused(world):
    pair, more = world["pair"], world["more"]
    write_pieces(world["folder"] / "large", 8, first=100, splits=("train",))
    fourth, finest = levels(world["folder"] / "large", 1.5, 1)
    swapped = {"unlabelled": fourth, "unlabelled_fine": finest}
    with pytest.raises(InputError, match=r"labelled-2 is at 2 native.*, and .* at 1\.5 native"):
        run(world, "x", **pair, **swapped)
    fine_too = more | {"unlabelled_fine": fourth}
    with pytest.raises(InputError, match=r" is at 1 native.*, and .* at 1\.5 native"):
        run(world, "x", **pair, **fine_too)
    (other,) = levels(world["folder"] / "labelled", 1.5)
    with pytest.raises(
        InputError, match=r"teacher learned at 1 native.*is at 1\.5 native"
    ) as caught:
        run(world, "x", teacher=world["teacher"], fine=other)
    assert "--level 1" in caught.value.fix


def test_networks_that_know_test_pieces_from_another_split_are_refused(world, tmp_path):
    """The table is the same but for its splits: p6 and p7 were tested, and now p0 and p1 are."""
    shutil.copytree(world["folder"] / "labelled", tmp_path / "labelled")
    path = tmp_path / "labelled" / "samples.csv"
    table = pd.read_csv(path)
    table["split"] = table["split"].replace({"test": "train", "train": "test"})
    table.to_csv(path, index=False)
    fine, coarse = levels(tmp_path / "labelled", 1, 2)
    for options in (
        {"teacher": world["teacher"], "fine": fine},
        {"init": str(world["teacher"]), "tune": "head"},
    ):
        with pytest.raises(InputError, match=r"--(teacher|init) .* learned from 16 of the 16 test"):
            run(world, "x", patches=coarse, **options)


def test_a_copy_in_both_splits_is_not_held_against_the_teacher(world, tmp_path):
    """It was told when pieces were made, and concerns the baseline as well."""
    write_pieces(tmp_path / "set", 16)
    shutil.copy(tmp_path / "set" / "0.png", tmp_path / "set" / "12.png")  # p0 learns, p6 is tested
    fine, coarse = levels(tmp_path / "set", 1, 2)
    teacher = distill(Distill(fine, out=tmp_path / "teacher", **SMALL)).path
    run(world, "copies", patches=coarse, teacher=teacher, fine=fine)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
def test_shares_of_unlabelled_pieces_are_whole_groups_and_nested(sizes, shares):
    groups = [f"p{i}" for i, n in enumerate(sizes) for _ in range(n)]
    table = pd.DataFrame({"group": groups, "patch_id": range(len(groups))})
    table = table.assign(split="train", split_source="drawn")
    sets = Sets(coarse="unused", unlabelled="more")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(piece_pairs, "load_patches", lambda artefact: table)
        small, large = (set(unlabelled_rows(sets, s)["patch_id"]) for s in sorted(shares))
    assert small <= large
    for share, taken in zip(sorted(shares), (small, large), strict=True):
        rows = table[table["patch_id"].isin(taken)]
        assert len(rows) >= share * len(table) - 1e-6
        in_groups = rows["group"].value_counts()
        assert all(n == groups.count(name) for name, n in in_groups.items())
        # without any one of the groups, the share would not be reached by the last one
        assert len(rows) - max(in_groups) < share * len(table)


def test_a_student_of_half_learns_from_no_more(world, tmp_path):
    half = distill(
        Distill(
            world["coarse"], out=tmp_path / "half", unlabelled_share=0.5,
            **world["pair"], **world["more"], **SMALL,
        )
    )  # fmt: skip
    assert half.facts["n_unlabelled"] == 4  # of 8, two a patient
    images = {key for kind, key in tuned_on(half) if kind == "image"}
    more = load_patches(open_artefact(world["more"]["unlabelled"], "patches"))
    assert len(images & set(more["source_sha256"])) == 4
    with pytest.raises(InputError, match="--unlabelled-share"):
        Distill(world["coarse"], out=tmp_path / "x", unlabelled_share=0.0)


def test_every_option_reaches_the_training():
    options = {
        "temperature": 2.0, "soft_weight": 0.3, "pixel_weight": 0.4, "resize": "bicubic",
        "reduction": "sum", "antialias": True, "optimizer": "sgd", "lr": 0.5, "weight_decay": 0.1,
        "epochs": 3, "batch_size": 5, "augment": "flips", "class_weights": True, "select": "best",
        "judge": "macro-f1", "patience": 4, "precision": "bf16-mixed", "checkpointing": True,
        "pass_pixels": 9,
    }  # fmt: skip
    config = Distill("x", out="y", **options)
    both = vars(distilling._loss(config)) | vars(distilling._regime(config))
    assert {name: both[name] for name in options} == options
