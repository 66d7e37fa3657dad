"""Runs over slides that are killed, interrupted or share a list end as if alone and undisturbed."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_slides

from histograft.core.artefact import is_artefact

RUN = "from histograft.cli import main; main()"
TILE = 32
N_SLIDES, MOST_ATTEMPTS = 2, 12
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory, tools):
    """Two slides of 1,360 tiles, more than a block, and their features made without trouble."""
    folder = tmp_path_factory.mktemp("slides")
    rows = []
    for number in range(N_SLIDES):
        pixels = small_slides.tissue(40 * TILE, 34 * TILE, seed=number)
        path = small_slides.write_slide(folder / f"{number}.tif", pixels, 1.0)
        rows.append({"slide_id": f"s{number}", "file": path})
    small_slides.write_slides_table(folder / "slides.csv", rows)
    begun = time.monotonic()
    tools.ok(*words(folder, folder / "whole"))
    return folder, time.monotonic() - begun, everything(folder / "whole", tools)


def words(folder, out):
    return (
        "embed", folder / "slides.csv", "--out", out, "--arch", "resnet10t", "--weights", "random",
        "--device", "cpu", "--target-mpp", 1, "--tile-px", TILE, "--stain", "macenko-slide",
        "--workers", 2,
    )  # fmt: skip


def everything(out, tools):
    folders = [out / "index", *(out / "slides" / f"s{n}" for n in range(N_SLIDES))]
    return [tools.content(folder) for folder in folders]


def start(words):
    # One thread of torch, as in the tests of this process: sums are taken in the same order.
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts():
    """Undo what a shell does to what it starts in the background: there Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(there, process):
    while not there():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def test_sigkill(made, tmp_path, tools):
    folder, seconds, whole = made
    killed = 0
    for attempt in range(MOST_ATTEMPTS):
        if killed >= 2:
            break
        out = tmp_path / str(attempt)
        for _ in range(2):
            process = start(words(folder, out))
            try:
                wait_for((out / "slides").exists, process)
                time.sleep(random.uniform(0, seconds))
            finally:
                process.kill()
                process.communicate()
            killed += process.returncode == -signal.SIGKILL
        tools.ok(*words(folder, out))
        assert everything(out, tools) == whole
        assert tools.run("verify", out).code == 0
    assert killed >= 2


def test_ctrl_c_ends_all_at_once_and_the_next_run_goes_on_at_the_block(
    made, tmp_path, tools, monkeypatch
):
    """As a terminal does it: every process of the group is interrupted."""
    folder, _, whole = made
    out = tmp_path / "out"
    block = out / "slides/s0/.work/block-000000000.npz"
    process = start(words(folder, out))
    wait_for(lambda: block.exists() or is_artefact(out / "slides/s0"), process)
    os.killpg(process.pid, signal.SIGINT)
    begun = time.monotonic()
    said, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert time.monotonic() - begun < 20
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert said == ""
    assert not is_artefact(out / "index")

    written = []
    savez = np.savez
    monkeypatch.setattr(
        np, "savez", lambda path, **arrays: [written.append(path), savez(path, **arrays)]
    )
    n_blocks_to_come = 3 if block.exists() else 2  # two for each slide
    tools.ok(*words(folder, out))
    assert len(written) == n_blocks_to_come
    assert everything(out, tools) == whole


def test_two_processes_share_a_list(made, tmp_path, tools):
    folder, _, whole = made
    out = tmp_path / "out"
    processes = [start(words(folder, out)) for _ in range(2)]
    ended = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert {said.strip() for said, _ in ended} == {str(out)}
    assert sum("is there already" in err for _, err in ended) == 1  # one of them wrote the list
    assert everything(out, tools) == whole
    assert tools.run("verify", out).code == 0


def test_the_other_process_takes_over_what_a_killed_one_left(made, tmp_path, tools):
    folder, _, whole = made
    out = tmp_path / "out"
    first = start(words(folder, out))
    wait_for((out / "slides/s0/unfinished.json").exists, first)
    second = start(words(folder, out))
    wait_for((out / "slides/s1").exists, second)
    first.kill()
    first.communicate()
    _, err = second.communicate(timeout=240)
    assert second.returncode == 0, err
    assert everything(out, tools) == whole
