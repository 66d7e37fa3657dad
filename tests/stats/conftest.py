"""Numbers of R that several files of tests share."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session", params=["stored", pytest.param("live", marks=pytest.mark.r)])
def molecular(request):
    """What R and pROC say, as stored and as installed."""
    if request.param == "stored":
        return json.loads((GOLDEN / "molecular.json").read_text())
    done = subprocess.run(
        ["Rscript", str(GOLDEN / "make_molecular.R")], capture_output=True, text=True, check=False
    )
    if "there is no package called" in done.stderr:
        pytest.skip("needs R's pROC (Debian: r-cran-proc)")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
