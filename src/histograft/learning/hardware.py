"""What torch computes with: threads of the processor, or a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of torch on the CPU, and set the number back afterwards.

    Sums of several threads are taken in another order, and trained weights amplify the last bit.
    With one thread for each training, results do not depend on how many run side by side, and two
    trainings on two cores take less time than one after another on both.

    Examples
    --------
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def gpu_is_there() -> bool:
    """Whether torch can compute on a CUDA device."""
    return torch.cuda.is_available()
