"""What `run ftx` says before it has cut an image, and whether its advice helps."""

import re
import shlex

import numpy as np
import pytest
import torch
from command_line import run_command, run_successfully
from PIL import Image

from histograft.core.artefact import open_artefact


@pytest.fixture
def ftx(tmp_path, monkeypatch):
    """A function that runs the recipe on a set whose µm/px nobody states."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for number in range(4):
            path = tmp_path / "my set" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)

    def work(*words):
        usual = {"--weights": "random", "--arch": "resnet10t", "--device": "cpu"}
        usual |= dict(zip(words[::2], words[1::2], strict=True))
        more = [word for pair in usual.items() for word in pair]
        return run_command(
            "run", "ftx", "--finetune", "my set", "--evaluate", "my set", "--out", "run", *more
        )

    return work


def test_the_advice_on_an_unknown_scale_can_be_pasted(ftx):
    outcome = ftx()
    assert outcome.code == 1
    assert "no µm/px is known for 8 of 8 images" in outcome.err
    command = shlex.split(re.search(r"`(histograft standardize [^`]*)`", outcome.err)[1])
    run_successfully(*command[1:])
    made = open_artefact(command[command.index("--out") + 1], "patches")
    assert made.manifest["config"]["mpp"] == 0.5


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_an_absent_device_is_said_before_any_work(ftx, tmp_path):
    outcome = ftx("--device", "cuda")
    assert outcome.code == 1
    assert "cannot compute on 'cuda'" in outcome.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("none.pth", "the weights file none.pth is not there"),
        ("folder/none", "the weights file folder/none is not there"),
        ("my set", "no finished network artefact"),
        ("imagnet", "did you mean 'imagenet'?"),
    ],
)
def test_weights_that_are_not_there(ftx, tmp_path, weights, said):
    outcome = ftx("--weights", weights)
    assert outcome.code == 1
    assert said in outcome.err
    assert not (tmp_path / "run").exists()
