"""Load ``fakes.py``, which is also a script."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """The module that makes fake copies of the public sets."""
    path = Path(__file__).with_name("fakes.py")
    spec = importlib.util.spec_from_file_location("catalogue_fakes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
