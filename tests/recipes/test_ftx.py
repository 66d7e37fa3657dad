"""`histograft run ftx` on tiny sets: a table, a folder and a patches artefact."""

import getpass
import re
import shlex
import shutil

import pandas as pd
import pytest

from histograft.core.artefact import is_artefact, open_artefact
from histograft.core.tables import RESULTS

NETWORK = (
    "--arch", "resnet10t", "--weights", "random", "--hidden", 8, "--epochs-head", 1,
    "--epochs-all", 1, "--batch-size", 16,
)  # fmt: skip
PATCHES = ("--target-mpp", 1, "--patch-px", 32, "--missing-mpp", "keep-pixels")
PREDICT = ("--folds", 2, "--repeats", 2, "--draws", 100)
LIGHT = ("--workers", 1, "--device", "cpu")


def command(folder, *, out="run"):
    return (
        "run", "ftx", "--finetune", folder / "tuned/samples.csv", "--evaluate", folder / "folders",
        folder / "tuned", folder / "cut", "--out", folder / out, "--also", folder / "other-net",
        *NETWORK, *PATCHES, *PREDICT, *LIGHT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory, tools):
    """A finished run with everything in it."""
    folder = tmp_path_factory.mktemp("ftx")
    tools.write_set(folder / "tuned", groups=16)
    tools.write_set(folder / "folders", groups=4, table=False)
    tools.ok(
        "standardize", "--samples", tools.write_set(folder / "third", groups=12), "--out",
        folder / "cut", *PATCHES, "--workers", 1, "--test-fraction", 0.5,
    )  # fmt: skip
    tools.ok(
        "train", "--patches", folder / "cut", "--out", folder / "other-net", "--init", "random",
        "--arch", "resnet10t", "--hidden", 8, "--tune", "head", "--epochs-head", 1, "--seed", 3,
    )  # fmt: skip
    return folder, tools.ok(*command(folder))


def test_what_it_leaves(done):
    folder, outcome = done
    report = folder / "run/report"
    assert outcome.out.strip() == str(report / "index.html")
    results = RESULTS.check(pd.read_csv(report / "results.csv"), "results.csv")
    assert set(results["dataset"]) == {"folders", "tuned", "third"}
    # The classes are those of the set tuned on, so each is also tested externally.
    assert set(results["protocol"]) == {"cv", "external", "held-out"}
    assert set(results["model"]) == {
        "imgnet-gap", "imgnet-dense", "imgnet-random", "ftx-dense", "ftx-gap", "other-net-gap",
        "shortcut-rgb", "shortcut-histogram", "shortcut-jpeg",
    }  # fmt: skip
    keys = ["dataset", "protocol", "target", "model", "metric"]
    assert not results.duplicated(keys).any()


def test_what_was_tuned_on_is_tested_on_test_rows_only(done):
    folder, outcome = done
    for name, patches in (("tuned", folder / "run/patches/tuned"), ("third", folder / "cut")):
        table = pd.read_parquet(patches / "metadata.parquet")
        predictions = folder / f"run/predictions/{name}-cv/predictions.parquet"
        units = set(pd.read_parquet(predictions)["unit"])
        assert units == set(table.loc[table["split"] == "test", "patch_id"])
        assert f"{name}: a network was tuned on this set" in outcome.err


def test_what_sets_share_is_said_before_training(done, tools, tmp_path):
    folder, outcome = done
    tuned = pd.read_parquet(folder / "run/patches/tuned/metadata.parquet")
    third = pd.read_parquet(folder / "cut/metadata.parquet")
    both = set(tuned.loc[tuned["split"] != "test", "group"]) & set(third["group"])
    names = f"{len(both)} group name(s) occur in both tuned and third: if these are the same"
    assert both
    assert names in outcome.err
    assert names in (folder / "run/report/index.html").read_text()
    # A patient in training and test rows of the set tuned on.
    bad = tools.write_set(tmp_path / "bad", groups=4)
    table = pd.read_csv(bad / "samples.csv").assign(split=["train", "test", "train", "test"] * 3)
    table.assign(group="p0").to_csv(bad / "samples.csv", index=False)
    refused = tools.run(
        "run", "ftx", "--finetune", bad, "--evaluate", bad, "--out", tmp_path / "run",
        *NETWORK, *PATCHES, *PREDICT, *LIGHT,
    )  # fmt: skip
    assert refused.code == 1
    assert "1 group name(s) occur in both bad and the test rows of bad" in refused.err
    assert not (tmp_path / "run/network").exists()


def test_a_wrong_weights_file_is_found_before_any_work(tools, tmp_path):
    tools.write_set(tmp_path / "set", groups=4)
    (tmp_path / "weights.safetensors").write_bytes(b"no weights")
    for flag in ("--weights", "--also"):
        network = ["--arch", "resnet10t", flag, tmp_path / "weights.safetensors"]
        network += [] if flag == "--weights" else ["--weights", "random"]
        refused = tools.run(
            "run", "ftx", "--finetune", tmp_path / "set", "--evaluate", tmp_path / "set",
            "--out", tmp_path / "run", *network, *PATCHES, *LIGHT,
        )  # fmt: skip
        assert refused.code == 1
        assert "weights.safetensors" in refused.err
        assert not (tmp_path / "run").exists()


