"""The package's public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import histograft.stats


def test_every_name_loads():
    for name in histograft.stats.__all__:
        assert getattr(histograft.stats, name) is not None
    with pytest.raises(AttributeError):
        histograft.stats.anova  # noqa: B018


def test_import_is_light():
    code = "import histograft.stats, sys; print(*{'numpy', 'scipy', 'sklearn'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
