"""Identities, and disks that are full or closed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from histograft.core.artefact import Identity, Input

OTHER_USER = 65534  # nobody


def make_identity(**changes):
    values = {
        "kind": "patches",
        "verb": "standardize",
        "verb_version": 1,
        "config": {"patch_px": 224, "target_mpp": 0.5, "preset": ["a", None]},
        "inputs": (Input("samples", "samples", "00ff", "colon"),),
        "seed": 0,
    }
    return Identity(**(values | changes))


@pytest.fixture
def identity():
    return make_identity()


@pytest.fixture(name="make_identity")
def _make_identity():
    return make_identity


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def closed_folder():
    """A folder that this process may read but not write, also where the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="histograft-closed-"))
    (folder / "old.txt").write_text("old")
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(OTHER_USER)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)
