"""A run that is killed and started again ends with the bytes of one that was not."""

import importlib.util
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from histograft.learning import checkpoint
from histograft.learning.network import state_to_save

SCRIPT = Path(__file__).with_name("resumable_run.py")


def load_script():
    specification = importlib.util.spec_from_file_location("resumable_run", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def steps_until(process, kill_after):
    """Lines of steps of one run that is killed after so many of them, and its exit code."""
    _, child = process.stdout.readline().split()
    seen = []
    while not (line := process.stdout.readline()).startswith("ended"):
        assert line, f"the process that forks ended after {seen}"
        seen.append(tuple(line.split()[:2]))
        if len(seen) == kill_after:
            os.kill(int(child), signal.SIGKILL)
    return seen, int(line.split()[1])


def without_seconds(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def assert_same(one, other):
    (state, history), (other_state, other_history) = one, other
    assert state.keys() == other_state.keys()
    for name, tensor in state.items():
        assert tensor.numpy().tobytes() == other_state[name].numpy().tobytes(), name
    assert without_seconds(history) == without_seconds(other_history)


@pytest.mark.slow
@pytest.mark.parametrize(("tune", "kills"), [("all", 2), ("head", 1)])
def test_kills_at_random_steps_leave_no_trace(tmp_path, tune, kills):
    chance = random.Random(f"{tune}-{os.getpid()}")  # other points in every run of the tests
    told = []
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), tune],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        for kill_after in [*(chance.randint(1, 6) for _ in range(kills)), None]:
            process.stdin.write(f"{tmp_path}\n")
            process.stdin.flush()
            steps, code = steps_until(process, kill_after)
            assert code in ((0,) if kill_after is None else (-signal.SIGKILL, 0)), told
            told.append(steps)
        process.stdin.close()

    network, result = load_script().run(None, tune)
    end = torch.load(tmp_path / "end.pt", weights_only=True)
    assert_same(end, (state_to_save(network), result.history))
    # work was kept: no process began where the first one had, once a step was written
    learned = [[step for step in steps if step[0] != "0"] for steps in told]
    begun = [steps[0] for steps in learned if steps]
    assert begun.count(("1", "1")) <= 1 + sum(len(steps) == 1 for steps in learned)


@pytest.mark.parametrize(("tune", "stop_at"), [("all", 1), ("all", 5), ("body", 6), ("head", 13)])
def test_an_exception_at_any_step_leaves_no_trace(tmp_path, tune, stop_at):
    script = load_script()
    count = 0

    class StoppedError(Exception):
        pass

    def stop(epoch, *_):
        nonlocal count
        count += epoch > 0
        if count == stop_at:
            raise StoppedError

    with pytest.raises(StoppedError):
        script.run(tmp_path, tune, stop)
    network, result = script.run(tmp_path, tune)
    # the callback speaks before the step is written, so the step before it was the last one
    assert result.resumed_from == (None if stop_at == 1 else divmod(stop_at - 1, 5))
    plain, plain_result = script.run(None, tune)
    assert_same(
        (state_to_save(network), result.history), (state_to_save(plain), plain_result.history)
    )


def test_a_full_disk_keeps_the_checkpoint_before_it(tmp_path, monkeypatch):
    checkpoint.save_checkpoint(tmp_path, "key", checkpoint.Progress(epoch=1), {"x": torch.ones(2)})

    def full(content, path):
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(Exception, match="no space is left"):
        checkpoint.save_checkpoint(tmp_path, "key", checkpoint.Progress(epoch=2), {})
    monkeypatch.undo()
    progress, tensors = checkpoint.load_checkpoint(tmp_path, "key")
    assert progress.epoch == 1
    assert tensors["x"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
