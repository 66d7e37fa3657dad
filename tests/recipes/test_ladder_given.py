"""What ends a ladder is said before the first piece is made, in the user's own names."""

import shutil

import numpy as np
import pandas as pd
import pytest
import small_slides
from PIL import Image
from small_pieces import write_pieces

from histograft.core.artefact import Identity, Input, claim
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import ArtefactError, InputError
from histograft.core.reporter import SILENT
from histograft.learning import hardware
from histograft.recipes.ladder_given import check_given
from histograft.recipes.ladder_inputs import read_given
from histograft.recipes.ladder_plan import plan_ladder
from histograft.recipes.resolution_distillation import (
    ResolutionDistillation,
    resolution_distillation,
)
from histograft.verbs.ladder import VERSION
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.rescale import Rescale, rescale


class Listener:
    """Keeps warnings."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, name):
        return self.heard.append if name == "warn" else getattr(SILENT, name)


@pytest.fixture
def folder(tmp_path):
    """Patients p0 to p7 of two pieces, p6 and p7 for the test; and p50 to p53 unlabelled."""
    write_pieces(tmp_path / "set", 16)
    write_pieces(tmp_path / "more", 8, first=100, splits=("train",))
    return tmp_path


def configured(folder, **options):
    options = {"ladder": (2.0,), "scale": "relative", "norm_groups": 8, "seeds": 1} | options
    options = {"out": folder / "out"} | options
    return ResolutionDistillation(options.pop("samples", folder / "set"), **options)


def report_of(config):
    return plan_ladder(config, 1.0)[-1][1]


def check(folder, *, finest=1.0, **options):
    config, listener = configured(folder, **options), Listener()
    before = {path for path in folder.rglob("*") if path.is_file()}
    try:
        check_given(config, report_of(config), finest, listener)
    finally:
        assert {path for path in folder.rglob("*") if path.is_file()} == before
    return listener.heard


def change(folder, name="set", **columns):
    """Write other columns of a table; a function gets the table."""
    path = folder / name / "samples.csv"
    table = pd.read_csv(path)
    for column, value in columns.items():
        table[column] = value(table) if callable(value) else value
    table.to_csv(path, index=False)


def test_what_can_be_done_is_passed(folder):
    assert check(folder, unlabelled=(folder / "more",), predict_slides=folder / "more") == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        # 64 px at a quarter are 16 px, at an eighth 8 px
        ({"ladder": (2.0, 4.0, 8.0)}, r"16 of 16 pieces of .*/set at level 4 are smaller .* 32 px"),
        ({"arch": "resnet999"}, "resnet999"),
        ({"norm_groups": 5}, "--norm-groups 5: .*5 groups do not divide"),
        ({"unlabelled": ("nowhere",)}, "nowhere does not exist"),
        ({"unlabelled": ("more", "more")}, "more is given twice"),
        ({"unlabelled": ("more", "more/samples.csv")}, "more and .*/more/samples.csv are the same"),
        ({"unlabelled": ("set",)}, "set is the samples"),
        ({"out": "set"}, "among the images"),
        ({"out": "set/run"}, "among the images"),
        ({"predict_slides": "nowhere"}, "nowhere does not exist"),
    ],
    ids=str,
)
def test_options_that_cannot_be(folder, options, problem):
    for name in ("unlabelled",):
        if name in options:
            options = options | {name: tuple(folder / path for path in options[name])}
    for name in ("out", "predict_slides"):
        if name in options:
            options = options | {name: folder / options[name]}
    with pytest.raises(InputError, match=problem):
        check(folder, **options)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"label": "a"}, r"/set has one class only \(a\)"),
        ({"split": "train"}, "/set has no pieces to be tested on"),
        ({"split": "test"}, "/set has no pieces to learn from"),
        (
            {"split": lambda t: t["split"].where(t["label"] == "a", "test")},
            "/set: no training row shows b",
        ),
        ({"file": lambda t: t["file"].replace("3.png", "gone.png")}, "gone.png does not exist"),
    ],
    ids=["one class", "no test", "no training", "class not learned", "missing file"],
)
def test_tables_that_cannot_be(folder, columns, problem):
    change(folder, **columns)
    with pytest.raises(InputError, match=problem):
        check(folder)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"group": ["p6", "p7", *"abcdef"]}, r"more shares 2 groups \(p6, p7\) with test rows"),
        ({"slide": lambda t: [f"s{i}" for i in range(100, 108)]}, None),
        ({"slide": lambda t: [f"s{i}" for i in range(14, 22)]}, r"2 slides \(s14, s15\)"),
    ],
    ids=["groups", "other slides", "slides"],
)
def test_unlabelled_images_of_the_test_are_named(folder, columns, said):
    change(folder, slide=lambda t: [f"s{i}" for i in range(len(t))])
    change(folder, "more", **columns)
    if said is None:
        assert check(folder, unlabelled=(folder / "more",)) == []
        return
    with pytest.raises(InputError, match=said):
        check(folder, unlabelled=(folder / "more",))


def test_an_unlabelled_copy_of_a_test_image_is_named_though_the_run_draws_the_split(folder):
    change(folder, split="")
    config = configured(folder)
    out = folder / "pieces"
    made = rescale(Rescale(config.samples, out=out, scale="relative", val_fraction=0.15,
                           test_fraction=0.15, val_of_train=0.15, workers=1))  # fmt: skip
    table = load_patches(made)
    tested = table.loc[table["split"] == "test", "source_file"].iloc[0]
    copy = folder / "more" / "100.png"
    copy.write_bytes((folder / "set" / tested).read_bytes())
    with pytest.raises(
        InputError, match=r"more shares 1 image \(100.png\) with test rows of .*set"
    ):
        check(folder, unlabelled=(folder / "more",))
    learned = table.loc[table["split"] == "train", "source_file"].iloc[0]
    copy.write_bytes((folder / "set" / learned).read_bytes())
    assert check(folder, unlabelled=(folder / "more",)) == []


def test_a_stated_split_that_divides_a_patient_is_told_and_obeyed(folder):
    change(folder, group=lambda t: t["group"].replace({"p7": "p0"}))  # learned and tested
    (heard,) = check(folder)
    assert "1 group (p0) in two splits" in heard


def test_equal_images_in_two_splits_are_told(folder):
    change(folder, group="")
    (folder / "set" / "15.png").write_bytes((folder / "set" / "0.png").read_bytes())
    (heard,) = check(folder)
    assert "2 equal images (0.png, 15.png) in two splits" in heard


def test_an_image_without_its_group_is_told(folder):
    change(folder, group=lambda t: t["group"].where(t["file"] != "3.png", ""))
    (heard,) = check(folder)
    assert "no group is stated for 1 of 16 images (3.png)" in heard


@pytest.mark.parametrize("max_pixels", [None, 3000])
def test_sizes_are_those_of_the_pieces_that_are_made(folder, max_pixels):
    config = Rescale(folder / "set", out=folder / "p", level=2.5, scale="relative",
                     max_pixels=max_pixels, max_pixels_level=1.5, workers=1)  # fmt: skip
    given = read_given(folder / "set", config)
    made = rescale(config)
    images = images_of(made, load_patches(made))
    shapes = [images.image(i).shape[1::-1] for i in range(len(images))]
    assert given.sizes_at(2.5) == shapes


def test_a_report_of_other_options_is_refused_at_once(folder):
    report = report_of(configured(folder, margin=0.05, title="before"))
    settings = fields_with_role(report, Role.SETTING)
    identity = Identity("report", "ladder", VERSION, settings, (), report.seed)
    with claim(report.out, identity) as draft:
        draft.finish()
    with pytest.raises(ArtefactError, match=r"--margin: there 0.05, here 0.02; --title") as caught:
        check(folder)
    assert "delete" in caught.value.fix
    assert "version" not in str(caught.value)
    assert len(str(caught.value).replace(str(folder), "")) < 400


def test_a_report_of_another_command_is_refused_at_once(folder):
    out = report_of(configured(folder)).out
    with claim(out, Identity("report", "draw", 1, {})) as draft:
        draft.finish()
    with pytest.raises(ArtefactError, match="holds a report of `histograft draw`"):
        check(folder)


def test_the_same_report_is_passed_and_that_of_an_earlier_version_is_not(folder):
    report = report_of(configured(folder))
    inputs = tuple(Input("networks", "network", path.name) for path in report.networks)
    settings = fields_with_role(report, Role.SETTING)
    for more, version in (({}, VERSION), ({"commands": ["x" * 999]}, VERSION), ({}, 0)):
        identity = Identity("report", "ladder", version, settings | more, inputs, report.seed)
        with claim(report.out, identity) as draft:
            draft.finish()
        if identity.id == Identity("report", "ladder", VERSION, settings, inputs, report.seed).id:
            assert check(folder) == []
        else:
            with pytest.raises(ArtefactError, match=r"\(it is of another version of histograft\)"):
                check(folder)
        shutil.rmtree(report.out)


def test_images_of_16_bits_are_found_by_their_header(folder):
    deep = np.zeros((64, 64), np.uint16)
    Image.fromarray(deep).save(folder / "set" / "5.png")
    with pytest.raises(InputError, match=r"1 of 16 images cannot be used:\s+5.png has more than 8"):
        check(folder)


def test_of_slides_what_the_table_tells(tmp_path):
    rows = []
    for i in range(4):
        pixels = np.full((64, 64, 3), 245, np.uint8)
        small_slides.write_slide(tmp_path / f"s{i}.tif", pixels, 4.0)
        row = {"slide_id": f"s{i}", "file": f"s{i}.tif", "patient_id": f"p{i}"}
        rows.append(row | {"label": "ab"[i % 2], "split": ["train", "test"][i // 2]})
    table = tmp_path / "slides.csv"
    small_slides.write_slides_table(table, rows)
    options = {"samples": table, "scale": "mpp", "ladder": (8.0,), "teacher_mpp": 4.0}
    assert check(tmp_path, finest=4.0, **options) == []  # some of the training slides validate
    with pytest.raises(InputError, match="chooses an epoch by validation pieces"):
        check(tmp_path, finest=4.0, val_of_train=0.0, **options)
    with pytest.raises(
        InputError, match=r"slides.csv: level 2 of the ladder is finer than the image's 4 µm"
    ):
        check(tmp_path, finest=2.0, **(options | {"teacher_mpp": 2.0}))
    rows[3]["patient_id"] = "p0"
    small_slides.write_slides_table(table, rows)
    (heard,) = check(tmp_path, finest=4.0, **options)
    assert "1 group (p0) in two splits" in heard
    more = tmp_path / "more.csv"
    small_slides.write_slides_table(more, rows[2:3])
    with pytest.raises(InputError, match=r"more.csv shares 1 image .s2.tif. and 1 group .p2. and"):
        check(tmp_path, finest=4.0, unlabelled=(more,), **options)


def test_the_teachers_level_cannot_be_left_out(folder):
    Image.new("RGB", (20, 64)).save(folder / "set" / "4.png")
    with pytest.raises(InputError, match=r"1 of 16 .* level 1 .*\(4.png: 20 × 64 px\)") as caught:
        check(folder)
    assert caught.value.fix == "leave such pieces out of the table"


def test_a_class_that_is_not_tested_is_told(folder):
    change(folder, split=lambda t: t["split"].mask(
        (t["split"] == "test") & (t["label"] == "b"), "train"
    ))  # fmt: skip
    (heard,) = check(folder)
    assert "no test row shows b" in heard


def test_a_gpu_that_is_not_there_is_told_at_once(folder, monkeypatch):
    monkeypatch.setattr(hardware, "gpu_is_there", lambda: False)
    with pytest.raises(InputError, match="PyTorch finds no GPU"):
        check(folder, device="cuda")


@pytest.mark.parametrize("levels", [(), (2.0, 2.0), (0.0,), (float("nan"),), (float("inf"), 2.0)])
def test_ladders_that_are_none(folder, levels):
    with pytest.raises(InputError, match="--ladder is") as caught:
        configured(folder, ladder=levels)
    assert "(" not in caught.value.problem


def test_options_of_unlabelled_sets_without_one(folder):
    with pytest.raises(InputError, match="--unlabelled-shares is for --unlabelled"):
        resolution_distillation(configured(folder, unlabelled_shares=(0.5,)))


@pytest.mark.parametrize(("mpp", "said"), [(-1.0, "-1.0 cannot be a scale"), (4.0, "set: level 1")])
def test_scales_that_cannot_be(folder, mpp, said):
    change(folder, mpp=[mpp] + 15 * [1.0])
    options = {"teacher_mpp": "native" if mpp < 0 else 1.0, "scale": "mpp"}
    with pytest.raises(InputError, match=said):
        resolution_distillation(configured(folder, **options))
