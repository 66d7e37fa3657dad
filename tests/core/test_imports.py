"""The package and its help start at once: nothing heavy is loaded before it is needed."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

HEAVY = ["torch", "torchvision", "timm", "lightning_fabric", "pandas", "matplotlib"]
HEAVY_FOR_HELP = [*HEAVY, "scipy", "sklearn", "skimage", "pyarrow", "h5py"]
# The budgets are those of the issue, in processor time: a busy machine does not change it much.
IMPORT_SECONDS = 0.3
HELP_SECONDS = 0.7
HELP = """
from histograft.cli import main
try:
    main({arguments})
except SystemExit as end:
    assert not end.code, end.code
"""
REPORT = """
import json, sys, time
print()
print(json.dumps([time.process_time(), [n for n in {heavy} if n in sys.modules]]))
"""


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiled modules are kept between starts, as they are for users, whatever runs the tests."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", folder)
        yield


def run(code, heavy):
    """Run code in a new process; return its processor time and the heavy packages it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", code + REPORT.format(heavy=heavy)],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds, loaded = json.loads(done.stdout.splitlines()[-1])
    return seconds, loaded, done.stdout


def test_importing_the_package_is_light():
    times = []
    for _ in range(3):
        seconds, loaded, _ = run(
            "import histograft", [*HEAVY_FOR_HELP, "numpy", "cyclopts", "rich"]
        )
        assert loaded == []
        times.append(seconds)
    assert min(times) < IMPORT_SECONDS


def test_help_is_light():
    times = []
    for _ in range(3):
        seconds, loaded, text = run(HELP.format(arguments=["--help"]), HEAVY_FOR_HELP)
        assert loaded == []
        assert "standardize" in text
        times.append(seconds)
    assert min(times) < HELP_SECONDS


@pytest.mark.parametrize(
    "command", ["standardize", "train", "embed", "predict", "compare", "draw", "demo", "run ftx"]
)
def test_help_of_every_command_is_light(command):
    _, loaded, text = run(HELP.format(arguments=[*command.split(), "--help"]), HEAVY_FOR_HELP)
    assert loaded == []
    assert "--out" in text


def test_the_public_names_are_there_and_lazy():
    code = """
import sys, histograft
assert "histograft.verbs.train" not in sys.modules
for name in histograft.__all__:
    assert getattr(histograft, name) is not None, name
assert set(histograft.__all__) <= set(dir(histograft))
try:
    histograft.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError
"""
    assert run(code, HEAVY)[1] == []
