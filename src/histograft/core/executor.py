"""Where work runs: in this process, or in several.

Both follow `concurrent.futures`, and so does a Dask cluster (`Client.get_executor()`), so the
rest of the package knows only `submit`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from histograft.core.errors import HistograftError, InputError

CGROUPS = Path("/sys/fs/cgroup")
Item = TypeVar("Item")
Result = TypeVar("Result")


class InProcessExecutor(Executor):
    """Runs each task at once in the calling process.

    Examples
    --------
    >>> with InProcessExecutor() as executor:
    ...     executor.submit(pow, 2, 3).result()
    8
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` now and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - carried to the caller by result()
            future.set_exception(error)
        return future


class _UninterruptedProcesses(ProcessPoolExecutor):
    """Processes that do not see Ctrl-C: the caller does, and ends them in order."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call; a process that is started for it inherits the blocked signal."""
        if not hasattr(signal, "pthread_sigmask"):  # not a POSIX system
            return super().submit(fn, *args, **kwargs)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def open_executor(workers: int | None) -> Executor:
    """Return an executor for `workers` processes.

    Parameters
    ----------
    workers : int or None
        0 or 1 run in the calling process; None takes the cores that this process may use.

    Returns
    -------
    concurrent.futures.Executor
        To be used as a context manager.

    Raises
    ------
    InputError
        `workers` is negative.
    """
    if workers is None:
        workers = available_cores()
    if workers < 0:
        raise InputError(f"{workers} workers were asked for", "give 0 (none) or more")
    if workers <= 1:
        return InProcessExecutor()
    # "spawn" is the only start method that is safe after threads were started and that
    # behaves alike on all systems.
    return _UninterruptedProcesses(workers, mp_context=multiprocessing.get_context("spawn"))


def end_workers(executor: Executor) -> None:
    """End the processes of an executor at once, whatever they do.

    For work that resumes: leaving the executor's context would wait for what is under way.
    """
    # Python 3.14 has `terminate_workers`; before that there is no public way, and once it is shut
    # down an executor knows its processes no more.
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


@contextmanager
def open_threads(workers: int | None) -> Iterator[Executor]:
    """Open an executor of threads, for work that sums in BLAS or in compiled loops.

    Meanwhile BLAS and OpenMP have one thread. Their own gain nothing on matrices of a few hundred
    rows, and wait for each other in loops that burn the processor: five fits of a linear SVC took
    9 s with two threads of BLAS on a busy machine and 0.16 s with one. And so results do not
    depend on the number of cores.

    Parameters
    ----------
    workers : int or None
        Threads; 0 or 1 run in the calling thread, None takes the cores that this process may use.

    Yields
    ------
    concurrent.futures.Executor

    Raises
    ------
    InputError
        `workers` is negative.
    """
    from threadpoolctl import threadpool_limits

    count = available_cores() if workers is None else workers
    if count < 0:
        raise InputError(f"{count} workers were asked for", "give 0 (none) or more")
    executor = InProcessExecutor() if count <= 1 else ThreadPoolExecutor(count)
    with threadpool_limits(1), executor:
        yield executor


def available_cores() -> int:
    """Cores that this process may use (not those of the machine)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(proc: Path = Path("/proc/self/cgroup"), root: Path = CGROUPS) -> float:
    """Bytes of memory that this process may use: the machine's, or less in a container or job.

    Schedulers and containers set limits by control groups of Linux, version 2 (``memory.max``) or
    1 (``memory.limit_in_bytes``); a group is bound by all that it lies in.

    Parameters
    ----------
    proc, root : Path
        Which groups the process is in, and where they are mounted.

    Returns
    -------
    float
        Bytes; 8e9 where the system does not tell.
    """
    limits = [8e9]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits = [float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))]
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top, file = (
            (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        )
        group = top / name.strip("/")
        # inside a container the path is that of the host: what is mounted is the top
        for folder in (group, *group.parents):
            limits += _limit(folder / file)
            if folder == top:
                break
    return min(limits)


def _limit(file: Path) -> list[float]:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return []
    return [float(text)] if text.isdigit() else []  # else "max"


def map_in_order(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item], window: int = 64
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, with a bounded number under way.

    Results do not depend on the executor, and memory does not grow with the number of items.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Where the calls run.
    function : callable
        A function that the executor can carry (for processes: of a module).
    items : iterable
        Its arguments, taken as needed.
    window : int
        Calls under way at once, 1 or more.

    Yields
    ------
    object
        The results.

    Raises
    ------
    HistograftError
        A worker process died.

    Examples
    --------
    >>> with InProcessExecutor() as executor:
    ...     list(map_in_order(executor, abs, [-2, 1]))
    [2, 1]
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise HistograftError(
            "a worker process died",
            "run it again, it resumes; if it was out of memory, use fewer --workers; a Python "
            'script that calls histograft needs the guard `if __name__ == "__main__":`',
        ) from error
    finally:
        for future in waiting:
            future.cancel()
