"""What all tests share: the real data, skips that give their reason, and one thread for torch.

Test modules cannot import each other. What several of them import lies in the folder ``shared``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Machines that run tests are often busy: an example that takes long is no error.
settings.register_profile("histograft", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("histograft")

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "tests" / "shared"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NEEDS = {
    "r": (lambda: shutil.which("Rscript") is not None, "needs Rscript (Debian: r-base-core)"),
    "keras": (
        lambda: importlib.util.find_spec("keras") is not None,
        "needs Keras 3 (pip install -e '.[keras]')",
    ),
    "browser": (
        lambda: any(shutil.which(name) for name in BROWSERS),
        "needs headless Chromium (Debian: chromium)",
    ),
    "real": (
        lambda: find_shared() is not None,
        "needs the real images: HISTOGRAFT_DATA names the folder that holds data/ and weights/",
    ),
}


def find_shared() -> Path | None:
    """Folder with ``data`` and ``weights``: HISTOGRAFT_DATA, else ``../shared`` beside the project.

    HISTOGRAFT_DATA may also name the folder ``data`` itself.
    """
    stated = os.environ.get("HISTOGRAFT_DATA")
    folders = [Path(stated), Path(stated).parent] if stated else [PROJECT.parent / "shared"]
    for folder in folders:
        if (folder / "data").is_dir() and (folder / "weights").is_dir():
            return folder.resolve()
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder that holds ``data`` and ``weights``; the test is skipped where there is none."""
    folder = find_shared()
    if folder is None:
        pytest.skip(NEEDS["real"][1])
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose mark names a tool or data that this machine lacks."""
    lacking = {mark: reason for mark, (is_there, reason) in NEEDS.items() if not is_there()}
    for item in items:
        for mark in lacking.keys() & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.skip(reason=lacking[mark]))


@pytest.fixture(autouse=True)
def _one_torch_thread() -> Iterator[None]:
    # Small tensors on many threads are slower than on one, the more so on a busy machine.
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
