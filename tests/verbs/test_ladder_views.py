"""Maps of teacher and student: each of its own network, on its own scale, of the same field."""

import numpy as np
import pandas as pd
import pytest
import torch
from small_pieces import write_pieces
from torch.utils.flop_counter import FlopCounterMode

from histograft.learning.cam import class_maps
from histograft.verbs.distill import Distill, distill
from histograft.verbs.ladder import Ladder, ladder
from histograft.verbs.ladder_tables import find_rungs, judge
from histograft.verbs.ladder_views import cells, drawn_fields, shown_rungs
from histograft.verbs.networks import load_network
from histograft.verbs.patch_images import images_of, load_patches
from histograft.verbs.piece_pairs import Pieces
from histograft.verbs.rescale import Rescale, rescale


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    write_pieces(folder / "set", 32)
    fine, coarse = (
        rescale(Rescale(folder / "set", out=folder / str(f), level=f, scale="relative", workers=1))
        for f in (1, 2)
    )
    options = {"epochs": 1, "norm_groups": 8, "device": "cpu", "augment": "none"}
    teacher = distill(Distill(fine.path, out=folder / "teacher", **options))
    student = Distill(
        coarse.path, out=folder / "kd", teacher=teacher.path, fine=fine.path, **options
    )
    return fine, coarse, teacher, distill(student)


def test_each_network_looks_at_its_own_scale(world):
    fine, coarse, _, student = world
    fields = drawn_fields(fine, 4, 0)
    assert set(fields["split"]) == {"test"}
    assert sorted(fields["label"]) == ["a", "a", "b", "b"]
    rows = load_patches(coarse).set_index("patch_id", drop=False).loc[list(fields["patch_id"])]
    network = load_network(student)
    made = cells(network, Pieces(coarse, rows), list(fields["label"]), "cpu")
    for i, cell in enumerate(made):
        image = images_of(coarse, rows).image(i).copy()
        assert np.array_equal(cell.image, image)
        index = network.spec.classes.index(cell.shown)
        expected = class_maps(network, image[None], [index], device="cpu")[0]
        assert np.array_equal(cell.found, expected)
        assert (cell.remark == "") == (cell.shown == fields["label"].iloc[i])
        assert cell.probability >= 0.5
    shapes = [Pieces(fine, fields).shape(i) for i in range(4)]
    assert [c.image.shape[:2] for c in made] == [(-(-h // 2), -(-w // 2)) for h, w in shapes]


def test_the_report_shows_them(world, tmp_path):
    fine, coarse, teacher, student = world
    networks = (teacher.path, student.path)
    options = {"networks": networks, "draws": 200, "repeats": 1, "device": "cpu"}
    patches = (fine.path, coarse.path)
    made = ladder(Ladder(out=tmp_path / "r", patches=patches, fields=2, **options))
    assert "What teacher and student look at" in made.file("index.html").read_text()
    assert "figures/views.svg" in made.files
    without = ladder(Ladder(out=tmp_path / "w", patches=patches, fields=0, **options))
    assert "figures/views.svg" not in without.files


def test_costs_are_what_files_and_torch_say(world, tmp_path):
    fine, coarse, teacher, student = world
    made = ladder(
        Ladder(
            networks=(teacher.path, student.path), patches=(fine.path, coarse.path), fields=0,
            out=tmp_path / "r", draws=200, repeats=1, device="cpu",
        )
    )  # fmt: skip
    costs = pd.read_csv(made.file("costs.csv")).set_index("mpp")
    for level, artefact, of_level in ((1, fine, teacher), (2, coarse, student)):
        table = load_patches(artefact)
        test = table[table["split"] == "test"]
        n_bytes = n_flop = n_pixels = 0
        for i, name in enumerate(test["file_name"]):
            n_bytes += len((artefact.path / name).read_bytes())
            height, width, _ = images_of(artefact, test).image(i).shape
            n_pixels += height * width
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                load_network(of_level)(torch.zeros(1, 3, height, width))
            n_flop += counter.get_total_flops()
        row = costs.loc[level]
        assert row["mb_of_set"] == pytest.approx(n_bytes / 1e6)
        assert row["mpx_of_set"] == pytest.approx(n_pixels / 1e6)
        assert row["gmacs_of_set"] == pytest.approx(n_flop / 2e9)
        assert row["gmacs_per_piece"] == pytest.approx(n_flop / 2e9 / 8)
        assert row["gmacs_per_group"] == pytest.approx(n_flop / 2e9 / 4)  # two pieces a patient
        assert row["peak_mb"] > 4 * 1.23  # the weights alone
    assert "MB read, per group" in made.file("index.html").read_text()


def test_the_teacher_stands_first(world):
    judged = judge(
        find_rungs([world[3], world[2]]), margin=0.02, n_draws=200, published=False, seed=0
    )
    assert [rung.condition for rung in shown_rungs(judged)] == ["teacher", "kd"]
