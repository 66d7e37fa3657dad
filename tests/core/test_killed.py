"""An artefact whose writer was killed is finished by the next run as if nothing had been."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histograft.core.artefact import is_artefact, open_artefact
from histograft.core.verify import verify

SCRIPT = Path(__file__).with_name("crash_points.py")
SLOW_WRITER = """
import sys
from pathlib import Path
from histograft.core.artefact import Artefact, Identity, claim
claimed = claim(Path(sys.argv[1]), Identity("patches", "standardize", 1, {}))
print("claimed", flush=True)
if not isinstance(claimed, Artefact):
    with claimed as draft:
        for number in range(40):
            draft.write_text(f"{number}.txt", str(number) * 50_000)
        draft.finish()
"""


@pytest.mark.slow
@pytest.mark.parametrize("state", ["new", "failed"])
def test_dying_at_every_call_that_changes_the_disk(tmp_path, state):
    command = [sys.executable, str(SCRIPT), str(tmp_path), state]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["wrong"] == {}, done.stderr
    assert report["points"] > 80  # before and after each of some forty calls


@pytest.mark.slow
def test_sigkill_at_random_times(tmp_path):
    def start(folder):
        command = [sys.executable, "-c", SLOW_WRITER, str(folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    with start(tmp_path / "whole") as process:
        process.stdout.readline()
        began = time.monotonic()
        process.wait()
        seconds = time.monotonic() - began
    expected = open_artefact(tmp_path / "whole").files

    chance = random.Random()
    killed = 0
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        for _ in range(2):
            with start(folder) as process:
                process.stdout.readline()
                time.sleep(chance.uniform(0, seconds))
                process.send_signal(signal.SIGKILL)
            killed += process.returncode == -signal.SIGKILL
        with start(folder) as process:
            process.stdout.read()
        assert process.returncode == 0
        assert is_artefact(folder)
        assert open_artefact(folder).files == expected
        assert [finding for result in verify(folder) for finding in result.findings] == []
        left = [p.name for p in folder.iterdir() if p.name not in expected]
        assert left == ["manifest.json"]
    assert killed > 0
