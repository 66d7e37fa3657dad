"""Tests here import ``molecular_layouts``, which writes tiny tables in published layouts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def luad(shared_data):
    """Folder with the molecular tables of TCGA-LUAD."""
    folder = shared_data / "data" / "molecular"
    if not (folder / "luad_mutations.maf").exists():
        pytest.skip("needs data/molecular below HISTOGRAFT_DATA")
    return folder
