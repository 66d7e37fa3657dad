"""Where work runs must not matter."""

import functools
import math
import operator
import os
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histograft.core.errors import HistograftError, InputError
from histograft.core.executor import (
    InProcessExecutor,
    available_cores,
    available_memory,
    end_workers,
    map_in_order,
    open_executor,
)
from histograft.core.units import check_mpp


@pytest.fixture(scope="module")
def processes():
    with open_executor(2) as executor:
        yield executor


@given(st.lists(st.integers()), st.integers(1, 5))
def test_order_is_kept(items, window):
    with InProcessExecutor() as executor:
        results = list(map_in_order(executor, operator.neg, items, window=window))
    assert results == [-item for item in items]


def test_processes_give_the_same_in_the_same_order(processes):
    # Large and small work in turn, so that later items are done before earlier ones.
    items = [20_000 if i % 5 == 0 else i for i in range(40)]
    with InProcessExecutor() as executor:
        here = list(map_in_order(executor, math.factorial, items))
    assert list(map_in_order(processes, math.factorial, items, window=7)) == here


def test_an_exception_arrives_with_its_words(processes):
    check = functools.partial(check_mpp, where="samples.csv")
    for executor in (InProcessExecutor(), processes):
        results = map_in_order(executor, check, [0.5, 0.25, -1.0, 0.5])
        assert [next(results), next(results)] == [0.5, 0.25]
        with pytest.raises(InputError, match=r"samples\.csv: -1\.0"):
            next(results)


@pytest.mark.parametrize("window", [1, 3, 64])
def test_items_are_taken_as_needed(window):
    taken = 0

    def items():
        nonlocal taken
        for item in range(1000):
            taken += 1
            yield item

    with InProcessExecutor() as executor:
        for done, _ in enumerate(map_in_order(executor, abs, items(), window=window), start=1):
            assert taken - done < window


def test_work_that_is_no_longer_wanted_is_not_begun(processes):
    results = map_in_order(processes, abs, range(1000), window=4)
    next(results)
    results.close()
    assert list(map_in_order(processes, abs, [-1])) == [1]


def test_a_worker_that_dies_is_an_error_that_says_so():
    with (
        open_executor(2) as executor,
        pytest.raises(HistograftError, match="worker process died"),
    ):
        list(map_in_order(executor, os._exit, [1]))


@pytest.mark.parametrize("workers", [0, 1])
def test_no_workers_means_this_process(workers):
    with open_executor(workers) as executor:
        assert executor.submit(os.getpid).result() == os.getpid()


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(InputError, match="-1 workers"):
        open_executor(-1)


def test_cores_are_those_of_this_process():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_workers_are_ended_in_the_middle_of_their_work():
    executor = open_executor(2)
    with executor:
        future = executor.submit(time.sleep, 600)
        while not future.running():
            time.sleep(0.01)
        processes = list(executor._processes.values())
        end_workers(executor)
        for process in processes:
            process.join(60)
        assert not any(process.is_alive() for process in processes)


def groups(tmp_path, line, limits):
    """Files as Linux has them: which group this process is in, and the limits of groups."""
    proc = tmp_path / "cgroup"
    proc.write_text(f"9:cpu:/\n{line}\n")
    for name, text in limits.items():
        file = tmp_path / "mounted" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return available_memory(proc, tmp_path / "mounted")


def test_memory_is_that_of_the_machine_where_no_group_limits_it(tmp_path):
    whole = groups(tmp_path, "0::/job", {"job/memory.max": "max"})
    assert whole == psutil.virtual_memory().total
    assert available_memory(tmp_path / "absent", tmp_path) == whole
    assert available_memory() <= whole


@pytest.mark.parametrize(
    ("line", "limits"),
    [
        ("0::/job/step", {"job/memory.max": 1000, "job/step/memory.max": "max"}),
        ("0::/job/step", {"job/memory.max": 5000, "job/step/memory.max": 1000}),
        ("0::/of/the/host", {"memory.max": 1000}),
        ("4:memory:/job", {"memory/job/memory.limit_in_bytes": 1000}),
        ("4:memory:/of/the/host", {"memory/memory.limit_in_bytes": 1000}),
    ],
)
def test_memory_is_the_least_of_the_groups_around(tmp_path, line, limits):
    assert groups(tmp_path, line, limits) == 1000
