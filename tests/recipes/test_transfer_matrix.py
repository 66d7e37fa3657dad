"""`histograft run transfer-matrix` on tiny sets: its cells, its controls, a kill and a resume."""

from __future__ import annotations

import shlex
import shutil

import pandas as pd
import pytest

from histograft.core.artefact import open_artefact
from histograft.core.errors import ArtefactError, InputError
from histograft.core.reporter import SILENT
from histograft.recipes import matrix_plan
from histograft.recipes.matrix_plan import plan_matrix
from histograft.recipes.transfer_matrix import PRESETS, TransferMatrix
from histograft.verbs.matrix import Matrix

SMALL = (
    "--target-mpp", 1, "--patch-px", 32, "--arch", "resnet10t", "--epochs", 1, "--trials", 1,
    "--learning-rates", 1e-3, 1e30, "--batch-size", 8, "--augment", "none", "--tune", "fine",
    "deep", "--test-fraction", 0.3, "--val-fraction", 0.2, "--workers", 1, "--device", "cpu",
)  # fmt: skip


def command(folder, out):
    sets = [folder / name for name in ("lung", "colon")]
    return ("run", "transfer-matrix", "--sets", *sets, "--out", out, *SMALL)


@pytest.fixture(scope="module")
def done(tmp_path_factory, tools):
    folder = tmp_path_factory.mktemp("matrix")
    for name in ("lung", "colon"):
        tools.write_set(folder / name, groups=10)
    return folder, tools.ok(*command(folder, folder / "run"))


def test_every_cell_and_control_is_there(done):
    folder, outcome = done
    assert outcome.out.strip() == str(folder / "run/report/index.html")
    table = pd.read_csv(folder / "run/report/matrix.csv", keep_default_na=False)
    found = set(zip(table["source"], table["target"], table["tune"], table["control"], strict=True))
    for source, target in (("lung", "colon"), ("colon", "lung")):
        for tune in ("fine", "deep"):
            assert (source, target, tune, "") in found
            assert (target, target, tune, "self") in found
            assert (source, target, tune, "shuffled") in found
        assert (target, target, "none", "") in found  # the diagonal
        assert (target, target, "deep", "scratch") in found
    assert len(found) == len(table) == 16


def test_every_cell_has_the_same_rates_and_diverged_ones_are_told(done):
    folder, _ = done
    rates = pd.read_csv(folder / "run/report/learning_rates.csv", keep_default_na=False)
    tuned = rates[rates["tune"] != "none"]
    counts = tuned.groupby(["source", "target", "tune", "control", "trial"])["learning_rate"]
    assert set(counts.nunique()) == {2}
    deep = tuned[(tuned["tune"] == "deep") & (tuned["learning_rate"].astype(float) > 1)]
    assert deep["status"].str.startswith("diverged").all()
    assert not deep["chosen"].isin(["True", True]).any()


def test_scratch_trains_for_as_long_as_both_steps(done):
    folder, _ = done
    cell = open_artefact(folder / "run/cells/lung/random-scratch-deep-0")
    assert cell.facts["transfer"]["epochs"] == 2


def test_a_killed_run_ends_with_the_same_table(done, tools, tmp_path):
    folder, _ = done
    table = (folder / "run/report/matrix.csv").read_bytes()
    half = tmp_path / "run"
    shutil.copytree(folder / "run", half)
    shutil.rmtree(half / "report")
    shutil.rmtree(half / "cells/colon/random-lung-deep-0")
    shutil.rmtree(half / "networks/lung-random-0")
    tools.ok(*command(folder, half))
    assert (half / "report/matrix.csv").read_bytes() == table


def test_commands_are_printed_and_run_one_by_one(tools, tmp_path):
    for name in ("lung", "colon"):
        tools.write_set(tmp_path / name, groups=6)
    printed = tools.ok(*command(tmp_path, tmp_path / "run"), "--print-commands").out
    lines = [shlex.split(line) for line in printed.strip().splitlines()]
    assert not (tmp_path / "run").exists()
    verbs = [line[1] for line in lines]
    assert verbs[:2] == ["standardize"] * 2
    assert verbs[-1] == "matrix"
    assert verbs.count("train") == 2
    assert verbs.count("transfer") == 16
    tools.ok(*lines[0][1:])  # they are commands
    assert (tmp_path / "run/patches/lung/manifest.json").is_file()


