"""Options: what beats what, what is refused, and with which exit code."""

import dataclasses
import json
import os
import re
import signal
import time

import numpy as np
import pytest
from PIL import Image

import histograft

COMMANDS = [
    ("standardize",), ("train",), ("embed",), ("predict",), ("compare",), ("draw",), ("demo",),
    ("run", "ftx"), ("verify",), ("catalogue",),
]  # fmt: skip
NEEDED = ("--samples", "a", "--out", "b")


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for number in range(3):
            path = tmp_path / "set" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(path)
    return tmp_path / "set"


def settings_of(folder):
    return json.loads((folder / "manifest.json").read_text())["config"]


def test_a_flag_beats_config_which_beats_preset(tmp_path, samples, command):
    config = tmp_path / "options.toml"
    config.write_text('overlap = 0.5\npatch-px = 100\nmpp = 1.0\nupsample = "error"\nworkers = 1\n')
    outcome = command(
        "standardize", "--samples", samples, "--out", tmp_path / "out", "--preset", "histokt",
        "--config", config, "--patch-px", 64,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = settings_of(tmp_path / "out")
    assert found["patch_px"] == 64  # flag; config says 100, preset 272
    assert found["overlap"] == 0.5  # config; preset says 0.25
    assert found["upsample"] == "error"  # config; preset says allow
    assert found["resampling"] == "skimage"  # preset; default is area
    assert found["small"] == "reflect"  # default
    assert outcome.out.strip() == str(tmp_path / "out")  # what can be piped on


def test_lists_and_switches_in_a_config_file(tmp_path, samples, command):
    patches = tmp_path / "patches"
    words = ("--mpp", 1, "--target-mpp", 1, "--patch-px", 300, "--workers", 1, "--background", 0)
    assert command("standardize", "--samples", samples, "--out", patches, *words).code == 0
    config = tmp_path / "options.toml"
    config.write_text(f'patches = "{patches}"\nshortcuts = true\npoints = ["gap", "dense"]\n')
    made = command("embed", "--config", config, "--out", tmp_path / "features")
    assert made.code == 0, made.err
    assert settings_of(tmp_path / "features")["points"] == ["gap", "dense"]
    config.write_text('models = ["shortcut-rgb"]\ngroups = false\nfolds = 3\nrepeats = 1\n')
    made = command(
        "predict", "--features", tmp_path / "features", "--config", config, "--out",
        tmp_path / "predictions", "--models", "shortcut-histogram", "shortcut-rgb",
    )  # fmt: skip
    assert made.code == 0, made.err
    found = settings_of(tmp_path / "predictions")
    assert found["models"] == ["shortcut-histogram", "shortcut-rgb"]  # replaced, not joined
    assert found["groups"] is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patch_pxx = 3\n", "did you mean 'patch_px'?"),
        ('patch_px = "a"\n', "patch_px"),
        ("patch_px = [3, 4]\n", "patch_px"),
        ("patch_px = 3.5\n", "patch_px"),
        ("patch_px = true\n", "patch_px"),
        ('small = "stretch"\n', "small"),
        ("keep_going = 1\n", "keep_going"),
        ("[standardize]\npatch_px = 32\n", "no option 'standardize'"),
        ("name = {a = 1}\n", "name"),
        ("patch_px: 32\n", "is not TOML"),
    ],
)
def test_a_config_file_that_is_wrong(tmp_path, samples, command, text, said):
    config = tmp_path / "options.toml"
    config.write_text(text)
    outcome = command(
        "standardize", "--samples", samples, "--out", tmp_path / "out", "--config", config
    )
    assert outcome.code == 2
    assert "options.toml" in outcome.err
    assert said in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_config_file_that_is_not_there_or_no_text(tmp_path, samples, command):
    words = ("standardize", "--samples", samples, "--out", tmp_path / "out", "--config")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"\n')
    for name, said in (("none.toml", "does not exist"), ("latin.toml", "is not TOML")):
        outcome = command(*words, tmp_path / name)
        assert outcome.code == 2
        assert name in outcome.err
        assert said in outcome.err
    outcome = command(*words, tmp_path)  # a folder
    assert outcome.code == 2
    assert "--config" in outcome.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("standardize", *NEEDED, "--nonsense", 3), "--nonsense"),
        (("standardize", *NEEDED, "--patch-px", "many"), "--patch-px"),
        (("standardize", *NEEDED, "--small", "stretch"), "--small"),
        (("standardize", "--preset"), "--preset"),
        (("standardize",), "--samples"),
        (("nonsense",), "nonsense"),
        (("run", "nonsense"), "nonsense"),
        (("standardize", *NEEDED, "--preset", "nonsense"), "histokt-printed, paper, recommended"),
        (("standardize", *NEEDED, "--config", "none.toml"), "none.toml"),
        (("standardize", *NEEDED, "--overlap", 1), "--overlap is 1"),
        (("train", "--patches", "a", "--out", "b", "--batch-size", 0), "--batch-size is 0"),
        (("train", "--patches", "a", "--out", "b", "--batch-size", 2.5), "not a whole number"),
        (("embed", "--patches", "a", "--out", "b"), "one source of features"),
        (("run", "ftx", "--finetune", "a", "--evaluate", "a", "--out", "b", "--folds", 1), "folds"),
    ],
)
def test_usage_errors_exit_with_2(command, words, said):
    outcome = command(*words)
    assert outcome.code == 2, outcome.err
    assert said in outcome.err
    assert outcome.out == ""


