"""standardize and train, killed at random points or interrupted, go on as if nothing had been."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from histograft.core.artefact import is_artefact

MOST_ATTEMPTS = 12
RUN = "from histograft.cli import main; main()"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """A set, and its patches."""
    folder = tmp_path_factory.mktemp("killed")
    samples = tools.write_set(folder / "set", groups=12, per_group=6)
    tools.ok(*standardize(samples, folder / "patches"))
    return folder


def standardize(samples, out, workers=1):
    return (
        "standardize", "--samples", samples, "--out", out, "--target-mpp", 1, "--patch-px", 32,
        "--workers", workers,
    )  # fmt: skip


def train(patches, out):
    return (
        "train", "--patches", patches, "--out", out, "--init", "random", "--arch", "resnet10t",
        "--hidden", 8, "--epochs-head", 2, "--epochs-all", 3, "--batch-size", 16, "--augment",
        "flips-turns", "--device", "cpu",
    )  # fmt: skip


def start(words, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, words)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=hear_interrupts, **options,
    )  # fmt: skip


def hear_interrupts():
    """Undo what a shell does to what it starts in the background: there Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def kill_at_random(words, out, seconds):
    """Start a command and kill it up to `seconds` after its folder appeared."""
    process = start(words)
    try:
        wait_for(out, process)
        time.sleep(random.uniform(0, seconds))
    finally:
        process.kill()
        process.communicate()
    return process.returncode == -signal.SIGKILL


def measured(words, out):
    """Seconds from the folder's appearance to the end of an undisturbed run."""
    process = start(words)
    wait_for(out, process)
    began = time.monotonic()
    _, err = process.communicate()
    assert process.returncode == 0, err
    return time.monotonic() - began


@pytest.mark.parametrize(("verb", "attempts"), [("standardize", 2), ("train", 1)])
def test_sigkill(made, tmp_path, tools, verb, attempts):
    make, source = {
        "standardize": (standardize, made / "set"),
        "train": (train, made / "patches"),
    }[verb]
    seconds = measured(make(source, tmp_path / "whole"), tmp_path / "whole")
    whole = tools.content(tmp_path / "whole")
    killed = 0
    for attempt in range(MOST_ATTEMPTS):
        if killed and attempt >= attempts:
            break
        out = tmp_path / str(attempt)
        words = make(source, out)
        for _ in range(2):
            if is_artefact(out):  # too late; the first run was slower than the later ones
                seconds /= 2
            else:
                killed += kill_at_random(words, out, seconds)
        outcome = tools.run(*words)
        assert outcome.code == 0, outcome.err
        assert tools.content(out) == whole
        assert tools.run("verify", out).code == 0
    assert killed > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c(made, tmp_path, tools, workers):
    """As a terminal does it: every process of the group is interrupted."""
    out = tmp_path / "out"
    words = standardize(made / "set", out, workers)
    process = start(words, start_new_session=True)
    wait_for(out / "images", process)
    os.killpg(process.pid, signal.SIGINT)
    said, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert said == ""
    assert not is_artefact(out)
    tools.ok(*standardize(made / "set", out))
    assert tools.content(out) == tools.content(made / "patches")