def test_imagenet_starts_have_a_direct_control(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    config = TransferMatrix(
        sets=(tmp_path / "a", tmp_path / "b"), out=tmp_path / "run", init=("imagenet",), trials=1
    )
    cells = [job.config for job in plan_matrix(config).stages[2]]
    direct = [cell for cell in cells if cell.control == "direct"]
    assert [(cell.init, cell.start, cell.arch) for cell in direct] == 2 * [
        ("imagenet", "imagenet", "resnet18")
    ]
    assert not any(cell.control == "scratch" for cell in cells)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sets": ("lung", "lung")}, "given twice"),
        ({"sources": ("lung",), "targets": ("lung",)}, "only source and the only target"),
    ],
)
def test_a_matrix_without_transfers_is_refused(tmp_path, fields, message):
    for name in ("lung", "colon"):
        (tmp_path / name).mkdir()
    given = {"sets": ("lung", "colon")} | fields
    given["sets"] = tuple(tmp_path / name for name in given["sets"])
    with pytest.raises(InputError, match=message):
        plan_matrix(TransferMatrix(out=tmp_path / "run", **given))


@pytest.mark.parametrize(
    ("other", "message"), [(2.0, "a: 1 µm/px, b: 2 µm/px"), (None, "b: unknown"), (1.005, None)]
)
def test_strict_scale_is_looked_at_before_networks_are_trained(
    tmp_path, monkeypatch, other, message
):
    scales = {"a": 1.0, "b": other}
    monkeypatch.setattr(matrix_plan, "open_artefact", lambda path, _: path)
    monkeypatch.setattr(
        matrix_plan, "load_patches", lambda path: pd.DataFrame({"mpp": [scales[path.name]]})
    )
    sets = {name: tmp_path / name for name in scales}
    if message is None:
        matrix_plan.require_one_scale(sets)
        return
    with pytest.raises(InputError, match=message):
        matrix_plan.require_one_scale(sets)


def test_a_run_that_was_made_larger_says_what_to_do_with_its_report(tmp_path, monkeypatch):
    def refuses(config, reporter):
        raise ArtefactError(f"{config.out} holds another artefact", "choose another --out")

    monkeypatch.setattr(matrix_plan, "matrix", refuses)
    config = Matrix(cells=(tmp_path,), out=tmp_path / "report")
    with pytest.raises(ArtefactError, match="choose another"):
        matrix_plan.write_report(config, SILENT)
    monkeypatch.setattr(matrix_plan, "is_artefact", lambda path: path == tmp_path / "report")
    with pytest.raises(ArtefactError, match="all cells are done and kept; move or delete"):
        matrix_plan.write_report(config, SILENT)


def test_unknown_names_are_refused(tools, tmp_path):
    for name in ("lung", "colon"):
        tools.write_set(tmp_path / name, groups=4)
    outcome = tools.run(*command(tmp_path, tmp_path / "run"), "--targets", "kidney")
    assert outcome.code != 0
    assert "kidney" in outcome.err
    assert "lung, colon" in outcome.err


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patch_px", 272), ("target_mpp", 1.0), ("overlap", 0.25), ("trials", 3),
        ("epochs", 250), ("source_epochs", None), ("batch_size", 64), ("weight_decay", 5e-4),
        ("optimizer", "adamp"), ("schedule", "step-20"),
        ("learning_rates", (1e-3, 5e-4, 2e-4, 1e-4, 5e-5)),
        ("source_optimizer", "rmsgd"), ("source_lr", 0.03), ("source_schedule", "constant"),
        ("augment", "histokt"), ("augment_fine", "histokt"), ("bn_update", True),
        ("multilabel_loss", "one-vs-all"), ("norm", "source"), ("arch", "resnet18"),
        ("init", ("random", "imagenet")), ("tune", ("fine", "deep")), ("upsample", "allow"),
    ],
)  # fmt: skip
def test_the_papers_values(field, value, tmp_path):
    config = TransferMatrix(sets=(tmp_path / "a", tmp_path / "b"), out=tmp_path, **PRESETS["paper"])
    assert getattr(config, field) == value


def test_a_paper_cell_is_tuned_as_the_paper_tunes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    config = TransferMatrix(
        sets=(tmp_path / "a", tmp_path / "b"), out=tmp_path / "run", **PRESETS["paper"]
    )
    _, networks, cells = plan_matrix(config).stages
    tuned = next(job.config for job in cells if job.config.tune == "deep")
    assert (tuned.optimizer, tuned.schedule, tuned.select, tuned.select_by) == (
        "adamp", "step-20", "best", "accuracy",
    )  # fmt: skip
    source = networks[0].config
    assert (source.optimizer, source.random_start, source.hidden) == ("rmsgd", "he-fan-out", (0,))