def test_a_fraction_is_not_rounded_to_a_whole_number(command):
    outcome = command("train", "--patches", "a", "--out", "b", "--batch-size", 2.5)
    assert outcome.code == 2
    assert "--batch-size is 2.5, not a whole number" in outcome.err
    outcome = command("train", "--patches", "a", "--out", "b", "--hidden", 8, 4.5)
    assert "--hidden is 4.5, not a whole number" in outcome.err


def test_an_empty_list_in_a_config_file_is_not_the_default(tmp_path, command):
    (tmp_path / "options.toml").write_text("learning-rates = []\n")
    words = ("--patches", "a", "--out", tmp_path / "out", "--config", tmp_path / "options.toml")
    outcome = command("transfer", *words, "--init", "random")
    assert outcome.code == 2
    assert "--learning-rates are" in outcome.err


def test_an_unknown_preset_names_the_known_ones(tmp_path, samples, command):
    words = ("--samples", samples, "--out", tmp_path / "out", "--preset", "nonsense")
    outcome = command("standardize", *words)
    assert outcome.code == 2
    for name in ("histokt", "paper", "recommended"):
        assert name in outcome.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_names_every_option(command, words):
    outcome = command(*words, "--help")
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) > 5
    name = {"run": "Ftx"}.get(words[0], words[0].capitalize())
    config = getattr(histograft, name, None)
    if config is not None:
        for field in dataclasses.fields(config):
            assert "--" + field.name.replace("_", "-") in outcome.out
        assert "--preset" in outcome.out
        assert "--config" in outcome.out


def test_version_and_catalogue(command):
    assert command("--version").out.strip() == histograft.__version__
    table = command("catalogue")
    assert table.code == 0
    assert "BreakHis" in table.out
    one = command("catalogue", "nct-crc-he-100k")
    assert one.code == 0
    assert "0.5" in one.out
    unknown = command("catalogue", "nonsense")
    assert unknown.code == 1
    assert "to fix it" in unknown.err


def test_verify_where_there_is_nothing(tmp_path, command):
    for path in (tmp_path, tmp_path / "absent"):
        outcome = command("verify", path)
        assert outcome.code == 1
        assert "no artefact lies at or below" in outcome.err


def test_verify_says_what_is_unfinished(tmp_path, samples, command):
    (samples / "a/0.png").write_bytes(b"")
    words = ("--mpp", 1, "--target-mpp", 1, "--patch-px", 300, "--workers", 1)
    assert command("standardize", "--samples", samples, "--out", tmp_path / "p", *words).code == 1
    outcome = command("verify", tmp_path / "p")
    assert outcome.code == 1
    assert "unfinished" in outcome.err
    assert "run its command again" in outcome.err


def test_square_brackets_in_names_are_not_markup(tmp_path, samples, command):
    folder = samples.rename(tmp_path / "[bold]set")
    outcome = command("standardize", "--samples", folder, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "[bold]set: no µm/px is known" in outcome.err
    assert not re.search(r"\x1b\[", outcome.err)  # no colors where nobody looks


@pytest.mark.parametrize("value", ["0,5", "-1,25"])
def test_a_decimal_comma_is_explained(command, value):
    outcome = command("standardize", *NEEDED, f"--mpp={value}")
    assert outcome.code == 2
    assert f"--mpp is {value}, with a decimal comma" in outcome.err
    assert f"write {value.replace(',', '.')}" in outcome.err


def test_sigterm_says_that_the_work_can_go_on(command, monkeypatch, tmp_path):
    def work(path):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr("histograft.core.verify.verify", work)
    before = signal.getsignal(signal.SIGTERM)
    outcome = command("verify", tmp_path)
    assert outcome.code == 143
    assert "run the same command again to go on" in outcome.err
    assert signal.getsignal(signal.SIGTERM) is before


def test_help_says_what_presets_set_and_shows_no_empty_brackets(command):
    told = " ".join(command("embed", "--help").out.replace("│", " ").split())
    assert "paper: --target-mpp 0.25 --stain macenko-tile" in told
    assert "()" not in told
    assert "Usage: histograft embed [SLIDES] --out PATH" in told
    assert "[ARGS]" not in told
    assert "[NAME" in command("catalogue", "--help").out


@pytest.mark.parametrize("words", [*COMMANDS, ("doctor",), ("pool",), ("convert",)], ids=" ".join)
def test_help_is_in_american_spelling(command, words):
    told = command(*words, "--help").out.lower()
    for british in (
        "normalis",
        "colour",
        "neighbour",
        "labelled im",
        "quantisation",
        "behaviour",
        "centre",
    ):
        assert british not in told
