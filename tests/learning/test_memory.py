"""Keeping freed memory changes the speed and nothing else."""

from __future__ import annotations

import sys

import psutil
import pytest
import torch

from histograft.learning.memory import kept_memory

needs_glibc = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is kept under glibc on Linux only"
)


def test_nothing_is_done_on_another_device() -> None:
    with kept_memory("cuda") as kept:
        assert kept is False


@needs_glibc
def test_freed_memory_stays_inside_the_block_and_goes_back_after_it() -> None:
    process, size = psutil.Process(), 256 * 1024**2
    with kept_memory("cpu") as kept:
        assert kept
        before = process.memory_info().rss
        block = torch.ones(size, dtype=torch.uint8)
        del block
        assert process.memory_info().rss - before > size / 2  # freed, and still ours
    assert process.memory_info().rss - before < size / 2


@needs_glibc
def test_memory_goes_back_also_after_an_error() -> None:
    process, size = psutil.Process(), 256 * 1024**2
    before = process.memory_info().rss

    def fail() -> None:
        block = torch.ones(size, dtype=torch.uint8)
        del block
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"), kept_memory("cpu"):
        fail()
    assert process.memory_info().rss - before < size / 2


def test_results_are_equal() -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(3, 8, 3), torch.randn(4, 3, 64, 64)
    plain = layer(x)
    with kept_memory("cpu"):
        kept = layer(x)
    assert torch.equal(plain, kept)