def test_the_report_names_sets_that_are_not_at_the_scale(done):
    page = (done[0] / "run/report/index.html").read_text()
    assert "No µm/px is known for folders" in page
    assert "histograft train" in page


def test_nothing_tells_where_or_who(done):
    folder, _ = done
    words = [str(folder), str(folder.parent), "/home/", "/root/", f"/{getpass.getuser()}/"]
    paths = [p for p in (folder / "run").rglob("*") if p.suffix in (".json", ".html", ".csv")]
    assert len(paths) > 20
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for word in words:
            assert word not in text, f"{path} holds {word}"


def test_run_again_it_returns_at_once_and_verifies(done, tools):
    folder, _ = done
    before = {p: p.stat().st_mtime_ns for p in (folder / "run").rglob("*") if p.is_file()}
    again = tools.ok(*command(folder))
    assert again.err.count("there already") >= 15
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "run").rglob("*") if p.is_file()}
    assert tools.run("verify", folder / "run").code == 0


def test_another_setting_is_refused_by_name(done, tools):
    outcome = tools.run(*command(done[0]), "--lr-all", 0.1)
    assert outcome.code == 1
    assert "lr_all: there 5e-05, here 0.1" in outcome.err


def test_the_printed_commands_make_the_same_artefacts(done, tools, tmp_path, monkeypatch):
    """One by one, in the folder that holds the run; what is read from elsewhere lies there too."""
    folder, _ = done
    copy = tmp_path / "run"
    for name in ("run", "tuned", "folders", "cut", "other-net"):
        shutil.copytree(folder / name, tmp_path / name)
    remade = ["patches/folders", "features/folders/shortcut", "predictions/folders-cv", "tables"]
    expected = {name: open_artefact(copy / name).id for name in remade}
    for name in remade:
        shutil.rmtree(copy / name)
    commands = open_artefact(copy / "report").manifest["execution"]["commands"]
    steps = [line for line in commands if not line.startswith("histograft run")]
    assert len(steps) == 2 + 1 + 3 * 4 + 3 * 2 + 1
    page = (copy / "report/index.html").read_text()
    monkeypatch.chdir(tmp_path)
    for line in steps:
        assert re.sub("['\"&<>]", "", line)[:40] in re.sub("['\"&<>]", "", page)
        program, *words = shlex.split(line)
        assert program == "histograft"
        tools.ok(*words)
    assert {name: open_artefact(copy / name).id for name in remade} == expected


def test_sets_that_share_images_are_refused_before_the_work(tmp_path, tools):
    tuned = tools.write_set(tmp_path / "tuned", groups=4)
    other = tools.write_set(tmp_path / "other", groups=4)
    shutil.copy(tuned / "fat/p0.png", other / "fat/p1.png")
    outcome = tools.run(
        "run", "ftx", "--finetune", tuned, "--evaluate", other, "--out", tmp_path / "run",
        *NETWORK, *PATCHES, *PREDICT, *LIGHT,
    )  # fmt: skip
    assert outcome.code == 1
    assert "other shares 1 exact" in outcome.err
    assert not (tmp_path / "run/network").exists()


def test_two_sets_of_one_name_are_refused(tmp_path, tools):
    sets = [tools.write_set(tmp_path / place / "set", groups=3) for place in ("a", "b")]
    outcome = tools.run(
        "run", "ftx", "--finetune", sets[0], "--evaluate", sets[1], "--out", tmp_path / "run",
        *NETWORK, *PATCHES,
    )  # fmt: skip
    assert outcome.code == 1
    assert "two sets are called set" in outcome.err
    assert not (tmp_path / "run").exists()


def test_options_that_cannot_be_are_refused_before_the_work(tmp_path, tools):
    source = tools.write_set(tmp_path / "set", groups=12)
    words = ("run", "ftx", "--finetune", source, "--evaluate", source, "--out", tmp_path / "run")
    for option, value in (
        ("--seed", -1), ("--folds", 1), ("--repeats", 0), ("--epochs-head", 0), ("--draws", 3),
        ("--batch-size", 0), ("--weights", "nonsense"), ("--also", tmp_path / "absent.pth"),
        ("--labels", "no sign"), ("--arch", "resnet9999"),
    ):  # fmt: skip
        given = {"--arch": "resnet10t", "--weights": "random"} | {option: value}
        outcome = tools.run(
            *words,
            *(word for pair in given.items() for word in pair),
            *PATCHES,
            *LIGHT,
            *(() if option == "--folds" else ("--folds", 2)),
        )
        looked_for = option in ("--weights", "--arch")  # the command itself makes sense
        assert outcome.code == (1 if looked_for else 2), (option, outcome.err)
        assert option.removeprefix("--") in outcome.err or str(value) in outcome.err
        assert not is_artefact(tmp_path / "run/network"), option


def test_too_few_groups_for_the_folds_are_told_before_training(tools, tmp_path):
    tools.write_set(tmp_path / "tuned", groups=6)
    outcome = tools.run(
        "run", "ftx", "--finetune", tmp_path / "tuned", "--evaluate", tmp_path / "tuned", "--out",
        tmp_path / "run", *NETWORK, *PATCHES, "--folds", 5, *LIGHT,
    )  # fmt: skip
    assert outcome.code != 0
    assert "the test rows of tuned" in outcome.err
    assert "--folds" in outcome.err
    assert not (tmp_path / "run/network").exists()
